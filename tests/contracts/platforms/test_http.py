"""Our interface for platforms' own systems, as its adapter keeps it: what each answer means, how long and how large it may be, where to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from integrations.http_errors import Trouble
from integrations.outside_http import NotOutside, OutsideTransport
from integrations.platform_http import CALL_SECONDS_MAX, ORDER_BYTES_MAX, READ_SECONDS_MAX, HttpPlatform
from integrations.platform_http_errors import CODES, ERROR_TABLE, failure_of, read_failure_of, trouble_of
from integrations.sandbox_platform import PlatformFault, PlatformScript, SandboxPlatform
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.contracts.platforms.benches import SHOW, order_of
from tests.loops import let_pass
from tests.peers.loopback import Asked, Reply, Stub, json


class Canned(Stub):
    """Answers everything the same."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply

    def answer(self, _: Asked) -> Reply:
        return self.reply


@pytest.fixture
async def platform() -> AsyncIterator[SandboxPlatform]:
    made = SandboxPlatform(token="t0ken")
    made.keeps_show("nll26", SHOW)
    made.sells("A1", order_of(1))
    async with made.running():
        yield made


def at(url: str) -> HttpPlatform:
    return HttpPlatform(url, token="t0ken", private=True)


async def replaced(system: HttpPlatform) -> Any:
    try:
        return await system.passes.replace(order_ref="A1", position_ref="1", key="k1")
    finally:
        await system.close()


async def fetched(system: HttpPlatform, ref: str = "A1") -> Any:
    try:
        return await system.orders.fetch(ref)
    finally:
        await system.close()


async def pages(system: HttpPlatform) -> Any:
    try:
        return [page async for page in system.orders.changed("")]
    finally:
        await system.close()


# ------------------------------------------------------------------------------------------------ what an answer means

_REFUSED = [
    (json(404, {"code": "not_found"}), Declined, "not_found"),
    (json(422, {"code": "declined"}), Declined, "declined"),
    (json(422, {"code": "unsupported"}), Declined, "unsupported"),
    (json(422, {"code": "idempotency_misuse"}), Declined, "idempotency_misuse"),
    (json(400, {"code": "invalid"}), Declined, "bug"),
    (json(418, {"code": "fans_name_is_ada"}), Declined, "bug"),
]
_NOTHING_HAPPENED = [
    (json(401, {"code": "unauthorized"}), True),
    (json(403, {"code": "forbidden"}), True),
    (Reply(status=401, body=b"<html>"), True),
    (json(429, {"code": "rate_limited"}), False),
]
_UNKNOWN = [
    Reply(status=500),
    json(503, {"code": "not_found"}),
    json(409, {"code": "in_progress"}),
    Reply(status=404, body=b"<html>no such page</html>"),
    json(404, {"error": "no code"}),
    Reply(status=302, headers={"Location": "https://elsewhere.example/"}),
    Reply(status=202),
    json(200, {"barcode": ""}),
    json(200, {"code": "1234"}),
    Reply(status=200, body=b"<html>"),
    Reply(status=200, body=b"[" * 20_000),
]


@pytest.mark.parametrize(("reply", "failure", "code"), _REFUSED)
async def test_what_the_platform_refuses_was_not_done(reply: Reply, failure: type[Exception], code: str) -> None:
    async with Canned(reply).serving() as stub:
        with pytest.raises(failure) as caught:
            await replaced(at(stub.base_url))
    assert isinstance(caught.value, Declined)
    assert caught.value.code == code
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(("reply", "configuration"), _NOTHING_HAPPENED)
async def test_a_wrong_token_stops_and_a_limit_paces(reply: Reply, configuration: bool) -> None:  # noqa: FBT001 - a column
    answer = Reply(status=reply.status, body=reply.body, headers={**reply.headers, "Retry-After": "7"})
    async with Canned(answer).serving() as stub:
        with pytest.raises(Unavailable) as caught:
            await replaced(at(stub.base_url))
    assert caught.value.configuration is configuration
    assert caught.value.never_sent is False
    assert caught.value.retry_after_seconds == (None if configuration else 7.0)


@pytest.mark.parametrize("reply", _UNKNOWN)
async def test_what_nobody_can_vouch_for_is_unknown_and_never_counts_as_not_sent(reply: Reply) -> None:
    async with Canned(reply).serving() as stub:
        with pytest.raises(OutcomeUnknown):
            await replaced(at(stub.base_url))
        assert len(stub.asked) == 1


async def test_a_connection_that_breaks_after_the_request_is_unknown_and_one_that_never_was_is_not(platform: SandboxPlatform) -> None:
    platform.script(PlatformScript(fault=PlatformFault.LOST_ANSWER, method="POST"))
    with pytest.raises(OutcomeUnknown):
        await replaced(at(platform.address))
    await platform.stop()
    with pytest.raises(Unavailable) as caught:
        await replaced(at(platform.address))
    assert caught.value.never_sent


async def test_every_code_of_the_interface_means_something_and_the_last_row_takes_the_rest() -> None:
    for code in CODES:
        assert isinstance(failure_of(Trouble(status=418, theirs=True, code=code)), Declined | Unavailable | OutcomeUnknown)
    assert ERROR_TABLE[-1].applies(Trouble(status=418, theirs=True))
    assert trouble_of(400, {}, b'{"code": "Not A Word"}').theirs is False


# ----------------------------------------------------------------------------------------------------------- reads


async def test_only_reads_are_tried_once_more(platform: SandboxPlatform) -> None:
    platform.script(PlatformScript(fault=PlatformFault.LOST_ANSWER))
    found = await fetched(at(platform.address))
    assert found.ref == "A1"
    assert platform.count("GET", "/orders/A1") == 2
    platform.script(PlatformScript(fault=PlatformFault.ERROR, times=None))
    with pytest.raises(OutcomeUnknown):
        await replaced(at(platform.address))
    assert platform.count("POST", "/") == 1


async def test_a_read_of_an_address_that_is_not_there_is_a_matter_of_settings() -> None:
    async with Canned(Reply(status=404, body=b"<html>")).serving() as stub:
        with pytest.raises(Unavailable) as caught:
            await fetched(at(stub.base_url))
    assert caught.value.configuration
    failure = read_failure_of(Trouble(status=503, theirs=False, retry_after_seconds=9.0))
    assert (failure.configuration, failure.retry_after_seconds) == (False, 9.0)


async def time_passes_for_whoever_asked(platform: SandboxPlatform) -> None:
    """As soon as a request was read, it has waited for as long as it may."""
    heard = 0
    while True:
        await asyncio.sleep(0.01)
        if len(platform.asked) > heard:
            heard = len(platform.asked)
            let_pass(max(READ_SECONDS_MAX, CALL_SECONDS_MAX))


async def test_a_platform_that_answers_too_late_is_unavailable_to_readers_and_unknown_to_others(platform: SandboxPlatform) -> None:
    platform.script(PlatformScript(fault=PlatformFault.SLOW, times=None))
    passing = asyncio.create_task(time_passes_for_whoever_asked(platform))
    with pytest.raises(Unavailable) as caught:
        await fetched(at(platform.address))
    assert not caught.value.never_sent
    with pytest.raises(OutcomeUnknown):
        await replaced(at(platform.address))
    passing.cancel()
    # It was done all the same; the key finds it.
    platform.clear()
    assert platform.gate((await replaced(at(platform.address))).barcode) == "ok"


async def test_an_order_that_is_larger_than_any_is_not_read() -> None:
    large = Reply(status=200, body=b'{"ref": "' + b"x" * ORDER_BYTES_MAX + b'"}')
    async with Canned(large).serving() as stub:
        with pytest.raises(Unavailable):
            await fetched(at(stub.base_url))


async def test_what_was_packed_is_not_unpacked() -> None:
    packed = Reply(status=200, body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})
    async with Canned(packed).serving() as stub:
        with pytest.raises(Unavailable):
            await fetched(at(stub.base_url))


async def test_an_answer_about_another_order_is_taken_for_nobodys() -> None:
    async with Canned(json(200, {"ref": "B2", "order": order_of(1)})).serving() as stub:
        with pytest.raises(Declined, match="unsupported"):
            await fetched(at(stub.base_url))
        assert (await fetched(at(stub.base_url), "b2")).ref == "B2"


async def test_what_is_not_understood_names_fields_and_not_what_stands_in_them() -> None:
    order = {**order_of(1), "status": "bought by ada@example.org"}
    async with Canned(json(200, {"ref": "A1", "order": order})).serving() as stub:
        with pytest.raises(Declined) as caught:
            await fetched(at(stub.base_url))
    assert "$.status" in str(caught.value)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    "page",
    [
        {"orders": [], "cursor": ""},
        {"orders": []},
        {"orders": [{"order": {}}], "cursor": "1"},
        {"orders": [{"ref": "A1", "order": {}}] * 51, "cursor": "1"},
    ],
)
async def test_a_page_that_cannot_be_read_is_told_to_people(page: dict[str, Any]) -> None:
    async with Canned(json(200, page)).serving() as stub:
        with pytest.raises(Unavailable) as caught:
            await pages(at(stub.base_url))
    assert caught.value.configuration


async def test_a_cursor_that_never_moves_ends_the_reading() -> None:
    async with Canned(json(200, {"orders": [], "cursor": "1", "more": True})).serving() as stub:
        with pytest.raises(Unavailable) as caught:
            await pages(at(stub.base_url))
        assert len(stub.asked) == 2
    assert caught.value.configuration


async def test_the_token_goes_where_the_settings_say_and_no_further(platform: SandboxPlatform) -> None:
    async with Canned(Reply(status=302, headers={"Location": f"{platform.address}/orders/A1"})).serving() as stub:
        with pytest.raises(Unavailable):
            await fetched(at(stub.base_url))
    assert platform.asked == []


# ------------------------------------------------------------------------------------------------------- where to

_INSIDE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://localhost", "https://10.0.0.1/api", "https://[::1]"])
async def test_an_address_inside_is_never_connected_to_unless_the_installation_says_so(url: str) -> None:
    system = HttpPlatform(url, token="t0ken", private=False)
    with pytest.raises(Unavailable) as caught:
        await fetched(system)
    assert (caught.value.never_sent, caught.value.configuration) == (True, True)
    assert "public network" in caught.value.detail


class Kept(httpx.AsyncBaseTransport):
    """Where it was connected to, and for which name."""

    def __init__(self, *refusing: str) -> None:
        self.refusing = refusing
        self.asked: list[tuple[str, str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.host, request.extensions["sni_hostname"], request.headers["host"]))
        if request.url.host in self.refusing:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)


async def ask_over(kept: Kept, *addresses: str) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("shop.example", 443)
        return addresses

    async with httpx.AsyncClient(transport=OutsideTransport(kept, resolve=resolve)) as client:
        await client.get("https://shop.example/orders")


async def test_a_name_is_connected_to_at_the_very_address_that_was_looked_at() -> None:
    kept = Kept()
    await ask_over(kept, "10.0.0.1", "8.8.8.8", "1.1.1.1")
    assert kept.asked == [("8.8.8.8", "shop.example", "shop.example")]


async def test_a_name_with_several_addresses_is_tried_at_the_next() -> None:
    kept = Kept("8.8.8.8")
    await ask_over(kept, "8.8.8.8", "2606:4700::1111")
    assert [one[0] for one in kept.asked] == ["8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize("address", _INSIDE)
async def test_a_name_that_leads_inside_is_not_followed(address: str) -> None:
    kept = Kept()
    with pytest.raises(NotOutside):
        await ask_over(kept, address)
    assert kept.asked == []


async def test_a_name_that_nobody_knows_was_never_sent_anything() -> None:
    async def resolve(*_: object) -> Sequence[str]:
        raise OSError

    async with httpx.AsyncClient(transport=OutsideTransport(Kept(), resolve=resolve)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("https://shop.example/orders")
