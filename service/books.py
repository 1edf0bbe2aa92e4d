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
        address = caller.email.lower() if caller.email else None
        record = await store.read(self._pool, caller.platform_id, ref, address=address, viewer=viewer)
        if record is None or (caller.kind == "customer" and not _is_buyer(caller, record)):
            return None
        return show(record, to_desk=caller.kind != "customer", arrives=self._arrives)


def _is_buyer(caller: Caller, record: MoneyRecord) -> bool:
    """Who holds one of the tickets proved an address too, and is not the buyer."""
    if not caller.level.at_least(IdentityLevel.VERIFIED):
        return False
    by_reference = caller.customer_ref is not None and caller.customer_ref == record.customer_ref
    return by_reference or (caller.email is not None and record.buyer_is_caller)
