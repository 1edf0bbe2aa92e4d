"""The demo's evening after the play: all kinds of customers come, the queue never grows too long, links sign a visitor in once."""

from __future__ import annotations

from collections import Counter

import pytest

from service.demo import evening as going_on
from service.demo.contacts import CONTACTS
from service.demo.evening import Evening, open_evening
from service.demo.night import Night
from service.demo.stage import set_shows
from service.demo.visit import sign_in_links
from service.demo.world import bearer


async def _waiting(night: Night) -> int:
    return int(await night.pool.fetchval("SELECT count(*) FROM cases WHERE platform_id = $1 AND owner = 'queue'", night.desk.platform_id))


async def _works_until(night: Night, evening: Evening, most: int) -> None:
    """The desk goes round until no more than so many wait, for at most as many rounds as there are cases."""
    for turn in range(await _waiting(night)):
        if await _waiting(night) <= most:
            return
        await evening.works(turn)


async def test_every_kind_of_customer_is_answered_and_the_desk_has_something_of_every_kind(night: Night) -> None:
    await set_shows(night)
    async with open_evening(night) as evening:
        cases = [await evening.comes() for _ in CONTACTS]
    seen = [case for case in cases if case is not None]
    assert len(seen) == len(CONTACTS)
    statuses = Counter(case["status"] for case in seen)
    assert statuses["resolved"] >= 3
    assert statuses["with_people"] >= 10
    skills = {row["skill"] for row in await night.pool.fetch("SELECT DISTINCT skill FROM cases WHERE owner = 'queue'")}
    assert {"payments", "merchandise", "playback", "accessibility", "trust", "support"} <= skills


async def test_the_queue_never_grows_beyond_its_bound_and_what_is_ended_says_so(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_on, "WAITING_MAX", 6)
    monkeypatch.setattr(going_on, "WAITING_CALM", 4)
    await set_shows(night)
    async with open_evening(night) as evening:
        await evening.crowd(len(CONTACTS))
        assert await _waiting(night) > 6
        await _works_until(night, evening, 4)
    assert await _waiting(night) <= 4
    ended = await night.pool.fetch("SELECT id FROM cases WHERE platform_id = $1 AND state = 'resolved'", night.desk.platform_id)
    assert ended != []
    lost = await night.pool.fetch("SELECT id, owner FROM cases WHERE state = 'open' AND (owner IS NULL OR due_at IS NULL)")
    assert [dict(one) for one in lost] == []
    left = await night.pool.fetch("SELECT id FROM cases WHERE platform_id = $1 AND owner = 'agent'", night.desk.platform_id)
    assert [dict(one) for one in left] == []


async def test_a_visitors_link_signs_them_in_once(night: Night) -> None:
    headers = {"Makegood-Desk": "1", "Origin": night.address, "Sec-Fetch-Site": "same-origin"}
    names = []
    for who, link in await sign_in_links(night):
        page, _, code = link.partition("#code=")
        assert page == f"{night.address}/desk/sign-in"
        night.client.cookies.clear()
        first = await night.client.post("/v1/desk/sessions", json={"code": code}, headers=headers)
        assert first.status_code == 201, first.text
        names.append((first.json()["agent"]["name"], first.json()["agent"]["role"]))
        again = await night.client.post("/v1/desk/sessions", json={"code": code}, headers=headers)
        assert again.status_code == 422
        assert who.startswith(names[-1][0])
    night.client.cookies.clear()
    assert names == [("Mira", "agent"), ("Jonas", "lead")]
    assert (await night.client.get("/v1/queue", headers=bearer(night.desk.agent))).status_code == 200
