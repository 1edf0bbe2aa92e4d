"""Where the money of an order went: for its buyer, the desk and the platform, each as much as is theirs to see."""

from __future__ import annotations

from collections.abc import Collection

from service.books_shown import OrderMoney, show
from service.callers import Caller
from service.model import IdentityLevel
from service.store import books as store
from service.store.books import MoneyRecord
from service.store.pool import Pool


class Books:
    """`arrives`: rails whose success is proof that the money is there (pay-outs, credit); of a card we only know that it was sent."""

    def __init__(self, pool: Pool, *, arrives: Collection[str] = ()) -> None:
        self._pool = pool
        self._arrives = frozenset(arrives)

    async def money(self, caller: Caller, ref: str) -> OrderMoney | None:
        """The money of the order as this caller may see it; None when there is none or it is not theirs. A holder sees no price."""
        viewer = caller.name if caller.kind in {"agent", "machine"} else None
        record = await store.read(self._pool, caller.platform_id, ref, proofs=caller.proofs, viewer=viewer)
        if record is None or (caller.kind == "customer" and _as_buyer(caller, record) is None):
            return None
        return show(record, to_desk=caller.kind != "customer", arrives=self._arrives)


def _as_buyer(caller: Caller, record: MoneyRecord) -> IdentityLevel | None:
    """Who holds one of the tickets proved an address too, and is not the buyer."""
    return caller.as_buyer(proven=record.buyer_proven, customer_ref=record.customer_ref)
