"""The request headers that several routes share, each read into one small value: Idempotency-Key, Prefer, Makegood-Platform."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final

import msgspec
from litestar import Request

from service.api import auth, problems
from service.store.idempotency import IdempotencyKey, IdempotencyStore, KeyReused

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"

# Visible ASCII; 255 is what Stripe and most clients' libraries keep to.
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

# A customer who watches a spinner: most of what we do is done in one or two seconds.
WAIT_SECONDS_DEFAULT: Final = 10.0
# Proxies commonly cut a silent request after 30 s.
WAIT_SECONDS_MAX: Final = 25.0

# `wait=N` of RFC 7240, section 4.3: a preference among others, quoted or not.
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE | re.ASCII)

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """How long the client is glad to wait for the outcome; after that it gets 202 and the resource as it is."""

    seconds_max: float


async def idempotency_key(request: Request[Any, Any, Any]) -> IdempotencyKey:
    """The dependency `idempotency` of every POST that creates. Raises Problem 400 when the header is missing or out of shape."""
    text = request.headers.get(IDEMPOTENCY_HEADER.lower(), "")
    if not _KEY.fullmatch(text):
        raise problems.invalid(IDEMPOTENCY_HEADER, "is required: 1 to 255 visible ASCII characters, new for each thing you want done")
    caller = auth.caller_of(request)
    return IdempotencyKey(
        platform_id=caller.platform_id,
        caller=caller.key,
        method=request.method,
        path=request.scope["path"],
        key=text,
        body_hash=sha256(await request.body()).digest(),
    )


@asynccontextmanager
async def repeatable(repeats: IdempotencyStore, key: IdempotencyKey) -> AsyncIterator[None]:
    """Around what a POST does. What refuses a repeat, because the first request has changed how things stand, is no refusal.

    Whoever comes after it shows the resource as it is now. Raises KeyReused.
    """
    try:
        yield
    except Exception:
        if not await repeats.is_repeat(key):
            raise


def _key_reused(_: KeyReused) -> problems.Problem:
    """IETF draft on the Idempotency-Key header, section 2.6."""
    return problems.Problem(
        status=422,
        code="idempotency_key_reused",
        title="This Idempotency-Key was used for another request",
        detail="Send the same body again, or a new key for a new request.",
        errors=[problems.FieldError(field=IDEMPOTENCY_HEADER, message="was used with another body")],
    )


FAILURES: Final[problems.Failures] = {KeyReused: _key_reused}
"""how the exceptions of `service.store.idempotency` read on the wire"""


def wait(request: Request[Any, Any, Any]) -> Wait:
    """The dependency `wait`. A preference we do not understand is no error (RFC 7240, section 2)."""
    asked = _WAIT.search(",".join(request.headers.getall("prefer", [])))
    seconds = float(asked[1]) if asked else WAIT_SECONDS_DEFAULT
    return Wait(seconds_max=min(seconds, WAIT_SECONDS_MAX))


def platform_slug(request: Request[Any, Any, Any]) -> str:
    """The dependency `platform_slug`, for routes without a caller. Raises Problem 400."""
    text = request.headers.get(auth.PLATFORM_HEADER.lower(), "")
    if not _SLUG.fullmatch(text):
        raise problems.invalid(auth.PLATFORM_HEADER, "is required: the platform's short name")
    return text
