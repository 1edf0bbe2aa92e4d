"""Access tokens, minted and read: EdDSA JWTs made with keys that rest sealed, and the public key set that edges check them with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.compact import segment, take_apart
from service.model import WireId, unwire, wire

PublicKeys = Mapping[str, Ed25519PublicKey]
"""verification keys by `kid`: today's and those whose tokens have not all run out"""

BadTokenReason = Literal["malformed", "unknown_key", "bad_signature", "expired", "not_yet_valid", "wrong_audience"]

# A token of ours is 450 to 700 characters; it travels in a URL, where 2,000 is what every client carries.
_TOKEN_LENGTH_MAX: Final = 2000

# `nbf` is the whole second of minting, and two machines under NTP differ by far less than this; it only keeps a token from being
# refused in the second it was made. Expiry has no such margin.
_NOT_BEFORE_LEEWAY_SECONDS: Final = 5

# What HKDF's `info` is for (RFC 5869, section 3.2): another use of the installation secret derives another key.
_SEAL_PURPOSE: Final = b"makegood/signing-key/1"
_SEAL_VERSION: Final = b"\x01"
# 96 bits, the size GCM is specified for (NIST SP 800-38D, section 8.2); random is safe far beyond the number of keys ever sealed.
_NONCE_BYTES: Final = 12
# As many as the AES key that is derived from it, so that the secret is not the weaker of the two.
_SECRET_BYTES_MIN: Final = 32


class BadToken(Exception):  # noqa: N818 - reads as the refusal it is
    """The token opens nothing. `reason` is safe to log and to count; the token is not in it."""

    def __init__(self, reason: BadTokenReason) -> None:
        super().__init__(reason)
        self.reason: BadTokenReason = reason


class Unsealable(Exception):  # noqa: N818 - reads as the refusal it is
    """A sealed key does not open: another installation secret, another `kid`, or damaged bytes."""


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token says. Times are aware and count in whole seconds (NumericDate, RFC 7519): a fraction is cut off."""

    issuer: str
    audience: str
    """the platform's slug, or the audience its edge asks for"""
    pass_id: UUID
    token_id: UUID
    """`jti`: what a revocation names"""
    show: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A private key and its name. `kid` is the RFC 7638 thumbprint of the public half, so it can belong to no other key."""

    kid: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing else stands in a header of ours: extensions, and keys that a token brings along, are refused unread."""

    alg: Literal["EdDSA"]
    kid: str
    typ: Literal["JWT"] = "JWT"


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str
    sub: str
    jti: UUID
    show: str
    iat: int
    nbf: int
    exp: int


_Part = TypeVar("_Part", _Header, _Payload)


def generate() -> SigningKey:
    return named(Ed25519PrivateKey.generate())


def named(private: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(kid=_thumbprint(private.public_key()), private=private)


def mint(key: SigningKey, claims: AccessClaims) -> str:
    """The claims as a signed compact JWT (RFC 7519, RFC 8037). Raises ValueError when they do not fit into a token."""
    payload = _Payload(
        iss=claims.issuer,
        aud=claims.audience,
        sub=wire(WireId.PASS, claims.pass_id),
        jti=claims.token_id,
        show=claims.show,
        iat=int(claims.issued_at.timestamp()),
        nbf=int(claims.not_before.timestamp()),
        exp=int(claims.expires_at.timestamp()),
    )
    signed = segment(msgspec.json.encode(_Header(alg="EdDSA", kid=key.kid))) + b"." + segment(msgspec.json.encode(payload))
    token = signed + b"." + segment(key.private.sign(signed))
    if len(token) > _TOKEN_LENGTH_MAX:
        raise ValueError(f"an access token of {len(token)} characters would be longer than {_TOKEN_LENGTH_MAX}")
    return token.decode("ascii")


def read(token: str, keys: PublicKeys, audience: str, now: datetime) -> AccessClaims:
    """What the token says, when it is ours, whole, for this audience and not run out. Raises BadToken.

    The algorithm is EdDSA because our keys are; the header's own `alg` is only compared with that (RFC 8725, section 3.1). Whether the
    token was revoked or suspended is not its own to say: the caller asks by `token_id`. It is refused from `expires_at` on.
    """
    if len(token) > _TOKEN_LENGTH_MAX:
        raise BadToken("malformed")
    try:
        parts = take_apart(token)
    except ValueError:
        raise BadToken("malformed") from None
    key = keys.get(_decode(parts.header, _Header).kid)
    if key is None:
        raise BadToken("unknown_key")
    try:
        key.verify(parts.signature, parts.signed)
    except InvalidSignature:
        raise BadToken("bad_signature") from None
    claims = _claims(_decode(parts.payload, _Payload))
    if claims.audience != audience:
        raise BadToken("wrong_audience")
    if now >= claims.expires_at:
        raise BadToken("expired")
    if now.timestamp() + _NOT_BEFORE_LEEWAY_SECONDS < claims.not_before.timestamp():
        raise BadToken("not_yet_valid")
    return claims


def public_keys(keys: Iterable[SigningKey]) -> PublicKeys:
    return {key.kid: key.public for key in keys}


def jwk(kid: str, public: Ed25519PublicKey) -> dict[str, str]:
    """The public key as RFC 8037 writes it (an octet key pair)."""
    x = segment(public.public_bytes_raw()).decode("ascii")
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}


def jwks(keys: PublicKeys) -> bytes:
    """The key set (RFC 7517) for `/.well-known/jwks.json`, ordered by `kid` so that the same keys are the same bytes."""
    return msgspec.json.encode({"keys": [jwk(kid, keys[kid]) for kid in sorted(keys)]})


class Sealer:
    """Seals private keys for storage: AES-256-GCM under a key that HKDF-SHA256 derives from the installation secret, bound to the `kid`."""

    def __init__(self, installation_secret: bytes) -> None:
        """Raises ValueError when the secret is shorter than 32 bytes: a passphrase is no secret."""
        if len(installation_secret) < _SECRET_BYTES_MIN:
            raise ValueError(f"the installation secret needs at least {_SECRET_BYTES_MIN} bytes")
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_SEAL_PURPOSE).derive(installation_secret)
        self._cipher = AESGCM(derived)

    def seal(self, key: SigningKey) -> bytes:
        """Version byte, nonce, ciphertext with tag. Sealing twice gives different bytes."""
        nonce = os.urandom(_NONCE_BYTES)
        return _SEAL_VERSION + nonce + self._cipher.encrypt(nonce, key.private.private_bytes_raw(), key.kid.encode())

    def open(self, kid: str, sealed: bytes) -> SigningKey:
        """The key again. Raises Unsealable."""
        body = sealed.removeprefix(_SEAL_VERSION)
        if len(body) == len(sealed):
            raise Unsealable("sealed by another version")
        try:
            raw = self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], kid.encode())
        except (InvalidTag, ValueError):
            raise Unsealable("sealed under another secret or for another key") from None
        return SigningKey(kid=kid, private=Ed25519PrivateKey.from_private_bytes(raw))


def _thumbprint(public: Ed25519PublicKey) -> str:
    """RFC 7638: the required members only, in this order, without spaces (section 3.2; for OKP, RFC 8037, section 2)."""
    x = segment(public.public_bytes_raw())
    return segment(sha256(b'{"crv":"Ed25519","kty":"OKP","x":"' + x + b'"}').digest()).decode("ascii")


def _claims(payload: _Payload) -> AccessClaims:
    pass_id = unwire(WireId.PASS, payload.sub)
    if pass_id is None or min(payload.iat, payload.nbf, payload.exp) < 0:
        raise BadToken("malformed")
    try:
        issued_at, not_before, expires_at = (datetime.fromtimestamp(t, UTC) for t in (payload.iat, payload.nbf, payload.exp))
    except (OverflowError, ValueError, OSError):
        raise BadToken("malformed") from None
    return AccessClaims(
        issuer=payload.iss,
        audience=payload.aud,
        pass_id=pass_id,
        token_id=payload.jti,
        show=payload.show,
        issued_at=issued_at,
        not_before=not_before,
        expires_at=expires_at,
    )


def _decode(part: bytes, kind: type[_Part]) -> _Part:
    try:
        return msgspec.json.decode(part, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):  # the second for a string that is not UTF-8
        raise BadToken("malformed") from None
