"""A platform's JWT as proof of who is asking: checked against what the platform configured, and against nothing the token claims."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import jwt
import msgspec

from service.addresses import provable
from service.compact import take_apart
from service.key_sets import KeySets
from service.ports_tokens import JwksSource, TokenClaims
from service.signed_claims import ENFORCE, BadProof, check_subject_and_issuer, check_times, read_claims, verifying

PublicAlgorithm = Literal["RS256", "ES256", "EdDSA"]

# What an Authorization header may hold on common proxies; identity providers stay well below it.
_TOKEN_LENGTH_MAX: Final = 8192
# The length of SHA-256's output (RFC 7518, section 3.2: "A key of the same size as the hash output or larger MUST be used").
_SECRET_BYTES_MIN: Final = 32
# RFC 5321, section 4.5.3.1.3: a path of 256, two of them brackets.
_EMAIL_LENGTH_MAX: Final = 254
_KID_LENGTH_MAX: Final = 255

# RFC 8176, section 2: several factors, a one-time password, a hardware key, a text message.
_SECOND_FACTORS: Final = frozenset({"mfa", "otp", "hwk", "sms"})


class KeySetProof(msgspec.Struct, frozen=True, kw_only=True, tag="key_set"):
    """The platform signs with a private key and publishes the public one."""

    jwks_url: str
    algorithms: tuple[PublicAlgorithm, ...]

    def __post_init__(self) -> None:
        if not self.algorithms:
            raise ValueError("name at least one of RS256, ES256, EdDSA")


class SharedSecretProof(msgspec.Struct, frozen=True, kw_only=True, tag="shared_secret"):
    """The platform signs with HS256 and a secret that both know. It does not print itself."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < _SECRET_BYTES_MIN:
            raise ValueError(f"the secret for HS256 needs at least {_SECRET_BYTES_MIN} bytes")
        if b"-----BEGIN " in self.secret or self.secret.startswith((b"ssh-", b"ecdsa-")):
            raise ValueError("a published key is no secret: use its key set")

    def __repr__(self) -> str:
        return "SharedSecretProof(secret=...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("secret", "...")]


class PlatformProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform's tokens look like, as its settings say."""

    issuer: str
    audience: str
    keys: KeySetProof | SharedSecretProof
    max_age_seconds: int = 600
    """counted from `iat`: a token proves who asks now, not who was signed in this morning"""

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("issuer and audience are both needed: without them a token for somebody else would count")
        if not 0 < self.max_age_seconds <= 24 * 3600:
            raise ValueError("max_age_seconds is between 1 and 86400")


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str | tuple[str, ...]
    sub: str
    exp: float
    iat: float
    nbf: float | None = None
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
    email: Any = None
    email_verified: Any = None


class Verifier:
    """Verifies platforms' tokens. For one event loop; `monotonic` counts the seconds that key sets are kept."""

    def __init__(self, jwks: JwksSource, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._key_sets = KeySets(jwks, monotonic)
        self._jws = jwt.PyJWS()

    async def verify(self, token: str, config: PlatformProof, now: datetime) -> TokenClaims:
        """What the token proves. Raises BadProof, and Unavailable when the platform's keys cannot be had."""
        if len(token) > _TOKEN_LENGTH_MAX:
            raise BadProof("malformed")
        with verifying():
            take_apart(token)
            key, algorithms = await self._key(token, config)
            payload = self._jws.decode_complete(token, key, algorithms=algorithms, options=ENFORCE)["payload"]
        return _read_claims(payload, config, now)

    async def _key(self, token: str, config: PlatformProof) -> tuple[jwt.PyJWK | bytes, list[str]]:
        """The key to verify with and the algorithms that go with it, both of our choosing: the header only names one of the keys."""
        header = self._jws.get_unverified_header(token)
        if isinstance(config.keys, SharedSecretProof):
            return config.keys.secret, ["HS256"]
        if header.get("alg") not in config.keys.algorithms:
            raise BadProof("wrong_algorithm")
        kid = header.get("kid")
        if kid is not None and len(kid) > _KID_LENGTH_MAX:
            raise BadProof("malformed")
        key = await self._key_sets.find(config.keys.jwks_url, kid)
        if key is None:
            raise BadProof("unknown_key")
        return key, list(config.keys.algorithms)


def _read_claims(payload: bytes, config: PlatformProof, now: datetime) -> TokenClaims:
    claims = read_claims(payload, _Claims)
    check_subject_and_issuer(claims.sub, claims.iss, config.issuer)
    if config.audience not in ((claims.aud,) if isinstance(claims.aud, str) else claims.aud):
        raise BadProof("wrong_audience")
    # A sign-in that lies ahead would stay fresh until then.
    begins = max(claims.nbf or 0, claims.auth_time or 0)
    check_times(now.timestamp(), exp=claims.exp, iat=claims.iat, begins=begins, age_seconds_max=config.max_age_seconds)
    return TokenClaims(
        subject=claims.sub,
        issued_at=_instant(claims.iat),
        expires_at=_instant(claims.exp),
        email=_email(claims),
        second_factor=not _SECOND_FACTORS.isdisjoint(claims.amr),
        auth_time=None if claims.auth_time is None else _instant(claims.auth_time),
    )


def _email(claims: _Claims) -> str | None:
    """Only `true` itself counts as verified: some providers send the text "false". An address that may be read as another is none."""
    if claims.email_verified is not True or not isinstance(claims.email, str):
        return None
    return claims.email if 0 < len(claims.email) <= _EMAIL_LENGTH_MAX and provable(claims.email) else None


def _instant(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise BadProof("malformed") from None
