"""Brakes: people pause an action, a rail, a show or everything, and resume; a rail that refuses our key stops by itself.

A brake is read in the transaction that readies each sending, so it holds in every process from its commit on. What was sent before is
followed up all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
import structlog

from service.callers import Caller
from service.model import ActionKind, new_id
from service.store.brakes import BrakeStore

log: Final = structlog.get_logger()

Scope = Literal["all", "action", "rail", "show"]

# What carries operations besides the configured rails: mail, the platform's issuer of passes, and our own tables.
_OTHER_RAILS: Final = frozenset({"mail", "issuer", "here"})
# A processor's code is a word or two; more would be its prose.
_REASON_LENGTH_MAX: Final = 200


class UnknownBrake(Exception):  # noqa: N818 - says what was asked for
    """There is no such action, rail or show: a brake on it would hold nothing back, and its author would believe it does."""


class Brake(msgspec.Struct, frozen=True, kw_only=True):
    scope: Scope
    ref: str
    """the action, the rail or the show's reference; `-` for `all`"""
    reason: str
    actor: str
    created_at: datetime


class Brakes:
    """`rails`: the names of those configured here."""

    def __init__(self, store: BrakeStore, *, rails: Collection[str]) -> None:
        self._store = store
        self._rails = frozenset(rails) | _OTHER_RAILS

    async def list(self, platform: UUID) -> Sequence[Brake]:
        """Oldest first."""
        rows = await self._store.list(platform)
        return [
            Brake(
                scope=msgspec.convert(row.scope, Scope),
                ref="-" if row.scope == "all" else row.ref,
                reason=row.reason,
                actor=row.actor,
                created_at=row.created_at,
            )
            for row in rows
        ]

    async def pause(self, caller: Caller, scope: Scope, ref: str, reason: str) -> None:
        """Nothing new goes out there. The same again changes the reason. Raises UnknownBrake."""
        kept = await self._kept_ref(caller.platform_id, scope, ref)
        await self._store.put(caller.platform_id, scope, kept, reason=reason, actor=caller.name)
        log.warning("paused", scope=scope, ref=ref, actor=caller.name)

    async def resume(self, caller: Caller, scope: Scope, ref: str, reason: str) -> None:
        """What was kept back is due at once, unless another brake holds it; what was not paused stays so. Raises UnknownBrake."""
        kept = await self._kept_ref(caller.platform_id, scope, ref)
        freed = await self._store.release(caller.platform_id, scope, kept, reason=reason, actor=caller.name)
        if freed is not None:
            log.warning("resumed", scope=scope, ref=ref, actor=caller.name, operations=freed)

    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Nothing new goes out on this rail until a person has mended it; one case for the operations' people says which and why."""
        alert = await self._store.stop_rail(platform, rail, reason[:_REASON_LENGTH_MAX], new_id())
        log.error("rail_stopped", rail=rail, reason=reason[:_REASON_LENGTH_MAX], case_id=alert.hex)

    async def alert(self, platform: UUID, kind: str, rail: str) -> None:
        """One case for the operations' people, while none is open for the same."""
        case = await self._store.alert(platform, kind, rail)
        log.error("alert_raised", kind=kind, rail=rail, case_id=case.hex)

    async def _kept_ref(self, platform: UUID, scope: Scope, ref: str) -> str:
        if scope == "show":
            show = await self._store.show(platform, ref)
            if show is not None:
                return str(show)
        known: Mapping[str, Collection[str]] = {"all": ("-",), "action": tuple(ActionKind), "rail": self._rails, "show": ()}
        if ref not in known[scope]:
            raise UnknownBrake(scope)
        return "" if scope == "all" else ref
