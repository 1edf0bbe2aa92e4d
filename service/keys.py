"""Tokens of platforms and agents: made once, shown once, kept as a hash, rotated with two that work at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.model import IdentityLevel, new_id
from service.store.keys import Change, KeyEnd, KeyStore, KnownAgent, NewKey

# 256 random bits: nothing to guess, so a plain SHA-256 is enough to keep.
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"mgk_[A-Za-z0-9_-]{43}", re.ASCII)

# A year: long enough not to break a shop on a holiday, short enough that forgotten keys die.
DAYS_DEFAULT: Final = 365
DAYS_MAX: Final = 3650
# Time to bring the new token to every machine, over a weekend if need be; a month of two tokens is one that somebody forgot.
OVERLAP_SECONDS_DEFAULT: Final = 72 * 3600
OVERLAP_SECONDS_MAX: Final = 31 * 86400

Role = Literal["agent", "lead", "machine"]

SCOPES: Final[Mapping[str, str]] = {
    "orders:write": "feed orders, shows and incidents",
    "orders:read": "read orders and shows",
    "cases:write": "open cases and write to them",
    "cases:read": "read cases and timelines",
    "access:check": "ask whether an access token opens a stream",
    "brakes:write": "pause and resume actions, set modes and caps, say what every widget of a show says",
    "events:read": "read what happened, and how its delivery goes",
    "endpoints:write": "say where events are sent",
    "queue:work": "take, answer and give back queued cases",
    "actions:write": "start actions and agree to them",
    "referrals:write": "answer for the teams that a case was referred to (people: with the skill `trust`)",
    "keys:write": "make, rotate and revoke keys of the platform, with no more scopes than its own",
    "agents:write": "make agents and their keys, disable them, change their roles and skills (a lead: disable, and change skills)",
    "settings:write": "change the platform's settings",
    "replies:write": "write to customers, keep drafts and attach files (machine agents, on cases they have; people: with queue:work)",
    "cases:end": "end cases (machine agents, ones they have; people: with queue:work)",
    "cases:park": "put cases aside and refer them to other teams (machine agents, ones they have; people: with queue:work)",
    "vouch": "count as having checked who asks (machine agents only; people need it not)",
}

_DEFAULT_SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "platform": (
        "orders:write",
        "orders:read",
        "cases:write",
        "cases:read",
        "access:check",
        "brakes:write",
        "events:read",
        "endpoints:write",
    ),
    "agent": ("orders:read", "cases:write", "cases:read", "queue:work", "actions:write", "referrals:write"),
    "lead": ("orders:read", "cases:write", "cases:read", "queue:work", "actions:write", "referrals:write", "brakes:write", "agents:write"),
    # What the tools of `makegood mcp` need: whoever talks a program into something has no more than those either.
    "machine": ("orders:read", "cases:read", "queue:work", "actions:write"),
}

# What a key has only where it was asked for by name.
_ON_REQUEST: Final[Mapping[str, tuple[str, ...]]] = {
    "platform": ("referrals:write", "keys:write", "agents:write", "settings:write"),
    "machine": ("cases:write", "replies:write", "cases:end", "cases:park", "vouch"),
}


class KeyRequestError(ValueError):
    """A key that cannot be made; the message says why."""


class RoleKept(Exception):  # noqa: N818 - says what happened
    """There is an agent of that name with another role, and it keeps it."""


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. `token` exists nowhere else: whoever loses it makes another."""

    id: UUID
    token: str
    scopes: tuple[str, ...]
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"MadeKey(id={self.id}, token=...)"


class Keys:
    """Makes, finds and rotates keys."""

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
        self, platform_id: UUID, *, name: str, scopes: Collection[str], days: int | None, change: Change, key_id: UUID | None = None
    ) -> MadeKey:
        """Raises KeyRequestError. `days` None: it never runs out. No scopes: all that a platform has use for. `key_id`: its id to be."""
        chosen = scopes_of(scopes, "platform")
        return await self._make(
            platform_id, kind="platform", agent_id=None, name=name, scopes=chosen, days=days, change=change, key_id=key_id
        )

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
        key_id: UUID | None = None,
        known: KnownAgent = "takes_role",
    ) -> MadeKey:
        """Makes the agent too, or gives a known one of that name this role and these skills. Raises KeyRequestError, RoleKept."""
        chosen = scopes_of(scopes, role)
        _check(name, days)
        agent_id = await self._store.make_agent(platform_id, new_id(), name, change, role=role, skills=sorted(set(skills)), known=known)
        if agent_id is None:
            raise RoleKept
        return await self._make(
            platform_id, kind="agent", agent_id=agent_id, name=name, scopes=chosen, days=days, change=change, key_id=key_id
        )

    async def rotate(
        self, platform_id: UUID, key_id: UUID, *, overlap_seconds: float, days: int | None, change: Change, end: KeyEnd = "anew"
    ) -> MadeKey | None:
        """A new token for the same key; the one before works for the overlap still, and ends by itself. Of three, the oldest ends at once.

        None: there is no such key that works. `days` from now; None: it never runs out. Raises KeyRequestError.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise KeyRequestError(f"an overlap is 0 to {OVERLAP_SECONDS_MAX} seconds")
        _check_days(days)
        token = _new_token()
        if not await self._store.rotate(platform_id, key_id, _hash(token), change, overlap_seconds=overlap_seconds, days=days, end=end):
            return None
        found = await self._store.one(platform_id, key_id)
        assert found is not None  # noqa: S101 - keys are never deleted
        return MadeKey(id=key_id, token=token, scopes=tuple(found.scopes), expires_at=found.expires_at)

    async def _make(
        self,
        platform_id: UUID,
        *,
        kind: str,
        agent_id: UUID | None,
        name: str,
        scopes: tuple[str, ...],
        days: int | None,
        change: Change,
        key_id: UUID | None,
    ) -> MadeKey:
        _check(name, days)
        token = _new_token()
        key = NewKey(
            platform_id=platform_id,
            id=key_id or new_id(),
            kind=kind,
            agent_id=agent_id,
            name=name,
            hash=_hash(token),
            scopes=scopes,
            days=days,
        )
        return MadeKey(id=key.id, token=token, scopes=scopes, expires_at=await self._store.make(key, change))


def _new_token() -> str:
    return f"mgk_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def allowed_scopes(role: str) -> frozenset[str]:
    """What such a key can have; `role` is an agent's, or `platform`."""
    return frozenset({*_DEFAULT_SCOPES[role], *_ON_REQUEST.get(role, ())})


def scopes_of(asked: Collection[str], role: str) -> tuple[str, ...]:
    """What such a key gets: what is asked for, or without that all that it has use for. Raises KeyRequestError."""
    if not asked:
        return _DEFAULT_SCOPES[role]
    allowed = allowed_scopes(role)
    wrong = sorted(set(asked) - allowed)
    if wrong:
        raise KeyRequestError(f"a {role} key cannot have {', '.join(wrong)}; it can have {', '.join(sorted(allowed))}")
    return tuple(sorted(set(asked)))


def _check(name: str, days: int | None) -> None:
    if not name or len(name) > 80 or not name.isprintable():
        raise KeyRequestError("a name has 1 to 80 printable characters: it stands on timelines")
    _check_days(days)


def _check_days(days: int | None) -> None:
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise KeyRequestError(f"a key lives 1 to {DAYS_MAX} days")


def listed_scopes() -> Sequence[str]:
    """One line each, for the command line's help."""
    return [f"{name}: {meaning}" for name, meaning in SCOPES.items()]
