"""What the promises are tried on: installations of one process or several, each with databases of its own, and the sums that must hold."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeVar
from uuid import UUID, uuid4

import httpx
import msgspec

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks
from integrations.sandbox_issuer import SandboxIssuer
from service import serving
from service.app import Application
from service.demo.night import RAIL, Mailbox, night_settings
from service.demo.world import Bought, Desk, Item, Shop, bearer, make_platform
from service.model import WireId, unwire
from service.settings import Settings
from service.store.pool import Pool, open_pool
from service.vendors import SANDBOX, Vendors, open_vendors
from tests import copies, postgres
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

# All cases of a promise instead of a sample of them.
FULL: Final = os.environ.get("MAKEGOOD_FULL") == "1"
# httpx looks at every connection of a client for every request: several clients of some connections each are quicker than one of many.
_CLIENTS: Final = 8
# Everything here is plain HTTP; one context for all saves reading the certificates of the machine for each client.
_PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# Requests that wait for what becomes of their case.
_WAITED_FOR: Final = ("/v1/cases", "/answers", "/identify", "/payout")

_T = TypeVar("_T")


class House:
    """One installation seen from outside (HTTP, the sandbox's own books) and from beneath (its tables)."""

    def __init__(
        self,
        *,
        settings: Settings,
        clients: Sequence[httpx.AsyncClient],
        desk: Desk,
        books: SandboxBooks,
        pool: Pool,
        issuer: SandboxIssuer,
    ) -> None:
        self.settings = settings
        self.client = clients[0]
        self._clients = cycle(clients)
        self.desk = desk
        self.books = books
        self.pool = pool
        self.issuer = issuer
        self.shop = Shop(self.client, desk, books, RAIL)
        self.app: Application | None = None
        self.mails = Mailbox()

    # ------------------------------------------------------------------------------------------------ as a client

    async def post(
        self, path: str, body: Mapping[str, Any], *, token: str | None = None, key: str | None = None, wait: int | None = None
    ) -> httpx.Response:
        """Posts over the next of several clients. `wait`: the most seconds the answer may take (Prefer: wait), and it is given as it came.

        Without, what the request is about is waited for beyond its answer: see `settled`.
        """
        prefer = {} if wait is None else {"Prefer": f"wait={wait}"}
        headers = bearer(token or self.desk.platform, key or uuid4().hex) | prefer
        answer = await next(self._clients).post(path, json=body, headers=headers)
        if wait is None and path.endswith(_WAITED_FOR):
            return await settled(answer, partial(self.case, token=token))
        return answer

    async def get(self, path: str, *, token: str | None = None) -> Any:
        answer = await self.client.get(path, headers=bearer(token or self.desk.platform))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def report(self, problem: str, order: Bought, *, key: str | None = None, wait: int | None = None, **more: Any) -> Any:
        """A case as it stands when it is settled, or with `wait` when it was answered; that it is an answer is asserted."""
        body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "api", **more}
        answer = await self.post("/v1/cases", body, key=key, wait=wait)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()

    async def act(
        self, case: str, action: Mapping[str, Any], reason: str, *, token: str | None = None, key: str | None = None
    ) -> httpx.Response:
        """An agent looks at what it would do, and confirms what they saw; the answer that refused, or the last."""
        token = token or self.desk.agent
        seen = await self.post(f"/v1/cases/{case}/previews", action, token=token)
        if seen.status_code != 201:
            return seen
        return await self.post(f"/v1/cases/{case}/actions", {"preview": seen.json()["id"], "reason": reason}, token=token, key=key)

    async def agree(self, operation: str, reason: str, *, token: str, key: str | None = None) -> httpx.Response:
        """Somebody looks at what is held, and agrees to what they saw; the answer that refused, or the last."""
        seen = await self.client.get(f"/v1/operations/{operation}/preview", headers=bearer(token))
        if seen.status_code != 200:
            return seen
        agreed = {"reason": reason, "facts_hash": seen.json()["now"]["facts_hash"]}
        return await self.post(f"/v1/operations/{operation}/approve", agreed, token=token, key=key)

    async def case(self, case: str, *, token: str | None = None) -> Any:
        return await self.get(f"/v1/cases/{case}", token=token)

    # ---------------------------------------------------------------------------------------------- from beneath

    async def pass_time(self, ahead: timedelta) -> None:
        """The installation's one clock goes on by so much."""
        await self.pool.execute("UPDATE app_clock SET ahead = ahead + $1", ahead)

    async def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch(sql, *arguments)]

    async def value(self, sql: str, *arguments: object) -> Any:
        return await self.pool.fetchval(sql, *arguments)

    async def case_row(self, case: str) -> dict[str, Any]:
        rows = await self.rows("SELECT * FROM cases WHERE id = $1", unwire(WireId.CASE, case))
        return rows[0]

    async def operations(self, case: str) -> list[dict[str, Any]]:
        """The operations of a case, each with its attempts, and the results of their tries."""
        return await self.rows(
            """
            SELECT o.*, (SELECT coalesce(jsonb_agg(jsonb_build_object('state', a.state, 'failure', a.failure, 'key', a.key,
                'provider_ref', a.provider_ref, 'tries', (SELECT coalesce(jsonb_agg(t.result ORDER BY t.seq), '[]') FROM try t
                WHERE t.attempt_id = a.id)) ORDER BY a.seq), '[]') FROM attempt a WHERE a.operation_id = o.id) AS attempts
            FROM operation o WHERE case_id = $1 ORDER BY created_at, id
            """,
            unwire(WireId.CASE, case),
        )

    async def payment(self, order: Bought, number: int = 1) -> dict[str, Any]:
        rows = await self.rows(
            """
            SELECT p.* FROM payment p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id
            WHERE o.platform_id = $1 AND o.ref = $2 AND p.ref = $3
            """,
            self.desk.platform_id,
            order.ref,
            f"P{number}",
        )
        return rows[0]

    async def line_awarded(self, order: Bought, ref: str = "1") -> int:
        found: int = await self.value(
            "SELECT l.awarded FROM line l JOIN orders o ON o.id = l.order_id WHERE o.platform_id = $1 AND o.ref = $2 AND l.ref = $3",
            self.desk.platform_id,
            order.ref,
            ref,
        )
        return found

    async def until(self, what: Callable[[], Awaitable[_T]], fits: Callable[[_T], bool], *, seconds_max: float = PATIENCE_SECONDS) -> _T:
        return await until(what, fits, seconds_max=seconds_max)

    async def until_case(self, case: str, fits: Callable[[Any], bool], *, seconds_max: float = PATIENCE_SECONDS) -> Any:
        return await until(lambda: self.case(case), fits, seconds_max=seconds_max)

    async def until_operation(self, case: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The case's first operation as soon as it fits."""
        return (await until(lambda: self.operations(case), lambda found: bool(found) and fits(found[0])))[0]


async def until(what: Callable[[], Awaitable[_T]], fits: Callable[[_T], bool], *, seconds_max: float = PATIENCE_SECONDS) -> _T:
    """Asks again and again until the answer fits. Raises AssertionError with the last answer."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + seconds_max
    while True:
        answer = await what()
        if fits(answer):
            return answer
        assert clock() < ends_at, f"after {seconds_max} s: {answer!r}"
        await asyncio.sleep(0.05)


async def settled(answer: httpx.Response, look: Callable[[str], Awaitable[Any]]) -> httpx.Response:
    """The answer, where it came before its case was settled with the case as it stands then.

    A request waits ten seconds for what becomes of it, and then the work goes on; a machine may stand still for longer.
    """
    if not (answer.is_success and answer.content):
        return answer
    shown = answer.json()
    if shown.get("status") != "working":
        return answer
    shown = await until(lambda: look(shown["id"]), lambda case: case["status"] != "working")
    return httpx.Response(answer.status_code, json=shown, request=answer.request)


# ------------------------------------------------------------------------------------------------------------- installations


@asynccontextmanager
async def databases(dsn: str, template: str) -> AsyncIterator[tuple[str, str]]:
    """Ours, and the sandbox's, with nothing in them but tables."""
    async with copies.copy_of(template, dsn) as ours, copies.copy_of(await postgres.sandbox_template(dsn), dsn) as theirs:
        yield ours, theirs


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """An installation without a process: whoever serves it does so beside."""
    sandbox = settings.sandbox_database_url
    ours = settings.database_url
    assert sandbox is not None
    assert ours is not None
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(await open_sandbox(sandbox.reveal(), connections_max=4))
        pool = await stack.enter_async_context(await open_pool(ours.reveal(), size=4))
        clients = [await stack.enter_async_context(_client(settings)) for _ in range(_CLIENTS)]
        desk = await make_platform(pool, "demo")
        # Two agents take the cases of all promises of a file, and few of them end.
        await pool.execute("UPDATE agent SET capacity = 100")
        yield House(settings=settings, clients=clients, desk=desk, books=SandboxBooks(RAIL, ledger), pool=pool, issuer=SandboxIssuer())


def _client(settings: Settings) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    address = f"http://{settings.bind_host}:{settings.bind_port}"
    return httpx.AsyncClient(base_url=address, timeout=PATIENCE_SECONDS, trust_env=False, limits=limits, verify=_PLAIN)


@asynccontextmanager
async def serve_here(house: House) -> AsyncIterator[None]:
    """Serves the house in this process, with its issuer and its mailbox."""

    @asynccontextmanager
    async def vendors(settings: Settings) -> AsyncIterator[Vendors]:
        async with open_vendors(settings) as outside:
            yield msgspec.structs.replace(outside, mailer=house.mails.mailer, issuers={SANDBOX: house.issuer, "": house.issuer})

    listen = (house.settings.bind_host, house.settings.bind_port)
    async with serving.running(house.settings, vendors=vendors, listen=listen) as app:
        house.app = app
        yield


class Process:
    """`makegood serve` as the operating system sees it."""

    def __init__(self, child: asyncio.subprocess.Process, address: str, log: IO[bytes]) -> None:
        self._child = child
        self._log = log
        self.address = address

    async def kill(self) -> None:
        """As a power cut would end it."""
        self._child.send_signal(signal.SIGKILL)
        await self._child.wait()

    async def terminate(self) -> int:
        """Tells it to stop; its exit code."""
        self._child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._child.wait()

    async def end(self) -> None:
        if self._child.returncode is None:
            await self.kill()

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    async def answers(self) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            ends_at = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert self._child.returncode is None, self.log()
                assert time.monotonic() < ends_at, self.log()
                await asyncio.sleep(0.02)


@asynccontextmanager
async def serving_process(settings: Settings, folder: Path, *, port: int | None = None) -> AsyncIterator[Process]:
    """`makegood serve` in a process of its own, with nothing but its environment; killed at the end if it still runs."""
    address = f"{settings.bind_host}:{port or settings.bind_port}"
    with TemporaryFile() as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "serve", cwd=folder, env=environment(settings, address), stdout=log, stderr=log
        )
        process = Process(child, f"http://{address}", log)
        try:
            await process.answers()
            yield process
        finally:
            await process.end()


def environment(settings: Settings, address: str) -> Mapping[str, str]:
    assert settings.database_url is not None
    assert settings.sandbox_database_url is not None
    assert settings.secret is not None
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MAKEGOOD_DATABASE_URL": settings.database_url.reveal(),
        "MAKEGOOD_SANDBOX_DATABASE_URL": settings.sandbox_database_url.reveal(),
        "MAKEGOOD_SECRET": settings.secret.reveal(),
        "MAKEGOOD_BIND": address,
        "MAKEGOOD_LANGUAGES": "en,de",
        "MAKEGOOD_RAIL_SANDBOX_KIND": "sandbox",
        "MAKEGOOD_LOG_LEVEL": "info",
        **({"MAKEGOOD_WEBHOOK_PRIVATE_ADDRESSES": "yes"} if settings.webhook_private_addresses else {}),
    }


def settings_for(ours: str, theirs: str) -> Settings:
    return night_settings(database_url=ours, sandbox_database_url=theirs, port=free_port(), secret=secrets.token_hex(32))


# -------------------------------------------------------------------------------------------------------------------- orders


def stream(price: int = 2500) -> Item:
    return Item(kind="stream", name="Stream pass", price=price)


async def many_orders(house: House, show: str, count: int, *, price: int = 2500, **more: Any) -> list[Bought]:
    """As many orders of one stream pass each, fed side by side."""
    places = asyncio.Semaphore(16)

    async def one(number: int) -> Bought:
        async with places:
            return await house.shop.order(show, [stream(price)], ref=f"{show.upper()}-{number:05d}", **more)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


# ------------------------------------------------------------------------------------------------------- what must always hold

# Name -> a query that finds every row that breaks it. CHECKs of the tables are asked again, and what no CHECK can say.
SUMS: Final[Mapping[str, str]] = {
    "refunded and reserved stay within what was captured": """
        SELECT id FROM payment WHERE refunded + reserved > captured OR refunded < 0 OR reserved < 0""",
    "what is reserved is the sum of the refunds under way": """
        SELECT p.id, p.reserved, sum(o.amount) FROM payment p LEFT JOIN operation o ON o.payment_id = p.id AND o.action = 'refund'
            AND o.state NOT IN ('DONE', 'REFUSED', 'FAILED')
        GROUP BY p.id, p.reserved HAVING p.reserved <> coalesce(sum(o.amount), 0)""",
    "what is refunded is the sum of the refunds done": """
        SELECT p.id, p.refunded, sum(o.amount) FROM payment p LEFT JOIN operation o ON o.payment_id = p.id AND o.action = 'refund'
            AND o.state = 'DONE' GROUP BY p.id, p.refunded HAVING p.refunded <> coalesce(sum(o.amount), 0)""",
    "an operation is the sum of its parts": """
        SELECT o.id, o.amount, sum(x.amount) FROM operation o LEFT JOIN operation_part x ON x.operation_id = o.id
        WHERE o.action = 'refund' GROUP BY o.id, o.amount HAVING o.amount IS DISTINCT FROM sum(x.amount)""",
    "a harm is awarded what its living parts give": """
        SELECT h.id, h.awarded, sum(x.amount) FROM harm h LEFT JOIN (operation_part x JOIN operation o ON o.id = x.operation_id
            AND o.state NOT IN ('REFUSED', 'FAILED')) ON x.harm_id = h.id
        GROUP BY h.id, h.awarded HAVING h.awarded <> coalesce(sum(x.amount), 0)""",
    "a line is awarded what its living parts give, and never more than its price": """
        SELECT l.id, l.awarded, sum(x.amount) FROM line l LEFT JOIN (operation_part x JOIN operation o ON o.id = x.operation_id
            AND o.state NOT IN ('REFUSED', 'FAILED')) ON x.line_id = l.id
        GROUP BY l.id, l.awarded, l.price HAVING l.awarded <> coalesce(sum(x.amount), 0) OR l.awarded > l.price""",
    "what a cap of a running window has used is what refunds under way and done hold of it": """
        SELECT u.*, held.amount FROM cap_use u FULL JOIN (
            SELECT o.platform_id, h->>'kind' AS kind, h->>'ref' AS ref, o.currency, to_timestamp((h->>'from')::bigint) AS window_start,
                s.key::int AS slot, sum(s.value::bigint) AS amount
            FROM operation o, jsonb_array_elements(o.caps) h, jsonb_each_text(h->'slots') s
            WHERE (h->>'until')::bigint > extract(epoch FROM app_now()) GROUP BY 1, 2, 3, 4, 5, 6
        ) held USING (platform_id, kind, ref, currency, window_start, slot)
        WHERE coalesce(u.used, 0) <> coalesce(held.amount, 0)
          AND window_start + CASE kind WHEN 'show_hour' THEN interval '1 hour' ELSE interval '1 day' END > app_now()""",
    "a refund holds its whole amount of each cap, and one that pays nothing holds none": """
        SELECT o.id, o.state, o.caps FROM operation o WHERE o.caps <> '[]' AND (o.state IN ('REFUSED', 'FAILED') OR EXISTS (
            SELECT FROM jsonb_array_elements(o.caps) h
            WHERE o.amount <> (SELECT sum(s.value::bigint) FROM jsonb_each_text(h->'slots') s)))""",
    "what the books paid out is what the payment says": """
        SELECT p.id, p.refunded FROM payment p WHERE p.refunded <> (
            SELECT coalesce(sum(CASE WHEN credit LIKE 'paid_out:%' THEN amount ELSE -amount END), 0) FROM book b
            WHERE b.payment_id = p.id AND (credit LIKE 'paid_out:%' OR debit LIKE 'paid_out:%'))""",
    "what the books owe is what was awarded and neither accepted nor ended": """
        SELECT p.id FROM payment p
        WHERE (SELECT coalesce(sum(CASE WHEN credit = 'owed_to_customer' THEN amount ELSE -amount END), 0) FROM book b
               WHERE b.payment_id = p.id AND (credit = 'owed_to_customer' OR debit = 'owed_to_customer'))
            <> (SELECT coalesce(sum(amount), 0) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund'
                AND o.accepted_at IS NULL AND o.ended_at IS NULL)""",
    "what the books paid elsewhere is what the payment says": """
        SELECT p.id, p.refunded_elsewhere FROM payment p WHERE p.refunded_elsewhere <> (
            SELECT coalesce(sum(CASE WHEN credit = 'paid_elsewhere' THEN amount ELSE -amount END), 0) FROM book b
            WHERE b.payment_id = p.id AND (credit = 'paid_elsewhere' OR debit = 'paid_elsewhere'))""",
    "what the books have in transit is what was accepted and has not ended": """
        SELECT p.id FROM payment p
        WHERE (SELECT coalesce(sum(CASE WHEN credit LIKE 'in_transit:%' THEN amount ELSE -amount END), 0) FROM book b
               WHERE b.payment_id = p.id AND (credit LIKE 'in_transit:%' OR debit LIKE 'in_transit:%'))
            <> (SELECT coalesce(sum(amount), 0) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund'
                AND o.accepted_at IS NOT NULL AND o.ended_at IS NULL)""",
    "an open case has an owner and a due time": """
        SELECT id FROM cases WHERE state = 'open' AND (owner IS NULL OR due_at IS NULL)""",
    "an operation that has not ended has a due time": """
        SELECT id FROM operation WHERE state NOT IN ('DONE', 'REFUSED', 'FAILED') AND due_at IS NULL""",
    "an ended case holds no subject": """
        SELECT c.id FROM cases c JOIN case_subject s ON s.case_id = c.id WHERE c.state <> 'open' AND s.open""",
    "a timeline has no gaps": """
        SELECT c.id FROM cases c LEFT JOIN timeline t ON t.case_id = c.id GROUP BY c.id, c.timeline_seq
        HAVING count(t.seq) <> c.timeline_seq OR coalesce(max(t.seq), 0) <> c.timeline_seq OR coalesce(min(t.seq), 1) <> 1""",
    "an order's facts have no gaps": """
        SELECT o.id FROM orders o LEFT JOIN order_fact f ON f.order_id = o.id GROUP BY o.id, o.seq
        HAVING count(f.seq) <> o.seq OR coalesce(max(f.seq), 0) <> o.seq""",
    "one attempt of an operation lives": """
        SELECT operation_id FROM attempt WHERE state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT')
        GROUP BY operation_id HAVING count(*) > 1""",
    "no two tries of an attempt ran under one lease": """
        SELECT attempt_id FROM try GROUP BY attempt_id, lease_epoch HAVING count(*) > 1""",
    "nothing is held by a referral that nobody will answer": """
        SELECT o.id FROM operation o JOIN cases own ON own.platform_id = o.platform_id AND own.id = o.case_id
        WHERE o.state = 'HELD' AND 'referral' = ANY (o.holds) AND coalesce(own.owner, '') NOT IN ('queue', 'agent') AND NOT EXISTS (
            SELECT FROM referral r JOIN cases c ON c.platform_id = r.platform_id AND c.id = r.case_id
            WHERE r.platform_id = o.platform_id AND r.holding AND (r.order_id = o.order_id OR r.case_id = o.case_id)
              AND c.state = 'open' AND (c.owner IN ('queue', 'agent')
                OR (c.owner = 'timer' AND c.wait_for IN ('customer', 'hold', 'referral'))
                OR (r.state = 'open' AND r.overdue_at IS NULL)))""",
    "nobody is admitted for what was given back in full": """
        SELECT t.jti FROM access_token t JOIN pass ON pass.id = t.pass_id JOIN line ON line.id = pass.line_id
        WHERE t.state = 'active' AND line.price > 0 AND line.awarded >= line.price""",
}

_BOOKS: Final = """
    SELECT p.provider_ref, p.refunded + coalesce((SELECT sum(o.amount) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund'
        AND o.accepted_at IS NOT NULL AND o.ended_at IS NULL), 0)::bigint
        - coalesce((SELECT sum(o.amount) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund' AND o.state = 'DONE'
        AND (o.rail IS NULL OR EXISTS (SELECT FROM attempt a WHERE a.operation_id = o.id AND a.rail = 'manual'))), 0)::bigint AS paid
    FROM payment p WHERE p.provider_ref IS NOT NULL AND p.platform_id = $1
"""


async def broken_sums(house: House) -> Mapping[str, Sequence[Any]]:
    """What does not hold; empty when all is well."""
    found = {name: await house.rows(f"{query} LIMIT 5") for name, query in SUMS.items()}
    return {name: rows for name, rows in found.items() if rows}


async def books_that_differ(house: House) -> Mapping[str, tuple[int, int]]:
    """Payments for which the sandbox's ledger and our books say different sums, when nothing is under way: (theirs, ours)."""
    ours = {row["provider_ref"]: row["paid"] for row in await house.rows(_BOOKS, house.desk.platform_id)}
    theirs = {line.payment_ref: line.refunded_minor for line in await house.books.ledger()}
    return {ref: (theirs.get(ref, 0), paid) for ref, paid in ours.items() if theirs.get(ref, 0) != paid}


async def all_holds(house: House) -> None:
    """Every sum holds, and both ledgers agree, once what is on its way has been stored."""
    assert await broken_sums(house) == {}
    await until(lambda: books_that_differ(house), lambda differ: differ == {})


def figures(text: str) -> None:
    """What was counted and how long it took; `pytest -s` shows it."""
    sys.stdout.write(f"\n{text}\n")


def uuid_of(case: str) -> UUID:
    found = unwire(WireId.CASE, case)
    assert found is not None
    return found
