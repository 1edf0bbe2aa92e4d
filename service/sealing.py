"""Small secrets at rest: sealed, or hashed with a key, each use under a key of its own derived from the installation's secret."""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# 96 bits, the size GCM is specified for (NIST SP 800-38D, section 8.2).
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Unsealable(Exception):  # noqa: N818 - reads as the refusal it is
    """Sealed under another installation secret, for another place, or damaged."""


class Vault:
    """AES-256-GCM and HMAC-SHA-256 for one purpose: what another purpose sealed or hashed means nothing here (RFC 5869, section 3.2)."""

    def __init__(self, installation_secret: bytes, *, purpose: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=2 * _KEY_BYTES, salt=None, info=f"makegood/{purpose}/1".encode()).derive(
            installation_secret
        )
        self._cipher = AESGCM(derived[:_KEY_BYTES])
        self._hash_key = derived[_KEY_BYTES:]

    def seal(self, clear: bytes, *, place: bytes) -> bytes:
        """Nonce, ciphertext, tag: 28 bytes longer than what goes in. `place` (an id) is not kept; opening needs the same one."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, clear, place)

    def open(self, sealed: bytes, *, place: bytes) -> bytes:
        """Raises Unsealable."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise Unsealable from None

    def keyed_hash(self, *parts: bytes) -> bytes:
        """HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts read the same."""
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._hash_key, message, sha256)
