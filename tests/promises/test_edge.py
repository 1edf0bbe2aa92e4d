"""An edge learns which tokens stopped opening the stream, all of them and soon; and video services get tokens of their own form."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clients.edge_verifier.makegood_edge import Edge, Refused
from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, bearer, make_platform
from service.model import WireId, unwire, wire
from service.platform_checks import read_settings
from service.platforms import sealed
from service.sealing import Vault
from service.settings import SettingsError
from service.store import access as store
from service.store.keys import Change
from service.store.platforms import PlatformStore
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import House, stream, until

SERVICE_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SERVICE_PEM: Final = SERVICE_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
BECAUSE: Final = Change(actor="test", why="a test of edges")


async def _passes(house: House, order: Bought) -> list[str]:
    rows = await house.rows(
        "SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.platform_id = $1 AND o.ref = $2 ORDER BY p.created_at, p.id",
        house.desk.platform_id,
        order.ref,
    )
    return [wire(WireId.PASS, row["id"]) for row in rows]


async def _issued(house: House, order: Bought, number: int = 0) -> Any:
    answer = await house.post("/v1/access/tokens", {"pass_id": (await _passes(house, order))[number], "show": order.show})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _token(house: House, order: Bought) -> str:
    token: str = (await _issued(house, order))["token"]
    return token


async def _reissued(house: House, order: Bought) -> str:
    """The token that takes the place of the one there was."""
    case = await house.report("link_dead", order)
    assert case["status"] == "resolved", case
    token: str = case["access"][-1]["token"]
    return token


async def _on_sale(house: House, ref: str, **more: Any) -> str:
    return await house.shop.show(ref, starts_in=timedelta(days=20), parameters={"access": {"reissues_24h_max": 1000}}, **more)


def _jti(token: str) -> UUID:
    return UUID(jwt.decode(token, options={"verify_signature": False})["jti"])


async def _page(house: House, *, token: str | None = None, etag: str | None = None, **query: Any) -> httpx.Response:
    headers = bearer(token or house.desk.edge) | ({"If-None-Match": etag} if etag else {})
    return await house.client.get("/v1/access/revocations", params=query, headers=headers)


async def _head(house: House) -> int:
    since = 0
    while True:
        page = (await _page(house, since=since)).json()
        since = page["next"]
        if not page["more"]:
            return int(since)


async def _changed(house: House, since: int) -> dict[UUID, str]:
    page = (await _page(house, since=since)).json()
    return {UUID(one["jti"]): one["state"] for one in page["revocations"]}


@asynccontextmanager
async def _edge(house: House, **more: Any) -> AsyncIterator[Edge]:
    """Has read what there is, by the installation's clock, which other tests have put forward."""
    address = f"http://{house.settings.bind_host}:{house.settings.bind_port}"
    ahead = (await house.value("SELECT ahead FROM app_clock")).total_seconds()
    told: dict[str, Any] = {"when_stale": "refuse", "clock": lambda: time.time() + ahead, **more}
    async with (
        httpx.AsyncClient(base_url=address, headers=bearer(house.desk.edge), timeout=PATIENCE_SECONDS, trust_env=False) as http,
        Edge(http, issuer=house.settings.public_url, audience=house.desk.slug, **told) as edge,
    ):
        # It begins without, where nobody answers it for ten seconds.
        await until(lambda: _reason(edge, "x.y.z"), lambda reason: reason != "stale")
        yield edge


async def _reason(edge: Edge, token: str, **more: Any) -> str:
    try:
        await edge.admit(token, **more)
    except Refused as refused:
        return refused.reason
    return ""


# ---------------------------------------------------------------------------------------------------------- what an edge is told


async def test_a_reissued_token_is_told_and_its_successor_is_not(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    old, since = await _token(house, order), await _head(house)
    new = await _reissued(house, order)
    assert await _changed(house, since) == {_jti(old): "revoked"}
    async with _edge(house) as edge:
        assert await _reason(edge, old) == "revoked"
        assert await _reason(edge, new, show=order.show) == ""
        assert await _reason(edge, new, show="another") == "other_show"


async def test_a_suspended_token_is_told_and_told_again_when_it_opens(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    token, since = await _token(house, order), await _head(house)
    await house.shop.show(ref, starts_in=timedelta(days=20), status="cancelled")
    await house.books.script(Script(fault=Fault.UNREACHABLE, times=None, payment_ref=order.payments[0]))
    case = await house.report("show_cancelled", order, wait=0)
    assert await _changed(house, since) == {_jti(token): "suspended"}
    async with _edge(house) as edge:
        assert await _reason(edge, token) == "suspended"
        await house.books.script_instead(Script(fault=Fault.FAILED, detail="merchant_request", payment_ref=order.payments[0]))
        await house.pass_time(timedelta(minutes=2))
        await house.until_case(case["id"], lambda found: found["status"] == "with_people")
        assert await _changed(house, since) == {_jti(token): "active"}
        await until(lambda: _reason(edge, token), lambda reason: reason == "")


@pytest.mark.parametrize("how", ["refunded", "fed as void", "line voided"])
async def test_whatever_ends_a_pass_ends_its_tokens_at_the_edge(house: House, ref: str, how: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    token, since = await _token(house, order), await _head(house)
    if how == "refunded":
        await house.shop.show(ref, starts_in=timedelta(days=20), status="cancelled")
        assert (await house.report("show_cancelled", order))["status"] == "resolved"
    elif how == "fed as void":
        await house.value(
            "SELECT pass_void(platform_id, id) FROM pass WHERE id = $1", unwire(WireId.PASS, (await _passes(house, order))[0])
        )
    else:
        await house.value("UPDATE pass SET status = 'void' WHERE id = $1", unwire(WireId.PASS, (await _passes(house, order))[0]))
    assert await _changed(house, since) == {_jti(token): "revoked"}


async def test_a_change_that_commits_late_is_told_late_and_never_skipped(house: House, ref: str) -> None:
    show = await _on_sale(house, ref)
    early, late = [await house.shop.order(show, [stream()]) for _ in range(2)]
    tokens = [_jti(await _token(house, one)) for one in (early, late)]
    since = await _head(house)
    change = "UPDATE access_token SET state = 'revoked' WHERE platform_id = $1 AND jti = $2"
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.execute(change, house.desk.platform_id, tokens[1])
        await house.pool.execute(change, house.desk.platform_id, tokens[0])
        first = (await _page(house, since=since)).json()
        assert [UUID(one["jti"]) for one in first["revocations"]] == [tokens[0]]
    second = (await _page(house, since=first["next"])).json()
    assert [UUID(one["jti"]) for one in second["revocations"]] == [tokens[1]]


async def test_readers_at_once_and_changes_at_once_lose_nothing(house: House, ref: str) -> None:
    """Four edges page on, four at a time, while sixty tokens are revoked and some opened again: each ends with what is so."""
    show = await _on_sale(house, ref)
    orders = await asyncio.gather(*(house.shop.order(show, [stream()]) for _ in range(60)))
    tokens = [_jti(await _token(house, one)) for one in orders]
    since = await _head(house)
    done = asyncio.Event()

    async def changes(number: int) -> None:
        for state in ("suspended", "active", "suspended", "revoked")[: 2 + number % 3]:
            await house.pool.execute(
                "UPDATE access_token SET state = $3 WHERE platform_id = $1 AND jti = $2", house.desk.platform_id, tokens[number], state
            )

    async def reads() -> dict[UUID, str]:
        seen: dict[UUID, str] = {}
        after, last = since, False
        while True:
            last = done.is_set()
            page = (await _page(house, since=after, limit=7)).json()
            assert page["next"] >= after
            after = page["next"]
            seen |= {UUID(one["jti"]): one["state"] for one in page["revocations"]}
            if last and not page["revocations"]:
                return seen

    readers = [asyncio.create_task(reads()) for _ in range(4)]
    await asyncio.gather(*(changes(number) for number in range(60)))
    done.set()
    are = {row["jti"]: row["state"] for row in await house.rows("SELECT jti, state FROM access_token WHERE jti = ANY($1)", tokens)}
    for seen in await asyncio.gather(*readers):
        assert seen == are
    places = await house.rows("SELECT position FROM access_token WHERE jti = ANY($1)", tokens)
    assert len({row["position"] for row in places}) == 60


async def test_a_newcomer_reads_every_revocation_that_still_matters_in_pages(house: House, ref: str) -> None:
    show = await _on_sale(house, ref)
    orders = [await house.shop.order(show, [stream()]) for _ in range(5)]
    dead = {_jti(await _token(house, one)) for one in orders}
    for one in orders:
        await _reissued(house, one)
    gone = dead.pop()
    await house.value("UPDATE access_token SET expires_at = now() - interval '1 minute' WHERE jti = $1", gone)
    seen: set[UUID] = set()
    since, more = 0, True
    while more:
        page = (await _page(house, since=since, limit=2)).json()
        seen |= {UUID(one["jti"]) for one in page["revocations"]}
        since, more = page["next"], page["more"]
    assert dead <= seen
    assert gone not in seen


async def test_a_wait_ends_with_the_change_and_the_same_again_is_not_modified(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    old, since = await _token(house, order), await _head(house)

    async def changed() -> httpx.Response:
        """No page is empty before its wait is over: then whoever waits asks again."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            page = await _page(house, since=since, wait_seconds=20)
            if page.json()["revocations"]:
                return page
            assert clock() - began >= 20

    waiting = asyncio.create_task(changed())
    await _reissued(house, order)
    page = await waiting
    assert [UUID(one["jti"]) for one in page.json()["revocations"]] == [_jti(old)]
    again = await _page(house, since=since, etag=page.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    other = await _page(house, since=since, etag='"something else"')
    assert (other.status_code, other.headers["ETag"]) == (200, page.headers["ETag"])


async def test_a_cursor_from_elsewhere_is_told_to_begin_anew(house: House) -> None:
    answer = await _page(house, since=await _head(house) + 1_000_000)
    assert answer.status_code == 410
    assert answer.json()["type"].endswith("cursor_unknown")


async def test_another_platforms_revocations_are_not_ours(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    old = await _token(house, order)
    await _reissued(house, order)
    other = await make_platform(house.pool, f"other-{ref}")
    page = (await _page(house, token=other.edge, since=0)).json()
    assert page["revocations"] == []
    check = await house.post("/v1/access/check", {"token": old}, token=other.edge)
    assert check.json()["reason"] == "invalid"


async def test_what_has_run_out_leaves_the_list(house: House, ref: str) -> None:
    show = await _on_sale(house, ref)
    dead, order = [await house.shop.order(show, [stream()]) for _ in range(2)]
    ended = _jti(await _token(house, dead))
    await _token(house, order)
    await _reissued(house, dead)
    await _head(house)
    await house.value("UPDATE access_token SET expires_at = app_now() - interval '2 hours' WHERE jti = $1", ended)
    await _reissued(house, order)
    await _head(house)
    assert await house.value("SELECT position FROM access_token WHERE jti = $1", ended) is None


# -------------------------------------------------------------------------------------------------------------- many at once


async def test_twenty_reissues_at_once_leave_one_token_that_opens(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    first = await _token(house, order)
    wanted = {"pass_id": (await _passes(house, order))[0], "show": order.show}
    problems = ("link_dead", "wrong_device", "cannot_sign_in", "too_many_devices")

    async def reissue(number: int) -> httpx.Response:
        body = {"problem": problems[number % 4], "order": order.ref, "show": order.show, "channel": "api"}
        return await house.post("/v1/cases", body)

    answers = await asyncio.gather(
        *(reissue(number) for number in range(20)), *(house.post("/v1/access/tokens", wanted) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, [answer.text for answer in answers if answer.status_code > 202]
    rows = await house.rows(
        "SELECT t.jti, t.state FROM access_token t WHERE t.pass_id = $1", unwire(WireId.PASS, (await _passes(house, order))[0])
    )
    alive = [row["jti"] for row in rows if row["state"] != "revoked"]
    assert len(alive) == 1
    assert len(rows) > 2
    now = await _token(house, order)
    assert [_jti(now)] == alive
    tokens = {
        first,
        now,
        *(one["token"] for answer in answers for one in [answer.json(), *answer.json().get("access", ())] if "token" in one),
    }
    opens = [token for token in tokens if (await house.post("/v1/access/check", {"token": token})).json()["allowed"]]
    assert [_jti(token) for token in opens] == alive
    async with _edge(house) as edge:
        assert [token for token in tokens if not await _reason(edge, token)] == opens


# ------------------------------------------------------------------------------------------------------------- video services


async def _with_edge(house: House, **edge: Any) -> None:
    """The platform's settings with that edge, stored as the command line stores them."""
    assert house.settings.secret is not None
    row = await PlatformStore(house.pool).by_slug(house.desk.slug)
    assert row is not None
    document = {name: value for name, value in row.settings.items() if name != "edge"} | {"edge": edge}
    vault = Vault(house.settings.secret.reveal().encode(), purpose="platform")
    kept = msgspec.to_builtins(sealed(read_settings(document, rails={"sandbox": "sandbox"}), vault, house.desk.slug))
    assert "PRIVATE KEY" not in str(kept)
    await PlatformStore(house.pool).change(house.desk.slug, kept, BECAUSE)


@pytest.mark.parametrize("profile", ["mux", "cloudflare_stream"])
@pytest.mark.parametrize("given", [SERVICE_PEM.decode(), base64.b64encode(SERVICE_PEM).decode()])
async def test_a_video_service_gets_the_token_it_documents(house: House, ref: str, profile: str, given: str) -> None:
    await _with_edge(house, profile=profile, key_id="key-1", private_key=given, token_seconds=120)
    order = await house.shop.order(await _on_sale(house, ref, playback_id="DS00Spx1CV902"), [stream()])
    issued = await until(lambda: _issued(house, order), lambda found: (found.get("playback") or {}).get("profile") == profile)
    playback = issued["playback"]
    of_the_installation: Any = {"verify_exp": False, "verify_nbf": False}  # its clock is not this machine's here
    said = jwt.decode(
        playback["token"],
        SERVICE_KEY.public_key(),
        algorithms=["RS256"],
        audience="v" if profile == "mux" else None,
        options=of_the_installation,
    )
    header = jwt.get_unverified_header(playback["token"])
    assert (header["alg"], header["kid"], said["sub"], playback["playback_id"]) == ("RS256", "key-1", "DS00Spx1CV902", "DS00Spx1CV902")
    now = (await store.now(house.pool)).timestamp()
    assert now + 60 < said["exp"] <= now + 121
    wanted = {"sub", "aud", "exp"} if profile == "mux" else {"sub", "kid", "nbf", "exp"}
    assert set(said) == wanted
    exchanged = await house.post("/v1/access/playback", {"token": issued["token"], "show": order.show}, token=house.desk.edge)
    assert (exchanged.status_code, exchanged.json()["profile"]) == (200, profile)
    case = await house.report("link_dead", order)
    assert case["access"][-1]["playback"]["profile"] == profile
    refused = await house.post("/v1/access/playback", {"token": issued["token"]}, token=house.desk.edge)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "access_refused")
    renewed = await house.post("/v1/access/playback", {"token": case["access"][-1]["token"]}, token=house.desk.edge)
    assert renewed.status_code == 200


async def test_a_show_without_a_playback_id_has_no_such_token(house: House, ref: str) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    issued = await _issued(house, order)
    assert issued["playback"] is None
    answer = await house.post("/v1/access/playback", {"token": issued["token"]})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "no_playback")


@pytest.mark.parametrize(
    ("edge", "mistake"),
    [
        ({"profile": "mux"}, "edge.key_id"),
        ({"profile": "mux", "key_id": "k"}, "edge.private_key: is needed"),
        ({"profile": "mux", "key_id": "k", "private_key": "c2VjcmV0"}, "edge.private_key: is not an RSA key"),
        ({"profile": "mux", "key_id": "k", "private_key": "-----BEGIN RSA PRIVATE KEY-----\nx"}, "edge.private_key: is not an RSA key"),
        ({"profile": "generic", "key_id": "k"}, "edge: generic tokens"),
        (
            {"profile": "cloudflare_stream", "key_id": "k", "private_key": SERVICE_PEM.decode(), "token_seconds": 86400},
            "edge.token_seconds",
        ),
        ({"profile": "wowza"}, "edge.profile"),
    ],
)
def test_an_edge_that_cannot_work_is_a_mistake_that_names_its_field_and_quotes_no_key(edge: dict[str, Any], mistake: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"name": "Moonlight", "edge": edge}, rails={})
    assert mistake in str(refused.value.mistakes)
    assert "c2VjcmV0" not in str(refused.value.mistakes)
