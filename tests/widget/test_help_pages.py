"""The help page: a page of the platform's, framed by the platform's alone, which says nothing of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from service.api.help_pages import HelpPages
from service.api.widget import WidgetFiles
from service.platforms import Platforms
from service.sealing import Vault
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.widget_files import WidgetFileStore
from tests.identity.world import SECRET, Shop
from tests.widget.built import build
from tests.widget.test_files import serving

CASE: Final = f"case_{uuid4().hex}"


@pytest.fixture
async def shop(pool: Pool) -> Shop:
    contacts = {"support": "the team", "email": "help@moonlight.example", "phone": "+49 30 1234", "url": "https://moonlight.example/help"}
    return await Shop.opens(
        pool,
        {
            "name": '<img src=x onerror="x()"> & {{platform}}',
            "languages": ["de", "en"],
            "origins": ["https://shop.example", "http://localhost:3000", "https://x.example; script-src *"],
            "contacts": contacts,
        },
    )


def pages(pool: Any, folder: Path) -> httpx.AsyncClient:
    platforms = Platforms(PlatformStore(pool), Vault(SECRET, purpose="platform"), monotonic=lambda: 0.0, kept_seconds=0.0)
    return serving(HelpPages, {"platforms": platforms, "widget_files": WidgetFiles(WidgetFileStore(pool), folder=folder)})


@pytest.fixture
async def http(pool: Pool, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    build(tmp_path, "one")
    async with pages(pool, tmp_path) as client:
        yield client


def policy_of(answer: httpx.Response) -> Mapping[str, str]:
    rules = (rule.strip().partition(" ") for rule in answer.headers["content-security-policy"].split(";"))
    return {name: values for name, _, values in rules}


async def test_a_letters_link_opens_the_page_of_its_platform(http: httpx.AsyncClient, shop: Shop) -> None:
    for path in (f"/help/{shop.slug}", f"/help/{shop.slug}/{CASE}", f"/help/{shop.slug}?show=nll26&lang=en"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert f'content="{shop.slug}"' in answer.text
        assert 'content="https://shop.example http://localhost:3000"' in answer.text
        assert "help@moonlight.example" in answer.text


@pytest.mark.parametrize(
    ("contacts", "said"), [({}, "Moonlight "), ({"support": "a@b.example", "email": "a@b.example"}, "Moonlight: a@b.example ")]
)
async def test_without_script_it_says_whom_to_reach_where_that_is_known(
    http: httpx.AsyncClient, pool: Pool, contacts: dict[str, str], said: str
) -> None:
    shop = await Shop.opens(pool, {"name": "Moonlight", "contacts": contacts})
    assert f"<noscript>{said}</noscript>" in (await http.get(f"/help/{shop.slug}")).text


async def test_what_a_platform_calls_itself_stays_text(http: httpx.AsyncClient, shop: Shop) -> None:
    text = (await http.get(f"/help/{shop.slug}")).text
    assert "<img" not in text
    assert "&lt;img src=x onerror=&quot;x()&quot;&gt; &amp; {{platform}}" in text
    assert "nothing" not in text


async def test_only_the_platforms_pages_may_frame_it_and_only_our_script_runs(http: httpx.AsyncClient, shop: Shop) -> None:
    answer = await http.get(f"/help/{shop.slug}/{CASE}")
    policy = policy_of(answer)
    assert policy["frame-ancestors"] == "'self' https://shop.example http://localhost:3000"
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    # the older header knows no list of pages
    assert "x-frame-options" not in answer.headers


async def test_it_sets_no_cookie_tells_no_referrer_and_is_not_found_by_searching(http: httpx.AsyncClient, shop: Shop) -> None:
    answer = await http.get(f"/help/{shop.slug}/{CASE}")
    assert "set-cookie" not in answer.headers
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("de-CH,de;q=0.9,en;q=0.8", "de"), ("en-GB", "en"), ("ar", "de"), ("", "de"), ("*", "de"), ("fr, en;q=0.5", "en")],
)
async def test_it_begins_in_a_language_of_the_platform(http: httpx.AsyncClient, shop: Shop, asked: str, expected: str) -> None:
    answer = await http.get(f"/help/{shop.slug}", headers={"Accept-Language": asked})
    assert f'<html lang="{expected}">' in answer.text
    assert "accept-language" in answer.headers["vary"].lower()
    assert '<html lang="en">' in (await http.get(f"/help/{shop.slug}?lang=en", headers={"Accept-Language": asked})).text


@pytest.mark.parametrize("path", ["/help", "/help/nobody", "/help/Nobody", "/help/no%20body", "/help/{slug}/cases", "/help/{slug}/case_1"])
async def test_where_there_is_no_page_a_page_says_so(http: httpx.AsyncClient, pool: Pool, shop: Shop, path: str) -> None:
    await Shop.opens(pool)  # there are several platforms, and nobody said whose customer this is
    answer = await http.get(path.format(slug=shop.slug), headers={"Accept-Language": "ar"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert '<html lang="ar" dir="rtl">' in answer.text
    assert policy_of(answer)["frame-ancestors"] == "'self'"
    assert shop.slug not in answer.text


async def test_the_only_platform_needs_no_name(fresh_pool: Pool, tmp_path: Path) -> None:
    build(tmp_path, "one")
    shop = await Shop.opens(fresh_pool)
    async with pages(fresh_pool, tmp_path) as http:
        answer = await http.get("/help")
        assert answer.status_code == 200
        assert f'content="{shop.slug}"' in answer.text


async def test_while_the_database_is_away_the_widget_comes_all_the_same(tmp_path: Path) -> None:
    class Away:
        async def fetchrow(self, *_: object) -> None:
            raise ConnectionRefusedError

    names = build(tmp_path, "one")
    async with pages(Away(), tmp_path) as http:
        answer = await http.get("/help/northern", headers={"Accept-Language": "ja"})
    assert answer.status_code == 503
    assert f"/widget/{names['script']}" in answer.text
    assert policy_of(answer)["frame-ancestors"] == "'self'"


async def test_without_a_build_there_is_no_page(pool: Pool, shop: Shop, tmp_path: Path) -> None:
    async with pages(pool, tmp_path) as http:
        assert (await http.get(f"/help/{shop.slug}")).status_code == 404
