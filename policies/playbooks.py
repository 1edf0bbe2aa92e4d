"""What an agent is led by: which playbook fits a case, its steps and scripts, and who gets the case when time runs out."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, cast

import msgspec

from policies.reading import ReadingError, canonical, read
from policies.verdict import ActionName
from policies.vocabulary import ACTIONS, CAUSES, PROBLEMS, SKILLS

PLAYBOOKS_FILE: Final = "playbooks.yaml"

# An agent reads them beside a case: more of any is not read.
PLAYBOOKS_MAX: Final = 50
STEPS_MAX: Final = 12
SCRIPTS_MAX: Final = 8

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
_Texts = Annotated[dict[str, Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]], msgspec.Meta(min_length=1)]


class PlaybooksError(ValueError):
    """The file does not load; `errors` lists every mistake."""

    def __init__(self, errors: Collection[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fits where all that it names is so; one that names nothing fits every case. `rule`: of the pack, as charges/duplicate."""

    problem: str | None = None
    rule: str | None = None
    skill: str | None = None

    def fits(self, problem: str, rules: Collection[str], skill: str) -> bool:
        return self.problem in {None, problem} and self.skill in {None, skill} and (self.rule is None or self.rule in rules)


class StepAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a step does, as POST /v1/cases/{id}/previews takes it; the agent names the ticket or the charge."""

    action: str
    cause: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: _Texts
    action: StepAction | None = None
    macro: str | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to say, for the agent's own voice: the title in agents' languages, the text in customers'."""

    title: _Texts
    text: _Texts


class Playbook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: _Name
    title: _Texts
    why: _Texts
    on: Annotated[list[Trigger], msgspec.Meta(min_length=1)]
    """any of these"""
    chain: Annotated[list[str], msgspec.Meta(min_length=1, max_length=6)]
    """whose it is, and who gets it next when a promise of time is broken"""
    steps: Annotated[list[Step], msgspec.Meta(min_length=1, max_length=STEPS_MAX)]
    scripts: Annotated[list[Script], msgspec.Meta(max_length=SCRIPTS_MAX)] = []

    def read(self) -> Iterator[Mapping[str, str]]:
        """What agents read."""
        yield from (self.title, self.why)
        yield from (step.text for step in self.steps)
        yield from (script.title for script in self.scripts)

    def spoken(self) -> Iterator[Mapping[str, str]]:
        """What customers are told."""
        yield from (script.text for script in self.scripts)


class Playbooks:
    """The playbooks of one installation, in their order. `hash` is the SHA-256 (hex) of `text`."""

    def __init__(self, text: str, playbooks: tuple[Playbook, ...]) -> None:
        self.text = text
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        self.by_id: Mapping[str, Playbook] = {one.id: one for one in playbooks}

    def fitting(self, problem: str, rules: Collection[str], skill: str) -> Playbook:
        """The first that fits; the last one fits every case (checked when the file was loaded)."""
        return next(one for one in self.by_id.values() if any(trigger.fits(problem, rules, skill) for trigger in one.on))


def load_playbooks(
    text: str, *, languages: Collection[str] = (), macros: Collection[str] | None = None, rules: Collection[str] | None = None
) -> Playbooks:
    """Returns the playbooks in `text`; every sentence has to be there in each of `languages`, and in those that any sentence is in that is
    for the same people: agents, or customers.

    `macros` and `rules` (as pack/rule): those there are; None: not known here, and not checked. Raises PlaybooksError with all mistakes.
    """
    text = canonical(text)
    try:
        found = msgspec.convert(read(text).plain(), dict[str, Annotated[list[Any], msgspec.Meta(min_length=1, max_length=PLAYBOOKS_MAX)]])
        if set(found) != {"playbooks"}:
            raise PlaybooksError(["playbooks: the file has `playbooks` and nothing else"])
        listed, errors = _converted(found["playbooks"])
    except (ReadingError, msgspec.ValidationError) as error:
        raise PlaybooksError([f"playbooks: {error}"]) from error
    if not errors:
        playbooks = Playbooks(text, listed)
        errors = [*_mistakes(listed, macros, rules), *_missing_languages(listed, languages)]
    if errors:
        raise PlaybooksError(errors)
    return playbooks


def _converted(items: list[Any]) -> tuple[tuple[Playbook, ...], list[str]]:
    listed, errors = [], []
    for number, item in enumerate(items):
        name = item.get("id", f"number {number + 1}") if isinstance(item, dict) else f"number {number + 1}"
        try:
            listed.append(msgspec.convert(item, Playbook))
        except msgspec.ValidationError as error:
            errors.append(f"playbooks, {name}: {error}")
    return tuple(listed), errors


def _mistakes(listed: tuple[Playbook, ...], macros: Collection[str] | None, rules: Collection[str] | None) -> Iterator[str]:
    ids = [one.id for one in listed]
    yield from (f"playbooks: two are called {name}" for name in sorted({name for name in ids if ids.count(name) > 1}))
    if Trigger() not in listed[-1].on:
        yield f"playbooks, {listed[-1].id}: the last one fits every case, with the trigger {{}}"
    for one in listed:
        yield from (f"playbooks, {one.id}: {problem}" for problem in _mistakes_of(one, macros, rules))


def _missing_languages(listed: tuple[Playbook, ...], languages: Collection[str]) -> Iterator[str]:
    for sentences in (Playbook.read, Playbook.spoken):
        needed = {*languages, *(language for one in listed for texts in sentences(one) for language in texts)}
        for one in listed:
            for texts in sentences(one):
                for language in sorted(needed - set(texts)):
                    yield f"playbooks, {one.id}: lacks the language {language} where it says {next(iter(texts.values()))!r}"


def _mistakes_of(one: Playbook, macros: Collection[str] | None, rules: Collection[str] | None) -> Iterator[str]:
    for trigger in one.on:
        yield from _mistakes_of_trigger(trigger, rules)
    yield from (f"nobody has the skill {skill!r}; use one of {', '.join(SKILLS)}" for skill in one.chain if skill not in SKILLS)
    if len(set(one.chain)) < len(one.chain):
        yield "`chain` names a skill twice"
    for step in one.steps:
        if step.action is not None:
            yield from _mistakes_of_action(step.action)
        if step.macro is not None and macros is not None and step.macro not in macros:
            yield f"there is no macro {step.macro!r}; there are {', '.join(sorted(macros))}"


def _mistakes_of_trigger(trigger: Trigger, rules: Collection[str] | None) -> Iterator[str]:
    if trigger.problem is not None and trigger.problem not in PROBLEMS:
        yield f"{trigger.problem!r} is not a problem"
    if trigger.skill is not None and trigger.skill not in SKILLS:
        yield f"nobody has the skill {trigger.skill!r}; use one of {', '.join(SKILLS)}"
    if trigger.rule is not None and rules is not None and trigger.rule not in rules:
        yield f"there is no rule {trigger.rule!r}; write it as pack/rule"


def _mistakes_of_action(action: StepAction) -> Iterator[str]:
    if cast("ActionName", action.action) not in ACTIONS:
        yield f"{action.action!r} is not an action; use one of {', '.join(ACTIONS)}"
    if action.cause is not None and action.cause not in CAUSES:
        yield f"{action.cause!r} is not a cause; use one of {', '.join(CAUSES)}"
    if (action.action == "refund") != (action.cause is not None):
        yield "a refund names its `cause`, so that one harm is paid once; nothing else has one"
