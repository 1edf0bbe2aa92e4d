"""Rolls back sales that failed half-way, for shows that asked for it: lets go of what a card only holds, and asks for the refund of what
was charged without a ticket. Nothing is undone unless the processor and our own rows still agree, read just before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable
from uuid import UUID, uuid5

import structlog

from policies import Rails
from service.callers import Caller
from service.contacts import Contact, body_hash
from service.model import Channel, Money, Problem
from service.ports import Authorisations, Declined, OutcomeUnknown, PaymentSeen, RefundRail, Unavailable
from service.rails import Gate, Outcome
from service.refunds import CALL_SECONDS_MAX
from service.resolution import Opened
from service.store.rollback import FailedSale, RollbackStore

log: Final = structlog.get_logger()

# A pass runs each minute and is over before the next: a hundred reads, one after the other, at a few a second.
MOST: Final = 100
# A read and a cancellation of ten seconds each, and the commits around them, many times over.
LEASE_SECONDS: Final = 120.0
# What does not agree, or cannot be read, is looked at after 2, 4, 8 … 60 minutes, for about seven hours; then people look.
AGAIN_SECONDS_FIRST: Final = 120.0
AGAIN_SECONDS_LAST: Final = 3600.0
LOOKS_MAX: Final = 12
# Most payments that stay pending are checkouts that somebody left: after two hours without a hold there is nothing to let go of.
LOOKS_WITHOUT_HOLD_MAX: Final = 6
# Names the keys of our requests, which are the same each time (RFC 9562, section 6.5).
_KEYS: Final = UUID("6f0c3d0e-54a7-5f0b-9d5c-2f6f2d8f3b11")
# Nobody's key: what is asked for here is asked for by the service itself, on the platform's behalf.
_OURSELVES: Final = UUID(int=0)


@runtime_checkable
class _LetsGo(Authorisations, Protocol):
    """A rail that can let go of what a card holds."""


class OpensCases(Protocol):
    async def open_case(self, caller: Caller, contact: Contact, *, begin: bool, holds: tuple[str, ...] = ()) -> Opened:
        """Stores a contact and decides it under all guards; `holds`: why a person confirms first, whatever the rules say."""


class Rollback:
    """One a process; its passes may run in several at once."""

    def __init__(self, store: RollbackStore, *, rails: Mapping[str, RefundRail], gate: Gate, backups: Rails, cases: OpensCases) -> None:
        self._store = store
        self._rails = rails
        self._gate = gate
        self._policy = backups
        self._after_seconds = backups.rollback.after.total_seconds()
        self._cases = cases

    async def run(self) -> int:
        """One pass: puts down what is new and looks at what is due, at most a hundred each; how many it looked at."""
        await self._store.find(MOST, self._after_seconds)
        due = await self._store.claim(MOST, LEASE_SECONDS)
        for sale in due:
            try:
                await self._look(sale)
            except Exception:  # a mistake about one sale must not keep the others: it is looked at again, and goes to people in the end
                log.exception("sale_not_looked_at", payment_id=str(sale.payment))
        return len(due)

    async def _look(self, sale: FailedSale) -> None:
        rail = self._rails.get(sale.rail)
        if sale.looks > LOOKS_MAX:
            await self._store.end(sale, "people")
            return
        if rail is None:
            await self._confirmed_by_nobody(sale)
            return
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                seen = await rail.payment(sale.provider_ref, sale.currency)
        except (Unavailable, OutcomeUnknown, TimeoutError):
            await self._later(sale)
        except Declined:  # nobody can be asked, or nobody there knows the payment
            await self._confirmed_by_nobody(sale)
        else:
            await (self._refund(sale, seen) if sale.kind == "refund" else self._release(sale, rail, seen))

    async def _confirmed_by_nobody(self, sale: FailedSale) -> None:
        """A refund is then confirmed by a person. A hold is left to run out: most pending payments are checkouts that somebody left."""
        if sale.kind == "refund":
            await self._ask(sale, captured=sale.captured, alone=False)
        else:
            await self._store.end(sale, "unread")

    async def _later(self, sale: FailedSale) -> None:
        await self._store.later(sale, min(AGAIN_SECONDS_LAST, AGAIN_SECONDS_FIRST * 2.0 ** (sale.looks - 1)))

    async def _refund(self, sale: FailedSale, seen: PaymentSeen) -> None:
        if seen.disputed or seen.refunded_minor or seen.captured != Money(minor=sale.captured, currency=sale.currency):
            await self._later(sale)  # somebody else is at it, and our rows will hear of it; or the two never agree
            return
        await self._ask(sale, captured=seen.captured.minor, alone=True)

    async def _ask(self, sale: FailedSale, *, captured: int, alone: bool) -> None:
        """Opens the case that decides, with all guards. Safe to repeat: the place is kept, and the contact's key is the payment's."""
        place = await self._store.place(
            sale,
            after_seconds=self._after_seconds,
            captured=captured,
            alone=alone,
            confirm_first=self._policy.rollback.confirm_first,
            hour_most=self._policy.rollback_max(sale.currency),
        )
        if not place.go:
            await self._store.end(sale, "mended")
            return
        try:
            opened = await self._cases.open_case(_ourselves(sale), _contact(sale), begin=False, holds=("wave",) if place.held else ())
        except Unavailable:
            log.info("sale_waits_for_platform", payment_id=str(sale.payment))
            return
        await self._store.end(sale, "refund_asked", opened.case)
        log.info("sale_rolled_back", payment_id=str(sale.payment), case_id=str(opened.case), held=place.held)

    async def _release(self, sale: FailedSale, rail: RefundRail, seen: PaymentSeen) -> None:
        place = await self._store.place(
            sale, after_seconds=self._after_seconds, captured=seen.captured.minor, alone=True, confirm_first=0, hour_most=0
        )
        if not place.go:
            await self._store.end(sale, "mended")
        elif place.paused:
            await self._later(sale)
        elif seen.authorised_minor == 0:
            await (self._later(sale) if sale.looks < LOOKS_WITHOUT_HOLD_MAX else self._store.end(sale, "mended"))
        elif not isinstance(rail, _LetsGo):
            await self._store.end(sale, "people")
        else:
            await self._cancel(sale, rail)

    async def _cancel(self, sale: FailedSale, rail: Authorisations) -> None:
        """Once a look, always under the same key; what is not known is read again before the next."""
        entry = await self._gate.enter(sale.rail, interactive=False)
        if entry.kind != "go":
            await self._later(sale)
            return
        outcome: Outcome = "failed"
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                await rail.cancel(sale.provider_ref, key=uuid5(_KEYS, f"cancel {sale.payment}").hex)
            outcome = "reached"
            await self._store.end(sale, "cancelled")
            log.info("hold_released", payment_id=str(sale.payment))
        except Unavailable as failure:
            outcome = "refused_key" if failure.configuration else "failed" if failure.never_sent else "limited"
            await self._later(sale)
        except (OutcomeUnknown, TimeoutError):
            await self._later(sale)
        except Declined as no:
            outcome = "reached"
            log.warning("hold_not_released", payment_id=str(sale.payment), code=no.code)
            await self._store.end(sale, "people")
        finally:
            await self._gate.report(sale.rail, outcome, probe=entry.probe)


def _ourselves(sale: FailedSale) -> Caller:
    return Caller(kind="platform", platform_id=sale.platform, platform=sale.slug, id=_OURSELVES, name="makegood")


def _contact(sale: FailedSale) -> Contact:
    key = f"rollback:{sale.payment.hex}"
    return Contact(
        problem=Problem.CHARGED_NO_PASS,
        show=sale.show,
        order=sale.order,
        passes=(),
        incident=None,
        message=None,
        channel=Channel.API,
        locale=sale.locale,
        checked=None,
        key=key,
        body_hash=body_hash(key.encode()),
    )
