"""What a platform is told: every type of event, what it means and what it carries; from rows to the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from service.books_sums import tax_shares
from service.events_told import (
    AccessTold,
    CaseTold,
    Data,
    DisputeTold,
    EndpointTold,
    EvidenceTold,
    FileTold,
    NoticeTold,
    OrderTold,
    PassTold,
    PaymentRef,
    PingTold,
    ReferralTold,
    RefundElsewhere,
    RefundLine,
    RefundTold,
    ReplyTold,
)
from service.model import WireId, wire
from service.store.outbox import OutboxRow


class PlatformEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is sent and read. `id` is the same each time it is told: who has seen it need not act again."""

    id: str
    type: str
    timestamp: datetime
    """when it happened"""
    position: int
    """its place in the platform's feed: `GET /v1/events?after=` goes on from here"""
    data: Mapping[str, Any]


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    meaning: str
    data: type[Data]
    example: Data


_ORDER, _CASE, _PASS = "M0VLU", "case_0199a1b2c3d47e5f8a9b0c1d2e3f4a5b", "pass_0199a1b2c3d47e5f8a9b0c1d2e3f4a5c"
_JTI: Final = "0199a1b2c3d47e5f8a9b0c1d2e3f4a5f"
_PAYMENT: Final = PaymentRef(id="pay_0199a1b2c3d47e5f8a9b0c1d2e3f4a5d", ref="P-1", rail="stripe", provider_ref="pi_3Qx")
_REFUND: Final = RefundTold(
    order=_ORDER,
    refund="op_0199a1b2c3d47e5f8a9b0c1d2e3f4a5e",
    case=_CASE,
    payment=_PAYMENT,
    amount=694,
    currency="EUR",
    reason="incident",
    lines=(RefundLine(type="position", ref="1", amount=694, tax=111),),
    rail="stripe",
)
_OF_PASS: Final = PassTold(
    order=_ORDER, case=_CASE, access_pass=_PASS, position="1", shows=("nll26",), issuer="makegood", barcode="k3v9q2m8x7"
)
_OF_CASE: Final = CaseTold(case=_CASE, order=_ORDER, show="nll26", problem="stream_outage", channel="widget")
_REPLY: Final = ReplyTold(
    case=_CASE,
    order=_ORDER,
    show="nll26",
    problem="stream_outage",
    channel="chat",
    locale="en",
    message="msg_0199a1b2c3d47e5f8a9b0c1d2e3f4a64",
    agent="Mira",
    words="Your share for the 25 minutes is on its way.",
    attachments=(FileTold(id="att_0199a1b2c3d47e5f8a9b0c1d2e3f4a65", name="receipt.pdf", type="application/pdf", bytes=48213),),
)
_NIGHT: Final = datetime.fromisoformat("2026-11-20T20:30:00Z")
_JUDGED: Final = ReferralTold(
    referral="referral_0199a1b2c3d47e5f8a9b0c1d2e3f4a66", case=_CASE, order=_ORDER, team="fraud", reason="chargeback_risk", holds=True
)
_REFERRAL: Final = msgspec.structs.replace(
    _JUDGED,
    show="nll26",
    problem="wants_refund",
    question="Three cards on one order within a minute: is this buyer known to you?",
    evidence=(EvidenceTold(kind="payment", ref="P-1", words="the third card"), EvidenceTold(kind="pass", ref=_PASS)),
    answer_by=_NIGHT,
)
_NOTICE: Final = NoticeTold(show="nll26", text={"en": "We know the stream is down and are working on it."}, since=_NIGHT, at=_NIGHT)
_ACCESS: Final = AccessTold(order=_ORDER, token=_JTI, access_pass=_PASS, position="1", show="nll26", expires_at=_NIGHT)

_Told = TypeVar("_Told", bound=Data)


def _but(example: _Told, **changes: Any) -> _Told:
    return msgspec.structs.replace(example, **changes)


_SENT: Final = _but(_REFUND, provider_ref="re_3Qx")

TYPES: Final[Mapping[str, EventType]] = {
    "refund.created": EventType(
        meaning="Money was promised and reserved: refund it nowhere else. It is sent now, or when a person has agreed.",
        data=RefundTold,
        example=_REFUND,
    ),
    "refund.sent": EventType(
        meaning="The processor has taken the refund: tell the customer that it is on its way, and write the credit note.",
        data=RefundTold,
        example=_SENT,
    ),
    "refund.succeeded": EventType(
        meaning="The processor says that it is done. Without `refund.sent` before it where the processor did both at once.",
        data=RefundTold,
        example=_SENT,
    ),
    "refund.failed": EventType(
        meaning="It came to nothing, and the money is free again. People look at the case.",
        data=RefundTold,
        example=_but(_REFUND, failure="merchant_request", why="failed"),
    ),
    "refund.returned": EventType(
        meaning="It had been sent, and the bank gave the money back to us. It is still owed, and goes out again.",
        data=RefundTold,
        example=_but(_SENT, failure="declined", why="returned"),
    ),
    "refund.held": EventType(
        meaning="It was about to go and waits: the bank has the payment under dispute, or another team judges the order.",
        data=RefundTold,
        example=_but(_REFUND, why="held"),
    ),
    "refund.released": EventType(meaning="It goes on.", data=RefundTold, example=_but(_REFUND, why="released")),
    "refund.delayed": EventType(
        meaning="It takes longer, for the reason in `why`; it may have been paid. Refund it nowhere else.",
        data=RefundTold,
        example=_but(_REFUND, why="unknown"),
    ),
    "refund.choice_needed": EventType(
        meaning="It cannot go back where it came from; the customer is asked where it should go.",
        data=RefundTold,
        example=_but(_REFUND, failure="expired_or_canceled_card", why="choice_needed"),
    ),
    "refund.seen_elsewhere": EventType(
        meaning="A refund that we did not make was seen, and counts against what may still be refunded.",
        data=RefundElsewhere,
        example=RefundElsewhere(order=_ORDER, payment=_PAYMENT, ref="stripe:re_9", amount=500, currency="EUR", state="done"),
    ),
    "access.issued": EventType(meaning="A new token opens the stream.", data=AccessTold, example=_ACCESS),
    "access.suspended": EventType(
        meaning="A token opens nothing while the money for its position is on its way back.", data=AccessTold, example=_ACCESS
    ),
    "access.restored": EventType(meaning="A suspended token opens the stream again.", data=AccessTold, example=_ACCESS),
    "access.revoked": EventType(meaning="A token opens nothing any more.", data=AccessTold, example=_ACCESS),
    "pass.replaced": EventType(
        meaning="A pass has a successor: the gate admits this barcode, and the one before it no more.",
        data=PassTold,
        example=_but(_OF_PASS, replaces="pass_0199a1b2c3d47e5f8a9b0c1d2e3f4a60"),
    ),
    "pass.voided": EventType(meaning="A pass admits nobody any more.", data=PassTold, example=_OF_PASS),
    "pass.sent": EventType(meaning="A pass was sent to its holder once more.", data=PassTold, example=_OF_PASS),
    "pass.delayed": EventType(
        meaning="What was to happen with a pass did not, for the reason in `why`: it is tried again, or people have it.",
        data=PassTold,
        example=_but(_OF_PASS, why="replace_pass_not_sent"),
    ),
    "case.opened": EventType(meaning="A customer has a problem.", data=CaseTold, example=_but(_OF_CASE, order=None)),
    "case.asked": EventType(
        meaning="The customer was asked for the one thing that is missing.",
        data=CaseTold,
        example=_but(_OF_CASE, outcome="ask", wait_for="answer:destination", wait_until=_NIGHT),
    ),
    "case.waiting": EventType(
        meaning="The case waits for what `wait_for` names, and goes on by itself.",
        data=CaseTold,
        example=_but(_OF_CASE, outcome="wait", wait_for="incident_end", wait_ref="outage-1", wait_until=_NIGHT),
    ),
    "case.handed_over": EventType(
        meaning="People have the case.", data=CaseTold, example=_but(_OF_CASE, outcome="escalate", skill="payments")
    ),
    "case.replied": EventType(
        meaning="A person answered, and the customer wrote by a channel that is yours: bring them these words, and what is attached.",
        data=ReplyTold,
        example=_REPLY,
    ),
    "case.reopened": EventType(meaning="An ended case goes on.", data=CaseTold, example=_but(_OF_CASE, outcome="approve")),
    "case.resolved": EventType(
        meaning="The problem is put right: all that was decided is done or accepted.",
        data=CaseTold,
        example=_but(_OF_CASE, outcome="approve"),
    ),
    "case.denied": EventType(meaning="The policy said no, and why.", data=CaseTold, example=_but(_OF_CASE, outcome="deny")),
    "case.joined": EventType(
        meaning="The same problem had a case already, which has this contact now.",
        data=CaseTold,
        example=_but(_OF_CASE, joined_to="case_0199a1b2c3d47e5f8a9b0c1d2e3f4a61"),
    ),
    "case.closed": EventType(meaning="It ended without a result: nobody answered what was asked.", data=CaseTold, example=_OF_CASE),
    "referral.opened": EventType(
        meaning="A case was handed to one of your teams to judge, with evidence; it waits for the answer.",
        data=ReferralTold,
        example=_REFERRAL,
    ),
    "referral.answered": EventType(
        meaning="The team has judged: `cleared` lets what waited go on, `confirmed` refuses it, `need_more` asks back; `words` says why.",
        data=ReferralTold,
        example=_but(_JUDGED, answer="cleared", words="A family with three cards.", by="Noa", reference="FR-88"),
    ),
    "referral.withdrawn": EventType(
        meaning="The question was taken back, for the reason in `words`; what waited for it alone goes on.",
        data=ReferralTold,
        example=_but(_JUDGED, words="The buyer wrote that the order is a mistake.", by="agent:Mira"),
    ),
    "order.changed": EventType(
        meaning="Something of an order was learnt, from the feed or a processor: `what`.",
        data=OrderTold,
        example=OrderTold(order=_ORDER, what="payment_captured", about={"payment": _PAYMENT.id, "ref": "P-1", "amount": 2500}),
    ),
    "order.disagrees": EventType(
        meaning="Our books and somebody else's do not agree; people have a case. Please look at the order too.",
        data=OrderTold,
        example=OrderTold(order=_ORDER, what="excess", about={"payment": _PAYMENT.id, "ref": "P-1", "amount": 500}),
    ),
    "dispute.opened": EventType(
        meaning="The customer's bank asks for the money of a payment: nothing of it is refunded meanwhile.",
        data=DisputeTold,
        example=DisputeTold(order=_ORDER, payment=_PAYMENT, dispute="dp_1"),
    ),
    "dispute.won": EventType(
        meaning="The money stays; cases that waited go on.",
        data=DisputeTold,
        example=DisputeTold(order=_ORDER, payment=_PAYMENT, dispute="dp_1"),
    ),
    "dispute.lost": EventType(
        meaning="The bank has taken the money: it counts as refunded, and what it paid for admits nobody any more.",
        data=DisputeTold,
        example=DisputeTold(order=_ORDER, payment=_PAYMENT, dispute="dp_1"),
    ),
    "dispute.warned": EventType(
        meaning="A bank believes that a payment is fraud; people have a case with a proposed refund.",
        data=DisputeTold,
        example=DisputeTold(order=_ORDER, payment=_PAYMENT, warning="issfr_1"),
    ),
    "notice.begun": EventType(
        meaning="Every widget of a show says this now: say the same elsewhere, if you like.", data=NoticeTold, example=_NOTICE
    ),
    "notice.updated": EventType(meaning="It says something else now.", data=NoticeTold, example=_NOTICE),
    "notice.over": EventType(meaning="It is over, and is said no more.", data=NoticeTold, example=_but(_NOTICE, text={})),
    "endpoint.disabled": EventType(
        meaning="An endpoint of yours was given up; what it was not told waits for you to enable it.",
        data=EndpointTold,
        example=EndpointTold(endpoint="ep_0199a1b2c3d47e5f8a9b0c1d2e3f4a62", name="shop", why="unreachable", since=_NIGHT),
    ),
    "ping": EventType(
        meaning="You asked for a test; it has no place in the feed.",
        data=PingTold,
        example=PingTold(endpoint="ep_0199a1b2c3d47e5f8a9b0c1d2e3f4a62"),
    ),
}

# What our plain ids in a row's data are called on the wire.
_IDS: Final[Mapping[str, WireId]] = {
    "refund": WireId.OPERATION,
    "operation": WireId.OPERATION,
    "case": WireId.CASE,
    "message": WireId.MESSAGE,
    "joined_to": WireId.CASE,
    "pass": WireId.PASS,
    "pass_id": WireId.PASS,
    "replaces": WireId.PASS,
    "referral": WireId.REFERRAL,
    "payment_id": WireId.PAYMENT,
}


# For examples alone.
_EXAMPLE_ID: Final = "evt_0199a1b2c3d47e5f8a9b0c1d2e3f4a63"
_EXAMPLE_POSITION: Final = 41


def event_id(plain: UUID) -> str:
    return f"evt_{plain.hex}"


def example_of(name: str) -> PlatformEvent:
    """One event of this type as it is sent. Raises KeyError."""
    return PlatformEvent(id=_EXAMPLE_ID, type=name, timestamp=_NIGHT, position=_EXAMPLE_POSITION, data=_builtins(TYPES[name].example))


def _builtins(data: Data) -> Mapping[str, Any]:
    shaped: dict[str, Any] = msgspec.to_builtins(data)
    return shaped


def render(row: OutboxRow) -> PlatformEvent:
    """The row as platforms read it. Of a type that this release does not know the data is told as it is."""
    data: dict[str, Any] = {**_with_wire_ids(row.data), "order": row.order_ref}
    if row.case_id is not None:
        data["case"] = wire(WireId.CASE, row.case_id)
    data = _SHAPES.get(row.type.partition(".")[0], _as_it_is)(data)
    kind = TYPES.get(row.type)
    told = data if kind is None else _builtins(msgspec.convert(data, kind.data))
    return PlatformEvent(id=event_id(row.event_id), type=row.type, timestamp=row.created_at, position=row.position, data=told)


def _with_wire_ids(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _wired(name, value) for name, value in data.items()}


def _wired(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _with_wire_ids(value)
    if name in _IDS and isinstance(value, str) and "_" not in value:
        return wire(_IDS[name], UUID(value))
    return value


def _refund(data: dict[str, Any]) -> dict[str, Any]:
    if "payment" not in data:  # seen elsewhere
        return {**data, "payment": {"id": data["payment_id"], "ref": data["payment_ref"]}}
    payment = data["payment"]
    lines = [
        {
            "type": line["type"],
            "ref": line["ref"],
            "amount": line["amount"],
            "tax": 0 if line["type"] == "charge" else tax_shares([line["before"], line["amount"]], price=line["price"], tax=line["tax"])[1],
        }
        for line in data["lines"] or ()
    ]
    return {**data, "payment": {**payment, "id": wire(WireId.PAYMENT, UUID(payment["id"]))}, "lines": lines}


def _dispute(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "payment": {"id": data["payment_id"], "ref": data["ref"]}}


def _as_it_is(data: dict[str, Any]) -> dict[str, Any]:
    return data


def _case(data: dict[str, Any]) -> dict[str, Any]:
    if "words" not in data:
        return data
    files = [{**one, "id": wire(WireId.ATTACHMENT, UUID(one["id"]))} for one in data.get("attachments", ())]
    return {**data, "agent": data["agent"].partition(":")[2] or data["agent"], "attachments": files}


_SHAPES: Final = {"refund": _refund, "dispute": _dispute, "case": _case}
