"""How events are delivered, as far as it can be reckoned: groups, waits, what an answer means, what a round leaves behind. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.store.outbox import OutboxRow

# A receiver that is restarted is back within seconds, one that is mended within an hour or a night.
_WAITS_SECONDS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
# Up to a tenth more or less, so that many that fell at once do not come back at once.
_JITTER: Final = 0.1
# What a receiver may ask us to wait: no longer than we would anyway.
_ASKED_SECONDS_MAX: Final = _WAITS_SECONDS[-1]
_ASKED_SECONDS_MIN: Final = 1.0

# A weekend, and a Friday evening before it.
GIVE_UP_SECONDS: Final = 3 * 86_400.0
# With the waits above five hours; in three days with its endpoint up an event has been tried more often.
TRIES_MIN: Final = 9
# Multiples of the golden ratio, but for their whole part, spread as evenly as any number's do.
_GOLDEN: Final = 0.618034
# Different orders whose events fail one after the other: it is not the events.
ILL_KEYS: Final = 5


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a round. `is_parked`: it waits already, and the endpoint's position has passed it."""

    row: OutboxRow
    key: UUID
    tries: int = 0
    is_parked: bool = False

    @property
    def position(self) -> int:
        return self.row.position


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending one event. `failed`: this event did not go; `ill`: no other would have gone either.

    `final`: it is not tried again by itself; of an `ill` one: nothing is.
    """

    word: Literal["sent", "failed", "ill"]
    status: int | None = None
    detail: str = ""
    retry_after_seconds: float | None = None
    final: bool = False
    milliseconds: int = 0

    @property
    def is_answer(self) -> bool:
        """Somebody took it in, or looked at it and will not have it: the endpoint works."""
        return self.word == "sent" or (self.word == "failed" and self.final)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be sent, by position, and what came of it. `end`: up to where the feed was read."""

    items: Sequence[Item]
    outcomes: Mapping[int, Outcome]
    end: int
    is_cut: bool
    """stopped before its end: by time, by a stop, or because the endpoint is ill"""
    ill: Outcome | None = None


def key_of(row: OutboxRow) -> UUID:
    """Events of one key keep their order: those of an order, else of a case; what is of neither stands alone."""
    return row.order_id or row.case_id or row.event_id


def grouped(items: Sequence[Item]) -> Sequence[Sequence[Item]]:
    """By key, each in the feed's order; groups in the order of their first."""
    groups: dict[UUID, list[Item]] = {}
    for item in sorted(items, key=lambda one: one.position):
        groups.setdefault(item.key, []).append(item)
    return list(groups.values())


def probe_of(groups: Sequence[Sequence[Item]], failures: int) -> Sequence[Sequence[Item]]:
    """One event, of those that have not failed yet if there are any.

    Each time from another part of them, so that neighbours that are bad do not hide for long that all others would go.
    """
    fresh = [group for group in groups if group[0].tries == 0] or groups
    return [fresh[int(failures * _GOLDEN % 1 * len(fresh))][:1]] if fresh else []


def meaning(status: int, retry_after_seconds: float | None) -> Outcome:
    """What an answer says. Any 2xx is success; 410 says that nobody wants to hear of us any more (Standard Webhooks, "Delivery")."""
    if 200 <= status < 300:
        return Outcome(word="sent", status=status)
    if status == 410:
        return Outcome(word="ill", status=status, detail="gone", final=True)
    if status == 429 or (status == 503 and retry_after_seconds is not None):
        return Outcome(word="ill", status=status, detail=f"status {status}", retry_after_seconds=retry_after_seconds)
    return Outcome(word="failed", status=status, detail="redirects elsewhere" if 300 <= status < 400 else f"status {status}")


def wait_seconds(tries: int, chance: float, asked: float | None = None) -> float:
    """How long until the next try; `tries` counts from 1, `chance` is from 0 to 1, `asked` is the receiver's own wish."""
    if asked is not None:
        return min(_ASKED_SECONDS_MAX, max(_ASKED_SECONDS_MIN, asked))
    wait = _WAITS_SECONDS[min(max(tries, 1), len(_WAITS_SECONDS)) - 1]
    return wait * (1 - _JITTER + 2 * _JITTER * chance)


def settlement(done: Round, *, failures: int, chance: float) -> dict[str, Any]:
    """The document of `endpoint_settle`. `failures`: of the endpoint's probes so far.

    The position goes up to the last event that is settled: delivered, or failed on its own account. What lies below it and is neither is
    parked, so that nothing is sent twice for want of a place to remember it; what lies above is read again.
    """
    own = {position for position, one in done.outcomes.items() if one.word == "failed"}
    sent = {position for position, one in done.outcomes.items() if one.word == "sent"}
    news = [item for item in done.items if not item.is_parked]
    settled = [item.position for item in news if item.position in sent or item.position in own]
    end = max(settled, default=0) if done.is_cut else done.end
    failed = [(item, done.outcomes[item.position]) for item in done.items if item.position in own]
    wait = wait_seconds(failures + 1, chance, done.ill.retry_after_seconds if done.ill else None)
    return {
        "position": end,
        "succeeded": any(one.is_answer for one in done.outcomes.values()),
        "sent": [item.position for item in done.items if item.is_parked and item.position in sent],
        "failed": [
            {
                **_named(item),
                "status": one.status,
                "detail": one.detail,
                "wait": wait_seconds(item.tries + 1, chance, one.retry_after_seconds),
                "final": one.final,
            }
            for item, one in failed
        ],
        "queued": [_named(item) for item in news if item.position <= end and item.position not in sent and item.position not in own],
        "ill": done.ill
        and {"status": done.ill.status, "detail": done.ill.detail, "wait": wait, "gone": done.ill.word == "ill" and done.ill.final},
        "log": [
            {
                "event_id": item.row.event_id,
                "type": item.row.type,
                "status": one.status,
                "detail": one.detail,
                "milliseconds": one.milliseconds,
            }
            for item in done.items
            if (one := done.outcomes.get(item.position)) is not None and one.word != "sent"
        ],
        "limits": {"give_up_seconds": GIVE_UP_SECONDS, "tries_min": TRIES_MIN, "ill_keys": ILL_KEYS, "ill_wait": wait_seconds(1, chance)},
    }


def _named(item: Item) -> dict[str, Any]:
    return {"position": item.position, "event_id": item.row.event_id, "key": item.key}
