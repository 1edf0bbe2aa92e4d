"""Between ISO minor units and the integers Adyen writes: its own table of decimals, for it differs from ISO 4217."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.model import Money, exponent
from service.ports import Declined

# Adyen, "Currency codes and minor units", decimals 0. CVE and IDR have two in ISO 4217: the page says that its table is leading.
_NO_DECIMALS: Final = ("CVE", "DJF", "GNF", "IDR", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")

# The same page, decimals 3.
_THREE_DECIMALS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")

# ISO 4217 gives these other than two decimals and Adyen's table does not name them: guessing would move a wrong amount.
_UNKNOWN_TO_ADYEN: Final = frozenset({"BIF", "CLF", "UYI", "UYW"})

# Everything else has two, CLP and ISK too, which have none in ISO 4217.
_EXPONENTS: Final[Mapping[str, int]] = {**dict.fromkeys(_NO_DECIMALS, 0), **dict.fromkeys(_THREE_DECIMALS, 3)}


def to_adyen(amount: Money) -> int:
    """The integer to send. Raises Declined("unsupported") for what Adyen cannot express: never rounds, for that is the policy's word."""
    if not step(amount.currency):
        raise Declined("unsupported", f"currency {amount.currency}")
    sent = _rescaled(amount.minor, exponent(amount.currency), adyen_exponent(amount.currency))
    if sent is None:
        raise Declined("unsupported", f"{amount.minor} {amount.currency} is finer than Adyen can pay")
    return sent


def from_adyen(value: int, currency: str) -> Money:
    """What an integer of Adyen's means. Raises ValueError when it is no whole number of ISO minor units."""
    minor = _rescaled(value, adyen_exponent(currency), exponent(currency))
    if minor is None or not step(currency):
        raise ValueError(f"{value} {currency} is no whole number of minor units")
    return Money(minor=minor, currency=currency)


def adyen_exponent(currency: str) -> int:
    """Decimals of a currency as Adyen writes it; two unless its table says otherwise."""
    return _EXPONENTS.get(currency, 2)


def step(currency: str) -> int:
    """The smallest amount Adyen can express, in ISO minor units: 1 cent of a euro, 100 of a rupiah. 0 for what it does not know."""
    if currency in _UNKNOWN_TO_ADYEN:
        return 0
    return int(10 ** max(0, exponent(currency) - adyen_exponent(currency)))


def _rescaled(value: int, decimals: int, wanted: int) -> int | None:
    if wanted >= decimals:
        return int(value * 10 ** (wanted - decimals))
    whole, rest = divmod(value, 10 ** (decimals - wanted))
    return None if rest else int(whole)
