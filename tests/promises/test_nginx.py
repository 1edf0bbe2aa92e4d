"""A real nginx with docs/edge/nginx.conf and the auth service beside it: a new token plays, and the one it replaced stops."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from service.demo.night import HOST
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.promises.house import House, stream, until
from tests.promises.test_edge import _on_sale, _reissued, _token

ROOT: Final = Path(__file__).parents[2]
CONF: Final = ROOT / "docs" / "edge" / "nginx.conf"
SERVICE: Final = ROOT / "clients" / "edge_verifier"
NGINX: Final = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
PLAYLIST: Final = b"#EXTM3U\n#EXT-X-VERSION:3\n"

# In CI it has to be there: .ci/run installs it.
pytestmark = pytest.mark.skipif(
    NGINX is None and not os.environ.get("CI"),
    reason="there is no nginx: apt-get install nginx-light (Debian, Ubuntu), then run this again",
)


class Edge:
    """nginx as viewers see it."""

    def __init__(self, http: httpx.AsyncClient, folder: Path) -> None:
        self.http = http
        self.folder = folder

    async def watch(self, show: str, token: str, file: str = "index.m3u8") -> int:
        return (await self.http.get(f"/watch/{show}/{token}/{file}")).status_code


@asynccontextmanager
async def _running(*command: str, cwd: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await child.wait()


async def _answers(what: Callable[[], Awaitable[httpx.Response]], status: int) -> None:
    """Waits until it answers so. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                if (await what()).status_code == status:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def _conf(auth: int, origin: int, listen: int) -> str:
    """The one of the documentation, with ports of this test's own; in the foreground, as one process, and patient with a busy machine."""
    text = CONF.read_text()
    for there, here in (
        ("server 127.0.0.1:9090;", f"server {HOST}:{auth};"),
        ("server 127.0.0.1:9091;", f"server {HOST}:{origin};"),
        ("listen 127.0.0.1:8088;", f"listen {HOST}:{listen};"),
        ("proxy_connect_timeout 1s;", f"proxy_connect_timeout {PATIENCE_SECONDS:.0f}s;"),
        ("proxy_read_timeout 2s;", f"proxy_read_timeout {PATIENCE_SECONDS:.0f}s;"),
        ("worker_processes auto;", "worker_processes 1; daemon off; master_process off;"),
    ):
        assert text.count(there) == 1
        text = text.replace(there, here)
    return text


async def _origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(PLAYLIST) + PLAYLIST)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def _edge(house: House, folder: Path) -> AsyncIterator[Edge]:
    assert NGINX is not None, "CI needs nginx: .ci/run installs nginx-light"
    auth = free_port()
    listen = free_port()
    async with await asyncio.start_server(_origin, HOST, 0) as origin:
        (folder / "nginx.conf").write_text(_conf(auth, origin.sockets[0].getsockname()[1], listen))
        address = f"http://{house.settings.bind_host}:{house.settings.bind_port}"
        told = {"MAKEGOOD_URL": address, "MAKEGOOD_ISSUER": house.settings.public_url, "MAKEGOOD_AUDIENCE": house.desk.slug}
        granian = (sys.executable, "-m", "granian", "--interface", "asgi", "--host", HOST, "--port", str(auth), "auth_service:app")
        async with (
            _running(*granian, cwd=SERVICE, MAKEGOOD_KEY=house.desk.edge, EDGE_WHEN_STALE="refuse", **told),
            _running(NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", cwd=folder),
            httpx.AsyncClient(base_url=f"http://{HOST}:{listen}", timeout=PATIENCE_SECONDS, trust_env=False) as http,
            httpx.AsyncClient(base_url=f"http://{HOST}:{auth}", timeout=PATIENCE_SECONDS, trust_env=False) as service,
        ):
            await _answers(lambda: service.get("/healthz"), 204)
            await _answers(lambda: http.get("/"), 404)
            yield Edge(http, folder)


async def test_behind_nginx_the_new_token_plays_and_the_old_one_stops(house: House, ref: str, tmp_path: Path) -> None:
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    old = await _token(house, order)
    async with _edge(house, tmp_path) as edge:
        answer = await edge.http.get(f"/watch/{ref}/{old}/hd/segment-1.ts")
        assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, PLAYLIST, "private, no-store")
        new = await _reissued(house, order)
        # Within a second, which the bench measures (`python -m tests.bench --only edge`): a loaded machine is slow, not wrong.
        await until(lambda: edge.watch(ref, old), lambda status: status == 403)
        assert await edge.watch(ref, new) == 200
        assert await edge.watch("another", new) == 403
        # Within the signature: of its last character a decoder may leave bits out.
        other = "A" if new[-10] != "A" else "B"
        assert await edge.watch(ref, f"{new[:-10]}{other}{new[-9:]}") == 403
        assert await edge.watch(ref, "x.y.z") == 403
        # what leads round the check is not found, or refused
        for path in (f"/{ref}/index.m3u8", "/_stream_auth", f"/watch/{ref}//index.m3u8", f"/watch/{ref}/{new}/../../secret.m3u8", "/check"):
            assert (await edge.http.get(path)).status_code == 404, path
        log = (edge.folder / "access.log").read_text()
        assert f" 403 {ref} revoked " in log
        assert old not in log
        assert new not in log


async def test_an_edge_without_its_verifier_admits_nobody(house: House, ref: str, tmp_path: Path) -> None:
    assert NGINX is not None, "CI needs nginx: .ci/run installs nginx-light"
    order = await house.shop.order(await _on_sale(house, ref), [stream()])
    token = await _token(house, order)
    listen = free_port()
    async with await asyncio.start_server(_origin, HOST, 0) as origin:
        nobody = free_port()
        (tmp_path / "nginx.conf").write_text(_conf(nobody, origin.sockets[0].getsockname()[1], listen))
        async with (
            _running(NGINX, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr", cwd=tmp_path),
            httpx.AsyncClient(base_url=f"http://{HOST}:{listen}", timeout=PATIENCE_SECONDS, trust_env=False) as http,
        ):
            await _answers(lambda: http.get("/"), 404)
            assert (await http.get(f"/watch/{ref}/{token}/index.m3u8")).status_code == 500
