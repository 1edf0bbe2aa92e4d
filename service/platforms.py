"""What a platform decides for itself: look, languages, zone, contacts, desk hours, origins, proof, modes, caps; checked whole."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from service.letters.model import Look, Words
from service.model import ActionKind, Mode
from service.proofs import KeySetProof, PlatformProof, PublicAlgorithm, SharedSecretProof
from service.sealing import Unsealable, Vault
from service.store.keys import PlatformRow, PlatformStore

# Pausing, modes and proofs have to hold in every process within two seconds of a change.
_KEPT_SECONDS: Final = 2.0
# One installation serves a few dozen platforms; slugs that nobody has are not kept at all.
_PLATFORMS_MAX: Final = 1000

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)

_Line = r"^[^\x00-\x1f\x7f]*$"
_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=_Line)]
_Address = Annotated[str, Meta(max_length=254, pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\"]+$")]
_Language = Annotated[str, Meta(max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
_Minor = Annotated[int, Meta(ge=0, le=10**15)]
_Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Caps = Mapping[_Currency, _Minor]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stored settings may have fields of a newer release, which runs beside this one; new ones are checked by `read_settings`."""


class Contacts(Part, frozen=True, kw_only=True):
    """Where people answer. `support` is how letters and the widget say it, in one line."""

    support: _Text
    email: _Address | None = None
    phone: _Text | None = None
    url: _Text | None = None


class DeskHours(Part, frozen=True, kw_only=True):
    """When people are at the desk, in the platform's zone."""

    days: tuple[_Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    opens: _Clock = "00:00"
    closes: _Clock = "23:59"


class ProofSettings(Part, frozen=True, kw_only=True):
    """How the platform's own JWTs look: a key set's address, or a shared secret (kept sealed; only ever given, never shown)."""

    issuer: _Text
    audience: _Text
    jwks_url: _Text | None = None
    algorithms: tuple[PublicAlgorithm, ...] = ()
    secret: Annotated[str, Meta(max_length=1024)] | None = None
    sealed_secret: Annotated[str, Meta(max_length=2048)] | None = None
    max_age_seconds: Annotated[int, Meta(ge=1, le=86400)] = 600


class CapSettings(Part, frozen=True, kw_only=True):
    """The most that is paid before people look, in minor units by currency; only ever tighter than the installation's."""

    per_customer_and_day: _Caps = {}
    per_rail_and_day: _Caps = {}
    per_show_and_hour: _Caps = {}


class PayoutSettings(Part, frozen=True, kw_only=True):
    """Which rails may pay out to this platform's customers, where the first rail has proved that it cannot; none unless named."""

    rails: Annotated[tuple[_Text, ...], Meta(max_length=20)] = ()
    failover_after_seconds: Annotated[int, Meta(ge=1, le=30 * 86400)] | None = None
    """how long a rail that cannot be reached is tried before the customer may choose; without it, what rails.yaml says. The proofs that are
    asked for then are the same.
    """


class IssuerSettings(Part, frozen=True, kw_only=True):
    """Who makes passes: we do, or the platform does and we ask it at `url`."""

    kind: Literal["makegood", "platform"] = "makegood"
    url: _Text | None = None


class PlatformSettings(Part, frozen=True, kw_only=True):
    """Everything a platform says about itself. Kept as JSON with the platform; what is left out has the default here."""

    name: _Text
    languages: Annotated[tuple[_Language, ...], Meta(min_length=1, max_length=50)] = ("en",)
    zone: _Text = "UTC"
    sender: _Address | None = None
    """where letters come from; without one, the installation's own"""
    stream_url: _Text | None = None
    """where a stream opens, for letters: `https://live.example/{show}?t={token}`; without one, the case's page"""
    contacts: Contacts = Contacts(support="support")
    desk_hours: DeskHours = DeskHours()
    origins: Annotated[tuple[_Text, ...], Meta(max_length=50)] = ()
    """pages that may embed the widget: `https://shop.example`"""
    accent: Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$")] = "#1f4fd8"
    legal: Mapping[_Language, Annotated[str, Meta(max_length=4000)]] = {}
    words: Mapping[_Language, Words] = {}
    proof: ProofSettings | None = None
    modes: Mapping[ActionKind, Mode] = {}
    """action -> how far it may go; left out: `suggest` where a real rail pays, else `act`"""
    caps: CapSettings = CapSettings()
    payouts: PayoutSettings = PayoutSettings()
    parameters: Mapping[str, Any] = {}
    """pack -> its parameters"""
    issuer: IssuerSettings = IssuerSettings()

    @property
    def look(self) -> Look:
        return Look(
            name=self.name,
            languages=self.languages,
            support=self.contacts.support,
            accent=self.accent,
            legal=self.legal,
            words=self.words,
        )


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str
    settings: PlatformSettings
    proof: PlatformProof | None


def sealed(settings: PlatformSettings, vault: Vault, slug: str) -> PlatformSettings:
    """The same with the shared secret sealed, as it is stored."""
    proof = settings.proof
    if proof is None or proof.secret is None:
        return settings
    text = base64.b64encode(vault.seal(proof.secret.encode(), place=slug.encode())).decode("ascii")
    return msgspec.structs.replace(settings, proof=msgspec.structs.replace(proof, secret=None, sealed_secret=text))


class Platforms:
    """The platforms as they are now, each read at most every two seconds. `monotonic` counts those seconds."""

    def __init__(self, store: PlatformStore, vault: Vault, *, monotonic: Callable[[], float], kept_seconds: float = _KEPT_SECONDS) -> None:
        self._store = store
        self._vault = vault
        self._monotonic = monotonic
        self._kept_seconds = kept_seconds
        self._kept: dict[str | UUID, tuple[float, Platform]] = {}

    async def by_slug(self, slug: str) -> Platform | None:
        kept = self._kept.get(slug)
        if kept and self._monotonic() - kept[0] < self._kept_seconds:
            return kept[1]
        return self._keep(await self._store.by_slug(slug)) if SLUG.fullmatch(slug) else None

    async def by_id(self, platform_id: UUID) -> Platform | None:
        kept = self._kept.get(platform_id)
        if kept and self._monotonic() - kept[0] < self._kept_seconds:
            return kept[1]
        return self._keep(await self._store.by_id(platform_id))

    def _keep(self, row: PlatformRow | None) -> Platform | None:
        if row is None:
            return None
        settings = msgspec.convert({"name": row.slug, **row.settings}, PlatformSettings)
        found = Platform(id=row.id, slug=row.slug, settings=settings, proof=_proof(settings.proof, self._vault, row.slug))
        if len(self._kept) >= _PLATFORMS_MAX:
            self._kept.clear()
        self._kept[row.slug] = self._kept[row.id] = (self._monotonic(), found)
        return found


def _proof(proof: ProofSettings | None, vault: Vault, slug: str) -> PlatformProof | None:
    """None also for a secret that does not open: nobody can prove anything then, which is the safe side; `doctor` tells."""
    if proof is None:
        return None
    keys: KeySetProof | SharedSecretProof
    if proof.jwks_url is not None:
        keys = KeySetProof(jwks_url=proof.jwks_url, algorithms=proof.algorithms)
    else:
        try:
            keys = SharedSecretProof(secret=vault.open(base64.b64decode(proof.sealed_secret or ""), place=slug.encode()))
        except (Unsealable, binascii.Error, ValueError):
            return None
    return PlatformProof(issuer=proof.issuer, audience=proof.audience, keys=keys, max_age_seconds=proof.max_age_seconds)
