"""Reads our books and a processor's side by side, a day and a page at a time, and gives every difference as it is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from service.audit import PAID, Difference, OurMovement, compare
from service.model import Json
from service.ports import Declined, Movement, ReadsByReference, RefundRail, RefundSeen, Unavailable
from service.store.audit import AuditStore

# What is looked up in one statement, and kept in memory of our side.
_PAGE: Final = 500
# Ten years by the day; nobody audits more at once.
_DAYS_MAX: Final = 3660
# Of ours that are not in their list each is asked for by itself; above this the list is not theirs, or not of that time.
_ASKED_MAX: Final = 1000

# What we would have to find in a processor's books by now, and what their word may settle.
_TO_READ: Final = ("ACCEPTED", "SUCCEEDED", "UNKNOWN", "NEEDS_REVIEW", "FAILED", "CANCELED")

_T = TypeVar("_T")


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How much was compared so far."""

    theirs: int
    ours: int


class Audit:
    """One rail's audit. `report`: what the processor gives as a file, where it has no list that can be asked for."""

    def __init__(self, store: AuditStore, rail: RefundRail, *, report: Sequence[Movement] | None = None) -> None:
        self._store = store
        self._rail = rail
        self._report = report
        self._asked = 0
        self._theirs_read = 0
        self._ours_read = 0

    @property
    def counted(self) -> Counted:
        return Counted(theirs=self._theirs_read, ours=self._ours_read)

    async def differences(self, since: datetime, until: datetime) -> AsyncIterator[Difference]:
        """Every difference of that time. Raises Unavailable, and Declined("unsupported") for a rail with neither list, report nor reads."""
        for start, end in days(since, until):
            try:
                async for one in self._of_day(start, end):
                    yield one
            except Declined as unsupported:
                if unsupported.code != "unsupported" or not isinstance(self._rail, ReadsByReference):
                    raise
                async for one in self._by_reference(self._rail, start, end):
                    yield one

    async def _of_day(self, since: datetime, until: datetime) -> AsyncIterator[Difference]:
        """Theirs page by page, then what of ours was not among them."""
        met: set[str] = set()
        async for page in pages(self._listed(since, until), _PAGE):
            self._theirs_read += len(page)
            met.update(one.refund.provider_ref for one in page)
            for one in await self._of_page(page):
                yield one
        async for ours in self._sent(since, until, tuple(PAID)):
            for mine in ours:
                if mine.provider_ref not in met and (difference := await self._missing(mine)) is not None:
                    yield difference

    async def _of_page(self, page: Sequence[Movement]) -> Sequence[Difference]:
        """What of ours is not on this page may be on another; what was counted as made by others is no difference any more."""
        found = [one for one in compare(await self._ours(page), page) if one.kind != "only_ours"]
        beside = [one.theirs.refund.provider_ref for one in found if one.theirs and one.kind in {"only_theirs", "twice"}]
        counted = await self._store.elsewhere(self._rail.name, beside) if beside else frozenset[str]()
        return [one for one in found if one.theirs is None or one.theirs.refund.provider_ref not in counted]

    async def _listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        if self._report is None:
            async for one in self._rail.listed(since, until):
                yield one
        else:
            for one in self._report:
                if one.refund.at is not None and since <= one.refund.at < until:
                    yield one

    async def _ours(self, theirs: Sequence[Movement]) -> Sequence[OurMovement]:
        attempts = [one.refund.attempt_id for one in theirs if one.refund.attempt_id is not None]
        operations = [one.refund.operation_id for one in theirs if one.refund.operation_id is not None]
        return await self._store.named(self._rail.name, attempts, operations, [one.refund.provider_ref for one in theirs])

    async def _sent(self, since: datetime, until: datetime, states: Sequence[str]) -> AsyncIterator[Sequence[OurMovement]]:
        after: OurMovement | None = None
        while True:
            page = await self._store.sent(self._rail.name, since, until, after=after, states=states, most=_PAGE)
            if not page:
                return
            self._ours_read += len(page)
            yield page
            after = page[-1]

    async def _missing(self, ours: OurMovement) -> Difference | None:
        """Of ours that their day does not have: it may have been made on another day, or be on another day of the report."""
        if self._report is not None:
            seen = next((one for one in self._report if one.refund.provider_ref == ours.provider_ref), None)
        else:
            seen = await self._asked_for(ours)
        found = compare([ours], [seen] if seen else [])
        return found[0] if found else None

    async def _asked_for(self, ours: OurMovement) -> Movement | None:
        self._asked += 1
        if self._asked > _ASKED_MAX:
            return None
        try:
            seen = await self._rail.find(await self._store.request(ours.attempt))
        except (Declined, msgspec.ValidationError):
            return None
        return None if seen is None else Movement(payment_ref=ours.payment_ref, refund=seen)

    async def _by_reference(self, rail: ReadsByReference, since: datetime, until: datetime) -> AsyncIterator[Difference]:
        """Each of ours that has a reference of theirs. What they paid beside these nobody can list."""
        async for page in self._sent(since, until, _TO_READ):
            for ours in page:
                seen = await _read(rail, ours.provider_ref)
                self._theirs_read += seen is not None
                for one in compare([ours], [] if seen is None else [Movement(payment_ref=ours.payment_ref, refund=seen)]):
                    yield one


async def _read(rail: ReadsByReference, provider_ref: str | None) -> RefundSeen | None:
    if provider_ref is None:
        return None
    try:
        return await rail.read_batch(provider_ref)
    except Declined as no:
        if no.code == "not_found":
            return None
        raise Unavailable(no.detail) from no


def days(since: datetime, until: datetime) -> Sequence[tuple[datetime, datetime]]:
    """The time cut at midnights (UTC), so that no list is longer than a day. Raises ValueError for more than ten years."""
    found = []
    while since < until:
        midnight = datetime.combine(since.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        found.append((since, min(midnight, until)))
        since = midnight
        if len(found) > _DAYS_MAX:
            raise ValueError("more than ten years")
    return found


async def pages(items: AsyncIterator[_T], size: int) -> AsyncIterator[list[_T]]:
    page: list[_T] = []
    async for one in items:
        page.append(one)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def document(rail: str, movement: Movement, *, source: str, payment_ref: str = "") -> Json:
    """A movement as refund_news and refund_recovered take it."""
    seen = movement.refund
    return {
        "rail": rail,
        "payment_ref": payment_ref or movement.payment_ref,
        "provider_ref": seen.provider_ref,
        "attempt": seen.attempt_id,
        "operation": seen.operation_id,
        "state": seen.state,
        "failure": seen.failure,
        "waiting": seen.waiting,
        "amount": seen.amount.minor,
        "currency": seen.amount.currency,
        "at": seen.at,
        "source": source,
    }


async def put_right(store: AuditStore, rail: str, movement: Movement, *, source: str) -> str:
    """Puts one movement into our books, under either name of its payment; the word of refund_recovered."""
    status = await store.put_right(document(rail, movement, source=source))
    if status == "unknown_payment" and movement.also_known_as:
        status = await store.put_right(document(rail, movement, source=source, payment_ref=movement.also_known_as))
    return status
