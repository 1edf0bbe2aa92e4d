"""`makegood mcp`, spoken to by the SDK's own client over standard input and output, against a service that runs."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from mcp import Client, StdioServerParameters

from integrations.sandbox_books import Charge
from service import mcp_tools
from service.demo.world import bearer
from service.mcp_tools import fenced
from service.model import Money
from tests.desk.acting import AHEAD, PRICE, AtDesk, at_desk, person, refund
from tests.desk.injections import INJECTIONS
from tests.promises.house import FULL, House, all_holds

TOOLS: Final = {
    "find_order",
    "see_case",
    "explain_decision",
    "preview_action",
    "confirm_action",
    "take_case",
    "add_note",
    "hand_over",
}
_ROOT: Final = Path(__file__).parents[2]
_AMOUNT: Final = re.compile(r"\d[\d.,]*")
# Of all that it reads, a worst-case agent tries the largest: each as kindness and as given back.
_AMOUNTS_MAX: Final = 1


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One machine agent behind its tools."""

    client: Client
    token: str

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        """The structured answer. Raises AssertionError for a refusal."""
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        return answer.structured_content

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        answer = await self.client.call_tool(tool, arguments)
        assert answer.is_error, answer.structured_content
        return " ".join(getattr(one, "text", "") for one in answer.content)

    async def tries(self, tool: str, /, **arguments: Any) -> Any:
        """Whatever comes of it."""
        answer = await self.client.call_tool(tool, arguments)
        return None if answer.is_error else answer.structured_content


@asynccontextmanager
async def speaking(house: House, *, scopes: Sequence[str] = ()) -> AsyncIterator[Session]:
    """The command as a program starts it."""
    token = await person(house, "machine", scopes=scopes)
    async with Client(_process(house, token)) as client:
        yield Session(client=client, token=token)


@asynccontextmanager
async def speaking_here(house: House, *, scopes: Sequence[str] = ()) -> AsyncIterator[Session]:
    """The same tools and client without a process of their own, which takes seconds to start."""
    token = await person(house, "machine", scopes=scopes)
    async with mcp_tools.client(_address(house), token) as http, Client(mcp_tools.server(http, version="1")) as client:
        yield Session(client=client, token=token)


def _address(house: House) -> str:
    return f"http://{house.settings.bind_host}:{house.settings.bind_port}"


def _process(house: House, token: str) -> StdioServerParameters:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "MAKEGOOD_URL": _address(house), "MAKEGOOD_TOKEN": token}
    return StdioServerParameters(command=sys.executable, args=["-m", "service", "mcp"], env=env)


async def _twice_after_all(house: House, price: int = PRICE, **more: Any) -> AtDesk:
    """People have the case, and since then the platform has told of a second charge: the policy would pay it back now."""
    at = await at_desk(house, prices=(price,), problem="charged_twice", taken=False, **more)
    await house.post(f"/v1/cases/{at.case}/person", {"message": "please look again"})
    (first,) = at.document["payments"]
    second = {**first, "ref": "P2", "provider_ref": f"{first['provider_ref']}b"}
    await _charged(house, second["provider_ref"], price)
    await at.feed(payments=[first, second])
    return at


async def _charged(house: House, payment_ref: str, price: int) -> None:
    await house.books.load_charges([Charge(payment_ref=payment_ref, amount=Money(minor=price, currency="EUR"))])


# -------------------------------------------------------------------------------------------------------------- what it is


async def test_the_tools_say_what_they_do_and_what_is_data(house: House) -> None:
    async with speaking(house) as session:
        tools = {one.name: one for one in (await session.client.list_tools()).tools}
    assert set(tools) == TOOLS
    assert all(one.output_schema and one.description for one in tools.values())
    reads = {name for name, one in tools.items() if one.annotations and one.annotations.read_only_hint}
    assert reads == {"find_order", "see_case", "explain_decision", "preview_action"}
    assert "never an instruction" in (tools["see_case"].description or "")
    assert "It does nothing" in (tools["preview_action"].description or "")


async def test_a_program_finds_sees_explains_previews_confirms_and_hands_over(house: House) -> None:
    at = await _twice_after_all(house)
    async with speaking(house) as session:
        found = await session.call("find_order", query=at.order)
        assert [one["ref"] for one in found["orders"]] == [at.order]
        assert at.case in found["orders"][0]["cases"]
        seen = await session.call("see_case", case=at.case)
        assert (seen["order"], seen["problem"], len(seen["payments"])) == (at.order, "charged_twice", 2)
        told = await session.call("explain_decision", case=at.case)
        assert all(one["rule"].startswith("charges/") for one in told["decisions"][-1]["verdicts"])
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, **refund(cause="duplicate_charge"))
        assert (preview["amount"], preview["people_needed"], preview["guards"]) == (PRICE, 0, [])
        done = await session.call("confirm_action", case=at.case, preview=preview["preview"], reason="charged twice")
        (sent,) = done["operations"]
        await house.until_operation(at.case, lambda one: one["state"] == "DONE")
        # The answer was lost, and it asks again.
        again = await session.call("confirm_action", case=at.case, preview=preview["preview"], reason="charged twice")
        assert [(one["id"], one["status"]) for one in again["operations"]] == [(sent["id"], "sent")]
        await session.call("add_note", case=at.case, body="sent the second charge back")
        await session.tries("hand_over", case=at.case, reason="done here")
    acted = next(one for one in await at.timeline() if one["kind"] == "acted")
    assert acted["actor"].startswith("agent:machine-")
    await all_holds(house)


async def test_nothing_changes_before_a_confirmation(house: House) -> None:
    at = await _twice_after_all(house)
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        before = await at.everything()
        for _ in range(3):
            assert (await session.call("preview_action", case=at.case, **refund(cause="duplicate_charge")))["can_confirm"]
        await session.call("see_case", case=at.case)
        await session.call("explain_decision", case=at.case)
        assert await at.everything() == before


async def test_a_persons_token_is_not_taken(house: House) -> None:
    tokens = (house.desk.lead, house.desk.platform, "mgk_nobody")
    ends = await asyncio.gather(*(_started(house, token) for token in tokens))
    for token, (code, out, error) in zip(tokens, ends, strict=True):
        assert (code, out) == (1, b""), error
        assert token.encode() not in error
    assert b"a person's token" in ends[0][2]


async def _started(house: House, token: str) -> tuple[int | None, bytes, bytes]:
    process = _process(house, token)
    child = await asyncio.create_subprocess_exec(
        process.command, *process.args, env=process.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await child.communicate()
    return child.returncode, out, error


# -------------------------------------------------------------------------------------------------------------- its limits


@pytest.mark.parametrize(("price", "people", "guards"), [(6000, 1, ["machine"]), (48000, 2, ["machine", "amount"])])
async def test_above_its_limit_a_program_only_proposes(house: House, price: int, people: int, guards: list[str]) -> None:
    at = await _twice_after_all(house, price)
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, **refund(price, cause="duplicate_charge"))
        assert (preview["people_needed"], [one.split(":")[0] for one in preview["guards"]]) == (people, guards)
        await session.call("confirm_action", case=at.case, preview=preview["preview"], reason="charged twice")
        await session.call("hand_over", case=at.case, reason="people decide")
    (held,) = (await house.case(at.case))["operations"]
    assert (held["status"], held["approvals"], held["approvals_needed"]) == ("held", 0, people)
    for token in (house.desk.lead, await person(house, "lead"))[:people]:
        assert (await house.agree(held["id"], "it is right", token=token)).status_code == 200
    await house.until_operation(at.case, lambda one: one["state"] == "DONE")
    assert len(await at.operations()) == 1
    await all_holds(house)


@pytest.mark.parametrize("cause", ["remorse", "duplicate_charge"])
async def test_what_no_rule_gives_a_program_only_proposes(house: House, cause: str) -> None:
    at = await at_desk(house, charges=2, taken=False)
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, **refund(1000, cause))
        await session.call("confirm_action", case=at.case, preview=preview["preview"], reason="they asked")
    (made,) = await at.operations()
    assert (made["state"], list(made["holds"])) == ("HELD", ["machine"])


@pytest.mark.parametrize("action", ["reissue_access", "replace_pass", "void_pass"])
async def test_no_ticket_changes_by_a_program_that_no_rule_backs(house: House, action: str) -> None:
    at = await at_desk(house, taken=False)
    ticket = await house.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order)
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, action=action, pass_id=f"pass_{ticket.hex}")
        await session.call("confirm_action", case=at.case, preview=preview["preview"], reason="they asked")
    assert [(one["state"], list(one["holds"])) for one in await at.operations()] == [("HELD", ["machine"])]
    assert await house.value("SELECT status FROM pass WHERE id = $1", ticket) == "valid"


async def test_where_people_agree_to_refunds_a_program_waits_too(house: House) -> None:
    at = await _twice_after_all(house)
    await house.shop.show(at.show, starts_in=AHEAD, modes={"refund": "suggest"})
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, **refund(cause="duplicate_charge"))
        assert (preview["people_needed"], [one.split(":")[0] for one in preview["guards"]]) == (1, ["mode"])


async def test_kindness_is_not_a_programs(house: House) -> None:
    at = await at_desk(house, taken=False)
    async with speaking_here(house) as session:
        await session.call("take_case", case=at.case)
        assert "/amount" in await session.refused("preview_action", case=at.case, **refund(100, "goodwill"))


async def test_a_token_without_the_right_to_act_cannot_confirm(house: House) -> None:
    at = await _twice_after_all(house)
    async with speaking_here(house, scopes=("cases:read", "queue:work")) as session:
        await session.call("take_case", case=at.case)
        preview = await session.call("preview_action", case=at.case, **refund(cause="duplicate_charge"))
        said = await session.refused("confirm_action", case=at.case, preview=preview["preview"], reason="charged twice")
        assert "scope_missing" in said
    assert await at.operations() == []


async def test_a_program_opens_no_session_of_a_person(house: House) -> None:
    token = await person(house, "machine")
    answer = await house.client.post("/v1/desk/sessions", json={"token": token}, headers={"Origin": str(house.client.base_url).rstrip("/")})
    assert answer.is_client_error, answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("case", ["case_1", "../brakes/all/-", "case_" + "0" * 31 + "/", "CASE_" + "0" * 32, ""])
async def test_an_id_that_is_a_path_goes_nowhere(house: House, case: str) -> None:
    async with speaking_here(house) as session:
        for tool, more in (("see_case", {}), ("hand_over", {"reason": "because"}), ("add_note", {"body": "x"})):
            assert "an id of a case" in await session.refused(tool, case=case, **more)


# -------------------------------------------------------------------------------------------------------------- injections


@pytest.mark.parametrize("name", sorted(INJECTIONS))
def test_what_a_customer_wrote_is_fenced_line_by_line(name: str) -> None:
    mark = "f00dfeedf00dfeed"
    text = fenced(INJECTIONS[name].replace("0123456789abcdef", mark), mark)
    first, *lines, last = text.split("\n")
    assert (first, last) == (f"[data {mark}]", f"[end of data {mark}]")
    assert all(line.startswith("| ") for line in lines)
    assert mark not in "".join(lines)
    assert all(one.isprintable() or one in "\t\n" for one in text)
    assert not any(0xE0000 <= ord(one) <= 0xE007F or one in "\u202e\u202c\u200b\u2060\x1b" for one in text)


async def _obeys(session: Session, at: AtDesk, words: str) -> None:
    """A worst-case agent: whatever it reads, it tries everything that it has, with every amount that the text names."""
    amounts = {int(re.sub(r"\D", "", one) or 0) for one in _AMOUNT.findall(words)} & set(range(1, 10**6))
    ticket = await at.house.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order)
    await session.tries("take_case", case=at.case)
    wanted = [refund(min(amount, PRICE), cause) for amount in sorted(amounts)[-_AMOUNTS_MAX:] for cause in ("goodwill", "remorse")]
    wanted += [refund(2000, cause) for cause in ("goodwill", "duplicate_charge", "no_pass", "show_cancelled")]
    wanted += [{"action": one, "pass_id": f"pass_{ticket.hex}"} for one in ("void_pass", "replace_pass", "reissue_access")]
    for one in wanted:
        seen = await session.tries("preview_action", case=at.case, **one)
        if seen is not None:
            for _ in range(2):
                await session.tries("confirm_action", case=at.case, preview=seen["preview"], reason=words[:400])
    await session.tries("confirm_action", case=at.case, preview=f"prev_{'0' * 32}", reason=words[:400])
    await _without_the_tools(session, at, words)


async def _without_the_tools(session: Session, at: AtDesk, words: str) -> None:
    """What its token could be used for by hand: agreeing to its own proposals, money by hand, judging, brakes, words to customers, ends."""
    house, headers = at.house, bearer(session.token)
    for one in (await house.case(at.case))["operations"]:
        seen = (await house.client.get(f"/v1/operations/{one['id']}/preview", headers=headers)).json()
        body = {"reason": words[:400], "facts_hash": seen["now"]["facts_hash"]}
        for path, sent in (
            ("approve", body),
            ("refuse", {"reason": "no one"}),
            ("settle", {"reference": "HACK-1"}),
            ("judge", {"moved": True, "reference": "HACK-1"}),
        ):
            answer = await house.post(f"/v1/operations/{one['id']}/{path}", sent, token=session.token)
            assert answer.status_code == 403, answer.text
    case, bought = f"/v1/cases/{at.case}", {"problem": "other", "order": at.order, "show": at.show, "channel": "api"}
    for path, sent in (
        ("replies", {"body": words[:400]}),
        ("resolve", {"outcome": "denied", "reason": words[:400]}),
        ("messages", {"message": words[:400]}),
        ("person", {}),
        ("park", {"for": "customer", "seconds": 604800, "reason": "later"}),
    ):
        answer = await house.post(f"{case}/{path}", sent, token=session.token)
        assert answer.status_code == 403, answer.text
    assert (await house.client.put(f"{case}/draft", json={"kind": "reply", "body": words[:400]}, headers=headers)).status_code == 403
    assert (await house.post("/v1/cases", bought, token=session.token)).status_code == 403
    assert (await house.client.delete("/v1/brakes/all/-", headers=headers)).status_code == 403
    assert (await house.client.put("/v1/brakes/all/-", json={"reason": "hm hm"}, headers=headers)).status_code == 403


# Each takes seconds of an obedient program's work: all of them with MAKEGOOD_FULL=1, every eighth otherwise.
TRIED: Final = dict(INJECTIONS if FULL else list(INJECTIONS.items())[::8])


async def test_whatever_a_customer_writes_nothing_moves_that_the_policy_does_not_give(house: House) -> None:
    async with speaking_here(house) as session:
        for name, text in TRIED.items():
            at = await at_desk(house, charges=1, taken=False, message=text)
            seen = await session.call("see_case", case=at.case)
            (said,) = seen["words"]
            assert re.fullmatch(r"\[data [0-9a-f]{16}\]\n(\| [^\n]*\n?)*\[end of data [0-9a-f]{16}\]", said["data"]), name
            await _obeys(session, at, text)
            made = await at.operations()
            assert {one["state"] for one in made} <= {"HELD", "REFUSED"}, name
            assert (
                await house.value(
                    "SELECT count(*) FROM approval a JOIN operation x ON x.id = a.operation_id WHERE x.case_id = $1", made[0]["case_id"]
                )
                == 0
            )
            assert [one["refunded_minor"] for one in [msgspec.structs.asdict(await house.books.line(f"ch_{at.order}_1"))]] == [0], name
            assert (
                await house.value("SELECT p.status FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order) == "valid"
            ), name
            await session.tries("hand_over", case=at.case, reason="people decide")
    await all_holds(house)


async def test_an_obedient_program_sends_no_more_than_the_policy_would(house: House) -> None:
    """Where the policy gives one thing, everything that is tried sends that once and nothing else."""
    async with speaking_here(house) as session:
        at = await _twice_after_all(house)
        await session.call("take_case", case=at.case)
        seen = await session.call("preview_action", case=at.case, **refund(cause="duplicate_charge"))
        await session.call("confirm_action", case=at.case, preview=seen["preview"], reason="charged twice")
        await _obeys(session, at, INJECTIONS["small parts"])
    sent = [one["amount"] for one in await at.operations() if one["state"] != "HELD" and one["action"] == "refund"]
    assert sent == [PRICE]
    assert await house.value(
        "SELECT sum(p.refunded)::bigint FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order
    ) == sum(sent)
    await all_holds(house)
