"""The promises of a rail: what every one keeps, what those that pay back keep too, and those that can be read; each has a `bench`."""

from __future__ import annotations

import asyncio

import pytest

from service.ports import Declined, OutcomeUnknown, RefundSeen
from tests.contracts.rails.benches import Bench, request_for

KINDS = frozenset({"sandbox", "stripe", "adyen", "paypal", "store credit"})
GOOD = frozenset({"ACCEPTED", "SUCCEEDED"})


class RailContract:
    """Every rail: it pays what it is asked to, once a key, and says which attempt it was for.

    What was paid is counted at the processor (`bench.paid`), never asked of the adapter.
    """

    async def test_a_whole_refund_gives_everything_back(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request = request_for(bench, payment, 5000)

        refund = await bench.rail.refund(request, key=str(bench.new_id()))

        assert refund.state in GOOD
        assert (refund.amount, refund.attempt_id) == (request.amount, request.attempt_id)
        assert await bench.paid(payment) == 5000

    async def test_what_was_accepted_arrives_as_the_same_refund(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request = request_for(bench, payment, 1200)
        refund = await bench.rail.refund(request, key=str(bench.new_id()))

        end = await bench.ending(refund)

        assert (end.state, end.provider_ref) == ("SUCCEEDED", refund.provider_ref)
        assert (end.amount, end.attempt_id) == (request.amount, request.attempt_id)

    async def test_two_refunds_of_the_same_amount_are_two(self, bench: Bench) -> None:
        payment = await bench.charge(5000)

        refunds = [await bench.rail.refund(request_for(bench, payment, 700), key=str(bench.new_id())) for _ in range(2)]

        assert len({refund.provider_ref for refund in refunds}) == 2
        assert await bench.paid(payment) == 1400

    async def test_the_same_key_twice_is_one_refund(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request, key = request_for(bench, payment, 1500), str(bench.new_id())

        first = await bench.rail.refund(request, key=key)
        second = await bench.rail.refund(request, key=key)

        assert first == second
        assert await bench.paid(payment) == 1500

    async def test_the_same_key_for_another_amount_is_refused(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        key = str(bench.new_id())
        await bench.rail.refund(request_for(bench, payment, 1500), key=key)

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, payment, 1600), key=key)

        assert refused.value.code == "idempotency_misuse"
        assert await bench.paid(payment) == 1500

    async def test_currencies_without_decimals_keep_their_amounts(self, bench: Bench) -> None:
        for currency in ("JPY", "ISK"):
            if not bench.rail.step(currency):
                continue
            payment = await bench.charge(15000, currency)
            request = request_for(bench, payment, 5120, currency)

            assert (await bench.rail.refund(request, key=str(bench.new_id()))).amount == request.amount
            assert await bench.paid(payment) == 5120

    async def test_an_attempt_that_was_never_sent_is_not_found(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 700), key=str(bench.new_id()))

        assert await bench.rail.find(request_for(bench, payment, 700)) is None

    async def test_the_check_says_which_processor_answers(self, bench: Bench) -> None:
        assert (await bench.rail.check()).split(":")[0] in KINDS

    async def test_what_it_says_of_itself_can_be_kept(self, bench: Bench) -> None:
        traits = bench.rail.traits

        assert traits.key_lifetime_seconds > 0
        assert traits.accepted_seconds_max > 0
        assert traits.calls_per_second is None or traits.calls_per_second > 0
        assert bench.rail.step("EUR") == 1
        assert (bench.destination == "") == (traits.pays == "back")


class PaysBackContract:
    """Rails that refund what they captured: the payment is the limit, at once or when the refund ends."""

    async def test_more_than_is_left_is_refused_whole(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 4000), key=str(bench.new_id()))

        assert await _how_it_was_refused(bench, payment, 1001) in {"amount_too_large", "FAILED"}
        assert await bench.paid(payment) == 4000

    async def test_a_payment_that_was_refunded_whole_is_refunded_no_more(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 5000), key=str(bench.new_id()))

        assert await _how_it_was_refused(bench, payment, 1) in {"already_refunded", "FAILED"}
        assert await bench.paid(payment) == 5000

    async def test_a_disputed_payment_is_not_refunded(self, bench: Bench) -> None:
        payment = await bench.disputed_charge(5000)

        assert await _how_it_was_refused(bench, payment, 5000) in {"disputed", "FAILED"}
        assert await bench.paid(payment) == 0

    async def test_a_refund_of_a_payment_nobody_knows_is_refused(self, bench: Bench) -> None:
        assert await _how_it_was_refused(bench, "ch_nobody", 700) == "not_found"


class ReadableContract:
    """Rails whose processor can be asked: they say no at once and in our words, and tell everything that was paid back."""

    async def test_what_is_asked_too_much_is_refused_at_once_and_says_why(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 4000), key=str(bench.new_id()))
        too_large = await _how_it_was_refused(bench, payment, 1001)
        await bench.rail.refund(request_for(bench, payment, 1000), key=str(bench.new_id()))
        nothing_left = await _how_it_was_refused(bench, payment, 1)
        disputed = await _how_it_was_refused(bench, await bench.disputed_charge(5000), 5000)

        assert (too_large, nothing_left, disputed) == ("amount_too_large", "already_refunded", "disputed")

    async def test_a_payment_is_read_with_what_was_captured_and_what_went_back(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request = request_for(bench, payment, 5000)
        await bench.rail.refund(request, key=str(bench.new_id()))

        seen = await bench.rail.payment(payment, "EUR")

        assert (seen.captured, seen.refunded_minor, seen.disputed) == (request.amount, 5000, False)

    async def test_partial_refunds_add_up_and_are_told_one_by_one(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        refs = {
            (await bench.rail.refund(request_for(bench, payment, minor), key=str(bench.new_id()))).provider_ref for minor in (1200, 300)
        }

        seen = await bench.rail.payment(payment, "EUR")

        assert seen.refunded_minor == 1500
        assert {refund.provider_ref for refund in seen.refunds} == refs

    async def test_a_disputed_payment_says_so(self, bench: Bench) -> None:
        payment = await bench.disputed_charge(5000)

        assert (await bench.rail.payment(payment, "EUR")).disputed

    async def test_an_attempt_finds_its_own_refund_and_no_other(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        first, second, never_sent = (request_for(bench, payment, 700) for _ in range(3))
        await bench.rail.refund(first, key=str(bench.new_id()))
        refund = await bench.rail.refund(second, key=str(bench.new_id()))

        assert await bench.rail.find(second) == refund
        assert await bench.rail.find(never_sent) is None

    async def test_a_payment_nobody_knows_is_not_found(self, bench: Bench) -> None:
        with pytest.raises(Declined) as unread:
            await bench.rail.payment("ch_nobody", "EUR")

        assert unread.value.code == "not_found"
        assert await bench.rail.find(request_for(bench, "ch_nobody", 700)) is None

    async def test_currencies_without_decimals_are_read_as_they_were_paid(self, bench: Bench) -> None:
        for currency in ("JPY", "ISK"):
            payment = await bench.charge(15000, currency)
            await bench.rail.refund(request_for(bench, payment, 5120, currency), key=str(bench.new_id()))

            seen = await bench.rail.payment(payment, currency)

            assert (seen.captured.minor, seen.captured.currency, seen.refunded_minor) == (15000, currency, 5120)


class UnreadableContract:
    """Rails whose processor cannot be asked: they say so, and never make something up."""

    async def test_reading_is_refused_and_nothing_is_ever_found(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request = request_for(bench, payment, 700)
        await bench.rail.refund(request, key=str(bench.new_id()))

        with pytest.raises(Declined) as unread:
            await bench.rail.payment(payment, "EUR")

        assert unread.value.code == "unsupported"
        assert await bench.rail.find(request) is None
        assert not bench.rail.traits.reads


class RailUnderConcurrency:
    """Every rail: the same key at once, many times. Who is told "in progress" knows nothing, and asks again."""

    async def test_the_same_key_many_times_at_once_is_one_refund(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request, key = request_for(bench, payment, 700), str(bench.new_id())

        answers = await asyncio.gather(*(bench.rail.refund(request, key=key) for _ in range(12)), return_exceptions=True)

        refunds = [answer for answer in answers if isinstance(answer, RefundSeen)]
        assert all(isinstance(answer, RefundSeen | OutcomeUnknown) for answer in answers)
        assert {refund.provider_ref for refund in refunds} == {(await bench.rail.refund(request, key=key)).provider_ref}
        assert await bench.paid(payment) == 700


class PaysBackUnderConcurrency:
    async def test_many_keys_at_once_never_pay_back_more_than_was_captured(self, bench: Bench) -> None:
        payment = await bench.charge(5000)

        answers = await asyncio.gather(*(_how_it_was_refused(bench, payment, 700) for _ in range(12)))

        assert sorted(answers) in (["SUCCEEDED"] * 7 + ["amount_too_large"] * 5, ["FAILED"] * 5 + ["SUCCEEDED"] * 7)
        assert await bench.paid(payment) == 4900


async def _how_it_was_refused(bench: Bench, payment_ref: str, minor: int) -> str:
    """The word of a refusal at once, else the state in which the refund ended."""
    try:
        refund = await bench.rail.refund(request_for(bench, payment_ref, minor), key=str(bench.new_id()))
    except Declined as refused:
        return refused.code
    return (await bench.ending(refund)).state
