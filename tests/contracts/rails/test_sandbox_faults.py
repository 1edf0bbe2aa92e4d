"""Every way in which a processor can fail, told by script, with the ledger read afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from uuid import uuid4

import pytest

from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_books import Charge, Fault, SandboxBooks, SandboxPool, Script
from service.model import Money
from service.ports import Declined, OutcomeUnknown, Unavailable
from service.store import embedded
from tests.contracts.rails.benches import SandboxBench, beside, request_for
from tests.loops import let_pass
from tests.patience import PATIENCE_SECONDS


async def test_an_unreachable_processor_moves_nothing_and_says_that_nothing_was_sent(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.UNREACHABLE))
    request, key = request_for(sandbox, payment, 700), str(sandbox.new_id())

    with pytest.raises(Unavailable) as failed:
        await sandbox.rail.refund(request, key=key)

    assert failed.value.never_sent
    assert (await sandbox.books.line(payment)).refunds == 0
    assert (await sandbox.rail.refund(request, key=key)).state == "SUCCEEDED"


async def test_no_answer_and_a_lost_answer_look_alike_and_the_same_key_heals_both(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    for fault, paid_already in ((Fault.NO_ANSWER, 0), (Fault.LOST_ANSWER, 1)):
        before = (await sandbox.books.line(payment)).refunds
        await sandbox.books.script(Script(fault=fault))
        request, key = request_for(sandbox, payment, 700), str(sandbox.new_id())

        with pytest.raises(OutcomeUnknown):
            await sandbox.rail.refund(request, key=key)
        assert (await sandbox.books.line(payment)).refunds == before + paid_already
        await sandbox.rail.refund(request, key=key)

        assert (await sandbox.books.line(payment)).refunds == before + 1


async def test_a_request_still_on_its_way_is_not_found_and_yet_arrives(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.IN_FLIGHT))
    request, key = request_for(sandbox, payment, 700), str(sandbox.new_id())

    with pytest.raises(OutcomeUnknown):
        await sandbox.rail.refund(request, key=key)
    assert await sandbox.rail.find(request) is None
    assert await sandbox.books.deliver() == 1

    found = await sandbox.rail.find(request)
    assert found == await sandbox.rail.refund(request, key=key)
    assert (await sandbox.books.line(payment)).refunded_minor == 700


async def test_rate_limits_say_when_to_come_back_and_a_wrong_key_stops_the_rail(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.RATE_LIMITED, retry_after_seconds=7.5), Script(fault=Fault.UNAUTHORISED))
    request = request_for(sandbox, payment, 700)
    failures = []

    for _ in range(2):
        with pytest.raises(Unavailable) as failed:
            await sandbox.rail.refund(request, key=str(sandbox.new_id()))
        failures.append((failed.value.retry_after_seconds, failed.value.configuration, failed.value.never_sent))

    assert failures == [(7.5, False, False), (None, True, False)]
    assert (await sandbox.books.line(payment)).refunds == 0


async def test_a_scripted_refusal_names_its_word_and_moves_nothing(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.DECLINED, detail="disputed"), Script(fault=Fault.DECLINED))

    words = []
    for _ in range(2):
        with pytest.raises(Declined) as refused:
            await sandbox.rail.refund(request_for(sandbox, payment, 700), key=str(sandbox.new_id()))
        words.append(refused.value.code)

    assert words == ["disputed", "declined"]
    assert (await sandbox.books.line(payment)).refunds == 0


async def test_an_accepted_refund_holds_the_money_until_it_settles(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.ACCEPTED))
    request = request_for(sandbox, payment, 4000)
    refund = await sandbox.rail.refund(request, key=str(sandbox.new_id()))

    assert refund.state == "ACCEPTED"
    with pytest.raises(Declined, match="amount_too_large"):
        await sandbox.rail.refund(request_for(sandbox, payment, 1001), key=str(sandbox.new_id()))
    assert await sandbox.books.settle(refund.provider_ref)

    found = await sandbox.rail.find(request)
    assert found is not None
    assert found.state == "SUCCEEDED"


async def test_a_refund_the_bank_refused_leaves_the_payment_whole(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.FAILED, detail="lost_or_stolen_card"))

    refund = await sandbox.rail.refund(request_for(sandbox, payment, 5000), key=str(sandbox.new_id()))

    assert (refund.state, refund.failure) == ("FAILED", "lost_or_stolen_card")
    assert (await sandbox.rail.payment(payment, "EUR")).refunded_minor == 0


async def test_a_refund_can_fail_after_it_succeeded_and_stays_dead(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    request = request_for(sandbox, payment, 5000)
    refund = await sandbox.rail.refund(request, key=str(sandbox.new_id()))

    assert await sandbox.books.fail_late(refund.provider_ref, "expired_or_canceled_card")
    assert await sandbox.books.fail_late(refund.provider_ref, "expired_or_canceled_card")
    assert not await sandbox.books.settle(refund.provider_ref)

    found = await sandbox.rail.find(request)
    assert found is not None
    assert (found.state, found.failure) == ("FAILED", "expired_or_canceled_card")
    line = await sandbox.books.line(payment)
    assert (line.refunded_minor, line.refunds, line.dead) == (0, 0, 1)
    assert (await sandbox.rail.refund(request, key=str(sandbox.new_id()))).state == "SUCCEEDED"


async def test_past_its_window_a_key_pays_again(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    request, key = request_for(sandbox, payment, 700), str(sandbox.new_id())
    await sandbox.rail.refund(request, key=key)

    await sandbox.books.forget_keys()
    await sandbox.rail.refund(request, key=key)

    assert (await sandbox.books.line(payment)).refunds == 2


async def test_a_script_can_be_for_one_payment_or_for_reads_alone(sandbox: SandboxBench) -> None:
    troubled, untroubled = await sandbox.charge(5000), await sandbox.charge(5000)
    await sandbox.books.script(
        Script(fault=Fault.UNREACHABLE, payment_ref=troubled, times=None), Script(fault=Fault.NO_ANSWER, call="read")
    )

    assert (await sandbox.rail.refund(request_for(sandbox, untroubled, 700), key=str(sandbox.new_id()))).state == "SUCCEEDED"
    for _ in range(3):
        with pytest.raises(Unavailable):
            await sandbox.rail.refund(request_for(sandbox, troubled, 700), key=str(sandbox.new_id()))
    with pytest.raises(Unavailable):
        await sandbox.rail.payment(untroubled, "EUR")
    assert (await sandbox.rail.payment(untroubled, "EUR")).refunded_minor == 700

    await sandbox.books.script_instead(Script(fault=Fault.DECLINED, payment_ref=troubled, detail="bug"))
    with pytest.raises(Declined):
        await sandbox.rail.refund(request_for(sandbox, troubled, 700), key=str(sandbox.new_id()))
    assert (await sandbox.rail.refund(request_for(sandbox, troubled, 700), key=str(sandbox.new_id()))).state == "SUCCEEDED"
    await sandbox.books.script(Script(fault=Fault.UNREACHABLE, payment_ref=troubled, times=None))

    await sandbox.books.clear()
    assert (await sandbox.rail.refund(request_for(sandbox, troubled, 700), key=str(sandbox.new_id()))).state == "SUCCEEDED"


async def test_an_outcome_in_the_script_waits_for_a_new_refund(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    request, key = request_for(sandbox, payment, 700), str(sandbox.new_id())
    first = await sandbox.rail.refund(request, key=key)
    await sandbox.books.script(Script(fault=Fault.FAILED, detail="declined"))

    assert await sandbox.rail.refund(request, key=key) == first
    assert (await sandbox.rail.refund(request_for(sandbox, payment, 700), key=str(sandbox.new_id()))).state == "FAILED"


async def test_a_read_does_not_use_up_an_outcome_meant_for_a_refund(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.ACCEPTED, call="any"))

    await sandbox.rail.payment(payment, "EUR")

    assert (await sandbox.rail.refund(request_for(sandbox, payment, 700), key=str(sandbox.new_id()))).state == "ACCEPTED"


async def test_a_script_for_so_many_calls_is_used_exactly_so_often_however_many_call_at_once(sandbox: SandboxBench) -> None:
    payments = [await sandbox.charge(1000) for _ in range(20)]
    await sandbox.books.script(Script(fault=Fault.NO_ANSWER, times=7), Script(fault=Fault.UNREACHABLE, times=5))

    answers = await asyncio.gather(
        *(sandbox.rail.refund(request_for(sandbox, payment, 700), key=str(sandbox.new_id())) for payment in payments),
        return_exceptions=True,
    )

    assert Counter(type(answer).__name__ for answer in answers) == {"OutcomeUnknown": 7, "Unavailable": 5, "RefundSeen": 8}
    assert sum([line.refunds for line in await sandbox.books.ledger()]) == 8


async def test_an_answer_slower_than_the_call_may_last_is_unknown_and_already_in_the_ledger(
    sandbox: SandboxBench, sandbox_pool: SandboxPool
) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.set_latency(3_600_000)
    hasty = SandboxRail(sandbox.rail.name, sandbox_pool, call_seconds_max=0.2)

    calling = asyncio.create_task(sandbox.rail.refund(request_for(sandbox, payment, 700), key=str(sandbox.new_id())))
    while (await sandbox.books.line(payment)).refunds == 0:
        await asyncio.sleep(0.02)
    let_pass(PATIENCE_SECONDS)
    with pytest.raises(OutcomeUnknown):
        await calling
    with pytest.raises(Unavailable):
        await hasty.payment(payment, "EUR")

    assert (await sandbox.books.line(payment)).refunds == 1


async def test_charges_are_loaded_with_what_was_refunded_before_and_only_once(sandbox: SandboxBench) -> None:
    charge = Charge(payment_ref="ch_loaded", amount=Money(minor=5000, currency="KWD"), refunded_minor=4000)
    for _ in range(2):
        await sandbox.books.load_charges([charge])

    with pytest.raises(Declined, match="amount_too_large"):
        await sandbox.rail.refund(request_for(sandbox, "ch_loaded", 1001, "KWD"), key=str(sandbox.new_id()))
    await sandbox.rail.refund(request_for(sandbox, "ch_loaded", 1000, "KWD"), key=str(sandbox.new_id()))

    (line,) = await sandbox.books.ledger()
    assert (line.captured_minor, line.loaded_minor, line.refunded_minor, line.currency) == (5000, 4000, 1000, "KWD")
    seen = await sandbox.rail.payment("ch_loaded", "KWD")
    assert seen.refunded_minor == sum([refund.amount.minor for refund in seen.refunds]) == 5000


async def test_a_won_dispute_lets_the_refund_through(sandbox: SandboxBench) -> None:
    payment = await sandbox.disputed_charge(5000)
    await sandbox.books.close_dispute(payment)

    assert (await sandbox.rail.refund(request_for(sandbox, payment, 5000), key=str(sandbox.new_id()))).state == "SUCCEEDED"


async def test_a_refund_in_another_currency_is_a_mistake_of_ours(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000, "EUR")

    with pytest.raises(Declined) as refused:
        await sandbox.rail.refund(request_for(sandbox, payment, 700, "JPY"), key=str(sandbox.new_id()))

    assert refused.value.code == "bug"


_KILLED_WHILE_IT_WAITS = """
import asyncio, sys
from integrations.sandbox import SandboxRail, open_sandbox
from service.model import Money
from service.ports import RefundRequest
from uuid import UUID

async def main(dsn, account, payment_ref, identifier):
    rail = SandboxRail(account, await open_sandbox(dsn))
    request = RefundRequest(
        operation_id=UUID(identifier), attempt_id=UUID(identifier), payment_ref=payment_ref,
        amount=Money(minor=700, currency="EUR"), reason="requested_by_customer")
    print("sending", flush=True)
    await rail.refund(request, key=identifier)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_was_paid_stays_in_the_ledger_when_the_caller_is_killed_before_the_answer(
    sandbox: SandboxBench, sandbox_dsn: str
) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.set_latency(60_000)
    request = request_for(sandbox, payment, 700)
    arguments = (sandbox_dsn, sandbox.rail.name, payment, str(request.attempt_id))
    caller = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED_WHILE_IT_WAITS, *arguments, stdout=subprocess.PIPE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # nothing but looking tells of a commit in another process
        while (await sandbox.books.line(payment)).refunds == 0:
            await asyncio.sleep(0.02)

    caller.kill()
    await caller.wait()
    await sandbox.books.clear()

    found = await sandbox.rail.find(request)
    assert found is not None
    assert (await sandbox.books.line(payment)).refunds == 1


async def test_many_processes_may_open_the_sandbox_at_once(postgres_dsn: str) -> None:
    fresh = beside(postgres_dsn, f"sandbox_{uuid4().hex[:12]}")

    pools = await asyncio.gather(*(open_sandbox(fresh, connections_max=1) for _ in range(4)))

    for number, pool in enumerate(pools):
        await SandboxBooks("shared", pool).load_charge(f"ch_{number}", Money(minor=100, currency="EUR"))
    assert await SandboxRail("shared", pools[0]).check() == "sandbox: 4 charges"
    for pool in pools:
        await pool.close()


async def test_a_sandbox_whose_database_is_gone_was_never_reached(sandbox: SandboxBench, postgres_dsn: str) -> None:
    name = f"sandbox_{uuid4().hex[:12]}"
    pool = await open_sandbox(beside(postgres_dsn, name))
    await embedded.drop_database(postgres_dsn, name)

    with pytest.raises((Unavailable, OutcomeUnknown)):  # the connection that just died may have carried something
        await SandboxRail("gone", pool).refund(request_for(sandbox, "ch_any", 700), key=str(sandbox.new_id()))
    with pytest.raises(Unavailable) as failed:
        await SandboxRail("gone", pool).refund(request_for(sandbox, "ch_any", 700), key=str(sandbox.new_id()))

    assert failed.value.never_sent
    pool.terminate()
