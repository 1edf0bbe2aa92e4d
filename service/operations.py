"""advance(): carries one operation one step further, from any state, however often and by whomever it is called.

A money POST is sent once per advance(), after the row that says so is committed (design, section 4); how is in `refunds.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from service.model import new_id
from service.outcomes import Begun, Step, declined_step, unavailable_step, unknown_step
from service.plan import new_barcode
from service.ports import Declined, Mail, Mailer, OutcomeUnknown, PassIssuer, Unavailable
from service.refunds import CALL_SECONDS_MAX, GONE_SECONDS, Brakes, Refunds
from service.store.flow import FlowStore

log: Final = structlog.get_logger()

LEASE_SECONDS: Final = 15.0
# What the second commit may take before the lease ends.
COMMIT_SECONDS: Final = 1.0
# Mails and issuers keep no key for ever either: after a day people look.
OTHER_KEY_SECONDS: Final = 86_400
# What carries operations besides the rails of money.
_OTHER_RAILS: Final = frozenset({"mail", "issuer"})
# Work below this priority is what somebody waits for.
BULK: Final = 2
# A platform's own system that does not answer is asked again this soon, before a refund that has waited leaves.
ORDER_SECONDS: Final = 30.0


class Letters(Protocol):
    """Writes the mail that an operation on a pass sends."""

    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        """The mail, ready to send; None when there is no address to send it to."""


class IssuersOfPlatforms(Protocol):
    async def issuer(self, platform_id: UUID, name: str) -> PassIssuer | None:
        """The platform's own system where it makes the passes."""


class ReadsOrder(Protocol):
    async def read(self, platform: UUID, ref: str) -> str:
        """Reads an order at its platform and stores it: `read`, `none`, `not_understood` or `unavailable`."""


class Operations:
    """Advances operations over the rails it was given. One instance a process."""

    def __init__(
        self,
        store: FlowStore,
        *,
        refunds: Refunds,
        mailer: Mailer,
        issuers: Mapping[str, PassIssuer],
        own: IssuersOfPlatforms | None = None,
        orders: ReadsOrder | None = None,
        letters: Letters,
        brakes: Brakes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._refunds = refunds
        self._mailer = mailer
        self._issuers = issuers
        self._own = own
        self._orders = orders
        self._letters = letters
        self._brakes = brakes
        self._monotonic = monotonic

    def key_seconds(self) -> Mapping[str, float]:
        """How long each rail's keys hold after the first sending."""
        return {**self._refunds.key_seconds(), "*": float(OTHER_KEY_SECONDS)}

    def clock(self) -> float:
        """Seconds, going on evenly: take it before a lease is taken, and hand it to carry_on."""
        return self._monotonic()

    async def take(self, platform: UUID, operation: UUID) -> None:
        """Leases an operation that nobody is at, and advances it."""
        since = self.clock()
        epoch = await self._store.lease_operation(platform, operation, LEASE_SECONDS)
        if epoch is not None:
            await self.advance(platform, operation, epoch, since=since)

    async def advance(
        self,
        platform: UUID,
        operation: UUID,
        epoch: int,
        *,
        since: float,
        rail: str | None = None,
        state: str = "READY",
        priority: int = 0,
    ) -> None:
        """Begins a leased operation and carries it on. `since`: the clock before the lease was taken."""
        if state in {"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"}:
            await self._store.look_after(platform, operation)
            return
        if rail == "here":
            await self._store.do_here(platform, operation, epoch, new_barcode(), new_id())
            return
        begun = await self._begin(platform, operation, epoch)
        if begun.what == "order":
            if not await self._read_order(platform, operation, epoch, begun.order):
                return
            begun = await self._begin(platform, operation, epoch)
        if begun.status == "read_first":
            if not await self._refunds.proves(platform, operation, epoch, begun):
                return
            begun = await self._begin(platform, operation, epoch)
        await self._carry_on(platform, operation, epoch, begun, since=since, interactive=priority < BULK)

    async def _read_order(self, platform: UUID, operation: UUID, epoch: int, ref: str) -> bool:
        """Reads an order again whose refund has waited. False: not now, or people look at it first."""
        read = "unavailable" if self._orders is None else await self._orders.read(platform, ref)
        if read == "unavailable":
            await self._store.order_unread(platform, operation, epoch, seconds=ORDER_SECONDS)
        elif read != "read":
            await self._store.order_unclear(platform, operation, epoch, "order_gone" if read == "none" else "order_not_understood")
        return read == "read"

    async def _begin(self, platform: UUID, operation: UUID, epoch: int) -> Begun:
        found = await self._store.begin(platform, operation, epoch, lease_seconds=LEASE_SECONDS, key_seconds=self.key_seconds())
        return msgspec.convert(found, Begun)

    async def carry_on(self, platform: UUID, operation: UUID, epoch: int, begun: Mapping[str, Any], *, since: float) -> UUID | None:
        """Sends what a decision began, for a customer who waits. Gives back the case when its customer has to be asked something now."""
        return await self._carry_on(platform, operation, epoch, msgspec.convert(begun, Begun), since=since, interactive=True)

    async def _carry_on(self, platform: UUID, operation: UUID, epoch: int, begun: Begun, *, since: float, interactive: bool) -> UUID | None:
        """Sends what was begun, stores what came of it, and goes on with what follows from that; gives back what carry_on() does."""
        if begun.status == "expired":
            await self._store.look_after(platform, operation)
        if begun.status not in {"send", "follow_up"} or begun.attempt is None:
            return None
        is_money = self._refunds.carries(begun.rail)
        if begun.status == "follow_up" and not is_money and begun.rail not in _OTHER_RAILS:
            await self._store.calls_people(platform, operation, begun.attempt, "rail_gone")
            await self._store.waits(platform, operation, epoch, begun.attempt, 0, seconds=GONE_SECONDS)
            return None
        if is_money:
            ends_at = since + LEASE_SECONDS - COMMIT_SECONDS
            step = await self._refunds.advance(platform, operation, epoch, begun, ends_at, interactive=interactive)
        else:
            step = await self._other(platform, operation, begun)
        if step is None:
            return None
        stored = await self._store.record(
            {
                "platform": platform,
                "operation": operation,
                "epoch": epoch,
                "attempt": begun.attempt,
                "try": begun.try_,
                "resend": new_id(),
                **(self._refunds.follow_up(begun.rail) if is_money else {}),
                **{name: value for name, value in msgspec.structs.asdict(step).items() if value is not None},
            }
        )
        if step.failure == "insufficient_funds":
            await self._brakes.alert(platform, "balance_low", begun.rail)
        if step.result != "ANSWERED" or step.state not in {"DONE", "SENT"}:
            log.info(
                "operation_did_not_end",
                result=step.result,
                operation_id=str(operation),
                rail=begun.rail,
                state=stored.get("state", step.state),
                detail=step.detail,
            )
        for follow in stored.get("follow") or ():
            await self.take(platform, UUID(follow))
        return UUID(stored["case"]) if stored.get("state") == "CHOICE_NEEDED" else None

    async def _other(self, platform: UUID, operation: UUID, begun: Begun) -> Step | None:
        if begun.status == "follow_up":
            return None
        if begun.rail == "mail":
            return await self._mail(platform, operation, begun)
        if begun.rail == "issuer":
            return await self._issue(platform, begun)
        return Step(result="NOT_SENT", state="NEEDS_REVIEW", detail="this rail is not configured here")

    # -------------------------------------------------------------------------------------------------------------- passes

    async def _mail(self, platform: UUID, operation: UUID, begun: Begun) -> Step:
        mail = await self._letters.pass_letter(platform, operation)
        if mail is None:
            return Step(result="NOT_SENT", state="FAILED", attempt_state="REJECTED", failure="no_address")
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                reference = await self._mailer.send(mail)
        except Declined as failure:
            return Step(result="ANSWERED", state="FAILED", attempt_state="REJECTED", failure=failure.code, detail=failure.detail)
        except Unavailable as failure:
            return unavailable_step(failure, begun)
        except (OutcomeUnknown, TimeoutError) as failure:
            # The same mail twice, under one Message-ID, harms nobody.
            return unknown_step(begun, type(failure).__name__)
        return Step(result="ANSWERED", state="DONE", attempt_state="SUCCEEDED", provider_ref=reference)

    async def _issue(self, platform: UUID, begun: Begun) -> Step:
        name = str(begun.request.get("issuer", ""))
        issuer = self._issuers.get(name)
        if issuer is None and self._own is not None:
            issuer = await self._own.issuer(platform, name)
        if issuer is None:
            return Step(result="NOT_SENT", state="NEEDS_REVIEW", detail="the platform has named no issuer of passes")
        order_ref, position_ref = str(begun.request["order_ref"]), str(begun.request["position_ref"])
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                if begun.request.get("action") == "void_pass":
                    await issuer.void(order_ref=order_ref, position_ref=position_ref, key=begun.key)
                    return Step(result="ANSWERED", state="DONE", attempt_state="SUCCEEDED")
                made = await issuer.replace(order_ref=order_ref, position_ref=position_ref, key=begun.key)
        except Declined as failure:
            return declined_step(failure)
        except Unavailable as failure:
            return unavailable_step(failure, begun)
        except (OutcomeUnknown, TimeoutError) as failure:
            return unknown_step(begun, type(failure).__name__)
        return Step(result="ANSWERED", state="DONE", attempt_state="SUCCEEDED", provider_ref=made.issuer_ref or None, barcode=made.barcode)
