"""Refunds over the rails: one POST each under its key, followed up until it has an end; another rail only with proof that the first never
pays.

The law (design, section 4): unknown means the same rail and the same key again. What a processor says later is read afresh and applied
once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog

from service.outcomes import (
    ACCEPTED_LOOK_SECONDS,
    RETRY_SECONDS_FIRST,
    Begun,
    Step,
    declined_step,
    refund_step,
    review_step,
    unavailable_step,
    unknown_step,
)
from service.ports import Declined, OutcomeUnknown, RefundNews, RefundRail, RefundRequest, RefundSeen, Unavailable
from service.rails import Entry, Outcome
from service.store.flow import AttemptToRead, FlowStore

log: Final = structlog.get_logger()

# A call that has not answered by then may still have happened: UNKNOWN. The lease outlives it by what two commits take at the worst.
CALL_SECONDS_MAX: Final = 10.0
# What is left of a lease after a call that took all its time, less the commit.
AFTERWARDS_SECONDS: Final = 3.0
# A proof that cannot be had now is asked for again then; a customer waits, and a processor that is away is away for minutes.
PROOF_SECONDS: Final = 30.0
# A rail that the installation no longer has: people were told, and it may be put back.
GONE_SECONDS: Final = 3600.0
# A settled refund is read again daily: a bank may send it back late.
SETTLED_LOOK_SECONDS: Final = 86_400.0
# What a slow pass reads: one each minute reads a night of 100,000 refunds within six hours, and stays far below what processors allow.
READ_AGAIN_MOST: Final = 300
READ_AGAIN_AT_ONCE: Final = 8


class Brakes(Protocol):
    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Nothing new goes out on this rail until a person has mended it; raises the alert."""

    async def alert(self, platform: UUID, kind: str, rail: str) -> None:
        """Calls the operations' people, once while their case is open."""


class Gate(Protocol):
    """Stands before each call to a processor; `service.rails.Gate` in an installation."""

    async def enter(self, rail: str, *, interactive: bool) -> Entry:
        """Whether a call may go now."""

    async def report(
        self, rail: str, outcome: Outcome, *, probe: bool, retry_after_seconds: float | None = None, word: str = "no_answer"
    ) -> None:
        """What came of a call that was let in."""


class Policy(Protocol):
    """What rails.yaml says of following up."""

    def offer_after_seconds(self, rail: str) -> float | None:
        """How long a rail that cannot be reached is tried before the customer may choose another; None: for ever."""

    def accepted_seconds_max(self, rail: str) -> float:
        """How long a refund may stand accepted before people look."""


class Refunds:
    """Sends refunds and hears of them. One instance a process; `Operations` holds the leases."""

    def __init__(
        self,
        store: FlowStore,
        *,
        rails: Mapping[str, RefundRail],
        brakes: Brakes,
        gate: Gate,
        policy: Policy,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rails = rails
        self._brakes = brakes
        self._gate = gate
        self._policy = policy
        self._monotonic = monotonic

    def carries(self, rail: str) -> bool:
        """Whether it is one of the rails that move money here."""
        return rail in self._rails

    def key_seconds(self) -> Mapping[str, float]:
        """How long each rail's keys hold after the first sending."""
        return {name: float(rail.traits.key_lifetime_seconds) for name, rail in self._rails.items()}

    def follow_up(self, rail: str) -> Mapping[str, float | None]:
        """What the store has to know to follow an outcome up."""
        return {"offer_after_seconds": self._policy.offer_after_seconds(rail), "read_again_seconds": self._read_again_seconds(rail)}

    def _read_again_seconds(self, rail: str) -> float | None:
        found = self._rails.get(rail)
        return SETTLED_LOOK_SECONDS if found is not None and found.traits.reads else None

    async def advance(self, platform: UUID, operation: UUID, epoch: int, begun: Begun, ends_at: float, *, interactive: bool) -> Step | None:
        """Sends what was begun, or looks at what was sent: what came of it, or None where nothing did.

        `ends_at`: when the lease does, by our clock.
        """
        await self._warn_in_time(platform, operation, begun)
        rail = self._rails[begun.rail]
        if begun.status == "follow_up":
            return await self._look_again(rail, begun)
        request = msgspec.convert(begun.request, RefundRequest)
        if (chosen := begun.request.get("destination_id")) is not None:
            address = await self._store.destination(platform, UUID(chosen))
            if address is None:
                return declined_step(Declined("not_found", "the destination was erased"))
            request = msgspec.structs.replace(request, destination=address)
        if begun.unknown_before and (seen := await _find(rail, request)):
            return refund_step(seen)
        entry = await self._gate.enter(begun.rail, interactive=interactive)
        if entry.kind == "refused":
            return Step(
                result="NOT_SENT",
                state="SENT",
                attempt_state="UNKNOWN" if begun.unknown_before else "PREPARED",
                detail="the breaker is open",
                due_seconds=max(entry.seconds, RETRY_SECONDS_FIRST),
            )
        too_late = entry.kind == "go" and self._monotonic() + CALL_SECONDS_MAX > ends_at
        if too_late or entry.kind == "wait":
            if too_late:  # too little of the lease is left to hear the answer
                await self._gate.report(begun.rail, "unused", probe=entry.probe)
            assert begun.attempt is not None  # noqa: S101 - what is sent has one
            await self._store.waits(platform, operation, epoch, begun.attempt, begun.try_, seconds=entry.seconds)
            return None
        return await self._send(platform, begun, rail, request, entry)

    async def _send(self, platform: UUID, begun: Begun, rail: RefundRail, request: RefundRequest, entry: Entry) -> Step:
        """The one POST, and what its answer means; the gate hears how it went, whatever happens."""
        outcome: Outcome = "failed"
        word = "no_answer"
        retry_after: float | None = None
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                step = refund_step(await rail.refund(request, key=begun.key))
            outcome = "reached"
        except Unavailable as failure:
            outcome = "refused_key" if failure.configuration else "failed" if failure.never_sent else "limited"
            word = "unreachable" if failure.never_sent else "no_answer"
            retry_after = failure.retry_after_seconds
            if failure.configuration:
                await self._brakes.stop_rail(platform, begun.rail, failure.detail)
            step = unavailable_step(failure, begun)
        except (OutcomeUnknown, TimeoutError) as failure:
            # Unknown once more: it may be there by now, and then nobody need wait for the next look.
            seen = await _find(rail, request, AFTERWARDS_SECONDS) if begun.unknown_before else None
            step = refund_step(seen) if seen else unknown_step(begun, type(failure).__name__)
        except Declined as failure:
            outcome = "reached"
            # An earlier try may be why it is declined now: look before believing it.
            doubtful = failure.code == "already_refunded" or begun.unknown_before
            seen = await _find(rail, request) if doubtful else None
            step = refund_step(seen) if seen else review_step(failure) if doubtful else declined_step(failure)
        finally:
            await self._gate.report(begun.rail, outcome, probe=entry.probe, retry_after_seconds=retry_after, word=word)
        return step

    async def _look_again(self, rail: RefundRail, begun: Begun) -> Step | None:
        if begun.attempt_state == "UNKNOWN":  # nothing is sent while a brake is on: it is only looked for
            found = await _find(rail, begun.asked())
            return refund_step(found) if found else None
        if begun.attempt_state != "ACCEPTED":
            return None
        seen = await _find(rail, begun.asked())
        if seen is None or seen.state == "ACCEPTED":
            return Step(result="ANSWERED", state="SENT", attempt_state="ACCEPTED", due_seconds=ACCEPTED_LOOK_SECONDS)
        return refund_step(seen)

    async def _warn_in_time(self, platform: UUID, operation: UUID, begun: Begun) -> None:
        """People are told, once, of a key about to run out and of an acceptance without an end."""
        if begun.people_told or begun.attempt is None:
            return
        if begun.ends_soon:
            await self._store.calls_people(platform, operation, begun.attempt, "key_ends_soon")
        elif begun.accepted_at is not None:
            longest = timedelta(seconds=self._policy.accepted_seconds_max(begun.rail))
            if begun.accepted_at < await self._store.now() - longest:
                await self._store.calls_people(platform, operation, begun.attempt, "overdue")

    # ------------------------------------------------------------------------------------------------------- taking over

    async def proves(self, platform: UUID, operation: UUID, epoch: int, begun: Begun) -> bool:
        """Reads at the first rail that it did not and never will pay. False: it did, or it cannot be told now and is read again later."""
        rail, request = self._rails.get(begun.rail), begun.asked()
        taken_on = self._rails.get(begun.payment_rail)
        assert begun.attempt is not None  # noqa: S101 - what is read has one
        if rail is not None and taken_on is not None and (begun.what == "payment" or await self._is_dead(rail, request, begun)):
            untouched = await self._payment_is_untouched(platform, operation, taken_on, request)
            if untouched:
                await self._store.proved(platform, operation, epoch)
                return True
            if untouched is not None:
                await self._store.calls_people(platform, operation, begun.attempt, "payment_touched")
        if rail is None or taken_on is None:
            await self._store.calls_people(platform, operation, begun.attempt, "rail_gone")
        await self._store.waits(platform, operation, epoch, begun.attempt, 0, seconds=PROOF_SECONDS if rail and taken_on else GONE_SECONDS)
        return False

    async def _is_dead(self, rail: RefundRail, request: RefundRequest, begun: Begun) -> bool:
        """Whether the first attempt is as dead as we believe. A refund that failed is listed; one that is not listed proves nothing."""
        seen = await _find(rail, request)
        if seen is not None and seen.state in {"ACCEPTED", "SUCCEEDED"}:
            await self.heard(begun.rail, RefundNews(payment_ref=request.payment_ref, refund=seen), source=begun.rail)
            return False
        return seen is not None or not rail.traits.reads or begun.attempt_state != "FAILED"

    async def _payment_is_untouched(self, platform: UUID, operation: UUID, rail: RefundRail, request: RefundRequest) -> bool | None:
        """Whether the processor shows neither a dispute nor a refund that is not ours. None: it does not answer.

        What it shows is heard. One that cannot be asked has nothing to show: its notifications are what we know.
        """
        if not rail.traits.reads:
            return True
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                seen = await rail.payment(request.payment_ref, request.amount.currency)
        except (Unavailable, Declined, OutcomeUnknown, TimeoutError):
            return None
        for refund in seen.refunds:
            await self.heard(rail.name, RefundNews(payment_ref=request.payment_ref, refund=refund), source=rail.name)
        return await self._store.payment_was_read(platform, operation, refunded_minor=seen.refunded_minor, disputed=seen.disputed)

    # ---------------------------------------------------------------------------------------------------------- hearing

    async def heard(self, rail: str, news: RefundNews, *, source: str) -> str:
        """Applies what a processor says of a refund, ours or not: applied, known, elsewhere, mismatch or unknown_payment."""
        seen = news.refund
        document = {
            "rail": rail,
            "payment_ref": news.payment_ref,
            "provider_ref": seen.provider_ref,
            "attempt": seen.attempt_id,
            "state": seen.state,
            "failure": seen.failure,
            "amount": seen.amount.minor,
            "currency": seen.amount.currency,
            "at": seen.at,
            "source": source,
            "read_again_seconds": self._read_again_seconds(rail),
        }
        answer = await self._store.refund_news({name: value for name, value in document.items() if value is not None})
        status = str(answer["status"])
        if status == "applied" and seen.failure == "insufficient_funds":
            await self._brakes.alert(UUID(answer["platform"]), "balance_low", rail)
        if status in {"elsewhere", "mismatch"}:
            log.warning("refund_not_as_in_our_books", rail=rail, status=status, provider_ref=seen.provider_ref)
        return status

    async def read_again(self) -> int:
        """One pass of the slow looks: late failures of settled refunds, and first rails that had been given up. How many were due."""
        due = await self._store.attempts_to_read(READ_AGAIN_MOST)
        places = asyncio.Semaphore(READ_AGAIN_AT_ONCE)

        async def one_of_few(one: AttemptToRead) -> None:
            async with places:
                await self._read_one_again(one)

        async with asyncio.TaskGroup() as group:
            for one in due:
                group.create_task(one_of_few(one))
        return len(due)

    async def _read_one_again(self, one: AttemptToRead) -> None:
        rail = self._rails.get(one.rail)
        if rail is None or not rail.traits.reads:
            return
        if one.state == "CLOSED_NOT_SENT":
            await self._read_first_rail(rail, one)
            return
        request = msgspec.structs.replace(msgspec.convert(one.request, RefundRequest), provider_ref=one.provider_ref)
        seen = await _find(rail, request)
        # Only that it came back is news here; what people found by hand may stand under another reference than the processor's.
        if seen is not None and seen.state in {"FAILED", "CANCELED"}:
            await self.heard(one.rail, RefundNews(payment_ref=str(one.request["payment_ref"]), refund=seen), source=one.rail)

    async def _read_first_rail(self, rail: RefundRail, one: AttemptToRead) -> None:
        """The rail was given up unreached; whatever is found on the payment now is told, and goes to people where it is not ours."""
        request = msgspec.convert(one.request, RefundRequest)
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                seen = await rail.payment(request.payment_ref, request.amount.currency)
        except (Unavailable, Declined, OutcomeUnknown, TimeoutError):
            return
        for refund in seen.refunds:
            await self.heard(one.rail, RefundNews(payment_ref=request.payment_ref, refund=refund), source=one.rail)
        await self._store.attempt_was_read(one.platform, one.id)


async def _find(rail: RefundRail, request: RefundRequest, seconds_max: float = CALL_SECONDS_MAX) -> RefundSeen | None:
    """What the processor knows of this attempt. None proves nothing, so a failed reading counts as None."""
    try:
        async with asyncio.timeout(seconds_max):
            return await rail.find(request)
    except (Unavailable, OutcomeUnknown, Declined, TimeoutError):
        return None
