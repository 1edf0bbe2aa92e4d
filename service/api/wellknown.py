"""`/.well-known/jwks.json`: the public keys with which a platform's edge checks our access tokens."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from service import tokens
from service.api.auth import open_to_anyone
from service.api.contract import examples
from service.signing import JWKS_SECONDS, SigningKeys

# A new key is published as `next` for twice as long before it signs, so an edge that keeps the set no longer never meets an unknown `kid`.
_KEPT: Final = f"public, max-age={JWKS_SECONDS}"


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """A JWK set; each key with the members that RFC 8037 gives it."""

    keys: tuple[dict[str, str], ...]


class WellKnown(Controller):
    tags = ("well-known",)

    @get(
        "/.well-known/jwks.json",
        media_type="application/jwk-set+json",
        responses={
            200: ResponseSpec(
                data_container=KeySet,
                generate_examples=False,
                media_type="application/jwk-set+json",
                description="The keys that sign now, will sign next, or signed tokens that still live",
            )
        },
        opt={
            **open_to_anyone("public keys are public"),
            **examples(answer={"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "…", "x": "…"}]}),
        },
    )
    async def jwks(self, signing_keys: NamedDependency[SigningKeys]) -> Response[bytes]:
        """The key set (RFC 7517)."""
        keys = tokens.jwks(await signing_keys.public())
        return Response(keys, media_type="application/jwk-set+json", headers={"Cache-Control": _KEPT})
