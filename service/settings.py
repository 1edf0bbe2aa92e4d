"""What an installation is told from outside: `MAKEGOOD_*` variables and an optional TOML file, checked whole before anything starts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from service.settings_rails import PAYOUT_KINDS, RAIL_KINDS, SANDBOX_KINDS, Rail, read_rails, sandbox_overrides
from service.settings_reading import Reader, Secret, SettingsError

__all__ = [
    "NEEDED_TO_SERVE",
    "PAYOUT_KINDS",
    "RAIL_KINDS",
    "SANDBOX_KINDS",
    "Rail",
    "Secret",
    "Settings",
    "SettingsError",
    "Smtp",
    "embedded_secret",
    "is_sandbox_only",
    "load",
    "overrides",
]

# What `serve` and `worker` do not start without, unless `--embedded` provides it.
NEEDED_TO_SERVE: Final = ("DATABASE_URL", "SECRET")

# HMAC-SHA-256 and AES-256 take 32 bytes; less would be padded with nothing (RFC 2104, section 3).
_SECRET_BYTES_MIN: Final = 32

# RFC 8314 (tls), RFC 6409 (starttls), RFC 5321 (none).
_SMTP_PORTS: Final[Mapping[str, int]] = {"tls": 465, "starttls": 587, "none": 25}


SmtpTls = Literal["starttls", "tls", "none"]
TextWay = Literal["none", "sandbox"]
LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: SmtpTls
    sender: str
    user: str | None
    password: Secret | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Checked: whoever holds one need not look again."""

    database_url: Secret | None
    secret: Secret | None
    bind_host: str
    bind_port: int
    public_url: str
    has_public_url: bool
    """somebody said so; else it is only where we listen"""
    processes: int
    pool_size: int
    proxies: int
    """how many of our own stand before us and name the client's address"""
    log_format: LogFormat
    log_level: LogLevel
    smtp: Smtp | None
    text: TextWay
    """who sends texts; none: codes go by mail alone"""
    texts_per_day: int
    """the most that one platform's customers are sent in a day, since each costs money"""
    rails: tuple[Rail, ...]
    sandbox_database_url: Secret | None
    policies: Path | None
    """a folder of packs instead of the ones that come with the application"""
    data: Path
    signing_key_days: int
    """after so many days another key signs access tokens; 0: never by itself"""
    languages: tuple[str, ...]
    webhook_private_addresses: bool
    """whether platforms' endpoints may be http, and inside a private network"""


def load(environment: Mapping[str, str], *, needed: Sequence[str] = ()) -> Settings:
    """Reads and checks everything; the environment wins over the file. Raises SettingsError naming every mistake at once."""
    reader = Reader(environment)
    for name in needed:
        reader.need(name)
    host, port = reader.address("BIND", default="127.0.0.1:8080")
    shown = f"[{host}]" if ":" in host else host
    public_url = reader.url("PUBLIC_URL")
    settings = Settings(
        database_url=reader.secret_url("DATABASE_URL", schemes=("postgresql", "postgres")),
        secret=reader.secret("SECRET", bytes_min=_SECRET_BYTES_MIN),
        bind_host=host,
        bind_port=port,
        public_url=public_url or f"http://{shown}:{port}",
        has_public_url=bool(public_url),
        # One process fills about one core; more than this on one machine is a slip of the keyboard.
        processes=reader.integer("PROCESSES", default=1, least=1, most=128),
        # Half a dozen busy connections fill a core of PostgreSQL; hundreds only queue inside it instead of here.
        pool_size=reader.integer("POOL_SIZE", default=20, least=2, most=200),
        # A load balancer, or one behind a delivery network; a longer chain is a slip of the keyboard.
        proxies=reader.integer("PROXIES", default=0, least=0, most=5),
        log_format=reader.choice("LOG_FORMAT", LogFormat, default="json"),
        log_level=reader.choice("LOG_LEVEL", LogLevel, default="info"),
        smtp=_smtp(reader),
        text=reader.choice("TEXT", TextWay, default="none"),
        # A text costs about five cents in most countries: a hundred euros a day at worst, and a crowd that mail does not reach.
        texts_per_day=reader.integer("TEXTS_PER_DAY", default=2000, least=1, most=1_000_000),
        sandbox_database_url=reader.secret_url("SANDBOX_DATABASE_URL", schemes=("postgresql", "postgres")),
        rails=read_rails(reader, database_needed="DATABASE_URL" in needed),
        policies=reader.folder("POLICIES"),
        data=Path(reader.text("DATA") or ".data"),
        # A key that leaked unseen is of use for a quarter at most; edges notice nothing, since they have the next one a day before.
        signing_key_days=reader.integer("SIGNING_KEY_DAYS", default=90, least=0, most=3650),
        languages=reader.languages("LANGUAGES", default="en"),
        webhook_private_addresses=reader.flag("WEBHOOK_PRIVATE_ADDRESSES"),
    )
    reader.finish()
    return settings


def is_sandbox_only(settings: Settings) -> bool:
    """There are rails, and none of them pays real money."""
    return bool(settings.rails) and all(rail.kind in SANDBOX_KINDS for rail in settings.rails)


def embedded_secret(data: Path) -> Secret:
    """The secret of an installation that keeps its database in `data`: made once, kept beside the database, readable by its owner only."""
    path = data / "secret"
    data.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"secret.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(_SECRET_BYTES_MIN))
    try:
        os.link(draft, path)  # fails where another process was first: never half a file, never two secrets
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return Secret(path.read_text().strip())


def overrides(settings: Settings) -> Mapping[str, str]:
    """What a child process must be given so that it reads the same settings: the values that did not come from outside."""
    values = {
        "MAKEGOOD_DATABASE_URL": settings.database_url,
        "MAKEGOOD_SANDBOX_DATABASE_URL": settings.sandbox_database_url,
        "MAKEGOOD_SECRET": settings.secret,
    }
    outside = {name: value.reveal() for name, value in values.items() if value is not None}
    if settings.webhook_private_addresses:
        outside["MAKEGOOD_WEBHOOK_PRIVATE_ADDRESSES"] = "yes"
    return outside | {name: value for rail in settings.rails if rail.kind in SANDBOX_KINDS for name, value in sandbox_overrides(rail)}


def _smtp(reader: Reader) -> Smtp | None:
    host = reader.text("SMTP_HOST")
    tls: SmtpTls = reader.choice("SMTP_TLS", SmtpTls, default="starttls")
    port = reader.integer("SMTP_PORT", default=_SMTP_PORTS[tls], least=1, most=65535)
    user, password = reader.text("SMTP_USER"), reader.secret("SMTP_PASSWORD")
    sender = reader.mail_address("SMTP_SENDER")
    if host is None:
        reader.refuse_all(("SMTP_TLS", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "SMTP_SENDER"), "is set, but SMTP_HOST is not")
        return None
    if sender is None:
        reader.missing("SMTP_SENDER", "is needed with SMTP_HOST: the address that mails come from")
    if (user is None) != (password is None):
        reader.mistake("SMTP_USER", "and MAKEGOOD_SMTP_PASSWORD go together")
    if user is not None and tls == "none" and host not in {"localhost", "127.0.0.1", "::1"}:
        reader.mistake("SMTP_TLS", "none would send the password in the clear: use starttls or tls")
    return Smtp(host=host, port=port, tls=tls, sender=sender or "", user=user, password=password)
