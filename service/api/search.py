"""`GET /v1/search`: a case or an order, by a name that somebody gave."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from service.api import problems
from service.api.auth import opens_to, require_scope
from service.api.contract import examples
from service.callers import Caller
from service.model import WireId, wire
from service.search import QUERY_LENGTH_MAX, Search
from service.shown import in_language
from service.store.search import CaseRecord, OrderRecord


class CaseFound(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: at the desk as the queue says it (waiting, taken, hold, waits_for_customer, referred); else the case's own: open, resolved,
    denied, joined, closed.
    """

    id: str
    problem: str
    order: str | None
    show: str | None
    show_name: str | None
    state: str
    skill: str | None
    agent: str | None
    mine: bool
    created_at: datetime
    queued_at: datetime | None
    ended_at: datetime | None
    money_at_stake: int
    currency: str | None
    locale: str
    version: int


class OrderFound(msgspec.Struct, frozen=True, kw_only=True):
    """`show`: the first that it admits to, `shows`: all of them."""

    ref: str
    show: str | None
    shows: tuple[str, ...]
    status: str
    total: int
    currency: str
    placed_at: datetime
    cases: tuple[str, ...]


class SearchFound(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; at most 100 cases and 50 orders."""

    cases: tuple[CaseFound, ...]
    orders: tuple[OrderFound, ...]


_CASE: Final = "case_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f"
_FOUND: Final = {
    "cases": [
        {
            "id": _CASE,
            "problem": "charged_twice",
            "order": "M0VLU",
            "show": "nll26",
            "show_name": "Northern Lights Live",
            "state": "waiting",
            "skill": "payments",
            "agent": None,
            "mine": False,
            "created_at": "2026-11-20T20:41:07Z",
            "queued_at": "2026-11-20T20:41:08Z",
            "ended_at": None,
            "money_at_stake": 4500,
            "currency": "EUR",
            "locale": "en",
            "version": 4,
        }
    ],
    "orders": [
        {
            "ref": "M0VLU",
            "show": "nll26",
            "shows": ["nll26"],
            "status": "paid",
            "total": 4500,
            "currency": "EUR",
            "placed_at": "2026-11-01T10:00:00Z",
            "cases": [_CASE],
        }
    ],
}


class SearchRoutes(Controller):
    tags = ("desk",)

    @get("/v1/search", opt={**opens_to("agent", "machine", scope="cases:read"), **examples(answer=_FOUND)})
    async def search(
        self,
        caller: NamedDependency[Caller],
        search: NamedDependency[Search],
        q: Annotated[str, QueryParameter(min_length=1, max_length=QUERY_LENGTH_MAX)],
    ) -> SearchFound:
        """Finds by an exact name: an order's reference, a case's or an operation's id, a processor's reference of a payment or refund, or
        the e-mail address of a buyer or holder. That you looked is recorded with what you found; an address, or what finds nothing, is not.
        """
        require_scope(caller, "orders:read")
        if not q.strip():
            raise problems.invalid("q", "has to be a name: an order's reference, an id, or an address")
        found = await search.find(caller, q)
        return SearchFound(cases=tuple(_case(one, caller) for one in found.cases), orders=tuple(_order(one) for one in found.orders))


def _case(one: CaseRecord, caller: Caller) -> CaseFound:
    fields = {name: getattr(one, name) for name in CaseFound.__struct_fields__ if name != "mine"}
    name = in_language(one.show_name, one.locale) if one.show_name else None
    mine = one.agent_id is not None and one.agent_id == caller.agent_id
    return CaseFound(**{**fields, "id": wire(WireId.CASE, one.id), "show_name": name, "mine": mine})


def _order(one: OrderRecord) -> OrderFound:
    fields = {name: getattr(one, name) for name in OrderFound.__struct_fields__ if name not in {"show", "shows", "cases"}}
    cases = tuple(wire(WireId.CASE, case) for case in one.cases)
    return OrderFound(**fields, show=one.shows[0] if one.shows else None, shows=tuple(one.shows), cases=cases)
