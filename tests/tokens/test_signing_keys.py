"""Signing keys follow each other without a token being refused that was good, in every process, whenever anybody is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest

from service import tokens
from service.access import KeyRing
from service.signing import JWKS_SECONDS, KEYS_SECONDS, LATE_SECONDS, LEAD_SECONDS, LEAD_SECONDS_SCHEDULED, SigningKeys
from service.store.keys import Change
from service.store.pool import Pool
from service.store.signing import SigningKeyStore
from tests.identity.world import SECRET, Shop, time_passes
from tests.patience import PATIENCE_SECONDS

BY_MIRA = Change(actor="cli:mira", why="every quarter")


@pytest.fixture
async def keys(still_pool: Pool) -> SigningKeys:
    found = another(still_pool)
    await found.ensure()
    return found


def another(pool: Pool) -> SigningKeys:
    """What another process has."""
    return SigningKeys(SigningKeyStore(pool), tokens.Sealer(SECRET))


async def states(keys: SigningKeys) -> Sequence[str]:
    return sorted(row.state for row in await keys.listed())


async def a_token(pool: Pool, keys: SigningKeys, lives: timedelta) -> str:
    """A token of an active row, signed by the key of now."""
    shop = await Shop.opens(pool)
    order = await shop.sells("fan@example.org", holders=("fan@example.org",))
    show, jti, now = uuid4(), uuid4(), await pool.fetchval("SELECT app_now()")
    await pool.execute(
        "INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)"
        " VALUES ($1, $2, 's', 1, '{}', 'UTC', now(), now() + interval '1 hour', 'scheduled')",
        shop.id,
        show,
    )
    await pool.execute(
        "INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)"
        " VALUES ($1, $2, $3, $4, 'active', $5, $6)",
        shop.id,
        jti,
        order.passes["fan@example.org"],
        show,
        now,
        now + lives,
    )
    claims = tokens.AccessClaims(
        issuer="https://makegood.test",
        audience=shop.slug,
        pass_id=order.passes["fan@example.org"],
        token_id=jti,
        show="s",
        issued_at=now,
        not_before=now,
        expires_at=now + lives,
    )
    return tokens.mint(await keys.current(), claims)


async def reads(keys: SigningKeys, token: str) -> bool:
    """Whether the token's key is among the published ones."""
    return jwt.get_unverified_header(token)["kid"] in await keys.public()


async def test_a_key_is_published_longer_than_anybody_keeps_the_set_before_it_signs(keys: SigningKeys, still_pool: Pool) -> None:
    assert LEAD_SECONDS > JWKS_SECONDS + KEYS_SECONDS
    first = (await keys.current()).kid
    assert await keys.rotate(BY_MIRA)
    assert await states(keys) == ["current", "next"]
    assert len(await keys.public()) == 2
    await time_passes(still_pool, int(LEAD_SECONDS) - 1)
    await keys.tend(days=0)
    assert (await keys.current()).kid == first
    await time_passes(still_pool, 2)
    await keys.tend(days=0)
    assert (await keys.current()).kid != first
    assert await states(keys) == ["current", "old"]


async def test_a_second_rotation_waits_for_the_first(keys: SigningKeys) -> None:
    assert await keys.rotate(BY_MIRA)
    assert not await keys.rotate(BY_MIRA)


async def test_an_old_key_is_kept_until_its_last_token_has_run_out(keys: SigningKeys, still_pool: Pool) -> None:
    token = await a_token(still_pool, keys, timedelta(hours=30))
    await keys.rotate(BY_MIRA)
    await time_passes(still_pool, int(LEAD_SECONDS) + 1)
    await keys.tend(days=0)
    for _ in range(29):
        await time_passes(still_pool, 3600)
        await keys.tend(days=0)
        assert await reads(keys, token)
    await time_passes(still_pool, 3600 + int(LATE_SECONDS) + 1)
    await keys.tend(days=0)
    assert await states(keys) == ["current"]


async def test_a_token_that_a_late_process_signed_with_the_old_key_lives_out_its_time(keys: SigningKeys, still_pool: Pool) -> None:
    await keys.rotate(BY_MIRA)
    await time_passes(still_pool, int(LEAD_SECONDS) + 1)
    late = await keys.current()
    await keys.tend(days=0)
    # issued just after the switch, by a process that has not read the keys again
    await a_token(still_pool, keys, timedelta(hours=10))
    await time_passes(still_pool, int(LATE_SECONDS) + 1)
    await keys.tend(days=0)
    assert late.kid in await keys.public()
    await time_passes(still_pool, 10 * 3600)
    await keys.tend(days=0)
    assert late.kid not in await keys.public()


async def test_many_processes_that_tend_at_once_take_each_step_once(keys: SigningKeys, still_pool: Pool) -> None:
    processes = [another(still_pool) for _ in range(8)]
    assert sum(await asyncio.gather(*(one.rotate(BY_MIRA) for one in processes))) == 1
    await time_passes(still_pool, int(LEAD_SECONDS) + 1)
    await asyncio.gather(*(one.tend(days=0) for one in processes))
    assert await states(keys) == ["current", "old"]
    assert len({(await one.current()).kid for one in processes}) == 1
    taken = await still_pool.fetchval("SELECT count(*) FROM installation_change WHERE what = 'signing_key_current'")
    assert taken == 1


async def test_after_every_step_there_is_one_key_that_signs_and_all_that_signed_before(keys: SigningKeys, still_pool: Pool) -> None:
    """Whoever is killed after any step leaves this state, since each step is one transaction; the next process goes on from it."""
    token = await a_token(still_pool, keys, timedelta(days=3))
    for seconds in (0, int(LEAD_SECONDS) + 1, 3600, 86400):
        await another(still_pool).rotate(BY_MIRA)
        await time_passes(still_pool, seconds)
        assert (await states(keys)).count("current") == 1
        assert await reads(keys, token)
        await another(still_pool).tend(days=0)
        assert (await states(keys)).count("current") == 1
        assert await reads(keys, token)


async def test_a_step_that_fails_half_way_leaves_the_state_before(keys: SigningKeys, still_pool: Pool) -> None:
    await keys.rotate(BY_MIRA)
    await time_passes(still_pool, int(LEAD_SECONDS) + 1)
    before = [(row.kid, row.state) for row in await keys.listed()]
    async with still_pool.acquire() as connection:
        step = connection.transaction()
        await step.start()
        assert len(await connection.fetchval("SELECT signing_advance(60)")) == 1
        await step.rollback()
    assert [(row.kid, row.state) for row in await keys.listed()] == before
    await keys.tend(days=0)
    assert await states(keys) == ["current", "old"]


async def test_a_leaked_key_is_gone_at_once_with_every_token_it_signed(keys: SigningKeys, still_pool: Pool) -> None:
    token = await a_token(still_pool, keys, timedelta(hours=3))
    await keys.rotate(BY_MIRA)
    await keys.withdraw(Change(actor="cli:mira", why="it was in a log"))
    assert await states(keys) == ["current"]
    assert not await reads(keys, token)
    # what was bought stays bought: the row admits, and its token is signed anew
    assert await still_pool.fetchval("SELECT count(*) FROM access_token WHERE state = 'active'") == 1
    row = await still_pool.fetchrow("SELECT actor, why, data FROM installation_change WHERE what = 'signing_keys_withdrawn'")
    assert row is not None
    assert (row["actor"], row["why"], len(row["data"]["withdrawn"])) == ("cli:mira", "it was in a log", 2)


async def test_a_token_under_a_key_of_another_process_is_known_without_waiting(keys: SigningKeys, still_pool: Pool) -> None:
    ring = KeyRing(keys)
    await ring.public()
    ring._stale_at += PATIENCE_SECONDS  # noqa: SLF001 - it does not read them again by itself meanwhile
    await another(still_pool).withdraw(BY_MIRA)
    new = (await another(still_pool).current()).kid
    assert new not in await ring.public()
    ring._read_at -= 2.0  # noqa: SLF001 - a second passes; the loop's clock cannot be set
    assert new in await ring.public_again()


async def test_by_schedule_a_key_is_followed_after_so_many_days_and_published_a_day_before(keys: SigningKeys, still_pool: Pool) -> None:
    await time_passes(still_pool, 89 * 86400)
    await keys.tend(days=90)
    assert await states(keys) == ["current"]
    await time_passes(still_pool, 2 * 86400)
    await keys.tend(days=0)
    assert await states(keys) == ["current"]
    await keys.tend(days=90)
    (following,) = [row for row in await keys.listed() if row.state == "next"]
    assert following.ready_at is not None
    assert following.ready_at - following.since == timedelta(seconds=LEAD_SECONDS_SCHEDULED)
    assert following.since > datetime.now(UTC)
