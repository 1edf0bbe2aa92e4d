"""How each rail does, as a platform sees it: state, pace, backlog, and whether to take new payments there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.ports import RefundRail
from service.store.rails import RailRow, RailStore

State = Literal["closed", "open", "half_open", "stopped"]
Reason = Literal["well", "stopped", "unreachable", "being_tried", "pays_out_only"]


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform has there that waits to be sent or to be answered; held ones and accepted ones are not among them."""

    operations: int
    oldest_seconds: int
    """since the oldest was decided; 0 without any"""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    word: str
    at: datetime


class RailStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One rail now. `stopped`: by people, or because it refused our key. `open`: it does not answer, and nothing is sent. `half_open`: one
    call tries.
    """

    name: str
    kind: str
    pays: Literal["back", "out"]
    state: State
    since: datetime | None
    """of every state but `closed`"""
    why: str
    waits_until: datetime | None
    """the processor asked to wait until then; new payments are not touched by that"""
    pace_per_second: float | None
    """the most that is sent, over all platforms; null: no pace"""
    backlog: Backlog
    take_new_payments: bool
    reason: Reason
    """of `take_new_payments`"""
    last_failure: Failure | None


class Rails:
    """`paces`: calls a second, by rail."""

    def __init__(
        self, store: RailStore, *, rails: Mapping[str, RefundRail], kinds: Mapping[str, str], paces: Mapping[str, float | None]
    ) -> None:
        self._store = store
        self._rails = rails
        self._kinds = kinds
        self._paces = paces

    async def list(self, platform: UUID) -> Sequence[RailStatus]:
        """By name. Left out are rails that refund where only other platforms have payments, and rails that pay out which this platform
        neither allows nor has anything on.
        """
        paying_out = sorted(name for name, rail in self._rails.items() if rail.traits.pays == "out")
        rows = await self._store.of_platform(platform, sorted(self._rails.keys() - set(paying_out)), paying_out)
        return [self._status(row) for row in rows]

    def _status(self, row: RailRow) -> RailStatus:
        pays = self._rails[row.rail].traits.pays
        state = _state(row)
        take, reason = _advice(state, pays)
        since, why = (row.stopped_at, row.stopped_why) if state == "stopped" else (row.opened_at, row.last_failure)
        return RailStatus(
            name=row.rail,
            kind=self._kinds[row.rail],
            pays=pays,
            state=state,
            since=since,
            why="" if state == "closed" else why,
            waits_until=row.not_before,
            pace_per_second=self._paces.get(row.rail) or None,
            backlog=Backlog(operations=row.operations, oldest_seconds=int(row.oldest_seconds)),
            take_new_payments=take,
            reason=reason,
            last_failure=None if row.last_failure_at is None else Failure(word=row.last_failure, at=row.last_failure_at),
        )


def _state(row: RailRow) -> State:
    if row.stopped_at is not None:
        return "stopped"
    if row.opened_at is None:
        return "closed"
    return "half_open" if row.may_be_tried else "open"


def _advice(state: State, pays: Literal["back", "out"]) -> tuple[bool, Reason]:
    """Whether to take new payments there: not where they could not be refunded now."""
    if pays == "out":
        return False, "pays_out_only"
    reasons: Mapping[State, Reason] = {"closed": "well", "open": "unreachable", "half_open": "being_tried", "stopped": "stopped"}
    return state == "closed", reasons[state]
