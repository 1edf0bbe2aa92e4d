"""Between ISO minor units and the integers Stripe writes: its own table of decimals, for it differs from ISO 4217."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.model import Money, exponent
from service.ports import Declined

# Stripe, "Supported currencies", section "Zero-decimal currencies". MGA has two decimals in ISO 4217 and none here.
_ZERO_DECIMAL: Final = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")

# The same page, "Three-decimal currencies": the last digit has to be 0 (card networks carry two).
_THREE_DECIMAL: Final = ("BHD", "JOD", "KWD", "OMR", "TND")

# The same page, "Special cases": whole units only, yet written with two zeros for backward compatibility. HUF and TWD, also
# named there, are special for pay-outs alone: charges and refunds of both have two decimals, as in ISO 4217.
_WHOLE_UNITS_WRITTEN_WITH_TWO_ZEROS: Final = ("ISK", "UGX")

# ISO 4217 gives these other than two decimals and Stripe does not take them at all: guessing would move a wrong amount.
_UNKNOWN_TO_STRIPE: Final = frozenset({"IQD", "LYD", "CLF", "UYW", "UYI"})

_EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_ZERO_DECIMAL, 0),
    **dict.fromkeys(_THREE_DECIMAL, 3),
    **dict.fromkeys(_WHOLE_UNITS_WRITTEN_WITH_TWO_ZEROS, 2),
}


def to_stripe(amount: Money) -> int:
    """The integer to send. Raises Declined("unsupported") for what Stripe cannot express: never rounds, for that is the policy's word."""
    if amount.currency in _UNKNOWN_TO_STRIPE:
        raise Declined("unsupported", f"currency {amount.currency}")
    sent = _rescaled(amount.minor, exponent(amount.currency), stripe_exponent(amount.currency))
    if sent is None or (amount.currency in _THREE_DECIMAL and sent % 10):
        raise Declined("unsupported", f"{amount.minor} {amount.currency} is finer than Stripe can pay")
    return sent


def from_stripe(sent: int, currency: str) -> Money:
    """What an integer of Stripe's means; `currency` in either case. Raises ValueError when it is no whole number of ISO minor units."""
    code = currency.upper()
    minor = _rescaled(sent, stripe_exponent(code), exponent(code))
    if minor is None:
        raise ValueError(f"{sent} {code} is no whole number of minor units")
    return Money(minor=minor, currency=code)


def stripe_exponent(currency: str) -> int:
    """Decimals of a currency as Stripe writes it; two unless its tables say otherwise."""
    return _EXPONENTS.get(currency, 2)


def _rescaled(value: int, decimals: int, wanted: int) -> int | None:
    if wanted >= decimals:
        return int(value * 10 ** (wanted - decimals))
    whole, rest = divmod(value, 10 ** (decimals - wanted))
    return None if rest else int(whole)


def step(currency: str) -> int:
    """The smallest amount Stripe can express, in ISO minor units: 10 fils of a dinar, 1 cent of a euro, 100 of a Malagasy ariary."""
    ours, theirs = exponent(currency), stripe_exponent(currency)
    if currency in _THREE_DECIMAL:
        return 10
    if currency in _WHOLE_UNITS_WRITTEN_WITH_TWO_ZEROS:
        theirs = 0
    return int(10 ** max(0, ours - theirs))
