"""Routes of the desk for one case: its full context, and its end by a person's word."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from service.api import problems
from service.api.auth import DESK, opens_to
from service.api.cases import Reason, found, id_of, seen
from service.callers import Caller
from service.case_desk import CaseDesk
from service.cases import Cases
from service.shown import CaseShown


class Ended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    outcome: Literal["resolved", "denied"] = "resolved"
    reason: Reason


class BundleShown(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a case: what was decided by which rule and facts, what was tried, what was bought and paid, what came before."""

    case: CaseShown
    decisions: list[dict[str, Any]]
    tried: list[dict[str, Any]]
    order: dict[str, Any] | None
    history: list[dict[str, Any]]


class DeskRoutes(Controller):
    tags = ("desk",)

    @get("/v1/cases/{case_id:str}/bundle", opt=opens_to(*DESK, scope="cases:read"))
    async def show_bundle(
        self, case_id: FromPath[str], caller: NamedDependency[Caller], case_desk: NamedDependency[CaseDesk], cases: NamedDependency[Cases]
    ) -> BundleShown:
        """The full context of a case. That you looked is recorded."""
        case = id_of(case_id)
        shown = found(await cases.get(caller, case))
        bundle = await case_desk.bundle(caller, case)
        if bundle is None:
            raise problems.not_found("case")
        return BundleShown(
            case=shown,
            decisions=_dicts(bundle.decisions),
            tried=_dicts(bundle.tried),
            order=dict(bundle.order) if bundle.order else None,
            history=_dicts(bundle.history),
        )

    @post("/v1/cases/{case_id:str}/resolve", status_code=200, opt=opens_to(*DESK, scope="queue:work", machines="cases:end"))
    async def end_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[Ended],
        caller: NamedDependency[Caller],
        case_desk: NamedDependency[CaseDesk],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Ends a case that you have taken. What is still held or under way, or asked of another team, has to end first."""
        case = await seen(cases, caller, case_id)
        status = await case_desk.end(caller, case, data.outcome, data.reason)
        if status == "referral_open":
            raise problems.conflict(
                status, "Another team has not answered yet", "Take the question back (withdraw the referral), or wait for its answer."
            )
        if status != "ended":
            raise problems.conflict("cannot_end", "The case cannot be ended now", "Take it first, and let what is held in it end.")
        return found(await cases.get(caller, case))


def _dicts(rows: Any) -> list[dict[str, Any]]:
    return [dict(one) for one in rows]
