"""What one sending brought, and what the operation becomes by it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.ports import Declined, RefundRequest, RefundSeen, Unavailable

# Waits before the next look double from the first to the last (a customer may be watching; a processor may be down for an hour).
RETRY_SECONDS_FIRST: Final = 1.0
RETRY_SECONDS_LAST: Final = 60.0
# An accepted refund usually settles within minutes or days; notifications are quicker than this look.
ACCEPTED_LOOK_SECONDS: Final = 600.0
# Our account lacks the money: somebody has to top it up.
FUNDS_LOOK_SECONDS: Final = 3600.0


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
    """of `read_first`: `refund`, `payment` or `order`"""
    order: str = ""
    """of `read_first` of an order: its reference"""
    payment_rail: str = ""
    """likewise: where the payment was taken"""
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
