"""Who has a case: taken as a lease, kept, given on, put aside and taken again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from service.callers import Caller
from service.model import WireId, unwire
from service.store.claims import ClaimStore, GiveStatus, ParkStatus, Presence, Taken, UnparkStatus
from service.watch import Watch

# A program that writes nothing for so long has left; the case goes back to its place. The console asks for less and keeps on asking.
CLAIM_SECONDS: Final = 600.0


class Claims:
    def __init__(self, store: ClaimStore, watch: Watch) -> None:
        self._store = store
        self._watch = watch

    async def take(self, caller: Caller, case: UUID | None, seconds: float = CLAIM_SECONDS) -> Taken:
        """The named case, or the best of the queue for the agent's skills and languages; never more than the agent's capacity."""
        taken = await self._store.take(caller, case, seconds)
        if taken.case is not None:
            self._watch.tell(taken.case)
        return taken

    async def keep(self, caller: Caller, case: UUID, seconds: float) -> datetime | None:
        """Until when the case is the agent's; None: it is not (any more)."""
        return await self._store.keep(caller, case, seconds)

    async def give_back(self, caller: Caller, case: UUID, *, skill: str | None, agent: str | None, reason: str) -> GiveStatus:
        """Back to its place in the queue, to another skill if named; or to a named person (id or name) who is there and has a hand free."""
        to = None if agent is None else await self._named(caller.platform_id, agent)
        if agent is not None and to is None:
            return "agent_away"
        if to is not None and to.role == "machine":
            return "not_a_person"
        status = await self._store.give(caller, case, skill=skill, agent=to.id if to else None, reason=reason)
        self._watch.tell(case)
        return status

    async def park(self, caller: Caller, case: UUID, *, waits_for: Literal["customer", "hold"], seconds: int, reason: str) -> ParkStatus:
        """Aside until then, or until the customer writes, and back half an hour before the doors. Nobody waits for a customer who waits
        for words: `unanswered`.
        """
        parked = await self._store.park(caller, case, waits_for=waits_for, seconds=seconds, reason=reason)
        self._watch.tell(case)
        return parked

    async def unpark(self, caller: Caller, case: UUID) -> UnparkStatus:
        status = await self._store.unpark(caller, case, CLAIM_SECONDS)
        self._watch.tell(case)
        return status

    async def shift(self, caller: Caller) -> Sequence[Presence]:
        return await self._store.presence(caller.platform_id)

    async def available(self, caller: Caller, agent: UUID, *, available: bool) -> None:
        """Who is not available gets no case unasked: none that is given to them, none that comes back."""
        await self._store.set_available(caller.platform_id, agent, available=available)

    async def _named(self, platform: UUID, agent: str) -> Presence | None:
        agent_id = unwire(WireId.AGENT, agent)
        found = await self._store.presence(platform, agent=agent_id, name=None if agent_id else agent)
        return found[0] if found else None
