"""Failed sales as the database knows them: found, claimed for a look, given a place in their wave, ended (functions/rollback.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from service.store.orders import again
from service.store.pool import Pool

Ended = Literal["refund_asked", "cancelled", "mended", "people", "unread"]


class FailedSale(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    slug: str
    payment: UUID
    kind: Literal["refund", "cancel"]
    looks: int
    """this one included"""
    rail: str
    provider_ref: str
    currency: str
    captured: int
    order: str
    """the platform's reference, as `show`"""
    show: str
    locale: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    go: bool
    """False: our own rows no longer say that the sale failed, or not what the processor says"""
    held: bool
    """a person confirms it"""
    paused: bool = False
    """somebody has stopped it since it was claimed: it waits, and nothing goes now"""


class RollbackStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, most: int, after_seconds: float) -> int:
        """Puts down failed sales that are new; how many."""
        found: int = await self._pool.fetchval(
            "SELECT rollback_find($1, $2)  -- every platform: the sweep is the installation's own", most, after_seconds
        )
        return found

    async def claim(self, most: int, lease_seconds: float) -> Sequence[FailedSale]:
        """What is due for a look, each for one process at a time."""
        rows = await self._pool.fetch(
            "SELECT rollback_claim($1, $2) AS one  -- every platform: the sweep is the installation's own", most, lease_seconds
        )
        return [msgspec.convert(row["one"], FailedSale) for row in rows]

    async def place(
        self, sale: FailedSale, *, after_seconds: float, captured: int, alone: bool, confirm_first: int, hour_most: int
    ) -> Place:
        """Whether our rows still say so, and whether a person confirms it. `alone`: the processor has confirmed it. Again, the same."""
        return msgspec.convert(
            await again(
                lambda: self._pool.fetchval(
                    "SELECT rollback_place($1, $2, $3, $4, $5, $6, $7)  -- $1 is platform_id",
                    sale.platform,
                    sale.payment,
                    after_seconds,
                    captured,
                    alone,
                    confirm_first,
                    hour_most,
                )
            ),
            Place,
        )

    async def later(self, sale: FailedSale, seconds: float) -> None:
        await self._pool.execute("SELECT rollback_later($1, $2, $3)  -- $1 is platform_id", sale.platform, sale.payment, seconds)

    async def end(self, sale: FailedSale, outcome: Ended, case: UUID | None = None) -> None:
        """It is looked at no more; whatever was done is a fact of the order."""
        await again(
            lambda: self._pool.execute(
                "SELECT rollback_end($1, $2, $3, $4)  -- $1 is platform_id", sale.platform, sale.payment, outcome, case
            )
        )
