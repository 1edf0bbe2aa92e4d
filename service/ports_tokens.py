"""What tokens need from the outside: a platform's own, that prove who asks, and those that a video service's edge accepts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec


class TokenClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform's JWT proved."""

    subject: str
    issued_at: datetime
    expires_at: datetime
    email: str | None = None
    """only when the platform says `email_verified`"""
    second_factor: bool = False
    auth_time: datetime | None = None


class JwksSource(Protocol):
    async def fetch(self, url: str) -> bytes:
        """The JSON Web Key Set at that address. Raises Unavailable."""


class IdentityWeb(Protocol):
    """The way to identity providers. Addresses, codes and tokens stay out of its errors."""

    async def fetch(self, url: str) -> bytes:
        """A public document, also a key set. Raises Unavailable."""

    async def ask(self, url: str, token: str) -> bytes:
        """A document for the holder of the token. Raises Unavailable."""

    async def redeem(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None) -> tuple[int, bytes]:
        """Posts a form, with HTTP Basic where given; status and body below 500. Sent once: a code works once. Raises Unavailable."""


# ------------------------------------------------------------------------------------------------- edges


class PlaybackGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a token of a video service is to say. Times are aware and count in whole seconds. It does not print itself: it holds a key."""

    playback_id: str
    """what the service calls the stream"""
    key_id: str
    private_key: bytes
    """PEM"""
    not_before: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return "PlaybackGrant(...)"


class PlaybackSigner(Protocol):
    """Makes the tokens that one video service's edge accepts. Such an edge asks nobody: what is signed opens until it runs out."""

    def sign(self, grant: PlaybackGrant) -> str:
        """The token. Raises ValueError when the key is none of the kind that the service takes; the key is not in the message."""
