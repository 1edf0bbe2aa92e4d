"""The platform behind the demo's show page: an order for each visitor, and troubles that are brought about as they really come."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import msgspec

from integrations.sandbox_books import Fault, Script
from service.api.host_demo import Bought, Entered, Letter, NotHere, Outage, Stands, State, Switch
from service.demo.contacts import NAMES
from service.demo.night import AUDIENCE, ISSUER, RAIL, Night
from service.demo.people import Client, signed_in
from service.demo.visit import sign_in_link
from service.demo.world import STREAM, Item, bearer
from service.ports import Mail, Text, Unavailable
from service.store.outbox import OutboxStore
from service.widget_build import embed_line

SHOW: Final = "nll26"
PRICE: Final = 2500
CURRENCY: Final = "EUR"
CARD: Final = "Visa ·· 4242"
_ITEM: Final = Item(kind=STREAM, name="Livestream ticket", price=PRICE)
_NAME: Final = {
    "en": "Northern Lights Live",
    "de": "Northern Lights Live",
    "fr": "Northern Lights Live",
    "es": "Northern Lights Live",
    "ja": "ノーザンライツ・ライブ",
    "ar": "نورذرن لايتس لايف",
}
# The show has been on for 40 minutes, and is put back to that before an outage would no longer lie within it.
_ON_FOR: Final = timedelta(minutes=40)
_ON_FOR_MAX: Final = timedelta(minutes=55)
_MINUTES: Final = 90
# The show gives a share of a tenth and more, and nobody wants to wait nine minutes for it. So the clock is set back once an outage is over,
# and the page says so: it has then lasted 25 minutes at least, 6.94 of 25.00.
OUTAGE: Final = timedelta(minutes=25)
_INCIDENT: Final = "outage"
# Long before the show, so that nothing about it is new.
_BOUGHT_BEFORE: Final = timedelta(days=10)
# Browsers that look at one demo; the oldest is forgotten, and its page gets another order.
VISITORS_MAX: Final = 200
_LETTERS_MAX: Final = 20
# What a platform is told of while a page looks: a busy evening has a handful a second.
_EVENTS_MAX: Final = 500
_NOTICE: Final = {
    "en": "We know: the stream stutters for some viewers. Our engineers are on it, and you need do nothing.",
    "de": "Wir wissen Bescheid: Bei einigen ruckelt der Stream. Unsere Technik ist dran, Sie müssen nichts tun.",
    "fr": "Nous sommes au courant : le direct saccade chez certains. Nos techniciens s'en occupent, vous n'avez rien à faire.",
    "es": "Lo sabemos: la emisión va a saltos para algunas personas. Nuestro equipo técnico está en ello; no tiene que hacer nada.",
    "ja": "把握しています。一部の方で配信が途切れています。技術担当が対応中です。何もする必要はありません。",
    "ar": "نحن على علم بذلك: يتقطع البث عند بعض المشاهدين. فريقنا التقني يعمل على الأمر، ولا يلزمك فعل أي شيء.",
}


class _Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """A browser, and what the platform has of whom it stands for."""

    ref: str
    name: str
    email: str
    phone: str
    placed_at: datetime
    barcode: str
    pass_id: str = ""
    link: str = ""
    """the token of the newest link that the platform has been told of"""
    charges: int = 1
    card_closed: bool = False
    case: str | None = None

    @property
    def customer_ref(self) -> str:
        return f"customer-{self.ref.lower()}"

    @property
    def payments(self) -> tuple[str, ...]:
        return tuple(f"ch_{self.ref}_{number}" for number in range(1, self.charges + 1))


class Host:
    """`HostDemo`, once `opens` has been called."""

    def __init__(self) -> None:
        self._opened: Night | None = None
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._by_order: dict[str, str] = {}
        self._count = 0
        self._heard = 0
        self._starts_at = datetime.fromtimestamp(0, UTC)
        self._outage: Outage | None = None
        self._noticed = False
        self._turn = asyncio.Lock()

    async def opens(self, night: Night) -> None:
        """From now on pages are served: the show is on, and nothing of a demo before this one is left running."""
        self._opened = night
        self._heard = (await OutboxStore(night.pool).head(night.desk.platform_id)).position
        await self._puts_show()
        await self._ends_what_was()

    # ------------------------------------------------------------------------------------------- what the page asks

    def embed(self) -> str:
        return embed_line(self._night.address, self._night.desk.slug, show=SHOW)

    async def come(self, visitor: str) -> Entered:
        async with self._alone():
            await self._stays_on()
            if visitor not in self._visitors:
                await self._buys(visitor)
            here = self._here(visitor)
            bought = Bought(
                order=here.ref,
                name=here.name,
                email=here.email,
                phone=here.phone,
                item=_ITEM.name,
                price=PRICE,
                currency=CURRENCY,
                card=CARD,
                starts_at=self._starts_at,
                ends_at=self._starts_at + timedelta(minutes=_MINUTES),
            )
            return Entered(platform=self._night.desk.slug, show=SHOW, bought=bought, state=await self._state(visitor, None))

    async def sign_in(self, visitor: str) -> str:
        """Who signed in with a passkey a moment ago: the platform may say so, and money may go where they choose."""
        return signed_in(
            self._night.signing_secret,
            subject=self._here(visitor).customer_ref,
            issuer=ISSUER,
            audience=AUDIENCE,
            second_factor=True,
        )

    async def switch(self, visitor: str, name: Switch, *, on: bool) -> State:
        async with self._alone():
            here = self._here(visitor)
            await self._hears()
            if name == "stream_down":
                await self._stream(down=on)
            elif name == "notice":
                await self._notices(on=on)
            elif name == "link_dead":
                await self._link(visitor, dead=on)
            elif name == "charged_twice" and on and here.charges == 1:
                await self._charges_again(visitor)
            elif name == "card_closed":
                await self._card(visitor, closed=on)
            return await self._state(visitor, None)

    async def state(self, visitor: str, token: str | None = None) -> State:
        async with self._alone():
            self._here(visitor)
            await self._stays_on()
            await self._hears()
            return await self._state(visitor, token)

    async def mailbox(self, visitor: str) -> tuple[Letter, ...]:
        return tuple(reversed(self._letters(self._here(visitor))))[:_LETTERS_MAX]

    async def desk_link(self) -> str:
        return await sign_in_link(self._night, "Mira")

    # --------------------------------------------------------------------------------------------------- the troubles

    async def _stream(self, *, down: bool) -> None:
        """Down since now, as who presses it sees; back, it has been down for long enough to give a share."""
        if down == self._is_down:
            return
        now = datetime.now(UTC).replace(microsecond=0)
        since = self._outage.since if self._outage and not down else now
        await self._tells(Outage(since=now, until=None) if down else Outage(since=min(since, now - OUTAGE), until=now))

    async def _notices(self, *, on: bool) -> None:
        """One for every widget of the show, as a lead at the desk says it."""
        if on == self._noticed:
            return
        lead = Client(self._night.client, lambda: bearer(self._night.desk.lead))
        if on:
            await lead.put(f"/v1/shows/{SHOW}/notice", {"text": _NOTICE, "reason": "the demo's switch"})
        else:
            await lead.delete(f"/v1/shows/{SHOW}/notice?reason=the+demo%27s+switch")
        self._noticed = on

    async def _link(self, visitor: str, *, dead: bool) -> None:
        """Dead: the shop blocks the ticket for a check and lets it go again. Its link stays dead until another one is asked for."""
        here = self._here(visitor)
        if dead:
            await self._feeds(here, ticket="void")
            await self._feeds(here)
        else:
            await self._gets_link(visitor)

    async def _charges_again(self, visitor: str) -> None:
        """The processor charges the order once more, and the shop's next word on it has both."""
        await self._feeds(self._changed(visitor, charges=2))

    async def _card(self, visitor: str, *, closed: bool) -> None:
        """Closed: the bank refuses what comes back to that card. So that something does, the order was charged twice."""
        here = self._here(visitor)
        if closed and here.charges == 1:
            await self._charges_again(visitor)
        here = self._changed(visitor, card_closed=closed)
        for payment in here.payments:
            await self._night.books.clear_payment(payment)
            if closed:
                script = Script(fault=Fault.FAILED, times=None, payment_ref=payment, detail="expired_or_canceled_card")
                await self._night.books.script(script)

    # ---------------------------------------------------------------------------------------------------- the feed

    async def _buys(self, visitor: str) -> None:
        ref, name = secrets.token_hex(4).upper(), NAMES[self._count % len(NAMES)]
        here = _Visitor(
            ref=ref,
            name=name,
            email=f"{name.split()[0].lower()}.{ref.lower()}@example.org",
            # A range that is given to nobody, for films and demos.
            phone=f"+49176040690{self._count % 100:02d}",
            placed_at=datetime.now(UTC).replace(microsecond=0) - _BOUGHT_BEFORE,
            barcode=secrets.token_hex(12),
        )
        self._count += 1
        await self._feeds(here)
        seen = await self._night.shop.seen(ref)
        self._visitors[visitor] = msgspec.structs.replace(here, pass_id=seen["lines"][0]["passes"][0]["id"])
        self._by_order[ref] = visitor
        while len(self._visitors) > VISITORS_MAX:
            _, gone = self._visitors.popitem(last=False)
            self._by_order.pop(gone.ref, None)
        await self._gets_link(visitor)

    async def _feeds(self, here: _Visitor, *, ticket: str = "valid") -> None:
        """The whole order, as the shop has it now; what its processor charged is in the sandbox's books."""
        admission = {"barcode": here.barcode, "issuer": "makegood", "status": ticket}
        position = {"ref": "1", "kind": _ITEM.kind, "name": _ITEM.name, "price": PRICE, "shows": [SHOW], "pass": admission}
        await self._night.shop.order(
            SHOW,
            [_ITEM],
            ref=here.ref,
            charges=here.charges,
            currency=CURRENCY,
            buyer={"name": here.name, "email": here.email, "phone": here.phone, "customer_ref": here.customer_ref},
            placed_at=_text(here.placed_at),
            positions=[position],
            payments=[_payment(here, number) for number in range(1, here.charges + 1)],
        )

    async def _puts_show(self) -> None:
        self._starts_at = datetime.now(UTC).replace(microsecond=0) - _ON_FOR
        link = f"{self._night.address}/demo/#t={{token}}"
        await self._night.shop.show(
            SHOW, starts_in=-_ON_FOR, minutes=_MINUTES, name=_NAME, starts_at=_text(self._starts_at), stream_url=link
        )

    @property
    def _is_down(self) -> bool:
        return self._outage is not None and self._outage.until is None

    async def _tells(self, outage: Outage) -> None:
        await self._night.shop.incident(SHOW, _INCIDENT, outage.since, outage.until)
        self._outage = outage

    async def _ends_what_was(self) -> None:
        """An outage of a demo before this one was before this show: nobody who comes now is offered a share of it."""
        if _INCIDENT in {one["ref"] for one in (await self._platform.get(f"/v1/shows/{SHOW}"))["incidents"]}:
            await self._night.shop.incident(SHOW, _INCIDENT, self._starts_at - OUTAGE, self._starts_at)

    async def _stays_on(self) -> None:
        """Before the show would be over it is put back; an outage that is over stays in what was before."""
        if datetime.now(UTC) - self._starts_at > _ON_FOR_MAX:
            await self._puts_show()
            if self._outage and self._outage.until and self._outage.until <= self._starts_at:
                self._outage = None

    # ------------------------------------------------------------------------------------------------- how it stands

    async def _state(self, visitor: str, token: str | None) -> State:
        here = self._here(visitor)
        edge = Client(self._night.client, lambda: bearer(self._night.desk.edge))
        link = (await edge.post("/v1/access/check", {"token": token or here.link, "show": SHOW}))["allowed"]
        ticket = (
            link if token in {None, here.link} else (await edge.post("/v1/access/check", {"token": here.link, "show": SHOW}))["allowed"]
        )
        twice = await self._charged_twice(here)
        switches: dict[Switch, Stands] = {
            "stream_down": "on" if self._is_down else "off",
            "link_dead": "off" if ticket else "on",
            "charged_twice": twice,
            "card_closed": "made_good" if here.card_closed and twice == "made_good" else "on" if here.card_closed else "off",
            "notice": "on" if self._noticed else "off",
        }
        return State(
            link="open" if link else "dead",
            token=here.link,
            switches=switches,
            mails=len(self._letters(here)),
            case=here.case,
            outage=self._outage,
        )

    async def _charged_twice(self, here: _Visitor) -> Stands:
        """As the sandbox's own books have it, of the card or of what pays out in its place."""
        if here.charges == 1:
            return "off"
        second = here.payments[-1]
        paid = (await self._night.books.line(second)).refunded_minor
        if not paid and here.card_closed:
            paid = await self._paid_out(second)
        return "made_good" if paid >= PRICE else "on"

    async def _paid_out(self, payment: str) -> int:
        try:
            return (await self._night.backup.line(payment)).refunded_minor
        except KeyError:
            return 0

    async def _hears(self) -> None:
        """What the platform is told of by Makegood: that a link was made anew, so that the player is given it; and of cases."""
        path = f"/v1/events?after={self._heard}&limit={_EVENTS_MAX}&types=access.issued&types=case.opened"
        for event in (await self._platform.get(path))["events"]:
            self._heard = event["position"]
            visitor = self._by_order.get(event["data"].get("order") or "")
            if visitor is None:
                continue
            if event["type"] == "access.issued":
                await self._gets_link(visitor)
            else:
                self._changed(visitor, case=event["data"]["case"])

    async def _gets_link(self, visitor: str) -> None:
        wanted = {"pass_id": self._here(visitor).pass_id, "show": SHOW}
        self._changed(visitor, link=(await self._platform.post("/v1/access/tokens", wanted))["token"])

    def _letters(self, here: _Visitor) -> tuple[Letter, ...]:
        return tuple(_letter(one) for one in self._night.mails.received(here.email, here.phone))

    def _here(self, visitor: str) -> _Visitor:
        if (found := self._visitors.get(visitor)) is None:
            raise NotHere
        return found

    def _changed(self, visitor: str, **what: Any) -> _Visitor:
        self._visitors[visitor] = found = msgspec.structs.replace(self._here(visitor), **what)
        return found

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One thing at a time: two pages of one visitor may ask together. Raises Unavailable while the demo stops."""
        async with self._turn:
            try:
                yield
            except httpx.HTTPError as error:
                raise Unavailable(f"the demo does not answer itself: {type(error).__name__}") from error

    @property
    def _night(self) -> Night:
        if self._opened is None:
            raise NotHere
        return self._opened

    @property
    def _platform(self) -> Client:
        return Client(self._night.client, lambda: bearer(self._night.desk.platform))


def _payment(here: _Visitor, number: int) -> dict[str, Any]:
    at = _text(here.placed_at + timedelta(minutes=number - 1))
    return {
        "ref": f"P{number}",
        "rail": RAIL,
        "provider_ref": here.payments[number - 1],
        "status": "confirmed",
        "amount": PRICE,
        "captured": PRICE,
        "method": CARD,
        "paid_at": at,
        "created_at": at,
    }


def _letter(one: Mail | Text) -> Letter:
    if isinstance(one, Text):
        return Letter(kind="text", to=one.to, subject="", text=one.body)
    return Letter(kind="mail", to=one.to, subject=one.subject, text=one.text)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
