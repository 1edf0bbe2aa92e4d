"""Store credit keeps the contract of rails, against a stub of our own; the code of a card goes nowhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from integrations.credit_platform import PlatformGiftCards
from integrations.credit_rail import Card, StoreCreditRail
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundSeen, Unavailable
from tests.contracts.rails.benches import Ids, request_for
from tests.contracts.rails.contract import RailContract, RailUnderConcurrency
from tests.peers.gift_cards_stub import CODE, SECRET, GiftCardsStub
from tests.peers.loopback import Fault, Reply, json

CARDS = "/shop/gift-cards"


class CreditBench(Ids):
    destination = "customer-81"

    def __init__(self, test: str, stub: GiftCardsStub) -> None:
        super().__init__(test)
        self.stub = stub
        self.cards = PlatformGiftCards(f"{stub.base_url}/shop/", SECRET)
        self.rail = StoreCreditRail("store_credit", issuer=self.cards)

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        """Paid elsewhere; here it is no more than a name, and the currency that it is counted in."""
        del minor
        return f"{currency} {self.new_id()}"

    async def disputed_charge(self, minor: int) -> str:
        raise NotImplementedError

    async def paid(self, payment_ref: str) -> int:
        return self.stub.issued(payment_ref[:3])


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[CreditBench]:
    async with GiftCardsStub().serving() as stub:
        bench = CreditBench(request.node.nodeid, stub)
        yield bench
        await bench.cards.close()


class TestStoreCredit(RailContract, RailUnderConcurrency):
    async def test_a_card_is_there_when_the_issuer_has_answered(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)

        assert await bench.rail.refund(request, key="key-1") == RefundSeen(
            provider_ref="gc_1",
            state="SUCCEEDED",
            amount=request.amount,
            attempt_id=request.attempt_id,
            at=datetime(2026, 5, 1, 20, tzinfo=UTC),
        )

    async def test_an_attempt_finds_its_own_card_and_no_other(self, bench: CreditBench) -> None:
        first, second, never_sent = (request_for(bench, "EUR", 700) for _ in range(3))
        await bench.rail.refund(first, key=str(bench.new_id()))
        card = await bench.rail.refund(second, key=str(bench.new_id()))

        assert await bench.rail.find(second) == card
        assert await bench.rail.find(never_sent) is None

    async def test_an_answer_that_was_lost_is_found_and_sent_again_it_is_the_same_card(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)
        bench.stub.fail(Fault(method="POST", path=CARDS))
        with pytest.raises(OutcomeUnknown):
            await bench.rail.refund(request, key="key-1")

        found = await bench.rail.find(request)

        assert found is not None
        assert found == await bench.rail.refund(request, key="key-1")
        assert bench.stub.issued("EUR") == 694

    async def test_a_reference_that_was_issued_for_another_amount_is_misuse(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)
        await bench.rail.refund(request, key="key-1")

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(msgspec.structs.replace(request, amount=Money(minor=695, currency="EUR")), key="key-2")

        assert refused.value.code == "idempotency_misuse"
        assert bench.stub.issued("EUR") == 694

    async def test_a_card_that_was_taken_back_is_worth_nothing(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)
        await bench.rail.refund(request, key="key-1")
        bench.stub.cards[str(request.attempt_id)]["status"] = "voided"

        found = await bench.rail.find(request)

        assert found is not None
        assert found.state == "CANCELED"

    async def test_the_platform_is_told_what_it_needs_and_the_customer_as_they_chose(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)
        bench.destination = ""
        unnamed = request_for(bench, "EUR", 695)
        await bench.rail.refund(request, key="key-1")
        await bench.rail.refund(unnamed, key="key-2")

        named, other = (msgspec.json.decode(asked.body) for asked in bench.stub.asked)
        assert named == {"reference": str(request.attempt_id), "amount": 694, "currency": "EUR", "customer": "customer-81"}
        assert other == {"reference": str(unnamed.attempt_id), "amount": 695, "currency": "EUR"}
        assert [asked.headers["idempotency-key"] for asked in bench.stub.asked] == ["key-1", "key-2"]

    async def test_the_code_goes_nowhere(self, bench: CreditBench, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        request = request_for(bench, "EUR", 694)
        said = [repr(await bench.rail.refund(request, key="key-1")), repr(await bench.rail.find(request))]
        for reply in (json(409, {"code": CODE}), json(422, {"code": CODE.lower(), "message": CODE}), json(200, {"code": CODE})):
            bench.stub.fail(Fault(method="POST", path=CARDS, instead=reply))
            with pytest.raises((Declined, OutcomeUnknown)) as failed:
                await bench.rail.refund(request, key="key-1")
            said += [str(failed.value), repr(failed.value.__cause__), repr(failed.value)]

        assert CODE in bench.stub.cards[str(request.attempt_id)]["code"]
        assert CODE.lower() not in "\n".join([*said, *caplog.messages]).lower()
        assert SECRET not in "\n".join([*said, *caplog.messages])

    @pytest.mark.parametrize("changed", [{"reference": "another"}, {"id": ""}, {"id": "a\nb"}, {"id": "x" * 101}, {"amount": "694"}])
    async def test_an_answer_about_something_else_is_unknown(self, bench: CreditBench, changed: dict[str, str]) -> None:
        request = request_for(bench, "EUR", 694)
        card = {"id": "gc_1", "reference": str(request.attempt_id), "amount": 694, "currency": "EUR"} | changed
        bench.stub.fail(Fault(method="POST", path=CARDS, instead=json(201, card)))

        with pytest.raises(OutcomeUnknown):
            await bench.rail.refund(request, key="key-1")

    async def test_a_card_of_another_amount_is_misuse_even_if_the_platform_gives_it(self, bench: CreditBench) -> None:
        request = request_for(bench, "EUR", 694)
        card = {"id": "gc_1", "reference": str(request.attempt_id), "amount": 694, "currency": "USD"}
        bench.stub.fail(Fault(method="POST", path=CARDS, instead=json(200, card)))

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request, key="key-1")

        assert refused.value.code == "idempotency_misuse"

    async def test_a_card_of_another_reference_is_not_found(self, bench: CreditBench) -> None:
        card = {"id": "gc_1", "reference": "another", "amount": 694, "currency": "EUR"}
        bench.stub.fail(Fault(method="GET", path=CARDS, instead=json(200, {"cards": [card]})))

        assert await bench.rail.find(request_for(bench, "EUR", 694)) is None

    @pytest.mark.parametrize(
        ("reply", "configuration"),
        [
            (json(200, {"cards": [{"id": "gc_1"}]}), False),
            (json(200, []), False),
            (json(500, {}), False),
            (json(422, {"code": "invalid"}), False),
            (json(401, {"code": "unauthorized"}), True),
            (json(404, {"code": "not_found"}), True),
        ],
    )
    async def test_what_cannot_be_read_is_not_guessed(self, bench: CreditBench, reply: Reply, configuration: bool) -> None:  # noqa: FBT001 - a parameter of the table
        bench.stub.fail(Fault(method="GET", path=CARDS, instead=reply))

        with pytest.raises(Unavailable) as unread:
            await bench.rail.find(request_for(bench, "EUR", 694))

        assert unread.value.configuration is configuration

    async def test_the_check_proves_the_secret(self, bench: CreditBench) -> None:
        assert await bench.rail.check() == "store credit: the platform answers"
        stranger = PlatformGiftCards(f"{bench.stub.base_url}/shop", "another secret")
        with pytest.raises(Unavailable) as refused:
            await stranger.check()
        await stranger.close()

        assert refused.value.configuration

    async def test_nobody_is_asked_about_payments_or_lists(self, bench: CreditBench) -> None:
        with pytest.raises(Declined) as payment:
            await bench.rail.payment("EUR", "EUR")
        with pytest.raises(Declined) as listed:
            bench.rail.listed(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))

        assert (payment.value.code, listed.value.code) == ("unsupported", "unsupported")


class Vouchers:
    """An issuer in memory: vouchers of ours fit the port as the platform's cards do."""

    def __init__(self) -> None:
        self.cards: dict[str, Card] = {}

    async def issue(self, reference: str, amount: Money, *, key: str, customer: str) -> Card:
        del key, customer
        card = self.cards.setdefault(reference, Card(id=f"v{len(self.cards)}", reference=reference, amount=amount))
        if card.amount != amount:
            raise Declined("idempotency_misuse")
        return card

    async def find(self, reference: str) -> Card | None:
        return self.cards.get(reference)

    async def check(self) -> str:
        return "here"


class VoucherBench(Ids):
    destination = "customer-81"

    def __init__(self, test: str) -> None:
        super().__init__(test)
        self.vouchers = Vouchers()
        self.rail = StoreCreditRail("store_credit", issuer=self.vouchers, currencies=frozenset({"EUR"}))

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        raise NotImplementedError

    async def disputed_charge(self, minor: int) -> str:
        raise NotImplementedError

    async def paid(self, payment_ref: str) -> int:
        raise NotImplementedError


async def test_an_issuer_may_have_some_currencies_only() -> None:
    bench = VoucherBench("some currencies")
    seen = await bench.rail.refund(request_for(bench, "EUR", 694), key="key-1")
    with pytest.raises(Declined) as refused:
        await bench.rail.refund(request_for(bench, "USD", 694, "USD"), key="key-2")

    assert (bench.rail.step("EUR"), bench.rail.step("USD"), refused.value.code) == (1, 0, "unsupported")
    assert [card.id for card in bench.vouchers.cards.values()] == [seen.provider_ref]


@pytest.mark.parametrize("url", ["http://shop.example.org", "ftp://127.0.0.1", "https://", "https://shop.example.org?x=1"])
def test_the_secret_goes_over_tls_or_nowhere(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        PlatformGiftCards(url, SECRET)
