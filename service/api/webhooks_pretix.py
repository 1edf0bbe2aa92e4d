"""Where a platform's own system tells that an order has changed: `/webhooks/<kind>/<platform>/<token>`, for the kinds `pretix` and `http`.

The token is the platform's `webhook_token`. pretix does not sign what it sends (https://docs.pretix.eu/dev/api/webhooks.html), and others
need not. So the address is the secret, and the body is believed in nothing but which order to read afresh.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta

from service.api import problems
from service.api.auth import open_to_anyone
from service.feed import Ref
from service.platforms import Platform, Platforms, SourceSettings
from service.syncing import Syncing

# Five short texts and a number.
_BODY_BYTES_MAX: Final = 16 * 1024
_NO_TOKEN: Final = "-" * 24


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """`notification_id` and `action` are not read: whatever happened to the order, it is read afresh."""

    organizer: str
    event: str
    code: Annotated[str, Meta(pattern=r"^[A-Z0-9]{3,16}$(?!\n)")]


class _Hint(msgspec.Struct, frozen=True, kw_only=True):
    """Of our own interface for platforms (docs/platform.md)."""

    order: Ref


class PretixWebhook(Controller):
    """Of pretix, and of platforms that implement our own interface."""

    tags = ("webhooks",)

    @post(
        "/webhooks/pretix/{platform:str}/{token:str}",
        status_code=204,
        request_max_body_size=_BODY_BYTES_MAX,
        opt=open_to_anyone("the address itself is the secret"),
        include_in_schema=False,
    )
    async def take_pretix_webhook(
        self,
        request: Request[Any, Any, Any],
        platform: FromPath[str],
        token: FromPath[str],
        platforms: NamedDependency[Platforms],
        syncing: NamedDependency[Syncing],
    ) -> Response[None]:
        """Takes pretix's word that an order has changed. What is not about an order of ours is answered the same, and harms nobody."""
        found, source = await _theirs(platforms, platform, "pretix", token)
        try:
            note = msgspec.json.decode(await request.body(), type=_Note)
        except (ValueError, RecursionError):
            return Response(None, status_code=204)
        if note.organizer == source.organizer and note.event in source.events:
            await _hear(syncing, found, note.code)
        return Response(None, status_code=204)

    @post(
        "/webhooks/http/{platform:str}/{token:str}",
        status_code=204,
        request_max_body_size=_BODY_BYTES_MAX,
        opt=open_to_anyone("the address itself is the secret"),
        include_in_schema=False,
    )
    async def take_order_hint(
        self,
        request: Request[Any, Any, Any],
        platform: FromPath[str],
        token: FromPath[str],
        platforms: NamedDependency[Platforms],
        syncing: NamedDependency[Syncing],
    ) -> Response[None]:
        """Takes a platform's word that an order has changed, `{"order": ref}`: it is read as soon as possible. 400 for any other body."""
        found, _ = await _theirs(platforms, platform, "http", token)
        try:
            hint = msgspec.json.decode(await request.body(), type=_Hint)
        except (ValueError, RecursionError):
            raise problems.invalid("/order", 'the body has to be {"order": "<reference>"}') from None
        await _hear(syncing, found, hint.order)
        return Response(None, status_code=204)


async def _theirs(platforms: Platforms, slug: str, kind: str, token: str) -> tuple[Platform, SourceSettings]:
    """The platform that the address names. One that is not there, one without a system of this kind and a wrong token read the same."""
    found = await platforms.by_slug(slug)
    expected = found.webhook_token if found is not None else None
    is_theirs = hmac.compare_digest(token.encode(), (expected or _NO_TOKEN).encode())
    source = None if found is None else found.settings.source
    if found is None or source is None or source.kind != kind or expected is None or not is_theirs:
        raise problems.not_found("webhook")
    return found, source


async def _hear(syncing: Syncing, platform: Platform, ref: str) -> None:
    seconds = await syncing.hear(platform.id, ref)
    if seconds:
        raise problems.too_many(seconds)
