"""What Makegood needs from the outside: one small Protocol a capability, and the three ways in which a call can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

import msgspec

from service.feed import OrderFeed, ShowFeed
from service.model import Money


class Declined(Exception):  # noqa: N818 - a word of the design
    """They said no, for good: nothing happened and repeating the same request cannot help.

    `code` is ours (`already_refunded`, `disputed`, `amount_too_large`, `not_found`, `idempotency_misuse`, `declined`, `unsupported`,
    `bug`); `detail` is the other side's own code, never personal data.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class Unavailable(Exception):  # noqa: N818 - a word of the design
    """Nothing happened. `never_sent`: it never left this machine; `configuration`: a key or permission is wrong, stop and alert."""

    def __init__(
        self,
        detail: str,
        *,
        never_sent: bool = False,
        retry_after_seconds: float | None = None,
        configuration: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.never_sent = never_sent
        self.retry_after_seconds = retry_after_seconds
        self.configuration = configuration


class OutcomeUnknown(Exception):  # noqa: N818 - a word of the design
    """It may have happened. The only cure is the same request with the same key, or reading the other side."""


# ------------------------------------------------------------------------------------------------ money


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One refund of one payment. Stored with its attempt before it is sent, and sent again byte for byte."""

    operation_id: UUID
    attempt_id: UUID
    payment_ref: str
    """the processor's reference of the payment: `pi_…`, `ch_…`"""
    amount: Money
    reason: Literal["duplicate", "requested_by_customer"]
    destination: str = ""
    """of a pay-out: the address that the customer chose; filled in when it is sent, never stored with the attempt"""
    provider_ref: str = ""
    """what the processor called it, where it has said so; filled in for a second look, since some find it by nothing else"""


class RefundSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A refund or a pay-out as the processor tells it."""

    provider_ref: str
    state: Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"]
    amount: Money
    attempt_id: UUID | None = None
    """ours, when the processor kept our reference"""
    operation_id: UUID | None = None
    """ours, likewise"""
    failure: str = ""
    """our word for the processor's reason, when FAILED: `expired_or_canceled_card`, `lost_or_stolen_card`, `declined`,
    `insufficient_funds`, `charge_for_pending_refund_disputed`, `merchant_request`, `unclaimed`, `unknown`"""
    waiting: Literal["", "insufficient_funds", "customer"] = ""
    """what an ACCEPTED one waits for: the balance of the account, or the customer (to claim it, to give bank details)"""
    at: datetime | None = None
    """when the processor made it"""


class PaymentSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the processor tells it now."""

    payment_ref: str
    captured: Money
    refunded_minor: int
    disputed: bool
    refunds: tuple[RefundSeen, ...]
    authorised_minor: int = 0
    """held on the card and not captured: it can be cancelled, and costs nobody anything"""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter can do and what its processor promises."""

    pays: Literal["back", "out"]
    """`back`: refunds payments that it captured. `out`: pays to a destination that a customer chose."""
    reads: bool
    """whether find() and payment() can tell; where not, the processor's signed notification is the evidence"""
    key_lifetime_seconds: int
    """how long after the first sending the same key is safe to send again"""
    calls_per_second: float | None
    """the most that is sent unless the installation says otherwise; None: no pace"""
    accepted_seconds_max: float
    """a refund that was accepted and has no end by then is for people"""


class RefundRail(Protocol):
    """One configured account at a processor. Amounts are ISO minor units; the adapter converts to the processor's own exponents."""

    name: str
    traits: Traits

    def step(self, currency: str) -> int:
        """The smallest amount it can pay in that currency, in ISO minor units; every amount has to be a multiple. 0: not at all."""

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Send once. Raises Declined, Unavailable, OutcomeUnknown; never retries by itself."""

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """Look for what this attempt may have made. None proves nothing: it may still be on its way, or nobody can be asked.

        Raises Unavailable.
        """

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """Read the payment afresh. Raises Declined("not_found"), Declined("unsupported") where nobody can be asked, Unavailable."""

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every refund or pay-out that the account made in that time, whoever asked for it, for audits and after a restored backup.

        Raises Declined("unsupported") where the processor has no such list, Unavailable.
        """

    async def check(self) -> str:
        """One cheap read that proves address and key, for `doctor`; returns what to show. Raises Unavailable."""


@runtime_checkable
class ReadsByReference(Protocol):
    """Of rails that keep no list, and tell of one pay-out by the reference that they gave it."""

    async def read_batch(self, provider_ref: str, /) -> RefundSeen:
        """The pay-out as it is now. Raises Declined("not_found"), Declined("unsupported") where it is not one alone, Unavailable."""


class Authorisations(Protocol):
    """Of rails that can let go of what a card holds and nobody captured."""

    async def cancel(self, payment_ref: str, *, key: str) -> None:
        """The hold is released; nothing was or will be captured. Same key, same answer. Raises Declined, Unavailable, OutcomeUnknown."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One refund in a processor's own list or report."""

    payment_ref: str
    also_known_as: str = ""
    """the payment's other name, where it has two (Stripe: intent and charge) and the platform may have fed us either"""
    refund: RefundSeen


# --------------------------------------------------------------------------------------------- notifications


class RefundNews(msgspec.Struct, frozen=True, kw_only=True):
    """A refund, ours or somebody else's, as it stands now."""

    payment_ref: str
    refund: RefundSeen


class DisputeNews(msgspec.Struct, frozen=True, kw_only=True):
    """A bank takes a payment back, or asks for it, or has given up."""

    payment_ref: str
    dispute_ref: str
    state: Literal["open", "won", "lost"]
    amount: Money


class WarningNews(msgspec.Struct, frozen=True, kw_only=True):
    """A bank believes that a payment is fraud; nobody has disputed it yet."""

    payment_ref: str
    warning_ref: str


News = RefundNews | DisputeNews | WarningNews


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One verified notification: what of it is kept. `about` holds references and amounts, never a name, an address or card details."""

    id: str
    """the processor's own, the same for each delivery"""
    kind: str
    happened_at: datetime | None
    about: Mapping[str, str]


class Forged(Exception):  # noqa: N818 - says what is wrong
    """A notification that nobody can vouch for: no signature, a wrong one, or one that is too old."""


class Notifications(Protocol):
    """The webhook of one rail."""

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        """Verify the raw bytes and take out the events. Header names are lower case.

        Raises Forged, ValueError for what cannot be read, Unavailable where the processor itself has to be asked.
        """

    async def news(self, event: Event) -> Sequence[News]:
        """What the event means now: its object read afresh where the processor can be asked, else the verified item itself.

        Empty for kinds that mean nothing to us. Raises Unavailable.
        """

    def missed(self, since: datetime) -> AsyncIterator[Event]:
        """Events that the processor could not deliver; none where it keeps no list. Raises Unavailable."""

    reply: bytes
    """what the processor wants to read back"""


@runtime_checkable
class AsksProcessor(Protocol):
    """Of webhooks whose posts only the processor itself can tell from forgeries: each that looks like one costs it a question."""

    def worth_asking(self, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """Looks at all that can be told without asking. Raises Forged, ValueError."""


# ------------------------------------------------------------------------------------------------- mail


class MailFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    """media type: `application/pdf`"""
    content: bytes


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address, already rendered. `message_key` makes the Message-ID stable over retries."""

    to: str
    subject: str
    text: str
    html: str
    message_key: UUID
    language: str = "en"
    reply_to: str | None = None
    sender: str | None = None
    images: Mapping[str, bytes] = {}
    """PNG images by content id, shown inline"""
    files: tuple[MailFile, ...] = ()
    """attached, to be saved"""


class Mailer(Protocol):
    async def send(self, mail: Mail) -> str:
        """Hand over to the mail server; returns its reference. Raises Declined, Unavailable, OutcomeUnknown."""

    async def check(self) -> str:
        """Connect and greet, for `doctor`; returns what to show. Raises Unavailable."""


# ------------------------------------------------------------------------------------------------ texts


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """One short message to one phone (E.164). `message_key` is the same over retries. It does not print itself: it may hold a code."""

    to: str
    body: str
    """up to 160 letters of the GSM alphabet are one message, or 70 of any other"""
    message_key: UUID

    def __repr__(self) -> str:
        return "Text(...)"


class Texter(Protocol):
    async def send(self, text: Text) -> str:
        """Hand over to whoever sends texts, once; returns their reference. Each text costs money: what may have left is OutcomeUnknown.

        Raises Declined (a number that cannot be, or that takes none), Unavailable, OutcomeUnknown.
        """

    async def check(self) -> str:
        """One cheap call that proves address and key, for `doctor`; returns what to show. Raises Unavailable."""


# ----------------------------------------------------------------------------------------------- passes


class NewPass(msgspec.Struct, frozen=True, kw_only=True):
    barcode: str
    issuer_ref: str = ""


class PassIssuer(Protocol):
    """Who makes passes when the platform does: its gate has to know the new barcode before the old one dies."""

    async def replace(self, *, order_ref: str, position_ref: str, key: str) -> NewPass:
        """A new barcode; the old one is refused from then on. Same key, same answer. Raises Declined, Unavailable, OutcomeUnknown."""

    async def void(self, *, order_ref: str, position_ref: str, key: str) -> None:
        """The pass admits nobody any more. Same key, same answer. Raises Declined, Unavailable, OutcomeUnknown."""


# ----------------------------------------------------------------------------------------- order systems


class FetchedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as its platform tells it now, with the shows that it admits to where the platform told those too."""

    ref: str
    order: OrderFeed
    shows: Mapping[str, ShowFeed] = {}


class ChangedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some orders that changed, and where to go on once they are stored."""

    orders: tuple[FetchedOrder, ...]
    cursor: str
    not_understood: Mapping[str, str] = {}
    """order -> why nothing of it can be taken in: names fields, never people. The others are unharmed by it"""


class OrderSource(Protocol):
    """A platform whose orders we can read ourselves."""

    async def fetch(self, ref: str) -> FetchedOrder | None:
        """The order now. None: the platform says that there is no such order.

        Raises Declined("unsupported") for an order that cannot be understood (people look at it), Unavailable.
        """

    def changed(self, cursor: str) -> AsyncIterator[ChangedPage]:
        """Orders that changed since `cursor` ("" is: from the beginning), each page with the cursor to keep once it is stored.

        An order may come twice, and never not at all. Raises Unavailable.
        """


# ------------------------------------------------------------------------------------------ who is told


class EventTold(Protocol):
    """One event as a platform is told it; `id` is the same each time it is told."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def timestamp(self) -> datetime: ...
    @property
    def position(self) -> int: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


class Told(Protocol):
    """Whoever is told in our own process what platforms are told by webhook: in the order of each order's events, at least once."""

    async def told(self, event: EventTold) -> None:
        """Taken in for good. Raises Declined (people see it, and it is told no more), Unavailable, OutcomeUnknown: it is told again.

        Unavailable with `never_sent` or `retry_after_seconds` says that all others would fail too.
        """


class HookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver of webhooks said; what else stood in its answer is not read."""

    status: int
    retry_after_seconds: float | None = None


class Hooks(Protocol):
    """Posts webhooks to addresses that platforms have named: to the outside only, unless the installation says otherwise."""

    def refusal(self, url: str) -> str | None:
        """Why nothing is ever posted there, in words for whoever named it; None: it may be tried."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookAnswer:
        """Post once; follows no redirect. Raises Unavailable (never sent), OutcomeUnknown."""
