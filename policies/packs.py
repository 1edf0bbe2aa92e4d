"""Load every pack of a folder and make sure that together they decide each problem once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from policies.engine import Pack, Rule
from policies.macros import MACROS_FILE
from policies.pack import PackError, load_pack
from policies.playbooks import PLAYBOOKS_FILE
from policies.rails import RAILS_FILE
from policies.routing import ROUTING_FILE
from policies.vocabulary import MONEY_ACTIONS, PROBLEMS, SKILLS, SUGGESTIONS, WAITS

# It has numbers and no rules.
GUARDS_FILE = "guards.yaml"
# Files beside the packs that decide nothing for customers.
_NO_PACKS = frozenset({GUARDS_FILE, MACROS_FILE, PLAYBOOKS_FILE, RAILS_FILE, ROUTING_FILE})
PACKS_MAX = 50


# What decides where a platform's own packs cannot be read: nobody is denied, and nothing is paid, by a policy that nobody can read.
_PEOPLE = """
pack: people
problems: [{problems}]
rules:
  - id: packs-broken
    escalate: {{ skill: operations, priority: 1 }}
    because: {{ en: A person on our team looks at this. }}
    examples: [{{ given: {{}}, expect: {{ escalate: operations }} }}]
"""


class Packs:
    """The packs of one installation, or a platform's own; `by_name` is in the order of the files' names.

    `otherwise`: what decides the problems that these do not.
    """

    def __init__(self, packs: Iterable[Pack], otherwise: "Packs | None" = None) -> None:
        self.by_name: Mapping[str, Pack] = MappingProxyType({pack.name: pack for pack in packs})
        self._by_problem: dict[str, Pack] = {problem: pack for pack in self.by_name.values() for problem in pack.problems}
        self._otherwise = otherwise

    @property
    def rules(self) -> frozenset[str]:
        """All of them, as pack/rule."""
        return frozenset(f"{pack.name}/{rule.id}" for pack in self.by_name.values() for rule in pack.rules)

    def deciding(self) -> tuple[Pack, ...]:
        """Those that decide some problem: its own, and of the others those that are left anything."""
        others = () if self._otherwise is None else self._otherwise.deciding()
        return (*self.by_name.values(), *(pack for pack in others if not self._by_problem.keys() >= set(pack.problems)))

    def for_problem(self, problem: str) -> Pack:
        """The one pack that decides this problem. Raises KeyError for a word that is no problem."""
        if problem not in self._by_problem and self._otherwise is not None:
            return self._otherwise.for_problem(problem)
        return self._by_problem[problem]


def bundled_folder() -> Path:
    """Where the packs that come with the product are."""
    return Path(__file__).parent


def pack_files(folder: Path) -> list[Path]:
    """The pack files of a folder, by name."""
    return sorted(path for path in folder.glob("*.yaml") if path.name not in _NO_PACKS)


def load_packs(folder: Path, languages: Iterable[str]) -> Packs:
    """Loads the packs of a folder with texts in all of `languages`.

    Raises PackError with the mistakes of all files: also where a problem is decided by no pack or by two, or where a rule
    names a wait, a skill, a suggestion or a harm the service does not know.
    """
    spoken = tuple(languages)
    errors: list[str] = []
    packs: list[Pack] = []
    files = pack_files(folder)
    if not files:
        raise PackError([f"{folder}: no pack (*.yaml) is there"])
    if len(files) > PACKS_MAX:
        raise PackError([f"{folder}: {len(files)} files, at most {PACKS_MAX} packs are loaded"])
    for path in files:
        try:
            pack = load_pack(path.read_text(encoding="utf-8"), languages=spoken)
        except PackError as error:
            errors.extend(f"{path.name}: {problem}" for problem in error.errors)
        except UnicodeDecodeError:
            errors.append(f"{path.name}: is not UTF-8 text")
        else:
            packs.append(pack)
    errors.extend(problem for pack in packs for problem in _unknown_to_the_service(pack))
    # A pack that did not load would be missed here as well, and that has been said.
    errors.extend(_shared_out(packs, complete=len(packs) == len(files)))
    if errors:
        raise PackError(errors)
    return Packs(packs)


def load_own(texts: Mapping[str, str], languages: Iterable[str], otherwise: Packs) -> Packs:
    """A platform's own packs (a name for messages -> text); `otherwise` decides what they do not.

    Raises PackError as `load_packs` does, also for a fact that no pack of `otherwise` knows: nothing would ever gather it.
    """
    spoken = tuple(languages)
    known = {fact for pack in otherwise.by_name.values() for fact in pack.facts}
    errors: list[str] = []
    packs: list[Pack] = []
    if len(texts) > PACKS_MAX:
        raise PackError([f"{len(texts)} packs, at most {PACKS_MAX} are loaded"])
    for name, text in texts.items():
        try:
            pack = load_pack(text, languages=spoken)
        except PackError as error:
            errors.extend(f"{name}: {problem}" for problem in error.errors)
            continue
        packs.append(pack)
        errors.extend(f"{name}: {problem}" for problem in _unknown_to_the_service(pack))
        errors.extend(f"{name}: fact {fact} is never gathered" for fact in pack.facts if fact not in known)
    errors.extend(_shared_out(packs, complete=False))
    if errors:
        raise PackError(errors)
    return Packs(packs, otherwise)


def people_pack() -> Pack:
    """Hands every problem to people."""
    return load_pack(_PEOPLE.format(problems=", ".join(PROBLEMS)), languages=("en",))


def _shared_out(packs: Iterable[Pack], *, complete: bool) -> Iterator[str]:
    deciding: dict[str, list[str]] = {problem: [] for problem in PROBLEMS}
    names: set[str] = set()
    for pack in packs:
        if pack.name in names:
            yield f"{pack.name}: two files hold a pack of this name"
        names.add(pack.name)
        for problem in pack.problems:
            if problem not in deciding:
                yield f"{pack.name}: {problem!r} is not a problem; the problems are {', '.join(PROBLEMS)}"
            deciding.setdefault(problem, []).append(pack.name)
    for problem, found in deciding.items():
        if len(found) > 1:
            yield f"problem {problem} is decided by {' and '.join(found)}; it must be one pack"
        if complete and not found:
            yield f"problem {problem} is decided by no pack"


def _unknown_to_the_service(pack: Pack) -> Iterator[str]:
    for rule in pack.rules:
        for problem in _unknown_in(rule):
            yield f"{pack.name}, rule {rule.id}: {problem}"


def _unknown_in(rule: Rule) -> Iterator[str]:
    answer = rule.answer
    if answer.wait and answer.wait.wait_for not in WAITS:
        yield f"nothing ends a wait for {answer.wait.wait_for!r}; use one of {', '.join(WAITS)}"
    if answer.escalate:
        if answer.escalate.skill not in SKILLS:
            yield f"nobody has the skill {answer.escalate.skill!r}; use one of {', '.join(SKILLS)}"
        for suggestion in answer.escalate.suggest:
            if suggestion not in SUGGESTIONS:
                yield f"{suggestion!r} cannot be suggested; use one of {', '.join(SUGGESTIONS)}"
    if answer.outcome == "deny" and not answer.would_change:
        yield "a denial says what would change it (`would_change`)"
    for step in rule.steps:
        if step.action in MONEY_ACTIONS and not step.cause:
            yield f"a {step.action} needs its `cause`, so that one harm is paid once"
