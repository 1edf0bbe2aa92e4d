"""The life of a case as its callers live it: open, look, follow, answer, say more, ask for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from service.access import Access
from service.callers import Caller
from service.choices import Choices, Chosen, Status
from service.crew import Crew
from service.identity import Identity
from service.model import IdentityLevel, WireId, new_id, wire
from service.operations import LEASE_SECONDS
from service.resolution import Contact, Opened, Resolution
from service.shown import AccessShown, Audience, CaseShown, entry_for_customer, show
from service.store import cases as store
from service.store.cases import CaseRecord, TimelineEntry
from service.store.flow import FlowStore
from service.store.pool import Pool
from service.watch import Watch

# Streams end themselves and are resumed, so that a shutdown ends; proxies cut at 30 s.
STREAM_SECONDS_MAX: Final = 25.0
PAGE_MAX: Final = 200


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a stream: entries since the last, and the case as it stands."""

    entries: tuple[TimelineEntry, ...]
    case: CaseShown | None


class Cases:
    def __init__(
        self,
        pool: Pool,
        flow: FlowStore,
        resolution: Resolution,
        access: Access,
        *,
        choices: Choices,
        identity: Identity,
        crew: Crew,
        watch: Watch,
    ) -> None:
        self._choices = choices
        self._identity = identity
        self._pool = pool
        self._flow = flow
        self._resolution = resolution
        self._access = access
        self._crew = crew
        self._watch = watch

    async def open(self, caller: Caller, contact: Contact, wait_seconds: float) -> Opened:
        """Opens a case and waits, so long, for what becomes of it. The work goes on when the waiting ends.

        Raises TooMany for a customer who opens one after the other.
        """
        if caller.kind == "customer":
            await self._identity.count_case(caller)
        place = self._crew.reserve()
        try:
            opened = await self._resolution.open_case(caller, contact, begin=place)
        except BaseException:
            if place:
                self._crew.release()
            raise
        if opened.begun:
            self._crew.start(self._carry_on(caller.platform_id, opened))
        elif place:
            self._crew.release()
        if opened.status != "mismatch" and not opened.settled:
            of = opened.case if opened.status == "opened" else await store.target(self._pool, caller.platform_id, opened.case)
            await self._settle(caller.platform_id, of, wait_seconds)
        return opened

    async def _carry_on(self, platform: UUID, opened: Opened) -> None:
        try:
            await self._resolution.carry_on(platform, opened.begun, since=opened.since)
        finally:
            self._watch.changed(opened.case)

    async def _settle(self, platform: UUID, case: UUID, seconds_max: float) -> bool:
        async def holds() -> bool:
            return await store.settled(self._pool, platform, case)

        return await self._watch.until(case, seconds_max, holds)

    async def get(self, caller: Caller, case: UUID) -> CaseShown | None:
        """The case as this caller may see it; None when it does not exist or is not theirs."""
        record = await self._record(caller, case)
        if record is None:
            return None
        audience = _audience(caller, record)
        return None if audience is None else show(record, audience, await self._access_of(caller, record, audience))

    async def _record(self, caller: Caller, case: UUID) -> CaseRecord | None:
        return await store.read(self._pool, caller.platform_id, case, caller.email.lower() if caller.email else None)

    async def _access_of(self, caller: Caller, record: CaseRecord, audience: Audience) -> tuple[AccessShown, ...]:
        """Tokens are made anew from their row at each look: none is stored."""
        if audience not in {"buyer", "holder", "platform"}:
            return ()
        shown = []
        for one in record.operations:
            if (
                one.action == "reissue_access"
                and one.state == "DONE"
                and one.token_active
                and one.pass_id
                and (audience != "holder" or one.mine)
            ):
                token = await self._access.token(caller.platform_id, UUID(one.result["jti"]))
                if token is not None:
                    shown.append(AccessShown(pass_id=wire(WireId.PASS, one.pass_id), token=token.token, expires_at=token.expires_at))
        return tuple(shown)

    async def timeline(self, caller: Caller, case: UUID, after: int, most: int) -> tuple[Sequence[TimelineEntry], int | None] | None:
        """A page of the timeline, for customers only what is theirs to see, and the seq to go on from, if there may be more.

        None when the case is not theirs.
        """
        record = await self._record(caller, case)
        audience = None if record is None else _audience(caller, record)
        if audience is None:
            return None
        entries = await store.timeline(self._pool, caller.platform_id, case, after, min(most, PAGE_MAX))
        return _seen_by(audience, entries), entries[-1].seq if len(entries) >= min(most, PAGE_MAX) else None

    async def follow(self, caller: Caller, case: UUID, after: int) -> AsyncIterator[Progress]:
        """What happens to the case from `after` on, until it ends, 25 s have passed, or the process stops."""
        clock = asyncio.get_running_loop().time
        ends_at = clock() + STREAM_SECONDS_MAX
        with self._watch.listening(await store.target(self._pool, caller.platform_id, case)) as heard:
            while True:
                entries = await store.timeline(self._pool, caller.platform_id, case, after, PAGE_MAX)
                record = await self._record(caller, case)
                audience = None if record is None else _audience(caller, record)
                if record is None or audience is None:
                    return
                shown = show(record, audience, await self._access_of(caller, record, audience))
                after = entries[-1].seq if entries else after
                if entries:
                    yield Progress(entries=tuple(_seen_by(audience, entries)), case=shown)
                # Of a joined case, the case it joined goes on: what ends is told there.
                if shown.ended_at is not None or clock() >= ends_at or self._watch.closing:
                    return
                await heard.wait(ends_at - clock())

    # ------------------------------------------------------------------------------------------------ speaking again

    async def say(self, caller: Caller, case: UUID, document: Mapping[str, Any], wait_seconds: float) -> str:
        """A further contact (more words, an answer, the wish for a person) on a case that the caller may see.

        `said`, or, where the document carries a key, `repeat` or `mismatch` (nothing was said then). Raises TooMany for a customer.
        """
        if caller.kind == "customer":
            await self._identity.count_words(caller)
        answer = await self._flow.contact(
            {"platform": caller.platform_id, "case": case, "contact": new_id(), "caller_name": caller.name, **document}
        )
        if answer["status"] == "said":
            target = UUID(answer["case"])
            await self._watch.tell(target)
            await self._resume(caller.platform_id, target, wait_seconds)
        return str(answer["status"])

    async def choose(self, caller: Caller, case: UUID, chosen: Chosen, wait_seconds: float) -> Status:
        """Sends a refund of the case the chosen way. Only its buyer may, or an agent who has checked who is asking."""
        record = await self._record(caller, case)
        if record is None or _audience(caller, record) not in {"buyer", "desk"}:
            return "not_strong"
        status = await self._choices.choose(caller, record.id, chosen)
        if status == "chosen" and self._crew.reserve():
            await self._crew.wait(self._crew.start(self._resolution.carry_out(caller.platform_id, chosen.operation)))
        await self._watch.tell(record.id)
        await self._settle(caller.platform_id, record.id, wait_seconds)
        return status

    async def identify(self, caller: Caller, case: UUID, order: str | None, wait_seconds: float) -> bool:
        """Takes the case up for an order that this customer has proved to be theirs."""
        done = await self._resolution.identify(caller, case, order)
        if done:
            await self._settle(caller.platform_id, await store.target(self._pool, caller.platform_id, case), wait_seconds)
        return done

    async def _resume(self, platform: UUID, case: UUID, wait_seconds: float) -> None:
        """Resolves a case at once when it went to process, instead of at the next second."""
        if await store.settled(self._pool, platform, case):
            return
        if self._crew.reserve():
            self._crew.start(self._resolve(platform, case))
        await self._settle(platform, case, wait_seconds)

    async def _resolve(self, platform: UUID, case: UUID) -> None:
        try:
            epoch = await self._flow.lease_case(platform, case, LEASE_SECONDS)
            if epoch is not None:
                await self._resolution.resolve(platform, case, epoch)
        finally:
            await self._watch.tell(case)


def _seen_by(audience: Audience, entries: Sequence[TimelineEntry]) -> Sequence[TimelineEntry]:
    if audience in {"desk", "platform"}:
        return entries
    found = []
    for one in entries:
        data = entry_for_customer(one.kind, one.data, audience)
        if data is not None:
            actor = "customer" if one.kind == "contact_received" else "us"
            found.append(msgspec.structs.replace(one, data=data, actor=actor, source="case"))
    return found


def _audience(caller: Caller, record: CaseRecord) -> Audience | None:
    """As whom this caller may look: None is the same as no such case."""
    if caller.kind == "platform":
        return "platform"
    if caller.kind in {"agent", "machine"}:
        return "desk"
    if caller.level.at_least(IdentityLevel.VERIFIED):
        if record.order and ((caller.customer_ref and record.customer_ref == caller.customer_ref) or record.buyer_is_caller):
            return "buyer"
        if record.order and record.holder_is_caller:
            return "holder"
    if record.opened_by == caller.key:
        # The session that opened it sees it; what belongs to the order it sees only while its proof holds.
        return "session"
    return None
