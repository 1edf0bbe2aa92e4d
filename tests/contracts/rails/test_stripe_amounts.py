"""Stripe's decimals and ISO's: nothing is ever rounded, and what goes there comes back the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.payments_stripe_amounts import from_stripe, to_stripe
from service.model import Money
from service.ports import Declined

WITHOUT_DECIMALS = ("JPY", "KRW", "CLP", "VND", "XAF", "XOF", "XPF", "PYG", "RWF", "DJF", "GNF", "KMF", "BIF", "VUV", "ISK", "UGX")
WITH_THREE_OR_FOUR = ("BHD", "JOD", "KWD", "OMR", "TND", "IQD", "LYD", "CLF", "UYW")
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "HUF", "TWD", "SEK", "MGA", *WITHOUT_DECIMALS, *WITH_THREE_OR_FOUR)

amounts = st.builds(lambda minor, currency: Money(minor=minor, currency=currency), st.integers(1, 10**12), st.sampled_from(CURRENCIES))


@given(amounts)
def test_what_can_be_sent_comes_back_the_same(amount: Money) -> None:
    try:
        sent = to_stripe(amount)
    except Declined:
        assert amount.currency in {"MGA", *WITH_THREE_OR_FOUR}
    else:
        assert from_stripe(sent, amount.currency.lower()) == amount


@given(st.integers(1, 10**12), st.sampled_from(CURRENCIES))
def test_what_stripe_wrote_is_read_whole_or_not_at_all(sent: int, currency: str) -> None:
    try:
        amount = from_stripe(sent, currency)
    except ValueError:
        return
    if currency not in WITH_THREE_OR_FOUR:
        assert to_stripe(amount) == sent


@pytest.mark.parametrize(
    ("minor", "currency", "sent"),
    [
        (1000, "USD", 1000),
        (500, "JPY", 500),
        (5120, "KWD", 5120),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (500, "MGA", 5),
        (1045, "HUF", 1045),
        (80045, "TWD", 80045),
    ],
)
def test_amounts_are_written_as_stripe_reads_them(minor: int, currency: str, sent: int) -> None:
    assert to_stripe(Money(minor=minor, currency=currency)) == sent


@pytest.mark.parametrize(("minor", "currency"), [(5124, "KWD"), (501, "MGA"), (1000, "IQD"), (1000, "LYD"), (1, "BHD")])
def test_what_stripe_cannot_express_is_refused_and_never_rounded(minor: int, currency: str) -> None:
    with pytest.raises(Declined) as refused:
        to_stripe(Money(minor=minor, currency=currency))

    assert refused.value.code == "unsupported"
