"""What a platform tells us of its shows, incidents and orders: the wire format of the feed, and of everything that imports into it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.model import ActionKind, Mode
from service.model import Problem as CustomerProblem

# One line of text: no control characters, so that it stands in a mail's header and on a screen as it is. `$` alone lets a newline end it.
_LINE = r"^[^\x00-\x1f\x7f]*$(?!\n)"

# Long enough for the longest titles of shows and ticket types that we have seen (about 120), short enough for a line of a letter.
Name = Annotated[str, Meta(min_length=1, max_length=250, pattern=_LINE)]

# The platform's own reference of a thing. It stands in paths, so nothing in it needs quoting; UUIDs, ULIDs and order numbers fit.
Ref = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:~@+-]+$(?!\n)")]

# A processor's reference: Stripe's have up to 66 characters, PayPal's and Adyen's fewer.
ProviderRef = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]

# What a gate scans. A QR code of version 20 holds 500 characters; signed tickets of the systems we know have up to 250.
Barcode = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[ -~]+$(?!\n)")]

# RFC 5321 allows 254 characters in a path; what is behind the @ is the mail server's to judge.
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$(?!\n)")]

Phone = Annotated[str, Meta(min_length=1, max_length=40, pattern=_LINE)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217, alphabetic code")]
Language = Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$(?!\n)", description="RFC 5646")]
# What a player calls its errors: `MEDIA_ERR_DECODE`, `shaka 3016`, `0x8004b82f`.
PlayerError = Annotated[str, Meta(min_length=1, max_length=100, pattern=_LINE)]

Word = Annotated[str, Meta(max_length=60, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]

# Ten billion in a currency of two decimals: above every order, and a thousand of them still add up within a bigint.
Minor = Annotated[int, Meta(ge=0, le=10**12, description="minor units of the currency (ISO 4217)")]
MinorPositive = Annotated[int, Meta(ge=1, le=10**12, description="minor units of the currency (ISO 4217)")]

Instant = Annotated[datetime, Meta(tz=True)]

# A bigint. A counter, or the microseconds of the last change.
Version = Annotated[int, Meta(ge=1, le=2**63 - 1, description="grows with every change; an older one never replaces a newer")]

PositionKind = Literal["stream", "venue", "merchandise", "other"]

# A group order of a hundred tickets exists; above this it is no order of one customer. The same for the parts of one order below.
Positions = Annotated[tuple["PositionFeed", ...], Meta(max_length=1000)]
Fees = Annotated[tuple["FeeFeed", ...], Meta(max_length=100)]
Payments = Annotated[tuple["PaymentFeed", ...], Meta(max_length=100)]
Refunds = Annotated[tuple["RefundFeed", ...], Meta(max_length=200)]

# A festival pass admits to every show of a season.
Shows = Annotated[tuple[Ref, ...], Meta(max_length=100)]

# More languages than any platform offers.
Texts = Annotated[dict[Language, Name], Meta(min_length=1, max_length=50)]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Defaults are left out when a document is encoded again, so that a field added later does not change the hash of older documents."""


# ------------------------------------------------------------------------------------------------ shows


class Article(_Wire, frozen=True, kw_only=True):
    """A help page that fixes a problem."""

    url: Annotated[str, Meta(max_length=2000, pattern=r"^https://[!-~]+$(?!\n)")]
    title: Texts


class ShowCaps(_Wire, frozen=True, kw_only=True):
    """The most that is paid on this show before people look, in minor units by currency; only ever tighter than the installation's."""

    per_customer_and_day: Annotated[dict[Currency, Minor], Meta(max_length=200)] = {}
    per_show_and_hour: Annotated[dict[Currency, Minor], Meta(max_length=200)] = {}


Parameter = bool | int | float | Annotated[str, Meta(max_length=200, pattern=_LINE)]


class ShowFeed(_Wire, frozen=True, kw_only=True):
    """A live show. Its minutes are those between the two instants, also where the clocks change in between."""

    version: Version
    name: Texts
    zone: Annotated[str, Meta(max_length=64, description="IANA time zone, such as Europe/Berlin")]
    starts_at: Instant
    ends_at: Instant
    status: Literal["scheduled", "cancelled", "postponed"] = "scheduled"
    modes: dict[ActionKind, Mode] = {}
    """how far each action may go on this show; what is not named is as the platform has it"""
    caps: ShowCaps = msgspec.field(default_factory=ShowCaps)
    parameters: Annotated[dict[Word, Annotated[dict[Word, Parameter], Meta(max_length=100)]], Meta(max_length=50)] = {}
    """parameters of policy packs that this show sets differently, by pack"""
    articles: dict[CustomerProblem, Article] = {}
    known_errors: Annotated[dict[PlayerError, Article], Meta(max_length=200)] = {}
    """help pages by the code that a player shows, before those by problem"""
    stream_url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s]+$")] | None = None
    """where the stream opens, for letters, with `{show}` and `{token}` filled in; without one, the platform's"""
    playback_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,128}$(?!\n)")] | None = None
    """what the video service that streams it calls it; needed where the platform's edge checks tokens of its own form"""
    rollback: bool = False
    """sales that failed half-way are undone: what a card only holds is let go, what was charged without a ticket is given back"""


class Scope(_Wire, frozen=True, kw_only=True):
    """Whom an incident touched. What is empty does not narrow it; an empty scope is everything that streams."""

    position_kinds: Annotated[tuple[PositionKind, ...], Meta(max_length=4)] = ()
    regions: Annotated[tuple[Ref, ...], Meta(max_length=300)] = ()
    devices: Annotated[tuple[Ref, ...], Meta(max_length=300)] = ()


class IncidentFeed(_Wire, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """Trouble on a show, from an instant to another one, or still running."""

    version: Version
    kind: Word
    since: Instant
    until: Instant | None = None
    scope: Scope = Scope()


# ----------------------------------------------------------------------------------------------- orders


class PersonFeed(_Wire, frozen=True, kw_only=True):
    """A holder who is not the buyer."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None


class BuyerFeed(_Wire, frozen=True, kw_only=True):
    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    """with its country (`+49 170 1234567`), codes can go there by text; any other is kept and not texted"""
    customer_ref: Annotated[str, Meta(min_length=1, max_length=255, pattern=_LINE)] | None = None
    """the platform's own id of this customer: `sub` of the JWTs it signs"""


class PassFeed(_Wire, frozen=True, kw_only=True):
    """What admits the holder. A pass of a position or an order that admits nobody any more is void whatever `status` says."""

    barcode: Barcode
    issuer: Literal["platform", "makegood"] = "platform"
    """who makes a new one when this is lost"""
    status: Literal["valid", "void"] = "valid"
    checked_in_at: Instant | None = None
    delivery: Literal["sent", "bounced", "not_sent"] | None = None
    """of the letter that brings it, where you know: it came back, or should have gone out and did not. Its holder is offered another"""


class PositionFeed(_Wire, frozen=True, kw_only=True, rename={"admission": "pass"}):
    ref: Ref
    kind: PositionKind
    name: Name
    price: Minor
    """what was paid for it, taxes included and after any discount"""
    shows: Shows = ()
    holder: PersonFeed | None = None
    """null: the buyer"""
    tax: Minor = 0
    discount: Minor = 0
    """what it would have cost more without a voucher; for information"""
    canceled: bool = False
    admission: PassFeed | None = None


class FeeFeed(_Wire, frozen=True, kw_only=True):
    ref: Ref
    name: Name
    amount: Minor
    tax: Minor = 0
    refundable: bool = False
    canceled: bool = False


class RefundFeed(_Wire, frozen=True, kw_only=True):
    """A refund that somebody else made. It counts as paid out from `created` on, until it is read as `failed`."""

    ref: Ref
    amount: MinorPositive
    state: Literal["created", "transit", "done", "failed"]
    provider_ref: ProviderRef | None = None
    """the processor's reference: tells one of ours, told back to us, from another one of the same amount and day"""
    created_at: Instant | None = None


class PaymentFeed(_Wire, frozen=True, kw_only=True):
    """One charge. `rail` null: it was taken outside every rail (a bank transfer, cash), and people refund it."""

    ref: Ref
    status: Literal["pending", "confirmed", "failed", "cancelled"]
    amount: Minor
    captured: Minor
    created_at: Instant
    rail: Word | None = None
    provider_ref: ProviderRef | None = None
    currency: Currency | None = None
    """when it is given, it has to be the order's"""
    method: Annotated[str, Meta(max_length=60, pattern=_LINE)] = ""
    """what a customer recognises: Visa 4242"""
    paid_at: Instant | None = None
    dispute: Literal["none", "open", "won", "lost"] = "none"
    disputed_amount: MinorPositive | None = None
    """null: all that is left of the payment"""
    refunds_elsewhere: Refunds = ()


class OrderFeed(_Wire, frozen=True, kw_only=True):
    """An order, whole: what is not named any more is cancelled (a position, a fee) or kept as a fact (money)."""

    version: Version
    status: Literal["paid", "pending", "expired", "cancelled"]
    currency: Currency
    total: Minor
    """between the sum of the lines that stand and the sum of all of them"""
    buyer: BuyerFeed
    placed_at: Instant
    locale: Language = "en"
    cancelled_at: Instant | None = None
    positions: Positions = ()
    fees: Fees = ()
    payments: Payments = ()
