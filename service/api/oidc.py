"""The two pages of a sign-in at a platform's identity provider: the way there, and the way back with a session."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

import structlog
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from service.api.auth import open_to_anyone
from service.api.desk_cookie import DeskCookie
from service.desk_sessions import DeskSessions
from service.identity import Identity
from service.oidc import DESK, FLOW_SECONDS, Answered, OidcSignIn, SignInFailed
from service.platforms import Platforms
from service.ports import Unavailable

log: Final = structlog.get_logger(__name__)

_SIGN_IN: Final = "/desk/sign-in"
_Text = Annotated[str, QueryParameter(max_length=4_096)]


class OidcRoutes(Controller):
    """For browsers, not part of the contract: each answers with where to go next, whatever went wrong in words on the sign-in page."""

    include_in_schema = False
    opt = open_to_anyone("whoever signs in is not signed in yet")

    @get("/desk/oidc/start")
    async def start(
        self,
        *,
        oidc: NamedDependency[OidcSignIn],
        desk_cookie: NamedDependency[DeskCookie],
        identity: NamedDependency[Identity],
        platforms: NamedDependency[Platforms],
        client_address: NamedDependency[str],
        platform: _Text = "",
        to: _Text = DESK,
    ) -> Response[None]:
        """To the platform's provider; `to`: which page of the console to open afterwards. So often from one address, then 429."""
        known = await platforms.by_slug(platform)
        if known is not None:
            await identity.count_sign_in(known.id, client_address)
        try:
            begun = await oidc.begin(platform, to)
        except (SignInFailed, Unavailable) as error:
            return _failed(error, platform)
        return _onward(begun.address, cookies=[desk_cookie.state_given(begun.state, FLOW_SECONDS)])

    @get("/desk/oidc/callback")
    async def callback(
        self,
        request: Request[Any, Any, Any],
        oidc: NamedDependency[OidcSignIn],
        desk_sessions: NamedDependency[DeskSessions],
        desk_cookie: NamedDependency[DeskCookie],
    ) -> Response[None]:
        """Back from it. The console's pages need no cookie, so that going there from another site's redirect loses nothing."""
        forgotten, query = desk_cookie.state_given("", 0), request.query_params
        answered = Answered(
            state=query.get("state", ""),
            kept=request.cookies.get(desk_cookie.state_name, ""),
            code=query.get("code", ""),
            issuer=query.get("iss"),
            error=query.get("error", ""),
        )
        try:
            done = await oidc.complete(answered)
        except (SignInFailed, Unavailable) as failure:
            return _failed(failure, "", cookies=[forgotten])
        before = desk_cookie.of_request(request)
        if before is not None:
            await desk_sessions.sign_out(before)
        return _onward(done.to, cookies=[desk_cookie.given(done.opened.token), forgotten])


def _failed(error: SignInFailed | Unavailable, platform: str, *, cookies: Any = ()) -> Response[None]:
    reason = error.reason if isinstance(error, SignInFailed) else "provider_away"
    log.warning("sign_in_failed", reason=reason, detail="" if isinstance(error, SignInFailed) else error.detail)
    return _onward(f"{_SIGN_IN}?{urlencode({'error': reason, **({'platform': platform} if platform else {})})}", cookies=cookies)


def _onward(address: str, *, cookies: Any = ()) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": address}, cookies=list(cookies))
