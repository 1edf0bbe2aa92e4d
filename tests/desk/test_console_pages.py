"""The console's pages: what is built is served, under a policy that lets nothing else in; a link from the command line opens them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from service.api.console import Console, ConsoleFiles, Framing
from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.app import Application
from service.cli import main
from tests.desk.console import HERE, Office, browsing, installation, open_office
from tests.identity.world import SECRET


class Ready:
    async def missing(self) -> tuple[str, ...]:
        return ()


def pages(folder: Path, framing: Framing = "none") -> httpx.AsyncClient:
    unused: Any = None
    parts = Parts(
        authenticator=unused,
        readiness=Ready(),
        client_address=ClientAddress(proxies=0),
        domain={"console_files": ConsoleFiles(folder, framing=framing)},
    )
    asgi: Any = build_app(parts, [Console], version="test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi, raise_app_exceptions=False), base_url=HERE)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>The desk</title>")
    (folder / "feedback.html").write_text("<!doctype html><title>How was it</title>")
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "main-abc123.js").write_text("run();" * 100)
    (tmp_path / "secret.js").write_text("a secret")
    (folder / "assets" / "away.js").symlink_to(tmp_path / "secret.js")
    return folder


async def test_every_address_of_the_console_is_its_one_page(built: Path) -> None:
    async with pages(built) as http:
        for path in ("/desk", "/desk/", "/desk/cases/case_1", "/desk/sign-in", "/desk/board/"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/html"), path
            assert "The desk" in answer.text
        assert "How was it" in (await http.get("/feedback")).text
        assert (await http.get("/desk/icon.svg")).headers["content-type"].startswith("image/svg+xml")


async def test_a_page_lets_nothing_in_and_is_in_no_frame(built: Path) -> None:
    async with pages(built) as http:
        headers = (await http.get("/desk")).headers
    rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    assert (rules["frame-ancestors"], rules["base-uri"], rules["form-action"]) == ("'none'", "'none'", "'none'")
    assert not any("unsafe" in rule or "http" in rule or "*" in rule or "data:" in rule for rule in rules.values())
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"


async def test_a_page_is_in_a_frame_of_its_own_origin_only_where_it_was_asked_for_and_is_else_the_same(built: Path) -> None:
    async with pages(built) as http, pages(built, framing="self") as in_demo:
        usual, framed = [dict((await one.get("/desk")).headers) for one in (http, in_demo)]
    policy = usual["content-security-policy"]
    assert framed["content-security-policy"] == policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'") != policy
    assert {name for name in usual if usual[name] != framed.get(name)} <= {"content-security-policy", "x-frame-options", "x-request-id"}


async def test_assets_are_kept_for_ever_and_packed(built: Path) -> None:
    async with pages(built) as http:
        answer = await http.get("/desk/assets/main-abc123.js", headers={"Accept-Encoding": "br, gzip;q=0.8"})
        plain = await http.get("/desk/assets/main-abc123.js", headers={"Accept-Encoding": "identity"})
    assert (answer.headers["content-encoding"], answer.headers["cache-control"]) == ("gzip", "public, max-age=31536000, immutable")
    assert answer.text == plain.text == "run();" * 100
    assert "content-encoding" not in plain.headers
    assert int(answer.headers["content-length"]) == len(gzip.compress(plain.content, 9, mtime=0)) < len(plain.content)


@pytest.mark.parametrize("name", ["nothing.js", "away.js", "..%2findex.html", "%2e%2e%2f%2e%2e%2fsecret.js", ".hidden", "main-abc123.map"])
async def test_nothing_outside_what_was_built_is_served(built: Path, name: str) -> None:
    async with pages(built) as http:
        answer = await http.get(f"/desk/assets/{name}")
        assert "secret" not in answer.text
        assert answer.status_code == 404 or "The desk" in answer.text


async def test_a_console_that_was_not_built_says_so_in_words(tmp_path: Path) -> None:
    async with pages(tmp_path) as http:
        for path in ("/desk", "/feedback"):
            answer = await http.get(path)
            assert answer.status_code == 404
            assert "has not been built" in answer.text
            assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.fixture(scope="module")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url) as opened:
        yield opened


async def command(database_url: str, office: Office, *words: str) -> str:
    given = {"MAKEGOOD_DATABASE_URL": database_url, "MAKEGOOD_SECRET": SECRET.decode(), "MAKEGOOD_PUBLIC_URL": HERE}
    call = [*words, "--platform", office.slug]
    result = await asyncio.to_thread(CliRunner().invoke, main, call, env=given)
    return result.output if result.exit_code == 0 else f"failed: {result.output}"


async def test_a_link_from_the_command_line_signs_in(app: Application, database_url: str) -> None:
    office = await open_office(app)
    address = (await command(database_url, office, "agents", "link", "Leo")).strip()
    start, _, code = address.partition("#code=")
    assert start == f"{HERE}/desk/sign-in"
    async with browsing(app) as browser:
        assert (await browser.post("/v1/desk/sessions", json={"code": code})).json()["agent"]["name"] == "Leo"
    assert (await command(database_url, office, "agents", "link", "Bot")).startswith("failed:")
    assert (await command(database_url, office, "agents", "link", "Nobody")).startswith("failed:")


async def test_what_an_agent_can_do_is_said_at_the_command_line(app: Application, database_url: str) -> None:
    office = await open_office(app)
    why = ("--why", "a test")
    told = ("--language", "de", "--language", "en", "--capacity", "9", "--sign-in", "mira@shop.example")
    assert "changed" in await command(database_url, office, "agents", "change", "Mira", *told, *why)
    mira = await office.agent("Mira")
    assert (list(mira.languages), mira.capacity, mira.sign_in) == (["de", "en"], 9, "mira@shop.example")
    taken = await command(database_url, office, "agents", "change", "Ben", "--sign-in", "mira@shop.example", *why)
    assert "another agent signs in by that name" in taken
    wrong = await command(database_url, office, "agents", "change", "Ben", "--sign-in", "Ben@Shop.example", *why)
    assert "lower case" in wrong
    assert "changed" in await command(database_url, office, "agents", "change", "Mira", "--sign-in", "none", "--language", "any", *why)
    mira = await office.agent("Mira")
    assert (list(mira.languages), mira.sign_in) == ([], None)
