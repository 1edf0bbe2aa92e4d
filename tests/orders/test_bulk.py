"""Many orders in one request: each line stands for itself, and the whole may be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from service.api import bulk
from service.store.pool import Pool
from tests.orders.loading import everything_of, order_body

HEADERS = {"Content-Type": "application/x-ndjson"}


def line(ref: str, body: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"ref": ref, "order": body}) + b"\n"


async def send(client: httpx.AsyncClient, content: bytes | AsyncIterator[bytes]) -> list[dict[str, Any]]:
    answer = await client.post("/v1/orders/bulk", content=content, headers=HEADERS)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "application/x-ndjson")
    return [msgspec.json.decode(one) for one in answer.content.splitlines()]


async def test_every_line_is_answered_with_its_number(client: httpx.AsyncClient) -> None:
    bodies = [order_body() for _ in range(3)]
    results = await send(client, b"".join(line(f"B{number}", body) for number, body in enumerate(bodies)))
    assert results == [{"line": number + 1, "ref": f"B{number}", "result": "created"} for number in range(3)]


async def test_a_wrong_line_names_its_field_and_stops_no_other(client: httpx.AsyncClient) -> None:
    good, wrong = order_body(), order_body(total=1)
    content = line("B1", wrong) + b"not json\n\n" + b'{"ref": "B2"}\n' + line("B3", good).rstrip()

    results = await send(client, content)

    assert [(one["line"], one.get("result"), one.get("problem", {}).get("status")) for one in results] == [
        (1, None, 400),
        (2, None, 400),
        (4, None, 400),
        (5, "created", None),
    ]
    assert [[error["field"] for error in one["problem"]["errors"]] for one in results[:3]] == [["/total"], [""], ["/order"]]
    assert "ref" in results[0]


async def test_the_whole_may_be_sent_again(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    content = b"".join(line(f"B{number}", order_body()) for number in range(5))
    await send(client, content)
    before = await everything_of(pool, platform_id)
    assert {one["result"] for one in await send(client, content)} == {"unchanged"}
    assert await everything_of(pool, platform_id) == before


async def test_lines_may_arrive_in_any_pieces(client: httpx.AsyncClient) -> None:
    content = line("B1", order_body()) + line("B2", order_body())

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    assert [one["result"] for one in await send(client, pieces())] == ["created", "created"]


async def test_a_line_that_is_too_long_is_refused_without_being_held(client: httpx.AsyncClient) -> None:
    content = b'{"ref": "' + b"x" * bulk.LINE_BYTES_MAX + b'"}\n' + line("B1", order_body())
    results = await send(client, content)
    assert [(one["line"], one.get("problem", {}).get("status"), one.get("result")) for one in results] == [
        (1, 413, None),
        (2, None, "created"),
    ]


async def test_too_many_lines_say_where_to_go_on(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LINES_MAX", 2)
    results = await send(client, b"".join(line(f"B{number}", order_body()) for number in range(4)))
    assert [one.get("result") for one in results] == ["created", "created", None]
    assert results[2]["problem"] == {
        "type": "urn:makegood:problem:too_many_lines",
        "title": "Too many lines",
        "status": 413,
        "detail": "Send line 3 and what follows again.",
    }


async def test_a_body_of_another_kind_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/orders/bulk", content=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (415, ["Content-Type"])
