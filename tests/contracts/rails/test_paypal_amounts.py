"""PayPal's decimals and ISO's: nothing is ever rounded, and what goes there comes back the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.payouts_paypal_amounts import from_paypal, step, to_paypal
from service.model import Money, exponent
from service.ports import Declined

PAID = "AUD CAD CHF CZK DKK EUR GBP HKD HUF ILS JPY MXN NOK NZD PHP PLN SEK SGD THB TWD USD".split()  # noqa: SIM905 - reads as the list does
NOT_PAID = "BRL CNY MYR RUB INR ISK KWD BHD TRY ZAR KRW XXX eur".split()  # noqa: SIM905 - as above


@given(st.integers(1, 10**12), st.sampled_from(PAID))
def test_what_can_be_sent_is_the_same_number_and_comes_back_the_same(minor: int, currency: str) -> None:
    amount = Money(minor=minor, currency=currency)
    try:
        sent = to_paypal(amount)
    except Declined:
        assert minor % step(currency)
    else:
        assert Decimal(sent) == Decimal(minor).scaleb(-exponent(currency))
        assert from_paypal(sent, currency) == amount


@given(st.integers(1, 10**10), st.sampled_from(PAID))
def test_every_multiple_of_the_step_can_be_paid_and_has_only_decimals_that_paypal_takes(times: int, currency: str) -> None:
    sent = to_paypal(Money(minor=times * step(currency), currency=currency))

    assert len(sent.partition(".")[2]) == (0 if currency in {"HUF", "JPY", "TWD"} else 2)


@given(st.text(max_size=20), st.sampled_from([*PAID, "KWD"]))
def test_what_is_written_is_read_whole_or_not_at_all(value: str, currency: str) -> None:
    try:
        amount = from_paypal(value, currency)
    except ValueError:
        return
    assert Decimal(value) == Decimal(amount.minor).scaleb(-exponent(currency))


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [("10", "EUR", 1000), ("6.5", "EUR", 650), ("0.01", "EUR", 1), ("6.940", "EUR", 694), ("500", "JPY", 500), ("1200", "HUF", 120_000)],
)
def test_amounts_are_read_as_paypal_writes_them(value: str, currency: str, minor: int) -> None:
    assert from_paypal(value, currency) == Money(minor=minor, currency=currency)


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        ("-1", "EUR"),
        ("1e3", "EUR"),
        ("1,00", "EUR"),
        ("1.", "EUR"),
        (".5", "EUR"),
        ("1.001", "EUR"),
        ("1.5", "JPY"),
        ("1\n", "EUR"),
        ("٣", "EUR"),
    ],
)
def test_an_amount_written_otherwise_is_not_guessed(value: str, currency: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        from_paypal(value, currency)


@pytest.mark.parametrize("currency", NOT_PAID)
def test_a_currency_that_paypal_does_not_pay_has_no_step_and_is_refused(currency: str) -> None:
    assert step(currency) == 0
    with pytest.raises(Declined) as refused:
        to_paypal(Money(minor=1000, currency=currency))
    assert refused.value.code == "unsupported"


@pytest.mark.parametrize(("minor", "currency"), [(150, "HUF"), (99, "TWD"), (0, "EUR"), (-5, "EUR")])
def test_what_paypal_cannot_express_is_refused_and_never_rounded(minor: int, currency: str) -> None:
    with pytest.raises(Declined) as refused:
        to_paypal(Money(minor=minor, currency=currency))
    assert refused.value.code == "unsupported"


def test_steps_are_iso_minor_units() -> None:
    assert (step("EUR"), step("JPY"), step("HUF"), step("TWD")) == (1, 1, 100, 100)
