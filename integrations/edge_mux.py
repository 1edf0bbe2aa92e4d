"""Tokens of Mux's signed playback: what its edge at stream.mux.com accepts as `?token=`.

Sources: Mux, "Secure video playback" and "Signing JWTs" (mux.com/docs/guides/secure-video-playback, .../signing-jwts), "URL signing keys"
(mux.com/docs/api-reference/video/url-signing-keys), and Mux's own signer, `src/resources/jwt.ts` of muxinc/mux-node-sdk. They say: RS256;
`kid` in the header is the signing key's id; `sub` is the playback id, which needs a `signed` policy; `aud` is "v" for video (thumbnails
and others have letters of their own); `exp` in Unix seconds; the signer writes no `iat`. The private key is handed out once, as base64 of
a PEM. A player is to be given a fresh token before the one it has runs out. Of the guides only the beginnings could be read: the claims
are the signer's, and no greatest lifetime was seen (the signer's default is seven days; ours are minutes, as Mux asks nobody about
revocations).
"""

from __future__ import annotations

from typing import Any, Final

import jwt

from service.ports_tokens import PlaybackGrant

_VIDEO: Final = "v"


class MuxPlayback:
    """`PlaybackSigner` for Mux."""

    def sign(self, grant: PlaybackGrant) -> str:
        """Works at once: Mux names no `nbf`. Raises ValueError when the key is not an RSA key."""
        claims: dict[str, Any] = {"sub": grant.playback_id, "aud": _VIDEO, "exp": int(grant.expires_at.timestamp())}
        try:
            return jwt.encode(claims, grant.private_key, algorithm="RS256", headers={"kid": grant.key_id})
        except (jwt.PyJWTError, TypeError, ValueError):
            raise ValueError("the signing key for Mux is not an RSA key") from None
