"""Every known way to make a token say more than its signer said, against all that reads tokens: each one is refused, and as a refusal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from clients.edge_verifier.makegood_edge import Refused, read_token
from service import tokens
from service.proofs import Verifier
from service.signed_claims import BadProof
from service.tokens import BadToken
from tests.tokens.test_proofs import ED, NOW, PUBLIC, SECRET, SHARED, Source

Reader = Literal["read", "edge", "proof", "secret"]
"""our own reading of access tokens, the edge's, platforms' proofs by key set, platforms' proofs by shared secret"""

OURS: Final[frozenset[Reader]] = frozenset({"read", "edge"})
PROOFS: Final[frozenset[Reader]] = frozenset({"proof", "secret"})
ALL: Final = OURS | PROOFS
KEYS: Final = ALL - {"secret"}
AT: Final = int(NOW.timestamp())
ISSUER: Final = "https://help.example"
AUDIENCE: Final = "northern-lights"
KEY: Final = tokens.generate()
THIEF: Final = Ed25519PrivateKey.generate()
THIEF_RSA: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# The order of the group that Ed25519 works in (RFC 8032, section 5.1).
ORDER: Final = 2**252 + 27742317777372353535851937790883648493


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """What an attacker starts from: a good token's parts; its signer, for what only a careless signer would sign; the public key."""

    header: dict[str, Any]
    claims: dict[str, Any]
    sign: Callable[[bytes], bytes]
    public: Ed25519PrivateKey

    def token(self, header: Any = None, claims: Any = None, signature: bytes | Callable[[bytes], bytes] | None = None) -> str:
        """Bytes go in as they are, everything else as JSON; signed as the good one unless a signature is given."""
        signed = f"{b64(_raw(header, self.header))}.{b64(_raw(claims, self.claims))}"
        made = (self.sign if signature is None else signature)(signed.encode()) if not isinstance(signature, bytes) else signature
        return f"{signed}.{b64(made)}"

    def with_header(self, **more: Any) -> dict[str, Any]:
        return {name: value for name, value in {**self.header, **more}.items() if value is not ...}

    def with_claims(self, **more: Any) -> dict[str, Any]:
        return {name: value for name, value in {**self.claims, **more}.items() if value is not ...}

    def raw_claims(self, extra: str) -> bytes:
        return (json.dumps(self.claims)[:-1] + ", " + extra + "}").encode()

    @property
    def parts(self) -> list[str]:
        return self.token().split(".")

    @property
    def pem(self) -> bytes:
        return self.public.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _raw(given: Any, else_: Any) -> bytes:
    value = else_ if given is None else given
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def _thief_rsa(signed: bytes) -> bytes:
    return THIEF_RSA.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def _thief_jwk() -> dict[str, str]:
    return tokens.jwk("thief", THIEF.public_key())


def _kit(reader: Reader) -> Kit:
    if reader in OURS:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "pass_" + "0" * 31 + "7", "jti": "00000000-0000-0000-0000-000000000008"}
        claims |= {"show": "nl-2026", "iat": AT, "nbf": AT, "exp": AT + 3600}  # type: ignore[dict-item]
        return Kit(header={"alg": "EdDSA", "kid": KEY.kid, "typ": "JWT"}, claims=dict(claims), sign=KEY.private.sign, public=KEY.private)
    whole: dict[str, Any] = {"iss": "https://login.example", "aud": "makegood", "sub": "customer-7", "iat": AT, "nbf": AT, "exp": AT + 300}
    if reader == "proof":
        return Kit(header={"alg": "EdDSA", "kid": "EdDSA", "typ": "JWT"}, claims=whole, sign=ED.sign, public=ED)
    return Kit(header={"alg": "HS256", "typ": "JWT"}, claims=whole, sign=_hs256(SECRET), public=ED)


def _read(token: str) -> None:
    tokens.read(token, tokens.public_keys([KEY]), AUDIENCE, NOW)


def _edge(token: str) -> None:
    read_token(token, {KEY.kid: KEY.public}, issuer=ISSUER, audience=AUDIENCE, now=NOW.timestamp())


async def _opens(reader: Reader, token: str) -> None:
    """Raises the reader's own refusal, and nothing else, when the token opens nothing."""
    if reader == "read":
        _read(token)
    elif reader == "edge":
        _edge(token)
    else:
        await Verifier(Source()).verify(token, PUBLIC if reader == "proof" else SHARED, NOW)


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    make: Callable[[Kit], str]
    on: frozenset[Reader] = ALL


def _head(on: frozenset[Reader] = ALL, signature: Any = None, **header: Any) -> Attack:
    return Attack(make=lambda kit: kit.token(kit.with_header(**header), signature=signature), on=on)


def _says(on: frozenset[Reader] = ALL, **claims: Any) -> Attack:
    return Attack(make=lambda kit: kit.token(claims=kit.with_claims(**claims)), on=on)


def _without(name: str, on: frozenset[Reader] = ALL) -> Attack:
    return Attack(make=lambda kit: kit.token(claims={one: value for one, value in kit.claims.items() if one != name}), on=on)


def _spelt(make: Callable[[str], str], on: frozenset[Reader] = ALL) -> Attack:
    return Attack(make=lambda kit: make(kit.token()), on=on)


def _other_last(token: str) -> str:
    """The same bytes to a lenient decoder: the spare bits of the last character are not zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def _swapped(kit: Kit) -> str:
    other = kit.token(claims=kit.with_claims(exp=AT + 200)).rpartition(".")[2]
    return f"{kit.parts[0]}.{kit.parts[1]}.{other}"


def _malleable(kit: Kit) -> str:
    """S + L instead of S: the same equation to a verifier that does not check the range (RFC 8032, section 5.1.7)."""

    def sign(signed: bytes) -> bytes:
        good = kit.sign(signed)
        return good[:32] + (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")

    return kit.token(signature=sign)


NONE: Final = {
    "alg none, no signature": Attack(make=lambda kit: kit.token(kit.with_header(alg="none"), signature=b"")),
    "alg none, the good signature kept": Attack(
        make=lambda kit: f"{b64(json.dumps(kit.with_header(alg='none')).encode())}.{kit.parts[1]}.{kit.parts[2]}"
    ),
    "alg none, signed": _head(alg="none"),
    "alg None": _head(alg="None", signature=b""),
    "alg nOnE": _head(alg="nOnE", signature=b"x"),
    "alg NONE with a blank": _head(alg="NONE ", signature=b"x"),
    "alg is missing": _head(alg=...),
    "alg is null": _head(alg=None),
    "alg is a list": _head(alg=["EdDSA", "HS256"]),
    "alg is a number": _head(alg=0),
    "alg in small letters": Attack(make=lambda kit: kit.token(kit.with_header(alg=kit.header["alg"].lower()))),
}

CONFUSED: Final = {
    "HS256 with the public key's PEM": Attack(make=lambda kit: kit.token(kit.with_header(alg="HS256"), signature=_hs256(kit.pem))),
    "HS256 with the public key's bytes": Attack(
        make=lambda kit: kit.token(kit.with_header(alg="HS256"), signature=_hs256(kit.public.public_key().public_bytes_raw()))
    ),
    "HS256 with the key's JWK": Attack(
        make=lambda kit: kit.token(
            kit.with_header(alg="HS256"), signature=_hs256(json.dumps(tokens.jwk("EdDSA", kit.public.public_key())).encode())
        )
    ),
    "HS256 with an empty secret": _head(alg="HS256", signature=_hs256(b"")),
    "HS512 with an empty secret": _head(alg="HS512", signature=lambda signed: hmac.digest(b"", signed, hashlib.sha512)),
    "an HMAC under the honest alg": Attack(make=lambda kit: kit.token(signature=_hs256(kit.pem))),
    "RS256 with a key of the thief's": _head(alg="RS256", signature=_thief_rsa),
    "ES256 with the signature of zeros": _head(alg="ES256", kid="ES256", signature=b"\0" * 64),
    "ES256 with zeros in DER": _head(alg="ES256", kid="ES256", signature=encode_dss_signature(0, 0)),
    "EdDSA where it is not the signer's": _head(on=frozenset({"secret"}), alg="EdDSA", signature=THIEF.sign),
}

NAMED: Final[Mapping[str, Any]] = {
    "a path": "../../../../dev/null",
    "a file": "/proc/sys/kernel/randomize_va_space",
    "SQL": "x' UNION SELECT 'thief' --",
    "a command": "key; echo thief |",
    "an address": "https://thief.example/key",
    "empty": "",
    "huge": "k" * 1500,
    "a list": ["EdDSA"],
    "an object": {"kid": "EdDSA"},
    "a number": 0,
    "null": None,
    "a NUL byte": "EdDSA\0",
    "a lookalike": "\u0415dDSA",
    "half a character": "\ud800",
    "another's": "thief",
}

BROUGHT: Final[Mapping[str, Any]] = {
    "jwk": _thief_jwk(),
    "jku": "https://thief.example/jwks.json",
    "x5u": "https://thief.example/chain.pem",
    "x5c": [base64.b64encode(b"a certificate of the thief's").decode()],
    "x5t": "dGhpZWY",
}

HEADERS: Final = {
    **{f"kid is {name}": _head(kid=value, signature=THIEF.sign) for name, value in NAMED.items()},
    **{f"kid is {name}, HMAC with nothing": _head(kid=value, alg="HS256", signature=_hs256(b"")) for name, value in NAMED.items()},
    "kid is missing": _head(on=OURS, kid=...),
    **{f"it brings its key: {name}": _head(**{name: value}, signature=THIEF.sign) for name, value in BROUGHT.items()},
    **{f"it brings its key, signed: {name}": _head(on=OURS, **{name: value}) for name, value in BROUGHT.items()},
    "crit names what nobody knows": _head(crit=["thief"], thief=1),
    "crit is empty": _head(on=OURS, crit=[]),
    "crit is no list": _head(crit="exp"),
    "crit names exp": _head(crit=["exp"], exp=AT + 10**6),
    "b64 is false": _head(b64=False, crit=["b64"]),
    "b64 is false, uncritical": _head(b64=False),
    "zip": _head(on=OURS, zip="DEF"),
    "typ at+jwt": _head(on=OURS, typ="at+jwt"),
    "typ dpop+jwt": _head(on=OURS, typ="dpop+jwt"),
    "typ JWE": _head(on=OURS, typ="JWE"),
    "typ null": _head(on=OURS, typ=None),
    "cty JWT: one in another": Attack(make=lambda kit: kit.token(kit.with_header(cty="JWT"), kit.token().encode())),
    "header is a list": Attack(make=lambda kit: kit.token([kit.header])),
    "header is null": Attack(make=lambda kit: kit.token(b"null")),
    "header is no JSON": Attack(make=lambda kit: kit.token(b"{alg: EdDSA}")),
    "header with a BOM": Attack(make=lambda kit: kit.token(b"\xef\xbb\xbf" + json.dumps(kit.header).encode())),
    "header in UTF-16": Attack(make=lambda kit: kit.token(json.dumps(kit.header).encode("utf-16"))),
    "header names alg twice": Attack(make=lambda kit: kit.token((json.dumps(kit.header)[:-1] + ', "alg": "none"}').encode())),
    "header names alg twice, none first": Attack(make=lambda kit: kit.token(b'{"alg": "none", ' + json.dumps(kit.header)[1:].encode())),
    "header names kid twice, escaped": Attack(
        make=lambda kit: kit.token((json.dumps(kit.with_header(kid="EdDSA"))[:-1] + r', "\u006bid": "thief"}').encode())
    ),
}

TIMES: Final[Mapping[str, Any]] = {"NaN": "NaN", "Infinity": "Infinity", "1e999": "1e999", "a huge number": "1" + "0" * 40}

CLAIMS: Final = {
    "expired": _says(iat=AT - 7200, nbf=AT - 7200, exp=AT - 60),
    "expired to the second": _says(on=OURS, exp=AT),
    "not yet valid": _says(nbf=AT + 120),
    "issued in the future": _says(on=PROOFS, iat=AT + 120),
    **{f"without {name}": _without(name) for name in ("iss", "aud", "sub", "exp", "iat")},
    **{f"without {name}": _without(name, on=OURS) for name in ("jti", "nbf", "show")},
    "another platform's audience": _says(aud="southern-lights"),
    "audience is empty": _says(aud=""),
    "audience begins alike": _says(aud="northern-lights-2"),
    "audience in capitals": Attack(make=lambda kit: kit.token(claims=kit.with_claims(aud=kit.claims["aud"].upper()))),
    "audiences, ours among them": Attack(make=lambda kit: kit.token(claims=kit.with_claims(aud=[kit.claims["aud"], "x"])), on=OURS),
    "audiences, none ours": _says(aud=["southern-lights", "x"]),
    "audience is an object": Attack(make=lambda kit: kit.token(claims=kit.with_claims(aud={kit.claims["aud"]: 1}))),
    "another issuer": _says(on=ALL - {"read"}, iss="https://thief.example"),
    "the issuer with a slash": Attack(make=lambda kit: kit.token(claims=kit.with_claims(iss=kit.claims["iss"] + "/")), on=ALL - {"read"}),
    "issuers": Attack(make=lambda kit: kit.token(claims=kit.with_claims(iss=[kit.claims["iss"]]))),
    "subject is empty": _says(sub=""),
    "subject is a number": _says(sub=7),
    "subject is of another kind": _says(on=OURS, sub="order_" + "0" * 32),
    "subject in capitals": _says(on=OURS, sub="PASS_" + "0" * 31 + "7"),
    "subject with more behind it": _says(on=OURS, sub="pass_" + "0" * 31 + "7\n"),
    "jti is no id": _says(on=OURS, jti="../../etc"),
    "jti is null": _says(on=OURS, jti=None),
    "jti in another spelling": _says(on=frozenset({"edge"}), jti="{00000000-0000-0000-0000-000000000008}"),
    **{f"exp is {name}": Attack(make=lambda kit, raw=raw: _exp(kit, raw)) for name, raw in TIMES.items()},  # type: ignore[misc]
    "exp is negative": _says(exp=-1),
    "nbf is negative": _says(on=OURS, nbf=-1),
    "exp is a text": _says(exp=str(AT + 3600)),
    "exp is a bool": _says(exp=True),
    "exp is null": _says(exp=None),
    "exp is a list": _says(exp=[AT + 3600]),
    "exp twice, dead first": Attack(make=lambda kit: kit.token(claims=kit.raw_claims(f'"exp": {AT + 10**6}'))),
    "exp twice, escaped": Attack(make=lambda kit: kit.token(claims=kit.raw_claims(rf'"\u0065xp": {AT + 10**6}'))),
    "sub twice": Attack(make=lambda kit: kit.token(claims=kit.raw_claims(f'"sub": "{kit.claims["sub"]}"'))),
    "a name twice inside a claim": Attack(make=lambda kit: kit.token(claims=kit.raw_claims('"x": {"a": 1, "a": 2}'))),
    "payload is a list": Attack(make=lambda kit: kit.token(claims=[kit.claims])),
    "payload is null": Attack(make=lambda kit: kit.token(claims=b"null")),
    "payload is empty": Attack(make=lambda kit: kit.token(claims={"": 0})),
    "payload is nested deep": Attack(make=lambda kit: kit.token(claims=b"[" * 700 + b"]" * 700)),
    "payload is objects nested deep": Attack(make=lambda kit: kit.token(claims=b'{"a":' * 250 + b"1" + b"}" * 250)),
    "payload in UTF-16": Attack(make=lambda kit: kit.token(claims=json.dumps(kit.claims).encode("utf-16"))),
    "payload is no UTF-8": Attack(make=lambda kit: kit.token(claims=json.dumps(kit.claims).encode() + b"\xff")),
    "payload with more behind it": Attack(make=lambda kit: kit.token(claims=json.dumps(kit.claims).encode() + b"{}")),
}


def _exp(kit: Kit, raw: str) -> str:
    return kit.token(claims=json.dumps(kit.with_claims(exp="@")).replace('"@"', raw).encode())


SPELLINGS: Final = {
    "payload altered": Attack(
        make=lambda kit: f"{kit.parts[0]}.{b64(json.dumps(kit.with_claims(exp=AT + 10**6)).encode())}.{kit.parts[2]}"
    ),
    "header altered": Attack(make=lambda kit: f"{b64(json.dumps(kit.header | {'typ': 'jwt'}).encode())}.{kit.parts[1]}.{kit.parts[2]}"),
    "signature altered": Attack(
        make=lambda kit: kit.token(signature=lambda signed: bytes([kit.sign(signed)[0] ^ 1]) + kit.sign(signed)[1:])
    ),
    "signature of another token": Attack(make=_swapped),
    "signature of the thief": Attack(make=lambda kit: kit.token(signature=THIEF.sign)),
    "signature of zeros": Attack(make=lambda kit: kit.token(signature=b"\0" * 64)),
    "signature of ones": Attack(make=lambda kit: kit.token(signature=b"\xff" * 64)),
    "signature on the neutral point": Attack(make=lambda kit: kit.token(signature=b"\x01" + b"\0" * 63)),
    "signature on a point of order eight": Attack(
        make=lambda kit: kit.token(signature=bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05") + b"\0" * 32)
    ),
    "signature with S + L": Attack(make=_malleable, on=KEYS),
    "signature cut": Attack(make=lambda kit: kit.token(signature=lambda signed: kit.sign(signed)[:-1])),
    "signature longer": Attack(make=lambda kit: kit.token(signature=lambda signed: kit.sign(signed) + b"\0")),
    "signature empty": _spelt(lambda token: token.rpartition(".")[0] + "."),
    "two segments": _spelt(lambda token: token.rpartition(".")[0]),
    "one segment": _spelt(lambda token: token.partition(".")[0]),
    "four segments": _spelt(lambda token: token + ".AAAA"),
    "five segments, as a JWE": _spelt(lambda token: token + ".AAAA.AAAA"),
    "empty segments": _spelt(lambda _: ".."),
    "nothing": _spelt(lambda _: ""),
    "cut in the middle": _spelt(lambda token: token[: len(token) // 2]),
    "last character lost": _spelt(lambda token: token[:-1]),
    "padded": _spelt(lambda token: token + "=" * (-len(token.rpartition(".")[2]) % 4)),
    "padded header": _spelt(lambda token: token.replace(".", "=.", 1)),
    "another spelling of the last character": _spelt(_other_last),
    "a blank before": _spelt(lambda token: " " + token),
    "a line end behind": _spelt(lambda token: token + "\n"),
    "a line end inside": _spelt(lambda token: token[:20] + "\n" + token[20:]),
    "characters that lenient decoders skip": _spelt(lambda token: token[:-6] + "!*" + token[-6:]),
    "a NUL byte behind": _spelt(lambda token: token + "\0"),
    "Bearer before": _spelt(lambda token: "Bearer " + token),
    "the other alphabet": _spelt(lambda token: token.replace(".", "+.", 1)),
    "wide full stops": _spelt(lambda token: token.replace(".", "\uff0e")),
    "wide letters": _spelt(lambda token: token.replace("e", "\uff45", 1)),
    "huge": _spelt(lambda token: token + "A" * 10_000),
    "huge before the dot": _spelt(lambda token: "A" * 10_000 + token),
    "JSON serialization": Attack(
        make=lambda kit: json.dumps({"protected": kit.parts[0], "payload": kit.parts[1], "signature": kit.parts[2]})
    ),
}

ATTACKS: Final[Mapping[str, Attack]] = {**NONE, **CONFUSED, **HEADERS, **CLAIMS, **SPELLINGS}
CASES: Final = [(name, reader) for name, attack in ATTACKS.items() for reader in sorted(attack.on)]


def test_the_good_token_that_attacks_start_from_is_good_and_there_are_enough_attacks() -> None:
    for reader in (_read, _edge):
        reader(_kit("read").token())
    assert len(ATTACKS) == len(NONE) + len(CONFUSED) + len(HEADERS) + len(CLAIMS) + len(SPELLINGS) >= 40


@pytest.mark.parametrize("reader", sorted(PROOFS))
async def test_the_good_proof_that_attacks_start_from_is_good(reader: Reader) -> None:
    await _opens(reader, _kit(reader).token())


@pytest.mark.parametrize(("name", "reader"), CASES)
async def test_an_attack_is_refused(name: str, reader: Reader) -> None:
    token = ATTACKS[name].make(_kit(reader))
    with pytest.raises((BadToken, Refused, BadProof)) as refused:
        await _opens(reader, token)
    assert len(token) < 20 or token not in repr(refused.value)
