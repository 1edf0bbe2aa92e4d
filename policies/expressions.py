"""Compile one CEL expression, and refuse what a rule must not contain."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from cel_expr_python import cel  # type: ignore[import-untyped] # it ships no py.typed

# Longer than anybody reads with care in one go; the longest expression here is a third of this.
EXPRESSION_CHARACTERS_MAX = 1_000
# A list has at most 100 items (facts.py): one walk is 100 steps, a walk within a walk 10,000.
WALKS_NESTED_MAX = 1

_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")

# cel.expr.CheckedExpr, of https://github.com/google/cel-spec/blob/master/proto/cel/expr/checked.proto and syntax.proto
_ANY_VALUE, _REFERENCES, _TYPES, _EXPR = 2, 2, 3, 4
_CALL, _STRUCT, _COMPREHENSION = 6, 8, 9
_TYPE_DYN, _TYPE_WELL_KNOWN, _TYPE_PARAM, _WELL_KNOWN_ANY = 1, 5, 10, 1
# Where types nest: list, map, type of type.
_TYPE_INSIDE = (6, 7, 11)
# Which fields of each kind of expression hold expressions: select, call, list, struct (entries), comprehension.
_INSIDE = {5: (1,), _CALL: (1, 3), 7: (1,), _STRUCT: (2,), _COMPREHENSION: (2, 4, 5, 6, 7)}
_ENTRY_INSIDE = (3, 4)


class ExpressionError(ValueError):
    """The expression does not compile or is not allowed; `errors` lists why, with line:column where CEL gives one."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Expression(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled expression, the declared names it mentions (sorted), and whether it divides."""

    text: str
    names: tuple[str, ...]
    divides: bool
    program: Any

    def value(self, activation: Any) -> Any:
        """The result; where CEL has none (a missing fact, an overflow), a text, which no caller takes for a result."""
        return self.program.eval(activation).value()


class Environment:
    """The names an expression may use, each with its type."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._names = frozenset(variables)
        self._env = cel.NewEnv(variables=dict(variables))

    def activation(self, values: dict[str, Any]) -> Any:
        """The values of one decision; a name left out is unknown, which CEL never takes for false."""
        return self._env.Activation(values)

    def condition(self, text: str) -> Expression:
        """Compiles an expression that must be true or false."""
        return self._compile(text, "BOOL", "true or false")

    def amount(self, text: str) -> Expression:
        """Compiles an expression that must be a whole number, as money is."""
        return self._compile(text, "INT", "a whole number (int)")

    def _compile(self, text: str, wanted: str, wanted_words: str) -> Expression:
        if len(text) > EXPRESSION_CHARACTERS_MAX:
            raise ExpressionError(
                f"the expression has {len(text)} characters, at most {EXPRESSION_CHARACTERS_MAX} are allowed: "
                "a rule nobody can read in one go should be two rules"
            )
        try:
            program = self._env.compile(text)
        except RuntimeError as error:
            places = [f"{line}:{column}: {what}" for line, column, what in _PLACE.findall(str(error))]
            raise ExpressionError(*(places or [str(error)])) from error
        checked = _field(program.serialize(), _ANY_VALUE)
        errors = list(_refused(checked))
        if program.return_type().name() != wanted:
            errors.append(f"the expression gives {program.return_type().name()}, it must give {wanted_words}")
        if errors:
            raise ExpressionError(*errors)
        functions = set(_functions(_field(checked, _EXPR)))
        names = tuple(sorted(self._names & set(_references(checked))))
        return Expression(text=text, names=names, divides="_/_" in functions, program=program)


def _refused(checked: bytes) -> Iterator[str]:
    functions = set(_functions(_field(checked, _EXPR)))
    if "dyn" in functions:
        yield "dyn() is not allowed: it switches the type checks off"
    elif any(_is_dynamic(_field(entry, 2)) for number, entry in _fields(checked) if number == _TYPES):
        yield "a value in it has no fixed type (a list of mixed or no items, a map): give every item the same type"
    if _walks(_field(checked, _EXPR)) > WALKS_NESTED_MAX:
        yield "a list is walked inside the walk of another list: use `in`, or compute the fact outside"


def _is_dynamic(declared: bytes) -> bool:
    for number, value in _fields(declared):
        if number in (_TYPE_DYN, _TYPE_PARAM) or (number == _TYPE_WELL_KNOWN and value == _WELL_KNOWN_ANY):
            return True
        if number in _TYPE_INSIDE and any(_is_dynamic(inner) for _, inner in _fields(value) if isinstance(inner, bytes)):
            return True
    return False


def _references(checked: bytes) -> Iterator[str]:
    for number, entry in _fields(checked):
        if number == _REFERENCES:
            yield _field(_field(entry, 2), 1).decode()


def _functions(expr: bytes) -> Iterator[str]:
    for number, inner in _fields(expr):
        if number == _CALL:
            yield _field(inner, 2).decode()
    for child in _children(expr):
        yield from _functions(child)


def _walks(expr: bytes) -> int:
    here = any(number == _COMPREHENSION for number, _ in _fields(expr))
    return int(here) + max((_walks(child) for child in _children(expr)), default=0)


def _children(expr: bytes) -> Iterator[bytes]:
    for number, inner in _fields(expr):
        for part, child in _fields(inner) if number in _INSIDE else ():
            if part not in _INSIDE[number]:
                continue
            if number == _STRUCT:
                yield from (leaf for name, leaf in _fields(child) if name in _ENTRY_INSIDE)
            else:
                yield child


def _field(message: bytes, wanted: int) -> bytes:
    return next((value for number, value in _fields(message) if number == wanted and isinstance(value, bytes)), b"")


def _fields(message: Any) -> Iterator[tuple[int, Any]]:
    """The fields of one protobuf message: numbers as int, everything else as bytes (protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
                yield tag >> 3, value
            case 2:
                size, at = _varint(message, at)
                yield tag >> 3, message[at : at + size]
                at += size
            case 1:
                yield tag >> 3, message[at : at + 8]
                at += 8
            case kind:
                raise ExpressionError(f"the compiled expression cannot be read (wire type {kind})")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = message[at]
        at += 1
        result |= (byte & 127) << shift
        # The top bit says that another byte follows.
        if byte < 128:
            return result, at
        shift += 7
