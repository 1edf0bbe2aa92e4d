"""What goes over the wire between us and a platform that implements our interface: the same structs write its OpenAPI document."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from service.feed import Barcode, OrderFeed, ProviderRef, Ref, ShowFeed

# What we ask for at a time; a platform may answer with fewer, and never with more.
ORDERS_MAX = 50
# Two references and a time, in whichever form the platform keeps them.
_CURSOR_LENGTH_MAX = 2000

Cursor = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=_CURSOR_LENGTH_MAX,
        pattern=r"^[ -~]+$(?!\n)",
        description="Where to go on. Only the platform reads it: a number of its change log, or a time and a reference.",
    ),
]
Code = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]


class PlatformOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it is now, whole, with the shows that it admits to; shows that we were fed otherwise may be left out."""

    ref: Ref
    order: OrderFeed
    shows: Annotated[dict[Ref, ShowFeed], Meta(max_length=100)] = {}


class ChangedOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that changed after the cursor that was asked with, oldest change first.

    An order may come twice, and never not at all: one that changes while pages are read comes again.
    """

    orders: Annotated[tuple[PlatformOrder, ...], Meta(max_length=ORDERS_MAX)]
    cursor: Cursor
    """asks for what changed after these; also where there was nothing"""
    more: bool = False
    """whether there is more at once"""


class ReplacedPass(msgspec.Struct, frozen=True, kw_only=True):
    """The new ticket. The gate refuses the old barcode from now on."""

    barcode: Barcode
    issuer_ref: ProviderRef | None = None
    """the platform's own name for the new ticket"""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was done. Only the code is read; the message is for whoever reads the platform's own log."""

    code: Code
    message: Annotated[str, Meta(max_length=500)] = ""


class OrderHint(msgspec.Struct, frozen=True, kw_only=True):
    """Posted by the platform to us: this order has changed. It is believed in nothing but the reference; the order is read."""

    order: Ref


class OrderUnread(msgspec.Struct, frozen=True, kw_only=True):
    """An order of which nothing is understood yet but its name."""

    ref: Ref
    order: msgspec.Raw
    shows: msgspec.Raw = msgspec.Raw(b"{}")


class PageUnread(msgspec.Struct, frozen=True, kw_only=True):
    """The same of a page: one order that cannot be understood harms no other."""

    orders: Annotated[tuple[OrderUnread, ...], Meta(max_length=ORDERS_MAX)]
    cursor: Cursor
    more: bool = False
