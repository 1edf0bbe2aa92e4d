"""Access tokens open what they say, for whom they say it, and nothing once they are touched."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service import tokens
from service.model import WireId, wire
from service.tokens import AccessClaims, BadToken, Sealer, SigningKey, Unsealable

KEY = tokens.generate()
KEYS = tokens.public_keys([KEY])
AUDIENCE = "northern-lights"
NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
SECRET = b"0123456789abcdef0123456789abcdef"

instants = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def claims_at(now: datetime, **changes: object) -> AccessClaims:
    fields: dict[str, object] = {
        "issuer": "https://help.example",
        "audience": AUDIENCE,
        "pass_id": UUID(int=7),
        "token_id": UUID(int=8),
        "show": "nl-2026",
        "issued_at": now,
        "not_before": now,
        "expires_at": now + timedelta(hours=1),
    }
    return AccessClaims(**{**fields, **changes})  # type: ignore[arg-type]


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refusal(token: str, *, keys: tokens.PublicKeys = KEYS, audience: str = AUDIENCE, now: datetime = NOW) -> str:
    with pytest.raises(BadToken) as refused:
        tokens.read(token, keys, audience, now)
    assert len(token) < 20 or token not in repr(refused.value)
    return refused.value.reason


@given(pass_id=st.uuids(), token_id=st.uuids(), show=st.text(max_size=60), at=instants, seconds=st.integers(1, 10**7))
def test_what_was_minted_is_what_is_read(pass_id: UUID, token_id: UUID, show: str, at: datetime, seconds: int) -> None:
    at = at.replace(microsecond=0)
    claims = claims_at(at, pass_id=pass_id, token_id=token_id, show=show, expires_at=at + timedelta(seconds=seconds))
    assert tokens.read(tokens.mint(KEY, claims), KEYS, AUDIENCE, at) == claims


@given(st.data())
def test_a_token_changed_in_any_one_character_is_refused(data: st.DataObject) -> None:
    token = tokens.mint(KEY, claims_at(NOW))
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda character: character != token[place]))
    assert refusal(token[:place] + other + token[place + 1 :]) in {"malformed", "unknown_key", "bad_signature"}


def test_every_other_spelling_of_the_last_character_is_refused() -> None:
    """Of the last character only two bits count; a lenient decoder reads sixteen spellings as the same signature."""
    token = tokens.mint(KEY, claims_at(NOW))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert {refusal(token[:-1] + last) for last in alphabet if last != token[-1]} <= {"malformed", "bad_signature"}


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_anything_that_is_no_token_is_malformed(text: str) -> None:
    assert refusal(text) == "malformed"


def test_a_longer_text_than_any_token_is_refused_before_it_is_read() -> None:
    assert refusal("a" * 2001) == "malformed"


def test_a_token_signed_by_another_key_under_our_kid_is_refused() -> None:
    impostor = SigningKey(kid=KEY.kid, private=tokens.generate().private)
    assert refusal(tokens.mint(impostor, claims_at(NOW))) == "bad_signature"


def test_a_token_of_a_key_we_do_not_publish_is_refused() -> None:
    assert refusal(tokens.mint(tokens.generate(), claims_at(NOW))) == "unknown_key"


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256", "ES256", ""])
def test_the_token_does_not_choose_the_algorithm(alg: str) -> None:
    """The classic confusion: no signature at all, or an HMAC whose secret is the public key everybody can fetch."""
    payload = tokens.mint(KEY, claims_at(NOW)).split(".")[1]
    signed = f"{segment({'alg': alg, 'kid': KEY.kid, 'typ': 'JWT'})}.{payload}"
    mac = hmac.new(KEY.public.public_bytes_raw(), signed.encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    assert refusal(f"{signed}.{signature}") == "malformed"
    assert refusal(f"{signed}.") == "malformed"


def test_an_hmac_under_an_honest_looking_header_is_a_bad_signature() -> None:
    header, payload, _ = tokens.mint(KEY, claims_at(NOW)).split(".")
    mac = hmac.new(KEY.public.public_bytes_raw(), f"{header}.{payload}".encode(), hashlib.sha512).digest()
    assert refusal(f"{header}.{payload}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}") == "bad_signature"


def test_a_token_is_good_until_the_second_it_expires_and_not_in_it() -> None:
    token = tokens.mint(KEY, claims_at(NOW, expires_at=NOW + timedelta(seconds=60)))
    last = NOW + timedelta(seconds=59, microseconds=999_999)
    assert tokens.read(token, KEYS, AUDIENCE, last).token_id == UUID(int=8)
    assert refusal(token, now=NOW + timedelta(seconds=60)) == "expired"
    assert refusal(token, now=NOW + timedelta(days=900)) == "expired"


def test_a_token_works_at_once_and_not_before_its_time() -> None:
    made = NOW.replace(microsecond=900_000)
    token = tokens.mint(KEY, claims_at(made))
    assert tokens.read(token, KEYS, AUDIENCE, NOW - timedelta(seconds=5)).not_before == NOW
    assert refusal(token, now=NOW - timedelta(seconds=6)) == "not_yet_valid"


def test_a_token_for_one_audience_opens_no_other() -> None:
    token = tokens.mint(KEY, claims_at(NOW))
    assert refusal(token, audience="somebody-else") == "wrong_audience"
    assert refusal(token, audience="") == "wrong_audience"


@pytest.mark.parametrize("subject", ["", "case_" + "0" * 32, "pass_1", "pass_" + "z" * 32])
def test_a_signed_token_whose_subject_is_no_pass_is_malformed(subject: str) -> None:
    body = {"iss": "i", "aud": AUDIENCE, "sub": subject, "jti": str(UUID(int=8)), "show": "s", "iat": 0, "nbf": 0, "exp": 2**31}
    assert refusal(jwt.encode(body, KEY.private, algorithm="EdDSA", headers={"kid": KEY.kid})) == "malformed"


@pytest.mark.parametrize("expiry", [10**30, -(10**30), 10**15, "soon", None, True, 1.5])
def test_a_signed_token_with_an_impossible_time_is_malformed(expiry: object) -> None:
    body = {"iss": "i", "aud": AUDIENCE, "sub": wire(WireId.PASS, UUID(int=7)), "jti": str(UUID(int=8)), "show": "s", "iat": 0, "nbf": 0}
    token = jwt.api_jws.encode(json.dumps({**body, "exp": expiry}).encode(), KEY.private, algorithm="EdDSA", headers={"kid": KEY.kid})
    assert refusal(token) == "malformed"


def test_what_would_make_too_long_a_token_is_refused_when_minting() -> None:
    with pytest.raises(ValueError, match="longer than 2000"):
        tokens.mint(KEY, claims_at(NOW, show="x" * 1500))


def test_an_edge_that_knows_only_the_standards_reads_our_tokens_by_our_published_keys() -> None:
    other = tokens.generate()
    published = jwt.PyJWKSet.from_json(tokens.jwks(tokens.public_keys([KEY, other])).decode())
    now = datetime.now(UTC)
    token = tokens.mint(KEY, claims_at(now))
    key = published[jwt.get_unverified_header(token)["kid"]]
    seen = jwt.decode(token, key.key, algorithms=["EdDSA"], audience=AUDIENCE, issuer="https://help.example")
    assert seen["sub"] == wire(WireId.PASS, UUID(int=7))
    assert seen["jti"] == str(UUID(int=8))
    assert seen["show"] == "nl-2026"


def test_the_published_keys_hold_no_private_part_and_are_named_by_their_thumbprint() -> None:
    entries = json.loads(tokens.jwks(KEYS))["keys"]
    assert [set(entry) for entry in entries] == [{"kty", "crv", "x", "kid", "use", "alg"}]
    required = json.dumps({name: entries[0][name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    assert base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode() == KEY.kid


def test_the_same_keys_are_published_as_the_same_bytes() -> None:
    other = tokens.generate()
    assert tokens.jwks(tokens.public_keys([KEY, other])) == tokens.jwks(tokens.public_keys([other, KEY]))


def test_a_thumbprint_is_the_one_of_the_standard() -> None:
    """RFC 8037, appendix A.1 to A.3: the example key, its JWK and its thumbprint."""
    raw = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    private = Ed25519PrivateKey.from_private_bytes(raw)
    key = tokens.jwk("any", private.public_key())
    assert key["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert tokens.named(private).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_sealed_key_opens_under_the_same_secret_and_signs_the_same() -> None:
    sealed = Sealer(SECRET).seal(KEY)
    opened = Sealer(SECRET).open(KEY.kid, sealed)
    assert tokens.mint(opened, claims_at(NOW)) == tokens.mint(KEY, claims_at(NOW))
    assert KEY.private.private_bytes_raw() not in sealed


def test_a_sealed_key_opens_under_no_other_secret_or_name_and_not_when_cut_or_changed() -> None:
    sealed = Sealer(SECRET).seal(KEY)
    with pytest.raises(Unsealable):
        Sealer(SECRET[::-1]).open(KEY.kid, sealed)
    with pytest.raises(Unsealable):
        Sealer(SECRET).open(tokens.generate().kid, sealed)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Unsealable):
            Sealer(SECRET).open(KEY.kid, bytes(changed))
        with pytest.raises(Unsealable):
            Sealer(SECRET).open(KEY.kid, sealed[:place])


def test_sealing_twice_never_gives_the_same_bytes() -> None:
    assert Sealer(SECRET).seal(KEY) != Sealer(SECRET).seal(KEY)


def test_a_short_installation_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Sealer(b"x" * 31)


def test_a_signing_key_does_not_print_itself() -> None:
    assert KEY.private.private_bytes_raw().hex() not in repr(KEY)
