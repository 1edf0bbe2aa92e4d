"""Between ISO minor units and the decimal strings PayPal writes: its own table of currencies, for it pays fewer and cuts some short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from service.model import Money, exponent
from service.ports import Declined

# PayPal, "Currency codes", note 1: no decimals, and a decimal amount is an error. HUF and TWD have two in ISO 4217.
_ZERO_DECIMAL: Final = ("HUF", "JPY", "TWD")

# The same page. Left out although named there: BRL, CNY and MYR, which move between accounts of one country only, and RUB, which
# PayPal stopped paying in 2022. Whoever is owed those is not offered PayPal at all.
_TWO_DECIMALS: Final = (
    "AUD", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD",
)  # fmt: skip

_EXPONENTS: Final[Mapping[str, int]] = {**dict.fromkeys(_ZERO_DECIMAL, 0), **dict.fromkeys(_TWO_DECIMALS, 2)}

# PayPal also writes `10` and `6.5`; thirteen digits hold the largest amount of our feed.
_WRITTEN: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,3}))?\Z", re.ASCII)


def step(currency: str) -> int:
    """The smallest amount PayPal can pay, in ISO minor units: 1 cent of a euro, 1 yen, 100 of a forint. 0: PayPal does not pay it."""
    decimals = _EXPONENTS.get(currency)
    return 0 if decimals is None else 10 ** (exponent(currency) - decimals)


def to_paypal(amount: Money) -> str:
    """The value to send. Raises Declined("unsupported") for what PayPal cannot pay; never rounds, for that is the policy's word."""
    least = step(amount.currency)
    if not least:
        raise Declined("unsupported", f"currency {amount.currency}")
    if amount.minor <= 0 or amount.minor % least:
        raise Declined("unsupported", f"{amount.minor} {amount.currency} is no amount that PayPal can pay")
    decimals = _EXPONENTS[amount.currency]
    whole, rest = divmod(amount.minor // least, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)


def from_paypal(value: str, currency: str) -> Money:
    """What a value of PayPal's means. Raises ValueError when it is no whole number of ISO minor units, for any currency of ISO 4217."""
    written = _WRITTEN.match(value)
    if written is None:
        raise ValueError("not an amount")
    decimals = exponent(currency)
    fraction = (written[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise ValueError(f"an amount finer than {currency} has")
    return Money(minor=int(written[1] + fraction.ljust(decimals, "0")), currency=currency)
