"""The desk's side of cases: the queue, claims, replies and notes, and saying yes or no to what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from policies import Guards, limit
from service.callers import Caller
from service.crew import Crew
from service.desk_actions import AgentAction, action_document
from service.model import new_id
from service.operations import Operations
from service.plan import Rules, caps_of
from service.resolution import Resolution
from service.store import cases as store
from service.store import desk as desk_store
from service.store import view as view_store
from service.store.cases import QueuedCase
from service.store.desk import DeskStore
from service.store.pool import Pool
from service.watch import Watch

# An agent who writes nothing for so long has left; the case goes back to the queue. Every note and reply starts it anew.
CLAIM_SECONDS: Final = 600.0

ApproveStatus = Literal["released", "approved", "same_person", "not_held", "cap_reached", "disputed", "excess", "not_yours", "machine"]


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    status: ApproveStatus
    given: int = 0
    needed: int = 0
    cap: str | None = None


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    """`stored`; `already_paid`: nothing is left of this award; `not_yours`, `no_order`, `disputed`"""


class Queue:
    def __init__(
        self, pool: Pool, store: DeskStore, rules: Rules, operations: Operations, resolution: Resolution, *, crew: Crew, watch: Watch
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._operations = operations
        self._resolution = resolution
        self._crew = crew
        self._watch = watch

    async def listed(self, caller: Caller, skills: Sequence[str] | None, most: int, offset: int) -> Sequence[QueuedCase]:
        return await store.queue(self._pool, caller.platform_id, skills, most, offset)

    async def take(self, caller: Caller, case: UUID | None) -> UUID | None:
        """The named case, or the best of the queue for the agent's skills; None: there is none, or somebody else has it."""
        return await self._store.take(caller, case, CLAIM_SECONDS)

    async def note(self, caller: Caller, case: UUID, body: str) -> None:
        """For the desk's eyes; it never leaves."""
        await self._store.note(caller, case, new_id(), body, CLAIM_SECONDS)
        await self._watch.tell(case)

    async def reply(self, caller: Caller, case: UUID, body: str) -> None:
        """Reaches the customer in the case and by mail."""
        await self._store.reply(caller, case, new_id(), body, CLAIM_SECONDS)
        await self._watch.tell(case)

    async def give_back(self, caller: Caller, case: UUID, skill: str | None, reason: str) -> bool:
        """Back to the queue, to another skill if named. False: this agent does not hold it."""
        following: dict[str, Any] = {"owner": "queue", "due_seconds": 900, "outcome": "escalate"}
        if skill:
            following["skill"] = skill
        return await self._leave(caller, case, "given_back", following, reason)

    async def resolve(self, caller: Caller, case: UUID, outcome: Literal["resolved", "denied"], reason: str) -> bool:
        """Ends the case by a person's word. False: this agent does not hold it, or something is still held or under way in it."""
        if await self._store.has_open_operations(caller.platform_id, case):
            return False
        word = "approve" if outcome == "resolved" else "deny"
        return await self._leave(caller, case, f"{outcome}_by_person", {"state": outcome, "outcome": word}, reason)

    async def _leave(self, caller: Caller, case: UUID, kind: str, following: Mapping[str, Any], reason: str) -> bool:
        left = await self._store.leave(caller, case, kind, following, {"reason": reason})
        await self._watch.tell(case)
        return left

    # ------------------------------------------------------------------------------------------------ actions

    async def act(self, caller: Caller, case: UUID, action: AgentAction) -> Acted:
        """The same actions under the same locks, caps and limits, with the agent's name on the timeline.

        Money carries the cause it answers, so that what the policy has paid is not paid again; goodwill that no rule gives, and more
        than this agent may give alone, waits for a second person.
        """
        row = await self._store.case(caller.platform_id, case)
        if row is None or row.order is None or caller.agent_id is None:
            return Acted(status="no_order")
        view = await view_store.read(self._pool, caller.platform_id, order=row.order, show=row.show)
        document = action_document(self._rules, caller, view, action)
        document |= {"platform": caller.platform_id, "case": case, "order": row.order, "key_seconds": self._operations.key_seconds()}
        since = self._resolution.clock()
        answer = await self._store.act(document)
        await self._watch.tell(case)
        if answer["status"] == "stored" and answer["operations"]:
            await self._carry_on(caller.platform_id, answer["operations"], since)
        return Acted(status=answer["status"])

    async def _carry_on(self, platform: UUID, begun: Sequence[Mapping[str, Any]], since: float) -> None:
        if self._crew.reserve():
            await self._crew.wait(self._crew.start(self._resolution.carry_on(platform, tuple(begun), since=since)))

    async def approve(self, caller: Caller, operation: UUID, reason: str) -> Approved:
        """One person's yes. With enough of them the operation is carried out at once."""
        if caller.agent_id is None or caller.kind == "machine":
            return Approved(status="machine")
        row = await self._store.operation(caller.platform_id, operation)
        if row is None:
            return Approved(status="not_held")
        if row.case_owner == "agent" and row.case_agent != caller.agent_id and row.given == 0:
            return Approved(status="not_yours")
        needed = _needed(self._rules.guards, caller, row)
        view = await view_store.read(self._pool, caller.platform_id, order=row.order, show=row.show)
        answer = await self._store.approve(caller, operation, reason, needed, caps_of(self._rules, view))
        if answer["status"] == "released":
            await self._carry_out(caller.platform_id, operation)
        await self._watch.tell(row.case)
        return msgspec.convert(answer, Approved, strict=False)

    async def _carry_out(self, platform: UUID, operation: UUID) -> None:
        """Waits for the first sending; a client that goes away does not cancel it."""
        if self._crew.reserve():
            task = self._crew.start(self._operations.take(platform, operation))
            await self._crew.wait(task)

    async def has_operation(self, caller: Caller, operation: UUID) -> bool:
        return await self._store.operation(caller.platform_id, operation) is not None

    async def refuse(self, caller: Caller, operation: UUID, reason: str) -> bool:
        """One person's no: it ends, and gives back what it had reserved. False: it was not held."""
        return await self._store.refuse(caller, operation, reason)

    async def settle(self, caller: Caller, operation: UUID, reference: str, sent_on: date | None) -> str:
        """A refund that people sent outside every rail, with its reference and day: `settled`, `not_held`, `needs_approval` or
        `under_way`.
        """
        return await self._store.settle(caller, operation, reference, sent_on)

    async def judge(self, caller: Caller, operation: UUID, *, moved: bool, reference: str | None) -> str:
        """What a lead found out about an operation nobody could be sure of: `settled`, `not_in_review` or `reference_needed`."""
        return await self._store.judge(caller, operation, moved=moved, reference=reference)

    async def bundle(self, caller: Caller, case: UUID) -> desk_store.Bundle | None:
        """Everything known of a case, for whoever takes it; the view is recorded with who looked."""
        return await desk_store.bundle(self._pool, caller, case)


def _needed(guards: Guards, caller: Caller, row: desk_store.OperationToApprove) -> int:
    """How many people must agree: two where the amount is more than this one may confirm alone."""
    role = guards.roles.get(caller.role)
    if row.amount is None or row.currency is None:
        return row.needed
    alone = limit(role.refund_max, row.currency) if role else 0
    return max(row.needed, 2) if row.amount > alone else row.needed
