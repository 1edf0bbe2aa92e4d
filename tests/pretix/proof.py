"""What is promised of a platform on pretix, tried on a real one: orders come over, refunds and passes go back, the books agree."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

import httpx

from integrations.platform_pretix import PretixPlatform
from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks
from service import serving
from service.model import exponent
from tests.pretix.shop import ORGANIZER, PretixShop, refunded
from tests.pretix.world import HOST, RAIL, SEEN_SECONDS_MAX, SLUG, Broken, Ground, World, as_is, given

# Long enough for a try and another one.
_AWAY_SECONDS: Final = 8.0


async def prove(ground: Ground) -> int:
    """Prints a line for each promise; how many are broken."""
    shop = ground.shop
    await asyncio.to_thread(_open, shop)
    first = [await asyncio.to_thread(shop.sell, "nl26", ["stream"], fee="1.50") for _ in range(3)]
    first.append(await asyncio.to_thread(shop.sell, "kyoto26", ["stream", "venue"]))
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(await open_sandbox(given(ground.settings.sandbox_database_url).reveal()))
        address = f"http://{HOST}:{ground.settings.bind_port}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=60.0, trust_env=False))
        app = await stack.enter_async_context(serving.running(ground.settings, listen=(HOST, ground.settings.bind_port)))
        proof = Proof(ground, app.pool, client, SandboxBooks(RAIL, ledger))
        await proof.all(first)
    return proof.failed


def _open(shop: PretixShop) -> None:
    shop.open_event("nl26", currency="EUR", prices={"stream": "25.00", "venue": "60.00", "shirt": "30.00"})
    shop.open_event("off26", currency="EUR", prices={"stream": "20.00", "venue": "45.00"})
    shop.open_event("soon26", currency="EUR", prices={"venue": "45.00"}, days_ago=-5)
    shop.open_event("kyoto26", currency="JPY", prices={"stream": "3000", "venue": "9000"})


class Proof(World):
    failed = 0
    _replaced_order: Mapping[str, Any]

    async def all(self, first: list[dict[str, Any]]) -> None:
        await self._promise("orders of several events are imported", lambda: self._import(first))
        await self._promise("a purchase is seen by looking alone", self._seen_by_looking)
        await self._promise("an order that nobody told of is read when its customer comes", self._asked_for)
        await self._promise("a purchase is seen by webhook", self._seen_by_webhook)
        await self._promise("whoever does not know the address is not heard", self._strangers)
        await self._promise("a share of the price goes back, and pretix shows it", self._outage)
        await self._promise("the same in a currency without decimals", self._outage_in_yen)
        await self._promise("a cancelled show: all of it goes back, and the gate refuses the ticket", self._cancelled)
        await self._promise("a ticket that a T-shirt goes with is given back alone", self._with_addon)
        await self._promise("a lost ticket: the gate refuses the old barcode and takes the new one", self._replaced)
        await self._promise("pretix sends its customer the link once more", self._link)
        await self._promise("a refund made at the box office counts as made elsewhere", self._by_hand)
        await self._promise("pretix is away: the case waits, and goes on when it is back", self._away)
        await self._promise("their books and ours are equal, order by order", self._equal)

    async def _promise(self, name: str, work: Callable[[], Awaitable[str]]) -> None:
        started = time.monotonic()
        try:
            said, word = await work(), "held  "
        except Exception as error:  # noqa: BLE001 - one broken promise does not hide the others
            said, word = f"{type(error).__name__}: {error}"[:600], "BROKEN"
            self.failed += 1
        print(f"{word} {time.monotonic() - started:6.1f} s  {name}: {said}", flush=True)

    # --------------------------------------------------------------------------------------------------- orders

    async def _import(self, first: list[dict[str, Any]]) -> str:
        self._desk = await self._platform()
        for order in first:
            await self._seen(order)
        shows = await self._pool.fetchval("SELECT count(*) FROM show WHERE platform_id = $1", self.desk.platform_id)
        if shows < 2:
            raise Broken(f"{shows} shows")
        return f"{len(first)} orders, {shows} shows"

    async def _seen_by_looking(self) -> str:
        return await self._seen(await self._sell("nl26", ["stream", "venue"]), most=SEEN_SECONDS_MAX)

    async def _asked_for(self) -> str:
        async with self._not_looking():
            order = await self._sell("soon26", ["venue"])
            case = await self._ask(order, "pass_missing")
            await self._until(lambda: self._is_case(case, "resolved"), "the ticket is sent once more")
        return "its ticket was sent once more"

    async def _seen_by_webhook(self) -> str:
        await asyncio.to_thread(self._shop.tell, str(self._client.base_url.join(f"/webhooks/pretix/{SLUG}/{self._webhook_token}")))
        async with self._not_looking():
            return await self._seen(await self._sell("nl26", ["stream"]), most=SEEN_SECONDS_MAX)

    async def _strangers(self) -> str:
        note = {"notification_id": 1, "organizer": ORGANIZER, "event": "nl26", "code": "AAAAA", "action": "pretix.event.order.paid"}
        token, kept = self._webhook_token, "SELECT count(*) FROM source_news WHERE ref = 'AAAAA'"
        for path in (f"{SLUG}/{'x' * 32}", f"nobody/{token}", f"{SLUG}/{token[:-1]}"):
            answer = await self._client.post(f"/webhooks/pretix/{path}", json=note)
            if answer.status_code != 404 or await self._pool.fetchval(kept):
                raise Broken(f"{answer.status_code} for {path.partition('/')[0]}")
        answer = await self._client.post(f"/webhooks/pretix/{SLUG}/{token}", json=note)
        await self._until(lambda: self._pool.fetchval(f"SELECT NOT EXISTS ({kept.replace('count(*)', '1')})"), "an order that is not there")
        return f"404 for three, {answer.status_code} and nothing for an order that is not there"

    # ---------------------------------------------------------------------------------------------------- money

    async def _outage(self) -> str:
        order = await self._sell("nl26", ["stream"], fee="1.50")
        await self._seen(order)
        await self._incident("nl26")
        return await self._refunded(order, "stream_outage", Decimal("6.94"))

    async def _outage_in_yen(self) -> str:
        order = await self._sell("kyoto26", ["stream"])
        await self._seen(order)
        await self._incident("kyoto26")
        return await self._refunded(order, "stream_outage", Decimal(833))

    async def _cancelled(self) -> str:
        order = await self._sell("off26", ["stream", "venue"], fee="2.00")
        await self._seen(order)
        await self._call_off("off26")
        said = await self._refunded(order, "show_cancelled", Decimal(65))
        for position in order["positions"]:
            await self._until(partial(self._refused, "off26", position["secret"]), "the gate refuses the ticket")
        await self._until(lambda: self._owes(order, Decimal(0)), "nobody owes anybody anything")
        return f"{said}; both tickets refused, the fee kept, pending_sum 0.00"

    async def _with_addon(self) -> str:
        order = await self._sell("nl26", ["venue"], addon="shirt")
        await self._seen(order)
        self._touched[order["code"]] = "nl26"
        pretix = PretixPlatform(
            self._ground.pretix.url, token=self._ground.token, organizer=ORGANIZER, events=["nl26"], mapping=self._mapping(), private=True
        )
        try:
            await pretix.passes.void(order_ref=order["code"], position_ref="1", key=secrets.token_hex(8))
        finally:
            await pretix.close()
        now = await self._theirs(order)
        _, why = await asyncio.to_thread(self._shop.scan, "nl26", order["positions"][0]["secret"])
        if now["positions"][1]["canceled"] or why != "blocked":
            raise Broken(f"the T-shirt is cancelled too, or the gate says {why}")
        return "the gate says blocked, the T-shirt stands"

    async def _by_hand(self) -> str:
        order = await self._sell("nl26", ["venue"])
        await self._seen(order)
        await asyncio.to_thread(self._shop.refund_by_hand, "nl26", order["code"], "10.00")
        await self._until(lambda: self._money(order["code"], refunded_elsewhere=1000, refunded=0), "10.00 refunded elsewhere")
        self._touched[order["code"]] = "nl26"
        return "10.00 EUR"

    async def _refunded(self, order: Mapping[str, Any], problem: str, amount: Decimal) -> str:
        """Asks, waits for the refund to be written back, and for the order to be read again: then it has to be known as ours."""
        self._touched[order["code"]] = order["event"]
        case = await self._ask(order, problem)
        await self._until(lambda: self._shows_refund(order, amount), f"pretix shows {amount} refunded")
        seconds = await self._pool.fetchval(
            "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM cases WHERE id = $1", UUID(case.partition("_")[2])
        )
        refunds = await self._until(lambda: self._all_done(order), "pretix has them as done")
        minor = int(amount.scaleb(exponent(await self._currency(order["code"]))))
        await self._until(lambda: self._known_as_ours(order["code"], len(refunds)), "what was written back is known as ours")
        await self._until(lambda: self._money(order["code"], refunded_elsewhere=0, refunded=minor), "counted once")
        return f"{amount} in {len(refunds)} refunds, {seconds:.1f} s after the question, then done, and counted once"

    # ---------------------------------------------------------------------------------------------------- passes

    async def _replaced(self) -> str:
        order = await self._sell("soon26", ["venue"])
        await self._seen(order)
        self._touched[order["code"]] = "soon26"
        old = order["positions"][0]["secret"]
        if await self._refused("soon26", old):
            raise Broken("the gate refuses a ticket that was bought just now")
        await self._ask(order, "pass_leaked")
        await self._until(lambda: self._refused("soon26", old), "the gate refuses the old barcode")
        new = await self._until(lambda: self._barcode_but(order["code"], old), "we have a new barcode")
        status, _ = await asyncio.to_thread(self._shop.scan, "soon26", new)
        if status != "ok":
            raise Broken("the gate refuses the new barcode")
        self._replaced_order = order
        return "old refused, new accepted"

    async def _link(self) -> str:
        address = self._replaced_order["email"]
        before = self._ground.mailbox.to.count(address)
        await self._until(lambda: as_is(self._ground.mailbox.to.count(address) >= 1), "a mail to the customer")
        return f"{max(before, self._ground.mailbox.to.count(address))} to the customer whose ticket was replaced"

    async def _away(self) -> str:
        """Two customers come while pretix is away: one has lost a ticket, the other is owed a part of the price."""
        lost, owed = await self._sell("soon26", ["venue"]), await self._sell("nl26", ["stream"])
        for order in (lost, owed):
            await self._seen(order)
            self._touched[order["code"]] = order["event"]
        await asyncio.to_thread(self._ground.pretix.stop)
        try:
            cases = [await self._ask(lost, "pass_leaked"), await self._ask(owed, "stream_outage")]
            await asyncio.sleep(_AWAY_SECONDS)
            states = [await self._case_state(case) for case in cases]
        finally:
            await asyncio.to_thread(self._ground.pretix.start)
        if set(states) != {"open"}:
            raise Broken(f"the cases are {states} while pretix is away")
        started = time.monotonic()
        for case in cases:
            await self._until(partial(self._is_case, case, "resolved"), "the case is resolved")
        seconds = time.monotonic() - started
        if not await self._refused("soon26", lost["positions"][0]["secret"]):
            raise Broken("the gate takes the old barcode")
        await self._until(lambda: self._shows_refund(owed, Decimal("6.94")), "pretix shows 6.94 refunded")
        return f"a new ticket and 6.94, both cases open while it was away, resolved {seconds:.1f} s after it was back"

    # ----------------------------------------------------------------------------------------------------- books

    async def _equal(self) -> str:
        """Every order that was touched: what was paid, what went back, and to whose account; as pretix has it, and as we have it."""
        differ: list[str] = []
        for code, event in self._touched.items():
            theirs = await asyncio.to_thread(self._shop.order, event, code)
            ours = await self._row(
                """
                SELECT sum(p.captured) AS captured, sum(p.refunded + p.reserved + p.refunded_elsewhere) AS back, min(o.currency) AS currency
                FROM payment p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id WHERE o.platform_id = $1 AND o.ref = $2
                """,
                self.desk.platform_id,
                code,
            )
            decimals = exponent(ours["currency"])
            paid = sum(Decimal(one["amount"]) for one in theirs["payments"] if one["state"] in {"confirmed", "refunded"})
            back = Decimal(int(ours["back"])).scaleb(-decimals)
            if Decimal(int(ours["captured"])).scaleb(-decimals) != paid or back != refunded(theirs):
                differ.append(f"{code}: they have {paid} - {refunded(theirs)}, we {ours['captured']} - {back}")
        if differ or not self._touched:
            raise Broken("; ".join(differ) or "nothing was touched")
        return f"{len(self._touched)} orders"
