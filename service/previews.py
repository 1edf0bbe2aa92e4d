"""Preview, confirm, carry out: an agent sees what would happen and on which facts, and a yes holds for those facts alone.

What would happen is never worked out beside what does it: the database does it under its locks, says what came of it, and takes it back.
A yes is bound to a hash of the facts and of that outcome, and compared again in the transaction that acts. Who agrees to what is held goes
the same way, and that hash holds for the one who looked alone: nobody says yes to what another person has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service import preview_facts as standing
from service import previews_shown as words
from service.callers import Caller
from service.caps import caps_of
from service.crew import Crew
from service.desk_actions import ActionRefused, AgentAction, action_document
from service.in_step import InStep, has_source
from service.model import WireId, new_id, wire
from service.operations import Operations
from service.preview_looks import Held, Look, as_would, facts_of, held_shown, look_shown, people_needed, refused_shown
from service.previews_shown import ActionShown, OperationPreviewShown, PreviewShown, ProposedShown, Would
from service.resolution import Resolution, decides_now
from service.rulebook import Rulebook
from service.store import view as view_store
from service.store.desk import DeskStore
from service.store.flow import CaseRow, FlowStore
from service.store.idempotency import IdempotencyKey
from service.store.pool import Pool
from service.store.previews import PreviewStore
from service.view import View
from service.watch import Watch

# Every time the order moves between the look and its lock somebody else got on with it: after this many, the agent looks again.
_LOOKS_MAX: Final = 3

ApproveStatus = Literal[
    "released", "approved", "same_person", "not_held", "referred", "cap_reached", "disputed", "excess", "not_yours", "machine"
]


class NoOrder(Exception):  # noqa: N818 - says what happened
    """An action needs an order whose customer is known."""


class NoPreview(Exception):  # noqa: N818 - says what happened
    """There is no such preview, or it is of another case or another agent."""


class PreviewOver(Exception):  # noqa: N818 - says what happened
    """`preview_used` or `preview_expired`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PreviewMoved(Exception):  # noqa: N818 - says what happened
    """The facts are not those that were seen. `now`: what it would do now."""

    def __init__(self, now: PreviewShown) -> None:
        super().__init__("the facts moved")
        self.now = now


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    status: ApproveStatus
    given: int = 0
    needed: int = 0
    cap: str | None = None


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    """`stored`; `repeat`: its key has acted before; else why nothing was done: `already_paid`, `not_yours`, `disputed`, …"""


class Previews:
    """What agents do to orders. One instance a process."""

    def __init__(
        self,
        pool: Pool,
        store: PreviewStore,
        desk: DeskStore,
        flow: FlowStore,
        *,
        rulebook: Rulebook,
        operations: Operations,
        resolution: Resolution,
        in_step: InStep,
        crew: Crew,
        watch: Watch,
    ) -> None:
        self._pool = pool
        self._store = store
        self._desk = desk
        self._flow = flow
        self._rulebook = rulebook
        self._operations = operations
        self._resolution = resolution
        self._in_step = in_step
        self._crew = crew
        self._watch = watch

    # -------------------------------------------------------------------------------------------------------- an action

    async def preview(self, caller: Caller, case: UUID, action: AgentAction) -> PreviewShown:
        """What it would do now; kept for five minutes, for this agent and case alone.

        Raises NoOrder, ActionRefused, Unavailable, OrderUnclear.
        """
        look = await self._look(caller, case, action)
        return await self._keep(caller, case, action, look)

    async def confirm(self, caller: Caller, key: IdempotencyKey, case: UUID, preview: UUID, reason: str) -> Acted:
        """Does what the agent saw, if the facts are still those that they saw. Once for each key and each preview.

        Raises NoPreview, PreviewOver, PreviewMoved, NoOrder, Unavailable, OrderUnclear, KeyReused.
        """
        kept = await self._store.kept(caller, preview)
        if kept is None or kept.case != case:
            raise NoPreview
        if kept.used or kept.expired:
            raise PreviewOver("preview_used" if kept.used else "preview_expired")
        action = words.action_asked(msgspec.convert(kept.action, ActionShown))
        for _ in range(_LOOKS_MAX):
            try:
                look = await self._look(caller, case, action)
            except ActionRefused as refused:
                raise PreviewMoved(refused_shown(kept.shown, refused)) from refused
            if look.facts_hash != kept.facts_hash:
                break
            if not look.seen.stands or not look.seen.yours:
                return Acted(status=words.stop_of(look.seen) if look.seen.yours else "not_yours")
            bound = {"preview": preview, "mark": look.mark, "would": look.seen.would, "facts_hash": look.facts_hash}
            since = self._resolution.clock()
            answer = await self._desk.act(key, {**look.document, "reason": reason, "bound": bound})
            if answer["status"] == "moved":
                continue
            if answer["status"] == "preview_used":
                raise PreviewOver("preview_used")
            self._watch.tell(case)
            if answer["status"] == "stored" and answer["operations"]:
                await self._carry_on(caller.platform_id, answer["operations"], since)
            return Acted(status=answer["status"])
        raise PreviewMoved(await self.preview(caller, case, action))

    async def would(self, caller: Caller, row: CaseRow, view: View, action: AgentAction) -> Would:
        """What it would do by what is stored here: the order's own system is not asked, and nothing is kept. Raises ActionRefused."""
        return msgspec.convert(await self._store.would(await self._document(caller, row, view, action)), Would)

    async def _look(self, caller: Caller, case: UUID, action: AgentAction) -> Look:
        row = await self._flow.case(caller.platform_id, case)
        if row is None or row.order is None or caller.agent_id is None:
            raise NoOrder
        mark, view = await self._renewed(caller.platform_id, row.order, row.show)
        document = await self._document(caller, row, view, action)
        seen = msgspec.convert(await self._store.would(document), Would)
        facts = standing.facts(view, standing.about_action(action, document["refunds"]))
        bound = standing.facts_hash(msgspec.to_builtins(action), facts, seen.outcome)
        return Look(document=document, seen=seen, facts=facts, facts_hash=bound, mark=mark, view=view)

    async def _document(self, caller: Caller, row: CaseRow, view: View, action: AgentAction) -> dict[str, Any]:
        rules = await self._rulebook.of(view)
        policy = decides_now(rules, row, view) if caller.kind == "machine" else None
        document = action_document(rules, caller, view, action, policy=policy)
        of_case = {"platform": caller.platform_id, "case": row.id, "order": row.order, "key_seconds": self._operations.key_seconds()}
        return document | of_case | {"reason": ""}

    async def _keep(self, caller: Caller, case: UUID, action: AgentAction, look: Look) -> PreviewShown:
        preview, asked = new_id(), words.action_shown(action)
        shown = look_shown(look, asked, by_person=caller.kind == "agent", preview=preview)
        await self._store.keep(
            caller,
            preview,
            case,
            action=msgspec.to_builtins(asked),
            shown=msgspec.to_builtins(shown),
            facts=look.facts,
            facts_hash=look.facts_hash,
            mark=look.mark,
            expires_at=shown.expires_at,
        )
        return shown

    async def _renewed(self, platform: UUID, order: UUID, show: UUID | None) -> tuple[str, View]:
        """The order as its platform has it now, and its mark from before it was read. Raises Unavailable, OrderUnclear."""
        mark = await self._store.mark(platform, order)
        view = await view_store.read(self._pool, platform, order=order, show=show)
        if not has_source(view):
            return mark, view
        await self._in_step.renew(platform, view)
        mark = await self._store.mark(platform, order)
        return mark, await view_store.read(self._pool, platform, order=order, show=show)

    async def _carry_on(self, platform: UUID, begun: Sequence[Mapping[str, Any]], since: float) -> None:
        if self._crew.reserve():
            await self._crew.wait(self._crew.start(self._resolution.carry_on(platform, tuple(begun), since=since)))

    # ------------------------------------------------------------------------------------------------- what is held already

    async def operation(self, caller: Caller, operation: UUID) -> OperationPreviewShown | None:
        """What the first saw, what is so now, and what moved; None: there is no such operation. Raises Unavailable, OrderUnclear."""
        held = await self._held(caller, operation)
        if held is None:
            return None
        first = held.row.proposed
        proposed = None
        if first is not None:
            seen = msgspec.convert(first.shown, PreviewShown)
            proposed = ProposedShown(by=first.by, at=first.at, reason=first.reason, preview=seen)
        return OperationPreviewShown(
            operation=wire(WireId.OPERATION, operation),
            sentence=held.shown.sentence,
            proposed=proposed,
            now=held.shown,
            moved=standing.moved(first.facts, held.facts) if first else (),
        )

    async def approve(self, caller: Caller, key: IdempotencyKey, operation: UUID, reason: str, facts_hash: str) -> Approved:
        """One person's yes to what they saw. With enough of them the operation is carried out at once. Once for each key.

        Raises PreviewMoved, Unavailable, OrderUnclear, KeyReused.
        """
        if caller.agent_id is None or caller.kind == "machine":
            return Approved(status="machine")
        for _ in range(_LOOKS_MAX):
            held = await self._held(caller, operation)
            if held is None:
                return Approved(status="not_held")
            if held.status == "not_yours":
                return Approved(status="not_yours")
            if held.shown.facts_hash != facts_hash:
                raise PreviewMoved(held.shown)
            bound = {"mark": held.mark, "given": held.row.given, "facts_hash": facts_hash}
            answer = await self._desk.approve(caller, key, operation, reason=reason, needed=held.needed, caps=held.caps, bound=bound)
            if answer is None:
                return Approved(status="approved")
            if answer["status"] == "moved":
                continue
            if answer["status"] == "released":
                await self._carry_out(caller.platform_id, operation)
            self._watch.tell(held.row.case)
            return msgspec.convert(answer, Approved, strict=False)
        held = await self._held(caller, operation)
        if held is None:
            return Approved(status="not_held")
        raise PreviewMoved(held.shown)

    async def _held(self, caller: Caller, operation: UUID) -> Held | None:
        row = await self._store.operation(caller.platform_id, operation)
        if row is None:
            return None
        mark, view = await self._renewed(caller.platform_id, row.order, row.show)
        # Again: what is true of the operation must not be older than the mark that it is compared by.
        row = await self._store.operation(caller.platform_id, operation) or row
        rules = await self._rulebook.of(view)
        needed, caps = people_needed(rules.guards, caller, row), caps_of(rules.guards, view)
        said = await self._store.operation_would(caller, operation, needed=needed, caps=caps)
        status = said["status"]
        if status in {"approved", "released"}:
            if caller.kind == "machine":
                status = "machine"
            elif row.case_owner == "agent" and row.case_agent != caller.agent_id and row.given == 0:
                status = "not_yours"
        facts = standing.facts(standing.without(view, row.parts), standing.about_parts(row.parts, row.pass_id))
        own = facts_of(row, needed)
        would = (as_would(row, said, needed),)
        seen = Would(status="stored" if status in {"approved", "released"} else status, would=would, ends=tuple(said.get("ends") or ()))
        bound = standing.facts_hash({"approve": operation.hex, "by": str(caller.agent_id)}, (*facts, *own), said)
        shown = held_shown(row, view, seen, facts=(*facts, *own), facts_hash=bound, needed=needed)
        return Held(row=row, shown=shown, facts=facts, mark=mark, needed=needed, caps=caps, status=status)

    async def approved(self, caller: Caller, operation: UUID) -> Approved:
        """How an operation to which somebody has agreed stands now."""
        row = await self._store.operation(caller.platform_id, operation)
        if row is None:
            return Approved(status="not_held")
        return Approved(status="approved" if row.state == "HELD" else "released", given=row.given, needed=row.needed)

    async def _carry_out(self, platform: UUID, operation: UUID) -> None:
        """Waits for the first sending; a client that goes away does not cancel it."""
        if self._crew.reserve():
            task = self._crew.start(self._operations.take(platform, operation))
            await self._crew.wait(task)

    async def has_operation(self, caller: Caller, operation: UUID) -> bool:
        return await self._store.operation(caller.platform_id, operation) is not None

    async def refuse(self, caller: Caller, operation: UUID, reason: str) -> bool:
        """One person's no: it ends, and gives back what it had reserved. False: it was not held."""
        return await self._desk.refuse(caller, operation, reason)

    async def settle(self, caller: Caller, key: IdempotencyKey, operation: UUID, reference: str, sent_on: date | None) -> str:
        """A refund that people sent outside every rail, with its reference and day: `settled`, `not_held`, `needs_approval` or
        `under_way`. Once for each key. Raises KeyReused.
        """
        return await self._desk.settle(caller, key, operation, reference, sent_on)

    async def judge(self, caller: Caller, operation: UUID, *, moved: bool, reference: str | None) -> str:
        """What a lead found out about an operation nobody could be sure of: `settled`, `not_in_review` or `reference_needed`."""
        return await self._desk.judge(caller, operation, moved=moved, reference=reference)
