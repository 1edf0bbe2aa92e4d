"""Keys and agents as a platform's own programs and its leads manage them over HTTP: never more than the one who asks has.

A platform's key with the scope `keys:write` makes, rotates and revokes keys of its platform whose scopes it has itself; `keys:write` is
never passed on, so that a stolen key cannot plant another. One with `agents:write` makes agents and machine agents with what their role
has. Who is `strong`, and who vouches (`vouch`), is said at the command line alone. A lead disables agents and sets their skills, and makes
no tokens: whoever could make a colleague would be the second person of their own approvals.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.keys import KeyRequestError, Keys, MadeKey, Role, scopes_of
from service.model import new_id
from service.store.idempotency import IdempotencyKey
from service.store.keys import AgentChanged, AgentListed, Change, KeyEnd, KeyListed, KeyStore, once_made
from service.store.pool import Pool

KEYS: Final = "keys:write"
AGENTS: Final = "agents:write"
# They are given at the command line alone.
_NEVER_PASSED_ON: Final = frozenset({KEYS, AGENTS, "vouch"})
# As an identity provider names somebody: an address that it has verified, or its own id (at most 255 characters: OpenID Connect Core, 2).
SIGN_IN: Final = re.compile(r"sub:[\x21-\x7e]{1,255}|[^\sA-Z@<>,;\"]+@[^\sA-Z@<>,;\"]+\.[^\sA-Z@<>,;\"]+")


class UnknownKey(Exception):  # noqa: N818 - says what was asked for
    """There is no such key, or agent, of this platform."""


class NotAllowed(Exception):  # noqa: N818 - says what happened
    """The caller would give more than it has. `code` is stable, the text is for people."""

    def __init__(self, code: Literal["more_than_own", "not_for_leads", "scope_missing"], text: str) -> None:
        super().__init__(text)
        self.code = code


class NoLongerWorks(Exception):  # noqa: N818 - says what happened
    """The key was revoked or has run out, or its agent is disabled: it stays as it is."""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A key and, the one time that it is made, its token; None for a repeat of the same request."""

    key: KeyListed
    token: str | None


class KeyDesk:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._store = KeyStore(pool)

    async def listed(self, caller: Caller) -> Sequence[KeyListed]:
        return await self._store.listed(caller.platform_id)

    async def make(self, caller: Caller, once: IdempotencyKey, *, name: str, scopes: Collection[str], days: int, reason: str) -> Issued:
        """A key of the platform itself; without scopes it gets the usual ones that the caller has. Raises NotAllowed, KeyRequestError."""
        chosen = scopes or tuple(one for one in scopes_of((), "platform") if one in caller.scopes)
        if not chosen:
            raise KeyRequestError("this key has no scope of its own to give: name some")
        _no_more_than(caller, scopes_of(chosen, "platform"))
        change = _change(caller, reason)

        async def effect(store: KeyStore) -> MadeKey:
            return await Keys(store).make_platform_key(caller.platform_id, name=name, scopes=chosen, days=days, change=change, key_id=new)

        new = new_id()
        return await self._issued(caller, *(await once_made(self._pool, once, new, effect)))

    async def rotate(self, caller: Caller, once: IdempotencyKey, key: UUID, *, overlap_seconds: float, days: int, reason: str) -> Issued:
        """A new token for the same key. Raises UnknownKey, NotAllowed, NoLongerWorks, KeyRequestError."""
        await self._may_change(caller, key)
        change = _change(caller, reason)

        async def effect(store: KeyStore) -> MadeKey:
            # A stolen key must not keep itself alive: only another key, or a person at the command line, gives it more time.
            end: KeyEnd = "not_later" if key == caller.id else "anew"
            made = await Keys(store).rotate(caller.platform_id, key, overlap_seconds=overlap_seconds, days=days, change=change, end=end)
            if made is None:
                raise NoLongerWorks
            return made

        return await self._issued(caller, *(await once_made(self._pool, once, key, effect)))

    async def revoke(self, caller: Caller, key: UUID, *, reason: str) -> KeyListed:
        """It opens nothing from now on; one that is revoked already stays so. Raises UnknownKey, NotAllowed."""
        await self._may_change(caller, key)
        await self._store.revoke(caller.platform_id, key, _change(caller, reason))
        return await self._key(caller, key)

    async def agents(self, caller: Caller) -> Sequence[AgentListed]:
        return await self._store.agents(caller.platform_id)

    async def make_agent(
        self, caller: Caller, once: IdempotencyKey, *, name: str, role: Role, skills: Collection[str], days: int, reason: str
    ) -> Issued:
        """An agent with a first key, or a further key for the one of that name, who works again and keeps its role.

        Raises KeyRequestError, RoleKept.
        """
        change = _change(caller, reason)
        new = new_id()

        async def effect(store: KeyStore) -> MadeKey:
            return await Keys(store).make_agent_key(
                caller.platform_id,
                name=name,
                role=role,
                skills=skills,
                scopes=(),
                days=days,
                change=change,
                key_id=new,
                known="keeps_role",
            )

        return await self._issued(caller, *(await once_made(self._pool, once, new, effect)))

    async def change_agent(self, caller: Caller, agent: UUID, to: AgentChanged, *, reason: str) -> AgentListed:
        """From the next request on; what the agent's keys may do is as they were made.

        Raises UnknownKey, NotAllowed, KeyRequestError, SignInTaken.
        """
        known = await self._agent(caller, agent)
        # Whoever says by which name a colleague signs in could sign in as that colleague, and be the second person of their own approvals.
        if caller.kind != "platform" and (to.role not in {None, known.role} or to.sign_in not in {None, known.sign_in or ""}):
            raise NotAllowed(
                "not_for_leads", "A role, and how somebody signs in, is changed by the platform's own key, or at the command line."
            )
        check_agent(known, to)
        await self._store.change_agent(caller.platform_id, agent, to, _change(caller, reason))
        return await self._agent(caller, agent)

    async def disable_agent(self, caller: Caller, agent: UUID, *, reason: str) -> AgentListed:
        """All keys of the agent at once; one that is disabled already stays so. Raises UnknownKey, NotAllowed."""
        await self._agent(caller, agent)
        await self._store.disable_agent(caller.platform_id, agent, _change(caller, reason))
        return await self._agent(caller, agent)

    async def _may_change(self, caller: Caller, key: UUID) -> None:
        """A platform's key takes `keys:write` and no more scopes than the caller has; an agent's takes `agents:write`."""
        found = await self._key(caller, key)
        needed = KEYS if found.kind == "platform" else AGENTS
        if needed not in caller.scopes:
            raise NotAllowed("scope_missing", f"This key lacks the scope {needed}.")
        if found.kind == "platform" and found.id != caller.id:
            _no_more_than(caller, found.scopes)
        if "vouch" in found.scopes:
            raise NotAllowed("more_than_own", "A key that vouches is changed at the command line.")

    async def _issued(self, caller: Caller, key: UUID, made: MadeKey | None) -> Issued:
        return Issued(key=await self._key(caller, key), token=made.token if made else None)

    async def _key(self, caller: Caller, key: UUID) -> KeyListed:
        found = await self._store.one(caller.platform_id, key)
        if found is None:
            raise UnknownKey("key")
        return found

    async def _agent(self, caller: Caller, agent: UUID) -> AgentListed:
        found = await self._store.agent(caller.platform_id, agent)
        if found is None:
            raise UnknownKey("agent")
        if caller.kind != "platform" and found.role == "lead":
            raise NotAllowed("not_for_leads", "A lead is changed by the platform's own key, or at the command line.")
        return found


def check_agent(known: AgentListed, to: AgentChanged) -> None:
    """Raises KeyRequestError."""
    if to.role not in {None, known.role} and "machine" in {to.role, known.role}:
        raise KeyRequestError("a program does not become a person, nor a person a program: make another agent")
    if to.sign_in:
        if known.role == "machine":
            raise KeyRequestError("a program does not sign in: it sends its token")
        if not SIGN_IN.fullmatch(to.sign_in):
            raise KeyRequestError("is an e-mail address in lower case, or `sub:` and the provider's name for the agent")


def _no_more_than(caller: Caller, scopes: Collection[str]) -> None:
    more = sorted(set(scopes) - (caller.scopes - _NEVER_PASSED_ON))
    if more:
        raise NotAllowed("more_than_own", f"This key cannot give {', '.join(more)}.")


def _change(caller: Caller, reason: str) -> Change:
    return Change(actor=caller.name, why=reason)
