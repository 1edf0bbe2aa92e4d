"""What each event carries: the facts as a platform is told them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event carries: no personal data. `order`, `position`, `show` are the platform's references; ids with a prefix are ours."""


class PaymentRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    ref: str
    rail: str | None = None
    provider_ref: str | None = None
    """what the processor calls the payment"""


class RefundLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a refund that is for one line of the order: enough for one line of a credit note."""

    type: Literal["position", "fee", "charge"]
    """`charge`: money that was never owed (taken twice, taken for nothing), so that it is no line's and has no tax"""
    ref: str | None = None
    """the line's, as the platform fed it; none for a charge"""
    amount: int
    """minor units, tax included"""
    tax: int = 0
    """minor units: the tax in `amount`, so that the parts of a line add up to the line's tax"""


class RefundTold(Data, frozen=True, kw_only=True):
    order: str | None = None
    refund: str
    case: str | None = None
    payment: PaymentRef
    amount: int
    """minor units"""
    currency: str
    reason: str
    """the cause: `incident`, `show_cancelled`, `duplicate_charge`, `no_pass`, `remorse` …"""
    lines: tuple[RefundLine, ...] = ()
    rail: str | None = None
    """where it goes; null: people send it"""
    provider_ref: str | None = None
    """what the processor calls the refund"""
    failure: str | None = None
    why: str | None = None


class RefundElsewhere(Data, frozen=True, kw_only=True):
    order: str | None = None
    payment: PaymentRef
    ref: str
    amount: int
    currency: str
    state: str


class AccessTold(Data, frozen=True, kw_only=True):
    """Of a token its id (`jti`), never the token itself."""

    order: str | None = None
    token: str
    access_pass: str = msgspec.field(name="pass")
    position: str
    show: str
    expires_at: datetime


class PassTold(Data, frozen=True, kw_only=True):
    order: str | None = None
    case: str | None = None
    access_pass: str = msgspec.field(name="pass")
    position: str
    shows: tuple[str, ...] = ()
    issuer: Literal["platform", "makegood"]
    barcode: str
    """what the gate scans"""
    replaces: str | None = None
    why: str | None = None
    failure: str | None = None


class CaseTold(Data, frozen=True, kw_only=True):
    case: str
    order: str | None = None
    """none while it is not known who asks"""
    show: str | None = None
    problem: str
    channel: str
    outcome: str | None = None
    """of the newest decision: `approve`, `ask`, `wait`, `deny`, `escalate`"""
    skill: str | None = None
    """of a case that people have: who can do it"""
    joined_to: str | None = None
    wait_for: str | None = None
    wait_ref: str | None = None
    wait_until: datetime | None = None


class FileTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    """`GET /v1/attachments/{id}` has its content"""
    name: str
    type: str
    bytes: int


class ReplyTold(Data, frozen=True, kw_only=True):
    """The one event with words for a customer: say them where the customer wrote to you, and nowhere else."""

    case: str
    order: str | None = None
    show: str | None = None
    problem: str
    channel: str
    """by which the customer wrote last: `api`, `chat`, `phone`, `social`, or `email` of nobody whose address is known"""
    locale: str
    message: str
    agent: str
    """who writes, as the customer may be told"""
    words: str
    attachments: tuple[FileTold, ...] = ()


class EvidenceTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What another team should look at, by its name: a message or note (`msg_…`), an entry's place in the case's timeline, a payment by
    your reference, a pass (`pass_…`). Of a note nothing but its name is told.
    """

    kind: Literal["message", "timeline", "payment", "pass", "note"]
    ref: str
    words: str = ""
    """what it shows, in the agent's words"""


class ReferralTold(Data, frozen=True, kw_only=True):
    """Answer with `POST /v1/referrals/{referral}/answer`."""

    referral: str
    case: str | None = None
    order: str | None = None
    show: str | None = None
    problem: str | None = None
    team: Literal["moderation", "fraud"]
    reason: str
    """`chargeback_risk`, `card_testing`, `pass_sharing`, `scalping`, `account_takeover`, `false_claim`, `abuse`, `threat`, `self_harm`,
    `other`
    """
    holds: bool
    """whether money and passes of the order wait for the answer"""
    question: str | None = None
    evidence: tuple[EvidenceTold, ...] = ()
    answer_by: datetime | None = None
    answer: Literal["cleared", "confirmed", "need_more"] | None = None
    words: str | None = None
    by: str | None = None
    reference: str | None = None
    """the team's own"""


class DisputeTold(Data, frozen=True, kw_only=True):
    order: str | None = None
    payment: PaymentRef
    dispute: str | None = None
    """the processor's reference"""
    warning: str | None = None


class OrderTold(Data, frozen=True, kw_only=True):
    order: str | None = None
    what: str
    about: Mapping[str, Any] = {}


class NoticeTold(Data, frozen=True, kw_only=True):
    """What is said on every widget of a show. Of two that come out of order the one with the later `at` stands."""

    show: str
    text: Mapping[str, str] = {}
    """by language; of `notice.over` nothing"""
    since: datetime
    at: datetime


class EndpointTold(Data, frozen=True, kw_only=True):
    endpoint: str
    name: str = ""
    why: str
    since: datetime | None = None


class PingTold(Data, frozen=True, kw_only=True):
    endpoint: str
