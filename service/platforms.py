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

from policies import MACROS_MAX, Macro
from service.letters.model import Look, Words
from service.model import ActionKind, Mode
from service.proofs import KeySetProof, PlatformProof, PublicAlgorithm, SharedSecretProof
from service.sealing import Unsealable, Vault
from service.store.platforms import PlatformRow, PlatformStore

# Pausing, modes and proofs have to hold in every process within two seconds of a change.
_KEPT_SECONDS: Final = 2.0
# One installation serves a few dozen platforms; slugs that nobody has are not kept at all.
_PLATFORMS_MAX: Final = 1000

# What the vault of platforms' secrets is for.
VAULT_PURPOSE: Final = "platform"

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)

# As browsers say it in the header Origin (RFC 6454, section 6.2): lower case, nothing after it. No character of it ends a list in a header.
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9](?:[a-z0-9.-]{0,120}[a-z0-9])?)(?::([1-9][0-9]{0,4}))?", re.ASCII)
_USUAL_PORTS: Final = {"http": "80", "https": "443"}
# Without TLS only what a developer runs on their own machine.
_DEVELOPERS_HOSTS: Final = ("localhost", "127.0.0.1")

_Line = r"^[^\x00-\x1f\x7f]*$"
_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=_Line)]
_Address = Annotated[str, Meta(max_length=254, pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\"]+$")]
_Language = Annotated[str, Meta(max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
_Minor = Annotated[int, Meta(ge=0, le=10**15)]
_Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Caps = Mapping[_Currency, _Minor]


def is_origin(text: str) -> bool:
    """Whether a browser could say so of a page that may embed the widget: `https://shop.example`, `http://localhost:3000`."""
    parts = _ORIGIN.fullmatch(text)
    if parts is None or parts[3] == _USUAL_PORTS[parts[1]]:
        return False
    return parts[1] == "https" or parts[2] in _DEVELOPERS_HOSTS


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stored settings may have fields of a newer release, which runs beside this one; new ones are checked by `read_settings`."""


class Contacts(Part, frozen=True, kw_only=True):
    """Where people answer; nothing is said of it where nothing is set. `support` is how letters say it, in one line."""

    support: _Text = ""
    email: _Address | None = None
    phone: _Text | None = None
    url: _Text | None = None

    @property
    def line(self) -> str:
        """For letters; empty: there is nothing that one could use."""
        return self.support or " · ".join(one for one in (self.email, self.phone, self.url) if one)


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


class SourceSettings(Part, frozen=True, kw_only=True):
    """The platform's own system of orders, where we read, and are told to read, what it has. Its tokens are kept sealed and never shown."""

    kind: Literal["pretix", "http"]
    url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s?#]+$")]
    token: Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[!-~]+$")] | None = None
    """what we show it; only ever given"""
    sealed_token: Annotated[str, Meta(max_length=2048)] | None = None
    webhook_token: Annotated[str, Meta(min_length=24, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """the end of the address that its webhooks are sent to, where it cannot sign them; only ever given"""
    sealed_webhook_token: Annotated[str, Meta(max_length=1024)] | None = None
    organizer: _Text = ""
    """of pretix: the organizer's short form"""
    events: Annotated[tuple[_Text, ...], Meta(max_length=100)] = ()
    """of pretix: the short forms of the events whose orders are ours to read"""
    mapping: Mapping[str, Any] = {}
    """of pretix: what its items, payment providers and fees are to us, as `makegood import pretix` has it answered"""
    resend_link: bool = True
    """of pretix: after a pass was replaced, it sends its customer the link to the order, where the old ticket can no longer be had"""


class SignInSettings(Part, frozen=True, kw_only=True):
    """Where the platform's people sign in to the console: an OpenID provider, at which we are registered as a client."""

    issuer: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^https?://[^\s?#]+$")]
    client_id: _Text
    client_secret: Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[!-~]+$")] | None = None
    """only ever given, kept sealed, never shown; a provider that registers us without one gets PKCE alone"""
    sealed_client_secret: Annotated[str, Meta(max_length=2048)] | None = None


class IssuerSettings(Part, frozen=True, kw_only=True):
    """Who makes passes: we do, or the platform does and we ask it: `url` is `sandbox`, or the kind of its `source`."""

    kind: Literal["makegood", "platform"] = "makegood"
    url: _Text | None = None


EdgeProfile = Literal["generic", "mux", "cloudflare_stream"]


class EdgeSettings(Part, frozen=True, kw_only=True):
    """What checks access to the platform's streams: an edge that knows our tokens, or a video service that takes only its own."""

    profile: EdgeProfile = "generic"
    key_id: _Text | None = None
    """of the signing key at the video service"""
    private_key: Annotated[str, Meta(max_length=16384)] | None = None
    """its private half as the service hands it out: PEM, or PEM in base64 (kept sealed; only ever given, never shown)"""
    sealed_private_key: Annotated[str, Meta(max_length=32768)] | None = None
    token_seconds: Annotated[int, Meta(ge=60, le=3600)] = 600
    """how long a token of the video service lives. Nobody can revoke one: after a reissue or a refund it still plays for so long"""


class PlatformSettings(Part, frozen=True, kw_only=True):
    """Everything a platform says about itself. Kept as JSON with the platform; what is left out has the default here."""

    name: _Text
    languages: Annotated[tuple[_Language, ...], Meta(min_length=1, max_length=50)] = ("en",)
    zone: _Text = "UTC"
    sender: _Address | None = None
    """where letters come from; without one, the installation's own"""
    stream_url: _Text | None = None
    """where a stream opens, for letters: `https://live.example/{show}?t={token}`; without one, the case's page"""
    contacts: Contacts = Contacts()
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
    rails: Annotated[tuple[_Text, ...], Meta(max_length=50)] | None = None
    """the rails that its payments may be on; left out: all of the installation. What is on another, people refund outside every rail"""
    payouts: PayoutSettings = PayoutSettings()
    parameters: Mapping[str, Any] = {}
    """pack -> its parameters"""
    macros: Annotated[tuple[Macro, ...], Meta(max_length=MACROS_MAX)] = ()
    """texts that its agents send often; one with the id of the installation's takes that one's place"""
    issuer: IssuerSettings = IssuerSettings()
    source: SourceSettings | None = None
    edge: EdgeSettings = EdgeSettings()
    sign_in: SignInSettings | None = None

    @property
    def look(self) -> Look:
        return Look(
            name=self.name,
            languages=self.languages,
            support=self.contacts.line,
            accent=self.accent,
            legal=self.legal,
            words=self.words,
        )


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str
    settings: PlatformSettings
    proof: PlatformProof | None
    source_token: str | None = None
    webhook_token: str | None = None
    edge_key: EdgeKey | None = None
    """None: the edge takes our own tokens, or the key does not open"""
    sign_in_secret: str | None = None
    """None: there is none, or it does not open"""


class EdgeKey(msgspec.Struct, frozen=True, kw_only=True):
    """The signing key at the platform's video service. It does not print itself."""

    profile: EdgeProfile
    key_id: str
    private_key: bytes

    def __repr__(self) -> str:
        return "EdgeKey(...)"


def sealed(settings: PlatformSettings, vault: Vault, slug: str) -> PlatformSettings:
    """The same with its secrets sealed, as it is stored."""

    def seal(secret: str, place: str) -> str:
        return base64.b64encode(vault.seal(secret.encode(), place=place.encode())).decode("ascii")

    proof, source = settings.proof, settings.source
    if proof is not None and proof.secret is not None:
        proof = msgspec.structs.replace(proof, secret=None, sealed_secret=seal(proof.secret, slug))
    if source is not None and source.token is not None:
        source = msgspec.structs.replace(source, token=None, sealed_token=seal(source.token, f"{slug} source.token"))
    if source is not None and source.webhook_token is not None:
        text = seal(source.webhook_token, f"{slug} source.webhook_token")
        source = msgspec.structs.replace(source, webhook_token=None, sealed_webhook_token=text)
    edge = settings.edge
    if edge.private_key is not None:
        text = seal(pem_of(edge.private_key), f"{slug} edge.private_key")
        edge = msgspec.structs.replace(edge, private_key=None, sealed_private_key=text)
    sign_in = settings.sign_in
    if sign_in is not None and sign_in.client_secret is not None:
        text = seal(sign_in.client_secret, f"{slug} sign_in.client_secret")
        sign_in = msgspec.structs.replace(sign_in, client_secret=None, sealed_client_secret=text)
    return msgspec.structs.replace(settings, proof=proof, source=source, edge=edge, sign_in=sign_in)


def pem_of(private_key: str) -> str:
    """The PEM of a key that may come as base64 of it. Raises ValueError when it is neither."""
    text = private_key.strip()
    return text if text.startswith("-----BEGIN ") else base64.b64decode("".join(text.split()), validate=True).decode("ascii")


def _edge_key(edge: EdgeSettings, vault: Vault, slug: str) -> EdgeKey | None:
    if edge.profile == "generic" or edge.key_id is None:
        return None
    try:
        opened = vault.open(base64.b64decode(edge.sealed_private_key or ""), place=f"{slug} edge.private_key".encode())
    except (Unsealable, binascii.Error, ValueError):
        return None
    return EdgeKey(profile=edge.profile, key_id=edge.key_id, private_key=opened)


def source_tokens(settings: PlatformSettings, vault: Vault, slug: str) -> tuple[str | None, str | None]:
    """What we show the platform's system, and what stands in the address of its webhook. None: not given, or sealed with another secret."""
    source = settings.source
    if source is None:
        return None, None
    token = _opened(source.sealed_token, vault, f"{slug} source.token")
    return token, _opened(source.sealed_webhook_token, vault, f"{slug} source.webhook_token")


def _opened(text: str | None, vault: Vault, place: str) -> str | None:
    try:
        return vault.open(base64.b64decode(text), place=place.encode()).decode() if text else None
    except (Unsealable, binascii.Error, ValueError):
        return None


# A language, its script, a region (RFC 5646, section 2.1); what follows (variants, extensions, private use) changes no text of ours.
_TAG: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_].*)?", re.ASCII)


def language_of(tag: str) -> str | None:
    """`en-US` of `en_US`, `EN-us-x-shop`; `zh-Hant-TW` of itself; None of what names no language (`english`, `C`)."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return None
    language, script, region = found[1].lower(), found[2], found[3]
    return "-".join(one for one in (language, script and script.title(), region and region.upper()) if one)


class Platforms:
    """The platforms as they are now, each read at most every two seconds. `monotonic` counts those seconds."""

    def __init__(self, store: PlatformStore, vault: Vault, *, monotonic: Callable[[], float], kept_seconds: float = _KEPT_SECONDS) -> None:
        self._store = store
        self._vault = vault
        self._monotonic = monotonic
        self._kept_seconds = kept_seconds
        self._kept: dict[str | UUID, tuple[float, Platform]] = {}
        self._origins: tuple[float, frozenset[str]] | None = None

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

    async def language(self, platform_id: UUID, tag: str | None) -> str:
        """What a customer's browser calls its language, as we use it; the platform's first where it says nothing that we can read."""
        read = language_of(tag or "")
        if read is not None:
            return read
        platform = await self.by_id(platform_id)
        return platform.settings.languages[0] if platform else "en"

    async def origins(self) -> frozenset[str]:
        """The pages of all platforms that may embed the widget: all that can be asked while a request names no platform yet."""
        if self._origins is None or self._monotonic() - self._origins[0] >= self._kept_seconds:
            self._origins = (self._monotonic(), frozenset(filter(is_origin, await self._store.origins())))
        return self._origins[1]

    async def only(self) -> Platform | None:
        """The installation's platform, where it has one and no other."""
        rows = await self._store.all()
        return self._keep(rows[0]) if len(rows) == 1 else None

    def _keep(self, row: PlatformRow | None) -> Platform | None:
        if row is None:
            return None
        settings = msgspec.convert({"name": row.slug, **row.settings}, PlatformSettings)
        token, webhook_token = source_tokens(settings, self._vault, row.slug)
        found = Platform(
            id=row.id,
            slug=row.slug,
            settings=settings,
            proof=_proof(settings.proof, self._vault, row.slug),
            source_token=token,
            webhook_token=webhook_token,
            edge_key=_edge_key(settings.edge, self._vault, row.slug),
            sign_in_secret=_opened(
                settings.sign_in.sealed_client_secret if settings.sign_in else None, self._vault, f"{row.slug} sign_in.client_secret"
            ),
        )
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
