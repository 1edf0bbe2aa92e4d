"""Checks a platform's settings whole, before they are stored: every mistake is told at once, and none quotes a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from policies import MacroWritten, macro_mistakes
from service.model import ActionKind, Mode
from service.platforms import (
    EdgeSettings,
    IssuerSettings,
    Part,
    PlatformSettings,
    ProofSettings,
    SignInSettings,
    SourceSettings,
    is_origin,
    pem_of,
)
from service.proofs import KeySetProof, SharedSecretProof
from service.settings import PAYOUT_KINDS, SANDBOX_KINDS, SettingsError

# They stand in one header of the help page, and proxies commonly take 4 kB of headers.
_ORIGINS_CHARACTERS_MAX: Final = 2000
# Without TLS only to what runs on this machine.
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# As pretix has them; they stand in paths.
_PRETIX_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", re.ASCII)


def read_settings(document: Mapping[str, Any], *, rails: Mapping[str, str]) -> PlatformSettings:
    """Checks everything. `rails`: name -> kind, of this installation. Raises SettingsError naming every mistake at once."""
    mistakes = list(_mistakes_of_shape(document, PlatformSettings, ""))
    if not mistakes:
        settings = msgspec.convert(document, PlatformSettings)
        mistakes = [
            *_mistakes_of_sense(settings),
            *_mistakes_of_sign_in(settings.sign_in),
            *_mistakes_of_payouts(settings, rails),
            *start_mistakes(settings, rails),
        ]
        mistakes += _mistakes_of_macros(settings, document.get("macros", ()))
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def start_mistakes(settings: PlatformSettings, rails: Mapping[str, str]) -> Sequence[str]:
    """What keeps an installation from starting: refunds that act on a real rail without a cap of the platform's own."""
    real = sorted(name for name, kind in rails.items() if kind not in SANDBOX_KINDS)
    if settings.modes.get(ActionKind.REFUND) is Mode.ACT and real and not settings.caps.per_rail_and_day:
        return [f"modes.refund: act on a real rail ({', '.join(real)}) needs caps.per_rail_and_day"]
    return []


def _mistakes_of_shape(document: Any, kind: type[msgspec.Struct], place: str) -> Iterator[str]:
    """Msgspec stops at the first mistake; each field is tried alone, so that all are told."""
    if not isinstance(document, Mapping):
        yield f"{place or 'the settings'}: has to be an object"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in document:
        if name not in fields:
            yield f"{place}{name}: is not a setting; known are {', '.join(sorted(fields))}"
    for name, field in fields.items():
        if name not in document:
            if field.required:
                yield f"{place}{name}: is missing"
            continue
        part = _part_of(field.type)
        if part is not None and isinstance(document[name], Mapping):
            yield from _mistakes_of_shape(document[name], part, f"{place}{name}.")
            continue
        try:
            msgspec.convert(document[name], field.type)
        except msgspec.ValidationError as error:
            said, _, where = str(error).partition(" - at ")
            yield f"{place}{name}{where.strip('`').removeprefix('$')}: {said}"


def _part_of(kind: Any) -> type[Part] | None:
    """The part behind `Part` and `Part | None`."""
    for one in get_args(kind) or (kind,):
        if isinstance(one, type) and issubclass(one, Part):
            return one
    return None


def _mistakes_of_issuer(issuer: IssuerSettings, source: SourceSettings | None) -> Iterator[str]:
    if issuer.kind == "platform" and not issuer.url:
        yield "issuer.url: is needed when the platform makes its passes"
    known = {"sandbox"} if source is None else {"sandbox", source.kind}
    if issuer.url is not None and issuer.url not in known:
        yield f"issuer.url: {issuer.url} is not known here; {' and '.join(sorted(known))} are, the kind of the platform's source among them"


def _mistakes_of_source(source: SourceSettings) -> Iterator[str]:
    try:
        url = urlsplit(source.url)
    except ValueError:
        yield "source.url: is not a URL"
        return
    if url.scheme != "https" and url.hostname not in _HERE:
        yield "source.url: has to start with https://"
    if url.username is not None:
        yield "source.url: holds a name or a password; give source.token"
    if source.token is None and source.sealed_token is None:
        yield "source.token: is missing"
    if source.kind == "pretix":
        for name in ("organizer", "events", "mapping"):
            if not getattr(source, name):
                yield f"source.{name}: is missing"
        for name in (source.organizer, *source.events):
            if name and not _PRETIX_SLUG.fullmatch(name):
                yield f"source: {name} is not the short form of an organizer or event"


def _mistakes_of_sign_in(sign_in: SignInSettings | None) -> Iterator[str]:
    if sign_in is None:
        return
    try:
        url = urlsplit(sign_in.issuer)
    except ValueError:
        yield "sign_in.issuer: is not a URL"
        return
    if url.scheme != "https" and url.hostname not in _HERE:
        yield "sign_in.issuer: has to start with https://"
    if url.username is not None:
        yield "sign_in.issuer: holds a name or a password; give sign_in.client_secret"


def _mistakes_of_payouts(settings: PlatformSettings, rails: Mapping[str, str]) -> Iterator[str]:
    for name in settings.rails or ():
        if name not in rails:
            yield f"rails: {name} is no rail of this installation; there are {', '.join(sorted(rails)) or 'none'}"
    named = settings.payouts.rails
    for name in dict.fromkeys(named):
        if name not in rails:
            yield f"payouts.rails: {name} is no rail of this installation; there are {', '.join(sorted(rails)) or 'none'}"
        elif rails[name] not in PAYOUT_KINDS:
            yield f"payouts.rails: {name} is of kind {rails[name]}, which does not pay out; {', '.join(sorted(PAYOUT_KINDS))} do"
        if named.count(name) > 1:
            yield f"payouts.rails: {name} stands twice"
        if settings.rails is not None and name not in settings.rails:
            yield f"payouts.rails: {name} is not among the platform's rails"


def _mistakes_of_macros(settings: PlatformSettings, written: Any) -> Iterator[str]:
    try:
        msgspec.convert(written, tuple[MacroWritten, ...])
    except msgspec.ValidationError as error:
        yield f"macros: {error}"
    for mistake in macro_mistakes(settings.macros, needed=settings.languages[0]):
        yield f"macros: {mistake}"


def _mistakes_of_sense(settings: PlatformSettings) -> Iterator[str]:
    try:
        ZoneInfo(settings.zone)
    except (KeyError, ValueError, OSError):
        yield f"zone: {settings.zone} is not an IANA time zone, such as Europe/Berlin"
    yield from _mistakes_of_origins(settings.origins)
    for name in ("legal", "words"):
        for language in getattr(settings, name):
            if language not in settings.languages:
                yield f"{name}.{language}: the platform does not offer this language"
    if settings.desk_hours.opens >= settings.desk_hours.closes:
        yield "desk_hours: closes before it opens"
    yield from _mistakes_of_issuer(settings.issuer, settings.source)
    yield from _mistakes_of_edge(settings.edge)
    if settings.source is not None:
        yield from _mistakes_of_source(settings.source)
    if settings.proof is not None:
        yield from _mistakes_of_proof(settings.proof)


def _mistakes_of_origins(origins: Sequence[str]) -> Iterator[str]:
    for origin in origins:
        if not is_origin(origin):
            yield f"origins: {origin} is not an origin as browsers say it, such as https://shop.example or http://localhost:3000"
    if len(" ".join(origins)) > _ORIGINS_CHARACTERS_MAX:
        yield f"origins: together they are longer than {_ORIGINS_CHARACTERS_MAX} characters"


def _mistakes_of_edge(edge: EdgeSettings) -> Iterator[str]:
    if edge.profile == "generic":
        if edge.key_id or edge.private_key or edge.sealed_private_key:
            yield "edge: generic tokens are signed with this installation's own keys; key_id and private_key are for a video service"
        return
    if not edge.key_id:
        yield f"edge.key_id: is needed for {edge.profile}: the id of the signing key there"
    if edge.private_key is not None:
        if not _is_rsa_key(edge.private_key):
            yield "edge.private_key: is not an RSA key of at least 2048 bits, in PEM or base64 of PEM"
    elif edge.sealed_private_key is None:
        yield f"edge.private_key: is needed for {edge.profile}"


def _is_rsa_key(text: str) -> bool:
    """RFC 7518, section 3.3: "A key of size 2048 bits or larger MUST be used"; the video services sign with RS256."""
    try:
        key = load_pem_private_key(pem_of(text).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # its own words may quote what was given
        return False
    return isinstance(key, RSAPrivateKey) and key.key_size >= 2048


def _mistakes_of_proof(proof: ProofSettings) -> Iterator[str]:
    secrets = [one for one in (proof.secret, proof.sealed_secret) if one is not None]
    if (proof.jwks_url is None) == (not secrets):
        yield "proof: needs either jwks_url or secret"
        return
    try:
        if proof.jwks_url is None:
            if proof.secret is not None:
                SharedSecretProof(secret=proof.secret.encode())
        else:
            KeySetProof(jwks_url=proof.jwks_url, algorithms=proof.algorithms)
            url = urlsplit(proof.jwks_url)
            if url.scheme != "https" and url.hostname not in _HERE:
                yield "proof.jwks_url: has to start with https://"
    except ValueError as error:
        yield f"proof: {error}"
