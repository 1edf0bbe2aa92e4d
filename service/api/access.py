"""Routes of access: a pass's token for the platform, and what a stream's edge asks: one token, or all that changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from service.access import Access, Checked, MintedToken, NoPlayback, Refused
from service.api import problems
from service.api.auth import opens_to
from service.api.cases import PassId, Ref
from service.api.contract import examples
from service.callers import Caller
from service.model import WireId, unwire
from service.playback import Playback
from service.revocations import PAGE_MAX, Changes, CursorUnknown

# Proxies commonly cut a silent request after 30 s.
WAIT_SECONDS_MAX: Final = 25


class TokenWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass_id: PassId
    show: Ref


class TokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A signed JWT of ours that opens the stream until it runs out, is replaced, or its pass dies."""

    token: str
    expires_at: datetime
    playback: Playback | None = None
    """what the platform's video service takes in its place, where it has one"""


class TokenToCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=1, max_length=4000)]
    show: Ref | None = None


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """A token whose state has changed, as it is now. `active`: it was suspended, and opens again."""

    jti: UUID
    state: Literal["revoked", "suspended", "active"]
    expires_at: datetime


class RevocationsPage(msgspec.Struct, frozen=True, kw_only=True):
    revocations: tuple[Revocation, ...]
    next: int
    """pass it as `since` for what follows; the same as was asked when there is nothing yet"""
    more: bool
    """there is a next page already"""


def _refused(refused: Refused) -> problems.Problem:
    return problems.Problem(status=403, code="access_refused", title="This token opens nothing", detail=f"It is {refused.reason}.")


def _no_playback(_: NoPlayback) -> problems.Problem:
    return problems.conflict(
        "no_playback",
        "There is no token of a video service for this show",
        "It needs a `playback_id` of the show, and the platform's setting `edge` with a signing key of the video service.",
    )


def _cursor_unknown(_: CursorUnknown) -> problems.Problem:
    return problems.Problem(
        status=410, code="cursor_unknown", title="This cursor is ahead of all there is", detail="Read everything anew, from since=0."
    )


FAILURES: Final[problems.Failures] = {Refused: _refused, NoPlayback: _no_playback, CursorUnknown: _cursor_unknown}

_WANTED: Final = {"pass_id": "pass_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f", "show": "nll26"}
_REVOKED: Final = {"jti": "0192f1c2-aa0b-7c3d-8e9f-0a1b2c3d4e5f", "state": "revoked", "expires_at": "2026-11-23T23:00:00Z"}
_NOT_MODIFIED: Final = {304: ResponseSpec(data_container=None, generate_examples=False, description="Nothing that you do not know")}


class AccessRoutes(Controller):
    tags = ("access",)

    @post("/v1/access/tokens", status_code=200, opt={**opens_to("platform", scope="orders:write"), **examples(request=_WANTED)})
    async def issue_token(
        self, data: JSONBody[TokenWanted], caller: NamedDependency[Caller], access: NamedDependency[Access]
    ) -> TokenShown:
        """The active token of a pass for a show, made if there is none: asking again gives the same one."""
        pass_id = unwire(WireId.PASS, data.pass_id)
        minted: MintedToken | None = None if pass_id is None else await access.issue(caller, pass_id, data.show)
        if minted is None:
            raise problems.not_found("pass")
        return TokenShown(token=minted.token, expires_at=minted.expires_at, playback=minted.playback)

    @post("/v1/access/check", status_code=200, opt=opens_to("platform", scope="access:check"))
    async def check_token(self, data: JSONBody[TokenToCheck], caller: NamedDependency[Caller], access: NamedDependency[Access]) -> Checked:
        """Whether a token opens the stream now: signature, times, and that it was not revoked or suspended since."""
        return await access.check(caller, data.token, data.show)

    @post("/v1/access/playback", status_code=200, opt=opens_to("platform", scope="access:check"))
    async def exchange_token(
        self, data: JSONBody[TokenToCheck], caller: NamedDependency[Caller], access: NamedDependency[Access]
    ) -> Playback:
        """The video service's own token, for whoever holds one of ours that opens the stream now.

        It lives for minutes, because nobody can revoke it: a player asks for the next one before it runs out, and gets none after a
        reissue.
        """
        return await access.exchange(caller, data.token, data.show)

    @get(
        "/v1/access/revocations",
        responses={**_NOT_MODIFIED, **problems.answers(410, "This cursor is none of ours any more")},
        opt={
            **opens_to("platform", scope="access:check"),
            **examples(answer={"revocations": [_REVOKED], "next": 17, "more": False}),
        },
    )
    async def list_revocations(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        access: NamedDependency[Access],
        *,
        since: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
        wait_seconds: Annotated[int, QueryParameter(ge=0, le=WAIT_SECONDS_MAX, description="seconds to wait for the first")] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> Response[RevocationsPage | None]:
        """Which access tokens stopped opening the stream, or opened it again, since a cursor; none is ever skipped.

        From `since=0` it is every token that is revoked or suspended and has not run out: what an edge reads when it starts. A token stands
        there once, as it is now. With `If-None-Match`, a wait ends when there is something else than what that tag stands for.
        """
        known = _tags(request.headers.get("if-none-match", ""))
        page = await access.revocations.after(caller.platform_id, since, most=limit, wait_seconds=wait_seconds, known=known)
        headers = {"ETag": f'"{page.tag}"'}
        if page.tag in known:
            return Response(None, status_code=304, headers=headers)
        return Response(_shown(page), headers=headers)


def _tags(header: str) -> tuple[str, ...]:
    """The entity tags of `If-None-Match`; it compares weakly (RFC 9110, section 13.1.2). At most a handful are looked at."""
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")[:8])


def _shown(page: Changes) -> RevocationsPage:
    changed = tuple(Revocation(jti=one.jti, state=one.state, expires_at=one.expires_at) for one in page.changes)
    return RevocationsPage(revocations=changed, next=page.next, more=page.more)
