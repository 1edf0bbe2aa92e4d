"""The route on which a platform reads what happened: `/v1/events`. The same events are sent to its endpoints."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.callers import Caller
from service.event_feed import PAGE_MAX, EventFeed, EventsForgotten
from service.events import TYPES, PlatformEvent, example_of

# Proxies commonly cut a silent request after 30 s.
WAIT_SECONDS_MAX: Final = 25
# More types than there are is a mistake.
_TYPES_MAX: Final = 50


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[PlatformEvent, ...]
    next_after: int
    """pass it as `after` for what follows; the same as was asked when there is nothing yet"""


def _gone(forgotten: EventsForgotten) -> problems.Problem:
    return problems.Problem(
        status=410,
        code="events_forgotten",
        title="These events are not kept any more",
        detail=f"The oldest that are kept come after {forgotten.oldest}. Read your orders and cases anew, then go on from there.",
    )


FAILURES: Final[problems.Failures] = {EventsForgotten: _gone}


class EventRoutes(Controller):
    """What Makegood did, in order: for whoever would rather pull than be called, and for whoever missed a call."""

    tags = ("events",)

    @get(
        "/v1/events",
        responses=problems.answers(410, "They are not kept any more"),
        opt={
            **opens_to("platform", scope="events:read"),
            **examples(answer={"events": [msgspec.to_builtins(example_of("refund.sent"))], "next_after": 41}),
        },
    )
    async def list_events(
        self,
        caller: NamedDependency[Caller],
        event_feed: NamedDependency[EventFeed],
        *,
        after: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
        wait_seconds: Annotated[int, QueryParameter(ge=0, le=WAIT_SECONDS_MAX, description="seconds to wait for the first")] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 100,
        types: Annotated[list[str] | None, QueryParameter(max_items=_TYPES_MAX)] = None,
    ) -> EventsPage:
        """Shows what happened after a position, in order. No event is ever skipped; those of one order keep their order.

        `types` narrows; it may be given several times.
        """
        unknown = sorted(set(types or ()) - TYPES.keys())
        if unknown:
            raise problems.invalid("types", f"there is no type {unknown[0]}")
        found = await event_feed.after(caller.platform_id, after, most=limit, types=types, wait_seconds=wait_seconds)
        return EventsPage(events=tuple(found), next_after=found[-1].position if found else after)
