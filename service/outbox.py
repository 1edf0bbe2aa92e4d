"""Tells platforms what happened: places facts in their feed, and sends them to each endpoint at least once, each order's in their order.

Any number of processes do this: one places at a time, and each endpoint is one worker's at a time, by a lease.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog
from standardwebhooks import Webhook

from service.delivery import ILL_KEYS, Item, Outcome, Round, grouped, key_of, meaning, probe_of, settlement
from service.events import TYPES, render
from service.ports import Declined, Hooks, OutcomeUnknown, Told, Unavailable
from service.sealing import Unsealable, Vault
from service.store.endpoints import Claimed, EndpointStore
from service.store.outbox import OutboxRow, OutboxStore

log: Final = structlog.get_logger()

# A fact is told within this of its commit; looking costs two short statements.
EVERY_SECONDS: Final = 0.2
# The database is away: look again this often.
_AWAY_SECONDS: Final = 2.0
# As many as are placed in one short statement.
_PLACED_MAX: Final = 2_000

# What one round takes from the feed: more would hold back an endpoint's first answers until its last.
WINDOW: Final = 64
# A receiver takes so many at once without feeling attacked.
AT_ONCE: Final = 16
# With the line above at most 512 connections of one process.
ENDPOINTS_AT_ONCE: Final = 32
# Places for the endpoints of one platform, of those above: however slow they are, three more platforms fill theirs before anybody waits.
PLATFORM_AT_ONCE: Final = 8
# Places for endpoints that fail, of those above: the others are for those that do not.
_PROBES_AT_ONCE: Final = 8
# A receiver keeps the event and answers; what takes longer is at work before it has answered.
SEND_SECONDS_MAX: Final = 15.0
# A slow endpoint's round ends, so that its place goes round.
_ROUND_SECONDS: Final = 10.0
# Who removes, pauses, moves or re-keys an endpoint is heard within this, and what is on the wire by then; one short statement each time.
_LOOK_SECONDS: Final = 1.0
# Outlives the last sending of a round, and what it takes to store what came of it.
LEASE_SECONDS: Final = _ROUND_SECONDS + SEND_SECONDS_MAX + 10.0


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told: an address with the secrets that sign for it, the newest first; or an adapter of ours by its name."""

    url: str | None = None
    secrets: Sequence[str] = ()
    adapter: str = ""


def signed(event_id: str, body: bytes, secrets: Sequence[str], now: datetime) -> Mapping[str, str]:
    """The headers of Standard Webhooks 1.0: one signature for each secret that a receiver may hold."""
    text = body.decode()
    signatures = [Webhook(secret).sign(event_id, now, text) for secret in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def expanded(types: Sequence[str] | None) -> Sequence[str] | None:
    """`refund.*` as the types that it stands for. None, as `*`: all, those of a later release too."""
    if types is None or "*" in types:
        return None
    return sorted({name for name in TYPES for asked in types if name == asked or (asked.endswith(".*") and name.startswith(asked[:-1]))})


class Sender:
    """Sends one event to one receiver. `adapters`: by name; `clock`: for signatures."""

    def __init__(self, hooks: Hooks, vault: Vault, *, adapters: Mapping[str, Told], clock: Callable[[], datetime]) -> None:
        self._hooks = hooks
        self._vault = vault
        self.clock = clock
        self.adapters = adapters

    def opened(self, endpoint: UUID, *sealed: bytes | None) -> Sequence[str]:
        """Raises Unsealable."""
        return [self._vault.open(one, place=endpoint.bytes).decode() for one in sealed if one is not None]

    async def send(self, to: Receiver, row: OutboxRow) -> Outcome:
        """Never raises but for a cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                outcome = await self._send(to, row)
        except (Unavailable, OutcomeUnknown, Declined, TimeoutError) as failure:
            outcome = of_failure(failure)
        except Exception as error:  # noqa: BLE001 - one that fails, for whatever reason, holds up no other and is tried again
            kind = type(error).__qualname__
            log.error("event_not_sent", event_id=row.event_id.hex, error=kind)  # noqa: TRY400 - its text may quote what it stumbled on
            outcome = Outcome(word="failed", detail=kind)
        return msgspec.structs.replace(outcome, milliseconds=round((time.monotonic() - started) * 1000))

    async def _send(self, to: Receiver, row: OutboxRow) -> Outcome:
        event = render(row)
        if to.url is None:
            await self.adapters[to.adapter].told(event)
            return Outcome(word="sent")
        body = msgspec.json.encode(event)
        answer = await self._hooks.post(to.url, body, signed(event.id, body, to.secrets, self.clock()))
        return meaning(answer.status, answer.retry_after_seconds)


def of_failure(failure: Exception) -> Outcome:
    """What the ways to fail mean here."""
    if isinstance(failure, Declined):
        return Outcome(word="failed", detail=f"declined: {failure}", final=True)
    if isinstance(failure, Unavailable):
        everything = failure.never_sent or failure.configuration or failure.retry_after_seconds is not None
        return Outcome(word="ill" if everything else "failed", detail=failure.detail, retry_after_seconds=failure.retry_after_seconds)
    return Outcome(word="failed", detail="no answer in time" if isinstance(failure, TimeoutError) else str(failure))


class Outbox:
    """One a process. `chance`: from 0 to 1, by which waits differ; `monotonic`: seconds, by which rounds end and look again."""

    def __init__(
        self,
        places: OutboxStore,
        store: EndpointStore,
        sender: Sender,
        *,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._store = store
        self._sender = sender
        self._chance = chance
        self._monotonic = monotonic
        self.rounds: set[asyncio.Task[None]] = set()
        self._probing = 0
        self._held: Counter[UUID] = Counter()
        self._wake = asyncio.Event()
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Works until told to stop, then finishes what is being sent. A lost database is waited for."""
        ending = asyncio.create_task(self._pass_on(stop))
        try:
            while not stop.is_set():
                seconds = EVERY_SECONDS
                try:
                    if await self.once():
                        continue
                except Exception as error:  # noqa: BLE001 - whatever it was, the next look tries again
                    log.error("outbox_interrupted", error=type(error).__qualname__)  # noqa: TRY400 - a database's message may quote
                    seconds = _AWAY_SECONDS
                await self._rest(seconds)
        finally:
            ending.cancel()
            self._stopping = True
        if self.rounds:
            await asyncio.wait(self.rounds)

    async def once(self) -> bool:
        """Places what is new and starts a round for each endpoint that is due; True when there is more at once."""
        self._wake.clear()
        placed = await self._places.place(_PLACED_MAX)
        free = ENDPOINTS_AT_ONCE - len(self.rounds)
        if free > 0:
            probes = self._probing < _PROBES_AT_ONCE
            seen_at = self._monotonic()
            for one in await self._store.claim(
                free,
                LEASE_SECONDS,
                adapters=self._sender.adapters.keys(),
                probes=probes,
                held=self._held,
                share=PLATFORM_AT_ONCE,
            ):
                self._start(one, seen_at)
        return placed >= _PLACED_MAX

    async def finish(self) -> None:
        """Waits for the rounds that are under way: for tests, which look at what they left behind."""
        while self.rounds:
            await asyncio.wait(self.rounds)

    def _start(self, one: Claimed, seen_at: float) -> None:
        self._probing += one.is_failing
        self._held[one.platform] += 1
        task = asyncio.create_task(self._round(one, seen_at))
        self.rounds.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self.rounds.discard(task)
            self._probing -= one.is_failing
            self._held[one.platform] -= 1
            if not self._held[one.platform]:
                del self._held[one.platform]
            self._wake.set()
            if not task.cancelled() and (error := task.exception()) is not None:
                # Its lease ends, and somebody takes it up again.
                log.error("round_failed", endpoint_id=one.id.hex, error=type(error).__qualname__)

        task.add_done_callback(ended)

    async def _round(self, one: Claimed, seen_at: float) -> None:
        ends_at = self._monotonic() + _ROUND_SECONDS
        items, end = await self._window(one)
        blocked = await self._blocked(one, items)
        groups = grouped([item for item in items if item.is_parked or item.key not in blocked])
        if one.is_failing:
            groups = probe_of(groups, one.failures)
        watched = Watched(one, self._store.still, seen_at=seen_at, monotonic=self._monotonic)
        sending = Sending(
            lambda row: self._send(watched, row), is_over=lambda: self._stopping or self._monotonic() >= ends_at, is_probe=one.is_failing
        )
        await sending.all(groups)
        is_cut = sending.is_cut or (one.is_failing and bool(groups))
        done = Round(items=items, outcomes=sending.outcomes, end=end, is_cut=is_cut, ill=sending.ill)
        said = await self._store.settle(one, settlement(done, failures=one.failures, chance=self._chance()))
        if sending.ill is not None or said != "settled":
            log.warning("endpoint_failed", endpoint_id=one.id.hex, detail=sending.ill.detail if sending.ill else "", outcome=said)

    async def _send(self, watched: Watched, row: OutboxRow) -> Outcome | None:
        """None: its endpoint is not there to be told any more."""
        one = await watched.now()
        if one is None:
            return None
        try:
            secrets = self._sender.opened(one.id, one.sealed_secret, one.sealed_former)
        except Unsealable:
            return Outcome(word="ill", detail="its secret does not open")
        return await self._sender.send(Receiver(url=one.url, secrets=secrets, adapter=one.name), row)

    async def _window(self, one: Claimed) -> tuple[Sequence[Item], int]:
        """What waited and is due, then what is new; and up to where the feed was read."""
        parked = await self._store.parked(one, WINDOW) if one.has_parked else ()
        items = [Item(row=each.row, key=each.key, tries=each.tries, is_parked=True) for each in parked]
        room = WINDOW - len(items)
        if room <= 0 or one.head <= one.position:
            return items, one.position
        rows = await self._store.news(one, room, expanded(one.types))
        end = rows[-1].position if len(rows) >= room else max(one.head, rows[-1].position if rows else 0)
        return [*items, *(Item(row=row, key=key_of(row)) for row in rows)], end

    async def _blocked(self, one: Claimed, items: Sequence[Item]) -> Collection[UUID]:
        keys = {item.key for item in items if not item.is_parked}
        return await self._store.blocked(one, keys) if keys and one.has_parked else ()

    async def _pass_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        self._wake.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


class Watched:
    """An endpoint during one round, as its row was within the last second. `still`: looks at it; `seen_at`: when it was claimed."""

    def __init__(
        self, one: Claimed, still: Callable[[Claimed], Awaitable[Claimed | None]], *, seen_at: float, monotonic: Callable[[], float]
    ) -> None:
        self._one: Claimed | None = one
        self._still = still
        self._seen_at = seen_at
        self._monotonic = monotonic
        self._looking = asyncio.Lock()

    async def now(self) -> Claimed | None:
        """None, from then on: nothing may be sent to it any more, or nobody can say whether."""
        async with self._looking:  # one looks for all that are sent at once
            if self._one is not None and self._monotonic() - self._seen_at >= _LOOK_SECONDS:
                self._seen_at = self._monotonic()
                self._one = await self._looked(self._one)
            return self._one

    async def _looked(self, one: Claimed) -> Claimed | None:
        try:
            return await self._still(one)
        except Exception as error:  # noqa: BLE001 - whatever it was: what was sent is still stored if it can be, and the next round looks again
            log.error("endpoint_not_seen", endpoint_id=one.id.hex, error=type(error).__qualname__)  # noqa: TRY400 - it may quote
            return None


class Sending:
    """One round: groups beside each other, within a group one after the other, until one fails; and over when the endpoint is ill.

    `send`: None where nobody is there to be told any more, which ends it too.
    """

    def __init__(self, send: Callable[[OutboxRow], Awaitable[Outcome | None]], *, is_over: Callable[[], bool], is_probe: bool) -> None:
        self._send = send
        self._is_over = is_over
        self._is_probe = is_probe
        self.outcomes: dict[int, Outcome] = {}
        self.ill: Outcome | None = None
        """that the endpoint is, and by what it shows: `failed` where several events failed and none went since"""
        self.is_cut = False
        self._failed_in_row = 0

    async def all(self, groups: Sequence[Sequence[Item]]) -> None:
        waiting = iter(groups)

        async def some() -> None:
            for group in waiting:
                await self._group(group)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(AT_ONCE, len(groups))):
                tasks.create_task(some())

    async def _group(self, group: Sequence[Item]) -> None:
        for item in group:
            outcome = None if self.ill is not None or self._is_over() else await self._send(item.row)
            if outcome is None:
                self.is_cut = True
                return
            # What a probe stumbles on says something of the endpoint, and may say nothing of the event.
            if self._is_probe and not outcome.is_answer:
                outcome = msgspec.structs.replace(outcome, word="ill")
            self.outcomes[item.position] = outcome
            self._judge(item, outcome)
            if outcome.word != "sent":
                return

    def _judge(self, item: Item, outcome: Outcome) -> None:
        if outcome.is_answer:
            self._failed_in_row = 0
            self.ill = None if self.ill and self.ill.word == "failed" else self.ill
            return
        self._failed_in_row += item.tries == 0
        if outcome.word == "ill" or self._is_probe or self._failed_in_row >= ILL_KEYS:
            self.ill = self.ill if self.ill and self.ill.word == "ill" else outcome
            self.is_cut = True
