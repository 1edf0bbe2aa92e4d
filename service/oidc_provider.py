"""What an identity provider says of itself (OpenID Connect Discovery 1.0): read when needed, kept for a while, checked against its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from service.ports import Unavailable
from service.ports_tokens import IdentityWeb

# Addresses of a provider change with notice, not by the minute.
_FRESH_SECONDS: Final = 600.0
# A provider whose document cannot be had signs nobody in for long anyway; this bridges a bad hour.
_STALE_SECONDS_MAX: Final = 24 * 3600.0
# One a platform; far more than one installation serves.
_KEPT_MAX: Final = 1_000


class ProviderDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What of it we use. The names are the standard's (section 3; RFC 9207, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Providers:
    """For one event loop; `monotonic` counts seconds."""

    def __init__(self, web: IdentityWeb, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, ProviderDocument]] = {}

    async def of(self, issuer: str) -> ProviderDocument:
        """The provider of that name. Raises Unavailable, also where the document says another name than it was asked for."""
        kept = self._kept.get(issuer)
        if kept is not None and self._monotonic() - kept[0] < _FRESH_SECONDS:
            return kept[1]
        try:
            found = read_document(await self._web.fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration"), issuer)
        except Unavailable:
            if kept is not None and self._monotonic() - kept[0] < _STALE_SECONDS_MAX:
                return kept[1]
            raise
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        self._kept[issuer] = (self._monotonic(), found)
        return found


def read_document(body: bytes, issuer: str) -> ProviderDocument:
    """Raises Unavailable."""
    try:
        found = msgspec.json.decode(body, type=ProviderDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable("the identity provider's document cannot be read", configuration=True) from None
    if found.issuer != issuer:  # section 4.3: else one provider could speak for another
        raise Unavailable("the identity provider calls itself by another name", configuration=True)
    secure = urlsplit(issuer).scheme == "https"
    places = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint or found.jwks_uri)
    if not all(urlsplit(place).scheme == "https" or (not secure and urlsplit(place).scheme == "http") for place in places):
        raise Unavailable("the identity provider names an address that is not https", configuration=True)
    return found
