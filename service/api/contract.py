"""The contract: what OpenAPI 3.1 says of every route, completed here in one place with what all routes have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from service.api import auth, contract_webhooks, headers, problems
from service.api.desk_cookie import HEADER, NAME

_EXAMPLES: Final = "examples"

SECURITY: Final = Components(
    security_schemes={
        "key": SecurityScheme(
            type="http",
            scheme="bearer",
            description="A key of the platform or of an agent (`mgk_…`), made with `makegood keys make`: scoped, expiring, revocable.",
        ),
        "console": SecurityScheme(
            type="apiKey",
            name=NAME,
            security_scheme_in="cookie",
            description=(
                f"Whoever is signed in to the console at `/desk`; on https its name begins with `__Host-`. Whatever is no GET needs the "
                f"header `{HEADER}: 1` and an `Origin` of our own."
            ),
        ),
        "session": SecurityScheme(
            type="http",
            scheme="bearer",
            description="A customer's session (`mgs_…`) from `POST /v1/sessions`; a code sent by mail raises it to `verified`.",
        ),
        "platformToken": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWT",
            description=f"The platform's own JWT for its customer, with the header `{auth.PLATFORM_HEADER}`.",
        ),
    }
)

_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "platform": ("key",),
    "agent": ("key", "console"),
    "machine": ("key",),
    "customer": ("session", "platformToken"),
}

# What any operation may answer; what each one adds is decided in `_statuses`.
_ALWAYS: Final = (400, 429, 500, 503)

_PROBLEM_NAMES: Final[Mapping[int, str]] = {
    400: "InvalidRequest",
    401: "NotAuthenticated",
    403: "NotAllowed",
    404: "NotFound",
    409: "Conflict",
    413: "BodyTooLarge",
    415: "UnsupportedMediaType",
    422: "Unprocessable",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
}


def examples(*, request: object = None, answer: object = None) -> auth.Opt:
    """For a route's `opt`: one body as a client sends it and one as it comes back."""
    return {_EXAMPLES: (request, answer)}


def contract(app: Litestar) -> dict[str, Any]:
    """The whole document. The same routes give the same document, whatever the order in which they were registered."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_problem_schemas())
    components["schemas"].update(contract_webhooks.schemas())
    document["webhooks"] = contract_webhooks.webhooks()
    components["responses"] = {name: _problem_response(status) for status, name in _PROBLEM_NAMES.items()}
    for path, method, handler in operations(app):
        _complete(document["paths"][path][method], method, handler)
    return document


def render(document: Mapping[str, Any]) -> bytes:
    """As it is committed and served: sorted, indented, one newline at the end."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Path, method in lower case and handler of everything that the contract shows."""
    for path, method, handler in all_operations(app):
        if handler.resolve_include_in_schema():
            yield path, method, handler


def all_operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """The same with what the contract leaves out, but for OPTIONS, which the framework answers."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    yield route.path_format, method.lower(), handler


def _complete(operation: dict[str, Any], method: str, handler: HTTPRouteHandler) -> None:
    access = auth.declared_access(handler)
    asked = handler.parsed_fn_signature.parameters
    operation["summary"] = handler.fn.__name__.replace("_", " ").capitalize()
    operation["security"] = _security(access)
    operation["description"] = "\n\n".join(part for part in (operation.get("description", ""), _who(access)) if part)
    if "idempotency" in asked:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_PARAMETER)
    if "wait" in asked:
        operation.setdefault("parameters", []).append(_PREFER_PARAMETER)
    if "platform_slug" in asked:
        operation.setdefault("parameters", []).append(_PLATFORM_PARAMETER)
    answers = operation.setdefault("responses", {})
    # A program that needs a scope of its own needs the case as well, and may not have it.
    acts = access is not None and bool(access.callers) and (method == "post" or access.machines is not None)
    for status in _statuses(operation, access, creates="idempotency" in asked, acts=acts):
        answers[str(status)] = {"$ref": f"#/components/responses/{_PROBLEM_NAMES[status]}"}
    request, answer = handler.opt.get(_EXAMPLES, (None, None))
    if request is not None:
        _give_example(operation.get("requestBody", {}).get("content", {}), request)
    if answer is not None:
        for status, response in answers.items():
            if status.startswith("2"):
                _give_example(response.get("content", {}), answer)


def _statuses(operation: Mapping[str, Any], access: auth.Access | None, *, creates: bool, acts: bool) -> Iterator[int]:
    yield from _ALWAYS
    if access is not None and access.callers:
        yield from (401, 403, 404)
    elif operation.get("parameters"):
        yield 404
    if "requestBody" in operation:
        yield from (413, 415)
    if acts:
        yield 409  # whatever is done to something depends on how it stands
    if creates:
        yield 422


def _security(access: auth.Access | None) -> list[dict[str, list[str]]]:
    callers = access.callers if access else frozenset[str]()
    schemes = {scheme for kind in callers for scheme in _SCHEMES[kind]}
    return [{scheme: []} for scheme in sorted(schemes)]


def _who(access: auth.Access | None) -> str:
    if access is None or not access.callers:
        return f"Open to anyone: {access.reason}." if access else ""
    scope = f" A key needs the scope `{access.scope}`" if access.scope else ""
    scope += f", a machine agent's `{access.machines}`." if access.machines else "." if scope else ""
    return f"For: {', '.join(sorted(access.callers))}.{scope}"


def _give_example(content: dict[str, Any], example: object) -> None:
    for media in content.values():
        media["example"] = msgspec.to_builtins(example)


def _problem_schemas() -> dict[str, Any]:
    (_, schemas) = msgspec.json.schema_components([problems.ProblemBody], ref_template="#/components/schemas/{name}")
    return schemas


def _problem_response(status: int) -> dict[str, Any]:
    code, title = problems.TITLES.get(status, ("conflict", "Right, but not in the present state"))
    example = problems.ProblemBody(type=f"urn:makegood:problem:{code}", title=title, status=status)
    answer: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemBody"},
                "example": msgspec.to_builtins(example),
            }
        },
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return answer


_IDEMPOTENCY_PARAMETER: Final[dict[str, Any]] = {
    "name": headers.IDEMPOTENCY_HEADER,
    "in": "header",
    "required": True,
    "description": "New for each thing you want done; the same again, with the same body, answers with what it made the first time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    "example": "5f0c1f6e-order-1001-refund",
}

_PREFER_PARAMETER: Final[dict[str, Any]] = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N` (RFC 7240): how many seconds to wait for the outcome, 25 at most; then the answer is 202.",
    "schema": {"type": "string"},
    "example": f"wait={headers.WAIT_SECONDS_DEFAULT:.0f}",
}

_PLATFORM_PARAMETER: Final[dict[str, Any]] = {
    "name": auth.PLATFORM_HEADER,
    "in": "header",
    "required": True,
    "description": "The platform's short name.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
    "example": "moonlight",
}
