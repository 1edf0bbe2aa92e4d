"""What the tests of identity share: the application with its routes of identity, platforms with orders, a mailbox, customers who call."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from litestar import Controller, Litestar

from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_text import SandboxTexter
from service import tokens
from service.api import frame
from service.api.auth import Authenticator
from service.api.customer_identity import FAILURES, CustomerIdentity
from service.api.origins import Origins
from service.api.requests import ClientAddress
from service.api.wellknown import WellKnown
from service.code_letters import CodeLetters
from service.code_texts import CodeTexts
from service.identity import Identity
from service.in_step import InStep
from service.keys import Keys
from service.letters.render import Letters
from service.limits import Limits
from service.platforms import Platforms
from service.ports import Unavailable
from service.proofs import Verifier
from service.sealing import Vault
from service.signing import SigningKeys
from service.store.identity import IdentityStore
from service.store.keys import Change, KeyStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.readiness import DatabaseReadiness
from service.store.signing import SigningKeyStore
from tests.systems import no_systems

SECRET: Final = b"an installation secret of the tests, 32 bytes and more"
NOW: Final = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
TESTING: Final = Change(actor="test", why="a test")


class KeySets:
    """The platforms' key servers: what is published at each address."""

    def __init__(self) -> None:
        self.published: dict[str, bytes] = {}

    async def fetch(self, url: str) -> bytes:
        if url not in self.published:
            raise Unavailable("nobody answers")
        return self.published[url]


class World:
    """One installation: its parts, its outgoing mail, its clock for platforms' tokens."""

    def __init__(
        self, pool: Pool, *, limits: Limits | None = None, texts: bool = True, in_step: InStep | None = None, public_url: str | None = None
    ) -> None:
        self.pool = pool
        self.now = NOW
        self.key_sets = KeySets()
        self.mailer = SandboxMailer(sender="Makegood <help@makegood.example>", clock=lambda: self.now)
        self.texter = SandboxTexter()
        store, vault = IdentityStore(pool), Vault(SECRET, purpose="identity")
        self.platforms = Platforms(PlatformStore(pool), Vault(SECRET, purpose="platform"), monotonic=lambda: 0.0, kept_seconds=0.0)
        self.identity = Identity(
            store=store,
            platforms=self.platforms,
            verifier=Verifier(self.key_sets, lambda: 0.0),
            vault=vault,
            clock=lambda: self.now,
            limits=limits,
            codes_by_text=texts,
        )
        self.keys = Keys(KeyStore(pool))
        self.signing_keys = SigningKeys(SigningKeyStore(pool), tokens.Sealer(SECRET))
        self.letters = CodeLetters(
            store=store,
            platforms=self.platforms,
            vault=vault,
            letters=Letters(),
            mailer=self.mailer,
            in_step=in_step or no_systems(),
        )
        self.texts = CodeTexts(
            store=store,
            platforms=self.platforms,
            vault=vault,
            texter=self.texter,
            in_step=in_step or no_systems(),
            public_url=public_url,
            limits=limits,
        )

    def parts(self) -> frame.Parts:
        return frame.Parts(
            authenticator=Authenticator(
                key=self.keys.caller_for,
                session=self.identity.caller_for_session,
                platform_token=self.identity.caller_for_platform_token,
            ),
            readiness=DatabaseReadiness(self.pool),
            client_address=ClientAddress(proxies=1),
            domain={"identity": self.identity, "platforms": self.platforms, "signing_keys": self.signing_keys},
            failures=FAILURES,
            origins=Origins(self.platforms),
        )

    def app(self, controllers: Sequence[type[Controller]] = (CustomerIdentity, WellKnown)) -> Litestar:
        return frame.build_app(self.parts(), controllers, version="test")

    async def deliver(self) -> int:
        """Does the background's work: every code job that waits. Returns how many there were."""
        rows = await self.pool.fetch("DELETE FROM pgqueuer WHERE entrypoint IN ('send_code', 'send_text') RETURNING entrypoint, payload")
        for row in rows:
            await (self.letters.send_code if row["entrypoint"] == "send_code" else self.texts.send_text)(row["payload"])
        return len(rows)

    def texts_to(self, phone: str) -> list[str]:
        """The digits of the texts to that phone, oldest first."""
        return [text.body.split("\n\n")[0].split()[0] for text in self.texter.texts if text.to == phone]

    def codes_to(self, address: str) -> list[str]:
        """The digits of the letters to that address, oldest first."""
        found = []
        for raw in self.mailer.messages:
            letter = message_from_bytes(raw, policy=policy.default)
            if letter["To"] == address:
                text = letter.get_body(("plain",))
                assert text is not None
                digits = re.search(r"\b\d{6}\b", text.get_content())
                assert digits is not None
                found.append(digits[0])
        return found


@asynccontextmanager
async def calling(app: Litestar, *, client: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the application over HTTP as from its own address on the network."""
    address = client or f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"
    asgi: Any = app
    transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://makegood.test", headers={"X-Forwarded-For": address}) as http:
        yield http


class Customer:
    """Somebody with the widget open: holds a session and asks with it."""

    def __init__(self, http: httpx.AsyncClient, token: str, slug: str = "") -> None:
        self._http = http
        self._slug = slug
        self.token = token

    @classmethod
    async def arrives(cls, http: httpx.AsyncClient, slug: str) -> Customer:
        answer = await http.post("/v1/sessions", headers={"Makegood-Platform": slug})
        assert answer.status_code == 201, answer.text
        return cls(http, answer.json()["token"], slug)

    async def ask_for_code(self, email: str, order: str | None = None) -> httpx.Response:
        body = {"email": email} if order is None else {"email": email, "order": order}
        return await self._http.post("/v1/sessions/codes", json=body, headers=self._headers)

    async def ask_for_text(self, email: str, order: str | None = None, *, locale: str = "en", origin: str | None = None) -> httpx.Response:
        body = {"email": email, "by": "text", "locale": locale} | ({} if order is None else {"order": order})
        headers = self._headers if origin is None else {**self._headers, "Origin": origin, "Makegood-Platform": self._slug}
        return await self._http.post("/v1/sessions/codes", json=body, headers=headers)

    async def verify(self, code: str) -> httpx.Response:
        return await self._http.post("/v1/sessions/verify", json={"code": code}, headers=self._headers)

    async def level(self) -> str:
        answer = await self._http.get("/v1/session", headers=self._headers)
        assert answer.status_code == 200, answer.text
        level: str = answer.json()["level"]
        return level

    async def leave(self) -> httpx.Response:
        return await self._http.delete("/v1/session", headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Order:
    """An order in the database: a buyer, and one pass each for some holders."""

    def __init__(self, order_id: UUID, ref: str, email: str, passes: dict[str, UUID]) -> None:
        self.id = order_id
        self.ref = ref
        self.email = email
        self.passes = passes


class Shop:
    """One platform and what it sold."""

    def __init__(self, pool: Pool, platform_id: UUID, slug: str) -> None:
        self._pool = pool
        self.id = platform_id
        self.slug = slug

    @classmethod
    async def opens(cls, pool: Pool, settings: dict[str, Any] | None = None) -> Shop:
        platform_id = uuid4()
        slug = f"shop-{platform_id.hex}"
        assert await PlatformStore(pool).add(platform_id, slug, {"name": "Moonlight", **(settings or {})}, TESTING)
        return cls(pool, platform_id, slug)

    async def sells(
        self, email: str, *, ref: str | None = None, customer_ref: str | None = None, holders: Sequence[str] = (), phone: str | None = None
    ) -> Order:
        order_id, order_ref = uuid4(), ref or uuid4().hex[:8].upper()
        buyer = await self._person(email, phone)
        await self._pool.execute(
            "INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, customer_ref, placed_at, body_hash)"
            " VALUES ($1, $2, $3, 1, 'paid', 'EUR', 2500, $4, $5, clock_timestamp(), $6)",
            self.id,
            order_id,
            order_ref,
            buyer,
            customer_ref,
            sha256(order_id.bytes).digest(),
        )
        passes = {holder: await self._pass(order_id, holder) for holder in holders}
        return Order(order_id, order_ref, email, passes)

    async def _person(self, email: str, phone: str | None = None) -> UUID:
        person = uuid4()
        await self._pool.execute(
            "INSERT INTO person (platform_id, id, name, email, phone) VALUES ($1, $2, 'Mira', $3, $4)", self.id, person, email, phone
        )
        return person

    async def _pass(self, order_id: UUID, holder: str) -> UUID:
        line, ticket = uuid4(), uuid4()
        await self._pool.execute(
            "INSERT INTO line (platform_id, id, order_id, ref, type, kind, name, holder_id, price)"
            " VALUES ($1, $2, $3, $4, 'position', 'stream', 'Stream', $5, 2500)",
            self.id,
            line,
            order_id,
            line.hex[:8],
            await self._person(holder),
        )
        await self._pool.execute(
            "INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, created_at)"
            " VALUES ($1, $2, $3, $4, 'makegood', 'valid', $5, now())",
            self.id,
            ticket,
            order_id,
            line,
            ticket.hex,
        )
        return ticket


async def time_passes(pool: Pool, seconds: int) -> None:
    await pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)
