"""Routes for keys and agents: `/v1/keys`, `/v1/agents`. A token is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from policies import SKILLS
from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.callers import Caller
from service.key_desk import Issued, KeyDesk, NoLongerWorks, NotAllowed, UnknownKey
from service.keys import DAYS_DEFAULT, DAYS_MAX, OVERLAP_SECONDS_DEFAULT, OVERLAP_SECONDS_MAX, SCOPES, KeyRequestError, RoleKept
from service.model import WireId, unwire, wire
from service.store.idempotency import IdempotencyKey
from service.store.keys import AgentChanged, AgentListed, KeyListed, SignInTaken

Reason = Annotated[str, Meta(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
_Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
_Days = Annotated[int, Meta(ge=1, le=DAYS_MAX)]
_Scope = Annotated[str, Meta(max_length=40, examples=["orders:write"])]
_Language = Annotated[str, Meta(max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$(?!\n)")]
_Skill = Literal[SKILLS]  # type: ignore[valid-type]
_Skills = Annotated[tuple[_Skill, ...], Meta(max_length=len(SKILLS))]
AgentRole = Literal["agent", "lead", "machine"]

_KEYS: Final = opens_to("platform", scope="keys:write")
_ANY_KEY: Final = opens_to("platform")
_AGENTS: Final = opens_to("platform", "agent", scope="agents:write")
_MAKES_AGENTS: Final = opens_to("platform", scope="agents:write")


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without scopes it gets the usual ones that your key has."""

    name: _Name
    scopes: Annotated[tuple[_Scope, ...], Meta(max_length=len(SCOPES))] = ()
    days: _Days = DAYS_DEFAULT
    reason: Reason


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token before works for `overlap_seconds` still; 0 ends it at once. `days`: how long the key works from now."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = OVERLAP_SECONDS_DEFAULT
    days: _Days = DAYS_DEFAULT
    reason: Reason


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class NewAgent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`machine` is a program. The agent of a name that is known gets a further key and these skills, works again, and keeps its
    role: one that is named here has to be that.
    """

    name: _Name
    role: AgentRole = "agent"
    skills: _Skills = ()
    days: _Days = DAYS_DEFAULT
    reason: Reason


class AgentChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    role: AgentRole | None = None
    skills: _Skills | None = None
    languages: Annotated[tuple[_Language, ...], Meta(max_length=50)] | None = None
    """none: every language"""
    capacity: Annotated[int, Meta(ge=1, le=100)] | None = None
    """how many cases at a time"""
    sign_in: Annotated[str, Meta(max_length=300)] | None = None
    """how the platform's identity provider names the agent: a verified address in lower case, or `sub:` and its own id; empty: not at all.
    Not for leads
    """
    reason: Reason


class KeyShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["platform", "agent"]
    name: str
    agent: str | None
    role: AgentRole | None
    scopes: tuple[str, ...]
    works: bool
    created_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    old_token_until: datetime | None
    """the token before the present one works until then"""
    revoked_at: datetime | None


class KeysShown(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[KeyShown, ...]


class KeyIssued(msgspec.Struct, frozen=True, kw_only=True):
    """`token` is shown this once; null where the same request is repeated. Lost? Rotate the key."""

    key: KeyShown
    token: str | None


class AgentShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: AgentRole
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    """none: every language"""
    capacity: int
    """how many cases at a time"""
    available: bool
    sign_in: str | None
    """how the platform's identity provider names the agent"""
    created_at: datetime
    disabled_at: datetime | None


class AgentsShown(msgspec.Struct, frozen=True, kw_only=True):
    agents: tuple[AgentShown, ...]


_KEY: Final = {
    "id": "key_0198f0c2b7a17d0e8c1f2a3b4c5d6e7f",
    "kind": "platform",
    "name": "edge",
    "agent": None,
    "role": None,
    "scopes": ["access:check"],
    "works": True,
    "created_at": "2026-11-22T20:12:00Z",
    "expires_at": "2027-11-22T20:12:00Z",
    "rotated_at": None,
    "old_token_until": None,
    "revoked_at": None,
}
_NEW_KEY: Final = {"name": "edge", "scopes": ["access:check"], "reason": "the new edge"}
_CHANGE: Final = {"skills": ["payments"], "reason": "knows it now"}
_ISSUED: Final = {"key": _KEY, "token": "mgk_…"}
_AGENT: Final = {
    "id": "agent_0198f0c2b7a17d0e8c1f2a3b4c5d6e7f",
    "name": "Mira",
    "role": "agent",
    "skills": ["payments", "support"],
    "languages": ["de", "en"],
    "capacity": 5,
    "available": True,
    "sign_in": "mira@shop.example",
    "created_at": "2026-11-22T20:12:00Z",
    "disabled_at": None,
}
_BECAUSE: Final = {"reason": "left the team"}
_ROTATION: Final = {"overlap_seconds": 3600, "days": 365, "reason": "every quarter"}
_NEW_AGENT: Final = {"name": "Mira", "role": "agent", "skills": ["payments", "support"], "reason": "new at the desk"}


class KeyRoutes(Controller):
    """Who may call, and what: each change is kept with who and why."""

    tags = ("keys",)

    @get("/v1/keys", opt={**_KEYS, **examples(answer={"keys": [_KEY]})})
    async def list_keys(self, caller: NamedDependency[Caller], key_desk: NamedDependency[KeyDesk]) -> KeysShown:
        """Shows the platform's keys and its agents'; no token, since none is kept."""
        return KeysShown(keys=tuple(_key(one) for one in await key_desk.listed(caller)))

    @post("/v1/keys", opt={**_KEYS, **examples(request=_NEW_KEY, answer=_ISSUED)})
    async def make_key(
        self,
        data: JSONBody[NewKey],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        key_desk: NamedDependency[KeyDesk],
    ) -> KeyIssued:
        """Makes a key of the platform, with no scope that your own lacks; `keys:write` and `agents:write` are never passed on."""
        return _issued(await key_desk.make(caller, idempotency, name=data.name, scopes=data.scopes, days=data.days, reason=data.reason))

    @post("/v1/keys/{key_id:str}/rotate", status_code=200, opt={**_ANY_KEY, **examples(request=_ROTATION, answer=_ISSUED)})
    async def rotate_key(
        self,
        key_id: FromPath[str],
        data: JSONBody[Rotation],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        key_desk: NamedDependency[KeyDesk],
    ) -> KeyIssued:
        """Gives a key a new token; both work for the overlap, then the one before ends by itself. Of three the oldest ends at once.

        Takes `keys:write`, for an agent's key `agents:write`.
        """
        issued = await key_desk.rotate(
            caller, idempotency, _id(WireId.KEY, key_id), overlap_seconds=data.overlap_seconds, days=data.days, reason=data.reason
        )
        return _issued(issued)

    @post("/v1/keys/{key_id:str}/revoke", status_code=200, opt={**_ANY_KEY, **examples(request=_BECAUSE, answer=_KEY)})
    async def revoke_key(
        self, key_id: FromPath[str], data: JSONBody[Because], caller: NamedDependency[Caller], key_desk: NamedDependency[KeyDesk]
    ) -> KeyShown:
        """Takes a key back, with all its tokens, from this answer on. Takes `keys:write`, for an agent's key `agents:write`."""
        return _key(await key_desk.revoke(caller, _id(WireId.KEY, key_id), reason=data.reason))

    @get("/v1/agents", opt={**_AGENTS, **examples(answer={"agents": [_AGENT]})})
    async def list_agents(self, caller: NamedDependency[Caller], key_desk: NamedDependency[KeyDesk]) -> AgentsShown:
        """Shows the agents of the platform, people and programs."""
        _check_lead(caller)
        return AgentsShown(agents=tuple(_agent(one) for one in await key_desk.agents(caller)))

    @post("/v1/agents", opt={**_MAKES_AGENTS, **examples(request=_NEW_AGENT, answer=_ISSUED)})
    async def make_agent(
        self,
        data: JSONBody[NewAgent],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        key_desk: NamedDependency[KeyDesk],
    ) -> KeyIssued:
        """Makes an agent with what the role has, and a key. Not for agents: who makes a colleague could agree to their own refunds."""
        issued = await key_desk.make_agent(
            caller, idempotency, name=data.name, role=data.role, skills=data.skills, days=data.days, reason=data.reason
        )
        return _issued(issued)

    @put("/v1/agents/{agent_id:str}", opt={**_AGENTS, **examples(request=_CHANGE, answer=_AGENT)})
    async def change_agent(
        self, agent_id: FromPath[str], data: JSONBody[AgentChange], caller: NamedDependency[Caller], key_desk: NamedDependency[KeyDesk]
    ) -> AgentShown:
        """Changes what is named, from the next request on. A lead changes skills, languages and capacity, and of leads nothing."""
        _check_lead(caller)
        agent = _id(WireId.AGENT, agent_id)
        to = AgentChanged(role=data.role, skills=data.skills, languages=data.languages, capacity=data.capacity, sign_in=data.sign_in)
        return _agent(await key_desk.change_agent(caller, agent, to, reason=data.reason))

    @post("/v1/agents/{agent_id:str}/disable", status_code=200, opt={**_AGENTS, **examples(request=_BECAUSE, answer=_AGENT)})
    async def disable_agent(
        self, agent_id: FromPath[str], data: JSONBody[Because], caller: NamedDependency[Caller], key_desk: NamedDependency[KeyDesk]
    ) -> AgentShown:
        """Ends all keys of an agent at once. What they hold goes back to the queue when their claim runs out."""
        _check_lead(caller)
        return _agent(await key_desk.disable_agent(caller, _id(WireId.AGENT, agent_id), reason=data.reason))


def _check_lead(caller: Caller) -> None:
    if caller.kind == "agent" and caller.role != "lead":
        raise problems.not_allowed("not_a_lead", "Agents are for leads to look after.")


def _id(kind: WireId, text: str) -> UUID:
    found = unwire(kind, text)
    if found is None:
        raise problems.not_found(kind.value)
    return found


def _issued(issued: Issued) -> KeyIssued:
    return KeyIssued(key=_key(issued.key), token=issued.token)


def _key(key: KeyListed) -> KeyShown:
    fields = msgspec.structs.asdict(key)
    agent, until = fields.pop("agent_id"), fields.pop("old_until")
    shown = {"id": wire(WireId.KEY, key.id), "agent": wire(WireId.AGENT, agent) if agent else None, "old_token_until": until}
    return msgspec.convert({**fields, **shown, "scopes": tuple(key.scopes)}, KeyShown)


def _agent(agent: AgentListed) -> AgentShown:
    fields = {
        **msgspec.structs.asdict(agent),
        "id": wire(WireId.AGENT, agent.id),
        "skills": tuple(agent.skills),
        "languages": tuple(agent.languages),
    }
    return msgspec.convert(fields, AgentShown)


def _unknown(error: UnknownKey) -> problems.Problem:
    return problems.not_found(str(error))


def _refused(error: NotAllowed) -> problems.Problem:
    return problems.not_allowed(error.code, str(error))


def _wrong(error: KeyRequestError) -> problems.Problem:
    return problems.invalid("", str(error))


def _ended(_error: NoLongerWorks) -> problems.Problem:
    return problems.conflict("key_ended", "This key no longer works", "Revoked, run out, or its agent is disabled: make another.")


def _role_kept(_error: RoleKept) -> problems.Problem:
    return problems.conflict(
        "role_kept", "This agent has another role", "It keeps it: change the role of the agent itself, or choose another name."
    )


def _sign_in_taken(_error: SignInTaken) -> problems.Problem:
    return problems.conflict("sign_in_taken", "Another agent signs in by that name", "One name, one agent: take it from the other first.")


FAILURES: Final[problems.Failures] = {
    SignInTaken: _sign_in_taken,
    UnknownKey: _unknown,
    NotAllowed: _refused,
    KeyRequestError: _wrong,
    NoLongerWorks: _ended,
    RoleKept: _role_kept,
}
