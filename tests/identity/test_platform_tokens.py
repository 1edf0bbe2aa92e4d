"""A platform's own JWT over HTTP: whom it proves, how sure that makes us, and what does not pass for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.callers import Caller
from service.model import IdentityLevel
from service.platform_checks import read_settings
from service.platforms import sealed
from service.sealing import Vault
from tests.identity.world import NOW, SECRET, Shop, World

URL: Final = "https://id.moonlight.example/jwks.json"
ISSUER: Final = "https://id.moonlight.example"
PROOF: Final = {"issuer": ISSUER, "audience": "makegood", "jwks_url": URL, "algorithms": ["EdDSA"]}


class Platform:
    """The platform's side: its key, and the tokens it signs."""

    def __init__(self, world: World, url: str = URL) -> None:
        self.key = Ed25519PrivateKey.generate()
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        world.key_sets.published[url] = msgspec.json.encode({"keys": [{**public, "kid": "one", "alg": "EdDSA", "use": "sig"}]})

    def token(self, **claims: Any) -> str:
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "aud": "makegood",
            "sub": "customer-7",
            "iat": NOW,
            "exp": NOW + timedelta(minutes=5),
            **claims,
        }
        return jwt.encode(payload, self.key, algorithm="EdDSA", headers={"kid": "one"})


async def level(http: httpx.AsyncClient, slug: str, token: str) -> tuple[int, str | None]:
    answer = await http.get("/v1/session", headers={"Authorization": f"Bearer {token}", "Makegood-Platform": slug})
    return answer.status_code, answer.json().get("level")


async def who(world: World, slug: str, token: str) -> Caller:
    found = await world.identity.caller_for_platform_token(slug, token)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, "verified"),
        ({"auth_time": NOW.timestamp() - 60}, "verified"),
        ({"amr": ["mfa"]}, "verified"),
        ({"amr": ["pwd", "otp"], "auth_time": NOW.timestamp() - 60}, "strong"),
        ({"amr": ["otp"], "auth_time": NOW.timestamp() - 11 * 60}, "verified"),
    ],
)
async def test_a_token_verifies_and_a_fresh_second_factor_makes_it_strong(
    world: World, http: httpx.AsyncClient, claims: Mapping[str, Any], expected: str
) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    assert await level(http, shop.slug, Platform(world).token(**claims)) == (200, expected)


async def test_a_token_opens_the_orders_of_its_subject(world: World) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    own = await shop.sells("mira@example.org", customer_ref="customer-7")
    await shop.sells("mira@example.org", customer_ref="customer-8")
    await shop.sells("leo@example.org")
    caller = await who(world, shop.slug, Platform(world).token(email="mira@example.org"))
    assert [one.order_id for one in await world.identity.orders_open_to(caller)] == [own.id]
    assert await world.identity.level_for(caller, own.ref) is IdentityLevel.VERIFIED


async def test_its_address_counts_only_when_the_platform_verified_it(world: World) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    order = await shop.sells("mira@example.org")
    caller = await who(world, shop.slug, Platform(world).token(email="mira@example.org", email_verified=True))
    assert [one.order_id for one in await world.identity.orders_open_to(caller)] == [order.id]


async def test_a_token_of_one_platform_is_nobody_on_another(world: World, http: httpx.AsyncClient) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    other = await Shop.opens(
        world.pool, {"proof": {**PROOF, "issuer": "https://id.sunlight.example", "jwks_url": "https://id.sunlight.example/keys"}}
    )
    without = await Shop.opens(world.pool)
    Platform(world, "https://id.sunlight.example/keys")
    token = Platform(world).token()
    assert await level(http, shop.slug, token) == (200, "verified")
    for slug in (other.slug, without.slug, "nobody"):
        assert (await level(http, slug, token))[0] == 401


async def test_two_platforms_with_one_identity_provider_have_two_customers(world: World) -> None:
    one, two = await Shop.opens(world.pool, {"proof": PROOF}), await Shop.opens(world.pool, {"proof": PROOF})
    token = Platform(world).token()
    assert (await who(world, one.slug, token)).id != (await who(world, two.slug, token)).id


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-else"},
        {"iss": "https://id.sunlight.example"},
        {"exp": NOW - timedelta(minutes=2)},
        {"iat": NOW - timedelta(hours=1), "exp": NOW + timedelta(hours=1)},
        {"sub": ""},
    ],
)
async def test_what_a_token_must_say_is_said_or_it_proves_nothing(world: World, http: httpx.AsyncClient, claims: Mapping[str, Any]) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    assert (await level(http, shop.slug, Platform(world).token(**claims)))[0] == 401


async def test_a_forged_token_proves_nothing(world: World, http: httpx.AsyncClient) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    platform = Platform(world)
    body = {"iss": ISSUER, "aud": "makegood", "sub": "customer-7", "iat": NOW, "exp": NOW + timedelta(minutes=5)}
    forged = [
        jwt.encode(body, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "one"}),
        jwt.encode(body, "0" * 64, algorithm="HS256", headers={"kid": "one"}),
        jwt.encode(body, "", algorithm="none", headers={"kid": "one"}),
        platform.token()[:-4] + "AAAA",
    ]
    for token in forged:
        assert (await level(http, shop.slug, token))[0] == 401


async def test_a_shared_secret_rests_sealed_and_verifies(world: World, http: httpx.AsyncClient) -> None:
    import msgspec  # noqa: PLC0415 - see above

    shop = await Shop.opens(world.pool)
    shared = "a secret that only the platform and we know, 48 chars"
    settings = read_settings({"name": "Moonlight", "proof": {"issuer": ISSUER, "audience": "makegood", "secret": shared}}, rails={})
    stored = msgspec.to_builtins(sealed(settings, Vault(SECRET, purpose="platform"), shop.slug))
    assert shared not in str(stored)
    await world.pool.execute("UPDATE platform SET settings = $2 WHERE id = $1", shop.id, stored)
    claims = {"iss": ISSUER, "aud": "makegood", "sub": "customer-7", "iat": NOW, "exp": NOW + timedelta(minutes=5)}
    assert await level(http, shop.slug, jwt.encode(claims, shared, algorithm="HS256")) == (200, "verified")
    assert (await level(http, shop.slug, jwt.encode(claims, shared + "?", algorithm="HS256")))[0] == 401


async def test_when_the_platforms_keys_cannot_be_had_we_say_so_and_let_nobody_in(world: World, http: httpx.AsyncClient) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    token = Platform(world).token()
    world.key_sets.published.clear()
    answer = await http.get("/v1/session", headers={"Authorization": f"Bearer {token}", "Makegood-Platform": shop.slug})
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


async def test_a_token_without_its_platform_is_asked_for_it(world: World, http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/session", headers={"Authorization": f"Bearer {Platform(world).token()}"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Makegood-Platform")


async def test_a_token_needs_no_code_and_is_told_so(world: World, http: httpx.AsyncClient) -> None:
    shop = await Shop.opens(world.pool, {"proof": PROOF})
    headers = {"Authorization": f"Bearer {Platform(world).token()}", "Makegood-Platform": shop.slug}
    asked = await http.post("/v1/sessions/codes", json={"email": "mira@example.org"}, headers=headers)
    tried = await http.post("/v1/sessions/verify", json={"code": "000000"}, headers=headers)
    assert (asked.status_code, tried.status_code, (await http.delete("/v1/session", headers=headers)).status_code) == (409, 409, 409)
    assert await world.pool.fetchval("SELECT count(*) FROM one_time_code") == 0
