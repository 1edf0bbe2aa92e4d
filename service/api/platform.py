"""Routes with which a platform feeds us: orders, one or many, shows, and incidents on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import JSONBody, PathParameter

from service.api import bulk, problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.api.platform_examples import BULK, BULK_SHOWN, INCIDENT, ORDER, ORDER_SHOWN, SHOW, SHOW_SHOWN
from service.callers import Caller
from service.feed import IncidentFeed, OrderFeed, ShowFeed
from service.feed_rules import FeedInvalid
from service.orders import FeedConflict, Orders, OrderState
from service.shows import Shows, ShowState, UnknownShow
from service.store.orders import Written

NDJSON: Final = "application/x-ndjson"

Result = Literal["created", "updated", "unchanged", "older"]

# The bounds of feed.Ref; the framework does not read them from there for a parameter.
RefInPath = Annotated[str, PathParameter(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:~@+-]+$(?!\n)")]

_Body = TypeVar("_Body")
_WRITE: Final = opens_to("platform", scope="orders:write")
_READ: Final = opens_to("platform", scope="orders:read")


class OrderPut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the document, and the order as it is now. `unchanged`: we had it; `older`: we have a newer one, which stays."""

    applied: bool
    result: Result
    order: OrderState


class ShowPut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the document, and the show as it is now. `unchanged`: we had it; `older`: we have a newer one, which stays."""

    applied: bool
    result: Result
    show: ShowState


_CONFLICT: Final = ResponseSpec(
    data_container=problems.ProblemBody,
    generate_examples=False,
    media_type=problems.MEDIA_TYPE,
    description="This version is here with another body",
)


def _put_answers(container: type[Any]) -> dict[int, ResponseSpec]:
    return {201: ResponseSpec(data_container=container, generate_examples=False, description="It was new"), 409: _CONFLICT}


@dataclass
class _BulkOperation(Operation):
    """The handler reads the stream itself, so the contract has to be told of the body."""

    def __post_init__(self) -> None:
        content = {NDJSON: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))}
        self.request_body = RequestBody(required=True, description="One `{ref, order}` a line.", content=content)


class PlatformFeed(Controller):
    """What the platform says is versioned: an older version never replaces a newer, so sending again and out of order is safe."""

    tags = ("feed",)

    @put("/v1/orders/{ref:str}", responses=_put_answers(OrderPut), opt={**_WRITE, **examples(request=ORDER, answer=ORDER_SHOWN)})
    async def put_order(
        self, ref: RefInPath, data: JSONBody[OrderFeed], caller: NamedDependency[Caller], orders: NamedDependency[Orders]
    ) -> Response[OrderPut]:
        """Takes an order in, whole: what it no longer names is cancelled. What we refund and promise is never touched."""
        written = await orders.put(caller.platform_id, ref, data, source=caller.name)
        order = await _order(orders, caller, ref)
        return _answer(written, OrderPut(applied=_applied(written), result=_result(written), order=order))

    @get("/v1/orders/{ref:str}", opt={**_READ, **examples(answer=ORDER_SHOWN["order"])})
    async def get_order(self, ref: RefInPath, caller: NamedDependency[Caller], orders: NamedDependency[Orders]) -> OrderState:
        """Shows an order as we have it, with what was refunded and by whom. Without names and addresses."""
        return await _order(orders, caller, ref)

    @post(
        "/v1/orders/bulk",
        status_code=200,
        request_max_body_size=bulk.BULK_BYTES_MAX,
        operation_class=_BulkOperation,
        opt={**_WRITE, **examples(request=BULK, answer=BULK_SHOWN)},
        responses={200: ResponseSpec(data_container=str, generate_examples=False, media_type=NDJSON, description="One result a line")},
    )
    async def put_orders(
        self, request: Request[Any, Any, Any], caller: NamedDependency[Caller], orders: NamedDependency[Orders]
    ) -> Response[bytes]:
        """Takes many orders in: one `{"ref": …, "order": …}` a line, each answered by one line with its number, and a result or a problem.

        Each line stands for itself, so a wrong one stops no other, and all may be sent again. At most 10,000 lines and 64 MiB.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != NDJSON:
            raise problems.Problem(
                status=415,
                code="unsupported_media_type",
                errors=[problems.FieldError(field="Content-Type", message=f"has to be {NDJSON}")],
            )
        return Response(await bulk.take_in(request.stream(), caller, orders, FAILURES), media_type=NDJSON)

    @put("/v1/shows/{ref:str}", responses=_put_answers(ShowPut), opt={**_WRITE, **examples(request=SHOW, answer=SHOW_SHOWN)})
    async def put_show(
        self, ref: RefInPath, data: JSONBody[ShowFeed], caller: NamedDependency[Caller], shows: NamedDependency[Shows]
    ) -> Response[ShowPut]:
        """Takes a show in. One that is cancelled, postponed or moved wakes the cases that wait for that."""
        written = await shows.put(caller.platform_id, ref, data, source=caller.name)
        show = await _show(shows, caller, ref)
        return _answer(written, ShowPut(applied=_applied(written), result=_result(written), show=show))

    @get("/v1/shows/{ref:str}", opt={**_READ, **examples(answer=SHOW_SHOWN["show"])})
    async def get_show(self, ref: RefInPath, caller: NamedDependency[Caller], shows: NamedDependency[Shows]) -> ShowState:
        """Shows a show as we have it, with its incidents."""
        return await _show(shows, caller, ref)

    @put(
        "/v1/shows/{ref:str}/incidents/{incident:str}",
        responses=_put_answers(ShowPut),
        opt={**_WRITE, **examples(request=INCIDENT, answer=SHOW_SHOWN)},
    )
    async def put_incident(
        self,
        ref: RefInPath,
        incident: RefInPath,
        data: JSONBody[IncidentFeed],
        caller: NamedDependency[Caller],
        shows: NamedDependency[Shows],
    ) -> Response[ShowPut]:
        """Takes an incident in: running while it has no end. When it ends, the cases that wait for that are decided."""
        written = await shows.put_incident(caller.platform_id, ref, incident, data)
        show = await _show(shows, caller, ref)
        return _answer(written, ShowPut(applied=_applied(written), result=_result(written), show=show))


async def _order(orders: Orders, caller: Caller, ref: str) -> OrderState:
    found = await orders.get(caller.platform_id, ref)
    if found is None:
        raise problems.not_found("order")
    return found


async def _show(shows: Shows, caller: Caller, ref: str) -> ShowState:
    found = await shows.get(caller.platform_id, ref)
    if found is None:
        raise problems.not_found("show")
    return found


def _applied(written: Written) -> bool:
    return written.result in ("created", "updated")


def _result(written: Written) -> Result:
    result: Result = msgspec.convert(written.result, Result)
    return result


def _answer(written: Written, content: _Body) -> Response[_Body]:
    return Response(content, status_code=201 if written.result == "created" else 200)


def _invalid(error: FeedInvalid) -> problems.Problem:
    return problems.Problem(
        status=400,
        code="invalid_feed",
        title="The document contradicts itself, or what we know",
        errors=[problems.FieldError(field=mistake.field, message=mistake.message) for mistake in error.mistakes],
    )


def _conflicting(error: FeedConflict) -> problems.Problem:
    if error.code == "currency_changed":
        return problems.conflict("currency_changed", "The currency of an order never changes")
    return problems.conflict(
        "version_reused", "This version is here with another body", f"Version {error.version} says something else. Send a higher one."
    )


def _no_show(_error: UnknownShow) -> problems.Problem:
    return problems.not_found("show")


FAILURES: Final[problems.Failures] = {FeedInvalid: _invalid, FeedConflict: _conflicting, UnknownShow: _no_show}
