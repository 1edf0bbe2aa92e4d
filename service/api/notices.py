"""Routes of notices: said by a lead or the platform, heard by every widget of a show, followed by customers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Meta

from service.api import problems
from service.api.auth import open_to_anyone, opens_to
from service.api.brakes import Reason
from service.api.cases import Language
from service.api.contract import examples
from service.api.platform import RefInPath
from service.api.streams import Streams
from service.callers import Caller
from service.notice_live import NoSuchShow, NoticeLive
from service.notices import (
    ChangedTooOften,
    NoAddress,
    NoNotice,
    NoticeAtDesk,
    Notices,
    NotProven,
    WrongLanguages,
)
from service.platforms import Platforms, language_of

ShowRef = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:~@+-]+$(?!\n)", examples=["nll26"])]
# The bounds of ShowRef; the framework does not read them from there for a parameter.
ShowAsked = Annotated[str, QueryParameter(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:~@+-]+$(?!\n)")]
# Three sentences: what is read on a phone, in the dark. A line break is kept.
NoticeText = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x09\x0b-\x1f\x7f]*$(?!\n)")
]
_LANGUAGES_MAX: Final = 50
# A language as a platform's settings name it.
_Offered = Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$(?!\n)", examples=["de-CH"])]

_READ: Final = opens_to("platform", "agent", scope="cases:read")
_WRITE: Final = opens_to("platform", "agent", scope="brakes:write")
# A widget that lost its line comes back after this; streams end by turns, so a crowd does not come in the same moment.
_AGAIN_MILLISECONDS: Final = 1_000


class NoticePut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words by language: those the platform offers, its first one at least. `reason` is kept with who and when, and told to nobody."""

    text: Annotated[dict[_Offered, NoticeText], Meta(min_length=1, max_length=_LANGUAGES_MAX)]
    reason: Reason


class NoticesShown(msgspec.Struct, frozen=True, kw_only=True):
    notices: tuple[NoticeAtDesk, ...]


class Follow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    show: ShowRef
    locale: Language | None = None
    """of the letters; left out: as the order has it"""


class FollowingShown(msgspec.Struct, frozen=True, kw_only=True):
    following: bool
    possible: bool
    """we know an address of theirs to write to"""


class NoticeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event. `data` is JSON: what is said on the show as in `GET /v1/help`, or `null`."""

    event: Literal["notice"]
    data: str


_TEXT: Final = {"en": "We know the stream is down and are working on it.", "de": "Wir wissen, dass der Stream steht, und arbeiten daran."}
_SAID: Final = {"text": _TEXT, "reason": "the encoder in Oslo is down"}
_LISTED: Final = {
    "notices": [
        {
            "show": "nll26",
            "show_name": {"en": "Northern Lights"},
            "text": _TEXT,
            "since": "2026-11-22T20:12:00Z",
            "updated_at": "2026-11-22T20:12:00Z",
            "over": False,
            "actor": "agent:Mira",
            "reason": "the encoder in Oslo is down",
            "followers": 412,
        }
    ]
}
_STREAMED: Final = {
    200: ResponseSpec(
        data_container=NoticeEvent,
        generate_examples=False,
        media_type="text/event-stream",
        description="What is said on the show from now on",
    )
}


class NoticeRoutes(Controller):
    """A notice is on every open widget of its show within a second, on the others when they are opened."""

    tags = ("notices",)

    @get("/v1/notices", opt={**_READ, **examples(answer=_LISTED)})
    async def list_notices(self, caller: NamedDependency[Caller], notices: NamedDependency[Notices]) -> NoticesShown:
        """What is said on shows now, then what is over; the newest first, at most 100."""
        return NoticesShown(notices=tuple(await notices.list(caller.platform_id)))

    @put("/v1/shows/{ref:str}/notice", opt={**_WRITE, **examples(request=_SAID, answer=_LISTED)})
    async def put_notice(
        self, ref: RefInPath, data: JSONBody[NoticePut], caller: NamedDependency[Caller], notices: NamedDependency[Notices]
    ) -> NoticesShown:
        """Tells every widget of the show, or says something else there. The same words again change nothing. Who follows gets a letter."""
        _check_lead(caller)
        await notices.say(caller, ref, data.text, data.reason)
        return NoticesShown(notices=tuple(await notices.list(caller.platform_id)))

    @delete("/v1/shows/{ref:str}/notice", opt=_WRITE)
    async def end_notice(
        self, ref: RefInPath, caller: NamedDependency[Caller], notices: NamedDependency[Notices], reason: FromQuery[Reason | None] = None
    ) -> None:
        """It is over: widgets say so for ten minutes, who follows gets a last letter. Where nothing is said nothing changes."""
        _check_lead(caller)
        await notices.end(caller, ref, reason or "")

    @get("/v1/help/live", responses=_STREAMED, opt=open_to_anyone("what is said on a show is said to everybody"))
    async def follow_notice(
        self,
        platform_slug: NamedDependency[str],
        show: ShowAsked,
        platforms: NamedDependency[Platforms],
        notice_live: NamedDependency[NoticeLive],
        streams: NamedDependency[Streams],
    ) -> ServerSentEvent:
        """What is said on the show now, at once, then every change. Ends by itself within 25 s; come back then."""
        streams.check()
        platform = await platforms.by_slug(platform_slug)
        if platform is None:
            raise problems.not_found("platform")
        return ServerSentEvent(streams.hold(_events(await notice_live.follow(platform.id, show))))

    @post("/v1/help/follow", status_code=204, opt={**opens_to("customer"), **examples(request={"show": "nll26"})})
    async def follow_by_mail(self, data: JSONBody[Follow], caller: NamedDependency[Caller], notices: NamedDependency[Notices]) -> None:
        """A mail to the customer when what is said on the show changes, eight at most and five minutes apart; and one when it is over.

        To the address that they have proven (of a platform's token: its `email`, with `email_verified`), once for each address.
        The same again changes nothing.
        """
        await notices.follow(caller, data.show, language_of(data.locale or ""))

    @get("/v1/help/follow", opt={**opens_to("customer"), **examples(answer={"following": True, "possible": True})})
    async def show_following(self, show: ShowAsked, caller: NamedDependency[Caller], notices: NamedDependency[Notices]) -> FollowingShown:
        """Whether the customer gets those mails for what is said on the show now, or could."""
        found = await notices.follows(caller, show)
        return FollowingShown(following=found.following, possible=found.possible)

    @delete("/v1/help/follow", opt=opens_to("customer"))
    async def unfollow_by_mail(self, show: ShowAsked, caller: NamedDependency[Caller], notices: NamedDependency[Notices]) -> None:
        """No more of those mails for this show."""
        await notices.unfollow(caller, show)


async def _events(told: AsyncIterator[str]) -> AsyncIterator[ServerSentEventMessage]:
    async for text in told:
        yield ServerSentEventMessage(event="notice", data=text, retry=_AGAIN_MILLISECONDS)


def _check_lead(caller: Caller) -> None:
    if caller.kind == "agent" and caller.role != "lead":
        raise problems.not_allowed("not_a_lead", "What every widget of a show says is for leads.")


def _languages(error: WrongLanguages) -> problems.Problem:
    if error.unknown:
        return problems.invalid(f"/text/{error.unknown[0]}", "is no language that the platform offers")
    return problems.invalid("/text", f"needs words in {error.missing}, the platform's first language")


FAILURES: Final[problems.Failures] = {
    NoSuchShow: lambda _: problems.not_found("show"),
    NoNotice: lambda _: problems.conflict("no_notice", "Nothing is said on this show just now"),
    ChangedTooOften: lambda _: problems.conflict("changed_too_often", "This notice was changed too often", "End it, and begin another."),
    WrongLanguages: _languages,
    NotProven: lambda _: problems.not_allowed("not_proven", "Prove an address first: then we know where to write."),
    NoAddress: lambda _: problems.conflict("no_address", "We know no address of yours", "Prove the address of one of your orders."),
}
"""how the exceptions of `service.notices` read on the wire"""
