"""Where a platform is told: its endpoints, their secrets, tests and replays. Every change is recorded with who and why."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.events import TYPES, event_id
from service.model import Json, WireId, new_id, wire
from service.outbox import Receiver, Sender, expanded
from service.ports import Hooks
from service.sealing import Vault
from service.store.endpoints import ENDPOINTS_MAX, DeliveryRow, EndpointRow, EndpointStore, NewEndpoint, TryRow
from service.store.idempotency import IdempotencyKey
from service.store.keys import Change
from service.store.outbox import OutboxRow

# Standard Webhooks 1.0 asks for 24 to 64 bytes.
_SECRET_BYTES: Final = 32
# Long enough to change a secret in a shop's settings on a working day; for longer than a week nobody is changing it.
ROTATION_HOURS: Final = 24
ROTATION_HOURS_MAX: Final = 168
# As many as one page of what waits shows.
SHOWN_MAX: Final = 200

State = Literal["active", "paused", "disabled"]


class Refused(Exception):  # noqa: N818 - says what happened
    """What was asked for cannot be: which field, and why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class TooMany(Exception):  # noqa: N818 - says what happened
    """A platform has at most so many endpoints."""


class NotByHand(Exception):  # noqa: N818 - says what happened
    """The endpoint is disabled and has to be enabled first, or belongs to an adapter, which has no address and no secret."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as its platform sees it; never its secret."""

    id: str
    kind: Literal["webhook", "adapter"]
    """`adapter`: one of ours, which writes to a system of the platform's"""
    name: str
    url: str | None
    types: tuple[str, ...]
    """what it is told: `refund.sent`, `refund.*`, `*`"""
    state: State
    why: str
    """of the state: `gone`, what it failed with, or the reason of whoever set it"""
    since: datetime
    position: int
    """everything up to here is delivered, or listed as waiting"""
    succeeded_at: datetime | None
    failing_since: datetime | None
    next_try_at: datetime | None
    """of one that fails"""
    former_secret_until: datetime | None
    """the secret before the present one signs too until then"""
    created_at: datetime
    changed_at: datetime


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the endpoint has not taken: `parked` is tried again, or queues behind another of its order; `dead` is not."""

    id: str
    type: str
    position: int
    order: str | None
    case: str | None
    state: Literal["parked", "dead"]
    tries: int
    failing_since: datetime | None
    next_try_at: datetime | None
    """null: another of its order comes first"""
    status: int | None
    detail: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One sending that did not go well, or a test."""

    at: datetime | None
    id: str
    type: str
    status: int | None
    detail: str
    milliseconds: int


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    waiting: tuple[Waiting, ...]
    tries: tuple[Tried, ...]
    """of the last seven days, the newest first"""


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a `ping`."""

    delivered: bool
    status: int | None
    detail: str
    milliseconds: int


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """`secret` is shown this once; a repeat of the request does not have it."""

    endpoint: Endpoint
    secret: str | None


class Endpoints:
    """One a process."""

    def __init__(self, store: EndpointStore, sender: Sender, hooks: Hooks, vault: Vault) -> None:
        self._store = store
        self._sender = sender
        self._hooks = hooks
        self._vault = vault

    async def list(self, platform: UUID) -> Sequence[Endpoint]:
        return [_shown(row) for row in await self._store.list(platform)]

    async def get(self, platform: UUID, endpoint: UUID) -> Endpoint | None:
        row = await self._store.get(platform, endpoint)
        return None if row is None else _shown(row)

    async def make(self, caller: Caller, key: IdempotencyKey, *, name: str, url: str, types: Sequence[str] | None, why: str) -> Made:
        """Told what happens from now on. Raises Refused, TooMany, KeyReused."""
        self._check(url, types)
        new, secret = new_id(), _secret()
        said = await self._store.add_once(
            key,
            NewEndpoint(id=new, kind="webhook", name=name, url=url, types=types, sealed_secret=self._sealed(new, secret)),
            _by(caller, why),
        )
        if said == "too_many":
            raise TooMany(ENDPOINTS_MAX)
        made = new if said == "made" else await self._store.made_by(key)
        row = None if made is None else await self._store.get(caller.platform_id, made)
        if row is None:  # a repeat, and the endpoint was removed since
            raise NotByHand
        return Made(endpoint=_shown(row), secret=secret if said == "made" else None)

    async def ensure_adapter(self, platform: UUID, name: str, types: Sequence[str] | None, change: Change) -> UUID:
        """The endpoint of an adapter of ours, made when it is not there; its name is what processes know the adapter by. Raises TooMany."""
        self._check(None, types)
        new = NewEndpoint(id=new_id(), kind="adapter", name=name, types=types)
        if await self._store.add(platform, new, change) == "too_many":
            raise TooMany(ENDPOINTS_MAX)
        return next(row.id for row in await self._store.list(platform) if row.kind == "adapter" and row.name == name)

    async def change(self, caller: Caller, endpoint: UUID, changes: Json, why: str) -> Endpoint | None:
        """`changes`: what there is of name, url, types and state. None: there is no such endpoint. Raises Refused, NotByHand."""
        row = await self._store.get(caller.platform_id, endpoint)
        if row is None:
            return None
        if row.kind == "adapter" and changes.keys() & {"url", "name"}:
            raise NotByHand
        self._check(changes.get("url"), changes.get("types"))
        if not await self._store.change(caller.platform_id, endpoint, changes, _by(caller, why)):
            raise NotByHand
        return await self.get(caller.platform_id, endpoint)

    async def rotate(self, caller: Caller, key: IdempotencyKey, endpoint: UUID, hours: int, why: str) -> Made | None:
        """A new secret; the old one signs too for so many hours. None: there is no such endpoint. Raises NotByHand, KeyReused."""
        row = await self._store.get(caller.platform_id, endpoint)
        if row is None:
            return None
        if row.kind == "adapter":
            raise NotByHand
        secret = _secret()
        done = await self._store.rotate_once(key, endpoint, self._sealed(endpoint, secret), hours * 3600.0, _by(caller, why))
        shown = await self.get(caller.platform_id, endpoint)
        return None if shown is None else Made(endpoint=shown, secret=secret if done else None)

    async def test(self, caller: Caller, endpoint: UUID) -> TestResult | None:
        """Sends a `ping` now, whatever the state. None: there is no such endpoint."""
        row = await self._store.get(caller.platform_id, endpoint)
        if row is None:
            return None
        opened = self._sender.opened(row.id, row.sealed_secret, row.sealed_former)
        outcome = await self._sender.send(Receiver(url=row.url, secrets=opened, adapter=row.name), self._ping(endpoint))
        tried = TryRow(
            event_id=new_id(), type="ping", status=outcome.status, detail=outcome.detail or "delivered", milliseconds=outcome.milliseconds
        )
        await self._store.note(caller.platform_id, endpoint, tried)
        return TestResult(delivered=outcome.word == "sent", status=outcome.status, detail=outcome.detail, milliseconds=outcome.milliseconds)

    async def replay(self, caller: Caller, key: IdempotencyKey, endpoint: UUID, asked: Json, why: str) -> int | None:
        """Sends again what `asked` names ({after}, {from, to} or {events}); how many. None: there is no such endpoint.

        Nothing that waits to be sent is left out by it, whatever it names. Raises Refused for an `after` beyond the feed's end, KeyReused.
        """
        row = await self._store.get(caller.platform_id, endpoint)
        if row is None:
            return None
        head = await self._store.head(caller.platform_id)
        if asked.get("after", 0) > head:
            raise Refused("/after", f"is beyond the feed's end, which is {head}")
        count = await self._store.replay_once(key, endpoint, asked, expanded(row.types), _by(caller, why))
        return count or 0

    async def enable(self, caller: Caller, endpoint: UUID, why: str) -> Endpoint | None:
        """Tried again from now on, with what waited. None: there is no such endpoint."""
        await self._store.enable(caller.platform_id, endpoint, _by(caller, why))
        return await self.get(caller.platform_id, endpoint)

    async def remove(self, caller: Caller, endpoint: UUID, why: str) -> bool:
        """False: there is no such endpoint. Raises NotByHand."""
        row = await self._store.get(caller.platform_id, endpoint)
        if row is not None and row.kind == "adapter":
            raise NotByHand
        return await self._store.remove(caller.platform_id, endpoint, _by(caller, why))

    async def deliveries(self, platform: UUID, endpoint: UUID, *, after: int, state: str | None) -> Deliveries | None:
        """What is parked or dead after that position, at most SHOWN_MAX; and the last tries."""
        if await self._store.get(platform, endpoint) is None:
            return None
        waiting = await self._store.deliveries(platform, endpoint, after=after, state=state, most=SHOWN_MAX)
        return Deliveries(
            waiting=tuple(_waiting(row) for row in waiting),
            tries=tuple(_tried(row) for row in await self._store.tries(platform, endpoint)),
        )

    async def forget_old(self) -> None:
        """One bounded pass: old events that nobody waits for, old tries."""
        await self._store.forget_old()

    def _check(self, url: str | None, types: Sequence[str] | None) -> None:
        """Raises Refused."""
        refusal = None if url is None else self._hooks.refusal(url)
        if refusal is not None:
            raise Refused("/url", refusal)
        for index, name in enumerate(types or ()):
            if expanded([name]) == []:
                raise Refused(f"/types/{index}", f"there is no such type; there are {', '.join(['*', *sorted({*_FAMILIES, *TYPES})])}")

    def _sealed(self, endpoint: UUID, secret: str) -> bytes:
        return self._vault.seal(secret.encode(), place=endpoint.bytes)

    def _ping(self, endpoint: UUID) -> OutboxRow:
        return OutboxRow(
            position=0,
            event_id=new_id(),
            type="ping",
            order_id=None,
            order_ref=None,
            case_id=None,
            created_at=self._sender.clock(),
            data={"endpoint": wire(WireId.ENDPOINT, endpoint)},
        )


_FAMILIES: Final = frozenset(f"{name.partition('.')[0]}.*" for name in TYPES if "." in name)


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def _by(caller: Caller, why: str) -> Change:
    return Change(actor=caller.name, why=why)


def _shown(row: EndpointRow) -> Endpoint:
    fields: dict[str, Any] = {name: getattr(row, name) for name in Endpoint.__struct_fields__ if hasattr(row, name)}
    return Endpoint(
        **fields
        | {
            "id": wire(WireId.ENDPOINT, row.id),
            "types": tuple(row.types or ("*",)),
            "why": row.state_why,
            "since": row.state_since,
            "former_secret_until": row.former_until,
        }
    )


def _waiting(row: DeliveryRow) -> Waiting:
    state: Literal["parked", "dead"] = "dead" if row.state == "dead" else "parked"
    return Waiting(
        id=event_id(row.event_id),
        type=row.type,
        position=row.position,
        order=row.order_ref,
        case=None if row.case_id is None else wire(WireId.CASE, row.case_id),
        state=state,
        tries=row.tries,
        failing_since=row.first_failed_at,
        next_try_at=row.next_try_at,
        status=row.last_status,
        detail=row.last_detail,
    )


def _tried(row: TryRow) -> Tried:
    return Tried(at=row.at, id=event_id(row.event_id), type=row.type, status=row.status, detail=row.detail, milliseconds=row.milliseconds)
