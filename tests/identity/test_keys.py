"""Keys of platforms and agents: shown once, kept as a hash, scoped, expiring, revocable, and every change with who and why."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from service import tokens
from service.keys import KeyRequestError, MadeKey, Role
from service.signing import SigningKeys
from service.store.keys import Change, KeyStore
from service.store.signing import SigningKeyStore
from tests.identity.world import SECRET, TESTING, Shop, World, time_passes

BY_MIRA = Change(actor="cli:mira", why="new shop")


async def platform_key(world: World, shop: Shop, *, days: int | None = 30) -> MadeKey:
    return await world.keys.make_platform_key(shop.id, name="shop", scopes=(), days=days, change=BY_MIRA)


async def test_a_key_says_who_it_is_and_what_it_may(world: World, shop: Shop) -> None:
    made = await world.keys.make_platform_key(shop.id, name="feed", scopes=("orders:write",), days=30, change=BY_MIRA)
    caller = await world.keys.caller_for(made.token)
    assert caller is not None
    assert (caller.kind, caller.platform, caller.platform_id, caller.name) == ("platform", shop.slug, shop.id, "key:feed")
    assert caller.scopes == {"orders:write"}


@pytest.mark.parametrize(("role", "kind"), [("agent", "agent"), ("lead", "agent"), ("machine", "machine")])
async def test_an_agents_key_carries_name_and_role(world: World, shop: Shop, role: Role, kind: str) -> None:
    made = await world.keys.make_agent_key(shop.id, name="Mira", role=role, skills=("payments",), scopes=(), days=30, change=BY_MIRA)
    caller = await world.keys.caller_for(made.token)
    assert caller is not None
    assert (caller.kind, caller.name, caller.role) == (kind, "agent:Mira", role)
    assert caller.agent_id is not None


async def test_only_the_hash_is_kept(world: World, shop: Shop) -> None:
    made = await platform_key(world, shop)
    rows = await world.pool.fetch(
        "SELECT row_to_json(api_key)::text AS text FROM api_key UNION ALL SELECT row_to_json(audit)::text FROM audit"
    )
    assert rows
    assert not any(made.token in row["text"] or made.token[4:] in row["text"] for row in rows)
    assert made.token not in repr(made)


async def test_a_key_stops_working_when_it_runs_out(world: World, shop: Shop) -> None:
    made, forever = await platform_key(world, shop), await platform_key(world, shop, days=None)
    await time_passes(world.pool, 31 * 86400)
    assert await world.keys.caller_for(made.token) is None
    assert await world.keys.caller_for(forever.token) is not None


async def test_a_revoked_key_stops_working_at_once_and_only_that(world: World, shop: Shop) -> None:
    made, other = await platform_key(world, shop), await platform_key(world, shop)
    store = KeyStore(world.pool)
    elsewhere = await Shop.opens(world.pool)
    assert not await store.revoke(elsewhere.id, made.id, TESTING)
    assert await store.revoke(shop.id, made.id, Change(actor="cli:leo", why="leaked"))
    assert not await store.revoke(shop.id, made.id, TESTING)
    assert await world.keys.caller_for(made.token) is None
    assert await world.keys.caller_for(other.token) is not None


async def test_every_change_of_a_key_is_kept_with_who_and_why(world: World, shop: Shop) -> None:
    made = await platform_key(world, shop)
    await KeyStore(world.pool).revoke(shop.id, made.id, Change(actor="cli:leo", why="leaked"))
    rows = await world.pool.fetch("SELECT actor, what, why, data->>'key' AS key FROM audit WHERE platform_id = $1 ORDER BY id", shop.id)
    assert [tuple(row) for row in rows][1:] == [
        ("cli:mira", "key_made", "new shop", made.id.hex),
        ("cli:leo", "key_revoked", "leaked", made.id.hex),
    ]


@pytest.mark.parametrize(
    ("name", "scopes", "days"), [("", (), 1), ("a\nb", (), 1), ("x" * 81, (), 1), ("shop", ("queue:work",), 1), ("shop", (), 0)]
)
async def test_a_key_that_makes_no_sense_is_not_made(world: World, shop: Shop, name: str, scopes: tuple[str, ...], days: int) -> None:
    with pytest.raises(KeyRequestError):
        await world.keys.make_platform_key(shop.id, name=name, scopes=scopes, days=days, change=BY_MIRA)
    assert await world.pool.fetchval("SELECT count(*) FROM api_key WHERE platform_id = $1", shop.id) == 0


async def test_only_machines_can_be_given_the_right_to_vouch(world: World, shop: Shop) -> None:
    await world.keys.make_agent_key(shop.id, name="Bot", role="machine", skills=(), scopes=("vouch",), days=1, change=BY_MIRA)
    with pytest.raises(KeyRequestError):
        await world.keys.make_agent_key(shop.id, name="Leo", role="agent", skills=(), scopes=("vouch",), days=1, change=BY_MIRA)


async def test_many_processes_starting_at_once_make_one_signing_key(world: World) -> None:
    rings = [SigningKeys(SigningKeyStore(world.pool), tokens.Sealer(SECRET)) for _ in range(10)]
    await asyncio.gather(*(ring.ensure() for ring in rings))
    assert await world.pool.fetchval("SELECT count(*) FROM signing_key") == 1
    assert len({(await ring.current()).kid for ring in rings}) == 1


async def test_the_key_set_is_public_and_checks_what_the_current_key_signs(world: World, http: httpx.AsyncClient) -> None:
    await world.signing_keys.ensure()
    answer = await http.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    current = await world.signing_keys.current()
    assert key == tokens.jwk(current.kid, current.public)
    assert "d" not in key
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert (await world.signing_keys.public())[current.kid].public_bytes_raw() == current.public.public_bytes_raw()


async def test_another_installation_secret_opens_no_signing_key(world: World) -> None:
    await world.signing_keys.ensure()
    with pytest.raises(tokens.Unsealable):
        await SigningKeys(SigningKeyStore(world.pool), tokens.Sealer(b"x" * 32)).current()
