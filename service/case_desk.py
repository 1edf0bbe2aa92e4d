"""The desk's side of one case: everything known of it, and its end by a person's word."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from service.callers import Caller
from service.store import desk as desk_store
from service.store.desk import DeskStore, EndStatus
from service.store.pool import Pool
from service.watch import Watch


class CaseDesk:
    def __init__(self, pool: Pool, store: DeskStore, *, watch: Watch) -> None:
        self._pool = pool
        self._store = store
        self._watch = watch

    async def end(self, caller: Caller, case: UUID, outcome: Literal["resolved", "denied"], reason: str) -> EndStatus:
        """Ends the case by a person's word. `cannot_end`: this agent does not hold it, or something is still held or under way in it;
        `referral_open`: another team still judges it.
        """
        status = await self._store.end(caller, case, outcome, reason)
        self._watch.tell(case)
        return status

    async def bundle(self, caller: Caller, case: UUID) -> desk_store.Bundle | None:
        """Everything known of a case, for whoever takes it; the view is recorded with who looked."""
        return await desk_store.bundle(self._pool, caller, case)
