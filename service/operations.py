"""advance(): carries one operation one step further, from any state, however often and by whomever it is called.

The law (design, section 4): a money POST is sent once per advance(), after the row that says so is committed; unknown means the same
rail and the same key again; another rail takes over only with proof, read just before, that the first did not and never will pay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from service.model import new_id
from service.plan import new_barcode
from service.ports import (
    Declined,
    Mail,
    Mailer,
    OutcomeUnknown,
    PassIssuer,
    RefundNews,
    RefundRail,
    RefundRequest,
    RefundSeen,
    Unavailable,
)
from service.rails import Entry, Outcome
from service.store.flow import AttemptToRead, FlowStore

log: Final = structlog.get_logger()

# A call that has not answered by then may still have happened: UNKNOWN. The lease outlives it by what two commits take at the worst.
CALL_SECONDS_MAX: Final = 10.0
LEASE_SECONDS: Final = 15.0
# What the second commit may take before the lease ends.
COMMIT_SECONDS: Final = 1.0
# Waits before the next look double from the first to the last (a customer may be watching; a processor may be down for an hour).
RETRY_SECONDS_FIRST: Final = 1.0
RETRY_SECONDS_LAST: Final = 60.0
# An accepted refund usually settles within minutes or days; notifications are quicker than this look.
ACCEPTED_LOOK_SECONDS: Final = 600.0
# Our account lacks the money: somebody has to top it up.
FUNDS_LOOK_SECONDS: Final = 3600.0
# A settled refund is read again daily: a bank may send it back late.
SETTLED_LOOK_SECONDS: Final = 86_400.0
# Mails and issuers keep no key for ever either: after a day people look.
OTHER_KEY_SECONDS: Final = 86_400
# What a slow pass reads: one each minute reads a night of 100,000 refunds within six hours, and stays far below what processors allow.
READ_AGAIN_MOST: Final = 300
READ_AGAIN_AT_ONCE: Final = 8
# Work below this priority is what somebody waits for.
BULK: Final = 2


class Letters(Protocol):
    """Writes the mail that an operation on a pass sends."""

    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        """The mail, ready to send; None when there is no address to send it to."""


class Brakes(Protocol):
    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Nothing new goes out on this rail until a person has mended it; raises the alert."""

    async def alert(self, platform: UUID, kind: str, rail: str) -> None:
        """Calls the operations' people, once while their case is open."""


class Gate(Protocol):
    """Stands before each call to a processor; `service.rails.Gate` in an installation."""

    async def enter(self, rail: str, *, interactive: bool) -> Entry:
        """Whether a call may go now."""

    async def report(self, rail: str, outcome: Outcome, *, probe: bool, retry_after_seconds: float | None = None) -> None:
        """What came of a call that was let in."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What operation_begin said: the stored request that may now be sent, or what has to be done first."""

    status: str
    attempt: UUID | None = None
    try_: int = msgspec.field(name="try", default=0)
    key: str = ""
    request: Mapping[str, Any] = {}
    rail: str = ""
    unknown_before: bool = False
    attempt_state: str = ""
    state: str = ""
    what: str = ""
    """of `read_first`: `refund` or `payment`"""
    accepted_at: datetime | None = None
    ends_soon: bool = False
    """its key may be sent for less than an hour"""
    people_told: bool = False
    provider_ref: str = ""

    def asked(self) -> RefundRequest:
        """The stored request, with what the processor called it."""
        return msgspec.structs.replace(msgspec.convert(self.request, RefundRequest), provider_ref=self.provider_ref)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one sending brought, as operation_record stores it."""

    result: str
    state: str
    attempt_state: str | None = None
    provider_ref: str | None = None
    failure: str | None = None
    detail: str = ""
    due_seconds: float = 0.0
    barcode: str | None = None


class Policy(Protocol):
    """What rails.yaml says of following up."""

    def offer_after_seconds(self, rail: str) -> float | None:
        """How long a rail that cannot be reached is tried before the customer may choose another; None: for ever."""

    def accepted_seconds_max(self, rail: str) -> float:
        """How long a refund may stand accepted before people look."""


class Operations:
    """Advances operations over the rails it was given. One instance a process."""

    def __init__(
        self,
        store: FlowStore,
        *,
        rails: Mapping[str, RefundRail],
        mailer: Mailer,
        issuers: Mapping[str, PassIssuer],
        letters: Letters,
        brakes: Brakes,
        gate: Gate,
        policy: Policy,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rails = rails
        self._mailer = mailer
        self._issuers = issuers
        self._letters = letters
        self._brakes = brakes
        self._gate = gate
        self._policy = policy
        self._monotonic = monotonic

    def key_seconds(self) -> Mapping[str, float]:
        """How long each rail's keys hold after the first sending."""
        return {name: float(rail.traits.key_lifetime_seconds) for name, rail in self._rails.items()} | {"*": float(OTHER_KEY_SECONDS)}

    async def take(self, platform: UUID, operation: UUID) -> None:
        """Leases an operation that nobody is at, and advances it."""
        epoch = await self._store.lease_operation(platform, operation, LEASE_SECONDS)
        if epoch is not None:
            await self.advance(platform, operation, epoch)

    async def advance(
        self, platform: UUID, operation: UUID, epoch: int, *, rail: str | None = None, state: str = "READY", priority: int = 0
    ) -> None:
        """Begins a leased operation and carries it on."""
        if state in {"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"}:
            await self._store.look_after(platform, operation)
            return
        if rail == "here":
            await self._store.do_here(platform, operation, epoch, new_barcode(), new_id())
            return
        begun = await self._begin(platform, operation, epoch)
        if begun.status == "read_first":
            if not await self._proves(platform, operation, epoch, begun):
                return
            begun = await self._begin(platform, operation, epoch)
        await self._carry_on(platform, operation, epoch, begun, interactive=priority < BULK)

    async def _begin(self, platform: UUID, operation: UUID, epoch: int) -> Begun:
        found = await self._store.begin(platform, operation, epoch, lease_seconds=LEASE_SECONDS, key_seconds=self.key_seconds())
        return msgspec.convert(found, Begun)

    async def carry_on(self, platform: UUID, operation: UUID, epoch: int, begun: Mapping[str, Any]) -> None:
        """Sends what a decision began, for a customer who waits."""
        await self._carry_on(platform, operation, epoch, msgspec.convert(begun, Begun), interactive=True)

    async def _carry_on(self, platform: UUID, operation: UUID, epoch: int, begun: Begun, *, interactive: bool) -> None:
        """Sends what was begun, stores what came of it, and goes on with what follows from that."""
        if begun.status == "expired":
            await self._store.look_after(platform, operation)
        if begun.status not in {"send", "follow_up"} or begun.attempt is None:
            return
        ends_at = self._monotonic() + LEASE_SECONDS - COMMIT_SECONDS
        if begun.rail in self._rails:
            await self._warn_in_time(platform, operation, begun)
            step = await self._refund(platform, operation, epoch, begun, ends_at, interactive=interactive)
        else:
            step = await self._other(platform, operation, begun)
        if step is None:
            return
        stored = await self._store.record(
            {
                "platform": platform,
                "operation": operation,
                "epoch": epoch,
                "attempt": begun.attempt,
                "try": begun.try_,
                "resend": new_id(),
                "offer_after_seconds": self._policy.offer_after_seconds(begun.rail) if begun.rail in self._rails else None,
                "read_again_seconds": self._read_again_seconds(begun.rail),
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

    def _read_again_seconds(self, rail: str) -> float | None:
        found = self._rails.get(rail)
        return SETTLED_LOOK_SECONDS if found is not None and found.traits.reads else None

    async def _other(self, platform: UUID, operation: UUID, begun: Begun) -> Step | None:
        if begun.status == "follow_up":
            return None
        if begun.rail == "mail":
            return await self._mail(platform, operation, begun)
        if begun.rail == "issuer":
            return await self._issue(begun)
        return Step(result="NOT_SENT", state="NEEDS_REVIEW", detail="this rail is not configured here")

    # ------------------------------------------------------------------------------------------------------------ refunds

    async def _refund(self, platform: UUID, operation: UUID, epoch: int, begun: Begun, ends_at: float, *, interactive: bool) -> Step | None:
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
        retry_after: float | None = None
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                step = refund_step(await rail.refund(request, key=begun.key))
            outcome = "reached"
        except Unavailable as failure:
            outcome = "refused_key" if failure.configuration else "failed" if failure.never_sent else "limited"
            retry_after = failure.retry_after_seconds
            if failure.configuration:
                await self._brakes.stop_rail(platform, begun.rail, failure.detail)
            step = unavailable_step(failure, begun)
        except (OutcomeUnknown, TimeoutError) as failure:
            step = unknown_step(begun, type(failure).__name__)
        except Declined as failure:
            outcome = "reached"
            # An earlier try may be why it is declined now: look before believing it.
            doubtful = failure.code == "already_refunded" or begun.unknown_before
            seen = await _find(rail, request) if doubtful else None
            step = refund_step(seen) if seen else review_step(failure) if doubtful else declined_step(failure)
        finally:
            await self._gate.report(begun.rail, outcome, probe=entry.probe, retry_after_seconds=retry_after)
        return step

    async def _look_again(self, rail: RefundRail, begun: Begun) -> Step | None:
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

    async def _proves(self, platform: UUID, operation: UUID, epoch: int, begun: Begun) -> bool:
        """Reads at the first rail that it did not and never will pay. False: it cannot be told now, or it did."""
        rail, request = self._rails.get(begun.rail), begun.asked()
        if rail is None or (rail.traits.pays == "back" and not await self._payment_is_untouched(platform, operation, rail, request)):
            return False
        if begun.what == "payment":
            return True
        seen = await _find(rail, request)
        if seen is not None and seen.state in {"ACCEPTED", "SUCCEEDED"}:
            await self.heard(begun.rail, RefundNews(payment_ref=request.payment_ref, refund=seen), source=begun.rail)
            return False
        if seen is None and rail.traits.reads and begun.attempt_state == "FAILED":
            return False  # a refund that failed is listed; one that is not listed proves nothing
        await self._store.proved(platform, operation, epoch)
        return True

    async def _payment_is_untouched(self, platform: UUID, operation: UUID, rail: RefundRail, request: RefundRequest) -> bool:
        """Whether the processor shows neither a dispute nor a refund that is not ours. One that cannot be asked shows nothing."""
        if not rail.traits.reads:
            return True
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                seen = await rail.payment(request.payment_ref, request.amount.currency)
        except (Unavailable, Declined, OutcomeUnknown, TimeoutError):
            return False
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
        if seen := await _find(rail, request):
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

    async def _issue(self, begun: Begun) -> Step:
        issuer = self._issuers.get(str(begun.request.get("issuer", "")))
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


# ---------------------------------------------------------------------------------------------------- what an answer means (pure)


def refund_step(seen: RefundSeen) -> Step:
    """What becomes of the operation when the attempt is dead follows from the failure: `refund_state_after` in functions/outcomes.sql."""
    if seen.state == "SUCCEEDED":
        return Step(result="ANSWERED", state="DONE", attempt_state="SUCCEEDED", provider_ref=seen.provider_ref)
    if seen.state == "ACCEPTED":
        return Step(
            result="ANSWERED",
            state="SENT",
            attempt_state="ACCEPTED",
            provider_ref=seen.provider_ref,
            due_seconds=ACCEPTED_LOOK_SECONDS,
        )
    failure = seen.failure or "unknown"
    return Step(
        result="ANSWERED",
        state="FAILED",
        attempt_state=seen.state,
        provider_ref=seen.provider_ref,
        failure=failure,
        due_seconds=FUNDS_LOOK_SECONDS,
    )


def declined_step(failure: Declined) -> Step:
    if failure.code in {"idempotency_misuse", "already_refunded"}:
        return review_step(failure)
    return Step(
        result="ANSWERED",
        state="REFUSED",
        attempt_state="REJECTED",
        failure=failure.code,
        detail=failure.detail,
        due_seconds=FUNDS_LOOK_SECONDS,
    )


def review_step(failure: Declined) -> Step:
    """It may be that the money moved: nobody sends anything more until a person has looked."""
    return Step(
        result="ANSWERED",
        state="NEEDS_REVIEW",
        attempt_state="NEEDS_REVIEW",
        failure=failure.code,
        detail=failure.detail,
        due_seconds=3600,
    )


def unavailable_step(failure: Unavailable, begun: Begun) -> Step:
    """Nothing happened this time. An earlier try of the same key may still have: then the attempt stays unknown."""
    return Step(
        result="NOT_SENT" if failure.never_sent else "ANSWERED",
        state="SENT",
        attempt_state="UNKNOWN" if begun.unknown_before else "PREPARED",
        detail=failure.detail,
        due_seconds=max(failure.retry_after_seconds or 0.0, retry_seconds(begun.try_)),
    )


def unknown_step(begun: Begun, detail: str) -> Step:
    return Step(result="UNKNOWN", state="SENT", attempt_state="UNKNOWN", detail=detail, due_seconds=retry_seconds(begun.try_))


def retry_seconds(tries: int) -> float:
    """1, 2, 4 … 60 seconds."""
    return min(RETRY_SECONDS_LAST, RETRY_SECONDS_FIRST * 2.0 ** min(tries - 1, 10))


async def _find(rail: RefundRail, request: RefundRequest) -> RefundSeen | None:
    """What the processor knows of this attempt. None proves nothing, so a failed reading counts as None."""
    try:
        async with asyncio.timeout(CALL_SECONDS_MAX):
            return await rail.find(request)
    except (Unavailable, OutcomeUnknown, Declined, TimeoutError):
        return None
