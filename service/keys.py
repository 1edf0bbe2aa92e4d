"""Tokens of platforms and agents: made once, shown once, kept as a hash; and the installation's own signing keys."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service import tokens
from service.callers import Caller
from service.model import IdentityLevel, new_id
from service.store.keys import Change, KeyStore, NewKey, SigningKeyRow, SigningKeyStore

# 256 random bits: nothing to guess, so a plain SHA-256 is enough to keep.
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"mgk_[A-Za-z0-9_-]{43}", re.ASCII)

# A year: long enough not to break a shop on a holiday, short enough that forgotten keys die.
DAYS_DEFAULT: Final = 365
DAYS_MAX: Final = 3650

Role = Literal["agent", "lead", "machine"]

SCOPES: Final[Mapping[str, str]] = {
    "orders:write": "feed orders, shows and incidents",
    "orders:read": "read orders and shows",
    "cases:write": "open cases and write to them",
    "cases:read": "read cases and timelines",
    "access:check": "ask whether an access token opens a stream",
    "brakes:write": "pause and resume actions, set modes and caps",
    "queue:work": "take, answer and give back queued cases",
    "actions:write": "start actions and agree to them",
    "vouch": "count as having checked who asks (machine agents only; people need it not)",
}

_DEFAULT_SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "platform": ("orders:write", "orders:read", "cases:write", "cases:read", "access:check", "brakes:write"),
    "agent": ("orders:read", "cases:write", "cases:read", "queue:work", "actions:write"),
    "lead": ("orders:read", "cases:write", "cases:read", "queue:work", "actions:write", "brakes:write"),
    "machine": ("orders:read", "cases:write", "cases:read", "queue:work", "actions:write"),
}


class KeyRequestError(ValueError):
    """A key that cannot be made; the message says why."""


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. `token` exists nowhere else: whoever loses it makes another."""

    id: UUID
    token: str
    scopes: tuple[str, ...]
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"MadeKey(id={self.id}, token=...)"


class Keys:
    """Makes, finds and revokes keys."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def caller_for(self, token: str) -> Caller | None:
        """Who holds this token. None when it is unknown, has run out or was revoked."""
        if not _TOKEN.fullmatch(token):
            return None
        found = await self._store.find(_hash(token))
        if found is None:
            return None
        caller = Caller(
            kind="platform",
            platform_id=found.platform_id,
            platform=found.slug,
            id=found.id,
            name=f"key:{found.name}",
            scopes=frozenset(found.scopes),
            level=IdentityLevel.VERIFIED,
        )
        if found.role is None:
            return caller
        return msgspec.structs.replace(
            caller,
            kind="machine" if found.role == "machine" else "agent",
            name=f"agent:{found.agent}",
            agent_id=found.agent_id,
            role=found.role,
            level=IdentityLevel.ANONYMOUS,
        )

    async def make_platform_key(
        self, platform_id: UUID, *, name: str, scopes: Collection[str], days: int | None, change: Change
    ) -> MadeKey:
        """Raises KeyRequestError. `days` None: it never runs out. No scopes: all that a platform has use for."""
        chosen = _scopes(scopes, "platform")
        return await self._make(platform_id, kind="platform", agent_id=None, name=name, scopes=chosen, days=days, change=change)

    async def make_agent_key(
        self,
        platform_id: UUID,
        *,
        name: str,
        role: Role,
        skills: Collection[str],
        scopes: Collection[str],
        days: int | None,
        change: Change,
    ) -> MadeKey:
        """Makes the agent too, or gives a known one of that name this role and these skills. Raises KeyRequestError."""
        chosen = _scopes(scopes, role)
        _check(name, days)
        agent_id = await self._store.make_agent(platform_id, new_id(), name, role, sorted(set(skills)))
        return await self._make(platform_id, kind="agent", agent_id=agent_id, name=name, scopes=chosen, days=days, change=change)

    async def _make(
        self, platform_id: UUID, *, kind: str, agent_id: UUID | None, name: str, scopes: tuple[str, ...], days: int | None, change: Change
    ) -> MadeKey:
        _check(name, days)
        token = f"mgk_{secrets.token_urlsafe(_TOKEN_BYTES)}"
        key = NewKey(
            platform_id=platform_id, id=new_id(), kind=kind, agent_id=agent_id, name=name, hash=_hash(token), scopes=scopes, days=days
        )
        return MadeKey(id=key.id, token=token, scopes=scopes, expires_at=await self._store.make(key, change))


class SigningKeys:
    """The keys that access tokens are signed with. The private halves rest sealed and are opened once a process."""

    def __init__(self, store: SigningKeyStore, sealer: tokens.Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def ensure(self) -> None:
        """Makes the first key of a new installation. Any number of processes may ask at once: one key comes of it."""
        if any(row.state == "current" for row in await self._store.all()):
            return
        key = tokens.generate()
        await self._store.add_first(key.kid, self._sealer.seal(key), tokens.jwk(key.kid, key.public))

    async def current(self) -> tokens.SigningKey:
        """The key to sign with. Raises LookupError before `ensure`, tokens.Unsealable under another installation secret."""
        for row in await self._store.all():
            if row.state == "current":
                return self._sealer.open(row.kid, row.sealed_private)
        raise LookupError("there is no signing key yet")

    async def public(self) -> tokens.PublicKeys:
        """What tokens are checked with: today's key, the next one, and old ones that still have tokens about."""
        return {row.kid: _public(row) for row in await self._store.all()}


def _public(row: SigningKeyRow) -> Ed25519PublicKey:
    x = row.public_jwk["x"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _scopes(asked: Collection[str], role: str) -> tuple[str, ...]:
    if not asked:
        return _DEFAULT_SCOPES[role]
    allowed = {*_DEFAULT_SCOPES[role], *(("vouch",) if role == "machine" else ())}
    wrong = sorted(set(asked) - allowed)
    if wrong:
        raise KeyRequestError(f"a {role} key cannot have {', '.join(wrong)}; it can have {', '.join(sorted(allowed))}")
    return tuple(sorted(set(asked)))


def _check(name: str, days: int | None) -> None:
    if not name or len(name) > 80 or not name.isprintable():
        raise KeyRequestError("a name has 1 to 80 printable characters: it stands on timelines")
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise KeyRequestError(f"a key lives 1 to {DAYS_MAX} days")


def listed_scopes() -> Sequence[str]:
    """One line each, for the command line's help."""
    return [f"{name}: {meaning}" for name, meaning in SCOPES.items()]
