"""Signed tokens of Cloudflare Stream: what takes the place of the video's id in its URLs.

Source: Cloudflare, "Secure your Stream" (developers.cloudflare.com/stream/viewing-videos/securing-your-stream), read whole in the
repository cloudflare/cloudflare-docs: RS256; `kid` stands in the header and among the claims; `sub` is the video's uid; `exp` ("cannot be
greater than 24 hours in the future from when the token is signed") and `nbf` are Unix seconds; `downloadable` and up to 5 `accessRules` (by
country and address) are optional, and rules "are evaluated continuously". A token cannot be revoked: only its key can, and with it every
token of that key. The private key is handed out once, as base64 of a PEM.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import jwt

from service.ports_tokens import PlaybackGrant

_LIFETIME_MAX: Final = timedelta(hours=24)


class CloudflarePlayback:
    """`PlaybackSigner` for Cloudflare Stream. No `accessRules`: who may watch from where is not ours to know."""

    def sign(self, grant: PlaybackGrant) -> str:
        """Raises ValueError when the key is not an RSA key, and for a longer life than Cloudflare accepts."""
        if grant.expires_at - grant.not_before > _LIFETIME_MAX:
            raise ValueError("Cloudflare Stream takes no token that lives longer than 24 hours")
        claims: dict[str, Any] = {
            "sub": grant.playback_id,
            "kid": grant.key_id,
            "nbf": int(grant.not_before.timestamp()),
            "exp": int(grant.expires_at.timestamp()),
        }
        try:
            return jwt.encode(claims, grant.private_key, algorithm="RS256", headers={"kid": grant.key_id})
        except (jwt.PyJWTError, TypeError, ValueError):
            raise ValueError("the signing key for Cloudflare Stream is not an RSA key") from None
