"""A key that rotates is never without a token that works, an agent that leaves is out at once, and nobody gives more than they have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from service.api import frame, headers
from service.api import keys as key_routes
from service.api.keys import KeyRoutes
from service.callers import Caller
from service.key_desk import KeyDesk
from service.keys import KeyRequestError, MadeKey, Role, allowed_scopes
from service.model import WireId, unwire
from service.store.keys import AgentChanged, Change, KeyStore
from tests.identity.world import Shop, World, calling, time_passes

BY_MIRA = Change(actor="cli:mira", why="every quarter")
HOUR = 3600


async def key_of(world: World, shop: Shop, *scopes: str, days: int = 30) -> MadeKey:
    return await world.keys.make_platform_key(shop.id, name="shop", scopes=scopes, days=days, change=BY_MIRA)


async def rotated(world: World, shop: Shop, made: MadeKey, *, overlap: int = HOUR, days: int = 30) -> MadeKey:
    again = await world.keys.rotate(shop.id, made.id, overlap_seconds=overlap, days=days, change=BY_MIRA)
    assert again is not None
    return again


async def works(world: World, made: MadeKey) -> Caller | None:
    return await world.keys.caller_for(made.token)


async def test_both_tokens_of_a_rotated_key_work_for_the_overlap_and_are_the_same_caller(world: World, shop: Shop) -> None:
    old = await key_of(world, shop)
    new = await rotated(world, shop, old)
    assert new.id == old.id
    assert await works(world, old) == await works(world, new) is not None
    await time_passes(world.pool, HOUR + 1)
    assert await works(world, old) is None
    assert await works(world, new) is not None


async def test_of_three_tokens_the_oldest_ends_at_once(world: World, shop: Shop) -> None:
    first = await key_of(world, shop)
    second = await rotated(world, shop, first)
    third = await rotated(world, shop, second)
    assert [await works(world, one) is not None for one in (first, second, third)] == [False, True, True]


async def test_without_an_overlap_the_old_token_ends_at_once(world: World, shop: Shop) -> None:
    old = await key_of(world, shop)
    new = await rotated(world, shop, old, overlap=0)
    assert (await works(world, old), (await works(world, new)) is None) == (None, False)


async def test_an_overlap_does_not_make_an_old_token_live_longer_than_it_would_have(world: World, shop: Shop) -> None:
    old = await key_of(world, shop, days=1)
    await rotated(world, shop, old, overlap=10 * 86400, days=365)
    await time_passes(world.pool, 86401)
    assert await works(world, old) is None


async def test_revoking_ends_both_tokens(world: World, shop: Shop) -> None:
    old = await key_of(world, shop)
    new = await rotated(world, shop, old)
    assert await KeyStore(world.pool).revoke(shop.id, old.id, BY_MIRA)
    assert (await works(world, old), await works(world, new)) == (None, None)


async def test_a_key_that_ended_or_is_anothers_is_not_rotated(world: World, shop: Shop) -> None:
    made, other = await key_of(world, shop, days=1), await Shop.opens(world.pool)
    assert await world.keys.rotate(other.id, made.id, overlap_seconds=0, days=1, change=BY_MIRA) is None
    await time_passes(world.pool, 86401)
    assert await world.keys.rotate(shop.id, made.id, overlap_seconds=0, days=1, change=BY_MIRA) is None
    for overlap, days in ((-1, 1), (32 * 86400, 1), (0, 0)):
        with pytest.raises(KeyRequestError):
            await world.keys.rotate(shop.id, made.id, overlap_seconds=overlap, days=days, change=BY_MIRA)


async def agent_of(world: World, shop: Shop, name: str, role: Role) -> MadeKey:
    return await world.keys.make_agent_key(shop.id, name=name, role=role, skills=("support",), scopes=(), days=30, change=BY_MIRA)


async def test_a_disabled_agent_is_out_with_every_key_and_a_later_key_wakes_no_old_one(world: World, shop: Shop) -> None:
    first, second = await agent_of(world, shop, "Mira", "agent"), await agent_of(world, shop, "Mira", "agent")
    (agent,) = await KeyStore(world.pool).agents(shop.id)
    assert await KeyStore(world.pool).disable_agent(shop.id, agent.id, BY_MIRA)
    assert not await KeyStore(world.pool).disable_agent(shop.id, agent.id, BY_MIRA)
    assert await world.keys.rotate(shop.id, first.id, overlap_seconds=0, days=1, change=BY_MIRA) is None
    back = await agent_of(world, shop, "Mira", "agent")
    assert [await works(world, one) is not None for one in (first, second, back)] == [False, False, True]


# ----------------------------------------------------------------------------------------------------------------- over HTTP


class Office(msgspec.Struct, frozen=True):
    http: httpx.AsyncClient
    world: World
    shop: Shop

    async def call(self, method: str, path: str, token: str, body: Any = None, *, once: str | None = None) -> httpx.Response:
        sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": once or uuid4().hex}
        return await self.http.request(method, path, json=body, headers=sent)

    async def audited(self) -> Sequence[tuple[str, str, str]]:
        rows = await self.world.pool.fetch("SELECT actor, what, why FROM audit WHERE platform_id = $1 ORDER BY id", self.shop.id)
        return [tuple(row) for row in rows]


@pytest.fixture
async def office(world: World, shop: Shop) -> AsyncIterator[Office]:
    given = world.parts()
    failures = {**given.failures, **key_routes.FAILURES, **headers.FAILURES}
    parts = msgspec.structs.replace(given, domain={**given.domain, "key_desk": KeyDesk(world.pool)}, failures=failures)
    async with calling(frame.build_app(parts, (KeyRoutes,), version="test")) as http:
        yield Office(http, world, shop)


async def test_a_key_makes_another_with_no_more_than_it_has(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "keys:write", "orders:read")
    body = {"name": "reader", "scopes": ["orders:read"], "reason": "for the report"}
    answer = await office.call("POST", "/v1/keys", boss.token, body)
    assert answer.status_code == 201, answer.text
    caller = await office.world.keys.caller_for(answer.json()["token"])
    assert caller is not None
    assert (caller.platform_id, caller.scopes) == (office.shop.id, frozenset({"orders:read"}))
    assert ("key:shop", "key_made", "for the report") in await office.audited()
    for more in ("orders:write", "settings:write", "keys:write", "agents:write"):
        refused = await office.call("POST", "/v1/keys", boss.token, {**body, "scopes": [more]})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:makegood:problem:more_than_own")
    for scope in ("vouch", "queue:work", "nonsense"):
        assert (await office.call("POST", "/v1/keys", boss.token, {**body, "scopes": [scope]})).status_code == 400


async def test_a_key_without_the_scope_manages_nothing(office: Office) -> None:
    usual = await key_of(office.world, office.shop)
    for path, body in (("/v1/keys", {"name": "x", "reason": "because"}), ("/v1/agents", {"name": "x", "reason": "because"})):
        assert (await office.call("POST", path, usual.token, body)).status_code == 403
    mine = f"/v1/keys/key_{usual.id.hex}"
    assert (await office.call("POST", f"{mine}/rotate", usual.token, {"reason": "because"})).status_code == 403
    assert (await office.call("POST", f"{mine}/revoke", usual.token, {"reason": "because"})).status_code == 403


async def test_a_repeat_shows_the_key_and_no_token(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "keys:write", "orders:read")
    body = {"name": "reader", "reason": "for the report"}
    first = await office.call("POST", "/v1/keys", boss.token, body, once="one")
    again = await office.call("POST", "/v1/keys", boss.token, body, once="one")
    assert (again.json()["key"], again.json()["token"]) == (first.json()["key"], None)
    other = await office.call("POST", "/v1/keys", boss.token, {**body, "name": "another"}, once="one")
    assert other.status_code == 422


async def test_a_key_rotates_itself_and_those_that_have_no_more(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "keys:write", "orders:read")
    bigger = await key_of(office.world, office.shop, "orders:read", "orders:write")
    body = {"reason": "every quarter", "overlap_seconds": 60}
    answer = await office.call("POST", f"/v1/keys/key_{boss.id.hex}/rotate", boss.token, body)
    assert answer.status_code == 200, answer.text
    assert (await office.call("GET", "/v1/keys", answer.json()["token"])).status_code == 200
    assert (await office.call("GET", "/v1/keys", boss.token)).status_code == 200
    for what in ("rotate", "revoke"):
        refused = await office.call("POST", f"/v1/keys/key_{bigger.id.hex}/{what}", boss.token, {"reason": "because"})
        assert refused.status_code == 403, refused.text
    assert await works(office.world, bigger) is not None


async def test_no_list_shows_a_token(office: Office) -> None:
    boss = await key_of(office.world, office.shop, *allowed_scopes("platform"))
    await office.call("POST", f"/v1/keys/key_{boss.id.hex}/rotate", boss.token, {"reason": "because"})
    text = (await office.call("GET", "/v1/keys", boss.token)).text + (await office.call("GET", "/v1/agents", boss.token)).text
    assert "mgk_" not in text
    assert boss.token[4:] not in text


async def test_a_platforms_key_makes_agents_and_sends_them_away(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "agents:write")
    body = {"name": "Nia", "role": "agent", "skills": ["payments"], "reason": "new at the desk"}
    made = await office.call("POST", "/v1/agents", boss.token, body)
    assert made.status_code == 201, made.text
    caller = await office.world.keys.caller_for(made.json()["token"])
    assert caller is not None
    assert (caller.kind, caller.role, "vouch" in caller.scopes) == ("agent", "agent", False)
    path = f"/v1/agents/{made.json()['key']['agent']}"
    changed = await office.call("PUT", path, boss.token, {"role": "lead", "skills": ["trust"], "reason": "leads now"})
    assert (changed.json()["role"], changed.json()["skills"]) == ("lead", ["trust"])
    assert (await office.call("PUT", path, boss.token, {"role": "machine", "reason": "because"})).status_code == 400
    gone = await office.call("POST", f"{path}/disable", boss.token, {"reason": "left the team"})
    assert gone.json()["disabled_at"] is not None
    assert await office.world.keys.caller_for(made.json()["token"]) is None
    ended = await office.call("POST", f"/v1/keys/{made.json()['key']['id']}/rotate", boss.token, {"reason": "because"})
    assert (ended.status_code, ended.json()["type"]) == (409, "urn:makegood:problem:key_ended")
    said = [line for line in await office.audited() if line[0] == "key:shop"]
    assert [what for _, what, _ in said] == ["agent_made", "key_made", "agent_changed", "agent_disabled"]


async def test_a_further_key_over_http_leaves_an_agent_the_role_it_has(office: Office) -> None:
    """A stolen key with `agents:write` must not make a lead of a program whose token it may have."""
    boss = await key_of(office.world, office.shop, "agents:write")
    program = await agent_of(office.world, office.shop, "Bot", "machine")
    for role in ("lead", "agent"):
        answer = await office.call(
            "POST", "/v1/agents", boss.token, {"name": "Bot", "role": role, "skills": ["trust"], "reason": "because"}
        )
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:role_kept")
    caller = await works(office.world, program)
    assert caller is not None
    assert caller.role == "machine"
    (bot,) = await KeyStore(office.world.pool).agents(office.shop.id)
    assert (bot.role, list(bot.skills)) == ("machine", ["support"])
    again = await office.call("POST", "/v1/agents", boss.token, {"name": "Bot", "role": "machine", "reason": "a second server"})
    assert again.status_code == 201, again.text


async def test_a_key_that_rotates_itself_ends_no_later_than_it_would_have(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "keys:write", days=2)
    path = f"/v1/keys/{WireId.KEY.value}_{boss.id.hex}/rotate"
    mine = await office.call("POST", path, boss.token, {"days": 365, "reason": "because"})
    assert mine.status_code in {200, 201}, mine.text
    listed = await KeyStore(office.world.pool).one(office.shop.id, boss.id)
    assert listed is not None
    assert listed.expires_at == boss.expires_at
    other = await key_of(office.world, office.shop, "keys:write", "cases:read", days=30)
    longer = await office.world.keys.rotate(office.shop.id, boss.id, overlap_seconds=0, days=365, change=BY_MIRA)
    assert longer is not None
    assert longer.expires_at is not None
    assert other.expires_at is not None
    assert longer.expires_at > other.expires_at  # a person gives it more time


async def test_at_the_command_line_a_further_key_gives_its_role(world: World, shop: Shop) -> None:
    await agent_of(world, shop, "Mira", "agent")
    await agent_of(world, shop, "Mira", "lead")
    (mira,) = await KeyStore(world.pool).agents(shop.id)
    assert mira.role == "lead"


async def test_a_lead_disables_agents_and_makes_no_second_person(office: Office) -> None:
    lead, peer = await agent_of(office.world, office.shop, "Leo", "lead"), await agent_of(office.world, office.shop, "Lia", "lead")
    await agent_of(office.world, office.shop, "Mira", "agent")
    agents = {one["name"]: one["id"] for one in (await office.call("GET", "/v1/agents", lead.token)).json()["agents"]}
    assert (await office.call("POST", "/v1/agents", lead.token, {"name": "Me too", "reason": "because"})).status_code == 403
    mira, lia = f"/v1/agents/{agents['Mira']}", f"/v1/agents/{agents['Lia']}"
    assert (await office.call("PUT", mira, lead.token, {"role": "lead", "reason": "because"})).status_code == 403
    assert (await office.call("PUT", mira, lead.token, {"skills": ["trust"], "reason": "because"})).json()["skills"] == ["trust"]
    assert (await office.call("POST", f"{lia}/disable", lead.token, {"reason": "because"})).status_code == 403
    assert (await office.call("POST", f"{mira}/disable", lead.token, {"reason": "left"})).status_code == 200
    assert await works(office.world, peer) is not None
    agent_id = unwire(WireId.AGENT, agents["Mira"])
    assert isinstance(agent_id, UUID)


async def test_a_lead_who_no_longer_leads_looks_after_nobody(office: Office) -> None:
    lead = await agent_of(office.world, office.shop, "Leo", "lead")
    (leo,) = await KeyStore(office.world.pool).agents(office.shop.id)
    await KeyStore(office.world.pool).change_agent(office.shop.id, leo.id, AgentChanged(role="agent"), BY_MIRA)
    answer = await office.call("GET", "/v1/agents", lead.token)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:makegood:problem:not_a_lead")


async def test_a_change_without_a_reason_is_not_made(office: Office) -> None:
    boss = await key_of(office.world, office.shop, "keys:write", "agents:write")
    mine, named = f"/v1/keys/key_{boss.id.hex}", {"name": "x"}
    for path, body in ((f"{mine}/revoke", {}), (f"{mine}/rotate", {}), ("/v1/keys", named), ("/v1/agents", named)):
        for reason in ({}, {"reason": ""}, {"reason": "a\nb"}):
            assert (await office.call("POST", path, boss.token, {**body, **reason})).status_code == 400
    assert await works(office.world, boss) is not None
