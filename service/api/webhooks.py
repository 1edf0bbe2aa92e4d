"""Routes that payment processors call: `/webhooks/<kind>/<rail>`. Verified, kept, answered; what it means is worked out afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath

from service.api import problems
from service.api.auth import open_to_anyone
from service.inbox import Inbox
from service.ports import Forged

# The largest that a processor sends is some 100 kB (a charge with everything in it); a batch of Adyen's has a handful of items.
WEBHOOK_BYTES_MAX: Final = 256 * 1024

_OPEN: Final = open_to_anyone("the processor signs the body")
_ANSWERS: Final = {
    200: ResponseSpec(
        data_container=bytes, generate_examples=False, media_type="text/plain", description="Kept; what the processor wants to read back"
    )
}


@dataclass
class _SignedOperation(Operation):
    """The handler reads the raw bytes itself, so the contract has to be told of the body."""

    def __post_init__(self) -> None:
        content = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
        self.request_body = RequestBody(required=True, description="As the processor sends and signs it.", content=content)


class WebhookRoutes(Controller):
    """Each configured rail whose secret is set has one; a rail without is not there."""

    tags = ("webhooks",)

    @post(
        "/webhooks/{kind:str}/{rail:str}",
        status_code=200,
        media_type="text/plain",
        request_max_body_size=WEBHOOK_BYTES_MAX,
        operation_class=_SignedOperation,
        responses=_ANSWERS,
        opt=_OPEN,
    )
    async def take_webhook(
        self,
        request: Request[Any, Any, Any],
        kind: FromPath[str],
        rail: FromPath[str],
        client_address: NamedDependency[str],
        inbox: NamedDependency[Inbox],
    ) -> Response[bytes]:
        """Takes a processor's notification of one rail: raw bytes, signed; at most 256 KiB. The same again is answered the same.

        429 for an address that had a processor asked too often about what it did not send; processors deliver again later.
        """
        return await _take(request, inbox, inbox.rail_of(kind, rail), client_address)

    @post(
        "/webhooks/{kind:str}",
        status_code=200,
        media_type="text/plain",
        request_max_body_size=WEBHOOK_BYTES_MAX,
        operation_class=_SignedOperation,
        responses=_ANSWERS,
        opt=_OPEN,
    )
    async def take_only_webhook(
        self, request: Request[Any, Any, Any], kind: FromPath[str], client_address: NamedDependency[str], inbox: NamedDependency[Inbox]
    ) -> Response[bytes]:
        """Takes a processor's notification where a single rail is of this kind (`stripe`, `adyen`, `paypal`, `sandbox`)."""
        return await _take(request, inbox, inbox.rail_of(kind, None), client_address)


async def _take(request: Request[Any, Any, Any], inbox: Inbox, rail: str | None, client: str) -> Response[bytes]:
    """A rail that does not exist and one whose secret is not set read the same, and neither body is read."""
    if rail is None:
        raise problems.not_found("webhook")
    body = await request.body()
    try:
        reply = await inbox.take(rail, body, {name.lower(): value for name, value in request.headers.items()}, client=client)
    except (Forged, ValueError, RecursionError):
        # What exactly is wrong would help only whoever tries signatures.
        raise problems.Problem(status=400, code="webhook_not_accepted", title="This is no notification that we can accept") from None
    return Response(reply, media_type="text/plain")
