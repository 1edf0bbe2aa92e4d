"""The promises of a refund rail; each rail has a subclass and a `bench`."""

from __future__ import annotations

import asyncio

import pytest

from service.ports import Declined
from tests.contracts.rails.benches import Bench, request_for


class RailContract:
    async def test_a_whole_refund_gives_everything_back(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request = request_for(bench, payment, 5000)

        refund = await bench.rail.refund(request, key=str(bench.new_id()))

        assert (refund.state, refund.amount, refund.attempt_id) == ("SUCCEEDED", request.amount, request.attempt_id)
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

    async def test_the_same_key_twice_is_one_refund(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request, key = request_for(bench, payment, 1500), str(bench.new_id())

        first = await bench.rail.refund(request, key=key)
        second = await bench.rail.refund(request, key=key)

        assert first == second
        assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 1500

    async def test_the_same_key_for_another_amount_is_refused(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        key = str(bench.new_id())
        await bench.rail.refund(request_for(bench, payment, 1500), key=key)

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, payment, 1600), key=key)

        assert refused.value.code == "idempotency_misuse"
        assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 1500

    async def test_more_than_is_left_is_refused_whole(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 4000), key=str(bench.new_id()))

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, payment, 1001), key=str(bench.new_id()))

        assert refused.value.code == "amount_too_large"
        assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 4000

    async def test_a_payment_that_was_refunded_whole_is_refunded_no_more(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        await bench.rail.refund(request_for(bench, payment, 5000), key=str(bench.new_id()))

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, payment, 1), key=str(bench.new_id()))

        assert refused.value.code == "already_refunded"

    async def test_a_disputed_payment_is_not_refunded_and_says_so(self, bench: Bench) -> None:
        payment = await bench.disputed_charge(5000)

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, payment, 5000), key=str(bench.new_id()))

        assert refused.value.code == "disputed"
        assert (await bench.rail.payment(payment, "EUR")).disputed

    async def test_an_attempt_finds_its_own_refund_and_no_other(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        first, second, never_sent = (request_for(bench, payment, 700) for _ in range(3))
        await bench.rail.refund(first, key=str(bench.new_id()))
        refund = await bench.rail.refund(second, key=str(bench.new_id()))

        assert await bench.rail.find(second) == refund
        assert await bench.rail.find(never_sent) is None

    async def test_a_payment_nobody_knows_is_not_found(self, bench: Bench) -> None:
        request = request_for(bench, "ch_nobody", 700)

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request, key=str(bench.new_id()))
        with pytest.raises(Declined) as unread:
            await bench.rail.payment("ch_nobody", "EUR")

        assert (refused.value.code, unread.value.code) == ("not_found", "not_found")
        assert await bench.rail.find(request) is None

    async def test_currencies_without_decimals_keep_their_amounts(self, bench: Bench) -> None:
        for currency in ("JPY", "ISK"):
            payment = await bench.charge(15000, currency)
            request = request_for(bench, payment, 5120, currency)

            assert (await bench.rail.refund(request, key=str(bench.new_id()))).amount == request.amount
            seen = await bench.rail.payment(payment, currency)
            assert (seen.captured.minor, seen.captured.currency, seen.refunded_minor) == (15000, currency, 5120)

    async def test_the_check_says_which_processor_answers(self, bench: Bench) -> None:
        assert (await bench.rail.check()).split(":")[0] in {"sandbox", "stripe"}


class RailUnderConcurrency:
    async def test_the_same_key_many_times_at_once_is_one_refund(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        request, key = request_for(bench, payment, 700), str(bench.new_id())

        refunds = await asyncio.gather(*(bench.rail.refund(request, key=key) for _ in range(12)))

        assert len({refund.provider_ref for refund in refunds}) == 1
        assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 700

    async def test_many_keys_at_once_never_pay_back_more_than_was_captured(self, bench: Bench) -> None:
        payment = await bench.charge(5000)
        requests = [request_for(bench, payment, 700) for _ in range(12)]
        keys = [str(bench.new_id()) for _ in requests]

        answers = await asyncio.gather(
            *(bench.rail.refund(request, key=key) for request, key in zip(requests, keys, strict=True)), return_exceptions=True
        )

        assert [answer.code for answer in answers if isinstance(answer, Declined)] == ["amount_too_large"] * 5
        assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 4900
