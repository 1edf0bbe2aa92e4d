"""Routes for where a platform is told what happened: `/v1/endpoints`. A secret is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.api.keys import Because, Reason
from service.callers import Caller
from service.endpoints import (
    ROTATION_HOURS,
    ROTATION_HOURS_MAX,
    Deliveries,
    Endpoint,
    Endpoints,
    Made,
    NotByHand,
    Refused,
    TestResult,
    TooMany,
)
from service.model import WireId, unwire
from service.store.endpoints import ENDPOINTS_MAX
from service.store.idempotency import IdempotencyKey

# More types and families than there are is a mistake.
_TYPES_MAX: Final = 50
# What people pick by hand from a list of what waits.
_EVENTS_MAX: Final = 100

_Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
_Url = Annotated[str, Meta(min_length=1, max_length=2000, examples=["https://shop.example/makegood"])]
_Types = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=60)], ...], Meta(min_length=1, max_length=_TYPES_MAX)]
_Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_EventId = Annotated[str, Meta(pattern=r"^evt_[0-9a-f]{32}$(?!\n)")]

_T = TypeVar("_T")

_READ: Final = opens_to("platform", scope="events:read")
_WRITE: Final = opens_to("platform", scope="endpoints:write")


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`types`: `refund.sent`, all of a family (`refund.*`), or everything (`*`)."""

    name: _Name
    url: _Url
    types: _Types = ("*",)
    reason: Reason


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. What happens while an endpoint is paused is sent when it is active again."""

    name: _Name | None = None
    url: _Url | None = None
    types: _Types | None = None
    state: Literal["active", "paused"] | None = None
    reason: Reason


class SecretRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The secret before signs too for `overlap_hours`; 0 ends it at once."""

    overlap_hours: Annotated[int, Meta(ge=0, le=ROTATION_HOURS_MAX)] = ROTATION_HOURS
    reason: Reason


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One of three: everything after a position, the positions from one to another (at most 10,000 events), or some events."""

    after: _Position | None = None
    from_: _Position | None = None
    to: _Position | None = None
    events: Annotated[tuple[_EventId, ...], Meta(max_length=_EVENTS_MAX)] = ()
    reason: Reason


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    events: int
    """how many are sent again; 0 where the same request is repeated"""


class EndpointsShown(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: tuple[Endpoint, ...]


_ENDPOINT: Final = {
    "id": "ep_0199a1b2c3d47e5f8a9b0c1d2e3f4a62",
    "kind": "webhook",
    "name": "shop",
    "url": "https://shop.example/makegood",
    "types": ["refund.*", "pass.*"],
    "state": "active",
    "why": "",
    "since": "2026-11-22T20:12:00Z",
    "position": 41,
    "succeeded_at": "2026-11-22T20:13:00Z",
    "failing_since": None,
    "next_try_at": None,
    "former_secret_until": None,
    "created_at": "2026-11-22T20:12:00Z",
    "changed_at": "2026-11-22T20:12:00Z",
}
_NEW: Final = {"name": "shop", "url": "https://shop.example/makegood", "types": ["refund.*", "pass.*"], "reason": "the shop's credit notes"}
_MADE: Final = {"endpoint": _ENDPOINT, "secret": "whsec_…"}
_BECAUSE: Final = {"reason": "the receiver is mended"}
_DELIVERIES: Final = {
    "waiting": [
        {
            "id": "evt_0199a1b2c3d47e5f8a9b0c1d2e3f4a63",
            "type": "refund.sent",
            "position": 40,
            "order": "M0VLU",
            "case": "case_0199a1b2c3d47e5f8a9b0c1d2e3f4a5b",
            "state": "parked",
            "tries": 3,
            "failing_since": "2026-11-22T20:13:00Z",
            "next_try_at": "2026-11-22T20:15:35Z",
            "status": 500,
            "detail": "status 500",
        }
    ],
    "tries": [
        {
            "at": "2026-11-22T20:13:35Z",
            "id": "evt_0199a1b2c3d47e5f8a9b0c1d2e3f4a63",
            "type": "refund.sent",
            "status": 500,
            "detail": "status 500",
            "milliseconds": 48,
        }
    ],
}


class EndpointRoutes(Controller):
    """What `/v1/events` shows, posted to you as it happens, signed as Standard Webhooks says; the events of one order in their order.

    Answer 2xx within 15 s. What is not taken is tried again for three days; then it waits for you, or for a replay.
    """

    tags = ("events",)

    @get("/v1/endpoints", opt={**_READ, **examples(answer={"endpoints": [_ENDPOINT]})})
    async def list_endpoints(self, caller: NamedDependency[Caller], endpoints: NamedDependency[Endpoints]) -> EndpointsShown:
        """Shows where you are told, the oldest first. Never a secret."""
        return EndpointsShown(endpoints=tuple(await endpoints.list(caller.platform_id)))

    @post("/v1/endpoints", opt={**_WRITE, **examples(request=_NEW, answer=_MADE)})
    async def make_endpoint(
        self,
        data: JSONBody[NewEndpoint],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
        idempotency: NamedDependency[IdempotencyKey],
    ) -> Made:
        """Makes an endpoint, which is told what happens from now on. `secret` is shown this once; null where the request is repeated."""
        return await endpoints.make(caller, idempotency, name=data.name, url=data.url, types=data.types, why=data.reason)

    @get("/v1/endpoints/{endpoint_id:str}", opt={**_READ, **examples(answer=_ENDPOINT)})
    async def get_endpoint(
        self, endpoint_id: FromPath[str], caller: NamedDependency[Caller], endpoints: NamedDependency[Endpoints]
    ) -> Endpoint:
        """Shows an endpoint."""
        return _found(await endpoints.get(caller.platform_id, _id(endpoint_id)))

    @patch(
        "/v1/endpoints/{endpoint_id:str}",
        opt={**_WRITE, **examples(request={"state": "paused", "reason": "the shop is moving"}, answer=_ENDPOINT)},
    )
    async def change_endpoint(
        self,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointChange],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
    ) -> Endpoint:
        """Changes an endpoint, or pauses it."""
        given = {"name": data.name, "url": data.url, "types": data.types, "state": data.state}
        changes = {name: value for name, value in given.items() if value is not None}
        return _found(await endpoints.change(caller, _id(endpoint_id), changes, data.reason))

    @delete("/v1/endpoints/{endpoint_id:str}", opt=_WRITE)
    async def remove_endpoint(
        self,
        endpoint_id: FromPath[str],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
        reason: FromQuery[Reason | None] = None,
    ) -> None:
        """Removes an endpoint, with what waits for it."""
        if not await endpoints.remove(caller, _id(endpoint_id), reason or ""):
            raise problems.not_found("endpoint")

    @post(
        "/v1/endpoints/{endpoint_id:str}/rotate",
        opt={**_WRITE, **examples(request={"overlap_hours": 24, "reason": "every year"}, answer=_MADE)},
    )
    async def rotate_endpoint(
        self,
        endpoint_id: FromPath[str],
        data: JSONBody[SecretRotation],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
        idempotency: NamedDependency[IdempotencyKey],
    ) -> Made:
        """Makes a new secret. Until the overlap ends both sign, so a receiver may change over whenever it suits."""
        return _found(await endpoints.rotate(caller, idempotency, _id(endpoint_id), data.overlap_hours, data.reason))

    @post(
        "/v1/endpoints/{endpoint_id:str}/test",
        status_code=200,
        opt={**_WRITE, **examples(answer={"delivered": True, "status": 204, "detail": "", "milliseconds": 48})},
    )
    async def try_endpoint(
        self, endpoint_id: FromPath[str], caller: NamedDependency[Caller], endpoints: NamedDependency[Endpoints]
    ) -> TestResult:
        """Sends a `ping` now and says what came back. It changes nothing, and has no place in the feed."""
        return _found(await endpoints.test(caller, _id(endpoint_id)))

    @post(
        "/v1/endpoints/{endpoint_id:str}/replay",
        status_code=200,
        opt={**_WRITE, **examples(request={"after": 40, "reason": "we lost a day"}, answer={"events": 12})},
    )
    async def replay_endpoint(
        self,
        endpoint_id: FromPath[str],
        data: JSONBody[Replay],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
        idempotency: NamedDependency[IdempotencyKey],
    ) -> Replayed:
        """Sends again what you missed or lost, under the ids that it had."""
        count = await endpoints.replay(caller, idempotency, _id(endpoint_id), _asked(data), data.reason)
        return Replayed(events=_found(count))

    @post(
        "/v1/endpoints/{endpoint_id:str}/enable",
        status_code=200,
        opt={**_WRITE, **examples(request=_BECAUSE, answer=_ENDPOINT)},
    )
    async def enable_endpoint(
        self,
        endpoint_id: FromPath[str],
        data: JSONBody[Because],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
    ) -> Endpoint:
        """Tries an endpoint again that was given up, or that fails: from where it was, with what waits, at once."""
        return _found(await endpoints.enable(caller, _id(endpoint_id), data.reason))

    @get("/v1/endpoints/{endpoint_id:str}/deliveries", opt={**_READ, **examples(answer=_DELIVERIES)})
    async def list_deliveries(
        self,
        endpoint_id: FromPath[str],
        caller: NamedDependency[Caller],
        endpoints: NamedDependency[Endpoints],
        after: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
        only: FromQuery[Literal["parked", "dead"] | None] = None,
    ) -> Deliveries:
        """Shows what an endpoint has not taken, after a position and at most 200, and what went wrong in the last seven days."""
        return _found(await endpoints.deliveries(caller.platform_id, _id(endpoint_id), after=after, state=only))


def _id(text: str) -> UUID:
    found = unwire(WireId.ENDPOINT, text)
    if found is None:
        raise problems.not_found("endpoint")
    return found


def _found(thing: _T | None) -> _T:
    if thing is None:
        raise problems.not_found("endpoint")
    return thing


def _asked(data: Replay) -> dict[str, object]:
    """Raises Problem 400."""
    given = [data.after is not None, data.from_ is not None or data.to is not None, bool(data.events)]
    if sum(given) != 1:
        raise problems.invalid("", "has to name one of `after`, `from` with `to`, and `events`")
    if data.after is not None:
        return {"after": data.after}
    if data.events:
        return {"events": [str(UUID(one.removeprefix("evt_"))) for one in data.events]}
    if data.from_ is None or data.to is None or data.to < data.from_:
        raise problems.invalid("/to", "has to come with `from`, and not before it")
    return {"from": data.from_, "to": data.to}


def _refused(error: Refused) -> problems.Problem:
    return problems.invalid(error.field, error.message)


def _too_many(_: TooMany) -> problems.Problem:
    return problems.conflict("too_many_endpoints", "There are too many endpoints", f"A platform has at most {ENDPOINTS_MAX}.")


def _not_by_hand(_: NotByHand) -> problems.Problem:
    return problems.conflict(
        "not_by_hand", "This endpoint does not allow that", "A disabled one is enabled first; an adapter's has no address."
    )


FAILURES: Final[problems.Failures] = {Refused: _refused, TooMany: _too_many, NotByHand: _not_by_hand}
"""how the exceptions of `service.endpoints` read on the wire"""
