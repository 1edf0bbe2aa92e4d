"""Who is asking, as far as one order is concerned, and what of the order they may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from service.callers import Caller
from service.model import IdentityLevel
from service.store.flow import CaseRow
from service.view import View


class SaysChecked(Protocol):
    @property
    def checked(self) -> str | None: ...

    @property
    def order(self) -> str | None: ...

    @property
    def passes(self) -> tuple[UUID, ...]: ...


class NotTheirPasses(Exception):  # noqa: N818 - says what happened
    """A pass was named that is none of the order's, or not the asker's own."""


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    requester: str
    """`buyer`, `holder`, `platform`, `agent`, or `nobody` that is known"""
    level: IdentityLevel
    only_pass: UUID | None = None
    """of a holder: the pass of their own"""

    def unproven(self) -> Asker:
        """The same as somebody who has only said something."""
        level = IdentityLevel.CLAIMED if self.level.at_least(IdentityLevel.CLAIMED) else IdentityLevel.ANONYMOUS
        return Asker(requester="nobody", level=level)

    def seen(self, view: View, *, named_show: bool) -> View:
        """The view as this asker may use it: until it is known who asks without the order, and without a show that only the order told."""
        if self.level.at_least(IdentityLevel.VERIFIED):
            return view
        return msgspec.structs.replace(view, order=None, show=view.show if named_show else None)

    def passes(self, view: View, named: tuple[UUID, ...]) -> tuple[UUID, ...]:
        """The passes that the case is about: of a holder their own, else those that were named; none: all that the problem concerns.

        Raises NotTheirPasses. Before it is known who asks, nothing is said of any pass.
        """
        if view.order is None or not self.level.at_least(IdentityLevel.VERIFIED):
            return named
        theirs = {line.id for line in view.order.lines if line.mine or self.only_pass is None}
        if not {one.id for one in view.order.passes if one.line in theirs}.issuperset(named):
            raise NotTheirPasses
        return named if self.only_pass is None else (self.only_pass,)


def asks(caller: Caller, view: View, contact: SaysChecked) -> Asker:
    """A platform's key is verified for the orders it names, an agent by what they recorded, a customer by what they proved."""
    if caller.kind == "platform":
        return Asker(requester="platform", level=IdentityLevel.VERIFIED)
    if caller.kind in {"agent", "machine"}:
        vouches = contact.checked is not None and (caller.kind == "agent" or "vouch" in caller.scopes)
        return Asker(requester="agent", level=IdentityLevel.VERIFIED if vouches else IdentityLevel.CLAIMED)
    return _customer(caller, view, contact.passes)


def may_name(caller: Caller) -> bool:
    """Whether an unknown order that this caller names is asked for at its platform: anybody else could have us ask all day."""
    return caller.kind != "customer" or caller.level.at_least(IdentityLevel.VERIFIED)


def asked_before(row: CaseRow, view: View) -> Asker:
    """Who opened the case counts as they were known then: what was promised then is not asked for twice."""
    only = row.passes[0] if row.requester == "holder" and row.passes else None
    level = IdentityLevel(row.identity)
    if row.order is None and view.order is not None and row.requester not in {"platform", "agent"}:
        # A claimed order becomes theirs by proof alone (see `proven`), not by its arriving.
        level = min(level, IdentityLevel.CLAIMED, key=list(IdentityLevel).index)
    return Asker(requester=row.requester, level=level, only_pass=only)


def proven(caller: Caller, view: View, passes: Sequence[UUID]) -> Asker:
    """What a customer's session or JWT has proved about the order of this view; `passes`: those that they named."""
    return _customer(caller, view, passes)


def _customer(caller: Caller, view: View, passes: Sequence[UUID]) -> Asker:
    claimed = IdentityLevel.CLAIMED if caller.level.at_least(IdentityLevel.CLAIMED) else IdentityLevel.ANONYMOUS
    nobody = Asker(requester="nobody", level=claimed)
    if view.order is None or not caller.level.at_least(IdentityLevel.VERIFIED):
        return nobody
    as_buyer = caller.as_buyer(proven=view.order.buyer_proven, customer_ref=view.order.customer_ref)
    if as_buyer is not None:
        return Asker(requester="buyer", level=as_buyer)
    mine = {line.id for line in view.order.lines if line.mine} if caller.email is not None else set()
    own = [one for one in view.order.passes if one.line in mine and one.status == "valid"]
    if own:
        # A pass that was replaced meanwhile stands for its successor.
        lines = {one.line for one in view.order.passes if one.id in passes}
        only = next((one.id for one in own if one.line in lines), own[0].id)
        return Asker(requester="holder", level=IdentityLevel.VERIFIED, only_pass=only)
    return nobody
