"""The policy page: every rule with its examples, what each decided today, and a try of facts that says why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from policies import load_pack, pack_shown
from service.app import Application
from service.model import new_id
from service.store import policies as policy_texts
from service.store.keys import Change
from service.store.platforms import PlatformStore
from tests.desk.console import Office, browsing, installation, open_case, open_office
from tests.desk.test_search import sell

CHANGE = Change(actor="test", why="a test")

SMALL = """
pack: small
about: A pack of these tests.
problems: [other]
parameters: { days: 3 }
facts: { problem: string, order.known: bool, order.paid: int, order.refunded: int }
usual: { problem: other, order.known: true, order.paid: 100, order.refunded: 0 }
rules:
  - id: unknown
    when: "!order.known"
    wait: { for: order_arrives, at_most: 90m }
    because: { en: "We wait {parameters.days} days." }
    examples: [{ about: no order yet, given: { order.known: false }, expect: { wait: order_arrives } }]
  - id: half
    when: order.paid > 50
    approve:
      - { action: refund, cause: remorse, amount: order.paid, divided_by: "2", rounding: up, at_most: [order.paid - order.refunded] }
    because: { en: Half of it. }
    examples: [{ given: {}, expect: { approve: refund, amount: 50 } }]
  - id: rest
    escalate: { skill: support, priority: 3, suggest: [reply] }
    because: { en: A person looks. }
    examples: [{ given: { order.paid: 1 }, expect: { escalate: support } }]
"""


@pytest.fixture(scope="module")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> Office:
    return await open_office(app, zone="Europe/Berlin")


async def ask(office: Office, path: str, *, body: Any = None, token: str | None = None) -> httpx.Response:
    async with browsing(office.app, page=None) as http:
        headers = {"Authorization": f"Bearer {token or office.tokens['Mira']}"}
        return await (http.get(path, headers=headers) if body is None else http.post(path, json=body, headers=headers))


async def shown(office: Office) -> Mapping[str, Any]:
    answer = await ask(office, "/v1/policies")
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


def rules(policies: Mapping[str, Any], pack: str) -> Mapping[str, Any]:
    return {rule["id"]: rule for one in policies["packs"] if one["name"] == pack for rule in one["rules"]}


async def test_every_pack_that_decides_is_there_with_examples_that_hold(office: Office) -> None:
    found = await shown(office)
    assert [pack["name"] for pack in found["packs"]] == ["access", "charges", "passes", "refund", "support"]
    problems = [problem for pack in found["packs"] for problem in pack["problems"]]
    assert len(problems) == len(set(problems)) >= 20
    examples = [example for pack in found["packs"] for rule in pack["rules"] for example in rule["examples"]]
    assert len(examples) > 100
    assert all(example["holds"] for example in examples)
    assert all(
        rule["then"] and rule["because"]["en"] and not {"{", "}"} & set(rule["because"]["en"])
        for pack in found["packs"]
        for rule in pack["rules"]
    )
    assert all(rule["today"] == {"decided": 0, "money": {}} for pack in found["packs"] for rule in pack["rules"])
    assert found["routing"]["rules"][-1]["when"] == "always"
    assert {"id", "title", "steps", "chain"} <= set(found["playbooks"]["playbooks"][0])


def test_a_rule_is_said_in_words() -> None:
    page = pack_shown(load_pack(SMALL, languages=("en",)), {"days": 5})
    assert page.about == "A pack of these tests."
    assert [rule.then for rule in page.rules] == [
        "Wait for order arrives, at most 1 hour 30 minutes",
        "Send back order.paid / 2, rounded up, at most order.paid - order.refunded for remorse",
        "Hand to people: support, priority 3, suggested: reply",
    ]
    assert page.rules[0].because == {"en": "We wait 5 days."}
    assert page.parameters == {"days": 5}
    (example,) = page.rules[0].examples
    assert (example.about, example.given, example.expect, example.holds) == (
        "no order yet",
        {"order.known": False},
        {"wait": "order_arrives"},
        True,
    )


async def test_a_platforms_own_pack_and_parameters_are_the_ones_that_are_shown(office: Office) -> None:
    pack = load_pack(SMALL, languages=("en",))
    await policy_texts.keep(office.pool, [(pack.hash, pack.name, pack.text)])
    await PlatformStore(office.pool).put(office.id, "packs", {"small": pack.hash}, CHANGE)
    settings = {"name": "Moonlight", "parameters": {"small": {"days": 9}}}
    await PlatformStore(office.pool).put(office.id, "settings", settings, CHANGE)
    other = await open_office(office.app)
    found = await shown(office)
    assert [one["name"] for one in found["packs"]] == ["small", "access", "charges", "passes", "refund", "support"]
    assert rules(found, "small")["unknown"]["because"] == {"en": "We wait 9 days."}
    assert "small" not in [one["name"] for one in (await shown(other))["packs"]]
    tried = await ask(office, "/v1/policies/small/try", body={"facts": {"order.known": False}})
    assert tried.json()["because"] == {"en": "We wait 9 days."}
    assert (await ask(other, "/v1/policies/small/try", body={"facts": {}})).status_code == 404


async def test_facts_are_tried_on_the_ordinary_situation_and_nothing_is_stored(office: Office) -> None:
    facts = {"payment.duplicate": True, "order.confirmed_payments": 2, "order.duplicates": 1, "order.paid": 9000, "order.overpaid": 4500}
    before = await office.pool.fetchval("SELECT count(*) FROM decision WHERE platform_id = $1", office.id)
    answer = await ask(office, "/v1/policies/charges/try", body={"facts": facts})
    assert answer.status_code == 200, answer.text
    tried = answer.json()
    assert (tried["outcome"], [one["action"] for one in tried["actions"]]) == ("approve", ["refund"])
    assert tried["actions"][0]["amount"] == 4500
    assert [one["rule"] for one in tried["trace"] if one["decides"]] == [tried["rule"]] == [tried["trace"][-1]["rule"]]
    assert {one["value"] for one in tried["trace"][:-1]} == {"false"}
    assert await office.pool.fetchval("SELECT count(*) FROM decision WHERE platform_id = $1", office.id) == before


async def test_what_is_not_known_is_said_by_its_name(office: Office) -> None:
    answer = await ask(office, "/v1/policies/charges/try", body={"facts": {"order.known": None}})
    tried = answer.json()
    assert tried["outcome"] == "escalate"
    (last,) = [one for one in tried["trace"] if one["decides"]]
    assert (last["value"], last["missing"]) == ("unknown", ["order.known"])


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"order.nonsense": 1}, "/facts/order.nonsense"),
        ({"order.known": "yes"}, "/facts/order.known"),
        ({"order.paid": 1.5}, "/facts/order.paid"),
        ({"order.paid": {"a": 1}}, "/facts/*"),
    ],
)
async def test_a_wrong_fact_is_named(office: Office, facts: dict[str, Any], field: str) -> None:
    answer = await ask(office, "/v1/policies/charges/try", body={"facts": facts})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(field.partition("*")[0])


async def decide(office: Office, case: UUID, *verdicts: tuple[str, str, int], ago: str = "0 s") -> None:
    said = [
        {"verdict": {"pack": pack, "rule": rule, "actions": [{"action": "refund", "amount": amount}] if amount else []}}
        for pack, rule, amount in verdicts
    ]
    await office.pool.execute(
        "INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, created_at)"
        " VALUES ($1, $2, $3, 'approve', $4, app_now() - $5::text::interval)",
        office.id,
        new_id(),
        case,
        said,
        ago,
    )


async def test_what_each_rule_decided_today_is_counted_by_case_and_money_once(office: Office) -> None:
    for ref in ("ONE", "TWO"):
        await sell(office, ref, charge=f"{ref}_{office.slug}")
    one, two = await open_case(office, order="ONE", show="nll26"), await open_case(office, order="TWO", show="nll26")
    await office.pool.execute("DELETE FROM timeline WHERE platform_id = $1 AND kind = 'decided'", office.id)
    await decide(office, one, ("refund", "remorse", 700), ("refund", "remorse", 300))
    await decide(office, one, ("refund", "remorse", 650), ("refund", "remorse", 300))  # decided again: it counts once, as it is now
    await decide(office, two, ("refund", "remorse", 100), ("refund", "dispute-open", 0))
    await decide(office, two, ("charges", "duplicate", 9999), ago="2 days")
    found = await shown(office)
    refund = rules(found, "refund")
    assert {name: rule["today"] for name, rule in refund.items() if rule["today"]["decided"]} == {
        "remorse": {"decided": 2, "money": {"EUR": 1050}},
        "dispute-open": {"decided": 1, "money": {}},
    }
    assert not any(rule["today"]["decided"] for rule in rules(found, "charges").values())
    assert not any(rule["today"]["decided"] for rule in rules(await shown(await open_office(office.app)), "refund").values())


async def test_who_may_read_cases_may_read_what_decides_them(office: Office) -> None:
    assert (await ask(office, "/v1/policies", token=office.platform)).status_code == 200
    assert (await ask(office, "/v1/policies", token=office.tokens["Bot"])).status_code == 200
    assert (await ask(office, f"/v1/policies/{uuid4().hex}/try", body={"facts": {}})).status_code == 404
