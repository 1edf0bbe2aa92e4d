"""Compares our books with a processor's, movement by movement; pure. Says of each difference what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.model import Money
from service.ports import Movement, RefundSeen

Kind = Literal["only_theirs", "only_ours", "amount", "currency", "state", "twice"]

# What our attempts' states say of money: it went, it did not, or nobody knows.
PAID: Final = frozenset({"ACCEPTED", "SUCCEEDED"})
DEAD: Final = frozenset({"REJECTED", "FAILED", "CANCELED", "CLOSED_NOT_SENT"})


class OurMovement(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of ours, as our books have it."""

    platform: str
    order: str
    payment: str
    """the platform's own reference"""
    payment_ref: str
    """the processor's"""
    operation: UUID
    attempt: UUID
    provider_ref: str | None
    state: str
    amount: Money
    sent_at: datetime | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What two books say differently about one movement. `ours` is empty for what is theirs alone, `theirs` for what is ours alone."""

    kind: Kind
    ours: OurMovement | None = None
    theirs: Movement | None = None

    @property
    def provable(self) -> bool:
        """The processor's word settles it: it may be applied as a notification of theirs would be."""
        return self.kind in {"only_theirs", "state"}

    @property
    def is_ours(self) -> bool:
        """The movement carries ids of ours, or is an attempt of ours."""
        return self.ours is not None or (self.theirs is not None and _is_named_by_us(self.theirs.refund))

    @property
    def to_do(self) -> str:
        """One sentence."""
        if self.kind == "only_theirs":
            return _TO_DO["lost" if self.is_ours else "elsewhere"]
        if self.kind == "state":
            failed = self.theirs is not None and self.theirs.refund.state not in PAID
            return _TO_DO["failed" if failed else "moved"]
        return _TO_DO[self.kind]


_TO_DO: Final[Mapping[str, str]] = {
    "lost": "It carries our ids and is not in our books: --apply counts it; after a restored backup run `makegood money recover` first.",
    "elsewhere": "Somebody refunded it elsewhere: --apply counts it, so that no more goes back than came in.",
    "failed": "They say that it failed: --apply takes it up again; the missed notification is fetched within six hours too.",
    "moved": "They say that it was paid: --apply records it.",
    "only_ours": "We told the customer that it was sent and they have nothing: a person asks the processor; do not send it again.",
    "amount": "They moved another amount: a person compares both and settles the rest with the customer.",
    "currency": "They moved another currency: a person compares both; it is a mistake in the set-up of the rail.",
    "twice": "They paid one refund twice: a person stops this rail now (`makegood money stop --rail`) and claims the money back.",
}


def compare(ours: Sequence[OurMovement], theirs: Iterable[Movement]) -> Sequence[Difference]:
    """What differs, the gravest first. `ours`: every attempt that one of theirs may be, and those of ours that have to be among theirs.

    One of theirs is ours by the attempt's id, else by its own reference. One that is listed twice counts once.
    """
    by_attempt = {one.attempt: one for one in ours}
    by_ref = {one.provider_ref: one for one in ours if one.provider_ref}
    pairs: list[tuple[OurMovement | None, Movement]] = []
    for movement in sorted({one.refund.provider_ref: one for one in theirs}.values(), key=lambda one: one.refund.provider_ref):
        seen = movement.refund
        pairs.append(((by_attempt.get(seen.attempt_id) if seen.attempt_id else None) or by_ref.get(seen.provider_ref), movement))
    doubles = _doubles(pairs, {one.operation: one.provider_ref for one in ours if one.state in PAID and one.provider_ref})
    found = [Difference(kind="twice", ours=mine, theirs=movement) for mine, movement in doubles.values()]
    for mine, movement in pairs:
        kind = _kind(mine, movement.refund)
        if kind is not None and movement.refund.provider_ref not in doubles:
            found.append(Difference(kind=kind, ours=mine, theirs=movement))
    met = {mine.attempt for mine, _ in pairs if mine is not None}
    found += [Difference(kind="only_ours", ours=one) for one in ours if one.state in PAID and one.attempt not in met]
    return sorted(found, key=_gravity)


def _doubles(
    pairs: Sequence[tuple[OurMovement | None, Movement]], counted: Mapping[UUID, str]
) -> Mapping[str, tuple[OurMovement | None, Movement]]:
    """What was paid beside the one that counts, by the processor's reference: under our attempt, or for the same operation.

    `counted`: operations that our books have as paid, and the reference of that.
    """
    paid: dict[UUID, list[tuple[OurMovement | None, Movement]]] = defaultdict(list)
    found: dict[str, tuple[OurMovement | None, Movement]] = {}
    for mine, movement in pairs:
        seen = movement.refund
        operation = mine.operation if mine else seen.operation_id
        if seen.state not in PAID or operation is None:
            continue
        beside = mine is not None and mine.provider_ref not in {None, seen.provider_ref}
        if beside or counted.get(operation, seen.provider_ref) != seen.provider_ref:
            found[seen.provider_ref] = (mine, movement)
        else:
            paid[operation].append((mine, movement))
    for several in paid.values():
        # What counts is the one in our books; else one of an attempt that we know, else any.
        several.sort(key=lambda pair: (pair[0] is None, pair[0] is not None and pair[0].provider_ref is None))
        found |= {pair[1].refund.provider_ref: pair for pair in several[1:]}
    return found


def _kind(mine: OurMovement | None, seen: RefundSeen) -> Kind | None:
    if mine is None:
        return "only_theirs" if seen.state in PAID else None
    if mine.provider_ref not in {None, seen.provider_ref}:
        return None  # a dead one beside the one we know
    if mine.amount.currency != seen.amount.currency:
        return "currency"
    if mine.amount.minor != seen.amount.minor:
        return "amount"
    return "state" if _states_differ(mine.state, seen.state) else None


def _states_differ(mine: str, their: str) -> bool:
    """That they still have on its way what we know to have ended is no difference: it was told in the other order."""
    if their in PAID:
        return mine not in PAID or (mine == "ACCEPTED" and their == "SUCCEEDED")
    return mine not in DEAD


def _is_named_by_us(seen: RefundSeen) -> bool:
    return seen.attempt_id is not None or seen.operation_id is not None


_ORDER: Final[tuple[Kind, ...]] = ("twice", "only_ours", "currency", "amount", "state", "only_theirs")


def _gravity(one: Difference) -> tuple[int, str, str]:
    ref = one.theirs.refund.provider_ref if one.theirs else (one.ours.provider_ref or "" if one.ours else "")
    return (_ORDER.index(one.kind), one.ours.order if one.ours else "", ref)
