"""The rails among the settings: which kinds there are, what each needs, and what it would silently leave aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from service.settings_reading import Reader, Secret


class RailNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Which settings a kind of rail has; what is set beside them means nothing to it, and is refused."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


# A sandbox may also lean on SANDBOX_DATABASE_URL. Adyen's live addresses are one for each merchant, so that none can be the default.
RAIL_KINDS: Final[Mapping[str, RailNeeds]] = {
    "stripe": RailNeeds(
        needed=("API_KEY",), optional=("BASE_URL", "ACCOUNT", "REVERSE_TRANSFER", "REFUND_APPLICATION_FEE", "WEBHOOK_SECRETS")
    ),
    "adyen": RailNeeds(needed=("API_KEY", "MERCHANT_ACCOUNT", "BASE_URL"), optional=("WEBHOOK_SECRETS",)),
    "paypal_payout": RailNeeds(needed=("CLIENT_ID", "CLIENT_SECRET"), optional=("BASE_URL", "WEBHOOK_IDS")),
    "store_credit": RailNeeds(needed=("API_KEY", "BASE_URL")),
    "sandbox": RailNeeds(optional=("DATABASE_URL", "WEBHOOK_SECRETS")),
    "sandbox_payout": RailNeeds(optional=("DATABASE_URL", "WEBHOOK_SECRETS")),
}
_FIELDS: Final = tuple(dict.fromkeys(("KIND", "PACE", *(name for kind in RAIL_KINDS.values() for name in kind.needed + kind.optional))))

# Play money only.
SANDBOX_KINDS: Final = frozenset({"sandbox", "sandbox_payout"})
# They pay to where a customer says, and refund no payment.
PAYOUT_KINDS: Final = frozenset({"paypal_payout", "store_credit", "sandbox_payout"})

# Two while one replaces the other, and one more; a longer list is a slip of the keyboard.
_WEBHOOK_SECRETS_MAX: Final = 3
# An HMAC key that is shorter can be guessed (NIST SP 800-107 asks for 14 bytes); processors give out 32 and more.
_WEBHOOK_SECRET_BYTES_MIN: Final = 16


class Rail(msgspec.Struct, frozen=True, kw_only=True):
    """One configured account at a processor: `[rails.<name>]` in the file, or `MAKEGOOD_RAIL_<NAME>_KIND` and so on."""

    name: str
    kind: str
    api_key: Secret | None = None
    base_url: str | None = None
    account: str | None = None
    """the connected account, at Stripe"""
    merchant_account: str | None = None
    """at Adyen"""
    client_id: str | None = None
    client_secret: Secret | None = None
    """both at PayPal"""
    reverse_transfer: bool = False
    refund_application_fee: bool = False
    """at Stripe, with connected accounts: the transfer and the fee go back with the refund, in proportion"""
    webhook_secrets: tuple[Secret, ...] = ()
    webhook_ids: tuple[str, ...] = ()
    """without either, the rail's webhook is off"""
    database_url: Secret | None = None
    pace: float | None = None
    """calls a second; None: as the adapter knows its processor"""

    @property
    def has_webhook(self) -> bool:
        return bool(self.webhook_secrets or self.webhook_ids)


def read_rails(reader: Reader, *, database_needed: bool) -> tuple[Rail, ...]:
    """Every rail that is named, by name. `database_needed`: we are about to serve, so a sandbox needs its ledger."""
    return tuple(_rail(reader, name, database_needed=database_needed) for name in reader.rail_names(_FIELDS))


def _rail(reader: Reader, name: str, *, database_needed: bool) -> Rail:
    prefix = f"RAIL_{name.upper()}_"
    kind = reader.one_of(f"{prefix}KIND", tuple(RAIL_KINDS))
    if kind is None:
        reader.missing(f"{prefix}KIND", f"is needed: one of {', '.join(RAIL_KINDS)}")
    rail = Rail(
        name=name,
        kind=kind or "",
        api_key=reader.secret(f"{prefix}API_KEY"),
        base_url=reader.url(f"{prefix}BASE_URL"),
        account=reader.text(f"{prefix}ACCOUNT"),
        merchant_account=reader.text(f"{prefix}MERCHANT_ACCOUNT"),
        client_id=reader.text(f"{prefix}CLIENT_ID"),
        client_secret=reader.secret(f"{prefix}CLIENT_SECRET"),
        reverse_transfer=reader.flag(f"{prefix}REVERSE_TRANSFER"),
        refund_application_fee=reader.flag(f"{prefix}REFUND_APPLICATION_FEE"),
        webhook_secrets=_webhook_secrets(reader, f"{prefix}WEBHOOK_SECRETS", kind),
        webhook_ids=reader.texts(
            f"{prefix}WEBHOOK_IDS", most=_WEBHOOK_SECRETS_MAX, shape=r"[A-Za-z0-9]{1,64}", said="letters and digits each"
        ),
        database_url=reader.secret_url(f"{prefix}DATABASE_URL", schemes=("postgresql", "postgres")),
        # One call in ten seconds is as good as none; no processor takes a thousand a second from one account.
        pace=reader.number(f"{prefix}PACE", least=0.1, most=1000.0),
    )
    if rail.base_url is not None and not _keeps_secrets(rail.base_url):
        reader.mistake(f"{prefix}BASE_URL", "has to start with https://: our key goes there")
    _check_fields(reader, prefix, kind)
    if kind in SANDBOX_KINDS and database_needed and rail.database_url is None and reader.text("SANDBOX_DATABASE_URL") is None:
        reader.missing(f"{prefix}DATABASE_URL", "or MAKEGOOD_SANDBOX_DATABASE_URL is needed: the sandbox keeps its ledger there")
    return rail


def _keeps_secrets(url: str) -> bool:
    """HTTPS, or a stand-in on this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1", "::1"}


def _check_fields(reader: Reader, prefix: str, kind: str | None) -> None:
    """What the kind needs is there, and nothing that it would silently leave aside."""
    if kind is None:
        return
    needs = RAIL_KINDS[kind]
    for field in needs.needed:
        reader.need(f"{prefix}{field}")
    known = {"KIND", "PACE", *needs.needed, *needs.optional}
    reader.refuse_all([f"{prefix}{field}" for field in _FIELDS if field not in known], f"means nothing to a rail of kind {kind}")


def _webhook_secrets(reader: Reader, name: str, kind: str | None) -> tuple[Secret, ...]:
    """Adyen's are keys in hex (its Customer Area shows them so); those of others are used as they are."""
    if kind == "adyen":
        return reader.secrets(name, most=_WEBHOOK_SECRETS_MAX, shape=r"(?:[0-9a-fA-F]{2}){16,}", said="hex keys of at least 16 bytes")
    least = _WEBHOOK_SECRET_BYTES_MIN
    return reader.secrets(name, most=_WEBHOOK_SECRETS_MAX, shape=rf"\S{{{least},}}", said=f"at least {least} characters each")


def sandbox_overrides(rail: Rail) -> Iterator[tuple[str, str]]:
    """What a child process must be given: a sandbox may have come with `--embedded` and not from outside; real rails never do."""
    prefix = f"MAKEGOOD_RAIL_{rail.name.upper()}_"
    yield f"{prefix}KIND", rail.kind
    if rail.database_url is not None:
        yield f"{prefix}DATABASE_URL", rail.database_url.reveal()
    if rail.webhook_secrets:
        yield f"{prefix}WEBHOOK_SECRETS", ",".join(secret.reveal() for secret in rail.webhook_secrets)
    if rail.pace is not None:
        yield f"{prefix}PACE", repr(rail.pace)
