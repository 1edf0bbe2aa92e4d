"""The words of the design as types: money, ids, problems, states. Pure, and imported by everything."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

Json = Mapping[str, Any]


class Problem(StrEnum):
    PASS_MISSING = "pass_missing"
    PASS_LOST = "pass_lost"
    PASS_LEAKED = "pass_leaked"
    LINK_DEAD = "link_dead"
    WRONG_DEVICE = "wrong_device"
    TOO_MANY_DEVICES = "too_many_devices"
    CANNOT_SIGN_IN = "cannot_sign_in"
    WILL_NOT_PLAY = "will_not_play"
    BUFFERING = "buffering"
    DEVICE_UNSUPPORTED = "device_unsupported"
    STREAM_OUTAGE = "stream_outage"
    SHOW_CANCELLED = "show_cancelled"
    SHOW_POSTPONED = "show_postponed"
    CHARGED_TWICE = "charged_twice"
    CHARGED_NO_PASS = "charged_no_pass"
    PAYMENT_PENDING = "payment_pending"
    CHARGED_AFTER_CANCELLING = "charged_after_cancelling"
    WANTS_REFUND = "wants_refund"
    MERCH_WRONG = "merch_wrong"
    MERCH_MISSING = "merch_missing"
    ACCESSIBILITY = "accessibility"
    ABUSE = "abuse"
    FRAUD = "fraud"
    OTHER = "other"


class Channel(StrEnum):
    WIDGET = "widget"
    EMAIL = "email"
    CHAT = "chat"
    PHONE = "phone"
    SOCIAL = "social"
    API = "api"


# What a case waits for whose platform's own system does not answer.
PLATFORM_ANSWERS: Final = "platform_answers"

# Kinds of pay-outs that go to a mail address; the others find their customer by the order.
ADDRESSED: Final = frozenset({"paypal_payout", "sandbox_payout"})


DeskAction = Literal["refund", "reissue_access", "resend_pass", "replace_pass", "void_pass"]
"""what an agent may do; the other actions are the policy's"""

Cause = Literal["incident", "show_cancelled", "show_postponed", "duplicate_charge", "no_pass", "remorse", "goodwill"]
"""why an agent gives money back"""


class ActionKind(StrEnum):
    REFUND = "refund"
    REISSUE_ACCESS = "reissue_access"
    RESEND_PASS = "resend_pass"
    REPLACE_PASS = "replace_pass"
    VOID_PASS = "void_pass"
    GOODWILL_CREDIT = "goodwill_credit"


class IdentityLevel(StrEnum):
    ANONYMOUS = "anonymous"
    CLAIMED = "claimed"
    VERIFIED = "verified"
    STRONG = "strong"

    def at_least(self, other: IdentityLevel) -> bool:
        order = list(IdentityLevel)
        return order.index(self) >= order.index(other)


class Mode(StrEnum):
    WATCH = "watch"
    SUGGEST = "suggest"
    ACT = "act"


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in ISO 4217 minor units."""

    minor: int
    currency: str


# ISO 4217 currencies that do not have two decimals (source: ISO 4217 list one, column "minor unit").
_EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),  # noqa: SIM905 - reads as the list does
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    "CLF": 4,
    "UYW": 4,
}


def exponent(currency: str) -> int:
    """Decimals of a currency under ISO 4217. Adapters keep a table of their own where a processor differs."""
    return _EXPONENTS.get(currency, 2)


class WireId(StrEnum):
    """The type prefixes that ids carry on the wire."""

    CASE = "case"
    OPERATION = "op"
    CONTACT = "contact"
    MESSAGE = "msg"
    PREVIEW = "prev"
    ATTACHMENT = "att"
    DECISION = "dec"
    PASS = "pass"
    POSITION = "pos"
    PAYMENT = "pay"
    ORDER = "order"
    SHOW = "show"
    INCIDENT = "inc"
    PERSON = "person"
    SESSION = "sess"
    KEY = "key"
    AGENT = "agent"
    ENDPOINT = "ep"
    REFERRAL = "referral"


def new_id() -> UUID:
    """A fresh UUIDv7: ordered by time, so that indexes stay dense."""
    return uuid7()


def wire(kind: WireId, value: UUID) -> str:
    """`case_0192…`: what the API shows of an id."""
    return f"{kind}_{value.hex}"


def unwire(kind: WireId, text: str) -> UUID | None:
    """The id behind a wire id, or None when the text is not one of that kind."""
    prefix, _, digits = text.partition("_")
    if prefix != kind or len(digits) != 32:
        return None
    try:
        return UUID(hex=digits)
    except ValueError:
        return None
