"""A typed client of Makegood's HTTP contract: `Makegood("https://help.example", token).open_case({...}, idempotency_key="contact-1")`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from makegood_client import events, types
from makegood_client.operations import Operations

__all__ = ["Makegood", "ProblemError", "events", "types"]

# The service waits 25 s at most for an outcome (`prefer="wait=25"`), and keeps a stream open as long.
_SECONDS_MAX: Final = 40.0


class ProblemError(Exception):
    """The service said no. `type` is for programs, `detail` for people, `errors` name the fields (RFC 9457).

    `retry_after` is in seconds, where the service names it. Sending the same POST again under its key is always safe.
    """

    def __init__(self, problem: types.ProblemBody, *, retry_after: int | None) -> None:
        fields = "; ".join(f"{one['field']} {one['message']}" for one in problem.get("errors", []))
        super().__init__(" ".join(part for part in (f"{problem['status']} {problem['title']}.", problem.get("detail"), fields) if part))
        self.type = problem["type"]
        self.status = problem["status"]
        self.detail = problem.get("detail", "")
        self.errors = problem.get("errors", [])
        self.retry_after = retry_after


class Makegood(Operations):
    """One caller: a key of the platform or of an agent, a session, or, with `platform`, the platform's own JWT for its customer.

    Answers are dictionaries as the contract types them, so a field that a later release adds breaks nothing. Raises ProblemError,
    and httpx.TransportError where no answer came.
    """

    def __init__(self, url: str, token: str | None = None, *, platform: str | None = None, http: httpx.Client | None = None) -> None:
        given = {"Authorization": f"Bearer {token}" if token else None, "Makegood-Platform": platform}
        self._headers = {name: value for name, value in given.items() if value is not None}
        self._url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
        lines: str | None = None,
    ) -> Any:
        sent = {"json": body} if lines is None else {"content": lines.encode()}
        more = {name: value for name, value in (headers or {}).items() if value is not None}
        if lines is not None:
            more["Content-Type"] = "application/x-ndjson"
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        response = self._http.request(method, self._url + path, params=asked, headers={**self._headers, **more}, **sent)
        _raise_for_problem(response)
        if "ndjson" in response.headers.get("content-type", ""):
            return response.text
        return response.json() if response.content else None

    def _stream(self, path: str, *, last_event_id: str | None) -> Iterator[types.ProgressEvent]:
        more = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
        with self._http.stream("GET", self._url + path, headers={**self._headers, **more}) as response:
            if not response.is_success:
                response.read()
                _raise_for_problem(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if name in {"event", "data", "id"}:
                    fields[name] = value.removeprefix(" ")
                elif not line and "data" in fields:
                    event: Any = {"event": fields.get("event", ""), "id": fields.get("id", ""), "data": fields["data"]}
                    yield event
                    fields = {}


def _raise_for_problem(response: httpx.Response) -> None:
    if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
        return
    after = response.headers.get("retry-after", "")
    try:
        found = response.json()
    except ValueError:
        found = None
    # A proxy in between answers in words of its own.
    problem = found if isinstance(found, dict) and "type" in found else {"type": "about:blank", "title": response.reason_phrase}
    raise ProblemError({**problem, "status": response.status_code}, retry_after=int(after) if after.isdigit() else None)  # type: ignore[typeddict-item]
