"""Signing in through a platform's identity provider: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 9700)."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote_plus, urlencode
from uuid import UUID

import msgspec

from service.addresses import folded
from service.desk_sessions import DeskSessions, Opened, SignInRefused
from service.key_sets import KeySets
from service.oidc_provider import ProviderDocument, Providers
from service.oidc_token import Expected, IdClaims, verify
from service.platforms import Platform, Platforms
from service.ports import Unavailable
from service.ports_tokens import IdentityWeb
from service.sealing import Unsealable, Vault
from service.signed_claims import BadProof
from service.store.desk_sessions import DeskSessionStore

VAULT_PURPOSE: Final = "sign-in"
# Typing a password, finding the phone for the second factor.
FLOW_SECONDS: Final = 600.0
DESK: Final = "/desk"
# Pages of the console, and nothing that a browser could read as another host.
_TO: Final = re.compile(r"/desk(?:/[A-Za-z0-9._~-]+)*/?(?:\?[A-Za-z0-9._~=&%+,:-]*)?", re.ASCII)
_TO_LENGTH_MAX: Final = 500
_CODE_LENGTH_MAX: Final = 4_096
_RANDOM_BYTES: Final = 32
_BY_SUBJECT: Final = "sub:"


class SignInFailed(Exception):  # noqa: N818 - says what happened
    """Nobody is signed in. `reason` is a word for the log and the address bar; nothing of the provider's or the person's is in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """`address`: where the browser goes. `state` stays in a cookie of the same browser: what comes back has to bring both."""

    address: str
    state: str

    def __repr__(self) -> str:
        return "Begun(...)"


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    opened: Opened
    to: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser brought back. `kept`: the cookie's state."""

    state: str
    kept: str
    code: str
    issuer: str | None
    error: str

    def __repr__(self) -> str:
        return "Answered(...)"


class _Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, sealed, while somebody is at the provider."""

    issuer: str
    client_id: str
    verifier: str
    nonce: str
    to: str


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str
    access_token: str = ""


class _UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    sub: str
    email: Any = None
    email_verified: Any = None


class OidcSignIn:
    """`public_url`: as registered at the provider, `{public_url}/desk/oidc/callback` is where it sends people back."""

    def __init__(
        self,
        store: DeskSessionStore,
        sessions: DeskSessions,
        platforms: Platforms,
        web: IdentityWeb,
        *,
        vault: Vault,
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._platforms = platforms
        self._web = web
        self._providers = Providers(web)
        self._keys = KeySets(web)
        self._vault = vault
        self._clock = clock
        self._callback = f"{public_url.rstrip('/')}/desk/oidc/callback"

    async def begin(self, slug: str, to: str) -> Begun:
        """Raises SignInFailed, Unavailable."""
        platform = await self._platforms.by_slug(slug)
        if platform is None or platform.settings.sign_in is None:
            raise SignInFailed("no_provider")
        settings = platform.settings.sign_in
        provider = await self._providers.of(settings.issuer)
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        flow = _Flow(issuer=settings.issuer, client_id=settings.client_id, verifier=verifier, nonce=nonce, to=within(to))
        place = _hash(state)
        sealed = base64.b64encode(self._vault.seal(msgspec.json.encode(flow), place=place)).decode("ascii")
        await self._store.remember(platform.id, place, {"flow": sealed}, seconds=FLOW_SECONDS)
        asked = {
            "response_type": "code",
            "scope": "openid email",
            "client_id": settings.client_id,
            "redirect_uri": self._callback,
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in provider.authorization_endpoint else "?"
        return Begun(address=f"{provider.authorization_endpoint}{separator}{urlencode(asked)}", state=state)

    async def complete(self, answered: Answered) -> Completed:
        """Signs in whom the provider vouches for, once for each `begin`. Raises SignInFailed, Unavailable."""
        if not answered.state or not hmac.compare_digest(answered.state.encode(), answered.kept.encode()):
            raise SignInFailed("wrong_state")
        platform_id, flow = await self._flow(answered.state)
        platform = await self._platforms.by_id(platform_id)
        settings = platform.settings.sign_in if platform else None
        if platform is None or settings is None or (settings.issuer, settings.client_id) != (flow.issuer, flow.client_id):
            raise SignInFailed("provider_changed")
        provider = await self._providers.of(flow.issuer)
        _check_issuer(answered, provider)
        if answered.error or not 0 < len(answered.code) <= _CODE_LENGTH_MAX:
            raise SignInFailed("provider_refused")
        tokens = await self._redeem(platform, flow, provider, answered.code)
        expected = Expected(issuer=flow.issuer, client_id=flow.client_id, nonce=flow.nonce, jwks_uri=provider.jwks_uri)
        try:
            claims = await verify(tokens.id_token, expected, self._keys, self._clock().timestamp())
        except BadProof as error:
            raise SignInFailed(error.reason) from None
        return Completed(opened=await self._opened(platform.id, await self._names(claims, tokens, provider)), to=flow.to)

    async def _flow(self, state: str) -> tuple[UUID, _Flow]:
        place = _hash(state)
        found = await self._store.recall(place)
        if found is None:
            raise SignInFailed("wrong_state")
        try:
            return found[0], msgspec.json.decode(self._vault.open(base64.b64decode(found[1]["flow"]), place=place), type=_Flow)
        except (Unsealable, msgspec.DecodeError, KeyError, ValueError):
            raise SignInFailed("wrong_state") from None

    async def _redeem(self, platform: Platform, flow: _Flow, provider: ProviderDocument, code: str) -> _Tokens:
        """With the secret where there is one, as the provider takes it (RFC 6749, section 2.3.1); PKCE in any case."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._callback, "code_verifier": flow.verifier}
        secret, basic = platform.sign_in_secret, None
        methods = provider.token_endpoint_auth_methods_supported
        if secret is None:
            form["client_id"] = flow.client_id
        elif "client_secret_basic" in methods or "client_secret_post" not in methods:
            basic = (quote_plus(flow.client_id), quote_plus(secret))
        else:
            form |= {"client_id": flow.client_id, "client_secret": secret}
        status, body = await self._web.redeem(provider.token_endpoint, form, basic=basic)
        if status != 200:
            raise SignInFailed("provider_refused")
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SignInFailed("malformed") from None

    async def _names(self, claims: IdClaims, tokens: _Tokens, provider: ProviderDocument) -> Sequence[str]:
        """How the agent may be called: by the provider's own id, and by an address that it has verified.

        Providers may keep the address out of the token and tell it apart (OpenID Connect Core 1.0, section 5.4): of the same subject.
        """
        about: Any = claims
        if claims.email is None and provider.userinfo_endpoint and tokens.access_token:
            try:
                found = msgspec.json.decode(await self._web.ask(provider.userinfo_endpoint, tokens.access_token), type=_UserInfo)
            except (msgspec.DecodeError, UnicodeDecodeError, Unavailable):
                found = None
            about = found if found is not None and found.sub == claims.sub else claims
        names = [f"{_BY_SUBJECT}{claims.sub}"]
        # Only `true` itself counts: some providers send the text "false".
        if about.email_verified is True and isinstance(about.email, str):
            address = folded(about.email)
            # What is written like the provider's own name of somebody is none that it gave.
            if "@" in address and not address.startswith(_BY_SUBJECT):
                names.append(address)
        return [one for one in names if one.isprintable()]

    async def _opened(self, platform: UUID, names: Sequence[str]) -> Opened:
        for name in names:
            try:
                return await self._sessions.sign_in_as(platform, name)
            except SignInRefused:
                continue
        raise SignInFailed("nobody_here")


def within(to: str) -> str:
    """Where to go afterwards: a page of the console, whatever was asked for."""
    if len(to) > _TO_LENGTH_MAX or not _TO.fullmatch(to) or "/.." in to or to.startswith(f"{DESK}/oidc"):
        return DESK
    return to


def _check_issuer(answered: Answered, provider: ProviderDocument) -> None:
    """RFC 9207, section 2.4: an answer of another provider is no answer, nor one without a name from a provider that says its name."""
    if answered.issuer is None and provider.authorization_response_iss_parameter_supported:
        raise SignInFailed("wrong_issuer")
    if answered.issuer is not None and answered.issuer != provider.issuer:
        raise SignInFailed("wrong_issuer")


def _hash(state: str) -> bytes:
    return sha256(state.encode()).digest()
