"""Signing in to the console: by a link that works once, an agent's token, or the platform's identity provider; and what ends it."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from service.callers import Caller
from service.keys import Keys, allowed_scopes, scopes_of
from service.model import IdentityLevel, new_id
from service.store.desk_sessions import DeskSessionStore, NewSession, Profile, SessionFound, SessionMade, Way
from service.store.keys import Change

# A lunch break; a console that nobody uses for longer stands open at an empty desk.
IDLE_SECONDS: Final = 3600.0
# A long shift. After it whoever works on signs in again, and whoever has left does not.
SESSION_SECONDS: Final = 12 * 3600.0
# From the terminal into the browser.
LINK_SECONDS: Final = 120.0

# 256 random bits each: nothing to guess, so no try has to be counted, and a plain SHA-256 is enough to keep.
_BYTES: Final = 32
_TOKEN: Final = re.compile(r"mgd_[A-Za-z0-9_-]{43}", re.ASCII)
_CODE: Final = re.compile(r"mgl_[A-Za-z0-9_-]{43}", re.ASCII)


class SignInRefused(Exception):  # noqa: N818 - says what happened
    """Nobody is signed in; the same words whatever was wrong with it: who tries codes learns nothing."""


class ForPeople(Exception):  # noqa: N818 - says what the console is
    """The token is a program's or the platform's own."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A new session. `token` is the cookie's value and exists nowhere else."""

    token: str
    session: SessionMade

    def __repr__(self) -> str:
        return f"Opened(token=..., session={self.session})"


class DeskSessions:
    """Makes, finds and ends sessions. A session is always a new one: what a browser brings along is never taken over."""

    def __init__(self, store: DeskSessionStore, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def caller_for(self, token: str, *, renews: bool) -> Caller | None:
        """Who is signed in, with what the role gives. None: nobody any more."""
        found = await self.found(token, renews=renews)
        if found is None:
            return None
        return Caller(
            kind="agent",
            platform_id=found.platform_id,
            platform=found.slug,
            # The agent's and not the session's: who signs in again and repeats a request is known by it.
            id=found.agent_id,
            name=f"agent:{found.name}",
            scopes=frozenset(found.scopes),
            agent_id=found.agent_id,
            role=found.role,
            level=IdentityLevel.ANONYMOUS,
        )

    async def found(self, token: str, *, renews: bool) -> SessionFound | None:
        return await self._store.find(_hash(token), idle_seconds=IDLE_SECONDS, renews=renews) if _TOKEN.fullmatch(token) else None

    async def opens(self, token: str) -> bool:
        """Whether a session, or an agent's token, is good for anything now. Asking puts nothing off."""
        if _TOKEN.fullmatch(token):
            return await self.found(token, renews=False) is not None
        return await self._keys.caller_for(token) is not None

    async def profile(self, platform: UUID, agent: UUID) -> Profile | None:
        return await self._store.profile(platform, agent)

    async def sign_in_with_link(self, code: str) -> Opened:
        """Raises SignInRefused."""
        token, new = _new("link")
        return _opened(token, await self._store.open_by_code(_hash(code), new) if _CODE.fullmatch(code) else None)

    async def sign_in_with_token(self, agent_token: str) -> Opened:
        """With no more than the token may do; it ends with the token. Raises SignInRefused, ForPeople."""
        caller = await self._keys.caller_for(agent_token)
        if caller is None:
            raise SignInRefused
        if caller.kind != "agent":
            raise ForPeople
        scopes = sorted(caller.scopes & allowed_scopes(caller.role))
        token, new = _new("token", {"agent": scopes, "lead": scopes})
        return _opened(token, await self._store.open_by_key(caller.platform_id, caller.id, new))

    async def sign_in_as(self, platform: UUID, name: str) -> Opened:
        """`name`: whom the platform's identity provider vouches for. Raises SignInRefused."""
        token, new = _new("oidc")
        return _opened(token, await self._store.open_by_name(platform, name, new))

    async def sign_out(self, token: str) -> None:
        """At once, in every process. A token that opens nothing stays so."""
        if _TOKEN.fullmatch(token):
            await self._store.close(_hash(token))

    async def link(self, platform: UUID, agent: UUID, change: Change) -> str | None:
        """The code of a link that signs the agent in once, within LINK_SECONDS. None: there is no such person at this desk."""
        code = f"mgl_{secrets.token_urlsafe(_BYTES)}"
        ends = await self._store.link(platform, agent, _hash(code), seconds=LINK_SECONDS, change=change)
        return None if ends is None else code

    async def forget_old(self) -> None:
        await self._store.forget_old()


def link_address(public_url: str, code: str) -> str:
    """The code stands in the fragment, which no server and no log is sent."""
    return f"{public_url.rstrip('/')}/desk/sign-in#code={code}"


def _new(way: Way, scopes: dict[str, list[str]] | None = None) -> tuple[str, NewSession]:
    token = f"mgd_{secrets.token_urlsafe(_BYTES)}"
    given = scopes or {role: list(scopes_of((), role)) for role in ("agent", "lead")}
    return token, NewSession(id=new_id(), hash=_hash(token), way=way, scopes=given, seconds=SESSION_SECONDS)


def _opened(token: str, made: SessionMade | None) -> Opened:
    if made is None:
        raise SignInRefused
    return Opened(token=token, session=made)


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
