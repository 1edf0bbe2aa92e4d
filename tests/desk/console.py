"""A desk as its people meet it: the whole application, a platform with agents, browsers that keep cookies and say whose page asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec

from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from service.app import Application, open_application
from service.desk_sessions import DeskSessions
from service.keys import Keys, Role
from service.model import WireId, new_id, unwire
from service.platform_checks import read_settings
from service.platforms import VAULT_PURPOSE, sealed
from service.sealing import Vault
from service.settings import load
from service.store.desk_sessions import DeskSessionStore
from service.store.keys import AgentListed, KeyStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.vendors import Vendors
from tests.identity.world import SECRET, TESTING
from tests.patience import PATIENCE_SECONDS

HERE: Final = "http://makegood.test"
SKILLS: Final = ("support", "trust", "payments", "operations")


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of an installation, with its agents' tokens by name."""

    app: Application
    id: UUID
    slug: str
    platform: str
    """the platform's own key"""
    tokens: Mapping[str, str]

    @property
    def pool(self) -> Pool:
        return self.app.pool

    @property
    def sessions(self) -> DeskSessions:
        return DeskSessions(DeskSessionStore(self.pool), Keys(KeyStore(self.pool)))

    async def agent(self, name: str) -> AgentListed:
        return next(one for one in await KeyStore(self.pool).agents(self.id) if one.name == name)

    async def link(self, name: str) -> str:
        """The code of a link."""
        code = await self.sessions.link(self.id, (await self.agent(name)).id, TESTING)
        assert code is not None
        return code

    async def signed_in(self, browser: httpx.AsyncClient, name: str) -> httpx.Response:
        answer = await browser.post("/v1/desk/sessions", json={"code": await self.link(name)})
        assert answer.status_code == 201, answer.text
        return answer


@asynccontextmanager
async def installation(dsn: str, **settings: str) -> AsyncIterator[Application]:
    """One process of the application, without its loops, on a migrated database."""
    given = load({"MAKEGOOD_DATABASE_URL": dsn, "MAKEGOOD_SECRET": SECRET.decode(), "MAKEGOOD_PUBLIC_URL": HERE, **settings})
    vendors = Vendors(
        rails={"play": MemorySandboxRail("play")},
        kinds={"play": "sandbox"},
        mailer=SandboxMailer(sender="help@makegood.example"),
        issuers={"sandbox": SandboxIssuer()},
    )
    async with open_application(given, vendors) as application:
        yield application
        await application.finish()


async def open_office(app: Application, **settings: Any) -> Office:
    """A new platform with Mira and Ben, who are agents, Leo, who leads, and Bot, a program."""
    platform_id = new_id()
    slug = f"shop-{platform_id.hex}"
    read = read_settings({"name": "Moonlight", **settings}, rails={"play": "sandbox"})
    stored = msgspec.to_builtins(sealed(read, Vault(SECRET, purpose=VAULT_PURPOSE), slug))
    assert await PlatformStore(app.pool).add(platform_id, slug, stored, TESTING)
    keys = Keys(KeyStore(app.pool))

    async def agent(name: str, role: Role) -> str:
        made = await keys.make_agent_key(platform_id, name=name, role=role, skills=SKILLS, scopes=(), days=1, change=TESTING)
        return made.token

    key = await keys.make_platform_key(platform_id, name="shop", scopes=(), days=1, change=TESTING)
    roles: Mapping[str, Role] = {"Mira": "agent", "Ben": "agent", "Leo": "lead", "Bot": "machine"}
    tokens = {name: await agent(name, role) for name, role in roles.items()}
    return Office(app=app, id=platform_id, slug=slug, platform=key.token, tokens=tokens)


@asynccontextmanager
async def browsing(app: Application, *, page: str | None = HERE) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with its cookies. `page`: which origin's page asks; None: nobody says."""
    asgi: Any = app.http
    headers = {"Makegood-Desk": "1"} | ({"Origin": page} if page else {})
    transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers) as client:
        yield client


async def open_case(office: Office, **fields: Any) -> UUID:
    """A case that people look at."""
    async with browsing(office.app, page=None) as shop:
        body = {"problem": "other", "channel": "api", "message": "please look", **fields}
        headers = {"Authorization": f"Bearer {office.platform}", "Idempotency-Key": uuid4().hex, "Prefer": "wait=5"}
        answer = await shop.post("/v1/cases", json=body, headers=headers)
        assert answer.status_code in (200, 201, 202), answer.text
        asked = await shop.post(f"/v1/cases/{answer.json()['id']}/person", json={}, headers=headers | {"Idempotency-Key": uuid4().hex})
        assert asked.status_code == 200, asked.text
        case = unwire(WireId.CASE, answer.json()["id"])
        assert case is not None
        async with asyncio.timeout(PATIENCE_SECONDS):  # what was slow to be decided comes to people a moment later
            while await office.pool.fetchval("SELECT owner FROM cases WHERE id = $1", case) != "queue":
                await asyncio.sleep(0.01)
        return case


async def audited(office: Office, what: str) -> Sequence[Mapping[str, Any]]:
    rows = await office.pool.fetch("SELECT actor, data FROM audit WHERE platform_id = $1 AND what = $2 ORDER BY id", office.id, what)
    return [dict(row) for row in rows]
