"""advance(): carries one operation one step further, from any state, however often and by whomever it is called.

The law (design, section 4): a money POST is sent once per advance(), after the row that says so is committed; unknown means the same
rail and the same key again; nothing here ever opens a second rail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
    RefundRail,
    RefundRequest,
    RefundSeen,
    Unavailable,
)
from service.store.flow import FlowStore

log: Final = structlog.get_logger()

# A call that has not answered by then may still have happened: UNKNOWN. The lease outlives it by what two commits take at the worst.
CALL_SECONDS_MAX: Final = 10.0
LEASE_SECONDS: Final = 15.0
# What the second commit may take before the lease ends.
COMMIT_SECONDS: Final = 1.0
# Waits before the next look double from the first to the last (a customer may be watching; a processor may be down for an hour).
RETRY_SECONDS_FIRST: Final = 1.0
RETRY_SECONDS_LAST: Final = 60.0
# An accepted refund usually settles within minutes or days; webhooks are quicker than this look.
ACCEPTED_LOOK_SECONDS: Final = 600.0
# Mails and issuers keep no key for ever either: after a day people look.
OTHER_KEY_SECONDS: Final = 86_400


class Letters(Protocol):
    """Writes the mail that an operation on a pass sends."""

    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        """The mail, ready to send; None when there is no address to send it to."""


class Brakes(Protocol):
    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Nothing new goes out on this rail until a person has mended it; raises the alert."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What operation_begin said: the stored request that may now be sent, under this epoch."""

    status: str
    attempt: UUID | None = None
    try_: int = msgspec.field(name="try", default=0)
    key: str = ""
    request: Mapping[str, Any] = {}
    rail: str = ""
    unknown_before: bool = False
    attempt_state: str = ""
    state: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one sending brought, as operation_record stores it."""

    result: str
    state: str
    attempt_state: str | None = None
    provider_ref: str | None = None
    failure: str | None = None
    detail: str = ""
    due_seconds: float = 0.0
    holds: tuple[str, ...] | None = None
    barcode: str | None = None


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
    ) -> None:
        self._store = store
        self._rails = rails
        self._mailer = mailer
        self._issuers = issuers
        self._letters = letters
        self._brakes = brakes

    def key_seconds(self) -> Mapping[str, float]:
        """How long each rail's keys hold after the first sending."""
        return {name: float(rail.traits.key_lifetime_seconds) for name, rail in self._rails.items()} | {"*": float(OTHER_KEY_SECONDS)}

    async def take(self, platform: UUID, operation: UUID) -> None:
        """Leases an operation that nobody is at, and advances it."""
        epoch = await self._store.lease_operation(platform, operation, LEASE_SECONDS)
        if epoch is not None:
            await self.advance(platform, operation, epoch)

    async def advance(self, platform: UUID, operation: UUID, epoch: int, *, rail: str | None = None, state: str = "READY") -> None:
        """Begins a leased operation and carries it on."""
        if state in {"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"}:
            await self._store.look_after(platform, operation)
            return
        if rail == "here":
            await self._store.do_here(platform, operation, epoch, new_barcode(), new_id())
            return
        seconds = self.key_seconds()
        begun = await self._store.begin(
            platform,
            operation,
            epoch,
            new_id(),
            lease_seconds=LEASE_SECONDS,
            key_seconds=seconds.get(rail or "", seconds["*"]),
        )
        await self.carry_on(platform, operation, epoch, begun)

    async def carry_on(self, platform: UUID, operation: UUID, epoch: int, begun_document: Mapping[str, Any]) -> None:
        """Sends what was begun, stores what came of it, and goes on with what follows from that."""
        begun = msgspec.convert(begun_document, Begun)
        if begun.status == "expired":
            await self._store.look_after(platform, operation)
            return
        if begun.status not in {"send", "follow_up"} or begun.attempt is None:
            return
        ends_at = asyncio.get_running_loop().time() + LEASE_SECONDS - COMMIT_SECONDS
        step = await self._step(platform, operation, begun, ends_at)
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
                **{name: value for name, value in msgspec.structs.asdict(step).items() if value is not None},
            }
        )
        if step.result != "ANSWERED" or step.state not in {"DONE", "SENT"}:
            log.info(
                "operation_did_not_end",
                result=step.result,
                operation_id=str(operation),
                rail=begun.rail,
                state=step.state,
                detail=step.detail,
            )
        for follow in stored.get("follow") or ():
            await self.take(platform, UUID(follow))

    async def _step(self, platform: UUID, operation: UUID, begun: Begun, ends_at: float) -> Step | None:
        if begun.rail in self._rails:
            if begun.status == "follow_up":
                return await self._look_again(begun)
            return await self._refund(platform, begun, ends_at)
        if begun.status == "follow_up":
            return None
        if begun.rail == "mail":
            return await self._mail(platform, operation, begun)
        if begun.rail == "issuer":
            return await self._issue(begun)
        return Step(result="NOT_SENT", state="NEEDS_REVIEW", detail="this rail is not configured here")

    # ------------------------------------------------------------------------------------------------------------ refunds

    async def _refund(self, platform: UUID, begun: Begun, ends_at: float) -> Step | None:
        rail = self._rails[begun.rail]
        request = msgspec.convert(begun.request, RefundRequest)
        seen = await _find(rail, request) if begun.unknown_before else None
        if seen is None and asyncio.get_running_loop().time() + CALL_SECONDS_MAX > ends_at:
            return None  # too little of the lease is left to hear the answer; whoever claims it next sends
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return refund_step(seen or await rail.refund(request, key=begun.key))
        except Unavailable as failure:
            if failure.configuration:
                await self._brakes.stop_rail(platform, begun.rail, failure.detail)
            return unavailable_step(failure, begun)
        except (OutcomeUnknown, TimeoutError) as failure:
            return unknown_step(begun, type(failure).__name__)
        except Declined as failure:
            # An earlier try may be why it is declined now: look before believing it.
            doubtful = failure.code == "already_refunded" or begun.unknown_before
            seen = await _find(rail, request) if doubtful else None
            return refund_step(seen) if seen else review_step(failure) if doubtful else declined_step(failure)

    async def _look_again(self, begun: Begun) -> Step | None:
        if begun.attempt_state != "ACCEPTED":
            return None
        seen = await _find(self._rails[begun.rail], msgspec.convert(begun.request, RefundRequest))
        if seen is None or seen.state == "ACCEPTED":
            return Step(result="ANSWERED", state="SENT", attempt_state="ACCEPTED", due_seconds=ACCEPTED_LOOK_SECONDS)
        return refund_step(seen)

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
    return Step(
        result="ANSWERED",
        state="FAILED",
        attempt_state=seen.state,
        provider_ref=seen.provider_ref,
        failure=seen.failure or "unknown",
    )


def declined_step(failure: Declined) -> Step:
    if failure.code == "disputed":
        return Step(
            result="ANSWERED",
            state="HELD",
            attempt_state="REJECTED",
            failure="disputed",
            holds=("dispute",),
            due_seconds=3600,
            detail=failure.detail,
        )
    if failure.code in {"idempotency_misuse", "already_refunded"}:
        return review_step(failure)
    return Step(result="ANSWERED", state="REFUSED", attempt_state="REJECTED", failure=failure.code, detail=failure.detail)


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
