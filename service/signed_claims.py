"""What every token that somebody else signed has to hold up to: read with one library, refused in one list of words, timed by one clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeVar

import jwt
import msgspec

BadProofReason = Literal[
    "malformed", "wrong_algorithm", "unknown_key", "bad_signature", "missing_claim", "wrong_issuer", "wrong_audience", "expired",
    "not_yet_valid", "stale", "wrong_nonce",
]  # fmt: skip

# Clocks of two companies: NTP keeps them within a second, half a minute forgives a machine whose clock was not set for a while.
_LEEWAY_SECONDS: Final = 30
# OpenID Connect Core, section 2: a `sub` has at most 255 ASCII characters.
_SUBJECT_LENGTH_MAX: Final = 255

ENFORCE: Final[Any] = {"enforce_minimum_key_length": True}
"""for PyJWS.decode_complete"""

_Claims = TypeVar("_Claims")


class BadProof(Exception):  # noqa: N818 - reads as the refusal it is
    """The token proves nothing. `reason` is safe to log and to count; the token is not in it."""

    def __init__(self, reason: BadProofReason) -> None:
        super().__init__(reason)
        self.reason: BadProofReason = reason


@contextmanager
def verifying() -> Iterator[None]:
    """Around the reading of a header and a signature: whatever the library refuses is raised as BadProof."""
    try:
        yield
    except jwt.InvalidAlgorithmError:
        raise BadProof("wrong_algorithm") from None
    except jwt.InvalidSignatureError:
        raise BadProof("bad_signature") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadProof("malformed") from None


def read_claims(payload: bytes, kind: type[_Claims]) -> _Claims:
    """The claims of a verified payload. Raises BadProof."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError:
        raise BadProof("missing_claim") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadProof("malformed") from None


def check_subject_and_issuer(sub: str, iss: str, issuer: str) -> None:
    if not 0 < len(sub) <= _SUBJECT_LENGTH_MAX:
        raise BadProof("missing_claim")
    if iss != issuer:
        raise BadProof("wrong_issuer")


def check_times(now: float, *, exp: float, iat: float, begins: float, age_seconds_max: float) -> None:
    """Seconds since the epoch. `begins`: the latest of the moments before which it does not count."""
    if now >= exp + _LEEWAY_SECONDS:
        raise BadProof("expired")
    if max(iat, begins) > now + _LEEWAY_SECONDS:
        raise BadProof("not_yet_valid")
    if now > iat + age_seconds_max + _LEEWAY_SECONDS:
        raise BadProof("stale")
