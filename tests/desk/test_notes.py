"""A note is for the desk alone: one with a mark in it is looked for in everything that anybody else can read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from service.demo.world import bearer, make_platform
from tests.desk.talking import PNG, Talk, proven, talk
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import House, uuid_of

# Tables that hold what the desk alone reads, or that a request's repeat is known by.
_OF_THE_DESK: Final = frozenset({"message", "draft", "attachment"})


async def _case_with_marked_notes(house: House, ref: str, mark: str) -> tuple[Talk, str]:
    """A case on which everything is marked that is the desk's: notes, drafts, a note's file, a file that was never sent."""
    said = await talk(house, ref)
    secret = await said.attached(PNG + mark.encode(), name=f"{mark}.png")
    noted = await said.post("notes", {"body": f"{mark} looks like fraud", "attachments": [secret]})
    assert noted.status_code == 200, noted.text
    await said.attached(PNG + mark.encode(), name=f"{mark} unsent.png")
    for kind in ("reply", "note"):
        typed = await house.client.put(
            f"/v1/cases/{said.case}/draft", json={"kind": kind, "body": f"{mark} half"}, headers=bearer(said.agent)
        )
        assert typed.status_code == 204
    return said, secret


async def _everything(said: Talk, token: str, more: Mapping[str, str] | None = None) -> str:
    """All that this caller can read of the case, with the headers, as one text."""
    headers = bearer(token) | dict(more or {})
    paths = [
        f"/v1/cases/{said.case}",
        f"/v1/cases/{said.case}/timeline?limit=200",
        f"/v1/cases/{said.case}/bundle",
        f"/v1/cases/{said.case}/drafts",
        f"/v1/cases/{said.case}/macros",
        f"/v1/cases/{said.case}/guide",
        f"/v1/cases/{said.case}/suggestions",
        f"/v1/orders/{said.order.ref}",
        f"/v1/orders/{said.order.ref}/money",
        "/v1/events?after=0&limit=200",
        "/v1/queue?limit=200",
        "/v1/desk/live",
        f"/v1/search?q={said.order.ref}",
        "/v1/referrals",
        "/v1/figures",
        "/v1/board",
        "/v1/shift",
        "/v1/wait",
        "/v1/policies",
        "/v1/platform/settings",
        "/v1/endpoints",
    ]
    found = []
    for path in paths:
        async with said.house.client.stream("GET", path, headers=headers) as answer:
            found.append(f"{answer.headers}")
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                continue
            found.append((await answer.aread()).decode(errors="replace"))
    return "\n".join(found)


async def _stream(said: Talk, token: str) -> str:
    """The case's stream from its very beginning until the reply that ends it here."""
    heard = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with said.house.client.stream("GET", f"/v1/cases/{said.case}/progress", headers=bearer(token)) as answer:
            async for line in answer.aiter_lines():
                heard.append(line)
                if line.startswith("data") and "the last word" in line:
                    return "\n".join(heard)
    raise AssertionError(heard)


async def test_a_note_is_nowhere_but_at_the_desk(house: House, ref: str) -> None:
    mark = f"mark{uuid4().hex}"
    said, secret = await _case_with_marked_notes(house, ref, mark)
    sent = await said.attached(name="open.png")
    await said.reply("the last word", attachments=[sent])
    await house.mails.until(said.order.email, lambda one: "the last word" in one.text)

    # The mark can be found where it belongs: what follows is no test of a word that is nowhere.
    assert mark in await _everything(said, said.agent)
    assert (await said.file(secret, said.agent)).content == PNG + mark.encode()

    other = await make_platform(house.pool, f"other-{ref}")
    stranger = (await house.client.post("/v1/sessions", headers={"Makegood-Platform": house.desk.slug})).json()["token"]
    for token in (said.customer, stranger, house.desk.platform, house.desk.edge, other.platform, other.agent, other.lead):
        assert mark not in await _everything(said, token)
        assert (await said.file(secret, token)).status_code in {403, 404}
    for token in (said.customer, house.desk.platform):
        heard = await _stream(said, token)
        assert mark not in heard
        assert secret not in heard
    assert not [one for one in house.mails.mailer.messages if mark.encode() in one]
    assert not [one for one in house.mails.mailer.mails if mark in str(msgspec.json.encode(one))]


async def test_nothing_that_is_sent_or_told_later_holds_a_note(house: House, ref: str) -> None:
    """Beneath: no table but the desk's own has the words, so nothing that reads those tables can send them."""
    mark = f"mark{uuid4().hex}"
    said, secret = await _case_with_marked_notes(house, ref, mark)
    await said.reply("the last word")
    ended = await said.post("resolve", {"reason": "all is well again"})
    assert ended.status_code == 200, ended.text
    tables = await house.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    holding = set()
    for row in tables:
        name = row["table_name"]
        if await house.value(f'SELECT EXISTS (SELECT FROM "{name}" AS t WHERE to_jsonb(t)::text LIKE $1)', f"%{mark}%"):
            holding.add(name)
    assert holding == _OF_THE_DESK
    notes = await house.rows("SELECT kind, via FROM message WHERE body LIKE $1", f"%{mark}%")
    assert [(one["kind"], one["via"]) for one in notes] == [("note", [])]
    told = await house.value(
        "SELECT count(*) FROM outbox WHERE case_id = $1 AND data::text LIKE '%' || $2 || '%'", uuid_of(said.case), secret[4:]
    )
    assert told == 0


async def test_a_holder_reads_no_note_and_no_words_to_the_buyer(house: House, ref: str) -> None:
    mark = f"mark{uuid4().hex}"
    said, secret = await _case_with_marked_notes(house, ref, mark)
    sent = await said.attached(name="for the buyer.png")
    await said.reply("the last word", attachments=[sent])
    holder = f"holder-{uuid4().hex[:8]}@example.org"
    person = await house.value(
        "INSERT INTO person (platform_id, id, name, email) VALUES ($1, gen_random_uuid(), 'H', $2) RETURNING id",
        house.desk.platform_id,
        holder,
    )
    await house.pool.execute(
        "UPDATE line SET holder_id = $1 WHERE order_id = (SELECT order_id FROM cases WHERE id = $2)", person, uuid_of(said.case)
    )
    token = await proven(house, holder)
    shown = await house.client.get(f"/v1/cases/{said.case}", headers=bearer(token))
    assert shown.status_code == 200, shown.text
    assert shown.json()["messages"] == []
    assert mark not in await _everything(said, token)
    for attachment in (secret, sent):
        assert (await said.file(attachment, token)).status_code == 404


async def test_a_machine_of_the_desk_sees_notes_and_a_platforms_key_never(house: House, ref: str) -> None:
    """The line is drawn by the kind of caller, and not by a scope that a key could be given."""
    mark = f"mark{uuid4().hex}"
    said, _ = await _case_with_marked_notes(house, ref, mark)
    kinds: dict[str, Any] = {}
    for name, token in (("agent", said.agent), ("lead", house.desk.lead), ("platform", house.desk.platform), ("customer", said.customer)):
        shown = await said.seen_by(token)
        kinds[name] = {one["kind"] for one in shown["messages"]}
    assert kinds == {"agent": {"customer", "note"}, "lead": {"customer", "note"}, "platform": {"customer"}, "customer": {"customer"}}
    refused: httpx.Response = await said.post("notes", {"body": "hello"}, token=house.desk.platform)
    assert refused.status_code == 403
