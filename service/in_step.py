"""Reads an order at its platform before what hangs on it is decided: one that we do not know, one whose money is about to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol
from uuid import UUID

import structlog

from service.plan import Plan
from service.ports import Unavailable
from service.syncing import NotTaken
from service.view import View

log: Final = structlog.get_logger()

# Shorter than a case's lease of 15 s, so that what was read is decided on under it.
READ_SECONDS_MAX: Final = 8.0

Read = Literal["read", "none", "not_understood", "unavailable"]
"""`none`: the platform says that there is no such order"""


Marks = Callable[[UUID, str], Awaitable[object]]
"""keeps that the order was read now"""


class OrderUnclear(Exception):  # noqa: N818 - says what happened
    """The platform has no such order any more (`order_gone`), or says of it what cannot be taken in (`order_not_understood`)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ReadsOrders(Protocol):
    async def fetch(self, platform: UUID, ref: str) -> bool:
        """Reads one order afresh and takes it in; False: there is none. Raises NotTaken, Unavailable."""


class InStep:
    def __init__(self, orders: ReadsOrders, marks: Marks) -> None:
        self._orders = orders
        self._marks = marks

    async def read(self, platform: UUID, ref: str) -> Read:
        """Reads the order and stores it; what came of it."""
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                if not await self._orders.fetch(platform, ref):
                    return "none"
                await self._marks(platform, ref)
                return "read"
        except NotTaken as error:
            log.warning("order_not_taken", platform_id=str(platform), order=ref, why=str(error))
            return "not_understood"
        except (Unavailable, TimeoutError):
            return "unavailable"

    async def renew(self, platform: UUID, view: View) -> None:
        """The same for an order that a person is about to act on.

        Raises Unavailable: they may try again in a moment; OrderUnclear: what the platform says has to be put right there first.
        """
        if not has_source(view) or view.order is None:
            return
        read = await self.read(platform, view.order.ref)
        if read == "unavailable":
            raise Unavailable("the platform's system does not answer")
        if read != "read":
            raise OrderUnclear("order_gone" if read == "none" else "order_not_understood")


def has_source(view: View) -> bool:
    """Whether the platform's own system can be asked."""
    return view.platform.get("source") is not None


def to_read(view: View, plan: Plan, named: str | None) -> str | None:
    """The order that has to be read before this plan may be carried out; `named`: the one that somebody known has named."""
    if not has_source(view):
        return None
    if view.order is None:
        return named
    return view.order.ref if plan.refunds else None
