"""How an example ends: nothing fails any more, everybody wakes up, and everything has to come to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tests.model.processors import Notice

if TYPE_CHECKING:
    from tests.model.machine import Model

# Rounds in which something is due at one moment; one more means that it is due again and again.
_ROUNDS_MAX: Final = 25
# Past every wait there is: retries, funds, a day's slow look, a key's lifetime.
_JUMPS: Final = (2, 61, 61, 130, 700, 3_700, 3_700, 22_000, 50_000, 7_200, 3_700, 87_000, 87_000)
_ENDED: Final = frozenset({"DONE", "REFUSED", "FAILED"})
_WITH_PEOPLE: Final = frozenset({"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"})

_BOOKS: Final = """
SELECT p.provider_ref, (p.refunded + coalesce((SELECT sum(o.amount) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund'
    AND o.accepted_at IS NOT NULL AND o.ended_at IS NULL), 0))::bigint AS paid FROM payment p
"""

# Facts of the orders, how attempts ended, and refunds that another rail paid.
_HAPPENED: Final = """
SELECT kind, count(*) FROM order_fact GROUP BY kind UNION ALL
SELECT a.rail || ' ' || a.state, count(*) FROM attempt a GROUP BY a.rail, a.state UNION ALL
SELECT 'try ' || coalesce(result, 'none') || CASE WHEN seq > 1 THEN ' again' ELSE '' END, count(*) FROM try GROUP BY 1 UNION ALL
SELECT 'left ' || o.fell_over_from || ': ' || o.state, count(*) FROM operation o WHERE o.fell_over_from IS NOT NULL GROUP BY 1
"""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """What an example begins with; see `Model.outage`."""

    first: str
    stands: int
    lasts: bool
    goes: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How an example begins and comes out, drawn at once."""

    outage: Outage | None
    late: bool
    """what is in flight arrives after all"""
    lost: bool
    """notifications of what can be read never come"""
    fails: bool
    """what was accepted fails in the end"""
    dispute: Literal["", "won", "lost"]
    """what the bank decides; empty: nothing"""


async def ends(model: Model, plan: Plan) -> None:
    ground = model.ground
    ground.gate.shut.clear()
    for name, rail in ground.rails.items():
        rail.next.clear()
        rail.down = rail.unreadable = False
        await model.brake(name, stop=False)
    await _everybody_wakes(model)
    ground.check_ledger()
    for rail in ground.rails.values():
        while rail.in_flight:
            rail.deliver(0, dies=not plan.late)
    if plan.dispute:
        for rail, ref, dispute in list(ground.open_disputes()):
            rail.dispute(ref, dispute, plan.dispute)
    for jump in _JUMPS:
        _settles(model, plan)
        await _tells(model, plan)
        await _pumps(model)
        await ground.passes(jump)
        await ground.refunds.read_again()
        ground.check_ledger()
    for refund in await ground.known():
        if refund.state == "NEEDS_REVIEW":
            await model.judge(refund)
    await _pumps(model)
    ground.check_ledger()
    await ground.check_books()
    model.happened.update({row["kind"]: row["count"] for row in await ground.pool.fetch(_HAPPENED)})
    await _nothing_is_stuck(model)
    await _books_equal_the_ledger(model)


async def _everybody_wakes(model: Model) -> None:
    """Who wakes up late may stop a rail once more."""
    for worker in model.workers:
        await worker.run()
    model.workers.clear()
    for name in model.ground.rails:
        await model.brake(name, stop=False)


def _settles(model: Model, plan: Plan) -> None:
    for rail in model.ground.rails.values():
        for line in rail.lines:
            if line.state == "ACCEPTED":
                rail.move(line, "FAILED" if plan.fails else "SUCCEEDED", "expired_or_canceled_card" if plan.fails else "")


async def _tells(model: Model, plan: Plan) -> None:
    """What nobody can read is told in the end; a dispute is, too."""

    def comes(notice: Notice) -> bool:
        return not plan.lost or notice.kind == "dispute" or not model.ground.rails[notice.rail].traits.reads

    for notice in [one for one in model.ground.notices if comes(one)]:
        await model.tell(notice, again=False)


async def _pumps(model: Model) -> None:
    for _ in range(_ROUNDS_MAX):
        if not await model.claim_some(50, None):
            return
        model.workers.clear()
    raise AssertionError("something is due again and again")


async def _nothing_is_stuck(model: Model) -> None:
    for one in await model.ground.known():
        if one.state in _ENDED:
            continue
        assert one.state in _WITH_PEOPLE, f"stuck: {one}"
        assert one.case_state == "open", f"nobody has it: {one}"
        assert one.owner in {"queue", "agent", "timer"}, f"nobody has it: {one}"


async def _books_equal_the_ledger(model: Model) -> None:
    paid: dict[str, int] = {}
    for _, line in model.ground.ours():
        paid[line.payment_ref] = paid.get(line.payment_ref, 0) + line.amount
    rows = await model.ground.pool.fetch(_BOOKS)
    differ = {
        row["provider_ref"]: (row["paid"], paid.get(row["provider_ref"], 0))
        for row in rows
        if row["paid"] != paid.get(row["provider_ref"], 0)
    }
    assert not differ, f"(our books, the ledger): {differ}"
