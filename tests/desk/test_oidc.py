"""Signing in through an identity provider: a real one, run here, and one of ours that lies in each way there is."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from integrations import jwks_http, oidc_http
from service.app import Application
from service.oidc import VAULT_PURPOSE, Answered, Begun, OidcSignIn, SignInFailed, within
from service.oidc_provider import read_document
from service.platform_checks import read_settings
from service.platforms import Platforms
from service.ports import Unavailable
from service.sealing import Vault
from service.settings_desk import SettingsDesk
from service.settings_reading import SettingsError
from service.store.desk_sessions import DeskSessionStore
from service.store.keys import AgentChanged, KeyStore
from service.store.platforms import PlatformStore
from tests.desk.console import HERE, Office, browsing, installation, open_office
from tests.identity.world import SECRET, TESTING
from tests.patience import PATIENCE_SECONDS
from tests.peers import oidc_provider

CALLBACK: Final = f"{HERE}/desk/oidc/callback"
CLIENT: Final = {
    "client_id": "makegood",
    "client_secret": "a%secret:of+the/tests-32-characters",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
}
PEOPLE: Final = {
    "u-1": {"email": "Mira@Shop.example", "email_verified": True},
    "u-2": {"email": "mira@shop.example", "email_verified": False},
    "u-3": {"email": "stranger@shop.example", "email_verified": True},
    "u-4": {},
}


async def call(agent: str, office: Office, sign_in: str) -> None:
    found = await office.agent(agent)
    assert await KeyStore(office.pool).change_agent(office.id, found.id, AgentChanged(sign_in=sign_in), TESTING)


# ------------------------------------------------------------------------------------------------ a real provider


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider.running(CLIENT, PEOPLE) as address:
        yield address


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A real provider is another process: that it stands still for some seconds is no reason to send people away here."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (jwks_http, oidc_http):
            patched.setattr(module, "_DEADLINE_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture(scope="module")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url, MAKEGOOD_WEBHOOK_PRIVATE_ADDRESSES="yes") as opened:
        yield opened


@pytest.fixture
async def real(app: Application, issuer: str) -> Office:
    sign_in = {"issuer": issuer, "client_id": "makegood", "client_secret": CLIENT["client_secret"]}
    office = await open_office(app, sign_in=sign_in)
    await call("Mira", office, "mira@shop.example")
    await call("Leo", office, "sub:u-4")
    return office


async def come_back(browser: httpx.AsyncClient, office: Office, person: str, to: str = "/desk/board") -> httpx.Response:
    """The whole way: from the sign-in page to the provider, through its pages, and back."""
    start = await browser.get("/desk/oidc/start", params={"platform": office.slug, "to": to})
    assert start.status_code == 303, start.text
    return await browser.get(await oidc_provider.sign_in(start.headers["location"], name=person, back=CALLBACK))


@pytest.mark.parametrize(("person", "agent"), [("u-1", "Mira"), ("u-4", "Leo")])
async def test_whom_a_real_provider_vouches_for_is_signed_in(real: Office, person: str, agent: str) -> None:
    async with browsing(real.app, page=None) as browser:
        back = await come_back(browser, real, person)
        assert (back.status_code, back.headers["location"]) == (303, "/desk/board")
        cookies = back.headers.get_list("set-cookie")
        assert any(one.startswith("makegood_desk=mgd_") and "SameSite=strict" in one for one in cookies)
        shown = (await browser.get("/v1/desk/session")).json()
        assert shown["agent"]["name"] == agent
        assert "makegood_sign_in" not in browser.cookies


@pytest.mark.parametrize("person", ["u-2", "u-3"])
async def test_an_address_that_is_not_verified_or_not_an_agents_signs_nobody_in(real: Office, person: str) -> None:
    async with browsing(real.app, page=None) as browser:
        back = await come_back(browser, real, person)
        assert (back.status_code, back.headers["location"]) == (303, "/desk/sign-in?error=nobody_here")
        assert (await browser.get("/v1/desk/session")).status_code == 401


async def test_a_disabled_agent_is_not_signed_in(real: Office) -> None:
    await KeyStore(real.pool).disable_agent(real.id, (await real.agent("Mira")).id, TESTING)
    async with browsing(real.app, page=None) as browser:
        assert (await come_back(browser, real, "u-1")).headers["location"] == "/desk/sign-in?error=nobody_here"


async def test_a_way_back_works_once_and_in_the_browser_that_went(real: Office) -> None:
    async with browsing(real.app, page=None) as browser, browsing(real.app, page=None) as other:
        start = await browser.get("/desk/oidc/start", params={"platform": real.slug})
        address = await oidc_provider.sign_in(start.headers["location"], name="u-1", back=CALLBACK)
        stolen = await other.get(address)
        assert stolen.headers["location"] == "/desk/sign-in?error=wrong_state"
        state = browser.cookies["makegood_sign_in"]
        assert (await browser.get(address)).headers["location"] == "/desk"
        again = await browser.get(address, headers={"Cookie": f"makegood_sign_in={state}"})
        assert again.headers["location"] == "/desk/sign-in?error=wrong_state"


async def test_whoever_says_no_at_the_provider_is_told_on_the_sign_in_page(real: Office, issuer: str) -> None:
    async with browsing(real.app, page=None) as browser:
        start = await browser.get("/desk/oidc/start", params={"platform": real.slug})
        state = parse_qs(urlsplit(start.headers["location"]).query)["state"][0]
        refused = await browser.get(CALLBACK, params={"state": state, "error": "access_denied", "iss": issuer})
        assert refused.headers["location"] == "/desk/sign-in?error=provider_refused"
        assert (await browser.get("/v1/desk/session")).status_code == 401


async def test_without_the_installations_word_no_provider_inside_its_network_is_asked(database_url: str, issuer: str) -> None:
    async with installation(database_url) as app:
        office = await open_office(app, sign_in={"issuer": issuer, "client_id": "makegood"})
        async with browsing(app, page=None) as browser:
            start = await browser.get("/desk/oidc/start", params={"platform": office.slug})
            assert start.headers["location"] == f"/desk/sign-in?error=provider_away&platform={office.slug}"
            none = await browser.get("/desk/oidc/start", params={"platform": "nobody"})
            assert none.headers["location"] == "/desk/sign-in?error=no_provider&platform=nobody"


# ------------------------------------------------------------------------------------------------ one that lies

ISSUER: Final = "https://id.shop.example"
NOW: Final = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
Forge = Callable[[dict[str, Any]], None]


class Liar:
    """An identity provider in memory, as `IdentityWeb`: it signs what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys: Mapping[str, Any] = {
            "RS256": self.rsa,
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.document: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        self.token = ""
        self.forms: list[Mapping[str, str]] = []
        self.basics: list[tuple[str, str] | None] = []

    async def fetch(self, url: str) -> bytes:
        if url == f"{ISSUER}/.well-known/openid-configuration":
            return msgspec.json.encode(self.document)
        assert url == f"{ISSUER}/jwks"
        algorithms = jwt.algorithms.get_default_algorithms()
        keys = [
            {**msgspec.json.decode(algorithms[name].to_jwk(key.public_key())), "kid": name, "use": "sig"} for name, key in self.keys.items()
        ]
        return msgspec.json.encode({"keys": keys})

    async def ask(self, url: str, token: str) -> bytes:
        raise Unavailable(f"nobody is told at {url} with {token}")

    async def redeem(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None) -> tuple[int, bytes]:
        assert url == f"{ISSUER}/token"
        self.forms.append(form)
        self.basics.append(basic)
        if form["code"] != "good":
            return 400, b'{"error": "invalid_grant"}'
        return 200, msgspec.json.encode({"id_token": self.token, "token_type": "Bearer"})

    def sign(self, claims: Mapping[str, Any], *, algorithm: str = "RS256", key: Any = None, kid: str | None = None) -> None:
        headers = {"kid": kid or algorithm}
        self.token = jwt.encode(dict(claims), key or self.keys[algorithm], algorithm=algorithm, headers=headers)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    office: Office
    liar: Liar
    oidc: OidcSignIn

    async def begin(self, to: str = "/desk") -> tuple[Begun, Mapping[str, str]]:
        begun = await self.oidc.begin(self.office.slug, to)
        return begun, {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}

    def claims(self, asked: Mapping[str, str]) -> dict[str, Any]:
        now = NOW.timestamp()
        proven = {"email": "mira@shop.example", "email_verified": True}
        return {"iss": ISSUER, "sub": "u-1", "aud": "makegood", "exp": now + 300, "iat": now, "nonce": asked["nonce"], **proven}

    async def end(self, begun: Begun, **changed: Any) -> str:
        """Where it ends: the page, or the reason why not."""
        answered = Answered(state=begun.state, kept=begun.state, code="good", issuer=ISSUER, error="")
        try:
            return (await self.oidc.complete(msgspec.structs.replace(answered, **changed))).to
        except SignInFailed as failure:
            return failure.reason

    async def sessions(self) -> int:
        count: int = await self.office.pool.fetchval("SELECT count(*) FROM desk_session WHERE platform_id = $1", self.office.id)
        return count


@pytest.fixture
async def stage(app: Application) -> Stage:
    secret = {"client_secret": "shared:with+the%provider"}
    office = await open_office(app, sign_in={"issuer": ISSUER, "client_id": "makegood", **secret})
    await call("Mira", office, "mira@shop.example")
    platforms = Platforms(PlatformStore(app.pool), Vault(SECRET, purpose="platform"), monotonic=lambda: 0.0, kept_seconds=0.0)
    liar = Liar()
    oidc = OidcSignIn(
        DeskSessionStore(app.pool),
        office.sessions,
        platforms,
        liar,
        vault=Vault(SECRET, purpose=VAULT_PURPOSE),
        public_url=HERE,
        clock=lambda: NOW,
    )
    return Stage(office=office, liar=liar, oidc=oidc)


async def test_what_is_asked_is_asked_with_pkce_state_and_nonce_and_the_secret_stays_here(stage: Stage) -> None:
    begun, asked = await stage.begin("/desk/cases/case_1?tab=money")
    assert begun.address.startswith(f"{ISSUER}/auth?")
    assert (asked["response_type"], asked["client_id"], asked["redirect_uri"]) == ("code", "makegood", CALLBACK)
    assert (asked["code_challenge_method"], asked["state"]) == ("S256", begun.state)
    assert "shared:with+the%provider" not in begun.address
    stage.liar.sign(stage.claims(asked))
    assert await stage.end(begun) == "/desk/cases/case_1?tab=money"
    (form,), (basic,) = stage.liar.forms, stage.liar.basics
    challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
    assert challenge == asked["code_challenge"]
    assert basic == ("makegood", "shared%3Awith%2Bthe%25provider")
    kept = await stage.office.pool.fetchval("SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]')::text FROM sign_in_once AS s")
    assert form["code_verifier"] not in kept
    assert asked["nonce"] not in kept
    assert await stage.sessions() == 1


@pytest.mark.parametrize(
    ("linked", "email"),
    [
        ("sub:ben@shop.example", "sub:ben@shop.example"),
        ("sub:ben@shop.example", "SUB:Ben@shop.example"),
        ("sub:u-9", "sub:u-9"),
        ("sub:u-9", "Sub:u-9"),
        # KELVIN SIGN: a lower-case k to who folds all of Unicode, and somebody else's address to the provider.
        ("kim@shop.example", "\u212aim@shop.example"),
        ("sub:u-9", "u-9"),
    ],
)
async def test_an_address_never_counts_as_the_providers_own_name_of_somebody_nor_as_another_address(
    stage: Stage, linked: str, email: str
) -> None:
    await call("Mira", stage.office, linked)
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked) | {"sub": "u-1", "email": email})
    assert await stage.end(begun) == "nobody_here"
    assert await stage.sessions() == 0


@pytest.mark.parametrize("email", ["mira\u0000@shop.example", "\n", "@", "mira@@shop.example", "x" * 9000, "mira@shop.example\n"])
async def test_an_address_that_is_none_signs_nobody_in(stage: Stage, email: str) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked) | {"email": email})
    assert await stage.end(begun) == "nobody_here"


async def test_a_name_of_the_providers_that_cannot_be_kept_is_nobodys(stage: Stage) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked) | {"sub": "u\u00001", "email_verified": False})
    assert await stage.end(begun) == "nobody_here"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_each_algorithm_that_we_take_is_taken(stage: Stage, algorithm: str) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked), algorithm=algorithm)
    assert await stage.end(begun) == "/desk"


CLAIMS: Final[Mapping[str, tuple[Forge, str]]] = {
    "another nonce": (lambda claims: claims.update(nonce="another"), "wrong_nonce"),
    "no nonce": (lambda claims: claims.pop("nonce"), "wrong_nonce"),
    "another audience": (lambda claims: claims.update(aud="somebody"), "wrong_audience"),
    "among audiences, asked for by another": (lambda claims: claims.update(aud=["makegood", "other"], azp="other"), "wrong_audience"),
    "among audiences, asked for by nobody": (lambda claims: claims.update(aud=["makegood", "other"]), "wrong_audience"),
    "asked for by another": (lambda claims: claims.update(azp="other"), "wrong_audience"),
    "another issuer": (lambda claims: claims.update(iss="https://evil.example"), "wrong_issuer"),
    "expired": (lambda claims: claims.update(exp=NOW.timestamp() - 31), "expired"),
    "of tomorrow": (lambda claims: claims.update(iat=NOW.timestamp() + 3600), "not_yet_valid"),
    "not before tomorrow": (lambda claims: claims.update(nbf=NOW.timestamp() + 3600), "not_yet_valid"),
    "of yesterday": (lambda claims: claims.update(iat=NOW.timestamp() - 86400), "stale"),
    "without an end": (lambda claims: claims.pop("exp"), "missing_claim"),
    "of nobody": (lambda claims: claims.update(sub=""), "missing_claim"),
    "of a stranger": (lambda claims: claims.update(email="stranger@shop.example"), "nobody_here"),
    "not verified": (lambda claims: claims.update(email_verified=False), "nobody_here"),
    "verified in words": (lambda claims: claims.update(email_verified="true"), "nobody_here"),
    "without a word on it": (lambda claims: claims.pop("email_verified"), "nobody_here"),
}


@pytest.mark.parametrize("name", sorted(CLAIMS))
async def test_a_token_that_says_something_else_signs_nobody_in(stage: Stage, name: str) -> None:
    forge, reason = CLAIMS[name]
    begun, asked = await stage.begin()
    claims = stage.claims(asked)
    forge(claims)
    stage.liar.sign(claims)
    assert await stage.end(begun) == reason
    assert await stage.sessions() == 0


async def test_a_token_that_nobody_signed_or_somebody_else_signs_nobody_in(stage: Stage) -> None:
    def unsigned(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), "", algorithm="none")

    def with_the_public_key(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), b"x" * 32, algorithm="HS256", headers={"kid": "RS256"})

    def by_another(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), stage.liar.other, algorithm="RS256", headers={"kid": "RS256"})

    def of_no_known_key(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), stage.liar.other, algorithm="RS256", headers={"kid": "another"})

    def with_another_algorithm(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), stage.liar.rsa, algorithm="RS512", headers={"kid": "RS256"})

    tokens: list[tuple[Callable[[Mapping[str, Any]], str], str]] = [
        (unsigned, "malformed"),
        (with_the_public_key, "wrong_algorithm"),
        (by_another, "bad_signature"),
        (of_no_known_key, "unknown_key"),
        (with_another_algorithm, "wrong_algorithm"),
        (lambda _: "a.b.c", "malformed"),
        (lambda _: "x" * 20_000, "malformed"),
    ]
    for make, reason in tokens:
        begun, asked = await stage.begin()
        stage.liar.token = make(stage.claims(asked))
        assert await stage.end(begun) == reason, make
    assert await stage.sessions() == 0


ANSWERS: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "another state": ({"state": "another"}, "wrong_state"),
    "no state": ({"state": "", "kept": ""}, "wrong_state"),
    "a state of no browser": ({"kept": ""}, "wrong_state"),
    "a state that was never given": ({"state": "A" * 43, "kept": "A" * 43}, "wrong_state"),
    "another provider's answer": ({"issuer": "https://evil.example"}, "wrong_issuer"),
    "an answer of nobody": ({"issuer": None}, "wrong_issuer"),
    "a no": ({"error": "access_denied"}, "provider_refused"),
    "a yes and a no": ({"error": "server_error", "code": "good"}, "provider_refused"),
    "no code": ({"code": ""}, "provider_refused"),
    "a code that was used": ({"code": "used"}, "provider_refused"),
    "a code without an end": ({"code": "x" * 5000}, "provider_refused"),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_an_answer_that_was_not_ours_to_get_signs_nobody_in(stage: Stage, name: str) -> None:
    changed, reason = ANSWERS[name]
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked))
    assert await stage.end(begun, **changed) == reason
    assert await stage.sessions() == 0


async def test_an_answer_counts_once_even_after_a_failure(stage: Stage) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked))
    assert await stage.end(begun, error="access_denied") == "provider_refused"
    assert await stage.end(begun) == "wrong_state"


async def test_ten_minutes_are_enough_to_sign_in(stage: Stage) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked))
    await stage.office.pool.execute("UPDATE sign_in_once SET expires_at = app_now() WHERE platform_id = $1", stage.office.id)
    assert await stage.end(begun) == "wrong_state"


async def test_an_answer_for_one_platform_is_none_for_another(stage: Stage) -> None:
    """What was begun for one is kept under its name: its people, its client, its provider."""
    other = await open_office(stage.office.app, sign_in={"issuer": ISSUER, "client_id": "theirs"})
    await call("Leo", other, "mira@shop.example")
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked) | {"aud": "theirs"})
    assert await stage.end(begun) == "wrong_audience"
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked))
    assert await stage.end(begun) == "/desk"
    assert await stage.office.pool.fetchval("SELECT count(*) FROM desk_session WHERE platform_id = $1", other.id) == 0


async def test_a_sign_in_that_began_with_another_provider_does_not_end_here(stage: Stage) -> None:
    begun, asked = await stage.begin()
    stage.liar.sign(stage.claims(asked))
    row = await PlatformStore(stage.office.pool).by_id(stage.office.id)
    assert row is not None
    moved = {**row.settings, "sign_in": {"issuer": "https://other.example", "client_id": "makegood"}}
    await PlatformStore(stage.office.pool).put(stage.office.id, "settings", moved, TESTING)
    assert await stage.end(begun) == "provider_changed"


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/desk//evil.example",
        "/desk/../v1/keys",
        "/desk/\\evil",
        "/deskevil",
        "/v1/desk/session",
        "/desk/oidc/start?platform=x",
        "javascript:alert(1)",
        "/desk\r\nSet-Cookie: a=b",
        "/desk?" + "x" * 600,
        "",
    ],
)
def test_the_way_back_leads_into_the_console_and_nowhere_else(to: str) -> None:
    assert within(to) == "/desk"


@pytest.mark.parametrize("to", ["/desk", "/desk/", "/desk/board", "/desk/cases/case_1?tab=money", "/desk/signed-in"])
def test_pages_of_the_console_are_kept(to: str) -> None:
    assert within(to) == to


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"issuer": f"{ISSUER}/"},
        {"token_endpoint": "http://id.shop.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
def test_a_document_that_speaks_for_another_or_names_open_addresses_is_none(changed: dict[str, Any]) -> None:
    document = {**Liar().document, **changed}
    with pytest.raises(Unavailable):
        read_document(msgspec.json.encode(document), ISSUER)


async def test_who_says_who_is_at_the_desk_is_for_the_installation_to_say(stage: Stage) -> None:
    """With a platform's key alone nobody can name a provider, and so be any agent of theirs and the second person of each other."""

    async def fine(_packs: Mapping[str, str], _settings: Any) -> tuple[()]:
        return ()

    desk = SettingsDesk(PlatformStore(stage.office.pool), Vault(SECRET, purpose="platform"), {"play": "sandbox"}, fine)
    now = await desk.now(stage.office.id)
    assert now.secrets == ("sign_in.client_secret",)
    evil = {**now.settings, "sign_in": {"issuer": "https://evil.example", "client_id": "makegood"}}
    for document in (evil, {**now.settings, "sign_in": {**now.settings["sign_in"], "client_secret": "mine"}}, {"name": "Moonlight"}):
        with pytest.raises(SettingsError, match="sign_in"):
            await desk.put(stage.office.id, document, TESTING, expected=None, asked_by="platform")
    kept = await desk.put(stage.office.id, {**now.settings, "zone": "Europe/Berlin"}, TESTING, expected=None, asked_by="platform")
    assert kept.secrets == ("sign_in.client_secret",)
    moved = await desk.put(stage.office.id, evil, TESTING, expected=None)
    assert moved.secrets == ()  # a secret does not follow to another provider


def test_a_provider_is_named_with_https_and_without_a_password() -> None:
    for issuer in ("http://id.example", "https://user:word@id.example", "id.example"):
        with pytest.raises(SettingsError, match=r"sign_in\.issuer"):
            read_settings({"name": "x", "sign_in": {"issuer": issuer, "client_id": "c"}}, rails={})
