"""The file that says what pretix's items, payment providers and fees are to us: proposed by us, answered by a person, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml

from service import feed

# What a person has still to answer.
OPEN: Final = "?"

OUTSIDE: Final = "outside"

# pretix's name for what an organizer keeps of an order that was cancelled: by that name it is kept, unless somebody says otherwise.
_KEPT: Final = "cancellation"

_HEAD: Final = """\
# What pretix's items, payment providers and fees are to Makegood. Answer every "?" and run the import again.
#
# items      kind: stream, venue, merchandise or other
#            shows: the shows it admits to, as a list of their references; [] for what admits to none, such as a T-shirt
# providers  the name of a rail, or outside: the money came by another way (a transfer, cash), and people refund it
# fees       refundable or kept
"""


class MappingError(Exception):
    """The file cannot be used; the message names what to mend."""


class Unanswered(Exception):  # noqa: N818 - says what the mapping is
    """Something is not answered yet: nothing is imported."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("\n".join(missing))
        self.missing = tuple(missing)


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    kind: feed.PositionKind
    shows: tuple[str, ...]


class ItemQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """An item that the event sells, with what helps to answer."""

    id: int
    name: str
    admission: bool
    price: str


class EventQuestions(msgspec.Struct, frozen=True, kw_only=True):
    """What one event needs answers for."""

    event: str
    items: tuple[ItemQuestion, ...]
    providers: frozenset[str]
    fees: frozenset[str]


class EventMapping(msgspec.Struct, frozen=True, kw_only=True):
    """The answers for one event, whole."""

    items: Mapping[int, ItemAnswer]
    providers: Mapping[str, str]
    """a rail, or OUTSIDE"""
    fees: Mapping[str, bool]
    """by fee type: whether it is refundable"""


RailAnswer = Annotated[str, msgspec.Meta(max_length=60, pattern=r"^([a-z][a-z0-9_]*|\?)$(?!\n)")]


class _Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["stream", "venue", "merchandise", "other", "?"] = "?"
    shows: Annotated[tuple[feed.Ref, ...], msgspec.Meta(max_length=100)] | Literal["?"] = "?"


class PretixMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written. Items belong to their event, since pretix numbers them; providers and fee types mean the same in all."""

    items: dict[str, dict[int, _Item]] = {}
    providers: dict[str, RailAnswer] = {}
    fees: dict[str, Literal["refundable", "kept", "?"]] = {}

    def missing(self, questions: EventQuestions) -> Sequence[str]:
        """What a person has still to answer for this event, one line each."""
        known = self.items.get(questions.event, {})
        found: list[str] = []
        for item in questions.items:
            answer = known.get(item.id, _Item())
            found += [
                f"items: {questions.event}: {item.id} ({item.name}): {name}?" for name in ("kind", "shows") if getattr(answer, name) == OPEN
            ]
        found += [f"providers: {name}?" for name in sorted(questions.providers) if self.providers.get(name, OPEN) == OPEN]
        found += [f"fees: {name}?" for name in sorted(questions.fees) if self.fees.get(name, "kept" if name == _KEPT else OPEN) == OPEN]
        return found

    def for_event(self, questions: EventQuestions) -> EventMapping:
        """Raises Unanswered."""
        missing = self.missing(questions)
        if missing:
            raise Unanswered(missing)
        return EventMapping(
            items={
                number: ItemAnswer(kind=item.kind, shows=item.shows)
                for number, item in self.items.get(questions.event, {}).items()
                if item.kind != "?" and item.shows != "?"
            },
            providers=self.providers,
            fees={name: answer == "refundable" for name, answer in self.fees.items()} | ({} if _KEPT in self.fees else {_KEPT: False}),
        )


def load(text: str) -> PretixMapping:
    """Raises MappingError."""
    try:
        return mapping_of(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise MappingError(f"not YAML: {error}") from None


def mapping_of(document: object) -> PretixMapping:
    """The same from a platform's settings, where the numbers of items are text as everywhere in JSON. Raises MappingError."""
    try:
        return msgspec.convert(document, PretixMapping, strict=False)
    except msgspec.ValidationError as error:
        raise MappingError(str(error)) from None


def render(mapping: PretixMapping, questions: Sequence[EventQuestions]) -> str:
    """The file with every answer kept and a `?` for what is open. JSON is YAML, so names are quoted as JSON."""
    lines = [_HEAD, "items:"]
    asked = {one.event: one for one in questions}
    for event in sorted({*mapping.items, *asked}):
        lines.append(f"  {json.dumps(event)}:")
        hints = {item.id: item for item in asked[event].items} if event in asked else {}
        known = mapping.items.get(event, {})
        for number in sorted({*known, *hints}):
            lines += _item_lines(number, known.get(number, _Item()), hints.get(number))
    lines.append("providers:")
    lines += _answers(mapping.providers, {name for one in questions for name in one.providers})
    lines.append("fees:")
    lines += _answers(mapping.fees, {name for one in questions for name in one.fees})
    return "\n".join(lines) + "\n"


def _item_lines(number: int, answer: _Item, hint: ItemQuestion | None) -> Sequence[str]:
    said = []
    if hint is not None:
        admits = "admits" if hint.admission else "admits nobody"
        said = [f"    # {json.dumps(hint.name, ensure_ascii=False)}, {hint.price}, {admits} (as pretix has it)"]
    return [*said, f"    {number}: {{ kind: {json.dumps(answer.kind)}, shows: {json.dumps(answer.shows)} }}"]


def _answers(known: Mapping[str, Any], asked: set[str]) -> Sequence[str]:
    return [f"  {json.dumps(name)}: {json.dumps(known.get(name, OPEN))}" for name in sorted({*known, *asked})]
