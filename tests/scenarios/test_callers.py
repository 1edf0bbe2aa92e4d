"""Every route with every kind of caller: who is let in, who is not, and that what is another's reads like what does not exist."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import jwt
import msgspec
import pytest

from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from service.api import auth, contract
from service.api.platform_examples import INCIDENT, ORDER, SHOW
from service.app import contract_app, open_application
from service.keys import SCOPES, Keys, Role, allowed_scopes, scopes_of
from service.model import WireId, new_id, unwire, wire
from service.platform_checks import read_settings
from service.platforms import sealed
from service.sealing import Vault
from service.settings import load
from service.store import embedded
from service.store.keys import KeyStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.vendors import Vendors
from tests.identity.world import SECRET, TESTING

EVERYBODY: Final = frozenset({"platform", "agent", "machine", "customer"})
DESK: Final = frozenset({"agent", "machine"})
PLATFORM: Final = frozenset({"platform"})
AGENT: Final = frozenset({"agent"})
CUSTOMER: Final = frozenset({"customer"})
ANYONE: Final[frozenset[str]] = frozenset()

# Why a route has nothing of another's to ask for.
OWN: Final = "it shows and changes only what is the caller's own, by no name that another could know"
REFS: Final = "a reference belongs to the platform that says it: another's is a new one, or none"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is promised of one route. `body`: a valid one; `theirs`: why nobody can point at another's thing, or empty: they get 404."""

    callers: frozenset[str]
    scope: str | None = None
    machines: str | None = None
    """the scope that a program needs instead"""
    body: Any = None
    theirs: str = ""
    leads_only: bool = False


REASON: Final = {"reason": "because a test says so"}

# {case}, {operation}, {pass}: ids of the first platform's things, filled in below.
TABLE: Final[Mapping[str, Row]] = {
    "GET /.well-known/jwks.json": Row(callers=ANYONE, theirs=OWN),
    "POST /webhooks/{kind}": Row(callers=ANYONE, theirs="the processor signs the body; a rail is the installation's"),
    "POST /webhooks/{kind}/{rail}": Row(callers=ANYONE, theirs="the processor signs the body; a rail is the installation's"),
    "POST /v1/sessions": Row(callers=ANYONE, theirs=OWN),
    "POST /v1/sessions/codes": Row(callers=CUSTOMER, theirs=OWN),
    "POST /v1/sessions/verify": Row(callers=CUSTOMER, theirs=OWN),
    "GET /v1/session": Row(callers=CUSTOMER, theirs=OWN),
    "DELETE /v1/session": Row(callers=CUSTOMER, theirs=OWN),
    "PUT /v1/shows/{ref}": Row(callers=PLATFORM, scope="orders:write", theirs=REFS),
    "GET /v1/shows/{ref}": Row(callers=PLATFORM, scope="orders:read"),
    "PUT /v1/shows/{ref}/incidents/{incident}": Row(callers=PLATFORM, scope="orders:write", body=INCIDENT),
    "PUT /v1/orders/{ref}": Row(callers=PLATFORM, scope="orders:write", theirs=REFS),
    "GET /v1/orders/{ref}": Row(callers=PLATFORM, scope="orders:read"),
    "GET /v1/orders/{ref}/money": Row(callers=EVERYBODY, scope="orders:read"),
    "POST /v1/orders/bulk": Row(callers=PLATFORM, scope="orders:write", theirs=REFS),
    "POST /v1/cases": Row(callers=EVERYBODY, scope="cases:write", theirs="a claimed order stays a claim until it is proven"),
    "GET /v1/help": Row(callers=ANYONE, theirs="a platform's name and look, as its customers see them"),
    "GET /v1/help/orders": Row(callers=CUSTOMER, theirs=OWN),
    "POST /v1/help/preview": Row(callers=CUSTOMER, body={"problem": "other"}, theirs="an order of another's reads like none"),
    "GET /v1/cases/{case_id}": Row(callers=EVERYBODY, scope="cases:read"),
    "GET /v1/cases/{case_id}/timeline": Row(callers=EVERYBODY, scope="cases:read"),
    "GET /v1/cases/{case_id}/progress": Row(callers=EVERYBODY, scope="cases:read"),
    "POST /v1/cases/{case_id}/identify": Row(callers=CUSTOMER, body={}),
    "POST /v1/cases/{case_id}/answers": Row(callers=EVERYBODY, scope="cases:write", body={"fact": "works_now", "value": "true"}),
    "POST /v1/cases/{case_id}/preview": Row(callers=CUSTOMER, body={"fact": "works_now", "value": "true"}),
    "POST /v1/cases/{case_id}/payout": Row(
        callers=CUSTOMER | AGENT, scope="actions:write", body={"operation": "{operation_id}", "to": "backup", "checked": "called back"}
    ),
    "POST /v1/cases/{case_id}/messages": Row(callers=EVERYBODY, scope="cases:write", body={"message": "hello"}),
    "POST /v1/cases/{case_id}/person": Row(callers=EVERYBODY, scope="cases:write", body={}),
    "GET /v1/queue": Row(callers=DESK | PLATFORM, scope="cases:read", theirs=OWN),
    "POST /v1/queue/take": Row(callers=DESK, scope="queue:work", body={"case": "{case}"}),
    "GET /v1/cases/{case_id}/bundle": Row(callers=DESK, scope="cases:read"),
    "POST /v1/cases/{case_id}/notes": Row(callers=DESK, scope="queue:work", body={"body": "a note"}),
    "POST /v1/cases/{case_id}/replies": Row(callers=DESK, scope="queue:work", machines="replies:write", body={"body": "a reply"}),
    "POST /v1/cases/{case_id}/attachments": Row(callers=DESK, scope="queue:work", machines="replies:write", body="a text"),
    "GET /v1/attachments/{attachment_id}": Row(callers=EVERYBODY, scope="cases:read"),
    "GET /v1/cases/{case_id}/macros": Row(callers=DESK, scope="cases:read"),
    "PUT /v1/cases/{case_id}/draft": Row(
        callers=DESK, scope="queue:work", machines="replies:write", body={"kind": "note", "body": "half a"}
    ),
    "GET /v1/cases/{case_id}/drafts": Row(callers=DESK, scope="cases:read"),
    "GET /v1/wait": Row(callers=EVERYBODY, scope="cases:read", theirs=OWN),
    "POST /v1/cases/{case_id}/resolve": Row(callers=DESK, scope="queue:work", machines="cases:end", body=REASON),
    "POST /v1/cases/{case_id}/give-back": Row(callers=DESK, scope="queue:work", body=REASON),
    "POST /v1/cases/{case_id}/keep": Row(callers=DESK, scope="queue:work", body={}),
    "POST /v1/cases/{case_id}/park": Row(
        callers=DESK, scope="queue:work", machines="cases:park", body={"for": "hold", "seconds": 60, **REASON}
    ),
    "POST /v1/cases/{case_id}/unpark": Row(callers=DESK, scope="queue:work", machines="cases:park"),
    "GET /v1/cases/{case_id}/guide": Row(callers=DESK, scope="cases:read"),
    "GET /v1/desk/sign-in": Row(callers=ANYONE, theirs="a platform's name and look, as its customers see them"),
    "POST /v1/desk/sessions": Row(callers=ANYONE, theirs="the code or the token says who it is"),
    "GET /v1/desk/session": Row(callers=DESK, theirs=OWN),
    "DELETE /v1/desk/session": Row(callers=AGENT, theirs=OWN),
    "GET /v1/desk/live": Row(callers=DESK, scope="cases:read", theirs=OWN),
    "GET /v1/search": Row(callers=DESK, scope="cases:read", theirs="a name that is another's finds nothing"),
    "GET /v1/policies": Row(callers=DESK | PLATFORM, scope="cases:read", theirs=OWN),
    "POST /v1/policies/{pack}/try": Row(
        callers=DESK | PLATFORM, scope="cases:read", body={"facts": {}}, theirs="a pack of another is none"
    ),
    "GET /v1/desk/shift": Row(callers=DESK, scope="cases:read", theirs=OWN),
    "PUT /v1/desk/availability": Row(callers=DESK, scope="queue:work", body={"available": True}, theirs=OWN),
    "POST /v1/cases/{case_id}/previews": Row(callers=DESK, scope="queue:work", body={"action": "resend_pass", "pass_id": "{pass}"}),
    "POST /v1/cases/{case_id}/actions": Row(callers=DESK, scope="actions:write", body={"preview": f"prev_{'0' * 32}", **REASON}),
    "GET /v1/cases/{case_id}/suggestions": Row(callers=DESK, scope="cases:read"),
    "GET /v1/operations/{operation_id}/preview": Row(callers=DESK, scope="cases:read"),
    "POST /v1/operations/{operation_id}/approve": Row(callers=AGENT, scope="actions:write", body={"facts_hash": "0" * 64, **REASON}),
    "POST /v1/operations/{operation_id}/refuse": Row(callers=AGENT, scope="actions:write", body=REASON),
    "POST /v1/operations/{operation_id}/settle": Row(callers=AGENT, scope="actions:write", body={"reference": "B-1"}),
    "POST /v1/operations/{operation_id}/judge": Row(callers=AGENT, scope="actions:write", body={"moved": False}, leads_only=True),
    "POST /v1/access/tokens": Row(callers=PLATFORM, scope="orders:write", body={"pass_id": "{pass}", "show": "{show}"}),
    "POST /v1/access/check": Row(callers=PLATFORM, scope="access:check", theirs="another's token is a token that opens nothing"),
    "POST /v1/access/playback": Row(callers=PLATFORM, scope="access:check", theirs="another's token is a token that opens nothing"),
    "GET /v1/access/revocations": Row(callers=PLATFORM, scope="access:check", theirs=OWN),
    "GET /v1/keys": Row(callers=PLATFORM, scope="keys:write", theirs=OWN),
    "POST /v1/keys": Row(callers=PLATFORM, scope="keys:write", theirs=OWN),
    "POST /v1/keys/{key_id}/rotate": Row(callers=PLATFORM, body=REASON),
    "POST /v1/keys/{key_id}/revoke": Row(callers=PLATFORM, body=REASON),
    "GET /v1/agents": Row(callers=PLATFORM | AGENT, scope="agents:write", theirs=OWN, leads_only=True),
    "POST /v1/agents": Row(callers=PLATFORM, scope="agents:write", theirs=OWN),
    "PUT /v1/agents/{agent_id}": Row(callers=PLATFORM | AGENT, scope="agents:write", body={"skills": [], **REASON}, leads_only=True),
    "POST /v1/agents/{agent_id}/disable": Row(callers=PLATFORM | AGENT, scope="agents:write", body=REASON, leads_only=True),
    "GET /v1/platform/settings": Row(callers=PLATFORM, scope="settings:write", theirs=OWN),
    "PUT /v1/platform/settings": Row(callers=PLATFORM, scope="settings:write", theirs=OWN),
    "GET /v1/platform/settings/history": Row(callers=PLATFORM, scope="settings:write", theirs=OWN),
    "POST /v1/platform/settings/rollback": Row(callers=PLATFORM, scope="settings:write", theirs=OWN),
    "GET /v1/platform/readiness": Row(callers=PLATFORM, scope="orders:read", theirs=OWN),
    "POST /v1/cases/{case_id}/referrals": Row(
        callers=DESK,
        scope="queue:work",
        machines="cases:park",
        body={
            "team": "fraud",
            "reason": "other",
            "question": "is this one known",
            "evidence": [{"kind": "pass", "ref": "{pass}"}],
            "holds": True,
        },
    ),
    "GET /v1/referrals": Row(callers=DESK | PLATFORM, scope="cases:read", theirs=OWN),
    "GET /v1/referrals/{referral_id}": Row(callers=DESK | PLATFORM, scope="cases:read"),
    "POST /v1/referrals/{referral_id}/answer": Row(
        callers=AGENT | PLATFORM, scope="referrals:write", body={"answer": "cleared", "words": "known to us"}
    ),
    "POST /v1/referrals/{referral_id}/withdraw": Row(callers=AGENT, scope="queue:work", body=REASON),
    "GET /v1/figures": Row(callers=AGENT | PLATFORM, scope="cases:read", theirs=OWN),
    "GET /v1/board": Row(callers=AGENT | PLATFORM, scope="cases:read", theirs=OWN),
    "GET /v1/shift": Row(callers=DESK, scope="queue:work", theirs=OWN),
    "POST /v1/cases/{case_id}/satisfaction": Row(callers=CUSTOMER, body={"score": 5}),
    "POST /v1/satisfaction": Row(callers=ANYONE, theirs="the sealed token names the one case that it scores"),
    "GET /v1/rails": Row(callers=DESK | PLATFORM, scope="orders:read", theirs=OWN),
    "GET /v1/events": Row(callers=PLATFORM, scope="events:read", theirs=OWN),
    "GET /v1/endpoints": Row(callers=PLATFORM, scope="events:read", theirs=OWN),
    "POST /v1/endpoints": Row(callers=PLATFORM, scope="endpoints:write", theirs=OWN),
    "GET /v1/endpoints/{endpoint_id}": Row(callers=PLATFORM, scope="events:read"),
    "PATCH /v1/endpoints/{endpoint_id}": Row(callers=PLATFORM, scope="endpoints:write", body={"state": "paused", **REASON}),
    "DELETE /v1/endpoints/{endpoint_id}": Row(callers=PLATFORM, scope="endpoints:write"),
    "POST /v1/endpoints/{endpoint_id}/rotate": Row(callers=PLATFORM, scope="endpoints:write", body=REASON),
    "POST /v1/endpoints/{endpoint_id}/test": Row(callers=PLATFORM, scope="endpoints:write"),
    "POST /v1/endpoints/{endpoint_id}/replay": Row(callers=PLATFORM, scope="endpoints:write", body={"after": 0, **REASON}),
    "POST /v1/endpoints/{endpoint_id}/enable": Row(callers=PLATFORM, scope="endpoints:write", body=REASON),
    "GET /v1/endpoints/{endpoint_id}/deliveries": Row(callers=PLATFORM, scope="events:read"),
    "GET /v1/brakes": Row(callers=PLATFORM | AGENT, scope="brakes:write", theirs=OWN, leads_only=True),
    "PUT /v1/brakes/{kind}/{ref}": Row(callers=PLATFORM | AGENT, scope="brakes:write", body=REASON, theirs=REFS, leads_only=True),
    "DELETE /v1/brakes/{kind}/{ref}": Row(callers=PLATFORM | AGENT, scope="brakes:write", theirs=REFS, leads_only=True),
    "GET /v1/notices": Row(callers=PLATFORM | AGENT, scope="cases:read", theirs=OWN),
    "PUT /v1/shows/{ref}/notice": Row(
        callers=PLATFORM | AGENT, scope="brakes:write", body={"text": {"en": "We know."}, **REASON}, leads_only=True
    ),
    "DELETE /v1/shows/{ref}/notice": Row(callers=PLATFORM | AGENT, scope="brakes:write", leads_only=True),
    "GET /v1/help/live": Row(callers=ANYONE, theirs="what is said on a show is said to everybody"),
    "POST /v1/help/follow": Row(callers=CUSTOMER, body={"show": "{show}"}, theirs="it writes to the caller's own address"),
    "GET /v1/help/follow": Row(callers=CUSTOMER, theirs="it tells of the caller's own address"),
    "DELETE /v1/help/follow": Row(callers=CUSTOMER, theirs="it ends letters to the caller's own address"),
}

UNDER_A_NAME: Final = sorted(name for name, row in TABLE.items() if not row.theirs)
SHARED: Final = "a secret that a platform of the tests and we know"


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One platform, with a caller of each kind."""

    id: UUID
    slug: str
    platform: str
    narrow: str
    other: str
    """the platform's key with the wrong scope"""
    agent: str
    lead: str
    machine: str
    """with every scope that a program can be given"""
    plain_machine: str
    """with those that it gets when nobody says more"""
    session: str

    def customer(self, subject: str) -> str:
        """The platform's own token for one of its customers."""
        now = datetime.now(UTC).timestamp()
        claims = {"iss": self.slug, "aud": "makegood", "sub": subject, "iat": now, "exp": now + 300}
        return jwt.encode(claims, SHARED, algorithm="HS256")


class Theirs(msgspec.Struct, frozen=True, kw_only=True):
    """What the first platform has."""

    order: str
    show: str
    case: str
    operation: str
    ticket: str
    key: str = f"key_{'0' * 32}"
    agent: str = f"agent_{'0' * 32}"
    endpoint: str = f"ep_{'0' * 32}"
    referral: str = f"referral_{'0' * 32}"
    attachment: str = f"att_{'0' * 32}"

    def fill(self, template: str) -> str:
        names = {"case": self.case, "case_id": self.case, "operation_id": self.operation, "pass": self.ticket, "show": self.show}
        names |= {"key_id": self.key, "agent_id": self.agent, "endpoint_id": self.endpoint, "attachment_id": self.attachment}
        names |= {"referral_id": self.referral}
        names |= {"ref": self.show if "/shows/" in template else self.order, "incident": "outage-1", "kind": "all"}
        for name, value in names.items():
            template = template.replace(f"{{{name}}}", value)
        return template


class Town(msgspec.Struct, frozen=True, kw_only=True):
    http: httpx.AsyncClient
    pool: Pool
    ours: Tenant
    other: Tenant
    theirs: Theirs

    async def call(self, name: str, token: str | None, *, slug: str, body: Any = None) -> httpx.Response:
        method, _, path = name.partition(" ")
        headers = {"Makegood-Platform": slug, "Idempotency-Key": uuid4().hex}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        text = None if body is None else self.theirs.fill(msgspec.json.encode(body).decode())
        if text is not None:
            headers["Content-Type"] = "application/json"
        return await self.http.request(method, self.theirs.fill(path), headers=headers, content=text)

    async def all_we_have(self) -> object:
        """Everything of our platform that a stranger could have touched."""
        tables = ["cases", "timeline", "message", "contact", "operation", "approval", "orders", "show", "incident", "access_token", "brake"]
        tables += ["api_key", "agent", "audit", "setting_version", "endpoint", "delivery_log", "attachment", "draft", "preview"]
        tables += ["referral", "satisfaction"]
        parts = [
            f"(SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]') FROM {t} AS t WHERE platform_id = $1)"
            for t in tables
        ]
        return await self.pool.fetchval(f"SELECT jsonb_build_array({', '.join(parts)})", self.ours.id)


@pytest.fixture(scope="module")
async def town(postgres_dsn: str, template_database: str) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(_town(postgres_dsn, template_database))


@asynccontextmanager
async def _town(postgres_dsn: str, template: str) -> AsyncIterator[Town]:
    dsn = await embedded.create_database(postgres_dsn, f"callers_{uuid4().hex[:12]}", template=template)
    settings = load({"MAKEGOOD_DATABASE_URL": dsn, "MAKEGOOD_SECRET": SECRET.decode()})
    vendors = Vendors(
        rails={"play": MemorySandboxRail("play")},
        kinds={"play": "sandbox"},
        mailer=SandboxMailer(sender="help@makegood.example"),
        issuers={"sandbox": SandboxIssuer()},
    )
    async with open_application(settings, vendors) as application:
        application.desk_live.stream_seconds = 0.1  # each answer is read to its end here
        asgi: Any = application.http
        transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://makegood.test") as http:
            ours, other = await _tenant(application.pool, http), await _tenant(application.pool, http)
            theirs = await _things(application.pool, http, ours)
            yield Town(http=http, pool=application.pool, ours=ours, other=other, theirs=theirs)
        await application.finish()


async def _tenant(pool: Pool, http: httpx.AsyncClient) -> Tenant:
    platform_id = new_id()
    slug = f"shop-{platform_id.hex}"
    proof = {"issuer": slug, "audience": "makegood", "secret": SHARED}
    read = read_settings({"name": "Moonlight", "proof": proof}, rails={})
    settings = msgspec.to_builtins(sealed(read, Vault(SECRET, purpose="platform"), slug))
    assert await PlatformStore(pool).add(platform_id, slug, settings, TESTING)
    keys = Keys(KeyStore(pool))

    async def agent(name: str, role: Role, *scopes: str) -> str:
        skills = ("support", "trust", "payments", "operations")
        made = await keys.make_agent_key(platform_id, name=name, role=role, skills=skills, scopes=scopes, days=1, change=TESTING)
        return made.token

    async def platform(*scopes: str) -> str:
        return (await keys.make_platform_key(platform_id, name="shop", scopes=scopes, days=1, change=TESTING)).token

    session = await http.post("/v1/sessions", headers={"Makegood-Platform": slug})
    return Tenant(
        id=platform_id,
        slug=slug,
        platform=await platform(*allowed_scopes("platform")),
        narrow=await platform("access:check"),
        other=await platform("orders:read"),
        agent=await agent("Mira", "agent"),
        lead=await agent("Leo", "lead"),
        machine=await agent("Bot", "machine", *allowed_scopes("machine")),
        plain_machine=await agent("Bot", "machine"),
        session=session.json()["token"],
    )


async def _things(pool: Pool, http: httpx.AsyncClient, tenant: Tenant) -> Theirs:
    """A show, an order of `c-1007`, a case on it that waits for people, and an operation of that case."""
    headers = {"Authorization": f"Bearer {tenant.platform}", "Idempotency-Key": "first"}
    order = {**ORDER, "payments": [{**payment, "rail": "play"} for payment in ORDER["payments"]]}
    for path, body in (("/v1/shows/nll26", SHOW), ("/v1/orders/M0VLU", order)):
        answer = await http.put(path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
    opened = await http.post(
        "/v1/cases", json={"problem": "other", "channel": "api", "order": "M0VLU", "show": "nll26"}, headers={**headers, "Prefer": "wait=5"}
    )
    assert opened.status_code in (200, 201, 202), opened.text
    case_id, operation_id = unwire(WireId.CASE, opened.json()["id"]), new_id()
    await pool.execute(
        "INSERT INTO operation (platform_id, id, case_id, order_id, action, state, pass_id, holds, approvals_needed, due_at, created_at)"
        " SELECT c.platform_id, $3, c.id, c.order_id, 'void_pass', 'HELD', p.id, '{mode}', 1, now() + interval '1 hour', now()"
        " FROM cases AS c JOIN pass AS p ON p.platform_id = c.platform_id AND p.order_id = c.order_id"
        " WHERE c.platform_id = $1 AND c.id = $2",
        tenant.id,
        case_id,
        operation_id,
    )
    where = {"name": "shop", "url": "https://shop.example/makegood", **REASON}
    told = await http.post("/v1/endpoints", json=where, headers=headers)
    assert told.status_code == 201, told.text
    at_the_desk = {"Authorization": f"Bearer {tenant.agent}", "Content-Type": "text/plain"}
    attached = await http.post(f"/v1/cases/{opened.json()['id']}/attachments", content=b"a receipt", headers=at_the_desk)
    assert attached.status_code == 201, attached.text
    ticket = await pool.fetchval("SELECT id FROM pass WHERE platform_id = $1", tenant.id)
    referral = await pool.fetchval(
        "INSERT INTO referral (platform_id, id, case_id, team, reason, question, evidence, holds, holding, asked_by, state, created_at,"
        " answer_by) VALUES ($1, gen_random_uuid(), $2, 'fraud', 'other', 'known?', '[]', true, false, 'agent:Mira', 'open', now(),"
        " now() + interval '1 day') RETURNING id",
        tenant.id,
        case_id,
    )
    return Theirs(
        attachment=attached.json()["id"],
        order="M0VLU",
        show="nll26",
        case=opened.json()["id"],
        operation=wire(WireId.OPERATION, operation_id),
        ticket=wire(WireId.PASS, ticket),
        key=wire(WireId.KEY, await pool.fetchval("SELECT id FROM api_key WHERE platform_id = $1 AND kind = 'platform' LIMIT 1", tenant.id)),
        endpoint=told.json()["endpoint"]["id"],
        referral=wire(WireId.REFERRAL, referral),
        agent=wire(WireId.AGENT, await pool.fetchval("SELECT id FROM agent WHERE platform_id = $1 AND role = 'agent'", tenant.id)),
    )


def test_every_route_is_in_the_table_and_the_table_has_no_other() -> None:
    declared = {}
    for path, method, handler in contract.all_operations(contract_app()):
        access = auth.declared_access(handler)
        assert access is not None, f"{method.upper()} {path} declares no callers"
        assert access.callers or access.reason, f"{method.upper()} {path} is open to anyone without a reason"
        assert {access.scope, access.machines} <= {None, *SCOPES}, f"{method.upper()} {path} asks for a scope that no key can have"
        if handler.resolve_include_in_schema():
            declared[f"{method.upper()} {path}"] = (access.callers, access.scope, access.machines)
    assert declared == {name: (row.callers, row.scope, row.machines) for name, row in TABLE.items()}


@pytest.mark.parametrize("name", sorted(TABLE))
async def test_whom_a_route_is_for_is_let_in_and_nobody_else(town: Town, name: str) -> None:
    row, ours = TABLE[name], town.ours
    # An id that nobody has and no body: whoever gets past the guard is told 400 or 404, and nothing changes.
    blank = msgspec.structs.replace(
        town, theirs=Theirs(order="NO", show="no", case=f"case_{'0' * 32}", operation=f"op_{'0' * 32}", ticket=f"pass_{'0' * 32}")
    )
    tokens = {
        "platform": ours.platform,
        "agent": ours.agent,
        "lead": ours.lead,
        "machine": ours.machine,
        "customer": ours.customer("c-1"),
        "session": ours.session,
    }
    kinds = {"lead": "agent", "session": "customer"}
    for who, token in tokens.items():
        if name == "DELETE /v1/session" and who == "session":
            continue  # it would be gone for the other routes; its own test ends one
        answer = await blank.call(name, token, slug=ours.slug)
        admitted = not row.callers or kinds.get(who, who) in row.callers
        if row.leads_only and who == "agent":
            answer = await blank.call(name, token, slug=ours.slug, body=row.body)
            assert (answer.status_code, _code(answer)) in ((403, "scope_missing"), (403, "not_a_lead")), (who, answer.text)
        elif admitted:
            assert answer.status_code not in (401, 403, 500), (who, answer.text)
        else:
            assert (answer.status_code, _code(answer)) == (403, "caller_not_allowed"), (who, answer.text)


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if row.callers))
async def test_whoever_proves_nothing_gets_nothing(town: Town, name: str) -> None:
    ours = town.ours
    good = ours.platform
    forged = jwt.encode({"iss": ours.slug, "aud": "makegood", "sub": "c-1007", "iat": 0, "exp": 2**40}, "x" * 40, algorithm="HS256")
    for token in (
        None,
        "x",
        "mgk_",
        "mgk_" + "A" * 43,
        "mgs_" + "A" * 43,
        good[:-1],
        good + "A",
        good.upper(),
        "a.b.c",
        forged,
        "x" * 7000,
    ):
        answer = await town.call(name, token, slug=ours.slug)
        assert answer.status_code == 401, (token, answer.text)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for scheme in ("Basic", "bearer:", ""):
        answer = await town.http.request(
            name.split(maxsplit=1)[0], town.theirs.fill(name.split()[1]), headers={"Authorization": f"{scheme} {good}"}
        )
        assert answer.status_code == 401, (scheme, answer.text)


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if row.scope and "platform" in row.callers))
async def test_a_key_without_the_scope_is_told_which_one_it_lacks(town: Town, name: str) -> None:
    narrow = town.ours.other if TABLE[name].scope == "access:check" else town.ours.narrow
    answer = await town.call(name, narrow, slug=town.ours.slug)
    assert (answer.status_code, _code(answer)) == (403, "scope_missing")
    assert str(TABLE[name].scope) in answer.json()["detail"]


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if "machine" in row.callers and (row.machines or row.scope)))
async def test_a_program_has_what_its_key_says_and_is_told_what_it_lacks(town: Town, name: str) -> None:
    needed = str(TABLE[name].machines or TABLE[name].scope)
    blank = msgspec.structs.replace(
        town, theirs=Theirs(order="NO", show="no", case=f"case_{'0' * 32}", operation=f"op_{'0' * 32}", ticket=f"pass_{'0' * 32}")
    )
    answer = await blank.call(name, town.ours.plain_machine, slug=town.ours.slug)
    if needed in scopes_of((), "machine"):
        assert answer.status_code not in (401, 403, 500), answer.text
    else:
        assert (answer.status_code, _code(answer)) == (403, "scope_missing")
        assert needed in answer.json()["detail"]


@pytest.mark.parametrize("name", UNDER_A_NAME)
async def test_what_is_another_platforms_does_not_exist(town: Town, name: str) -> None:
    row, other = TABLE[name], town.other
    tokens = {
        "platform": [other.platform],
        "agent": [other.lead] if row.leads_only else [other.agent, other.lead],
        "machine": [other.machine],
        "customer": [other.customer("c-1007"), other.session],
    }
    before = await town.all_we_have()
    for kind in sorted(row.callers):
        for token in tokens[kind]:
            answer = await town.call(name, token, slug=other.slug, body=row.body)
            assert (answer.status_code, _code(answer)) == (404, "not_found"), (kind, answer.text)
    # nor by naming our platform with another's token
    for token in (other.customer("c-1007"), other.platform):
        answer = await town.call(name, token, slug=town.ours.slug, body=row.body)
        assert answer.status_code in (401, 403, 404), answer.text
    assert await town.all_we_have() == before


async def test_no_route_shows_or_changes_what_is_another_platforms_whoever_calls(town: Town) -> None:
    """Every route, with the names of our things, by each caller of the other platform, under its own name and under ours."""
    other, ours = town.other, town.ours
    callers = {
        "platform": other.platform,
        "agent": other.agent,
        "lead": other.lead,
        "machine": other.machine,
        "token": other.customer("c-1007"),
        "session": other.session,
    }
    kinds = {"lead": "agent", "token": "customer", "session": "customer"}
    secret = (town.theirs.case, town.theirs.operation, town.theirs.ticket, town.theirs.key, town.theirs.agent, ours.slug)
    before, tried = await town.all_we_have(), 0
    for name, row in TABLE.items():
        if not row.callers or name == "DELETE /v1/session":  # which ends the session of whoever calls, and no other
            continue
        for (who, token), slug in product(callers.items(), (other.slug, ours.slug)):
            answer = await town.call(name, token, slug=slug, body=row.body)
            tried += 1
            where = (name, who, slug == ours.slug, answer.status_code, answer.text)
            assert answer.status_code < 500, where
            assert not any(text in answer.text for text in secret), where
            if who == "token" and slug == ours.slug:
                assert answer.status_code == 401, where
            elif kinds.get(who, who) not in row.callers:
                assert answer.status_code == 403, where
            elif not row.theirs:
                assert answer.status_code in {403, 404}, where
    assert await town.all_we_have() == before
    closed = [name for name, row in TABLE.items() if row.callers and name != "DELETE /v1/session"]
    assert tried == len(closed) * len(callers) * 2
    assert tried >= 50 * 12
    sys.stdout.write(f"\n{tried} calls: {len(closed)} routes, {len(callers)} callers of another platform, under its name and under ours\n")


@pytest.mark.parametrize("name", [name for name in UNDER_A_NAME if "customer" in TABLE[name].callers])
async def test_what_is_another_customers_does_not_exist(town: Town, name: str) -> None:
    ours = town.ours
    before = await town.all_we_have()
    for token in (ours.customer("c-1008"), ours.session):
        answer = await town.call(name, token, slug=ours.slug, body=TABLE[name].body)
        assert (answer.status_code, _code(answer)) == (404, "not_found"), answer.text
    assert await town.all_we_have() == before


async def test_the_customer_whose_order_it_is_sees_the_case(town: Town) -> None:
    answer = await town.call("GET /v1/cases/{case_id}", town.ours.customer("c-1007"), slug=town.ours.slug)
    assert answer.status_code == 200, answer.text


def _code(answer: httpx.Response) -> str:
    kind: str = answer.json()["type"] if answer.content else ""
    return kind.removeprefix("urn:makegood:problem:")
