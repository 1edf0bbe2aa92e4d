"""The widget's files: what a page was given once it can load for good, and nothing but what was built is ever served."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Controller

from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.api.widget import WidgetFiles, WidgetRoutes
from service.store.pool import Pool
from service.store.widget_files import FILES_MAX, WidgetFileStore
from service.widget_build import BuildError, embed_line, integrity_of, read_build
from tests.desk.console import HERE
from tests.identity.world import time_passes
from tests.widget.built import build

DAY = 86_400


class Ready:
    async def missing(self) -> tuple[str, ...]:
        return ()


def serving(controller: type[Controller], domain: dict[str, object]) -> httpx.AsyncClient:
    """One controller's routes, as a browser reaches them."""
    unused: Any = None
    parts = Parts(authenticator=unused, readiness=Ready(), client_address=ClientAddress(proxies=0), domain=domain)
    asgi: Any = build_app(parts, [controller], version="test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi, raise_app_exceptions=False), base_url=HERE)


def calling(files: WidgetFiles) -> httpx.AsyncClient:
    return serving(WidgetRoutes, {"widget_files": files})


@pytest.fixture
def files(pool: Pool, tmp_path: Path) -> WidgetFiles:
    return WidgetFiles(WidgetFileStore(pool), folder=tmp_path / "widget")


@pytest.fixture
def names(files: WidgetFiles, tmp_path: Path) -> dict[str, str]:
    del files
    return build(tmp_path / "widget", f"release of {tmp_path}")


async def test_any_page_in_the_world_may_load_the_script(files: WidgetFiles, names: dict[str, str]) -> None:
    async with calling(files) as http:
        for path, kept in (("v1.js", "public, max-age=300"), (names["script"], "public, max-age=31536000, immutable")):
            answer = await http.get(f"/widget/{path}", headers={"Origin": "https://anybody.example"})
            assert answer.status_code == 200
            assert answer.headers["content-type"].partition(";")[0] == "text/javascript"
            assert answer.headers["cache-control"] == kept
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-credentials" not in answer.headers
            assert "set-cookie" not in answer.headers
        language = await http.get(f"/widget/{names['ar']}")
        assert "ر" in language.json()


async def test_a_browser_that_unpacks_is_sent_less(files: WidgetFiles, names: dict[str, str], tmp_path: Path) -> None:
    async with calling(files) as http, http.stream("GET", "/widget/v1.js", headers={"Accept-Encoding": "br, gzip;q=0.8"}) as answer:
        packed = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in answer.headers["vary"].lower()
    assert gzip.decompress(packed) == (tmp_path / "widget" / names["script"]).read_bytes()
    async with calling(files) as http:
        plain = await http.get("/widget/v1.js", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers


async def test_a_browser_that_has_the_script_is_not_sent_it_again(files: WidgetFiles, names: dict[str, str], tmp_path: Path) -> None:
    async with calling(files) as http:
        tag = (await http.get("/widget/v1.js")).headers["etag"]
        again = await http.get("/widget/v1.js", headers={"If-None-Match": f'W/"other", {tag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["access-control-allow-origin"] == "*"
        build(tmp_path / "widget", "the next release")
        os.utime(tmp_path / "widget" / "manifest.json", ns=(1, 1))
        after = await http.get("/widget/v1.js", headers={"If-None-Match": tag})
        assert after.status_code == 200
        assert "the next release" in after.text
        assert names["script"] not in after.headers["etag"]


async def test_what_an_earlier_release_served_is_still_served(
    pool: Pool, files: WidgetFiles, names: dict[str, str], tmp_path: Path
) -> None:
    await files.keep()
    before = {name: (tmp_path / "widget" / name).read_bytes() for name in names.values()}
    upgraded = WidgetFiles(WidgetFileStore(pool), folder=tmp_path / "next")
    newer = build(tmp_path / "next", f"the release after {tmp_path}")
    async with calling(upgraded) as http:
        for name, body in before.items():
            answer = await http.get(f"/widget/{name}")
            assert (answer.status_code, answer.content) == (200, body)
            assert answer.headers["cache-control"].endswith("immutable")
            assert answer.headers["access-control-allow-origin"] == "*"
        assert (await http.get("/widget/v1.js")).headers["etag"] == f'"{newer["script"]}"'
    # while an upgrade is under way, pages of the new release reach processes of the old one
    await upgraded.keep()
    async with calling(files) as http:
        assert (await http.get(f"/widget/{newer['en']}")).status_code == 200


async def test_a_name_keeps_what_was_first_served_under_it(pool: Pool, files: WidgetFiles, names: dict[str, str]) -> None:
    await files.keep()
    store = WidgetFileStore(pool)
    was = await store.find(names["script"])
    await store.keep({names["script"]: b"steal()"})
    assert await store.find(names["script"]) == was


async def test_what_no_page_loads_for_400_days_is_forgotten_and_what_one_loads_is_kept(still_pool: Pool, tmp_path: Path) -> None:
    store = WidgetFileStore(still_pool)
    files = WidgetFiles(store, folder=tmp_path / "widget")
    names = build(tmp_path / "widget", "one")
    await files.keep()
    await time_passes(still_pool, 300 * DAY)
    await store.forget_old()
    assert await store.find(names["script"]) is not None
    await time_passes(still_pool, 200 * DAY)
    await store.forget_old()
    assert await store.find(names["script"]) is not None
    assert await store.find(names["en"]) is None
    await files.keep()
    assert await store.find(names["en"]) is not None


async def test_however_often_it_is_built_the_table_stays_small(still_pool: Pool) -> None:
    store = WidgetFileStore(still_pool)
    await store.keep({f"v1.{number:012}.js": b"x" for number in range(FILES_MAX + 50)})
    await time_passes(still_pool, 2 * DAY)
    await store.keep({"v1.newest000000.js": b"x"})
    await store.forget_old()
    assert await still_pool.fetchval("SELECT count(*) FROM widget_file") == FILES_MAX
    assert await store.find("v1.newest000000.js") is not None


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "help.html",
        "v1.0123456789ab.js",
        "..%2Fsecret.12345678.js",
        "%2e%2e/secret.12345678.js",
        "v1.js%00",
        "v1",
        "x" * 300,
    ],
)
async def test_nothing_else_is_served(files: WidgetFiles, names: dict[str, str], tmp_path: Path, name: str) -> None:
    assert names
    (tmp_path / "secret.12345678.js").write_text("a secret")
    async with calling(files) as http:
        answer = await http.get(f"/widget/{name}")
    assert answer.status_code in (400, 404)
    assert "secret" not in answer.text


async def test_without_a_build_there_is_nothing_and_no_failure(pool: Pool, tmp_path: Path) -> None:
    files = WidgetFiles(WidgetFileStore(pool), folder=tmp_path)
    await files.keep()
    async with calling(files) as http:
        assert (await http.get("/widget/v1.js")).status_code == 404


async def test_half_a_build_does_not_replace_a_whole_one(files: WidgetFiles, names: dict[str, str], tmp_path: Path) -> None:
    async with calling(files) as http:
        assert (await http.get("/widget/v1.js")).status_code == 200
        manifest = tmp_path / "widget" / "manifest.json"
        for broken in ("{", json.dumps(json.loads(manifest.read_text()) | {"file": "../secret.12345678.js"})):
            manifest.write_text(broken)
            os.utime(manifest, ns=(len(broken), len(broken)))
            assert (await http.get("/widget/v1.js")).headers["etag"] == f'"{names["script"]}"'


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../secret.12345678.js"},
        {"file": "help.html"},
        {"languages": {"en": "en.json"}},
        {"integrity": "sha384-AAAA"},
        {"page": "../x.html"},
    ],
)
def test_a_manifest_that_our_build_does_not_write_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    build(tmp_path, "one")
    assert read_build(tmp_path) is not None
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(BuildError):
        read_build(tmp_path)


def test_a_line_quotes_what_it_is_given(tmp_path: Path) -> None:
    build(tmp_path, "one")
    assert embed_line("https://help.example/", "northern", show='"><b>') == (
        '<script src="https://help.example/widget/v1.js" data-platform="northern" data-show="&quot;&gt;&lt;b&gt;" async></script>'
    )


def test_a_pinned_line_holds_the_hash_of_what_it_names(tmp_path: Path) -> None:
    names = build(tmp_path, "one")
    assert embed_line("https://help.example", "northern", pinned=read_build(tmp_path)) == (
        f'<script src="https://help.example/widget/{names["script"]}" data-platform="northern" '
        f'integrity="{integrity_of((tmp_path / names["script"]).read_bytes())}" crossorigin="anonymous" async></script>'
    )
