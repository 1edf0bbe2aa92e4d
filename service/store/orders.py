"""Runs the statements of orders: one function takes a feed document in, one statement reads an order back as the platform sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from service.model import Json
from service.store.pool import Pool

_T = TypeVar("_T")

# Two writers that met once seldom meet again; a third time is a bug in the order of locks, and should be seen.
TRIES_MAX: Final = 3

_PUT: Final = "SELECT order_put($1::jsonb)"

# Without personal data: whoever may ask for this has it already, and it need not travel again.
_GET: Final = """
SELECT jsonb_build_object(
    'id', o.id, 'ref', o.ref, 'version', o.version, 'status', o.status, 'currency', o.currency, 'total', o.total, 'locale', o.locale,
    'placed_at', o.placed_at, 'cancelled_at', o.cancelled_at,
    'lines', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'id', l.id, 'ref', l.ref, 'kind', l.kind, 'name', l.name, 'price', l.price, 'tax', l.tax, 'discount', l.discount,
        'canceled', l.canceled, 'refundable', l.refundable, 'awarded', l.awarded,
        'shows', coalesce((SELECT jsonb_agg(s.ref ORDER BY s.ref) FROM line_show ls JOIN show s ON s.platform_id = $1 AND s.id = ls.show_id
                           WHERE ls.platform_id = $1 AND ls.line_id = l.id), '[]'),
        'passes', coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'issuer', p.issuer, 'status', p.status, 'replaces', p.replaces,
                                'checked_in_at', p.checked_in_at) ORDER BY p.created_at, p.id)
                            FROM pass p WHERE p.platform_id = $1 AND p.line_id = l.id), '[]')) ORDER BY l.type DESC, l.id)
        FROM line l WHERE l.platform_id = $1 AND l.order_id = o.id), '[]'),
    'payments', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'id', y.id, 'ref', y.ref, 'rail', y.rail, 'status', y.status, 'amount', y.amount, 'captured', y.captured, 'reserved', y.reserved,
        'refunded', y.refunded, 'refunded_elsewhere', y.refunded_elsewhere, 'dispute', y.dispute,
        'paid_at', y.paid_at) ORDER BY y.created_at, y.id)
        FROM payment y WHERE y.platform_id = $1 AND y.order_id = o.id), '[]'))
FROM orders o WHERE o.platform_id = $1 AND o.ref = $2
"""


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why a document cannot be taken in, found before anything was written."""

    what: Literal["unknown_show", "barcode_taken", "rail_not_allowed", "charge_of_other"]
    position: str
    """its reference; of `rail_not_allowed` and `charge_of_other` the payment's"""
    ref: str = ""
    """of the show nobody knows, or the rail that is not this platform's"""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a document: of an order, a show or an incident."""

    result: Literal["created", "updated", "unchanged", "older", "conflict", "currency", "obstacles", "unknown_show"]
    id: UUID | None = None
    version: int = 0
    woken: int = 0
    """cases that had waited for this"""
    obstacles: tuple[Obstacle, ...] = ()


class OrderStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, document: Json) -> Written:
        """Takes a document in, in one transaction."""
        return msgspec.convert(await again(lambda: self._pool.fetchval(_PUT, document)), Written)

    async def get(self, platform_id: UUID, ref: str) -> Any | None:
        return await self._pool.fetchval(_GET, platform_id, ref)


async def again(statement: Callable[[], Awaitable[_T]]) -> _T:
    """Runs a statement that is a transaction of its own, again when another one was in its way.

    A unique violation is a race for the same reference or barcode: the next try sees what won, and says so.
    """
    for _ in range(TRIES_MAX - 1):
        try:
            return await statement()
        except (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError):
            continue
    return await statement()
