"""Checks a platform's settings whole, before they are stored: every mistake is told at once, and none quotes a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from service.model import ActionKind, Mode
from service.platforms import IssuerSettings, Part, PlatformSettings, ProofSettings
from service.proofs import KeySetProof, SharedSecretProof
from service.settings import PAYOUT_KINDS, SANDBOX_KINDS, SettingsError


def read_settings(document: Mapping[str, Any], *, rails: Mapping[str, str]) -> PlatformSettings:
    """Checks everything. `rails`: name -> kind, of this installation. Raises SettingsError naming every mistake at once."""
    mistakes = list(_mistakes_of_shape(document, PlatformSettings, ""))
    if not mistakes:
        settings = msgspec.convert(document, PlatformSettings)
        mistakes = [*_mistakes_of_sense(settings), *_mistakes_of_payouts(settings, rails), *start_mistakes(settings, rails)]
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


def _mistakes_of_issuer(issuer: IssuerSettings) -> Iterator[str]:
    if issuer.kind == "platform" and not issuer.url:
        yield "issuer.url: is needed when the platform makes its passes"
    if issuer.url not in {None, "sandbox"}:
        yield "issuer.url: only `sandbox` is known to this release"


def _mistakes_of_payouts(settings: PlatformSettings, rails: Mapping[str, str]) -> Iterator[str]:
    named = settings.payouts.rails
    for name in dict.fromkeys(named):
        if name not in rails:
            yield f"payouts.rails: {name} is no rail of this installation; there are {', '.join(sorted(rails)) or 'none'}"
        elif rails[name] not in PAYOUT_KINDS:
            yield f"payouts.rails: {name} is of kind {rails[name]}, which does not pay out; {', '.join(sorted(PAYOUT_KINDS))} do"
        if named.count(name) > 1:
            yield f"payouts.rails: {name} stands twice"


def _mistakes_of_sense(settings: PlatformSettings) -> Iterator[str]:
    try:
        ZoneInfo(settings.zone)
    except (KeyError, ValueError, OSError):
        yield f"zone: {settings.zone} is not an IANA time zone, such as Europe/Berlin"
    for origin in settings.origins:
        if not _is_origin(origin):
            yield f"origins: {origin} is not an origin, such as https://shop.example"
    for name in ("legal", "words"):
        for language in getattr(settings, name):
            if language not in settings.languages:
                yield f"{name}.{language}: the platform does not offer this language"
    if settings.desk_hours.opens >= settings.desk_hours.closes:
        yield "desk_hours: closes before it opens"
    yield from _mistakes_of_issuer(settings.issuer)
    if settings.proof is not None:
        yield from _mistakes_of_proof(settings.proof)


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
            if url.scheme != "https" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
                yield "proof.jwks_url: has to start with https://"
    except ValueError as error:
        yield f"proof: {error}"


def _is_origin(text: str) -> bool:
    """Scheme, host and port and nothing else (RFC 6454, section 6.1); plain http only for this machine."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    bare = f"{url.scheme}://{url.netloc}" == text and bool(url.hostname) and url.username is None
    return bare and (url.scheme == "https" or (url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1")))
