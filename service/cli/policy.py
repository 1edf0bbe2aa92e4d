"""`makegood policy`: check packs, play their examples, decide on given facts, explain a stored decision."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from policies import (
    GUARDS_FILE,
    MACROS_FILE,
    PLAYBOOKS_FILE,
    RAILS_FILE,
    ROUTING_FILE,
    Explanation,
    FactError,
    GuardsError,
    MacrosError,
    Pack,
    PackError,
    PlaybooksError,
    RailsError,
    RoutingError,
    StoredDecision,
    Verdict,
    bundled_folder,
    encode,
    load_guards,
    load_macros,
    load_pack,
    load_packs,
    load_playbooks,
    load_rails,
    load_routing,
    pack_files,
)
from policies import explain as explain_decision
from policies.reading import ReadingError, read
from service.cli.database import embedded_option
from service.cli.groups import Group
from service.cli.keys import with_pool
from service.model import WireId, unwire
from service.settings import Settings
from service.store.policies import Made
from service.store.policies import decision_of as made_decision
from service.store.pool import Pool

# The codes every command here ends with: 0 well, 1 a pack or decision does not hold, 2 the input cannot be used.
DOES_NOT_HOLD, BAD_INPUT = 1, 2

_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path), default=bundled_folder)
_LANGUAGES = click.option(
    "--language",
    "-l",
    "languages",
    multiple=True,
    metavar="CODE",
    help="A language every sentence must be in; may be given several times. Without it: each language a pack uses.",
)


class UnusableInputError(Exception):
    """A file given to a command cannot be used; the message says why, in one line."""


@click.group(name="policy", cls=Group, elsewhere={"publish": "policy_publish:publish"})
def command() -> None:
    """Check, try and explain the written policy; publish a platform's own."""


@command.command()
@_FOLDER
@_LANGUAGES
def check(folder: Path, languages: tuple[str, ...]) -> None:
    """Check all packs of FOLDER (the bundled ones without it) and list every mistake at once."""
    errors = [*_numbers_errors(folder / GUARDS_FILE, load_guards), *_numbers_errors(folder / RAILS_FILE, load_rails)]
    errors += _numbers_errors(folder / MACROS_FILE, load_macros)
    errors += _desk_errors(folder / ROUTING_FILE, load_routing)
    packs = None
    try:
        packs = load_packs(folder, languages or _languages_of(folder))
    except PackError as error:
        errors += error.errors
    playbooks = partial(load_playbooks, macros=_macro_ids(folder), rules=None if packs is None else packs.rules)
    errors += _desk_errors(folder / PLAYBOOKS_FILE, playbooks)
    if packs is None or errors:
        _say_errors(errors)
    for pack in packs.by_name.values():
        click.echo(f"{pack.name:<12} {len(pack.rules):>3} rules  {', '.join(pack.problems)}")
    click.echo("All packs are right, and each problem is decided by one of them.")


@command.command()
@_FOLDER
@_LANGUAGES
def test(folder: Path, languages: tuple[str, ...]) -> None:
    """Play every example of every pack of FOLDER and count them."""
    errors: list[str] = []
    for path in pack_files(folder):
        try:
            pack = _load(path, languages)
        except PackError as error:
            errors += [f"{path.name}: {problem}" for problem in error.errors]
            continue
        click.echo(f"{pack.name:<12} {len(pack.rules):>3} rules  {pack.examples_played:>3} examples hold")
    if (folder / ROUTING_FILE).exists():
        errors += _desk_errors(folder / ROUTING_FILE, _play_routing)
    if errors:
        _say_errors(errors)


def _play_routing(text: str) -> None:
    routing = load_routing(text)
    click.echo(f"{'routing':<12} {len(routing.rules()):>3} rules  {routing.examples_played:>3} examples hold")


@command.command()
@click.argument("pack_file", metavar="PACK", type=_EXISTING_FILE)
@click.option("--facts", "facts_file", required=True, type=_EXISTING_FILE, help="A YAML or JSON file: fact: value.")
@click.option("--parameters", "parameters_file", type=_EXISTING_FILE, help="A YAML or JSON file: parameter: value.")
def decide(pack_file: Path, facts_file: Path, parameters_file: Path | None) -> None:
    """Decide by the pack file PACK on the given facts, and print the decision as JSON."""
    try:
        verdict = decision_of(pack_file, facts_file, parameters_file)
    except UnusableInputError as error:
        _say_errors([str(error)], BAD_INPUT)
    except PackError as error:
        _say_errors([f"{pack_file.name}: {problem}" for problem in error.errors], BAD_INPUT)
    except FactError as error:
        _say_errors([f"{facts_file.name}: {error}"], BAD_INPUT)
    click.echo(msgspec.json.format(encode(verdict), indent=2))


@command.command()
@click.argument("case", required=False)
@click.option("--decision", "decision_file", type=_EXISTING_FILE, help="A stored decision, as JSON, instead of a case.")
@click.option("--pack", "pack_file", type=_EXISTING_FILE, help="The pack's text, where the decision does not hold it.")
@embedded_option
def explain(case: str | None, decision_file: Path | None, pack_file: Path | None, *, is_embedded: bool) -> None:
    """Make the newest decision of CASE (case_…) again from its pack, facts and parameters, and compare byte for byte."""
    if (case is None) == (decision_file is None):
        raise click.UsageError("name a case, or a file with --decision")
    try:
        found = [_stored(decision_file, pack_file)] if decision_file else _of_case(case or "", is_embedded=is_embedded)
        explanations = [explain_decision(text, stored) for text, stored in found]
    except UnusableInputError as error:
        _say_errors([str(error)], BAD_INPUT)
    except PackError as error:
        _say_errors(list(error.errors), BAD_INPUT)
    except FactError as error:
        _say_errors([str(error)], BAD_INPUT)
    for explanation in explanations:
        for line in in_words(explanation):
            click.echo(line)
    if not all(explanation.same for explanation in explanations):
        raise SystemExit(DOES_NOT_HOLD)


def _of_case(case: str, *, is_embedded: bool) -> list[tuple[str, StoredDecision]]:
    case_id = unwire(WireId.CASE, case)
    if case_id is None:
        raise UnusableInputError(f"{case}: a case's id looks like case_0192…")

    async def work(pool: Pool, _settings: Settings) -> Sequence[Made]:
        return await made_decision(pool, case_id)

    made = with_pool(work, is_embedded=is_embedded)
    if not made:
        raise UnusableInputError(f"{case}: no pack has decided it")
    found = []
    for one in made:
        if one.text is None:
            raise UnusableInputError(f"the text of pack {one.verdict['pack']} {one.verdict['pack_hash'][:12]} was never kept here")
        document = {"pack_hash": one.verdict["pack_hash"], "facts": one.facts, "parameters": one.parameters, "verdict": one.verdict}
        found.append((one.text, msgspec.convert(document, StoredDecision)))
    return found


def decision_of(pack_file: Path, facts_file: Path, parameters_file: Path | None = None) -> Verdict:
    """The verdict of any pack file on facts of its own. Raises PackError, FactError or UnusableInputError."""
    pack = load_pack(_text(pack_file), languages=())
    return pack.decide(_values(facts_file), _values(parameters_file) if parameters_file else {})


def in_words(explanation: Explanation) -> Iterable[str]:
    """The explanation for a reader: which rules were read, what they looked at, what decided, whether it is the same."""
    verdict = explanation.verdict
    for step in explanation.rules:
        looked_at = ", ".join(
            f"{name} = {'no value' if value is None else json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in step.looked_at.items()
        )
        says = "no" if not step.decided else ("stopped" if verdict.unknown or verdict.reason else "yes")
        yield f"{says:<8} {step.rule}: {step.when or 'always'}"
        if looked_at:
            yield f"{'':<8}   {looked_at}"
    yield f"{verdict.outcome} by rule {verdict.rule} of pack {verdict.pack} ({verdict.pack_hash[:12]})"
    if verdict.reason:
        yield f"reason: {verdict.reason} {', '.join(verdict.unknown)}".rstrip()
    for action in verdict.actions:
        amount = "" if action.amount is None else f" {action.amount} (minor units), cause {action.cause or 'none'}"
        yield f"action: {action.action}{amount}"
    for language, sentence in sorted(verdict.because.items()):
        yield f"{language}: {sentence}"
    yield "The same decision, byte for byte." if explanation.same else "NOT the same decision:"
    yield from (f"  {difference}" for difference in explanation.differences)


def _load(path: Path, languages: tuple[str, ...]) -> Pack:
    """The pack; without languages asked for, every sentence must be in each language the pack uses anywhere."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackError(["is not UTF-8 text"]) from error
    if languages:
        return load_pack(text, languages=languages)
    return load_pack(text, languages=load_pack(text, languages=()).languages)


def _languages_of(folder: Path) -> tuple[str, ...]:
    found: set[str] = set()
    for path in pack_files(folder):
        try:
            found.update(_load(path, ()).languages)
        except PackError:
            # Its mistakes are listed when all packs are loaded.
            continue
    return tuple(sorted(found))


def _numbers_errors(path: Path, load_file: Callable[[str], object]) -> Iterable[str]:
    """A folder without the file has the one that comes with the application."""
    if not path.exists():
        return
    try:
        load_file(path.read_text(encoding="utf-8"))
    except (GuardsError, MacrosError, RailsError, UnicodeDecodeError) as error:
        yield f"{path.name}: {error}"


def _desk_errors(path: Path, load_file: Callable[[str], object]) -> Iterable[str]:
    """As for the numbers: a folder without the file has the one that comes with the application."""
    if not path.exists():
        return
    try:
        load_file(path.read_text(encoding="utf-8"))
    except (RoutingError, PlaybooksError) as error:
        yield from (f"{path.name}: {problem}" for problem in error.errors)
    except UnicodeDecodeError as error:
        yield f"{path.name}: {error}"


def _macro_ids(folder: Path) -> Sequence[str] | None:
    """None: they do not load, which has been said."""
    path = folder / MACROS_FILE
    try:
        return [one.id for one in load_macros((path if path.exists() else bundled_folder() / MACROS_FILE).read_text(encoding="utf-8")).all]
    except (MacrosError, UnicodeDecodeError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnusableInputError(f"{path.name}: is not UTF-8 text") from error


def _values(path: Path) -> Mapping[str, Any]:
    """A file of `name: value`. Names may be nested: `order: {known: true}` is the fact order.known."""
    text = _text(path)
    try:
        found = json.loads(text) if path.suffix == ".json" else read(text).plain()
    except (ReadingError, ValueError, RecursionError) as error:
        raise UnusableInputError(f"{path.name}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UnusableInputError(f"{path.name}: must hold `name: value` for each fact, and holds {type(found).__name__}")
    return dict(_flat(found, ""))


def _flat(values: Mapping[str, Any], before: str) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _stored(decision_file: Path, pack_file: Path | None) -> tuple[str, StoredDecision]:
    try:
        stored = msgspec.json.decode(_text(decision_file))
        if not isinstance(stored, dict):
            raise UnusableInputError(f"{decision_file.name}: must be a JSON object")
        text = stored.pop("pack_text", None)
        decision = msgspec.convert(stored, StoredDecision)
    except msgspec.DecodeError as error:
        raise UnusableInputError(f"{decision_file.name}: {error}") from error
    if pack_file is not None:
        text = _text(pack_file)
    if not isinstance(text, str):
        raise UnusableInputError(f"{decision_file.name}: holds no `pack_text`; name the pack's file with --pack")
    return text, decision


def _say_errors(errors: Iterable[str], code: int = DOES_NOT_HOLD) -> NoReturn:
    for error in errors:
        click.echo(error, err=True)
    raise SystemExit(code)
