"""A platform's own packs and rails: checked before they count, in force in every process with the next decision, explained years later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio

from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from policies import Packs, StoredDecision, bundled_folder, explain, load_packs
from service.api.platform_examples import ORDER, SHOW
from service.app import Application, open_application
from service.demo.world import make_platform
from service.model import WireId, unwire
from service.pack_desk import PackDesk
from service.sealing import Vault
from service.settings import load
from service.settings_desk import SettingsDesk, UnknownVersion
from service.settings_reading import SettingsError
from service.store.keys import Change
from service.store.platforms import PlatformStore
from service.store.policies import decision_of
from service.store.pool import Pool
from service.vendors import Vendors
from tests import copies
from tests.identity.world import SECRET
from tests.patience import PATIENCE_SECONDS

BY_MIRA = Change(actor="cli:mira", why="our own terms")
RAILS = ("play", "theirs")
REFUND = (bundled_folder() / "refund.yaml").read_text()
# The same pack, but for the name of the rule that says that a show was not cancelled.
OWN = REFUND.replace("id: not-cancelled", "id: not-cancelled-by-us")


class House(msgspec.Struct, frozen=True):
    pool: Pool
    processes: tuple[httpx.AsyncClient, ...]
    ours: UUID
    token: str
    theirs: UUID
    their_token: str
    packs: PackDesk
    settings: SettingsDesk

    async def feed(self, token: str, ref: str, *, rail: str = "play") -> httpx.Response:
        sent = {"Authorization": f"Bearer {token}"}
        shown = await self.processes[0].put("/v1/shows/nll26", json=SHOW, headers=sent)
        assert shown.status_code in {200, 201}, shown.text
        positions = [
            {**one, "pass": {**one["pass"], "barcode": f"{ref}-{n}"} if one.get("pass") else None}
            for n, one in enumerate(ORDER["positions"])
        ]
        # A charge belongs to the platform that fed it first: each order here has its own.
        charge = sha256(f"{token} {ref}".encode()).hexdigest()[:16]
        payments = [{**one, "rail": rail, "provider_ref": f"ch_{charge}_{n}"} for n, one in enumerate(ORDER["payments"])]
        order = {**ORDER, "positions": positions, "payments": payments}
        return await self.processes[0].put(f"/v1/orders/{ref}", json=order, headers=sent)

    async def decided(self, token: str, process: int, problem: str = "show_cancelled") -> tuple[UUID, Mapping[str, Any]]:
        """The case, and the first verdict of a new order's case about the show."""
        ref = uuid4().hex[:8].upper()
        assert (await self.feed(token, ref)).status_code == 201
        body = {"problem": problem, "order": ref, "show": "nll26", "channel": "api"}
        sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": ref}
        answer = await self.processes[process].post("/v1/cases", json=body, headers=sent)
        assert answer.status_code in {200, 201, 202}, answer.text
        case = await self.settled(answer)
        return case, (await decision_of(self.pool, case))[0].verdict

    async def settled(self, answer: httpx.Response) -> UUID:
        """The case that was answered, once it is decided: a busy machine answers before it is."""
        case = unwire(WireId.CASE, answer.json()["id"])
        assert case is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.pool.fetchval("SELECT owner = 'process' FROM cases WHERE id = $1", case):
                await asyncio.sleep(0.01)
        return case


@asynccontextmanager
async def process(dsn: str) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    settings = load({"MAKEGOOD_DATABASE_URL": dsn, "MAKEGOOD_SECRET": SECRET.decode(), "MAKEGOOD_LANGUAGES": "en,de"})
    vendors = Vendors(
        rails={name: MemorySandboxRail(name) for name in RAILS},
        kinds=dict.fromkeys(RAILS, "sandbox"),
        mailer=SandboxMailer(sender="help@makegood.example"),
        issuers={"sandbox": SandboxIssuer()},
    )
    async with open_application(settings, vendors) as application:
        asgi: Any = application.http
        transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://makegood.test") as http:
            yield application, http
        await application.finish()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def processes(postgres_dsn: str, template_database: str) -> AsyncIterator[Sequence[tuple[Application, httpx.AsyncClient]]]:
    """Two of one installation, for all tests of this file; each has platforms of its own."""
    async with copies.copy_of(template_database, postgres_dsn) as url, process(url) as one, process(url) as other:
        yield one, other


@pytest.fixture(scope="module")
def bundled() -> Packs:
    return load_packs(bundled_folder(), ("en", "de"))


@pytest.fixture
async def house(processes: Sequence[tuple[Application, httpx.AsyncClient]], bundled: Packs) -> House:
    pool, number = processes[0][0].pool, uuid4().hex[:8]
    ours, theirs = await make_platform(pool, f"moonlight-{number}"), await make_platform(pool, f"sunrise-{number}")
    packs = PackDesk(pool, bundled)
    return House(
        pool=pool,
        processes=tuple(http for _, http in processes),
        ours=ours.platform_id,
        token=ours.platform,
        theirs=theirs.platform_id,
        their_token=theirs.platform,
        packs=packs,
        settings=SettingsDesk(PlatformStore(pool), Vault(SECRET, purpose="platform"), dict.fromkeys(RAILS, "sandbox"), packs.mistakes),
    )


async def test_own_packs_decide_in_every_process_at_once_and_for_this_platform_alone(house: House) -> None:
    for number in (0, 1):
        assert (await house.decided(house.token, number))[1]["rule"] == "not-cancelled"
    published = await house.packs.publish(house.ours, {"refund.yaml": OWN}, BY_MIRA, alone=True)
    for number in (0, 1):
        verdict = (await house.decided(house.token, number))[1]
        assert (verdict["rule"], verdict["pack_hash"]) == ("not-cancelled-by-us", published["refund"])
        assert (await house.decided(house.their_token, number))[1]["rule"] == "not-cancelled"
    # what its own packs do not decide, the installation's do
    assert (await house.decided(house.token, 0, "charged_twice"))[1]["pack"] == "charges"


async def test_one_command_brings_the_packs_before_back_and_old_decisions_stay_explained(house: House) -> None:
    case, _ = await house.decided(house.token, 0)
    await house.packs.publish(house.ours, {"refund.yaml": OWN}, BY_MIRA, alone=True)
    own_case, own = await house.decided(house.token, 1)
    await house.packs.rollback(house.ours, None, BY_MIRA)
    for number in (0, 1):
        assert (await house.decided(house.token, number))[1]["rule"] == "not-cancelled"
    await house.packs.rollback(house.ours, 1, BY_MIRA)
    assert (await house.decided(house.token, 0))[1]["pack_hash"] == own["pack_hash"]
    for one in (case, own_case):
        (made, *_) = await decision_of(house.pool, one)
        assert made.text is not None
        stored = {"pack_hash": made.verdict["pack_hash"], "facts": made.facts, "parameters": made.parameters, "verdict": made.verdict}
        assert explain(made.text, msgspec.convert(stored, StoredDecision)).same
    history = await house.settings.history(house.ours, before=None, most=10, kind="packs")
    assert [(one.version, one.back_to, one.actor) for one in history] == [(3, 1, "cli:mira"), (2, None, "cli:mira"), (1, None, "cli:mira")]
    with pytest.raises(UnknownVersion):
        await house.packs.rollback(house.ours, 99, BY_MIRA)


FULL = """amount: position.left
        at_most: order.paid - order.refunded
        rounding: down
        cause: show_cancelled"""
HALF = """amount: position.left / 2
        rounding: down
        cause: show_cancelled"""
GERMAN = "      de: Diese Show wurde weder abgesagt noch verschoben. Es bleibt beim angekündigten Termin.\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace('show.status == "cancelled" && position.kind in', 'show.status == "gone" && position.kind in', 1), "example"),
        (OWN.replace(FULL, HALF), "example"),
        (OWN.replace("pack: refund", "pack: Refund!"), "pack"),
        (OWN.replace("show.phase: string", "show.phase: string\n  shop.mood: string"), "never gathered"),
        (OWN.replace(GERMAN, ""), "de"),
        ("", "pack"),
    ],
)
async def test_a_pack_that_does_not_hold_is_not_published(house: House, text: str, said: str) -> None:
    assert text != OWN
    with pytest.raises(SettingsError, match=said):
        await house.packs.publish(house.ours, {"refund.yaml": text}, BY_MIRA, alone=True)
    assert await house.pool.fetchval("SELECT packs_version FROM platform WHERE id = $1", house.ours) == 0


# Its examples hold: it says no to every cancelled show, and says so.
STINGY = """
pack: stingy
problems: [show_cancelled]
for_each: position
facts: { show.status: string }
rules:
  - id: no
    when: show.status == "cancelled"
    deny: { would_change: { en: Nothing., de: Nichts. } }
    because: { en: We give nothing back., de: Wir geben nichts zurück. }
    examples: [{ given: { show.status: cancelled }, expect: deny }]
  - id: others
    escalate: { skill: support }
    because: { en: A person looks., de: Jemand sieht nach. }
    examples: [{ given: { show.status: scheduled }, expect: { escalate: support } }]
"""


async def test_no_pack_keeps_the_money_of_a_cancelled_show(house: House) -> None:
    with pytest.raises(SettingsError, match="has to go back"):
        await house.packs.publish(house.ours, {"stingy.yaml": STINGY}, BY_MIRA, alone=True)
    # nor does one that got past the check: people look at it
    await house.pool.execute("INSERT INTO policy_text (hash, name, body) VALUES ('stingy', 'stingy', $1)", STINGY)
    await PlatformStore(house.pool).put(house.ours, "packs", {"stingy": "stingy"}, BY_MIRA)
    ref = uuid4().hex[:8].upper()
    assert (await house.feed(house.token, ref)).status_code == 201
    sent = {"Authorization": f"Bearer {house.token}", "Idempotency-Key": ref}
    shown = {**SHOW, "version": SHOW["version"] + 1, "status": "cancelled"}
    assert (await house.processes[0].put("/v1/shows/nll26", json=shown, headers=sent)).status_code == 200
    body = {"problem": "show_cancelled", "order": ref, "show": "nll26", "channel": "api"}
    answer = await house.processes[0].post("/v1/cases", json=body, headers=sent)
    case = await house.settled(answer)
    row = await house.pool.fetchrow(
        "SELECT owner, (SELECT guards FROM decision d WHERE d.case_id = c.id) g FROM cases c WHERE id = $1", case
    )
    assert row is not None
    assert (row["owner"], row["g"]) == ("queue", ["legal_minimum"])


async def test_packs_that_cannot_be_read_hand_every_case_to_people(house: House) -> None:
    await PlatformStore(house.pool).put(house.ours, "packs", {"refund": "nobody-has-this"}, BY_MIRA)
    verdict = (await house.decided(house.token, 0))[1]
    assert (verdict["rule"], verdict["outcome"]) == ("packs-broken", "escalate")
    assert (await house.decided(house.their_token, 0))[1]["rule"] == "not-cancelled"


async def test_settings_and_own_packs_have_to_go_together(house: House) -> None:
    await house.packs.publish(house.ours, {"refund.yaml": OWN}, BY_MIRA, alone=True)
    with pytest.raises(SettingsError, match="nl"):
        await house.settings.put(house.ours, {"name": "Moonlight", "languages": ["en", "nl"]}, BY_MIRA, expected=None)
    await house.settings.put(house.ours, {"name": "Moonlight", "languages": ["en"]}, BY_MIRA, expected=None)


async def test_a_payment_on_another_platforms_rail_is_refused(house: House) -> None:
    assert (await house.feed(house.token, "KNOWN", rail="theirs")).status_code == 201
    await house.settings.put(house.ours, {"name": "Moonlight", "languages": ["en", "de"], "rails": ["play"]}, BY_MIRA, expected=None)
    refused = await house.feed(house.token, "NEW", rail="theirs")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "/payments/0/rail")
    assert (await house.feed(house.token, "NEW")).status_code == 201
    assert (await house.feed(house.their_token, "NEW", rail="theirs")).status_code == 201


async def test_money_that_came_by_a_rail_that_is_no_longer_the_platforms_is_refunded_by_people(house: House) -> None:
    assert (await house.feed(house.token, "KNOWN", rail="theirs")).status_code == 201
    await house.settings.put(house.ours, {"name": "Moonlight", "languages": ["en", "de"], "rails": ["play"]}, BY_MIRA, expected=None)
    assert (await house.feed(house.token, "KNOWN", rail="theirs")).status_code == 200  # what is here can still be told of
    sent = {"Authorization": f"Bearer {house.token}", "Idempotency-Key": uuid4().hex}
    shown = {**SHOW, "version": SHOW["version"] + 1, "status": "cancelled"}
    assert (await house.processes[0].put("/v1/shows/nll26", json=shown, headers=sent)).status_code == 200
    body = {"problem": "show_cancelled", "order": "KNOWN", "show": "nll26", "channel": "api"}
    answer = await house.processes[1].post("/v1/cases", json=body, headers=sent)
    rows = await house.pool.fetch(
        "SELECT rail, state, holds FROM operation WHERE case_id = $1 AND action = 'refund'", await house.settled(answer)
    )
    assert rows
    assert {(row["rail"], row["state"], "outside" in row["holds"]) for row in rows} == {(None, "HELD", True)}


async def test_a_change_of_a_shows_modes_is_kept_with_who(house: House) -> None:
    sent = {"Authorization": f"Bearer {house.token}"}
    for version, mode in ((1, "suggest"), (2, "watch"), (3, "watch")):
        body = {**SHOW, "version": version, "modes": {"refund": mode}}
        assert (await house.processes[0].put("/v1/shows/modes", json=body, headers=sent)).status_code in {200, 201}
    rows = await house.pool.fetch(
        "SELECT actor, why, data->'became'->'modes' AS modes FROM audit WHERE platform_id = $1 AND what = 'show_changed' ORDER BY id",
        house.ours,
    )
    assert [tuple(row) for row in rows] == [
        ("key:shop", "version 1 of the show", {"refund": "suggest"}),
        ("key:shop", "version 2 of the show", {"refund": "watch"}),
    ]


async def test_the_installations_packs_are_recorded_once_whoever_starts(house: House) -> None:
    rows = await house.pool.fetch("SELECT actor, data FROM installation_change WHERE what = 'packs_installed'")
    assert [row["actor"] for row in rows] == ["makegood"]
    assert {"refund", "rails.yaml"} <= set(rows[0]["data"])
