"""Another rail takes over only with proof, read just before, that the first did not and never will pay."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from policies import GUARDS_FILE, RAILS_FILE, bundled_folder, load_guards, load_packs, load_rails
from service.callers import Caller
from service.choices import Choices, Chosen
from service.model import IdentityLevel
from service.plan import Rules
from service.ports import Declined, Unavailable
from tests.guards.ground import PRICE, SILENT, Answer, Ground, Order, failed
from tests.keys import fresh_key

MINUTES = timedelta(minutes=2)
HOURS = timedelta(hours=2)
AWAY = Unavailable("connection refused", never_sent=True)


async def _closed_card(ground: Ground) -> tuple[Order, UUID]:
    """The first rail has said that the card is closed, and the customer has chosen another way."""
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "CHOICE_NEEDED"
    assert await ground.choose(operation) == "chosen"
    return order, operation


async def _out_of_reach(ground: Ground, *answers: Answer) -> tuple[Order, UUID]:
    """Two hours of trying, of which the last try is now."""
    order, operation = await ground.refund()
    ground.first.answers = [*answers] or [AWAY, AWAY]
    await ground.advance(operation)
    await ground.pass_time(HOURS)
    await ground.advance(operation)
    return order, operation


async def _offered(ground: Ground, operation: UUID) -> bool:
    return (await ground.operation(operation))["choice_offered_at"] is not None


async def _paid_once_by(ground: Ground, rail: str) -> None:
    assert (ground.first.total, ground.second.total) == ((PRICE, 0) if rail == "first" else (0, PRICE))


# ------------------------------------------------------------------------------------------------------ it is dead


async def test_a_dead_first_rail_is_read_again_and_the_second_pays(ground: Ground) -> None:
    order, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    await ground.advance(operation)
    await _paid_once_by(ground, "second")
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_refund_that_arrived_after_its_refusal_is_not_paid_again(ground: Ground) -> None:
    """The processor said no, and yes afterwards: it is read before anybody else pays."""
    order, operation = await ground.refund()
    ground.first.answers = [Declined("declined")]
    await ground.advance(operation)
    assert await ground.choose(operation) == "chosen"
    ground.first.arrives_late(await ground.attempt_of(operation))
    await ground.advance(operation)
    await _paid_once_by(ground, "first")
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_failed_refund_that_is_not_listed_proves_nothing(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    ground.first.finds = False
    await ground.advance(operation)
    assert ground.second.sent == []


async def test_what_was_read_minutes_ago_is_read_again(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [Declined("declined")]
    await ground.advance(operation)
    assert await ground.choose(operation) == "chosen"
    await ground.store.proved(ground.platform, operation, (await ground.operation(operation))["lease_epoch"])
    await ground.pass_time(MINUTES)
    ground.first.arrives_late(await ground.attempt_of(operation))
    await ground.advance(operation)
    await _paid_once_by(ground, "first")
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_second_attempt_that_had_to_wait_is_proven_again(ground: Ground) -> None:
    """It was proven, opened, and could not be sent for hours; meanwhile the first has arrived."""
    order, operation = await ground.refund()
    ground.first.answers = [Declined("declined")]
    await ground.advance(operation)
    first = await ground.attempt_of(operation)
    assert await ground.choose(operation) == "chosen"
    ground.second.answers = [AWAY]
    await ground.advance(operation)
    assert await ground.attempts(operation) == [("first", "REJECTED"), ("second", "PREPARED")]
    await ground.pass_time(HOURS)
    ground.first.arrives_late(first)
    for _ in range(2):
        await ground.advance(operation)
    assert len(ground.second.sent) == 1
    await _paid_once_by(ground, "first")
    assert await ground.payment(order) == (PRICE, 0, PRICE)
    row = await ground.operation(operation)
    assert (row["state"], row["holds"]) == ("HELD", ["excess"])


async def test_a_second_attempt_that_had_to_wait_is_not_sent_while_nobody_can_be_asked(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    ground.second.answers = [AWAY]
    await ground.advance(operation)
    await ground.pass_time(HOURS)
    ground.first.finds = False
    await ground.advance(operation)
    assert len(ground.second.sent) == 1


async def test_a_second_attempt_that_had_to_wait_goes_when_the_first_is_still_dead(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    ground.second.answers = [AWAY]
    await ground.advance(operation)
    await ground.pass_time(HOURS)
    await ground.advance(operation)
    await _paid_once_by(ground, "second")
    assert len(set(ground.second.sent)) == 1


async def test_a_payout_that_came_back_is_not_sent_again_on_top_of_what_others_gave_back_meanwhile(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    ground.second.answers = [failed("insufficient_funds")]
    ground.second.listed_as = failed("insufficient_funds")
    await ground.advance(operation)
    assert ((await ground.operation(operation))["state"], len(ground.second.sent)) == ("READY", 1)
    await ground.pass_time(HOURS)
    ground.first.others_minor = PRICE
    for _ in range(2):
        await ground.advance(operation)
    assert len(ground.second.sent) == 1


async def test_what_a_worker_read_before_its_lease_was_lost_proves_nothing(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    late = await ground.lease(operation)
    await ground.lease(operation)
    await ground.store.proved(ground.platform, operation, late)
    assert (await ground.operation(operation))["proved_at"] is None


# ------------------------------------------------------------------------------------------------ it was never reached


async def test_a_first_rail_that_was_never_reached_is_closed_and_read_and_the_second_pays(ground: Ground) -> None:
    order, operation = await _out_of_reach(ground)
    assert await ground.choose(operation) == "chosen"
    await ground.advance(operation)
    assert await ground.attempts(operation) == [("first", "CLOSED_NOT_SENT"), ("second", "SUCCEEDED")]
    await _paid_once_by(ground, "second")
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_worker_of_the_first_rail_that_wakes_up_after_the_choice_finds_it_closed(ground: Ground) -> None:
    _, operation = await _out_of_reach(ground)
    late = (await ground.operation(operation))["lease_epoch"]
    assert await ground.choose(operation) == "chosen"
    await ground.operations.advance(ground.platform, operation, late, since=ground.seconds)
    assert len(ground.first.sent) == 2
    await ground.advance(operation)
    await _paid_once_by(ground, "second")


@pytest.mark.parametrize("trouble", ["a refund that is not ours", "a dispute"])
async def test_a_payment_that_others_have_touched_is_not_paid_by_another_rail(ground: Ground, trouble: str) -> None:
    _, operation = await _out_of_reach(ground)
    assert await ground.choose(operation) == "chosen"
    ground.first.others_minor = PRICE if trouble == "a refund that is not ours" else 0
    ground.first.disputed = trouble == "a dispute"
    await ground.advance(operation)
    await ground.advance(operation)
    assert ground.second.sent == []


async def test_a_payment_that_nobody_could_read_is_not_paid_by_another_rail(ground: Ground) -> None:
    _, operation = await _out_of_reach(ground)
    assert await ground.choose(operation) == "chosen"
    ground.first.unreadable = True
    await ground.advance(operation)
    assert ground.second.sent == []


async def test_a_payment_that_was_read_hours_ago_is_read_again(ground: Ground) -> None:
    _, operation = await _out_of_reach(ground)
    assert await ground.choose(operation) == "chosen"
    assert await ground.store.payment_was_read(ground.platform, operation, refunded_minor=0, disputed=False)
    await ground.pass_time(HOURS)
    ground.first.others_minor = PRICE
    await ground.advance(operation)
    assert ground.second.sent == []


@pytest.mark.parametrize("answer", [SILENT, Unavailable("401", configuration=True), Unavailable("429", retry_after_seconds=1.0)], ids=str)
async def test_a_rail_that_answered_or_may_have_is_not_given_up_for_being_out_of_reach(ground: Ground, answer: Answer) -> None:
    """A refused key and a processor that is busy are not out of reach: what arrived there may still be carried out."""
    _, operation = await _out_of_reach(ground, AWAY, answer)
    assert not await _offered(ground, operation)
    assert (await ground.tries(operation))[-1] != "NOT_SENT"
    assert await ground.choose(operation) == "not_offered"


async def test_a_choice_made_while_a_try_is_running_is_not_taken(ground: Ground) -> None:
    _, operation = await _out_of_reach(ground)
    assert await _offered(ground, operation)
    ground.first.hears = asyncio.Event()
    worker = asyncio.create_task(ground.advance(operation))
    await ground.first.hears.wait()
    assert await ground.choose(operation) == "under_way"
    ground.first.goes_on.set()
    await worker
    await _paid_once_by(ground, "first")


async def test_a_choice_after_a_lost_answer_is_not_taken(ground: Ground) -> None:
    _, operation = await _out_of_reach(ground)
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    assert await ground.choose(operation) == "under_way"


async def test_a_rail_that_may_have_paid_goes_on_under_its_key_whatever_was_chosen(ground: Ground) -> None:
    """However the operation came to name another rail."""
    _, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE operation SET rail = 'second' WHERE id = $1", operation)
    await ground.advance(operation)
    assert len(set(ground.first.sent)) == 1
    assert len(ground.first.sent) == 2
    assert await ground.attempts(operation) == [("first", "SUCCEEDED")]
    await _paid_once_by(ground, "first")


async def test_a_try_that_died_with_its_worker_keeps_its_rail(ground: Ground) -> None:
    _, operation = await ground.refund()
    await ground.begin(operation, await ground.lease(operation))
    await ground.pool.execute("UPDATE operation SET rail = 'second' WHERE id = $1", operation)
    await ground.advance(operation)
    assert ground.second.sent == []


# ---------------------------------------------------------------------------------------------------------- disputes


async def test_a_choice_is_not_taken_while_the_bank_may_be_giving_it_back(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE payment SET dispute = 'open' WHERE order_id = $1", order.id)
    assert await ground.choose(operation) == "disputed"


async def test_another_rail_does_not_pay_while_the_bank_may_be_giving_it_back(ground: Ground) -> None:
    order, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    await ground.pool.execute("UPDATE payment SET dispute = 'open' WHERE order_id = $1", order.id)
    await ground.advance(operation)
    assert ground.second.sent == []
    row = await ground.operation(operation)
    assert (row["state"], row["holds"]) == ("HELD", ["dispute"])


async def test_a_choice_is_not_taken_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE payment SET refunded_elsewhere = 1 WHERE order_id = $1", order.id)
    assert await ground.choose(operation) == "excess"


async def test_another_rail_does_not_pay_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await _closed_card(ground)
    ground.first.listed_as = failed("expired_or_canceled_card")
    await ground.pool.execute("UPDATE payment SET refunded_elsewhere = 1 WHERE order_id = $1", order.id)
    await ground.advance(operation)
    assert ground.second.sent == []
    row = await ground.operation(operation)
    assert (row["state"], row["holds"]) == ("HELD", ["excess"])


# -------------------------------------------------------------------------------------------------- what opens a choice


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("insufficient_funds", "READY"),
        ("disputed", "HELD"),
        ("charge_for_pending_refund_disputed", "HELD"),
        ("merchant_request", "FAILED"),
        ("not_found", "REFUSED"),
        ("lost_or_stolen_card", "CHOICE_NEEDED"),
    ],
)
async def test_only_proof_that_the_money_cannot_go_back_opens_another_way(ground: Ground, reason: str, state: str) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [failed(reason)]
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == state


def _choices(ground: Ground) -> Choices:
    folder = bundled_folder()
    rules = Rules(
        packs=load_packs(folder, ("en",)),
        guards=load_guards((folder / GUARDS_FILE).read_text(encoding="utf-8")),
        backups=load_rails((folder / RAILS_FILE).read_text(encoding="utf-8")),
        rails={"first": "sandbox", "second": "sandbox_payout"},
    )
    return Choices(ground.store, rules)


def _customer(ground: Ground, level: IdentityLevel) -> Caller:
    return Caller(kind="customer", platform_id=ground.platform, platform="shop", id=uuid4(), name="customer", level=level)


@pytest.mark.parametrize(
    ("level", "status"), [(IdentityLevel.VERIFIED, "not_strong"), (IdentityLevel.CLAIMED, "not_strong"), (IdentityLevel.STRONG, "chosen")]
)
async def test_money_goes_to_a_new_address_only_for_who_has_proved_strongly_who_they_are(
    ground: Ground, level: IdentityLevel, status: str
) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    chosen = Chosen(operation=operation, rail="second", address="mira@example.org", checked=None)
    customer = _customer(ground, level)
    assert await _choices(ground).choose(customer, fresh_key(ground.platform), order.case, chosen, level=level) == status


async def test_a_way_that_was_not_offered_cannot_be_chosen(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE platform SET settings = '{}' WHERE id = $1", ground.platform)
    chosen = Chosen(operation=operation, rail="second", address="mira@example.org", checked=None)
    strong = IdentityLevel.STRONG
    customer = _customer(ground, strong)
    assert await _choices(ground).choose(customer, fresh_key(ground.platform), order.case, chosen, level=strong) == "not_offered"


async def test_an_agents_choice_waits_for_a_second_person(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    agent = Caller(
        kind="agent", platform_id=ground.platform, platform="shop", id=uuid4(), name="agent:Ana", agent_id=ground.agent, role="lead"
    )
    chosen = Chosen(operation=operation, rail="second", address="mira@example.org", checked="passport")
    assert await _choices(ground).choose(agent, fresh_key(ground.platform), order.case, chosen, level=None) == "held"
    row = await ground.operation(operation)
    assert (row["state"], row["approvals_needed"]) == ("HELD", 2)


async def test_a_choice_that_people_have_to_agree_to_waits_for_them(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    ground.first.listed_as = failed("expired_or_canceled_card")
    assert await ground.choose(operation, holds=["payout"], approvals=1) == "held"
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "HELD"
    assert ground.second.sent == []
