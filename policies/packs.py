"""Load every pack of a folder and make sure that together they decide each problem once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from policies.engine import Pack, Rule
from policies.pack import PackError, load_pack
from policies.rails import RAILS_FILE
from policies.vocabulary import MONEY_ACTIONS, PROBLEMS, SKILLS, SUGGESTIONS, WAITS

# It has numbers and no rules.
GUARDS_FILE = "guards.yaml"
PACKS_MAX = 50


class Packs:
    """The packs of one installation; `by_name` is in the order of the files' names."""

    def __init__(self, packs: Iterable[Pack]) -> None:
        self.by_name: Mapping[str, Pack] = MappingProxyType({pack.name: pack for pack in packs})
        self._by_problem = {problem: pack for pack in self.by_name.values() for problem in pack.problems}

    def for_problem(self, problem: str) -> Pack:
        """The one pack that decides this problem. Raises KeyError for a word that is no problem."""
        return self._by_problem[problem]


def bundled_folder() -> Path:
    """Where the packs that come with the product are."""
    return Path(__file__).parent


def pack_files(folder: Path) -> list[Path]:
    """The pack files of a folder, by name."""
    return sorted(path for path in folder.glob("*.yaml") if path.name not in {GUARDS_FILE, RAILS_FILE})


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
