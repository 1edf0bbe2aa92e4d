"""Processors in memory, as awkward as real ones: their ledger is the truth that everything else is held against."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from service.model import Money
from service.ports import (
    Declined,
    DisputeNews,
    Movement,
    News,
    OutcomeUnknown,
    PaymentSeen,
    RefundNews,
    RefundRequest,
    RefundSeen,
    Traits,
    Unavailable,
)
from tests.model.workers import step

CURRENCY: Final = "EUR"
# From the first request on; afterwards the same key is a new request. Stripe may forget after 24 h.
KEY_WINDOW: Final = timedelta(hours=24)
# What an adapter promises: an hour less, for what is on its way.
KEY_LIFETIME_SECONDS: Final = 23 * 3600
# A request that stood still in a frozen process for longer than this finds its connection gone, and is not sent.
# It is what lies between the window and the lifetime: a request that could arrive later than that, nobody could defend against.
WIRE: Final = KEY_WINDOW - timedelta(seconds=KEY_LIFETIME_SECONDS) - timedelta(seconds=60)

State = Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"]
LIVING: Final = frozenset({"ACCEPTED", "SUCCEEDED"})
# What the next request comes to. `:` is followed by a reason or a word.
Fault = str
FAILURES: Final = (
    "expired_or_canceled_card",
    "lost_or_stolen_card",
    "declined",
    "insufficient_funds",
    "charge_for_pending_refund_disputed",
    "merchant_request",
    "unknown",
)
WORDS: Final = (
    "disputed",
    "amount_too_large",
    "not_found",
    "declined",
    "bug",
    "already_refunded",
    "insufficient_funds",
    "expired_or_canceled_card",
)
# The money cannot go back where it came from.
CLOSED: Final = ("failed:expired_or_canceled_card", "failed:lost_or_stolen_card", "failed:declined", "declined:declined")
FAULTS: Final = (
    "lost",
    "lost",
    "dropped",
    "in_flight",
    "in_flight",
    "never_sent",
    "limited",
    "error_500_executed",
    "error_500",
    "refused_key",
    "accepted",
    "accepted_lost",
    "waits_for_funds",
    *(f"failed:{one}" for one in FAILURES),
    *(f"canceled:{one}" for one in ("", "merchant_request")),
    *(f"declined:{one}" for one in WORDS),
)


@dataclass(kw_only=True)
class Line:
    """One refund or pay-out in the ledger."""

    ref: str
    payment_ref: str
    amount: int
    state: State
    at: datetime
    attempt: UUID | None = None
    operation: UUID | None = None
    failure: str = ""
    waiting: Literal["", "insufficient_funds"] = ""

    @property
    def lives(self) -> bool:
        return self.state in LIVING

    def seen(self) -> RefundSeen:
        return RefundSeen(
            provider_ref=self.ref,
            state=self.state,
            amount=Money(minor=self.amount, currency=CURRENCY),
            attempt_id=self.attempt,
            operation_id=self.operation,
            failure=self.failure if self.state in {"FAILED", "CANCELED"} else "",
            waiting=self.waiting,
            at=self.at,
        )


@dataclass(kw_only=True)
class Charge:
    captured: int
    disputes: dict[str, Literal["open", "won", "lost"]] = field(default_factory=dict)

    @property
    def disputed(self) -> bool:
        return "open" in self.disputes.values()


@dataclass(kw_only=True)
class Key:
    """What a processor remembers of a key: the first answer, word for word."""

    first_at: datetime
    request: RefundRequest
    answer: RefundSeen | Literal["in_flight", "error"]


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One notification that waits to be delivered. `ref` names the line or the dispute; `item` is what it said when it was made."""

    rail: str
    kind: Literal["refund", "dispute"]
    ref: str
    item: News
    at: datetime


class Processor:
    """One account. It keeps a cap on what was captured (`back`), remembers keys for a day, and does what rules say."""

    def __init__(
        self, name: str, *, pays: Literal["back", "out"], reads: bool, clock: Callable[[], datetime], notices: list[Notice]
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays=pays, reads=reads, key_lifetime_seconds=KEY_LIFETIME_SECONDS, calls_per_second=None, accepted_seconds_max=72 * 3600.0
        )
        self._clock = clock
        self._notices = notices
        self.clear()

    def clear(self) -> None:
        """A new world."""
        self.charges: dict[str, Charge] = {}
        self.lines: list[Line] = []
        self.keys: dict[str, Key] = {}
        self.read: dict[str, int] = {}
        """payment -> how many lines the ledger had when it was last read"""
        self.in_flight: list[tuple[RefundRequest, str]] = []
        self.next: deque[Fault] = deque()
        self.down = False
        """nothing reaches it"""
        self.unreadable = False
        self._count = 0

    # ------------------------------------------------------------------------------------------------- as a rail

    def step(self, currency: str) -> int:
        return 1 if currency == CURRENCY else 0

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        left_at = self._clock()
        await step(ON_THE_WIRE)
        if self._clock() - left_at > WIRE:
            raise OutcomeUnknown("the connection was gone")
        fault = "never_sent" if self.down else self.next.popleft() if self.next else "ok"
        seen = self._arrives(request, key, fault)
        await step("answered")
        return seen

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        await step("reading")
        if not self.traits.reads:
            return None
        self._check_readable()
        found = next((one.seen() for one in self.lines if one.attempt == request.attempt_id), None)
        await step("read")
        return found

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        await step("reading")
        if not self.traits.reads:
            raise Declined("unsupported", self.name)
        self._check_readable()
        charge = self.charges.get(payment_ref)
        if charge is None:
            raise Declined("not_found", self.name)
        self.read[payment_ref] = len(self.lines)
        seen = PaymentSeen(
            payment_ref=payment_ref,
            captured=Money(minor=charge.captured, currency=currency),
            refunded_minor=self.refunded(payment_ref),
            disputed=charge.disputed,
            refunds=tuple(one.seen() for one in self.lines if one.payment_ref == payment_ref),
        )
        await step("read")
        return seen

    async def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        for one in self.lines:
            if since <= one.at < until:
                yield Movement(payment_ref=one.payment_ref, refund=one.seen())

    async def check(self) -> str:
        return self.name

    def _check_readable(self) -> None:
        if self.down or self.unreadable:
            raise Unavailable("away", never_sent=True)

    # ------------------------------------------------------------------------------------------- what a request does

    def _arrives(self, request: RefundRequest, key: str, fault: Fault) -> RefundSeen:
        word, _, reason = fault.partition(":")
        if (failure := _before_the_account(word)) is not None:
            raise failure
        known = self.keys.get(key)
        if known is not None and self._clock() - known.first_at < KEY_WINDOW:
            return self._again(known, request)
        if word == "in_flight":
            self.keys[key] = Key(first_at=self._clock(), request=request, answer="in_flight")
            self.in_flight.append((request, key))
            raise OutcomeUnknown("no answer")
        if word == "error_500":
            self.keys[key] = Key(first_at=self._clock(), request=request, answer="error")
            raise OutcomeUnknown("500")
        if word == "declined":
            raise Declined(reason, self.name)
        seen = self._execute(request, key, word, reason)
        if word == "error_500_executed":
            self.keys[key].answer = "error"
            raise OutcomeUnknown("500")
        if word in {"lost", "accepted_lost"}:
            raise TimeoutError
        return seen

    def _again(self, known: Key, request: RefundRequest) -> RefundSeen:
        if request != known.request:
            raise Declined("idempotency_misuse", self.name)
        if isinstance(known.answer, str):
            raise OutcomeUnknown(known.answer)
        return known.answer

    def _execute(self, request: RefundRequest, key: str, word: str, reason: str) -> RefundSeen:
        """Raises Declined where the account's own rules forbid it; that is not remembered."""
        self._check(request)
        accepted = word in {"accepted", "accepted_lost", "waits_for_funds"} or not self.traits.reads
        state: State = "FAILED" if word == "failed" else "CANCELED" if word == "canceled" else "ACCEPTED" if accepted else "SUCCEEDED"
        line = Line(
            ref=self.new_ref("re"),
            payment_ref=request.payment_ref,
            amount=request.amount.minor,
            state=state,
            at=self._clock(),
            attempt=request.attempt_id,
            operation=request.operation_id,
            failure=reason,
            waiting="insufficient_funds" if word == "waits_for_funds" else "",
        )
        self.lines.append(line)
        self.keys[key] = Key(first_at=self._clock(), request=request, answer=line.seen())
        self.tell(line)
        return line.seen()

    def _check(self, request: RefundRequest) -> None:
        if self.traits.pays == "out":
            return
        charge = self.charges.get(request.payment_ref)
        if charge is None:
            raise Declined("not_found", self.name)
        if charge.disputed or "lost" in charge.disputes.values():
            raise Declined("disputed", self.name)
        left = charge.captured - self.refunded(request.payment_ref)
        if left <= 0:
            raise Declined("already_refunded", self.name)
        if request.amount.minor > left:
            raise Declined("amount_too_large", self.name)

    def refunded(self, payment_ref: str) -> int:
        return sum(one.amount for one in self.lines if one.payment_ref == payment_ref and one.lives)

    def others_refunded(self, payment_ref: str) -> int:
        """What had been refunded by hand when the payment was last read."""
        seen = self.lines[: self.read.get(payment_ref, 0)]
        return sum(one.amount for one in seen if one.payment_ref == payment_ref and one.operation is None and one.lives)

    def new_ref(self, kind: str) -> str:
        self._count += 1
        return f"{self.name}_{kind}_{self._count}"

    # ------------------------------------------------------------------------------------------- what happens by itself

    def deliver(self, index: int, *, dies: bool = False) -> None:
        """What is in flight arrives, or never does."""
        request, key = self.in_flight.pop(index)
        if dies:
            del self.keys[key]
            return
        first_at = self.keys[key].first_at
        try:
            self._execute(request, key, "ok", "")
        except Declined:
            del self.keys[key]
        else:
            self.keys[key].first_at = first_at

    def move(self, line: Line, state: State, failure: str = "") -> None:
        line.state, line.failure, line.waiting = state, failure, ""
        self.tell(line)

    def tell(self, line: Line) -> None:
        news = RefundNews(payment_ref=line.payment_ref, refund=line.seen())
        self._notices.append(Notice(rail=self.name, kind="refund", ref=line.ref, item=news, at=self._clock()))

    def refund_by_hand(self, payment_ref: str, amount: int) -> None:
        """In the dashboard."""
        line = Line(ref=self.new_ref("hand"), payment_ref=payment_ref, amount=amount, state="SUCCEEDED", at=self._clock())
        self.lines.append(line)
        self.tell(line)

    def dispute(self, payment_ref: str, ref: str, state: Literal["open", "won", "lost"]) -> None:
        charge = self.charges[payment_ref]
        charge.disputes[ref] = state
        amount = Money(minor=max(charge.captured - self.refunded(payment_ref), 1), currency=CURRENCY)
        news = DisputeNews(payment_ref=payment_ref, dispute_ref=ref, state=state, amount=amount)
        self._notices.append(Notice(rail=self.name, kind="dispute", ref=ref, item=news, at=self._clock()))

    def news(self, notice: Notice) -> News:
        """What a notification means: its object as it is now, where this processor can be read. Raises Unavailable."""
        if not self.traits.reads:
            return notice.item
        self._check_readable()
        if isinstance(notice.item, DisputeNews):
            charge = self.charges[notice.item.payment_ref]
            return DisputeNews(
                payment_ref=notice.item.payment_ref, dispute_ref=notice.ref, state=charge.disputes[notice.ref], amount=notice.item.amount
            )
        line = next(one for one in self.lines if one.ref == notice.ref)
        return RefundNews(payment_ref=line.payment_ref, refund=line.seen())


# The place where a request has left us, and has not arrived.
ON_THE_WIRE: Final = "on the wire"


def _before_the_account(word: str) -> Exception | None:
    """What keeps a request from ever reaching the account, and its key from being remembered."""
    failures = {
        "never_sent": Unavailable("away", never_sent=True),
        "dropped": OutcomeUnknown("no answer"),
        "limited": Unavailable("too many", retry_after_seconds=3.0),
        "refused_key": Unavailable("bad key", configuration=True),
    }
    return failures.get(word)
