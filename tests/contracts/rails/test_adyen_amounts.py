"""Adyen's decimals and ISO's: nothing is ever rounded, and what goes there comes back the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.payments_adyen_amounts import from_adyen, step, to_adyen
from service.model import Money
from service.ports import Declined

DIFFERS = ("CLP", "CVE", "IDR", "ISK")
LIKE_ISO = ("EUR", "USD", "GBP", "JPY", "KRW", "DJF", "GNF", "KMF", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
NOT_THERE = ("BIF", "CLF", "UYI", "UYW")
CURRENCIES = (*DIFFERS, *LIKE_ISO, *THREE)


@given(st.integers(1, 10**12), st.sampled_from(CURRENCIES))
def test_every_multiple_of_the_step_can_be_sent_and_comes_back_the_same(steps: int, currency: str) -> None:
    amount = Money(minor=steps * step(currency), currency=currency)

    assert from_adyen(to_adyen(amount), currency) == amount


@given(st.integers(1, 10**12), st.sampled_from(CURRENCIES))
def test_what_is_no_multiple_of_the_step_is_refused_and_never_rounded(minor: int, currency: str) -> None:
    amount = Money(minor=minor, currency=currency)
    if minor % step(currency):
        with pytest.raises(Declined) as refused:
            to_adyen(amount)
        assert refused.value.code == "unsupported"
    else:
        assert from_adyen(to_adyen(amount), currency) == amount


@given(st.integers(1, 10**12), st.sampled_from(CURRENCIES))
def test_what_adyen_wrote_is_read_whole_or_not_at_all(value: int, currency: str) -> None:
    try:
        amount = from_adyen(value, currency)
    except ValueError:
        assert currency in {"CLP", "ISK"}
        assert value % 100
    else:
        assert to_adyen(amount) == value


@pytest.mark.parametrize(
    ("minor", "currency", "value"),
    [
        (1000, "EUR", 1000),
        (500, "JPY", 500),
        (5124, "KWD", 5124),
        (5, "ISK", 500),
        (5120, "CLP", 512000),
        (1500000, "IDR", 15000),
        (500, "CVE", 5),
        (5, "UGX", 5),
    ],
)
def test_amounts_are_written_as_adyen_reads_them(minor: int, currency: str, value: int) -> None:
    assert to_adyen(Money(minor=minor, currency=currency)) == value


@pytest.mark.parametrize("currency", NOT_THERE)
def test_a_currency_whose_decimals_nobody_told_is_not_guessed(currency: str) -> None:
    with pytest.raises(Declined) as refused:
        to_adyen(Money(minor=10_000, currency=currency))
    with pytest.raises(ValueError, match=currency):
        from_adyen(10_000, currency)

    assert (refused.value.code, step(currency)) == ("unsupported", 0)
