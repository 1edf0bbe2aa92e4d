"""Every failure as one shape on the wire: RFC 9457 problems that name the field, and never more than the caller may know."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from service.api import requests
from service.ports import Unavailable

MEDIA_TYPE: Final = "application/problem+json"

# A traceback is read by people; the frames nearest the failure tell the story.
_FRAMES_LOGGED_MAX: Final = 25

# One validation pass can complain about every parameter; nobody reads more, and an answer has a bounded size.
_ERRORS_SHOWN_MAX: Final = 20

# When a part we need does not answer: long enough for a restart of PostgreSQL, short enough for a customer who waits.
_RETRY_AFTER_SECONDS: Final = 2

# Titles of the statuses that the frame itself answers with (RFC 9110, section 15); a problem of ours brings its own.
TITLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid_request", "The request is not valid"),
    401: ("not_authenticated", "Nobody is signed in"),
    403: ("not_allowed", "This caller may not do this"),
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This resource has no such method"),
    413: ("body_too_large", "The body is too large"),
    415: ("unsupported_media_type", "The body is not JSON"),
    422: ("unprocessable", "The request cannot be carried out"),
    429: ("too_many_requests", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    503: ("unavailable", "A part we need does not answer just now"),
}

# What msgspec says: "Expected `int`, got `str` - at `$.items[0].price`", "Object missing required field `ref` - at `$.items[0]`".
_PLACE: Final = re.compile(r" - at `(?:key in )?`?\$(?P<path>[^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_NAMED_FIELD: Final = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")

log: Final = structlog.get_logger(__name__)

Failures = Mapping[type[Exception], Callable[[Any], "Problem"]]
"""how exceptions of the domain read on the wire"""


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field. `field`: a JSON pointer (RFC 6901) into the body, or the name of a parameter or header."""

    field: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as RFC 9457 writes it. `type` is stable and meant for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    """names this occurrence: the request id, as in the header X-Request-Id"""
    errors: tuple[FieldError, ...] = ()
    preview: Mapping[str, Any] | None = None
    """of `facts_moved`: what it would do now"""
    likely: Mapping[str, Any] | None = None
    """of `offer_moved`: what the rules would do now"""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """Raised by handlers; becomes the answer. `code` is stable; `title` is the same for each code; `detail` tells this occurrence."""

    def __init__(
        self,
        *,
        status: int,
        code: str,
        title: str = "",
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        preview: Mapping[str, Any] | None = None,
        likely: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title or TITLES.get(status, TITLES[500])[1]
        self.detail = detail
        self.errors = tuple(errors[:_ERRORS_SHOWN_MAX])
        self.headers = dict(headers or {})
        self.preview = preview
        self.likely = likely


def invalid(field: str, message: str, *, code: str = "invalid_request") -> Problem:
    """400: one field is wrong, and which."""
    return Problem(status=400, code=code, title=TITLES[400][1], errors=[FieldError(field=field, message=message)])


def not_found(what: str = "resource") -> Problem:
    """404, for what does not exist and for what belongs to somebody else: the two read the same."""
    return Problem(status=404, code="not_found", detail=f"There is no such {what}, or it is not yours.")


def not_authenticated(detail: str, *, challenge: str = "Bearer") -> Problem:
    """401 with its challenge (RFC 6750, section 3)."""
    return Problem(status=401, code="not_authenticated", detail=detail, headers={"WWW-Authenticate": challenge})


def not_allowed(code: str, detail: str) -> Problem:
    """403: we know who you are, and this is not for you."""
    return Problem(status=403, code=code, detail=detail)


def conflict(code: str, title: str, detail: str = "") -> Problem:
    """409: right, but not in the present state."""
    return Problem(status=409, code=code, title=title, detail=detail)


def too_many(retry_after_seconds: int) -> Problem:
    """429; says when, and nothing about what was asked for."""
    seconds = max(1, retry_after_seconds)
    return Problem(
        status=429,
        code="too_many_requests",
        detail=f"Try again in {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
    )


def from_validation(error: msgspec.ValidationError) -> Problem:
    """400 from msgspec's complaint about a body, with the place as a JSON pointer."""
    message = str(error)
    place = _PLACE.search(message)
    said = message[: place.start()] if place else message
    pointer = _pointer(place["path"] if place else "")
    named = _NAMED_FIELD.match(said)
    if named:
        pointer = f"{pointer}/{_escaped(named['name'])}"
        said = "is required" if "missing" in said else "is not a field of this object"
    return invalid(pointer, said)


def respond(request: Request[Any, Any, Any], problem: Problem) -> Response[ProblemBody]:
    return Response(
        content=ProblemBody(
            type=f"urn:makegood:problem:{problem.code}",
            title=problem.title,
            status=problem.status,
            detail=problem.detail,
            instance=f"urn:makegood:request:{requests.request_id(request.scope)}",
            errors=problem.errors,
            preview=problem.preview,
            likely=problem.likely,
        ),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def handlers(failures: Failures, *, unreachable: Sequence[type[Exception]] = ()) -> ExceptionHandlersMap:
    """What to answer for each exception; `failures` translates those of the domain, `unreachable` is what an absent database raises."""

    def translated(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemBody]:
        for kind in type(error).__mro__:
            if kind in failures:
                return respond(request, failures[kind](error))
        return _unexpected(request, error)

    known: dict[int | type[Exception], Any] = {
        Problem: respond,
        HTTPException: _from_framework,
        Unavailable: _from_unavailable,
        Exception: _unexpected,
    }
    return {**known, **dict.fromkeys(unreachable, _from_unreachable), **dict.fromkeys(failures, translated)}


def _from_unavailable(request: Request[Any, Any, Any], error: Unavailable) -> Response[ProblemBody]:
    """503: a port said that nothing happened. Its detail is for the log, not for the caller."""
    log.warning("part_unavailable", request_id=requests.request_id(request.scope), detail=error.detail)
    seconds = max(1, round(error.retry_after_seconds or _RETRY_AFTER_SECONDS))
    return respond(request, Problem(status=503, code="unavailable", headers={"Retry-After": str(seconds)}))


def _from_unreachable(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemBody]:
    """503: the database is away. The same request, with the same Idempotency-Key, may be sent again."""
    log.error("database_unreachable", request_id=requests.request_id(request.scope), error=type(error).__qualname__)
    return respond(request, Problem(status=503, code="unavailable", headers={"Retry-After": str(_RETRY_AFTER_SECONDS)}))


def _from_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemBody]:
    """What the framework refuses by itself: unknown routes, methods, parameters, sizes. Its own texts may quote the request: not shown."""
    if error.status_code >= 500:
        return _unexpected(request, error)
    code, title = TITLES.get(error.status_code, TITLES[400])
    errors = _parameter_errors(error) if isinstance(error, ValidationException) else ()
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return respond(request, Problem(status=error.status_code, code=code, title=title, errors=errors, headers=headers))


def _parameter_errors(error: ValidationException) -> Sequence[FieldError]:
    found: list[FieldError] = []
    for item in error.extra if isinstance(error.extra, list) else ():
        name = str(item.get("key", ""))
        if name in ("", "data"):
            found.append(FieldError(field="", message="a JSON body is required"))
        else:
            found.append(FieldError(field=name, message=str(item.get("message", ""))))
    return found


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemBody]:
    """500 without a detail. The log gets the frames and no text of the error: a database's message may quote an address."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_LOGGED_MAX:]
    log.error(
        "request_failed",
        request_id=requests.request_id(request.scope),
        method=request.method,
        route=request.scope.get("path_template", ""),
        error=f"{type(error).__module__}.{type(error).__qualname__}",
        sqlstate=getattr(error, "sqlstate", None),
        frames=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return respond(request, Problem(status=500, code="internal_error"))


def _pointer(path: str) -> str:
    """`.items[0].price` as `/items/0/price`; a key that msgspec does not name is `*`."""
    steps = (name or index.replace("...", "*") for name, index in _STEP.findall(path))
    return "".join(f"/{_escaped(step)}" for step in steps)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def answers(status: int, description: str) -> dict[int, ResponseSpec]:
    """For a route's `responses`: a problem that it alone answers with."""
    return {status: ResponseSpec(data_container=ProblemBody, generate_examples=False, media_type=MEDIA_TYPE, description=description)}
