"""Another team judges: what waits for its answer, what the answer does, and that no order of events pays twice or too early."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest

from service.model import Problem, WireId, wire
from service.referrals import Evidence, EvidenceMissing, Question, Refused
from service.store.idempotency import KeyReused
from service.store.pool import Pool
from tests.desk.referring import Desk, customer_writes, ends
from tests.post.world import World
from tests.promises.house import SUMS, until

# Enough for every step to meet every other; a seed is a run that can be looked at again.
_ROUNDS: Final = 25


@pytest.fixture
async def desk(fresh_pool: Pool, fresh_database_url: str) -> Desk:
    return await Desk.opens(await World.opens(fresh_pool, fresh_database_url))


async def broken(desk: Desk) -> dict[str, Any]:
    found = {name: await desk.world.pool.fetch(f"{query} LIMIT 5") for name, query in SUMS.items()}
    return {name: rows for name, rows in found.items() if rows}


# ------------------------------------------------------------------------------------------------------------ what waits


async def test_what_is_ready_waits_for_the_answer_and_then_goes_by_itself(desk: Desk) -> None:
    order = await desk.order()
    refunded = await desk.decided(order)
    asked = await desk.taken(order)
    referral = await desk.ask(asked)
    assert await desk.states(order) == [("HELD", ["referral"])]
    await desk.world.settle()
    assert await desk.paid(order) == 0
    await desk.answer(referral.id, "cleared")
    assert await desk.states(order) == [("READY", [])]
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert (await desk.case(refunded))["state"] == "resolved"
    assert await broken(desk) == {}


async def test_what_is_decided_later_waits_too_and_is_nobodys_of_the_desk_to_agree_to(desk: Desk) -> None:
    order = await desk.order()
    referral = await desk.ask(await desk.taken(order))
    later = await desk.decided(order)
    assert await desk.states(order) == [("HELD", ["referral"])]
    assert await desk.owner(later) == "operation"
    await desk.world.settle()
    assert (await desk.paid(order), await desk.owner(later)) == (0, "operation")
    await desk.answer(referral.id, "cleared")
    await desk.world.settle()
    assert (await desk.paid(order), (await desk.case(later))["state"]) == (2500, "resolved")


async def test_cleared_releases_to_what_else_holds_it(desk: Desk) -> None:
    order = await desk.order(48000)
    held = await desk.decided(order)
    assert (await desk.owner(held), (await desk.operations(order))[0]["holds"]) == ("queue", ["amount"])
    await desk.take(held)
    referral = await desk.ask(held)
    ((state, holds),) = await desk.states(order)
    assert (state, sorted(holds)) == ("HELD", ["amount", "referral"])
    (operation,) = await desk.operations(order)
    assert await desk.approve(operation["id"]) == "referred"
    assert await desk.world.value("SELECT count(*) FROM approval") == 0
    await desk.answer(referral.id, "cleared")
    assert await desk.states(order) == [("HELD", ["amount"])]
    assert (await desk.case(held))["agent_id"] == desk.mira.agent_id
    assert await desk.approve(operation["id"]) in {"released", "approved"}
    await desk.world.settle()
    assert await desk.paid(order) <= 48000


async def test_what_may_have_left_is_followed_up_as_ever(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    (operation,) = await desk.operations(order)
    epoch = await desk.world.value("SELECT operation_lease($1, $2, 60)", desk.world.id, operation["id"])
    begun = await desk.world.value("SELECT operation_begin($1, $2, $3, 60, $4)", desk.world.id, operation["id"], epoch, {"*": 86400})
    assert begun["status"] == "send"
    await desk.ask(await desk.taken(order))
    assert await desk.states(order) == [("SENT", [])]
    # The worker died with the request on its way: it is asked after, under the same key, and paid once.
    await desk.pass_time(timedelta(minutes=5))
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert await broken(desk) == {}


async def test_what_leaves_while_a_question_waits_for_its_order_left_before_it_was_asked(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    (operation,) = await desk.operations(order)
    async with desk.world.pool.acquire() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM orders WHERE ref = $1 FOR NO KEY UPDATE", order)
        asking = asyncio.create_task(desk.ask(case))
        await until(lambda: desk.world.value(_WAITING), lambda waiting: waiting == 1)
        epoch = await desk.world.value("SELECT operation_lease($1, $2, 60)", desk.world.id, operation["id"])
        begun = await desk.world.value("SELECT operation_begin($1, $2, $3, 60, $4)", desk.world.id, operation["id"], epoch, {"*": 86400})
        assert begun["status"] == "send"
    await asking
    assert await desk.world.pool.fetch(_TOO_EARLY) == []
    assert await desk.states(order) == [("SENT", [])]


async def test_what_was_on_its_way_and_never_got_there_waits_from_then_on(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    (operation,) = await desk.operations(order)
    epoch = await desk.world.value("SELECT operation_lease($1, $2, 60)", desk.world.id, operation["id"])
    begun = await desk.world.value("SELECT operation_begin($1, $2, $3, 60, $4)", desk.world.id, operation["id"], epoch, {"*": 86400})
    referral = await desk.ask(await desk.taken(order))
    await desk.world.value(
        "SELECT operation_record($1)",
        {
            "platform": str(desk.world.id),
            "operation": str(operation["id"]),
            "epoch": epoch,
            "attempt": begun["attempt"],
            "try": begun["try"],
            "result": "NOT_SENT",
            "state": "SENT",
        },
    )
    await desk.pass_time(timedelta(minutes=5))
    await desk.world.settle()
    assert await desk.states(order) == [("HELD", ["referral"])]
    await desk.answer(referral.id, "cleared")
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert await broken(desk) == {}


async def test_a_pass_waits_as_money_does_but_what_ends_access_does_not(desk: Desk) -> None:
    show = await desk.world.show(f"s{uuid4().hex[:8]}")
    order = await desk.world.order(show)
    referral = await desk.ask(await desk.taken(order))
    ticket = await desk.world.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", order)
    case = await desk.world.case(Problem.PASS_MISSING, show, order, passes=(ticket,))
    ((state, holds),) = await desk.states(order)
    assert (state, holds) == ("HELD", ["referral"])
    await desk.world.settle()
    assert not desk.world.mailer.mails
    await desk.answer(referral.id, "cleared")
    await desk.world.settle()
    assert [one["state"] for one in await desk.operations(order)] == ["DONE"]
    assert (await desk.case(case))["state"] == "resolved"


async def test_a_new_link_is_not_made_while_another_team_judges(desk: Desk) -> None:
    """It needs no processor and no mail: our own tables do it at once."""
    show = await desk.world.show(f"s{uuid4().hex[:8]}")
    order = await desk.world.order(show)
    await desk.ask(await desk.taken(order))
    await desk.world.case(Problem.LINK_DEAD, show, order)
    await desk.world.settle()
    assert {one["state"] for one in await desk.operations(order)} <= {"HELD"}
    assert await desk.world.value("SELECT count(*) FROM access_token") == 0


async def test_a_question_without_a_hold_lets_money_go_on(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    await desk.ask(await desk.taken(order), team="moderation", holds=False)
    await desk.world.settle()
    assert await desk.paid(order) == 2500


async def test_another_orders_money_does_not_wait(desk: Desk) -> None:
    judged, other = await desk.order(), await desk.order()
    await desk.ask(await desk.taken(judged))
    await desk.decided(other)
    await desk.world.settle()
    assert await desk.paid(other) == 2500


async def test_of_two_teams_both_have_to_clear(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    one, two = await desk.taken(order), await desk.taken(order, problem=Problem.MERCH_WRONG)
    first, second = await desk.ask(one, team="fraud"), await desk.ask(two, team="moderation")
    await desk.answer(first.id, "cleared")
    assert await desk.states(order) == [("HELD", ["referral"])]
    assert await desk.world.value("SELECT count(*) FROM outbox WHERE type = 'refund.released'") == 0
    await desk.answer(second.id, "cleared")
    assert await desk.states(order) == [("READY", [])]
    assert await desk.world.value("SELECT count(*) FROM outbox WHERE type = 'refund.released'") == 1


async def test_what_a_dispute_interrupted_too_goes_on_where_it_was(desk: Desk) -> None:
    """The bank gives up while the other team still judges: a customer who was asked where the money should go is asked on."""
    order = await desk.order()
    await desk.decided(order)
    (operation,) = await desk.operations(order)
    await desk.world.pool.execute("UPDATE operation SET state = 'CHOICE_NEEDED' WHERE id = $1", operation["id"])
    referral = await desk.ask(await desk.taken(order))
    for dispute in ("open", "won"):
        await desk.world.pool.execute("UPDATE payment SET dispute = $2 WHERE id = $1", operation["payment_id"], dispute)
        await desk.world.value("SELECT payment_dispute_settle($1, $2, app_now())::text", desk.world.id, operation["payment_id"])
    assert await desk.states(order) == [("HELD", ["referral"])]
    await desk.answer(referral.id, "cleared")
    assert await desk.states(order) == [("CHOICE_NEEDED", [])]


# --------------------------------------------------------------------------------------------------------- what answers do


async def test_confirmed_refuses_what_waited_and_people_of_trust_get_the_cases(desk: Desk) -> None:
    order = await desk.order()
    other = await desk.decided(order)
    asked = await desk.taken(order)
    referral = await desk.ask(asked)
    await desk.answer(referral.id, "confirmed")
    assert [one["state"] for one in await desk.operations(order)] == ["REFUSED"]
    for case in (asked, other):
        row = await desk.case(case)
        assert (row["state"], row["owner"], row["skill"]) == ("open", "queue", "trust")
    facts = await desk.world.pool.fetch("SELECT data FROM order_fact WHERE kind = 'refund_refused'")
    assert [row["data"]["failure"] for row in facts] == ["referral"]
    # Nobody decides it anew, and what was reserved is free.
    await desk.world.settle()
    assert (await desk.paid(order), await desk.world.value("SELECT max(reserved) FROM payment")) == (0, 0)
    assert await broken(desk) == {}


async def test_confirmed_finds_whoever_was_about_to_decide_without_a_lease(desk: Desk) -> None:
    order = await desk.order()
    other = await desk.decided(order)
    referral = await desk.ask(await desk.taken(order))
    await desk.world.pool.execute(
        "UPDATE cases SET owner = 'process', lease_epoch = 7, due_at = app_now() + interval '1 hour' WHERE id = $1", other
    )
    await desk.answer(referral.id, "confirmed")
    await desk.world.resolution.resolve(desk.world.id, other, 7)
    assert [one["state"] for one in await desk.operations(order)] == ["REFUSED"]
    row = await desk.case(other)
    assert (row["owner"], row["skill"]) == ("queue", "trust")
    assert await desk.world.value("SELECT count(*) FROM decision WHERE case_id = $1", other) == 1


async def test_need_more_gives_the_case_back_with_the_question_and_money_waits_on(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    first = await desk.ask(case)
    await desk.answer(first.id, "need_more", words="Which of the three cards?")
    assert (await desk.case(case))["agent_id"] == desk.mira.agent_id
    ((entry),) = await desk.world.entries(case, "referral_answered")
    assert (entry["answer"], entry["words"]) == ("need_more", "Which of the three cards?")
    await desk.world.settle()
    assert (await desk.paid(order), await desk.states(order)) == (0, [("HELD", ["referral"])])
    # Asked again, without saying that it holds: what waited waits on, and the new answer counts.
    second = await desk.ask(case, holds=False)
    assert (second.holds, second.held) == (True, {"EUR": 2500})
    await desk.answer(second.id, "cleared")
    await desk.world.settle()
    assert await desk.paid(order) == 2500


async def test_a_question_taken_back_lets_go_what_waited_for_it(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    referral = await desk.ask(case)
    await desk.referrals.withdraw(desk.mira, referral.id, "the buyer called")
    assert (await desk.states(order), (await desk.case(case))["agent_id"]) == ([("READY", [])], desk.mira.agent_id)
    with pytest.raises(Refused, match="answered_before"):
        await desk.answer(referral.id, "confirmed")


async def test_without_an_answer_the_case_returns_and_the_money_stays(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    referral = await desk.ask(case, seconds=600)
    await desk.pass_time(timedelta(minutes=11))
    await desk.world.settle()
    assert await desk.owner(case) in {"queue", "agent"}
    assert await desk.world.entries(case, "referral_overdue") == [{"referral": str(referral.id)}]
    assert (await desk.paid(order), await desk.states(order)) == (0, [("HELD", ["referral"])])
    known = await desk.referrals.one(desk.mira, referral.id)
    assert known is not None
    assert (known.state, known.overdue) == ("open", True)
    # Late is better than never.
    await desk.answer(referral.id, "cleared")
    await desk.world.settle()
    assert await desk.paid(order) == 2500


async def test_the_clocks_stand_still_while_another_team_judges(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    referral = await desk.ask(case)
    paused = await desk.world.pool.fetch("SELECT due_at, paused_for FROM sla_clock WHERE case_id = $1 AND ended_at IS NULL", case)
    assert paused
    assert {(row["due_at"], row["paused_for"]) for row in paused} == {(None, "referral")}
    await desk.answer(referral.id, "cleared")
    running = await desk.world.pool.fetch("SELECT due_at FROM sla_clock WHERE case_id = $1 AND ended_at IS NULL", case)
    assert all(row["due_at"] is not None for row in running)


async def test_a_customer_who_writes_meanwhile_gets_an_agent_and_the_money_stays(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    referral = await desk.ask(case)
    await customer_writes(desk, case)
    assert await desk.states(order) == [("HELD", ["referral"])]
    await desk.answer(referral.id, "confirmed")
    row = await desk.case(case)
    assert (row["owner"], row["agent_id"], row["skill"]) == ("agent", desk.mira.agent_id, "trust")


# ------------------------------------------------------------------------------------------------------------ who and once


async def test_nobody_answers_their_own_question_nor_does_a_program_or_who_has_no_such_skill(desk: Desk) -> None:
    case = await desk.taken(await desk.order(), by=desk.noa)
    referral = await desk.ask(case, by=desk.noa)
    for caller, why in ((desk.noa, "own"), (desk.mira, "not_for_you"), (desk.bot, "not_for_you")):
        with pytest.raises(Refused, match=why):
            await desk.answer(referral.id, "cleared", by=caller)
    with pytest.raises(Refused, match="not_for_you"):
        await desk.referrals.withdraw(desk.mira, referral.id, "not mine")
    known = await desk.referrals.one(desk.noa, referral.id)
    assert known is not None
    assert known.state == "open"


async def test_an_answer_is_given_once_and_the_same_again_changes_nothing(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    referral = await desk.ask(await desk.taken(order))
    together = await asyncio.gather(*(desk.answer(referral.id, "cleared") for _ in range(5)))
    assert {one.state for one in together} == {"cleared"}
    with pytest.raises(Refused, match="answered_before"):
        await desk.answer(referral.id, "confirmed", by=desk.noa)
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert await desk.told(referral.id) == ["referral.opened", "referral.answered"]


async def test_a_team_is_asked_once_at_a_time_and_a_repeat_of_the_request_asks_nothing_new(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    key = desk.key(desk.mira)
    first = await desk.ask(case, key=key)
    again = await desk.ask(case, key=key)
    assert again.id == first.id
    with pytest.raises(Refused, match="not_yours"):
        await desk.ask(case)
    await desk.world.pool.execute(
        "UPDATE cases SET owner = 'agent', agent_id = $2, wait_for = NULL, wait_ref = NULL WHERE id = $1", case, desk.mira.agent_id
    )
    with pytest.raises(Refused, match="already_referred"):
        await desk.ask(case)
    other = Question(team="fraud", reason="other", question="another", evidence=(), holds=False, answer_within_seconds=60)
    with pytest.raises(KeyReused):
        await desk.referrals.ask(desk.mira, msgspec.structs.replace(key, body_hash=b"1"), case, other)


async def test_each_piece_of_evidence_has_to_be_in_this_case_or_its_order(desk: Desk) -> None:
    order, other = await desk.order(), await desk.order()
    case, elsewhere = await desk.taken(order), await desk.taken(other)
    message = await desk.world.value("SELECT id FROM message WHERE case_id = $1", case)
    ticket = await desk.world.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", order)
    theirs = await desk.world.value("SELECT id FROM message WHERE case_id = $1", elsewhere)
    foreign = await desk.world.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", other)
    good = [
        Evidence(kind="message", ref=wire(WireId.MESSAGE, message)),
        Evidence(kind="timeline", ref="1", words="how it began"),
        Evidence(kind="payment", ref="P1"),
        Evidence(kind="pass", ref=wire(WireId.PASS, ticket)),
    ]
    bad = [
        Evidence(kind="message", ref=wire(WireId.MESSAGE, theirs)),
        Evidence(kind="note", ref=wire(WireId.MESSAGE, message)),
        Evidence(kind="timeline", ref="9999"),
        Evidence(kind="timeline", ref="one"),
        Evidence(kind="payment", ref="P2"),
        Evidence(kind="pass", ref=wire(WireId.PASS, foreign)),
        Evidence(kind="pass", ref="P1"),
    ]
    for one in bad:
        with pytest.raises(EvidenceMissing) as missing:
            await desk.ask(case, evidence=[*good, one])
        assert missing.value.piece == len(good)
    assert await desk.owner(case) == "agent"
    referral = await desk.ask(case, evidence=good)
    assert [one["kind"] for one in referral.evidence] == ["message", "timeline", "payment", "pass"]


async def test_a_case_without_an_order_can_be_judged_and_what_becomes_its_order_waits(desk: Desk) -> None:
    case = await desk.taken(None)
    await desk.ask(case, team="moderation")
    order = await desk.order()
    await desk.world.pool.execute("UPDATE cases SET order_id = (SELECT id FROM orders WHERE ref = $2) WHERE id = $1", case, order)
    await desk.world.pool.execute(
        "INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, payment_id, amount, currency, due_at, created_at)"
        " SELECT platform_id, gen_random_uuid(), $1, order_id, 'refund', 'READY', 'sandbox', id, 100, 'EUR', now(), now() FROM payment"
        " WHERE order_id = (SELECT id FROM orders WHERE ref = $2)",
        case,
        order,
    )
    assert await desk.states(order) == [("HELD", ["referral"])]


# ---------------------------------------------------------------------------------------------------- any order of events


async def _some_step(desk: Desk, chance: random.Random, order: str, cases: list[UUID]) -> None:
    """One thing that may happen to this order: whatever is refused at this moment is refused."""
    questions = [row["id"] for row in await desk.world.pool.fetch("SELECT id FROM referral")] or [uuid4()]
    operations = [one["id"] for one in await desk.operations(order)] or [uuid4()]
    question, operation, case = chance.choice(questions), chance.choice(operations), chance.choice(cases)

    async def decide() -> None:
        cases.append(await desk.decided(order))

    async def refuse() -> None:
        await desk.world.value("SELECT operation_refuse($1, $2, 'agent:Jonas', 'no')", desk.world.id, operation)

    steps: list[Callable[[], Awaitable[object]]] = [
        decide,
        *2 * [lambda: desk.ask(case, team=chance.choice(["fraud", "moderation"]), holds=chance.random() < 0.8)],
        *2 * [lambda: desk.answer(question, chance.choice(["cleared", "confirmed", "need_more"]))],
        lambda: desk.referrals.withdraw(desk.jonas, question, "a lead says so"),
        lambda: desk.approve(operation, chance.choice([desk.jonas, desk.noa])),
        refuse,
        lambda: ends(desk, case, desk.mira),
        *3 * [desk.world.settle],
        lambda: desk.pass_time(timedelta(minutes=chance.choice([1, 90]))),
    ]
    with suppress(Refused):
        await chance.choice(steps)()
    await desk.world.pool.execute(
        # Locked in the order in which everybody locks them: two of these steps run at once.
        """
        UPDATE cases SET owner = 'agent', agent_id = $2, due_at = app_now() + interval '1 hour'
        WHERE id IN (SELECT id FROM cases WHERE id = ANY ($1) AND owner = 'queue' ORDER BY id FOR NO KEY UPDATE)
        """,
        cases,
        desk.mira.agent_id,
    )


_WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
# A first sending that began while an answer was awaited: nothing that was asked before, or released since, explains it.
_TOO_EARLY: Final = """
SELECT t.started_at FROM try t JOIN attempt a ON a.id = t.attempt_id JOIN operation o ON o.id = a.operation_id
JOIN referral r ON r.order_id = o.order_id AND r.holding
WHERE t.started_at > r.created_at AND t.seq = 1 AND a.seq = 1
AND NOT EXISTS (SELECT FROM referral older WHERE older.order_id = o.order_id AND older.id <> r.id AND older.answered_at > t.started_at)
"""
_READY_EARLY: Final = """
SELECT o.id FROM operation o WHERE o.action <> 'void_pass' AND o.state = 'READY'
AND EXISTS (SELECT FROM referral r WHERE r.order_id = o.order_id AND r.holding)
"""


@pytest.mark.parametrize("seed", range(6))
async def test_in_whatever_order_it_happens_nothing_leaves_while_it_is_judged_and_nothing_is_paid_twice(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - an order of events, not a secret
    order = await desk.order(2500, 48000) if seed % 2 else await desk.order(2500, 1500)
    cases = [await desk.taken(order), await desk.taken(order, problem=Problem.MERCH_WRONG)]
    for _ in range(_ROUNDS):
        # Several at once, each in a transaction of its own: whatever the locks make of it, the sums hold.
        await asyncio.gather(*(_some_step(desk, chance, order, cases) for _ in range(chance.choice([1, 1, 2, 3]))))
        assert await broken(desk) == {}
        assert await desk.world.pool.fetch(_READY_EARLY) == []
        assert await desk.world.pool.fetch(_TOO_EARLY) == []
    for question in await desk.world.pool.fetch("SELECT id FROM referral WHERE holding"):
        await desk.referrals.withdraw(desk.jonas, question["id"], "the end")
    await desk.world.settle()
    assert await broken(desk) == {}
    done = [one["amount"] for one in await desk.operations(order) if one["action"] == "refund" and one["state"] == "DONE"]
    captured = await desk.world.value("SELECT sum(captured) FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", order)
    assert await desk.paid(order) == sum(done) <= captured
