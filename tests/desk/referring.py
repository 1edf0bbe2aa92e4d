"""A desk that asks another team: orders with refunds on their way, cases that agents have, and every way a question ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec

from service.callers import Caller
from service.case_desk import CaseDesk
from service.contacts import Contact
from service.model import Channel, Problem
from service.referrals import Answer, Evidence, Question, Referrals, Team
from service.store.desk import DeskStore, EndStatus
from service.store.idempotency import IdempotencyKey
from service.store.referrals import ReferralRow, ReferralStore
from service.watch import Watch
from tests.post.world import World

SOON: Final = timedelta(days=20)
AnyWay = Literal["cleared", "confirmed", "need_more", "withdrawn"]


async def _nobody(_: object) -> None:
    return None


class Desk:
    """Mira asks, Noa judges (skill `trust`), Jonas leads; `world` has the customers, the rail and the loop."""

    def __init__(self, world: World, people: dict[str, Caller]) -> None:
        self.world = world
        self.mira, self.noa, self.jonas, self.bot = (people[name] for name in ("Mira", "Noa", "Jonas", "Bot"))
        self.referrals = Referrals(ReferralStore(world.pool), Watch(_nobody))
        self.store = DeskStore(world.pool)
        self.shop = world.shop()

    @classmethod
    async def opens(cls, world: World) -> Desk:
        people = {}
        for name, role, skills in (
            ("Mira", "agent", ["core"]),
            ("Noa", "agent", ["trust"]),
            ("Jonas", "lead", []),
            ("Bot", "machine", ["trust"]),
        ):
            agent = uuid4()
            await world.pool.execute(
                "INSERT INTO agent (platform_id, id, name, role, skills, capacity, seen_at) VALUES ($1, $2, $3, $4, $5, 100, app_now())",
                world.id,
                agent,
                name,
                role,
                skills,
            )
            kind: Any = "machine" if role == "machine" else "agent"
            caller = Caller(kind=kind, platform_id=world.id, platform=world.slug, id=uuid4(), name=f"agent:{name}", agent_id=agent)
            people[name] = msgspec.structs.replace(caller, role=role)
        return cls(world, people)

    # ------------------------------------------------------------------------------------------------ what there is

    async def order(self, *prices: int) -> str:
        """A paid order for a show that is cancelled: all of it is owed back. More than 400.00 waits for a person."""
        show = await self.world.show(f"s{uuid4().hex[:8]}", starts_in=SOON, status="cancelled")
        return await self.world.order(show, positions=[{"price": price} for price in prices or (2500,)])

    async def decided(self, order: str) -> UUID:
        """A case whose refunds the rules decide; nothing is sent yet: the loop comes later."""
        show = await self.world.value(
            "SELECT s.ref FROM show s JOIN line_show l ON l.show_id = s.id JOIN line ON line.id = l.line_id"
            " JOIN orders o ON o.id = line.order_id WHERE o.ref = $1 LIMIT 1",
            order,
        )
        opened = await self.world.resolution.open_case(self.world.shop(), self._contact(Problem.SHOW_CANCELLED, show, order), begin=False)
        return opened.case

    async def taken(self, order: str | None, by: Caller | None = None, problem: Problem = Problem.OTHER) -> UUID:
        """A case of that order which people decide, and which this agent has."""
        show = None if order is not None else await self.world.show(f"s{uuid4().hex[:8]}", starts_in=SOON)
        opened = await self.world.resolution.open_case(self.world.shop(), self._contact(problem, show, order), begin=False)
        await self.take(opened.case, by)
        return opened.case

    async def take(self, case: UUID, by: Caller | None = None) -> None:
        """From the queue, or from wherever the case is."""
        await self.world.pool.execute(
            "UPDATE cases SET owner = 'agent', agent_id = $2, for_agent = $2, due_at = app_now() + interval '1 hour',"
            " wait_for = NULL, wait_ref = NULL, wait_until = NULL WHERE id = $1 AND owner = 'queue'",
            case,
            (by or self.mira).agent_id,
        )
        assert await self.owner(case) == "agent"

    def _contact(self, problem: Problem, show: str | None, order: str | None) -> Contact:
        return Contact(
            problem=problem,
            show=show,
            order=order,
            passes=(),
            incident=None,
            message="this is odd",
            channel=Channel.WIDGET,
            locale="en",
            checked=None,
            key=uuid4().hex,
            body_hash=b"0",
        )

    # -------------------------------------------------------------------------------------------------- what is done

    async def ask(
        self,
        case: UUID,
        *,
        team: Team = "fraud",
        holds: bool = True,
        evidence: Sequence[Evidence] = (Evidence(kind="timeline", ref="1"),),
        by: Caller | None = None,
        seconds: int = 3600,
        key: IdempotencyKey | None = None,
    ) -> ReferralRow:
        question = Question(
            team=team,
            reason="chargeback_risk",
            question="Is this buyer known to you?",
            evidence=evidence,
            holds=holds,
            answer_within_seconds=seconds,
        )
        return await self.referrals.ask(by or self.mira, key or self.key(by or self.mira), case, question)

    def key(self, caller: Caller) -> IdempotencyKey:
        return IdempotencyKey(
            platform_id=self.world.id, caller=caller.key, method="POST", path=f"/{uuid4().hex}", key=uuid4().hex, body_hash=b"0"
        )

    async def answer(self, referral: UUID, answer: Answer, by: Caller | None = None, words: str = "we looked") -> ReferralRow:
        return await self.referrals.answer(by or self.shop, referral, answer, words=words, by=None, reference=None)

    async def ends(self, referral: UUID, how: AnyWay) -> ReferralRow:
        if how == "withdrawn":
            return await self.referrals.withdraw(self.mira, referral, "a mistake")
        return await self.answer(referral, how)

    async def pass_time(self, ahead: timedelta) -> None:
        await self.world.pool.execute("UPDATE app_clock SET ahead = ahead + $1", ahead)

    async def approve(self, operation: UUID, by: Caller | None = None) -> str:
        said = await self.world.pool.fetchval(
            "SELECT operation_approve($1, $2, $3, 'agent:Jonas', 'looked', 1, '[]')", self.world.id, operation, (by or self.jonas).agent_id
        )
        return str(said["status"])

    # -------------------------------------------------------------------------------------------------- what is seen

    async def owner(self, case: UUID) -> str | None:
        found: str | None = await self.world.value("SELECT owner FROM cases WHERE id = $1", case)
        return found

    async def case(self, case: UUID) -> dict[str, Any]:
        row = await self.world.pool.fetchrow("SELECT * FROM cases WHERE id = $1", case)
        assert row is not None
        return dict(row)

    async def operations(self, order: str) -> list[dict[str, Any]]:
        rows = await self.world.pool.fetch(
            "SELECT p.* FROM operation p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1 ORDER BY p.created_at, p.id", order
        )
        return [dict(row) for row in rows]

    async def states(self, order: str) -> list[tuple[str, list[str]]]:
        return [(one["state"], list(one["holds"])) for one in await self.operations(order)]

    async def told(self, referral: UUID) -> list[str]:
        """The types of events about it, in their order."""
        rows = await self.world.pool.fetch("SELECT type FROM outbox WHERE data->>'referral' = $1 ORDER BY id", str(referral))
        return [row["type"] for row in rows]

    async def paid(self, order: str) -> int:
        """What the processor's own ledger says went back for this order, over all of its payments."""
        rows = await self.world.pool.fetch(
            "SELECT p.provider_ref FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", order
        )
        seen = [await self.world.rail.payment(row["provider_ref"], "EUR") for row in rows]
        return sum(one.refunded_minor for one in seen)


async def ends(desk: Desk, case: UUID, by: Caller) -> EndStatus:
    """Who has it says that it is over."""
    return await CaseDesk(desk.world.pool, desk.store, watch=Watch(_nobody)).end(by, case, "resolved", "it is done")


async def customer_writes(desk: Desk, case: UUID) -> None:
    """The customer: the case comes back to Mira."""
    await desk.world.value(
        "SELECT case_contact($1)",
        {
            "platform": str(desk.world.id),
            "case": str(case),
            "contact": str(uuid4()),
            "channel": "widget",
            "caller_name": "customer",
            "kind": "said_more",
            "message": {"id": str(uuid4()), "body": "are you there"},
            "once": {"caller": "c", "method": "POST", "path": "/", "key": uuid4().hex, "body_hash": "00"},
        },
    )
    assert (await desk.case(case))["agent_id"] == desk.mira.agent_id
