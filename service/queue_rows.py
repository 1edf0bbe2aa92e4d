"""A row of the queue as the desk sees it: in lists, in the live feed, in what a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.model import WireId, wire
from service.shown import in_language
from service.store import queue as store
from service.store.pool import Pool
from service.store.queue import Filters, RowRecord, State


class QueueClock(msgspec.Struct, frozen=True, kw_only=True):
    """The promise that ends next. `due_at` is null while it is paused, and then `paused_for` says for what."""

    kind: Literal["acknowledge", "next_answer", "resolve"]
    due_at: datetime | None
    warned: bool
    breached: bool
    paused_for: str | None


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    problem: str
    order: str | None
    show: str | None
    show_name: str | None
    """in the case's language"""
    skill: str
    priority: int
    """what the policy said, 1 is first; who is first in the queue is `look_by`"""
    state: State
    look_by: datetime
    """by when somebody should look at it: the earliest is first"""
    why: str | None
    """the rule of routing.yaml that said so; null for a second, until it has"""
    queued_at: datetime
    agent: str | None
    """who has taken it, or had it when it was parked"""
    mine: bool
    money_at_stake: int
    """minor units that wait for a person's yes"""
    held: int
    """operations that wait for a person's yes, with money or without"""
    currency: str | None
    locale: str
    unanswered_at: datetime | None
    """since when the customer's words have had no answer"""
    sla: QueueClock | None
    playbook: str | None
    version: int


def row_shown(one: RowRecord, agent: UUID | None) -> QueueRow:
    """`agent`: who looks; None is nobody at the desk."""
    fields = msgspec.structs.asdict(one)
    del fields["agent_id"]
    return QueueRow(
        **{
            **fields,
            "id": wire(WireId.CASE, one.id),
            "show_name": in_language(one.show_name, one.locale) if one.show_name else None,
            "mine": agent is not None and one.agent_id == agent,
            "sla": None if one.sla is None else QueueClock(**msgspec.structs.asdict(one.sla)),
        }
    )


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    rows: Sequence[QueueRow]
    total: int


class QueueRows:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, caller: Caller, filters: Filters, *, most: int, offset: int = 0) -> QueuePage:
        """The queue as the caller sees it, and how many cases fit in all."""
        rows = await store.rows(self._pool, caller.platform_id, filters, most=most, offset=offset)
        total = offset + len(rows) if 0 < len(rows) < most else await store.total(self._pool, caller.platform_id, filters)
        return QueuePage(rows=[row_shown(one, caller.agent_id) for one in rows], total=total)
