"""An ID token as proof of who signed in at an identity provider: checked against what we asked (OpenID Connect Core 1.0, 3.1.3.7)."""

from __future__ import annotations

import hmac
from typing import Any, Final

import jwt
import msgspec

from service.compact import take_apart
from service.key_sets import KeySets
from service.signed_claims import ENFORCE, BadProof, check_subject_and_issuer, check_times, read_claims, verifying

# Asymmetric, one for each kind of key (service.key_sets): a shared secret would let whoever reads it sign anybody in.
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
_LENGTH_MAX: Final = 16_384
# It was made for the code that we redeemed just now; the sign-in itself may take ten minutes, the token's making does not.
_AGE_SECONDS_MAX: Final = 600


class IdClaims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iat: float
    nbf: float | None = None
    nonce: str = ""
    azp: str | None = None
    email: Any = None
    email_verified: Any = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    issuer: str
    client_id: str
    nonce: str
    jwks_uri: str


async def verify(token: str, expected: Expected, keys: KeySets, now: float) -> IdClaims:
    """What it proves. `now`: seconds since the epoch. Raises BadProof, and Unavailable when the provider's keys cannot be had."""
    if len(token) > _LENGTH_MAX:
        raise BadProof("malformed")
    jws = jwt.PyJWS()
    with verifying():
        take_apart(token)
        header = jws.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") not in ALGORITHMS:
            raise BadProof("wrong_algorithm")
        key = await keys.find(expected.jwks_uri, kid)
        if key is None:
            raise BadProof("unknown_key")
        payload = jws.decode_complete(token, key, algorithms=list(ALGORITHMS), options=ENFORCE)["payload"]
    return _read(payload, expected, now)


def _read(payload: bytes, expected: Expected, now: float) -> IdClaims:
    claims = read_claims(payload, IdClaims)
    check_subject_and_issuer(claims.sub, claims.iss, expected.issuer)
    audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    # One that is for others too was asked for by one of them: by us, or it is not for us.
    if expected.client_id not in audience or claims.azp not in ((expected.client_id,) if len(audience) > 1 else (None, expected.client_id)):
        raise BadProof("wrong_audience")
    if not hmac.compare_digest(claims.nonce.encode(), expected.nonce.encode()):
        raise BadProof("wrong_nonce")
    check_times(now, exp=claims.exp, iat=claims.iat, begins=claims.nbf or 0, age_seconds_max=_AGE_SECONDS_MAX)
    return claims
