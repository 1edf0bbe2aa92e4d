"""Routes that tell what happens to a case: its timeline by pages, and what comes from now on as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from service.api import problems
from service.api.auth import opens_to
from service.api.cases import CALLERS, id_of
from service.api.streams import Streams
from service.callers import Caller
from service.cases import Cases, Progress
from service.store.cases import TimelineEntry


class EntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. Screens sort by `happened_at`, then `seq`, which is the order of writing."""

    seq: int
    happened_at: datetime
    source: str
    actor: str
    kind: str
    data: dict[str, Any]


class TimelinePage(msgspec.Struct, frozen=True, kw_only=True):
    entries: tuple[EntryShown, ...]
    next_after: int | None
    """pass it as `after` for the next page; null: this was the last for now"""


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One server-sent event."""

    event: Literal["entry", "case"]
    data: str
    """JSON: an entry of the timeline, or the case as it is now"""
    id: str = ""
    """of an entry: its seq; send it back as Last-Event-ID"""


_STREAMED: Final = {
    200: ResponseSpec(
        data_container=ProgressEvent, generate_examples=False, media_type="text/event-stream", description="What happens from now on"
    )
}


class CaseHistory(Controller):
    tags = ("cases",)

    @get("/v1/cases/{case_id:str}/timeline", opt=opens_to(*CALLERS, scope="cases:read"))
    async def show_timeline(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        cases: NamedDependency[Cases],
        after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> TimelinePage:
        """What happened to the case and its order, from every source, in the order of writing."""
        page = await cases.timeline(caller, id_of(case_id), after, limit)
        if page is None:
            raise problems.not_found("case")
        entries, next_after = page
        return TimelinePage(entries=tuple(_entry(one) for one in entries), next_after=next_after)

    @get("/v1/cases/{case_id:str}/progress", responses=_STREAMED, opt=opens_to(*CALLERS, scope="cases:read"))
    async def follow_case(
        self,
        case_id: FromPath[str],
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        cases: NamedDependency[Cases],
        streams: NamedDependency[Streams],
    ) -> ServerSentEvent:
        """What happens from now on, as server-sent events: `entry` and `case`. Ends by itself after 25 s or when the case has ended;
        go on with `Last-Event-ID` (the entry's seq).
        """
        streams.check()
        record = await cases.followed(caller, id_of(case_id))
        if record is None:
            raise problems.not_found("case")
        after = request.headers.get("last-event-id", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise problems.invalid("Last-Event-ID", "is the seq of the last entry you saw")
        return ServerSentEvent(streams.hold(_events(cases.follow(caller, record, int(after)))))


def _entry(one: TimelineEntry) -> EntryShown:
    return EntryShown(seq=one.seq, happened_at=one.happened_at, source=one.source, actor=one.actor, kind=one.kind, data=dict(one.data))


async def _events(steps: AsyncIterator[Progress]) -> AsyncIterator[ServerSentEventMessage]:
    async for step in steps:
        for one in step.entries:
            yield ServerSentEventMessage(event="entry", id=str(one.seq), data=msgspec.json.encode(_entry(one)).decode())
        if step.case is not None:
            yield ServerSentEventMessage(event="case", data=msgspec.json.encode(step.case).decode())
