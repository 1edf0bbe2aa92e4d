"""Previews whose facts move at the worst moment: after the last look, before the lock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from service.callers import Caller
from service.crew import Crew
from service.in_step import InStep
from service.keys import Keys
from service.model import WireId, unwire
from service.previews import Previews
from service.store.desk import DeskStore
from service.store.flow import FlowStore
from service.store.idempotency import IdempotencyKey
from service.store.keys import KeyStore
from service.store.pool import Pool
from service.store.previews import PreviewStore
from service.watch import Watch
from tests.desk.acting import REASON, AtDesk
from tests.promises.house import House


class MovingStore(DeskStore):
    """Somebody else gets in just before each act."""

    def __init__(self, pool: Pool, moves: Callable[[], Awaitable[object]]) -> None:
        super().__init__(pool)
        self._moves = moves
        self.acts = 0

    async def act(self, key: IdempotencyKey, document: Mapping[str, Any]) -> Mapping[str, Any]:
        self.acts += 1
        await self._moves()
        return await super().act(key, document)

    async def approve(
        self,
        caller: Caller,
        key: IdempotencyKey,
        operation: UUID,
        *,
        reason: str,
        needed: int,
        caps: Sequence[Mapping[str, Any]],
        bound: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        self.acts += 1
        await self._moves()
        return await super().approve(caller, key, operation, reason=reason, needed=needed, caps=caps, bound=bound)


class Gap:
    def __init__(self, house: House, moves: Callable[[], Awaitable[object]]) -> None:
        app = house.app
        assert app is not None
        self.store = MovingStore(house.pool, moves)
        self._house = house
        self._previews = Previews(
            house.pool,
            PreviewStore(house.pool),
            self.store,
            FlowStore(house.pool),
            rulebook=app.resolution._rulebook,  # noqa: SLF001 - the very rules of the house
            operations=app.operations,
            resolution=app.resolution,
            in_step=InStep(app.syncing, FlowStore(house.pool).order_was_read),
            crew=Crew(),
            watch=Watch(_nobody),
        )

    async def confirm(self, at: AtDesk, preview: str) -> str:
        """What came of it. Raises what confirm() raises."""
        found = unwire(WireId.PREVIEW, preview)
        case = unwire(WireId.CASE, at.case)
        assert found is not None
        assert case is not None
        caller = await self._caller(at.agent)
        return (await self._previews.confirm(caller, _key(caller), case, found, REASON)).status

    async def approve(self, token: str, operation: str, facts_hash: str) -> str:
        found = unwire(WireId.OPERATION, operation)
        assert found is not None
        caller = await self._caller(token)
        return (await self._previews.approve(caller, _key(caller), found, REASON, facts_hash)).status

    async def _caller(self, token: str) -> Caller:
        caller = await Keys(KeyStore(self._house.pool)).caller_for(token)
        assert caller is not None
        return caller


async def _nobody(_: object) -> None:
    """Nobody waits for these cases."""


def _key(caller: Caller) -> IdempotencyKey:
    return IdempotencyKey(platform_id=caller.platform_id, caller=caller.key, method="POST", path="/gap", key=uuid4().hex, body_hash=b"1")
