"""A platform's token proves who is asking only when everything about it is as the platform configured."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from service.key_sets import read_keys
from service.ports import Unavailable
from service.ports_tokens import TokenClaims
from service.proofs import KeySetProof, PlatformProof, SharedSecretProof, Verifier
from service.signed_claims import BadProof

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
URL = "https://login.example/jwks.json"
SECRET = b"an HS256 secret of 32 bytes or m"

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, PrivateKey] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}

PUBLIC = PlatformProof(
    issuer="https://login.example", audience="makegood", keys=KeySetProof(jwks_url=URL, algorithms=("RS256", "ES256", "EdDSA"))
)
SHARED = PlatformProof(issuer="https://login.example", audience="makegood", keys=SharedSecretProof(secret=SECRET))


def public_jwk(key: PrivateKey, kid: str, **members: object) -> dict[str, Any]:
    algorithm = "RS256" if isinstance(key, RSAPrivateKey) else "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, **members}


def key_set(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


ALL = key_set(*(public_jwk(key, name) for name, key in PRIVATE.items()))


class Source:
    """A key server: what it publishes now, what it was asked, and a gate that holds its answers back."""

    def __init__(self, body: bytes = ALL) -> None:
        self.body: bytes | None = body
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        self.reached.set()
        await self.gate.wait()
        if self.body is None:
            raise Unavailable("down")
        return self.body


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def claims(**changes: object) -> dict[str, object]:
    at = int(NOW.timestamp())
    given = {"iss": "https://login.example", "aud": "makegood", "sub": "customer-7", "iat": at, "exp": at + 300, **changes}
    return {name: value for name, value in given.items() if value is not ...}


def signed(algorithm: str = "RS256", *, kid: str | None = "", key: Any = None, body: dict[str, object] | None = None) -> str:
    headers = {"kid": algorithm if kid == "" else kid} if kid is not None else {}
    payload = json.dumps(claims() if body is None else body).encode()
    return jwt.api_jws.encode(payload, key or PRIVATE.get(algorithm, SECRET), algorithm=algorithm, headers=headers)


async def refusal(token: str, config: PlatformProof = PUBLIC, *, source: Source | None = None, now: datetime = NOW) -> str:
    with pytest.raises(BadProof) as refused:
        await Verifier(source or Source()).verify(token, config, now)
    assert token not in repr(refused.value)
    return refused.value.reason


async def accepted(token: str, config: PlatformProof = PUBLIC, *, now: datetime = NOW) -> TokenClaims:
    return await Verifier(Source()).verify(token, config, now)


# ----------------------------------------------------------------------------------------- what it proves


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_signed_by_a_published_key_proves_its_subject(algorithm: str) -> None:
    proof = await accepted(signed(algorithm))
    assert proof == TokenClaims(subject="customer-7", issued_at=NOW, expires_at=NOW + timedelta(seconds=300))


async def test_a_token_signed_with_the_shared_secret_proves_its_subject_and_asks_no_key_server() -> None:
    source = Source()
    proof = await Verifier(source).verify(signed("HS256"), SHARED, NOW)
    assert proof.subject == "customer-7"
    assert source.asked == []


@pytest.mark.parametrize(
    ("verified", "email", "counts"),
    [
        (True, "ada@example.org", "ada@example.org"),
        (False, "ada@example.org", None),
        ("true", "ada@example.org", None),
        (1, "ada@example.org", None),
        (..., "ada@example.org", None),
        (None, "ada@example.org", None),
        (True, 7, None),
        (True, "", None),
        (True, "a" * 255, None),
        (True, "Ada@Example.org", "Ada@Example.org"),
        (True, "\u212aim@example.org", None),
        (True, "ada@example\uff0eorg", None),
    ],
)
async def test_an_address_counts_only_when_the_platform_verified_it(verified: object, email: object, counts: str | None) -> None:
    assert (await accepted(signed(body=claims(email=email, email_verified=verified)))).email == counts


@pytest.mark.parametrize(
    ("amr", "second"),
    [
        (["pwd"], False),
        (["pwd", "otp"], True),
        (["mfa"], True),
        (["hwk"], True),
        (["sms"], True),
        (["pin", "face"], False),
        ([], False),
        (..., False),
    ],
)
async def test_a_second_factor_is_one_that_the_standard_names(amr: object, second: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (await accepted(signed(body=claims(amr=amr)))).second_factor is second


async def test_the_time_of_signing_in_is_told() -> None:
    proof = await accepted(signed(body=claims(auth_time=int(NOW.timestamp()) - 90)))
    assert proof.auth_time == NOW - timedelta(seconds=90)


async def test_one_audience_of_several_is_enough() -> None:
    assert (await accepted(signed(body=claims(aud=["shop", "makegood"])))).subject == "customer-7"


# ----------------------------------------------------------------------------------------------- confusion


async def test_a_public_key_is_never_a_shared_secret() -> None:
    """The classic: an HMAC whose secret is the key that everybody can fetch, in every form it may be fetched in."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, ED.public_key().public_bytes_raw(), ALL):
        header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"RS256"}').rstrip(b"=")
        payload = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
        mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(header + b"." + payload, secret)
        token = b".".join((header, payload, base64.urlsafe_b64encode(mac).rstrip(b"="))).decode()
        assert await refusal(token) == "wrong_algorithm"


async def test_a_symmetric_key_in_a_key_set_is_not_a_key() -> None:
    oct_key = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "HS256"}
    assert await refusal(signed("HS256"), source=Source(key_set(oct_key))) == "wrong_algorithm"
    assert await refusal(signed("RS256", kid="HS256"), source=Source(key_set(oct_key))) == "unknown_key"


async def test_an_unsigned_token_is_refused() -> None:
    for alg in ("none", "None", "NONE", "", None, 1, ["RS256"]):
        header = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": "RS256"}).encode()).rstrip(b"=").decode()
        payload = signed().split(".")[1]
        for config in (PUBLIC, SHARED):
            assert await refusal(f"{header}.{payload}.", config) in {"wrong_algorithm", "malformed"}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_platform_with_a_shared_secret_takes_no_other_algorithm(algorithm: str) -> None:
    assert await refusal(signed(algorithm), SHARED) == "wrong_algorithm"


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "ES256"), ("ES256", "EdDSA"), ("EdDSA", "RS256")])
async def test_the_kind_of_key_must_be_the_algorithms(algorithm: str, kid: str) -> None:
    assert await refusal(signed(algorithm, kid=kid)) == "wrong_algorithm"


async def test_an_algorithm_that_the_platform_did_not_choose_is_refused_without_asking_for_keys() -> None:
    source = Source()
    only = msgspec.structs.replace(PUBLIC, keys=KeySetProof(jwks_url=URL, algorithms=("ES256",)))
    assert await refusal(signed("RS256"), only, source=source) == "wrong_algorithm"
    assert source.asked == []


async def test_a_key_that_the_token_brings_along_is_ignored() -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    headers = {"kid": "RS256", "jwk": public_jwk(own, "RS256"), "jku": "https://evil.example/jwks"}
    source = Source()
    token = jwt.api_jws.encode(json.dumps(claims()).encode(), own, algorithm="RS256", headers=headers)
    assert await refusal(token, source=source) == "bad_signature"
    assert source.asked == [URL]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS256"])
async def test_another_key_or_another_payload_is_a_bad_signature(algorithm: str) -> None:
    config = SHARED if algorithm == "HS256" else PUBLIC
    header, _, signature = signed(algorithm).split(".")
    payload = signed(algorithm, body=claims(sub="customer-8")).split(".")[1]
    assert await refusal(f"{header}.{payload}.{signature}", config) == "bad_signature"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: "a." + base64.urlsafe_b64encode(raw).decode() + ".b"))
def test_anything_that_is_no_token_is_malformed(text: str) -> None:
    assert asyncio.run(refusal("~" * 20 + text)) == "malformed"


async def test_a_token_too_long_or_nested_too_deep_is_malformed() -> None:
    assert await refusal("a" * 8193) == "malformed"
    deep = base64.urlsafe_b64encode(b"[" * 3000).decode()
    assert await refusal(f"{deep}.e30.e30") == "malformed"


async def test_an_extension_we_do_not_know_is_refused() -> None:
    token = jwt.api_jws.encode(json.dumps(claims()).encode(), RSA, algorithm="RS256", headers={"kid": "RS256", "crit": ["new"], "new": 1})
    assert await refusal(token) == "malformed"


# --------------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat"])
@pytest.mark.parametrize("value", [..., None, True, {}, ""])
async def test_a_token_without_a_needed_claim_is_refused(name: str, value: object) -> None:
    reason = await refusal(signed(body=claims(**{name: value})))
    assert reason in ({"wrong_issuer", "wrong_audience", "missing_claim"} if value == "" else {"missing_claim"})


@pytest.mark.parametrize("changes", [{"sub": "s" * 256}, {"amr": "mfa"}, {"amr": [1]}, {"auth_time": "now"}, {"nbf": "soon"}, {"aud": [1]}])
async def test_a_claim_of_the_wrong_kind_is_refused(changes: dict[str, object]) -> None:
    assert await refusal(signed(body=claims(**changes))) == "missing_claim"


@pytest.mark.parametrize(("claim", "value"), [("iss", "https://login.example/"), ("iss", "https://LOGIN.example"), ("iss", "evil")])
async def test_another_issuer_is_refused(claim: str, value: str) -> None:
    assert await refusal(signed(body=claims(**{claim: value}))) == "wrong_issuer"


@pytest.mark.parametrize("audience", ["makegood2", "Makegood", ["shop"], []])
async def test_another_audience_is_refused(audience: object) -> None:
    assert await refusal(signed(body=claims(aud=audience))) == "wrong_audience"


async def test_an_expired_token_is_refused_half_a_minute_after_its_time() -> None:
    token = signed()
    assert (await accepted(token, now=NOW + timedelta(seconds=329))).subject == "customer-7"
    assert await refusal(token, now=NOW + timedelta(seconds=330)) == "expired"


async def test_a_token_that_lives_long_is_still_stale_after_ten_minutes() -> None:
    token = signed(body=claims(exp=int(NOW.timestamp()) + 86400))
    assert (await accepted(token, now=NOW + timedelta(seconds=630))).subject == "customer-7"
    assert await refusal(token, now=NOW + timedelta(seconds=631)) == "stale"


@pytest.mark.parametrize("claim", ["iat", "nbf", "auth_time"])
async def test_a_token_from_the_future_is_refused(claim: str) -> None:
    at = int(NOW.timestamp())
    assert (await accepted(signed(body=claims(**{claim: at + 30})))).subject == "customer-7"
    assert await refusal(signed(body=claims(**{claim: at + 31}))) == "not_yet_valid"


@pytest.mark.parametrize("at", [1e300, 10**18])
async def test_a_time_no_calendar_has_is_malformed(at: float) -> None:
    assert await refusal(signed(body=claims(exp=at))) == "malformed"


# ------------------------------------------------------------------------------------------- configuration


def test_a_short_or_published_secret_is_refused_at_configuration() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        SharedSecretProof(secret=b"x" * 31)
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="no secret"):
        SharedSecretProof(secret=pem)
    with pytest.raises(msgspec.ValidationError, match="at least 32 bytes"):
        msgspec.json.decode(b'{"type":"shared_secret","secret":"eHg="}', type=SharedSecretProof)


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS512", "PS256", "ES384"])
def test_a_key_set_is_configured_with_no_other_algorithm(algorithm: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="algorithms"):
        msgspec.convert({"type": "key_set", "jwks_url": URL, "algorithms": [algorithm]}, KeySetProof)


def test_a_configuration_that_would_take_any_token_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        KeySetProof(jwks_url=URL, algorithms=())
    for changes in ({"issuer": ""}, {"audience": ""}, {"max_age_seconds": 0}, {"max_age_seconds": 10**6}):
        with pytest.raises(ValueError, match=r"needed|between"):
            PlatformProof(**{"issuer": "i", "audience": "a", "keys": PUBLIC.keys, **changes})  # type: ignore[arg-type]


def test_a_secret_does_not_print_itself() -> None:
    assert SECRET.decode() not in repr(SHARED) + str(SHARED) + pretty_repr(SHARED)


# ------------------------------------------------------------------------------------------- keys over time


async def test_keys_are_asked_for_once_in_ten_minutes() -> None:
    source, clock = Source(), Clock()
    verifier = Verifier(source, clock)
    for _ in range(3):
        await verifier.verify(signed(), PUBLIC, NOW)
    clock.seconds += 600
    await verifier.verify(signed(), PUBLIC, NOW)
    assert len(source.asked) == 1
    clock.seconds += 1
    await verifier.verify(signed(), PUBLIC, NOW)
    assert len(source.asked) == 2


async def test_a_new_key_works_as_soon_as_it_is_used_and_a_withdrawn_one_stops() -> None:
    source, clock = Source(key_set(public_jwk(RSA, "old"))), Clock()
    verifier = Verifier(source, clock)
    await verifier.verify(signed(kid="old"), PUBLIC, NOW)
    source.body = key_set(public_jwk(ED, "new"))
    clock.seconds += 60
    assert (await verifier.verify(signed("EdDSA", kid="new"), PUBLIC, NOW)).subject == "customer-7"
    with pytest.raises(BadProof, match="unknown_key"):
        await verifier.verify(signed(kid="old"), PUBLIC, NOW)


async def test_a_flood_of_unknown_keys_costs_the_platform_one_request_a_minute() -> None:
    source, clock = Source(), Clock()
    verifier = Verifier(source, clock)
    await verifier.verify(signed(), PUBLIC, NOW)
    for minute in range(1, 4):
        clock.seconds += 60
        flood = [verifier.verify(signed(kid=f"{minute}-{n}"), PUBLIC, NOW) for n in range(20)]
        results = await asyncio.gather(*flood, return_exceptions=True)
        assert {str(result) for result in results} == {"unknown_key"}
        assert len(source.asked) == 1 + minute


async def test_many_at_once_make_one_request_even_when_the_first_goes_away() -> None:
    source = Source()
    source.gate.clear()
    verifier = Verifier(source, Clock())
    waiting = [asyncio.create_task(verifier.verify(signed(), PUBLIC, NOW)) for _ in range(20)]
    await source.reached.wait()
    waiting[0].cancel()
    source.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [result.subject for result in results[1:] if isinstance(result, TokenClaims)] == ["customer-7"] * 19
    assert len(source.asked) == 1


async def test_a_key_server_that_is_down_does_not_stop_the_keys_we_have() -> None:
    source, clock = Source(), Clock()
    verifier = Verifier(source, clock)
    await verifier.verify(signed(), PUBLIC, NOW)
    for body in (None, b"not json", b'{"keys":7}', b'{"keys":["\xff"]}'):
        source.body = body
        clock.seconds += 3600
        assert (await verifier.verify(signed(), PUBLIC, NOW)).subject == "customer-7"
    with pytest.raises(BadProof, match="unknown_key"):
        await verifier.verify(signed(kid="new"), PUBLIC, NOW)
    clock.seconds += 24 * 3600
    with pytest.raises(Unavailable):
        await verifier.verify(signed(), PUBLIC, NOW)


async def test_without_any_keys_nobody_waits_for_a_server_that_just_failed() -> None:
    source, clock = Source(), Clock()
    source.body = None
    verifier = Verifier(source, clock)
    for _ in range(5):
        with pytest.raises(Unavailable) as failed:
            await verifier.verify(signed(), PUBLIC, NOW)
    assert failed.value.retry_after_seconds == 5
    assert len(source.asked) == 1
    source.body = ALL
    clock.seconds += 5
    assert (await verifier.verify(signed(), PUBLIC, NOW)).subject == "customer-7"


async def test_platforms_keys_are_kept_apart() -> None:
    class Two(Source):
        async def fetch(self, url: str) -> bytes:
            self.asked.append(url)
            return key_set(public_jwk(RSA if url == URL else ED, "one"))

    verifier = Verifier(Two(), Clock())
    other = msgspec.structs.replace(PUBLIC, keys=KeySetProof(jwks_url="https://other.example/", algorithms=("EdDSA", "RS256")))
    assert (await verifier.verify(signed("RS256", kid="one"), PUBLIC, NOW)).subject == "customer-7"
    assert (await verifier.verify(signed("EdDSA", kid="one"), other, NOW)).subject == "customer-7"
    with pytest.raises(BadProof, match="wrong_algorithm"):
        await verifier.verify(signed("RS256", kid="one"), other, NOW)


async def test_a_token_without_a_key_name_means_the_only_key_there_is() -> None:
    assert await refusal(signed(kid=None)) == "unknown_key"
    only = Verifier(Source(key_set(public_jwk(RSA, "one"))), Clock())
    assert (await only.verify(signed(kid=None), PUBLIC, NOW)).subject == "customer-7"


def test_keys_that_cannot_verify_are_left_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - breakable, hence left out
    private = jwt.get_algorithm_by_name("RS256").to_jwk(RSA, as_dict=True)
    entries: list[dict[str, Any]] = [
        public_jwk(weak, "weak"),
        {**private, "kid": "private"},
        public_jwk(RSA, "encrypts", use="enc"),
        public_jwk(RSA, "other", alg="RS512"),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "no-point"},
        {"kty": "OKP", "crv": "Ed25519", "x": "!!", "kid": "no-bytes"},
        {"kty": "RSA", "n": 7, "e": [], "kid": "no-text"},
        {"kty": ["RSA"], "kid": "no-kind"},
        {"kid": "nothing"},
        {**public_jwk(ED, "unnamed"), "kid": 7},
        public_jwk(EC, "good", use="sig", alg="ES256"),
        public_jwk(ED, "good"),
    ]
    keys = read_keys(key_set(*entries))
    assert {name: key.algorithm_name for name, key in keys.items()} == {"good": "ES256"}
