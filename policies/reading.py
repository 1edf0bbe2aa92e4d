"""Read the small, strict part of YAML that packs, guards and facts files use, keeping the line of every value."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import yaml

# The largest pack here is a quarter of this; a mistake (a log file, a data set) is refused before it is parsed.
TEXT_CHARACTERS_MAX = 200_000
# Packs nest seven deep; more is a mistake, and the parser below us recurses.
DEPTH_MAX = 20

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}

# The C parser where it was built in, its twin in Python otherwise: both give the same nodes.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ReadingError(ValueError):
    """The text cannot be read; `errors` lists everything wrong with it, each with its line."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a file: a scalar, a list of entries or a mapping of entries, and the line it starts on."""

    value: Any
    line: int

    def plain(self) -> Any:
        """The value without lines, as Python would have written it."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value


def canonical(text: str) -> str:
    """The text as it is stored and hashed: no byte order mark, Unix line ends, nothing after the last word of a line."""
    lines = [line.rstrip() for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip("\n") + "\n"


def read(text: str) -> Entry:
    """Returns the one document in `text`.

    Only the words true, false and null are special (`no` and `on` stay words), a key stands once, and there are no
    anchors, aliases or tags: what is read is what is written. Raises ReadingError with all mistakes found.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ReadingError((f"the file has {len(text)} characters, at most {TEXT_CHARACTERS_MAX} are read",))
    try:
        # First the flat stream of events: what it refuses cannot make the next step recurse or multiply.
        refused = tuple(_refused(yaml.parse(text, Loader=_PARSER)))
        if refused:
            raise ReadingError(refused)
        root = yaml.compose(text, Loader=_PARSER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ReadingError((f"{where}not YAML: {error.problem or error.context}",)) from error
    except yaml.YAMLError as error:
        raise ReadingError((f"not YAML: {error}",)) from error
    if root is None:
        raise ReadingError(("the file is empty",))
    errors: list[str] = []
    entry = _entry(root, errors)
    if errors:
        raise ReadingError(tuple(errors))
    return entry


def _refused(events: Iterable[yaml.Event]) -> Iterator[str]:
    depth = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            yield f"line {line}: an alias (*{event.anchor}) is not allowed: write the value out"
        tag = getattr(event, "tag", None)
        if tag:
            yield f"line {line}: a tag ({tag}) is not allowed"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            yield f"line {line}: nested more than {DEPTH_MAX} deep"
            return


def _entry(node: yaml.Node, errors: list[str]) -> Entry:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return Entry(value=dict(_pairs(node, errors)), line=line)
    if isinstance(node, yaml.SequenceNode):
        return Entry(value=[_entry(child, errors) for child in node.value], line=line)
    return Entry(value=_scalar(node), line=line)


def _pairs(node: yaml.MappingNode, errors: list[str]) -> Iterator[tuple[str, Entry]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            errors.append(f"line {line}: a key must be a word")
            continue
        if key.value in seen:
            errors.append(f"line {line}: {key.value!r} stands twice")
        seen.add(key.value)
        yield key.value, _entry(value, errors)


def _scalar(node: yaml.Node) -> str | int | float | bool | None:
    text = str(node.value)
    # A quoted or block scalar is always text.
    if getattr(node, "style", None):
        return text
    if text in _WORDS:
        return _WORDS[text]
    # Longer than any 64-bit number: kept as text, so that a row of digits cannot cost time.
    if len(text) <= 40:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text
