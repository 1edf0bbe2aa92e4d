"""What a scenario is played on: three shows, people with clients of their own, a mailbox, and the books to compare with."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from integrations.sandbox_books import Fault, LedgerLine, Script
from service.demo.journal import Journal
from service.demo.night import AUDIENCE, ISSUER, REQUEST_SECONDS_MAX, Mailbox, Night
from service.demo.people import Agent, Client, Edge, Fan, Guest, Json, signed_in
from service.demo.world import MERCHANDISE, STREAM, Bought, Item, bearer
from service.ports import Mail

LIVE, OVER, CANCELLED = "northern-lights", "harbour-sessions", "winter-gala"
SHOW_MINUTES: Final = 90
# As long as the show has been on when the play begins: an outage of 25 minutes lies behind us, and there is time to play on.
LIVE_SINCE: Final = timedelta(minutes=40)

PLATFORM: Final[Mapping[str, Any]] = {
    "name": "Northern Lights Live",
    "languages": ["en", "de", "fr", "es", "ja", "ar"],
    "zone": "Europe/Berlin",
    "sender": "tickets@northern-lights.example",
    "contacts": {"support": "our team, help@northern-lights.example", "email": "help@northern-lights.example"},
    "accent": "#0b6e5f",
}

_NAMES: Final = ("Ada", "Ben", "Chiara", "Deniz", "Emil", "Farah", "Greta", "Hugo", "Ines", "Jakub", "Kaja", "Liam", "Mei", "Noor", "Otto")


class NotAsItShould(Exception):  # noqa: N818 - says what happened
    """Something that a scenario promises did not come true."""


def ticket(price: int = 4500) -> Item:
    return Item(kind=STREAM, name="Stream ticket", price=price)


def shirt(price: int = 3000) -> Item:
    return Item(kind=MERCHANDISE, name="T-shirt", price=price)


class Stage:
    """Set by `open_stage`. People are made when they are asked for; their connections end with the stage."""

    def __init__(self, night: Night, journal: Journal, clients: AsyncExitStack) -> None:
        self._night = night
        self._clients = clients
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._sold: list[Bought] = []
        self._platform: Client | None = None
        self.journal = journal
        self.mails: Mailbox = night.mails

    # --------------------------------------------------------------------------------------------- what is on

    async def show(self, ref: str) -> Json:
        return await (await self.platform()).get(f"/v1/shows/{ref}")

    async def incident(self, minutes: int, *, running: str = "") -> str:
        """A stream outage on the live show from its tenth minute on, for so many minutes; `running` ends one that had no end yet."""
        since = datetime.fromisoformat((await self.show(LIVE))["starts_at"]) + timedelta(minutes=10)
        ref = running or f"outage-{secrets.token_hex(4)}"
        await self._night.shop.incident(LIVE, ref, since, since + timedelta(minutes=minutes))
        self.journal.say("platform", "platform", f"the stream was down for {minutes} of {SHOW_MINUTES} minutes, and is back")
        return ref

    async def incident_begins(self) -> str:
        since = datetime.fromisoformat((await self.show(LIVE))["starts_at"]) + timedelta(minutes=10)
        ref = f"outage-{secrets.token_hex(4)}"
        await self._night.shop.incident(LIVE, ref, since)
        self.journal.say("platform", "platform", "the stream is down")
        return ref

    async def sells(self, show: str, items: Sequence[Item], **more: Any) -> Bought:
        """A fresh order of somebody; `more` as `Shop.order` takes it."""
        ref = secrets.token_hex(4).upper()
        name = _NAMES[len(self._sold) % len(_NAMES)]
        bought = await self._night.shop.order(show, items, ref=ref, name=name, customer_ref=f"customer-{ref.lower()}", **more)
        self._sold.append(bought)
        return bought

    async def elsewhere(self) -> Stage:
        """The same evening at another platform of the installation, which keeps its orders in a system of its own."""
        if self._night.neighbour is None:
            raise LookupError("there is no other platform")
        await set_shows(self._night.neighbour)
        return Stage(self._night.neighbour, self.journal, self._clients)

    # ---------------------------------------------------------------------------------------------- who is there

    async def fan(self, order: Bought, *, second_factor: bool = False) -> Fan:
        """The buyer, signed in at the platform, which says so in a JWT of its own."""

        def headers() -> Mapping[str, str]:
            token = signed_in(
                self._night.signing_secret,
                subject=order.customer_ref,
                issuer=ISSUER,
                audience=AUDIENCE,
                second_factor=second_factor,
            )
            return {**bearer(token), "Makegood-Platform": self._night.desk.slug}

        return Fan(order.buyer, await self._client(headers), self.journal, self.seen)

    async def guest(self, name: str) -> Guest:
        """Somebody nobody knows yet."""
        anyone = await self._client(lambda: {"Makegood-Platform": self._night.desk.slug})
        token = (await anyone.post("/v1/sessions", {}))["token"]
        client = await self._client(lambda: bearer(token))
        return Guest(name, client, self.journal, self.seen, self.mails)

    async def agent(self) -> Agent:
        return Agent("Mira", await self._client(lambda: bearer(self._night.desk.agent)), self.journal)

    async def lead(self) -> Agent:
        return Agent("Jonas", await self._client(lambda: bearer(self._night.desk.lead)), self.journal)

    async def edge(self) -> Edge:
        return Edge(await self._client(lambda: bearer(self._night.desk.edge)))

    async def platform(self) -> Client:
        """The platform's own back end."""
        if self._platform is None:
            self._platform = await self._client(lambda: bearer(self._night.desk.platform))
        return self._platform

    async def _client(self, headers: Callable[[], Mapping[str, str]]) -> Client:
        http = httpx.AsyncClient(base_url=self._night.address, timeout=REQUEST_SECONDS_MAX, trust_env=False, verify=self._tls)
        return Client(await self._clients.enter_async_context(http), headers)

    # ------------------------------------------------------------------------------------------ how it turned out

    async def seen(self, case: Json) -> Json:
        """The case as the platform reads it, with the rules that spoke."""
        return await (await self.platform()).get(f"/v1/cases/{case['id']}")

    async def order(self, order: Bought) -> Json:
        return await self._night.shop.seen(order.ref)

    async def way_in(self, order: Bought) -> str:
        """The link's token, as the platform gives it to the buyer."""
        pass_id = (await self.order(order))["lines"][0]["passes"][0]["id"]
        issued = await (await self.platform()).post("/v1/access/tokens", {"pass_id": pass_id, "show": order.show})
        return str(issued["token"])

    async def ledger(self, payment: str) -> LedgerLine:
        """What the sandbox's own books say of a payment."""
        return await self._night.books.line(payment)

    async def processor_does(self, fault: Fault, payment: str, *, times: int | None = 1, detail: str = "") -> None:
        """What the sandbox makes of the next requests to refund this payment."""
        await self._night.books.script(Script(fault=fault, times=times, payment_ref=payment, detail=detail))

    async def processor_is_well(self) -> None:
        await self._night.books.clear()

    async def paid_by_backup(self, payment: str) -> int:
        """What the rail that pays out has paid in place of this payment's own, in minor units."""
        return sum(one.refunded_minor for one in await self._night.backup.ledger() if one.payment_ref == payment)

    async def told(self, order: Bought, *words: str) -> Mail:
        """The mail to the buyer with these words in it, as soon as it comes. Raises TimeoutError."""
        return await self.mails.until(order.email, lambda mail: all(word in mail.text for word in words))

    async def is_known(self, order: Bought) -> bool:
        """Whether Makegood has the order, without anybody being asked for it."""
        return await (await self.platform()).has(f"/v1/orders/{order.ref}")

    async def platform_hears(self, order: Bought, last: str) -> list[str]:
        """What the platform was told of the order by signed webhooks, once the event of this type came. Raises TimeoutError."""
        system = self._night.system
        if system is None:
            raise LookupError("this platform is told nothing")
        await system.until_told(order.ref, last)
        types = list(dict.fromkeys(one.type for one in system.told if one.data.get("order") == order.ref))
        self.journal.say("platform", "platform", f"is told: {', '.join(types)}")
        return types

    def check(self, promise: str, *, holds: bool) -> None:
        """Raises NotAsItShould, naming the promise."""
        if not holds:
            raise NotAsItShould(promise)
        self.journal.say("seen", "", promise)

    async def check_books(self) -> None:
        """What was refunded of every order sold here is the same in the sandbox's books and in ours, and never more than was paid."""
        for order in self._sold:
            for ref, payment in zip(order.payments, (await self.order(order))["payments"], strict=True):
                line = await self.ledger(ref)
                paid = line.refunded_minor + await self.paid_by_backup(ref)
                if paid != payment["refunded"] or paid > line.captured_minor:
                    raise NotAsItShould(f"order {order.ref}: the sandbox paid {paid}, our books say {payment['refunded']}")


@asynccontextmanager
async def open_stage(night: Night, journal: Journal) -> AsyncIterator[Stage]:
    """One play: the shows are as they should be, nothing is paused, no outage of an earlier play is still running."""
    async with AsyncExitStack() as clients:
        stage = Stage(night, journal, clients)
        await (await stage.lead()).resumes_everything()
        await set_shows(night)
        for one in (await stage.show(LIVE))["incidents"]:
            if one["to"] is None:
                await night.shop.incident(LIVE, one["ref"], datetime.fromisoformat(one["from"]), datetime.now(UTC))
        yield stage


async def set_shows(night: Night) -> None:
    """One show is live now, one is over, one was cancelled."""
    await night.shop.show(LIVE, starts_in=-LIVE_SINCE, minutes=SHOW_MINUTES, name={"en": "Northern Lights", "de": "Nordlichter"})
    await night.shop.show(OVER, starts_in=-timedelta(days=1), minutes=SHOW_MINUTES, name={"en": "Harbour Sessions"})
    await night.shop.show(CANCELLED, starts_in=timedelta(days=2), minutes=SHOW_MINUTES, name={"en": "Winter Gala"}, status="cancelled")
