"""The inbox: what processors tell us is verified and kept before it is answered, and applied afterwards, as often as it takes.

The body says only that something happened. What it means now is read from the processor where that can be asked (design, section 4.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog

from service.crew import Crew
from service.identity import TooMany
from service.ports import AsksProcessor, DisputeNews, Event, News, Notifications, RefundNews, Unavailable
from service.sealing import Vault
from service.store.inbox import InboxRow, InboxStore

log: Final = structlog.get_logger()

# `/webhooks/<kind>`: the name of the processor, and the kinds of rails that it notifies.
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "stripe": frozenset({"stripe"}),
    "adyen": frozenset({"adyen"}),
    "paypal": frozenset({"paypal", "paypal_payout"}),
    "sandbox": frozenset({"sandbox", "sandbox_payout"}),
}

# Processors give up after some ten seconds; PayPal is asked whether the signature is its own.
_VERIFY_SECONDS_MAX: Final = 8.0
# What an address may have the processor asked about posts that are not its own. A processor's own deliveries, many side by side, stay far
# below and get each question back; whoever forges them costs it thirty questions a minute, where they could cost thousands.
QUESTIONS_MOST: Final = 60.0
QUESTIONS_PER_SECOND: Final = 0.5
# A batch of the largest body there is has fewer; what has more is nobody's batch.
_EVENTS_MAX: Final = 1000
# Ids of processors have 20 to 60 characters, and an index entry a maximum of its own.
_ID_LENGTH_MAX: Final = 255
_KIND_LENGTH_MAX: Final = 120
# A dozen references and amounts; more would be the body itself.
_ABOUT_BYTES_MAX: Final = 8_000

# As many readings of a processor at once as leave it room for refunds.
_AT_ONCE: Final = 8
# A round is over in seconds; what is left by then is taken up by the next second of the claim loop.
_ROUNDS_MAX: Final = 200
# Reading an object is one call or two, ten seconds each at most.
_NEWS_SECONDS_MAX: Final = 25.0
# Outlives the reading and what it takes to store it.
LEASE_SECONDS: Final = 40.0
# A processor that is down for minutes is asked again soon, one that is down for a night each hour.
_RETRY_SECONDS_FIRST: Final = 2.0
_RETRY_SECONDS_LAST: Final = 3600.0
# With doubling waits about an hour: then it is no hiccup any more.
ALERT_TRIES: Final = 11
# With hourly waits a week: longer than any outage, and by then people were told.
TRIES_MAX: Final = 180
# A payment that nobody knows may come with the platform's feed: after a minute, ten minutes, an hour, six hours, a day.
UNKNOWN_WAITS_SECONDS: Final = (60.0, 540.0, 3_000.0, 18_000.0, 64_800.0)

# A night without our endpoint is some hundred events; what is more is fed by the next pass.
_MISSED_MAX: Final = 10_000
_MISSED_BATCH: Final = 100


class HearsRefunds(Protocol):
    async def heard(self, rail: str, news: RefundNews, *, source: str) -> str:
        """Applies what a processor says of a refund, ours or not: applied, known, elsewhere, mismatch or unknown_payment."""


class Inbox:
    """One a process. `notifications`: rail -> its webhook, where a secret is set; `kinds`: rail -> its kind."""

    def __init__(
        self,
        store: InboxStore,
        refunds: HearsRefunds,
        *,
        notifications: Mapping[str, Notifications],
        kinds: Mapping[str, str],
        crew: Crew,
        clock: Callable[[], datetime],
        vault: Vault,
    ) -> None:
        self._vault = vault
        self._store = store
        self._refunds = refunds
        self._notifications = notifications
        self._kinds = kinds
        self._crew = crew
        self._clock = clock
        self._applying = False
        self._more = False

    def rail_of(self, kind: str, rail: str | None) -> str | None:
        """The rail whose webhook `/webhooks/<kind>/<rail>` is; without a name, the only one of its kind. None: there is no such webhook."""
        names = [name for name in self._notifications if self._kinds.get(name) in KINDS.get(kind, ())]
        if rail is None:
            return names[0] if len(names) == 1 else None
        return rail if rail in names else None

    async def take(self, rail: str, body: bytes, headers: Mapping[str, str], *, client: str) -> bytes:
        """Verifies, keeps what is new, and gives what the processor wants to read back. What is forged leaves nothing behind.

        `client`: the address it came from, for counting. Raises Forged, ValueError for what cannot be read, Unavailable where the processor
        has to be asked and does not answer, TooMany where this address has had it asked too often about what was not its own.
        """
        webhook = self._notifications[rail]
        counted = None
        if isinstance(webhook, AsksProcessor):
            webhook.worth_asking(body, headers, self._clock())
            counted = await self._count_question(rail, client)
        try:
            async with asyncio.timeout(_VERIFY_SECONDS_MAX):
                events = await webhook.opened(body, headers, self._clock())
        except TimeoutError as error:
            raise Unavailable("the processor does not say whether it is its own") from error
        if counted is not None:
            await self._store.return_question(rail, counted, most=QUESTIONS_MOST)
        check_events(events)
        if events and await self._store.keep(rail, events):
            self.wake()
        return webhook.reply

    async def _count_question(self, rail: str, client: str) -> str:
        """The bucket's name: a keyed hash, so that the table of buckets is no list of addresses. Raises TooMany."""
        bucket = self._vault.keyed_hash(b"webhook", client.encode()).hex()
        seconds = await self._store.take_question(rail, bucket, most=QUESTIONS_MOST, per_second=QUESTIONS_PER_SECOND)
        if seconds:
            log.warning("webhook_questions_used_up", rail=rail)
            raise TooMany(seconds)
        return bucket

    def wake(self) -> None:
        """Starts applying what is due, unless this process is at it already. Returns at once."""
        self._more = True
        if self._applying or not self._notifications or not self._crew.reserve():
            return
        self._applying = True
        self._crew.start(self._apply_until_none())

    async def _apply_until_none(self) -> None:
        try:
            for _ in range(_ROUNDS_MAX):
                self._more = False
                if await self.apply_due() < _AT_ONCE and not self._more:
                    return
        finally:
            self._applying = False

    async def apply_due(self) -> int:
        """Applies at most a handful of events that are due; how many. Safe in every process at once: each event is one's at a time."""
        rows = await self._store.claim(self._notifications.keys(), _AT_ONCE, LEASE_SECONDS)
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(self._apply(row))
        return len(rows)

    async def _apply(self, row: InboxRow) -> None:
        try:
            async with asyncio.timeout(_NEWS_SECONDS_MAX):
                news = await self._notifications[row.rail].news(row.event)
            statuses = [await self._apply_news(row, one) for one in news]
        except Exception as failure:  # noqa: BLE001 - one that fails, for whatever reason, holds up no other and is tried again
            await self._failed(row, failure)
            return
        outcome = outcome_of(statuses)
        wait = unknown_wait_seconds(row.tries) if outcome == "unknown_payment" else None
        await self._store.mark(row, outcome, wait)
        log.debug("webhook_applied", rail=row.rail, event_id=row.event.id, kind=row.event.kind, outcome=outcome)

    async def _apply_news(self, row: InboxRow, news: News) -> str:
        if isinstance(news, RefundNews):
            return await self._refunds.heard(row.rail, news, source="webhook")
        about = {"rail": row.rail, "payment_ref": news.payment_ref, "at": row.event.happened_at or row.received_at}
        if isinstance(news, DisputeNews):
            about |= {"ref": news.dispute_ref, "state": news.state, "amount": news.amount.minor, "currency": news.amount.currency}
            return await self._store.dispute(about)
        return await self._store.warning(about | {"ref": news.warning_ref})

    async def _failed(self, row: InboxRow, failure: Exception) -> None:
        """Tries again later; after a maximum never. People hear of it in between and at the end."""
        error = f"{type(failure).__module__}.{type(failure).__qualname__}"
        log.warning("webhook_not_applied", rail=row.rail, event_id=row.event.id, tries=row.tries, error=error)
        over = row.tries >= TRIES_MAX
        await self._store.mark(row, "failed" if over else None, None if over else retry_seconds(row.tries))
        refused = isinstance(failure, Unavailable) and failure.configuration  # a wrong key does not mend itself; heard of once an event
        if over or refused or row.tries == ALERT_TRIES:
            data = {"ref": row.rail, "rail": row.rail, "event": row.event.id, "kind": row.event.kind, "error": error, "given_up": over}
            await self._store.alert(row.rail, "webhook_failed", data)

    async def catch_up(self, since: datetime) -> int:
        """Feeds what the processors could not deliver since then into the inbox; how many were new. One that is away is left out."""
        found = 0
        for rail, webhook in self._notifications.items():
            try:
                found += await self._catch_up(rail, webhook, since)
            except (Unavailable, ValueError) as failure:
                log.warning("webhooks_not_caught_up", rail=rail, error=type(failure).__name__)
        if found:
            log.info("webhooks_caught_up", count=found)
            self.wake()
        return found

    async def _catch_up(self, rail: str, webhook: Notifications, since: datetime) -> int:
        found, seen, batch = 0, 0, list[Event]()
        async for event in webhook.missed(since):
            check_events([event])
            batch.append(event)
            seen += 1
            if len(batch) == _MISSED_BATCH or seen == _MISSED_MAX:
                found += await self._store.keep(rail, batch)
                batch = []
            if seen == _MISSED_MAX:
                break
        return found + (await self._store.keep(rail, batch) if batch else 0)

    async def forget_old(self) -> None:
        await self._store.forget_old()


# ---------------------------------------------------------------------------------------------------- what it means (pure)


def check_events(events: Sequence[Event]) -> None:
    """Raises ValueError for what no processor sends and no table should hold, signed or not."""
    if len(events) > _EVENTS_MAX:
        raise ValueError("more events than a batch has")
    for event in events:
        about = msgspec.json.encode(event.about)
        if not 0 < len(event.id) <= _ID_LENGTH_MAX or len(event.kind) > _KIND_LENGTH_MAX or len(about) > _ABOUT_BYTES_MAX:
            raise ValueError("an event that is out of shape")
        # PostgreSQL holds no NUL
        if "\x00" in event.id or "\x00" in event.kind or b"\\u0000" in about:
            raise ValueError("an event with NUL")


def outcome_of(statuses: Sequence[str]) -> str:
    """Of all that one event meant: kept as unknown only when nothing of it is known here."""
    if not statuses:
        return "nothing"
    return "unknown_payment" if all(status == "unknown_payment" for status in statuses) else "applied"


def retry_seconds(tries: int) -> float:
    """2, 4, 8 … 3600 seconds; `tries` counts from 1."""
    return min(_RETRY_SECONDS_LAST, _RETRY_SECONDS_FIRST * 2.0 ** min(tries - 1, 20))


def unknown_wait_seconds(tries: int) -> float | None:
    return UNKNOWN_WAITS_SECONDS[tries - 1] if tries <= len(UNKNOWN_WAITS_SECONDS) else None
