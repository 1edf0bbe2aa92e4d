"""`GET /v1/desk/live`: the queue as server-sent events, for every console that is open."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import ServerSentEvent, ServerSentEventMessage

from service.api import problems
from service.api.auth import asked_by_itself, opens_to
from service.api.desk_cookie import DeskCookie
from service.callers import Caller
from service.desk_live import DeskLive, Told
from service.desk_sessions import DeskSessions

# A console that lost its line comes back after this; many that lost it together do not come in the same moment, for streams end by turns.
_AGAIN_MILLISECONDS: Final = 500
_PLACE: Final = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One server-sent event. `data` is JSON.

    `snapshot`: `{rows, wait, at}`, everything there is, rows as in `GET /v1/queue`. `changed`: `{rows, gone, wait, at}`, whole rows that
    are new or became others, and ids of those that are at the desk no more. `session`: `{signs_out_at}`. `wait`: as in `GET /v1/wait`.
    """

    event: Literal["snapshot", "changed", "session"]
    data: str
    id: str = ""
    """send it back as Last-Event-ID: what changed since then is told; after a restart, or elsewhere, everything anew"""


_STREAMED: Final = {
    200: ResponseSpec(
        data_container=LiveEvent, generate_examples=False, media_type="text/event-stream", description="The queue from now on"
    )
}


class DeskLiveRoutes(Controller):
    tags = ("desk",)

    @get(
        "/v1/desk/live",
        responses=_STREAMED,
        opt={**opens_to("agent", "machine", scope="cases:read"), **asked_by_itself()},
    )
    async def follow_desk(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        desk_live: NamedDependency[DeskLive],
        desk_sessions: NamedDependency[DeskSessions],
        desk_cookie: NamedDependency[DeskCookie],
    ) -> ServerSentEvent:
        """The queue as it is and as it changes, parked cases too, at most 2,000. Ends by itself after 25 s; go on with `Last-Event-ID`.

        Whoever follows counts as present. It does not put off the end of a session, and ends with it.
        """
        place = request.headers.get("last-event-id")
        if place is not None and not _PLACE.fullmatch(place):
            raise problems.invalid("Last-Event-ID", "is the id of the last event you saw")
        token = None if "authorization" in request.headers else desk_cookie.of_request(request)
        session = None if token is None else await desk_sessions.found(token, renews=False)
        still = partial(desk_sessions.opens, token or request.headers["authorization"].split()[-1])
        return ServerSentEvent(_events(desk_live.follow(caller, place, still=still), session.signs_out_at if session else None))


async def _events(told_of: AsyncGenerator[Told, None], signs_out_at: datetime | None) -> AsyncIterator[ServerSentEventMessage]:
    if signs_out_at is not None:
        data = msgspec.json.encode({"signs_out_at": signs_out_at}).decode()
        yield ServerSentEventMessage(event="session", data=data, retry=_AGAIN_MILLISECONDS)
    async for told in told_of:
        yield ServerSentEventMessage(event="snapshot" if told.whole else "changed", id=told.place, data=_data(told))


def _data(told: Told) -> str:
    """One line: JSON of ours has none in it."""
    gone = {} if told.whole else {"gone": told.gone}
    return msgspec.json.encode({"rows": told.rows, **gone, "wait": told.wait, "at": told.at}).decode()
