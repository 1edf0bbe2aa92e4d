"""When two mail addresses are one, and which of them can prove anything."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import Final
from unicodedata import normalize

# Not str.lower(), nor SQL's: U+212A (the kelvin sign) would become k, and somebody else's mailbox the customer's.
_ASCII_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def folded(address: str) -> str:
    """The address with A-Z in lower case and all else as it is: addresses that are the same folded are the same. SQL: `address_folded`."""
    return address.translate(_ASCII_LOWER)


def provable(address: str) -> bool:
    """Whether a code or a token may be for that address at all: not where a mail system or a database could read another one in it.

    So neither with letters that have a plainer form (full-width ones, the kelvin sign; Unicode's NFKC), nor with capitals beyond A-Z.
    """
    return folded(address) == address.lower() and normalize("NFKC", address) == address
