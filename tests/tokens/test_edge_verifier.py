"""The edge's verifier keeps keys and revocations up politely, and does what was chosen when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from clients.edge_verifier.makegood_edge import KEYS_SECONDS, UNKNOWN_KEY_SECONDS, Edge, Refused
from service import tokens
from tests.patience import PATIENCE_SECONDS
from tests.tokens.test_attacks import AUDIENCE, ISSUER, KEY
from tests.tokens.test_tokens import NOW, claims_at

OTHER = tokens.generate()


class Installation:
    """What the edge reads: keys, pages of revocations, and whether anybody is there."""

    def __init__(self) -> None:
        self.keys = [KEY]
        self.pages: list[dict[str, Any]] = []
        self.away = False
        self.gone = False
        self.key_set: bytes | None = None
        self.page: bytes | None = None
        self.asked: list[str] = []
        self.sinces: list[int] = []
        self.news = asyncio.Event()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError("away")
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, content=self.key_set or tokens.jwks(tokens.public_keys(self.keys)))
        since = int(request.url.params["since"])
        self.sinces.append(since)
        if self.gone:
            self.gone = False
            return httpx.Response(410)
        if int(request.url.params["wait_seconds"]) and not [page for page in self.pages if page["next"] > since]:
            self.news.clear()
            await self.news.wait()
            if self.away:
                raise httpx.ConnectError("away")
        if self.page is not None:
            return httpx.Response(200, content=self.page)
        for page in self.pages:
            if page["next"] > since:
                return httpx.Response(200, json=page)
        return httpx.Response(200, json={"revocations": [], "next": since, "more": False})

    def say(self, *states: tuple[UUID, str], more: bool = False) -> None:
        revocations = [{"jti": str(jti), "state": state, "expires_at": "2999-01-01T00:00:00Z"} for jti, state in states]
        self.pages.append({"revocations": revocations, "next": len(self.pages) + 1, "more": more})
        self.news.set()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def _edge(there: Installation, clock: Callable[[], float], when_stale: Any = "refuse") -> AsyncIterator[Edge]:
    async with (
        httpx.AsyncClient(base_url=ISSUER, transport=httpx.MockTransport(there.answer)) as http,
        Edge(http, issuer=ISSUER, audience=AUDIENCE, when_stale=when_stale, clock=NOW.timestamp, monotonic=clock) as edge,
    ):
        yield edge


def _token(jti: int = 8, key: tokens.SigningKey = KEY) -> str:
    return tokens.mint(key, claims_at(NOW, token_id=UUID(int=jti)))


async def _reason(edge: Edge, token: str) -> str:
    try:
        await edge.admit(token, show="nl-2026")
    except Refused as refused:
        return refused.reason
    return ""


async def _becomes(edge: Edge, token: str, reason: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await _reason(edge, token) != reason:
            await asyncio.sleep(0.01)


async def test_every_page_is_read_before_anybody_is_admitted_and_news_count_at_once() -> None:
    there = Installation()
    there.say((UUID(int=1), "revoked"), more=True)
    there.say((UUID(int=2), "suspended"), (UUID(int=3), "locked"))
    async with _edge(there, Clock()) as edge:
        assert [await _reason(edge, _token(number)) for number in (1, 2, 3, 8)] == ["revoked", "suspended", "revoked", ""]
        there.say((UUID(int=8), "revoked"), (UUID(int=2), "active"))
        await _becomes(edge, _token(8), "revoked")
        assert await _reason(edge, _token(2)) == ""
        assert there.sinces[:3] == [0, 1, 2]


@pytest.mark.parametrize(("when_stale", "reason"), [("refuse", "stale"), ("admit", "")])
async def test_when_revocations_cannot_be_read_the_choice_decides_and_what_is_known_still_counts(when_stale: str, reason: str) -> None:
    there, clock = Installation(), Clock()
    there.say((UUID(int=1), "revoked"))
    async with _edge(there, clock, when_stale) as edge:
        assert await _reason(edge, _token()) == ""
        there.away = True
        there.news.set()
        clock.seconds += 61
        assert not edge.fresh
        assert await _reason(edge, _token()) == reason
        assert await _reason(edge, _token(1)) == "revoked"
        assert await _reason(edge, _token(key=OTHER)) == "unknown_key"
        there.away = False
        await _becomes(edge, _token(), "")
        there.say((UUID(int=9), "revoked"))
        await _becomes(edge, _token(9), "revoked")
        assert edge.fresh


@pytest.mark.parametrize("when_stale", ["refuse", "admit"])
async def test_nobody_is_admitted_before_keys_and_revocations_were_read_once(when_stale: str) -> None:
    there, clock = Installation(), Clock()
    there.away = True
    async with httpx.AsyncClient(base_url=ISSUER, transport=httpx.MockTransport(there.answer)) as http:
        edge = Edge(http, issuer=ISSUER, audience=AUDIENCE, when_stale=when_stale, clock=NOW.timestamp, monotonic=clock)  # type: ignore[arg-type]
        assert await _reason(edge, _token()) == "stale"


async def test_a_new_key_works_as_soon_as_a_token_names_it_and_a_flood_of_invented_ones_costs_one_request() -> None:
    there, clock = Installation(), Clock()
    async with _edge(there, clock) as edge:
        there.keys = [KEY, OTHER]
        assert await _reason(edge, _token(key=OTHER)) == "unknown_key"
        clock.seconds += UNKNOWN_KEY_SECONDS
        assert {await _reason(edge, _token(key=OTHER)), await _reason(edge, _token())} == {""}
        clock.seconds += UNKNOWN_KEY_SECONDS
        before = there.asked.count("/.well-known/jwks.json")
        invented = await asyncio.gather(*(_reason(edge, _token(key=tokens.generate())) for _ in range(50)))
        assert set(invented) == {"unknown_key"}
        assert there.asked.count("/.well-known/jwks.json") == before + 1


async def test_a_withdrawn_key_stops_when_the_keys_are_read_again() -> None:
    there, clock = Installation(), Clock()
    there.keys = [KEY, OTHER]
    async with _edge(there, clock) as edge:
        assert await _reason(edge, _token(key=OTHER)) == ""
        there.keys = [KEY]
        clock.seconds += KEYS_SECONDS + 1
        there.say((UUID(int=1), "revoked"))
        await _becomes(edge, _token(key=OTHER), "unknown_key")


UNREADABLE = (b"{}", b"[]", b"null", b"7", b'{"keys": {}}', b'{"keys": null}', b"[" * 200_000, b"\xff")


@pytest.mark.parametrize("body", UNREADABLE)
async def test_a_key_set_that_cannot_be_read_leaves_the_keys_that_are_known(body: bytes) -> None:
    there, clock = Installation(), Clock()
    async with _edge(there, clock) as edge:
        there.key_set = body
        clock.seconds += UNKNOWN_KEY_SECONDS + 1
        assert await _reason(edge, _token(key=OTHER)) == "unknown_key"  # and nothing else comes out of it
        assert await _reason(edge, _token()) == ""
        there.key_set, there.keys = None, [KEY, OTHER]
        clock.seconds += UNKNOWN_KEY_SECONDS + 1
        assert await _reason(edge, _token(key=OTHER)) == ""


@pytest.mark.parametrize("body", [*UNREADABLE, b'{"revocations": [], "next": 1e999, "more": false}', b'{"revocations": [{"jti": 7}]}'])
async def test_a_page_that_cannot_be_read_makes_it_stale_and_does_not_end_the_reading(body: bytes) -> None:
    there, clock = Installation(), Clock()
    async with _edge(there, clock) as edge:
        there.page = body
        there.say((UUID(int=1), "revoked"))
        clock.seconds += 61
        await _becomes(edge, _token(), "stale")
        there.page = None
        await _becomes(edge, _token(), "")
        assert await _reason(edge, _token(1)) == "revoked"


async def test_a_cursor_that_is_not_known_any_more_has_everything_read_anew() -> None:
    there = Installation()
    there.say((UUID(int=1), "revoked"))
    async with _edge(there, Clock()) as edge:
        there.gone = True
        there.say((UUID(int=2), "revoked"))
        await _becomes(edge, _token(2), "revoked")
        assert 0 in there.sinces[1:]
        assert await _reason(edge, _token(1)) == "revoked"
        assert await _reason(edge, _token()) == ""


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "oct", "kid": "x", "k": "eA"}]}', b'{"keys": 7}'])
async def test_a_key_set_without_a_key_admits_nobody(body: bytes) -> None:
    there = Installation()

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body) if request.url.path.endswith("jwks.json") else await there.answer(request)

    async with httpx.AsyncClient(base_url=ISSUER, transport=httpx.MockTransport(answer)) as http:
        edge = Edge(http, issuer=ISSUER, audience=AUDIENCE, when_stale="admit", clock=NOW.timestamp)
        with pytest.raises((ValueError, TypeError)):
            await edge._read_keys()  # noqa: SLF001 - the loop would try for ever
        assert await _reason(edge, _token()) == "stale"


def test_what_happens_when_it_is_stale_has_to_be_chosen() -> None:
    with pytest.raises(ValueError, match="choose"):
        Edge(httpx.AsyncClient(), issuer=ISSUER, audience=AUDIENCE, when_stale="perhaps")  # type: ignore[arg-type]
