"""Tokens for video services whose edges know only their own: short-lived ones, made for whoever holds a working token of ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from service.platforms import EdgeProfile, Platforms
from service.ports_tokens import PlaybackGrant, PlaybackSigner

# Clocks of two companies: NTP keeps them within a second, and a token refused as too early looks like a broken stream.
_NOT_BEFORE_MARGIN: Final = timedelta(seconds=30)


class Playback(msgspec.Struct, frozen=True, kw_only=True):
    """What a player hands to the video service. The player asks for the next one a minute before this one runs out."""

    profile: EdgeProfile
    playback_id: str
    token: str
    expires_at: datetime


class Edges:
    """Makes them as each platform's settings say."""

    def __init__(self, platforms: Platforms, signers: Mapping[str, PlaybackSigner]) -> None:
        self._platforms = platforms
        self._signers = signers

    async def playback(self, platform: UUID, playback_id: str, *, now: datetime, until: datetime) -> Playback | None:
        """None: the platform's edge takes our own tokens, or the key there does not open or sign.

        Nobody can revoke such a token, so it lives for minutes and never longer than the one of ours that it is made for.
        """
        found = await self._platforms.by_id(platform)
        key = found.edge_key if found is not None else None
        signer = self._signers.get(key.profile) if key is not None else None
        if found is None or key is None or signer is None:
            return None
        expires_at = min(now + timedelta(seconds=found.settings.edge.token_seconds), until)
        grant = PlaybackGrant(
            playback_id=playback_id,
            key_id=key.key_id,
            private_key=key.private_key,
            not_before=now - _NOT_BEFORE_MARGIN,
            expires_at=expires_at,
        )
        try:
            token = signer.sign(grant)
        except ValueError:
            return None
        return Playback(profile=key.profile, playback_id=playback_id, token=token, expires_at=expires_at.replace(microsecond=0))
