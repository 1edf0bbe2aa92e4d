"""Routes of signing in to the console: which ways there are, one session, who is signed in, and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from service.api import problems
from service.api.auth import asked_by_itself, open_to_anyone, opens_to
from service.api.contract import examples
from service.api.desk_cookie import DeskCookie
from service.callers import Caller
from service.desk_sessions import DeskSessions, ForPeople, Opened, SignInRefused
from service.model import WireId, wire
from service.platforms import Platform, Platforms
from service.store.desk_sessions import Profile

_Secret = Annotated[str, Meta(min_length=1, max_length=200)]
Way = Literal["oidc", "link", "token"]


class SignInWays(msgspec.Struct, frozen=True, kw_only=True):
    """How people sign in. `oidc`: `GET /desk/oidc/start?platform=…` in the browser."""

    platform: str | None
    name: str
    accent: str
    ways: tuple[Way, ...]


class NewDeskSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either the code of a link (`makegood agents link`), which works once, or an agent's token."""

    code: _Secret | None = None
    token: _Secret | None = None


class AgentSignedIn(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: Literal["agent", "lead", "machine"]
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    """none: every language"""
    capacity: int
    """how many cases at a time"""
    available: bool


class PlatformOfDesk(msgspec.Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    languages: tuple[str, ...]
    zone: str
    accent: str


class DeskSessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """`signs_out_at`: when nothing is done until then; `expires_at`: whatever is done. Null for a token, which ends by itself."""

    agent: AgentSignedIn
    platform: PlatformOfDesk
    scopes: tuple[str, ...]
    expires_at: datetime | None
    signs_out_at: datetime | None


_WAYS: Final = {"platform": "moonlight", "name": "Moonlight", "accent": "#1f4fd8", "ways": ["oidc", "link", "token"]}
_SESSION: Final = {
    "agent": {
        "id": "agent_0198f0c2b7a17d0e8c1f2a3b4c5d6e7f",
        "name": "Mira",
        "role": "agent",
        "skills": ["payments", "support"],
        "languages": ["en", "de"],
        "capacity": 5,
        "available": True,
    },
    "platform": {"slug": "moonlight", "name": "Moonlight", "languages": ["en", "de"], "zone": "Europe/Berlin", "accent": "#1f4fd8"},
    "scopes": ["actions:write", "cases:read", "cases:write", "orders:read", "queue:work"],
    "expires_at": "2026-11-22T08:12:00Z",
    "signs_out_at": "2026-11-21T21:12:00Z",
}
_NOT_SIGNED_IN: Final = {
    422: ResponseSpec(
        data_container=problems.ProblemBody,
        generate_examples=False,
        media_type=problems.MEDIA_TYPE,
        description="The code or token signs nobody in",
    ),
    **problems.answers(403, "Not asked by the console's own page, or a token that is no person's"),
}


class DeskSessionRoutes(Controller):
    """The console keeps its session in a cookie that scripts cannot read. Programs send their token with each request instead."""

    tags = ("desk",)

    @get("/v1/desk/sign-in", opt={**open_to_anyone("it is asked before anybody has signed in"), **examples(answer=_WAYS)})
    async def show_sign_in(
        self, platforms: NamedDependency[Platforms], platform: Annotated[str | None, QueryParameter(max_length=63)] = None
    ) -> SignInWays:
        """Says how people of a platform sign in. Without a name: those of the installation's only platform, or with a link or token."""
        found = await (platforms.only() if platform is None else platforms.by_slug(platform))
        if found is None and platform is not None:
            raise problems.not_found("platform")
        if found is None:
            return SignInWays(platform=None, name="Makegood", accent="#1f4fd8", ways=("link", "token"))
        ways: tuple[Way, ...] = ("oidc", "link", "token") if found.settings.sign_in else ("link", "token")
        return SignInWays(platform=found.slug, name=found.settings.name, accent=found.settings.accent, ways=ways)

    @post(
        "/v1/desk/sessions",
        responses=_NOT_SIGNED_IN,
        opt={**open_to_anyone("the code or the token says who it is"), **examples(request={"code": "mgl_…"}, answer=_SESSION)},
    )
    async def sign_in(
        self,
        data: JSONBody[NewDeskSession],
        request: Request[Any, Any, Any],
        desk_sessions: NamedDependency[DeskSessions],
        desk_cookie: NamedDependency[DeskCookie],
        platforms: NamedDependency[Platforms],
    ) -> Response[DeskSessionShown]:
        """Signs in, with a cookie; the session that the browser had ends. For the console's own page, with the header
        `Makegood-Desk: 1`.
        """
        desk_cookie.check(request)
        if (data.code is None) == (data.token is None):
            raise problems.invalid("", "has to be either a code or a token")
        opened = await _opened(desk_sessions, data)
        before = desk_cookie.of_request(request)
        if before is not None:
            await desk_sessions.sign_out(before)
        caller = await desk_sessions.caller_for(opened.token, renews=False)
        if caller is None:
            raise SignInRefused
        shown = await _shown(caller, opened.token, desk_sessions, platforms)
        return Response(shown, status_code=201, cookies=[desk_cookie.given(opened.token)])

    @get("/v1/desk/session", opt={**opens_to("agent", "machine"), **asked_by_itself(), **examples(answer=_SESSION)})
    async def show_desk_session(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        desk_sessions: NamedDependency[DeskSessions],
        desk_cookie: NamedDependency[DeskCookie],
        platforms: NamedDependency[Platforms],
    ) -> DeskSessionShown:
        """Shows who is signed in, what they may do, and until when. Asking does not put that off."""
        token = None if "authorization" in request.headers else desk_cookie.of_request(request)
        return await _shown(caller, token, desk_sessions, platforms)

    @delete("/v1/desk/session", status_code=204, opt=opens_to("agent"))
    async def sign_out(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],  # noqa: ARG002 - the guard lets in who is signed in
        desk_sessions: NamedDependency[DeskSessions],
        desk_cookie: NamedDependency[DeskCookie],
    ) -> Response[None]:
        """Ends the session at once, in every window. A token has none: it is revoked instead."""
        token = None if "authorization" in request.headers else desk_cookie.of_request(request)
        if token is None:
            raise problems.not_found("session")
        await desk_sessions.sign_out(token)
        return Response(None, status_code=204, cookies=[desk_cookie.taken()])


async def _opened(desk_sessions: DeskSessions, data: NewDeskSession) -> Opened:
    if data.code is not None:
        return await desk_sessions.sign_in_with_link(data.code)
    return await desk_sessions.sign_in_with_token(data.token or "")


async def _shown(caller: Caller, token: str | None, desk_sessions: DeskSessions, platforms: Platforms) -> DeskSessionShown:
    found = None if token is None else await desk_sessions.found(token, renews=False)
    profile = None if caller.agent_id is None else await desk_sessions.profile(caller.platform_id, caller.agent_id)
    platform = await platforms.by_id(caller.platform_id)
    if profile is None or platform is None:
        raise problems.not_found("agent")
    return DeskSessionShown(
        agent=_agent(profile),
        platform=_platform(platform),
        scopes=tuple(sorted(caller.scopes)),
        expires_at=found.expires_at if found else None,
        signs_out_at=found.signs_out_at if found else None,
    )


def _agent(profile: Profile) -> AgentSignedIn:
    fields = {**msgspec.structs.asdict(profile), "id": wire(WireId.AGENT, profile.id)}
    return msgspec.convert({**fields, "skills": tuple(profile.skills), "languages": tuple(profile.languages)}, AgentSignedIn)


def _platform(platform: Platform) -> PlatformOfDesk:
    settings = platform.settings
    return PlatformOfDesk(slug=platform.slug, name=settings.name, languages=settings.languages, zone=settings.zone, accent=settings.accent)


def _refused(_: SignInRefused) -> problems.Problem:
    return problems.Problem(
        status=422,
        code="sign_in_refused",
        title="This signs nobody in",
        detail="It is wrong, was used, or has run out: a link works once, within two minutes. Ask for another.",
    )


def _for_people(_: ForPeople) -> problems.Problem:
    return problems.not_allowed("not_for_programs", "The console is for people: this token is a program's or the platform's own.")


FAILURES: Final[problems.Failures] = {SignInRefused: _refused, ForPeople: _for_people}
"""how the exceptions of `service.desk_sessions` read on the wire"""
