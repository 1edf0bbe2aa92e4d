"""What a one-time code's letter needs to know, sealed until it is sent: the digits, and what was asked for. Always of one size."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from service.sealing import Vault

# Digits, an address of 254 characters and a reference of 100, with room for what JSON escapes.
_BYTES: Final = 1024


class CodeInside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """It does not print itself."""

    digits: str
    email: str = ""
    """as it was asked for, known or not; empty where it did not fit"""
    order_ref: str | None = None
    origin: str = ""
    """of the page that asked for it: `https://shop.example`"""

    def __repr__(self) -> str:
        return "CodeInside(...)"


def seal(vault: Vault, code: UUID, inside: CodeInside) -> bytes:
    """The same number of bytes whatever is inside, so that a row tells nothing."""
    written = msgspec.json.encode(inside)
    if len(written) > _BYTES:
        written = msgspec.json.encode(CodeInside(digits=inside.digits))
    return vault.seal(written.ljust(_BYTES), place=code.bytes)


def unseal(vault: Vault, code: UUID, sealed: bytes) -> CodeInside:
    """Raises Unsealable."""
    clear = vault.open(sealed, place=code.bytes)
    if clear.isdigit():  # by the release before, which sealed the digits alone
        return CodeInside(digits=clear.decode("ascii"))
    return msgspec.json.decode(clear, type=CodeInside)
