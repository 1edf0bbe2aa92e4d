"""What all routes stand in (one guard, one wire format, one shape of failure, limits, headers), and how the application is put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec
from litestar import Controller, Litestar, Response, Router, get
from litestar.datastructures import MutableScopeHeaders
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Message, Method, Scope

from service.api import auth, contract, headers, origins, problems, requests
from service.api.body import BODY_BYTES_MAX, JsonBody
from service.api.docs import Docs
from service.store.readiness import UNREACHABLE

# What answers of an API need: no guessing of types, no framing, no referrer, no copy in a cache. (A page brings its own.)
_SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Readiness(Protocol):
    async def missing(self) -> Sequence[str]:
        """What is in the way of serving, in words for an operator; empty when all is well. Never raises."""


Lifespan = Callable[[Litestar], AbstractAsyncContextManager[Any]]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes are given, put together by whoever starts the process.

    `domain`: each object is a dependency under its name: `{"cases": cases}` serves every handler with a parameter `cases: Cases`.
    """

    authenticator: auth.Authenticator
    readiness: Readiness
    client_address: requests.ClientAddress
    domain: Mapping[str, object]
    failures: problems.Failures = {}
    origins: origins.Origins = origins.Origins()
    """left out: no page of another origin may call"""


class More(msgspec.Struct, frozen=True, kw_only=True):
    """What one process serves beside the routes of every installation: the demo's own pages, and nothing else so far."""

    controllers: Sequence[type[Controller]] = ()
    domain: Mapping[str, object] = {}
    """what those controllers ask for by name, or in the place of what all have"""


NOTHING_MORE: Final = More()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: str


class Probes(Controller):
    """For load balancers and supervisors; not part of the contract."""

    include_in_schema = False

    @get("/livez", opt=auth.open_to_anyone("a probe has no key"), sync_to_thread=False)
    def livez(self) -> Health:
        """The process answers. Says nothing of its parts: a restart would not mend those."""
        return Health(status="ok")

    @get("/readyz", opt=auth.open_to_anyone("a probe has no key"))
    async def readyz(self, readiness: NamedDependency[Any]) -> Response[Health]:
        """Requests may be sent here: the database answers and has this release's tables."""
        missing: Sequence[str] = await readiness.missing()
        return Response(Health(status="; ".join(missing) or "ok"), status_code=503 if missing else 200)


def build_app(
    parts: Parts, controllers: Sequence[type[Controller] | Router | HTTPRouteHandler], *, version: str, lifespan: Sequence[Lifespan] = ()
) -> Litestar:
    """The application, ready to be served. Raises ImproperlyConfiguredException for routes that contradict each other."""
    return Litestar(
        route_handlers=[Probes, Docs, *controllers],
        dto=JsonBody,
        dependencies=_dependencies(parts),
        guards=[auth.guard_with(parts.authenticator, parts.origins)],
        exception_handlers=problems.handlers(parts.failures, unreachable=UNREACHABLE),
        before_send=[_add_headers, origins.add_headers],
        request_max_body_size=BODY_BYTES_MAX,
        lifespan=list(lifespan),
        openapi_config=_openapi(version),
        logging_config=None,  # ours is set up by the process; the framework's would print tracebacks
        debug=False,
    )


def _dependencies(parts: Parts) -> dict[str, Provide]:
    ours: Mapping[str, Any] = {
        "caller": auth.caller_of,
        "wait": headers.wait,
        "platform_slug": headers.platform_slug,
        "client_address": parts.client_address.of_request,
    }
    given = {**parts.domain, "readiness": parts.readiness}
    return {
        "idempotency": Provide(headers.idempotency_key),
        **{name: Provide(function, sync_to_thread=False) for name, function in ours.items()},
        **{name: Provide(_giver(thing), sync_to_thread=False) for name, thing in given.items()},
    }


def _giver(thing: object) -> Callable[[], Any]:
    def give() -> Any:
        return thing

    return give


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        answer = MutableScopeHeaders.from_message(message)
        answer["X-Request-Id"] = requests.request_id(scope)
        for name, value in _SECURITY_HEADERS.items():
            answer.setdefault(name, value)
        if re.search(r"frame-ancestors (?!'none')", answer["Content-Security-Policy"]):
            # The older header knows no list of pages, and some browsers would hold to both.
            del answer["X-Frame-Options"]


def _operation_id(handler: HTTPRouteHandler, _method: Method, _path: Sequence[Any]) -> str:
    """The handler's own name; clients' generators make their function names of it."""
    return handler.fn.__name__


def _openapi(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Makegood",
        version=version,
        description="Self-service resolution for live and streamed shows. Amounts are integers in minor units (ISO 4217), times are UTC.",
        components=contract.SECURITY,
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        # The page and the document are served by `Docs`; of Litestar's own, which load scripts from elsewhere, nothing is shown.
        openapi_router=Router("/framework-schema", route_handlers=[], include_in_schema=False, opt=auth.open_to_anyone("documentation")),
        render_plugins=[JsonRenderPlugin()],
    )
