"""The life of a case as its callers live it: open, look, follow, answer, say more, ask for a person."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from service.access import Access
from service.callers import Caller
from service.choices import Choices, Chosen, Status
from service.contacts import Contact
from service.crew import Crew
from service.glances import Glances
from service.identity import Identity
from service.model import IdentityLevel, WireId, new_id, wire
from service.operations import LEASE_SECONDS
from service.resolution import Opened, Resolution
from service.shown import AccessShown, Audience, CaseShown, entry_for_customer, show
from service.store import cases as store
from service.store.cases import CaseRecord, TimelineEntry
from service.store.flow import FlowStore
from service.store.idempotency import IdempotencyKey, KeyReused
from service.store.pool import Pool
from service.waits import Waits
from service.watch import Watch

# Streams end themselves and are resumed, so that a shutdown ends; proxies cut at 30 s.
STREAM_SECONDS_MAX: Final = 25.0
# Streams that began together (after a restart) end, and come back, one after the other from then on.
_SPREAD_SECONDS: Final = 10.0
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
        waits: Waits,
    ) -> None:
        self._waits = waits
        self._glances = Glances(partial(store.marks, pool), watch)
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
        if opened.undecided and place:
            self._crew.start(self._go_on(caller, opened))
        elif opened.begun:
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

    async def _go_on(self, caller: Caller, opened: Opened) -> None:
        try:
            await self._resolution.go_on(caller, opened)
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
        return None if audience is None else await self._shown(caller, record, audience)

    async def _shown(self, caller: Caller, record: CaseRecord, audience: Audience) -> CaseShown:
        wait = await self._waits.range(caller.platform_id, record.skill) if record.owner == "queue" else None
        opens_at = await self._waits.opens_at(caller.platform_id, record.now)
        return show(record, audience, await self._access_of(caller, record, audience), wait, opens_at)

    async def target(self, caller: Caller, case: UUID) -> UUID:
        """The case itself, or the one that it joined."""
        return await store.target(self._pool, caller.platform_id, case)

    async def _record(self, caller: Caller, case: UUID) -> CaseRecord | None:
        return await store.read(self._pool, caller.platform_id, case, caller.proofs)

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
                    shown.append(
                        AccessShown(
                            pass_id=wire(WireId.PASS, one.pass_id),
                            token=token.token,
                            expires_at=token.expires_at,
                            playback=token.playback,
                        )
                    )
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

    async def followed(self, caller: Caller, case: UUID) -> CaseRecord | None:
        """What `follow` begins with; None when it does not exist or is not theirs."""
        record = await self._record(caller, case)
        return None if record is None or _audience(caller, record) is None else record

    async def follow(self, caller: Caller, found: CaseRecord, after: int) -> AsyncIterator[Progress]:
        """What happens to the case from `after` on, until it ends, at most 25 s have passed, or the process stops.

        Whoever comes back while nothing happens costs nothing more than the look that found the case: thousands do, all evening.
        """
        clock = asyncio.get_running_loop().time
        ends_at = clock() + STREAM_SECONDS_MAX - random.uniform(0, _SPREAD_SECONDS)  # noqa: S311 - spreads load, no secret
        case, record, knows = found.asked_id, found, True
        with self._glances.following(caller.platform_id, found.id) as heard:
            while True:
                # Who comes back to a case that stands as it stood reads nothing more; what comes just now a glance finds.
                is_read = knows and after >= found.seq
                entries = [] if is_read else await store.timeline(self._pool, caller.platform_id, case, after, PAGE_MAX)
                had_ended = record.ended_at is not None
                if entries or not knows:
                    again = await self._record(caller, case)
                    if again is None:
                        return
                    record = again
                knows = False
                audience = _audience(caller, record)
                if audience is None:
                    return
                after = entries[-1].seq if entries else after
                heard.saw(after, record.mark_state)
                if entries:
                    yield Progress(entries=tuple(_seen_by(audience, entries)), case=await self._shown(caller, record, audience))
                # Of a joined case, the case it joined goes on: what ends is told there. Who comes back after it joined follows that one.
                if record.id != found.id:
                    return
                if record.ended_at is not None:
                    if after >= record.seq or (had_ended and not entries):
                        return
                    continue  # it ended after its entries were read: the last of them are still to be told
                left = ends_at - clock()
                # Who comes back is told the rest.
                if not await heard.wait(left, left) or self._watch.closing:
                    return

    async def may_answer(self, caller: Caller, case: UUID) -> bool:
        """Whether what this caller answers counts. A case's order is its customer's: for one, a proof has to hold."""
        record = await self._record(caller, case)
        audience = None if record is None else _audience(caller, record)
        return record is not None and audience is not None and (audience != "session" or record.order is None)

    # ------------------------------------------------------------------------------------------------ speaking again

    async def say(self, caller: Caller, key: IdempotencyKey, case: UUID, document: Mapping[str, Any], wait_seconds: float) -> None:
        """A further contact (more words, an answer, the wish for a person) on a case that the caller may see.

        Once for each key. Raises KeyReused, TooMany for a customer.
        """
        if caller.kind == "customer":
            await self._identity.count_words(caller)
        answer = await self._flow.contact(
            {
                "platform": caller.platform_id,
                "case": case,
                "contact": new_id(),
                "caller_name": caller.name,
                "once": key.once,
                **document,
            }
        )
        if answer["status"] == "mismatch":
            raise KeyReused
        if answer["status"] == "said":
            target = UUID(answer["case"])
            self._watch.tell(target)
            await self._resume(caller.platform_id, target, wait_seconds)
        else:
            await self._settle(caller.platform_id, UUID(answer["case"]), wait_seconds)

    async def choose(self, caller: Caller, key: IdempotencyKey, case: UUID, chosen: Chosen, wait_seconds: float) -> Status:
        """Sends a refund of the case the chosen way. Only its buyer may, or an agent who has checked who is asking. Once for each key.

        Raises KeyReused.
        """
        record = await self._record(caller, case)
        if record is None or _audience(caller, record) not in {"buyer", "desk"}:
            return "not_strong"
        status = await self._choices.choose(caller, key, record.id, chosen, level=_as_buyer(caller, record))
        if status == "chosen" and self._crew.reserve():
            await self._crew.wait(self._crew.start(self._resolution.carry_out(caller.platform_id, chosen.operation)))
        self._watch.tell(record.id)
        await self._settle(caller.platform_id, record.id, wait_seconds)
        return status

    async def identify(self, caller: Caller, case: UUID, order: str | None, wait_seconds: float) -> bool:
        """Takes the case up for an order that this customer has proved to be theirs. Raises TooMany."""
        await self._identity.count_words(caller)
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
            self._watch.tell(case)


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


def _as_buyer(caller: Caller, record: CaseRecord) -> IdentityLevel | None:
    """How sure it is that this caller is the buyer of the case's order; None: nothing says so."""
    return caller.as_buyer(proven=record.buyer_proven, customer_ref=record.customer_ref) if record.order else None


def _audience(caller: Caller, record: CaseRecord) -> Audience | None:
    """As whom this caller may look: None is the same as no such case."""
    if caller.kind == "platform":
        return "platform"
    if caller.kind in {"agent", "machine"}:
        return "desk"
    if _as_buyer(caller, record) is not None:
        return "buyer"
    if record.order and record.holder_is_caller and caller.level.at_least(IdentityLevel.VERIFIED):
        return "holder"
    if record.opened_by != caller.key or (record.order and caller.level.at_least(IdentityLevel.VERIFIED)):
        # Who is proven to be somebody else than the order's customer is not who opened it, whatever they hold.
        return None
    # The session that opened it sees it; what belongs to the order it sees, and does, only while its proof holds.
    return "session"
