"""How soon 2,000 open widgets hear of a notice, and of their own cases, on one server process; what they cost while nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

from service.model import new_id
from service.store.hints import Hints
from service.store.notices import NoticeStore
from tests.bench import cpu
from tests.bench.ground import HOST, SLUG, Ground, Server, line, serving

WIDGETS: Final = 2_000
LIMIT_MS: Final = 1_000.0
# A crowd opens its widgets within half a minute; all at once would measure the accept queue.
_OPENED_PER_SECOND: Final = 150.0
# Long enough that streams end and begin again between the rounds.
_ROUNDS: Final = 10
_APART_SECONDS: Final = 4.0
_IDLE_SECONDS: Final = 15.0
_CHANGES_PER_SECOND: Final = 100
_CHANGING_SECONDS: Final = 10
# Only ends a wait for what never comes.
_PATIENCE_SECONDS: Final = 90.0

# One case each, of the buyer of an order, under a session that has proven the address; it waits for an outage to end.
_CASES: Final = """
WITH n AS (SELECT n.*, o.id AS order_id FROM unnest($2::int[], $3::uuid[], $4::bytea[], $5::uuid[]) AS n (n, session, hash, id)
    JOIN orders o ON o.platform_id = $1 AND o.ref = 'B' || n),
opened AS (INSERT INTO session (platform_id, id, hash, level, person_email, level_until, expires_at)
    SELECT $1, session, hash, 'verified', 'fan-' || n || '@example.org', now() + interval '1 hour', now() + interval '1 day' FROM n
    RETURNING platform_id, id)
INSERT INTO cases (platform_id, id, state, problem, order_id, session_id, opened_by, requester, identity, channel, locale, owner, wait_for,
    due_at, wait_until, outcome, created_at)
SELECT $1, n.id, 'open', 'stream_outage', order_id, session, 'customer:' || replace(session::text, '-', ''), 'buyer', 'verified', 'widget',
    'en', 'timer', 'incident_end', now() + interval '1 hour', now() + interval '1 hour', 'wait', now()
FROM n JOIN opened ON opened.id = n.session
"""
_FIRST: Final = """SELECT timeline_add($1, $2, '[{"kind": "decided", "source": "policy", "data": {"outcome": "wait"}}]', app_now())"""
_CHANGE: Final = """SELECT timeline_add($1, $2, '[{"kind": "replied", "source": "agent", "data": {}}]', app_now())"""


class Widget(asyncio.Protocol):
    """One stream, opened again on its connection as soon as it ends. It looks for what it waits for, and parses nothing else."""

    def __init__(self, request: bytes, wanted: bytes) -> None:
        self._request = request
        self._wanted = wanted
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._end = b""
        self._last = b"0"
        self.is_lost = False
        self.events = 0
        self.streams = 0
        self.refused = 0
        self.heard: dict[bytes, float] = {}
        """what came after `wanted`, up to the next quote or end of line, and when"""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self.streams += 1
        self._transport.write(self._request.replace(b"{last}", self._last))

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        text = self._tail + data
        if text.startswith(b"HTTP/1.1 ") and not text.startswith(b"HTTP/1.1 200"):
            self.refused += 1
        cut = max(text.rfind(b"\n"), 0)
        whole, self._tail = text[:cut], text[cut:]
        self.events += whole.count(b"\nevent: ")
        at = whole.find(self._wanted)
        while at >= 0:
            start = at + len(self._wanted)
            end = min(
                (place for place in (whole.find(b'"', start), whole.find(b"\r", start), whole.find(b"\n", start)) if place >= 0),
                default=cut,
            )
            self._last = whole[start:end]
            self.heard.setdefault(self._last, now)
            at = whole.find(self._wanted, end)
        # The last chunk, however it is cut up on the way.
        self._end = (self._end + data)[-7:]
        if self._end == b"\r\n" + b"0\r\n\r\n":
            self._tail = self._end = b""
            self._ask()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost = True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@contextlib.asynccontextmanager
async def _open(server: Server, requests: Sequence[tuple[bytes, bytes]]) -> AsyncIterator[list[Widget]]:
    """All of them, once each has heard something."""
    loop, began = asyncio.get_running_loop(), perf_counter()
    widgets = [Widget(request, wanted) for request, wanted in requests]
    for number, widget in enumerate(widgets):
        await asyncio.sleep(max(0.0, number / _OPENED_PER_SECOND - (perf_counter() - began)))
        await loop.create_connection(lambda one=widget: one, HOST, server.port)  # type: ignore[misc]  # bound at once
    try:
        await _until(lambda: all(one.events for one in widgets), widgets)
        yield widgets
    finally:
        for one in widgets:
            one.close()


def _all_heard(widgets: Sequence[Widget], name: bytes) -> bool:
    return all(name in one.heard for one in widgets)


async def _until(holds: Callable[[], bool], widgets: Sequence[Widget]) -> None:
    ends_at = perf_counter() + _PATIENCE_SECONDS
    while not holds():
        if perf_counter() > ends_at or any(one.is_lost for one in widgets):
            silent, refused, lost = (
                sum(told) for told in zip(*((not one.events, one.refused, one.is_lost) for one in widgets), strict=True)
            )
            raise RuntimeError(f"of {len(widgets)} widgets {silent} heard nothing, {refused} were refused, {lost} lost their connection")
        await asyncio.sleep(0.05)


class Cost:
    """CPU and memory of the one server process, CPU of the database, and what the machine's neighbours took, between two moments."""

    def __init__(self, server: Server) -> None:
        self._pid = server.processes[0].pid
        self._database = server.postmaster
        self._began = (perf_counter(), *self._used())

    def _used(self) -> tuple[float, float, float]:
        database = cpu.seconds_of(cpu.family(self._database)) + cpu.seconds_of_ended(self._database)
        return cpu.seconds_of([self._pid]), database, cpu.stolen_seconds()

    def told(self) -> Mapping[str, float]:
        server, database, stolen = self._used()
        seconds = perf_counter() - self._began[0]
        return {
            "server_cpu_percent": round(100 * (server - self._began[1]) / seconds),
            "database_cpu_percent": round(100 * (database - self._began[2]) / seconds),
            "stolen_cpu_percent": round(100 * (stolen - self._began[3]) / seconds),
            "server_mb": _memory_mb(self._pid),
        }


def _memory_mb(pid: int) -> int:
    """Resident (man 5 proc_pid_status); 0 on systems without /proc."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(text.partition("VmRSS:")[2].split()[0]) // 1024


async def measure(at: Ground) -> AsyncIterator[str]:
    async with serving(at) as server:
        async for told in _notices(at, server):
            yield told
    async with serving(at) as server:
        async for told in _cases(at, server):
            yield told


# ------------------------------------------------------------------------------------------------------------------- notices


async def _notices(at: Ground, server: Server) -> AsyncIterator[str]:
    head = f"GET /v1/help/live?show=live HTTP/1.1\r\nHost: makegood\r\nMakegood-Platform: {SLUG}\r\n\r\n".encode()
    async with _open(server, [(head, b'"round-')] * WIDGETS) as widgets:
        yield await _idle("widgets_notice_idle", server, widgets)
        cost, took = Cost(server), list[float]()
        store, hints = NoticeStore(at.pool), Hints(at.pool, at.dsn)
        for number in range(_ROUNDS):
            said = await store.say(at.platform, "live", new_id(), {"en": f"round-{number}"}, actor="bench", why="a measurement")
            committed, name = perf_counter(), str(number).encode()
            assert said.show is not None
            await hints.send([said.show])
            await asyncio.sleep(_APART_SECONDS)
            await _until(partial(_all_heard, widgets, name), widgets)
            took += [1_000 * (one.heard[name] - committed) for one in widgets]
        yield _told("widgets_notice_p99", took, widgets, cost, rounds=_ROUNDS)


# --------------------------------------------------------------------------------------------------------------------- cases


async def _cases(at: Ground, server: Server) -> AsyncIterator[str]:
    made = await _made(at)
    requests = [
        (
            f"GET /v1/cases/case_{case.hex}/progress HTTP/1.1\r\nHost: makegood\r\nMakegood-Platform: {SLUG}\r\n"
            f"Authorization: Bearer {token}\r\nLast-Event-ID: {{last}}\r\n\r\n".encode(),
            b"\nid: ",
        )
        for case, token in made
    ]
    async with _open(server, requests) as widgets:
        yield await _idle("widgets_case_idle", server, widgets)
        cost, took = Cost(server), await _changing(at, [case for case, _ in made], widgets)
        yield _told("widgets_case_p99", took, widgets, cost, changes_per_second=_CHANGES_PER_SECOND)


async def _made(at: Ground) -> list[tuple[UUID, str]]:
    tokens = [f"mgs_{secrets.token_urlsafe(32)}" for _ in range(WIDGETS)]
    cases = [new_id() for _ in tokens]
    hashes = [sha256(one.encode()).digest() for one in tokens]
    await at.pool.execute(_CASES, at.platform, list(at.take(WIDGETS)), [new_id() for _ in tokens], hashes, cases)
    for case in cases:
        await at.pool.execute(_FIRST, at.platform, case)
    await at.pool.execute("ANALYZE")
    return list(zip(cases, tokens, strict=True))


async def _changing(at: Ground, cases: Sequence[UUID], widgets: Sequence[Widget]) -> list[float]:
    """Each change at its time, as another process makes it: a commit, then the hint. Milliseconds from commit to read."""
    hints, committed = Hints(at.pool, at.dsn), dict[int, float]()
    chosen = random.sample(range(len(cases)), _CHANGES_PER_SECOND * _CHANGING_SECONDS)

    async def change(place: int, number: int) -> None:
        await asyncio.sleep(place / _CHANGES_PER_SECOND)
        await at.pool.execute(_CHANGE, at.platform, cases[number])
        committed[number] = perf_counter()
        await hints.send([cases[number]])

    await asyncio.gather(*(change(place, number) for place, number in enumerate(chosen)))
    await _until(lambda: all(b"2" in widgets[number].heard for number in chosen), widgets)
    return [1_000 * (widgets[number].heard[b"2"] - committed[number]) for number in chosen]


# --------------------------------------------------------------------------------------------------------------------- told


async def _idle(name: str, server: Server, widgets: Sequence[Widget]) -> str:
    """What so many open streams cost while nothing happens but that they end and begin again."""
    cost, streams = Cost(server), sum(one.streams for one in widgets)
    await asyncio.sleep(_IDLE_SECONDS)
    costs = cost.told()
    again = (sum(one.streams for one in widgets) - streams) / _IDLE_SECONDS
    return line(name, costs["server_cpu_percent"], "% of a core", widgets=len(widgets), streams_begun_per_second=round(again), **costs)


def _told(name: str, took: Sequence[float], widgets: Sequence[Widget], cost: Cost, **more: int) -> str:
    ordered = sorted(took)
    p99 = ordered[int(len(ordered) * 0.99) - 1]
    refused = sum(one.refused for one in widgets)
    return line(
        name,
        round(p99, 1),
        "ms",
        limit=LIMIT_MS,
        holds=p99 <= LIMIT_MS and refused == 0,
        median=round(ordered[len(ordered) // 2], 1),
        worst=round(ordered[-1], 1),
        widgets=len(widgets),
        reads=len(ordered),
        refused=refused,
        **more,
        **cost.told(),
    )
