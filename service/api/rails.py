"""The route on which a platform sees how its rails do: `/v1/rails`."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from service.api.auth import opens_to
from service.api.contract import examples
from service.callers import Caller
from service.rail_status import Rails, RailStatus


class RailsShown(msgspec.Struct, frozen=True, kw_only=True):
    rails: tuple[RailStatus, ...]


_EXAMPLE: Final = {
    "rails": [
        {
            "name": "stripe",
            "kind": "stripe",
            "pays": "back",
            "state": "open",
            "since": "2026-11-22T20:12:00Z",
            "why": "unreachable",
            "waits_until": None,
            "pace_per_second": 25.0,
            "backlog": {"operations": 31, "oldest_seconds": 44},
            "take_new_payments": False,
            "reason": "unreachable",
            "last_failure": {"word": "unreachable", "at": "2026-11-22T20:12:00Z"},
        }
    ]
}


class RailRoutes(Controller):
    """What a platform routes new payments by."""

    tags = ("rails",)

    @get("/v1/rails", opt={**opens_to("platform", "agent", "machine", scope="orders:read"), **examples(answer=_EXAMPLE)})
    async def list_rails(self, caller: NamedDependency[Caller], rails: NamedDependency[Rails]) -> RailsShown:
        """Shows each rail: its state, its pace, what of the platform waits there, and whether to take new payments on it.

        `take_new_payments` is advice: what is taken on a rail that does not answer cannot be refunded until it does.
        """
        return RailsShown(rails=tuple(await rails.list(caller.platform_id)))
