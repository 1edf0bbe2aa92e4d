"""`makegood check-platform` finds each thing that a platform's integration lacks, says how to mend it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import msgspec
import pytest

import service.facts
from policies import bundled_folder, load_pack, load_packs
from service.cli import platform_trial
from service.cli.platform_trial import Step, Trial, run
from service.demo.night import AUDIENCE, ISSUER, Night
from service.demo.world import STREAM, Desk, Item, Shop, bearer, make_platform
from service.keys import Keys
from service.store.keys import Change, KeyStore
from service.wants import _GATHERED, _SUPPLIES, rule_wants
from tests.patience import PATIENCE_SECONDS

_SAMPLES: Final = Path(__file__).parents[2] / "docs" / "samples"
_NEVER_FED: Final = dict.fromkeys([*_SUPPLIES, "scoped_incidents"], False)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform's command is a Python that has to start first."""
    monkeypatch.setattr(platform_trial, "_COMMAND_SECONDS_MAX", PATIENCE_SECONDS)


async def another(night: Night) -> Desk:
    """A platform that has fed nothing."""
    return await make_platform(night.pool, f"new-{uuid4().hex[:8]}")


async def checked(night: Night, desk: Desk, *token_command: str, key: str | None = None, url: str | None = None) -> Mapping[str, Step]:
    """Each step by its part."""

    def blocking() -> Mapping[str, Step]:
        headers = {"Authorization": f"Bearer {key or desk.platform}"}
        with httpx.Client(base_url=url or night.address, headers=headers, timeout=PATIENCE_SECONDS) as http:
            return {step.part: step for step in run(Trial(http=http, slug=desk.slug, token_command=token_command))}

    return await asyncio.to_thread(blocking)


def missing(steps: Mapping[str, Step]) -> Mapping[str, str]:
    return {part: step.said for part, step in steps.items() if step.state == "missing"}


async def said_by_the_command(night: Night, desk: Desk, *more: str) -> tuple[int | None, str]:
    """The exit code, and what the command printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "check-platform", night.address, *more),
        env={**os.environ, "CHECK_KEY": desk.platform},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert errors == b""
    return process.returncode, out.decode()


@asynccontextmanager
async def receiver(status: int) -> AsyncIterator[str]:
    """An address that answers so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"


async def hears_at(night: Night, desk: Desk, url: str) -> None:
    body = {"name": "shop", "url": url, "reason": "a test"}
    made = await night.client.post("/v1/endpoints", json=body, headers=bearer(desk.platform, uuid4().hex))
    assert made.status_code == 201, made.text


async def feeds(night: Night, desk: Desk) -> None:
    """Everything that a platform can feed, once."""
    shop = Shop(night.client, desk, night.books)
    show = f"show-{uuid4().hex[:8]}"
    articles = {"buffering": {"url": "https://help.example/buffering", "title": {"en": "Buffering"}}}
    await shop.show(show, starts_in=timedelta(hours=-2), articles=articles, rollback=True)
    await shop.incident(show, "outage", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    await shop.order(show, [Item(kind=STREAM, name="Stream", price=2500)], customer_ref="c-1")
    ref = uuid4().hex[:8]
    scanned = {"barcode": ref, "checked_in_at": "2026-10-02T10:00:00Z"}
    position = {"ref": "1", "kind": "stream", "name": "Stream", "price": 0, "shows": [show], "pass": scanned}
    order = {
        "version": 1,
        "status": "cancelled",
        "currency": "EUR",
        "total": 0,
        "buyer": {},
        "placed_at": "2026-10-01T10:00:00Z",
        "cancelled_at": "2026-10-03T10:00:00Z",
        "positions": [position],
    }
    put = await night.client.put(f"/v1/orders/{ref}", json=order, headers=bearer(desk.platform))
    assert put.is_success, put.text


async def test_a_platform_that_lacks_nothing_ends_with_0(night: Night) -> None:
    desk = await another(night)
    await feeds(night, desk)
    async with receiver(204) as url:
        await hears_at(night, desk, url)
        steps = await checked(night, desk)
        code, told = await said_by_the_command(night, desk, "--json")
    assert missing(steps) == {}
    assert steps["rules"].said == "each has the facts that it looks at"
    assert "case.opened" in steps["events"].said
    assert (code, {step["state"] for step in msgspec.json.decode(told)["steps"]}) == (0, {"well", "note"})


async def test_a_platform_that_has_fed_nothing_hears_what_to_feed_and_which_rules_lack_it(night: Night) -> None:
    steps = await checked(night, await another(night))
    assert missing(steps).keys() == {"endpoint", "fed shows", "fed orders", "fed payments"}, missing(steps)
    assert "checked_in_at" in steps["fed check_ins"].mend
    assert steps["rule passes/used-by-somebody"].said.startswith("can never decide, for want of")
    assert "pass.checked_in" in steps["rule passes/used-by-somebody"].said
    assert "incident.applies" in steps["rule refund/outage-running"].said


def behind(answers: Mapping[str, httpx.Response]) -> Mapping[str, Step]:
    """What is said of a service that answers these paths so, and nothing else."""
    transport = httpx.MockTransport(lambda request: answers.get(request.url.path, httpx.Response(503)))
    with httpx.Client(base_url="http://makegood.example", transport=transport) as http:
        return {step.part: step for step in run(Trial(http=http, slug=None, token_command=()))}


def test_a_rail_that_is_stopped_is_missing() -> None:
    rail = {"name": "main", "take_new_payments": False, "reason": "stopped"}
    steps = behind({"/readyz": httpx.Response(200), "/v1/rails": httpx.Response(200, json={"rails": [rail]})})
    assert missing(steps)["rails"] == "none to refund on now (main: stopped)"


def test_a_service_without_its_database_ends_the_check() -> None:
    assert missing(behind({}))["service"] == "/readyz answers 503"


def test_something_else_that_answers_there_is_told_in_words() -> None:
    page = httpx.Response(200, html="<h1>Welcome</h1>")
    assert missing(behind({"/readyz": page, "/v1/rails": page}))["key"] == "the answer is not Makegood's"


async def test_the_test_order_is_cancelled_and_its_case_calls_nobody(night: Night) -> None:
    desk = await another(night)
    steps = await checked(night, desk)
    ref = steps["cancelled"].said.split()[0]
    order = (await night.client.get(f"/v1/orders/{ref}", headers=bearer(desk.platform))).json()
    assert order["status"] == "cancelled"
    queue = (await night.client.get("/v1/queue", headers=bearer(desk.agent))).json()
    assert queue["cases"] == []


async def test_a_wrong_key_ends_the_check(night: Night) -> None:
    steps = await checked(night, night.desk, key="mgk_nobody")
    assert (list(steps), list(missing(steps))) == (["service", "key"], ["key"])
    assert "keys make platform" in steps["key"].mend


async def test_a_key_that_may_not_feed_is_told_which_scopes_there_are(night: Night) -> None:
    key = await Keys(KeyStore(night.pool)).make_platform_key(
        night.desk.platform_id, name="narrow", scopes=("orders:read",), days=1, change=Change(actor="test", why="a test")
    )
    steps = await checked(night, night.desk, key=key.token)
    assert list(missing(steps))[-1] == "order"
    assert "--scope" in steps["order"].mend


async def test_an_address_where_nobody_answers_is_told_in_words(night: Night) -> None:
    steps = await checked(night, night.desk, url="http://127.0.0.1:9")
    assert missing(steps)["service"] == "no answer: ConnectError"


async def test_an_endpoint_that_refuses_a_ping_is_missing(night: Night) -> None:
    desk = await another(night)
    async with receiver(500) as url:
        await hears_at(night, desk, url)
        steps = await checked(night, desk)
    assert "a ping did not arrive" in missing(steps)["endpoint shop"]


def signing(secret: str, audience: str = AUDIENCE) -> Sequence[str]:
    """The sample that the documentation shows, with its settings."""
    settings = [f"PROOF_SECRET={secret}", f"PROOF_ISSUER={ISSUER}", f"PROOF_AUDIENCE={audience}"]
    return ["env", *settings, sys.executable, str(_SAMPLES / "sign_customer.py")]


async def test_a_customers_token_is_believed(night: Night) -> None:
    steps = await checked(night, night.desk, *signing(night.signing_secret))
    assert steps["customer's token"].said.startswith("believed (verified)")


@pytest.mark.parametrize(("secret", "audience"), [(64 * "a", AUDIENCE), (None, "another")])
async def test_a_token_that_proves_nothing_is_missing(night: Night, secret: str | None, audience: str) -> None:
    steps = await checked(night, night.desk, *signing(secret or night.signing_secret, audience))
    assert "customer's token" in missing(steps)
    assert "issuer, audience" in steps["customer's token"].mend


async def test_a_command_that_does_not_run_is_missing(night: Night) -> None:
    steps = await checked(night, night.desk, "no-such-command-here")
    assert missing(steps)["customer's token"] == "the command does not run: FileNotFoundError"


async def test_in_words_each_step_is_a_line_and_what_is_missing_says_how_to_mend_it(night: Night) -> None:
    code, told = await said_by_the_command(night, await another(night))
    lines = told.splitlines()
    assert (code, lines[0]) == (1, "ok     service: up, with its database")
    assert any(line.startswith("       mend it: ") for line in lines)


def test_every_fact_that_rules_may_look_at_is_known_here() -> None:
    source = Path(service.facts.__file__).read_text(encoding="utf-8")
    written = set(re.findall(r'"((?:requester|case|show|order|incident|position|payment|pass|article)\.\w+|problem)":', source))
    written |= set(re.findall(r'facts\["([\w.]+)"\]', source))
    assert written == _GATHERED


def test_a_rule_is_only_said_never_to_decide_where_nothing_else_could_make_it_true() -> None:
    packs = load_packs(bundled_folder(), ("en",)).by_name
    wants = {(one.pack, one.rule): one for one in rule_wants(packs.values(), {**_NEVER_FED, "passes": True})}
    assert wants["passes", "used-by-somebody"].effect == "never_applies"
    # No address: the rule is about just that.
    assert wants["passes", "no-address"].effect == "assumes"


def test_a_fact_that_nobody_gathers_leaves_its_rules_to_people() -> None:
    text = """
pack: access
about: Whether the player says that it plays.
problems: [will_not_play]
for_each: case
facts: { playback.errors: int }
rules:
  - id: plays
    when: playback.errors == 0
    deny: { would_change: { en: Ask a person. } }
    because: { en: It plays. }
    examples:
      - given: { playback.errors: 0 }
        expect: deny
  - id: people
    escalate: { skill: playback }
    because: { en: People look at it. }
    examples:
      - given: { playback.errors: 3 }
        expect: escalate
"""
    (want,) = rule_wants([load_pack(text, languages=("en",))], dict.fromkeys(_NEVER_FED, True) | {"scoped_incidents": False})
    assert (want.rule, want.effect, want.facts) == ("plays", "hands_over", ("playback.errors",))
