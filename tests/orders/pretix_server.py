"""A small pretix for the tests: a real HTTP server with pages, a token, and troubles on demand."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.orders.loading import DATA, raw_event, raw_orders

TOKEN: Final = "t0ken"
STARTED: Final = "2026-11-22T10:00:00Z"


class Trouble:
    """What goes wrong with one request for a page of orders: a status (with headers), or a page cut off in the middle."""

    def __init__(self, *, status: int = 0, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}


class PretixServer:
    """`troubles`: one for each coming request of orders, None for none. `asked`: the requests of orders so far."""

    def __init__(self, show: str, *, page_size: int) -> None:
        self.event = raw_event(show)
        self.items: list[dict[str, Any]] = json.loads((DATA / "pretix" / show / "items.json").read_text())
        self.orders = raw_orders(show)
        self.page_size = page_size
        self.troubles: deque[Trouble | None] = deque()
        self.asked: list[dict[str, str]] = []
        self.url = ""

    def page(self, path: str, query: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        rows = self.items if path.endswith("/items/") else self.orders
        if "modified_since" in query:
            rows = [row for row in rows if row["last_modified"] >= query["modified_since"]]
        number = int(query.get("page", "1"))
        part = rows[(number - 1) * self.page_size : number * self.page_size]
        more = number * self.page_size < len(rows)
        # As behind a proxy that does not pass its name on: the next page is said to be on another host.
        rest = "&".join(f"{name}={value}" for name, value in {**query, "page": str(number + 1)}.items())
        return part, {"count": len(rows), "next": f"http://pretix.internal{path}?{rest}" if more else None, "previous": None}


class _Handler(BaseHTTPRequestHandler):
    pretix: PretixServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        root = f"/api/v1/organizers/org/events/{self.pretix.event['slug']}/"
        if self.headers["Authorization"] != f"Token {TOKEN}":
            self._answer(401, {"detail": "Invalid token."})
        elif address.path == root:
            self._answer(200, self.pretix.event)
        elif address.path in (f"{root}items/", f"{root}orders/"):
            self._page(address.path, query)
        else:
            self._answer(404, {"detail": "Not found."})

    def _page(self, path: str, query: dict[str, str]) -> None:
        trouble = None
        if path.endswith("/orders/"):
            self.pretix.asked.append(query)
            trouble = self.pretix.troubles.popleft() if self.pretix.troubles else None
        if trouble is not None and trouble.status:
            self._answer(trouble.status, {"detail": "later"}, trouble.headers)
            return
        rows, frame = self.pretix.page(path, query)
        self._answer(200, {**frame, "results": rows}, {"X-Page-Generated": STARTED}, cut=trouble is not None)

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Nothing: a test's output is for the test."""


@contextmanager
def running(show: str, *, page_size: int = 20) -> Iterator[PretixServer]:
    pretix = PretixServer(show, page_size=page_size)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"pretix": pretix}))
    pretix.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield pretix
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
