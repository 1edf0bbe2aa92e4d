"""The types of facts, and the check every value passes before a rule may look at it."""

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cel_expr_python import cel  # type: ignore[import-untyped] # it ships no py.typed

# A fact is a kind, a status or a key, never a document; the longest here has 60 characters.
TEXT_CHARACTERS_MAX = 2_000
# An order of 100 positions is the largest a shop sells at once; a rule walks a list in full.
LIST_ITEMS_MAX = 100
# CEL's integers.
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")


class FactError(ValueError):
    """A fact (or a parameter) is not declared or has the wrong type; `fact` names it."""

    def __init__(self, fact: str, problem: str) -> None:
        super().__init__(f"{fact}: {problem}")
        self.fact = fact


class FactType(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type: its name, CEL's type, and the check that returns the value CEL gets or raises ValueError."""

    name: str
    cel: Any
    check: Callable[[Any], Any]


def parse_duration(text: str) -> timedelta:
    """`90m`, `12h`, `2d`, `1h30m`, `45s` or ISO 8601 (`PT12H`). Raises ValueError on anything else."""
    match = _DURATION.fullmatch(text)
    if text and match:
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        return msgspec.convert(text, timedelta)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a duration; write for example 90m, 12h or 2d") from error


def fact_type(name: str) -> FactType:
    """The type a pack declares by this name; `list` is a list of strings. Raises ValueError for an unknown name."""
    if name in _SCALARS:
        return _SCALARS[name]
    if name == "list":
        name = "list<string>"
    item = _SCALARS.get(name.removeprefix("list<").removesuffix(">"))
    if item is None or name != f"list<{item.name}>":
        raise ValueError(f"{name!r} is not a type; use {', '.join(_SCALARS)}, list or list<...> of one of them")
    return FactType(name=name, cel=cel.Type.List(item.cel), check=_list_of(item))


def type_of_default(value: Any) -> FactType:
    """The type a parameter has by its default. Raises ValueError where a default tells no type."""
    if isinstance(value, bool):
        return fact_type("bool")
    for kind, name in ((int, "int"), (float, "double"), (str, "string")):
        if isinstance(value, kind):
            return fact_type(name)
    if isinstance(value, list) and value and not isinstance(value[0], list):
        return fact_type(f"list<{type_of_default(value[0]).name}>")
    raise ValueError("a parameter's default must be text, a number, true, false or a list with at least one of them")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _mismatch("string", value)
    if len(value) > TEXT_CHARACTERS_MAX:
        raise ValueError(f"has {len(value)} characters, at most {TEXT_CHARACTERS_MAX} are allowed")
    # Half of a surrogate pair cannot be handed to CEL.
    if not value.isascii():
        value.encode()
    return value


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch("int", value)
    if not INT_MIN <= value <= INT_MAX:
        raise ValueError("does not fit into 64 bits")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _mismatch("bool", value)
    return value


def _double(value: Any) -> float:
    # JSON writers drop the point of 1.0, so a whole number is taken as well; CEL still gets a double.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch("double", value)
    if isinstance(value, int) and abs(value) > 2**53:
        raise ValueError("is too large for a double to hold exactly")
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return float(value)


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise _mismatch("timestamp", value) from None
    if not isinstance(value, datetime):
        raise _mismatch("timestamp", value)
    if value.utcoffset() is None:
        raise ValueError("has no time zone; write for example 2026-11-03T20:00:00+01:00")
    return value


def _duration(value: Any) -> timedelta:
    if isinstance(value, str):
        return parse_duration(value)
    if not isinstance(value, timedelta):
        raise _mismatch("duration", value)
    return value


def _list_of(item: FactType) -> Callable[[Any], list[Any]]:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _mismatch(f"list<{item.name}>", value)
        if len(value) > LIST_ITEMS_MAX:
            raise ValueError(f"has {len(value)} items, at most {LIST_ITEMS_MAX} are allowed")
        return [item.check(part) for part in value]

    return check


def _mismatch(wanted: str, value: Any) -> ValueError:
    return ValueError(f"must be {wanted}, and is {type(value).__name__}")


_SCALARS = {
    "string": FactType(name="string", cel=cel.Type.STRING, check=_string),
    "int": FactType(name="int", cel=cel.Type.INT, check=_int),
    "bool": FactType(name="bool", cel=cel.Type.BOOL, check=_bool),
    "double": FactType(name="double", cel=cel.Type.DOUBLE, check=_double),
    "timestamp": FactType(name="timestamp", cel=cel.Type.TIMESTAMP, check=_timestamp),
    "duration": FactType(name="duration", cel=cel.Type.DURATION, check=_duration),
}
