"""Routes that pause and resume: `/v1/brakes`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.brakes import Brake, Brakes, Scope, UnknownBrake
from service.callers import Caller

Reason = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["refunds look too high since 20:10"])
]
Ref = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["refund"])]

_WRITE: Final = opens_to("platform", "agent", scope="brakes:write")


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept with who and when."""

    reason: Reason


class BrakesShown(msgspec.Struct, frozen=True, kw_only=True):
    brakes: tuple[Brake, ...]


_EXAMPLE: Final = {
    "brakes": [
        {
            "scope": "rail",
            "ref": "stripe",
            "reason": "refunds look too high since 20:10",
            "actor": "agent:Mira",
            "created_at": "2026-11-22T20:12:00Z",
        }
    ]
}


class BrakeRoutes(Controller):
    """A brake holds in every process from the answer on: nothing new is sent, and what was sent is followed up."""

    tags = ("brakes",)

    @get("/v1/brakes", opt={**_WRITE, **examples(answer=_EXAMPLE)})
    async def list_brakes(self, caller: NamedDependency[Caller], brakes: NamedDependency[Brakes]) -> BrakesShown:
        """Shows what is paused, the oldest first."""
        _check_lead(caller)
        return BrakesShown(brakes=tuple(await brakes.list(caller.platform_id)))

    @put(
        "/v1/brakes/{kind:str}/{ref:str}",
        opt={**_WRITE, **examples(request={"reason": "refunds look too high since 20:10"}, answer=_EXAMPLE)},
    )
    async def pause(
        self,
        kind: FromPath[Scope],
        ref: FromPath[Ref],
        data: JSONBody[Pause],
        caller: NamedDependency[Caller],
        brakes: NamedDependency[Brakes],
    ) -> BrakesShown:
        """Pauses an action, a rail, a show (by its reference) or everything (`all/-`). The same again changes the reason."""
        _check_lead(caller)
        await brakes.pause(caller, kind, ref, data.reason)
        return BrakesShown(brakes=tuple(await brakes.list(caller.platform_id)))

    @delete("/v1/brakes/{kind:str}/{ref:str}", opt=_WRITE)
    async def resume(
        self,
        kind: FromPath[Scope],
        ref: FromPath[Ref],
        caller: NamedDependency[Caller],
        brakes: NamedDependency[Brakes],
        reason: FromQuery[Reason | None] = None,
    ) -> None:
        """Resumes: what was kept back goes at once, unless another brake holds it. What is not paused stays so."""
        _check_lead(caller)
        await brakes.resume(caller, kind, ref, reason or "")


def _check_lead(caller: Caller) -> None:
    if caller.kind == "agent" and caller.role != "lead":
        raise problems.not_allowed("not_a_lead", "Pausing and resuming is for leads.")


def _unknown(error: UnknownBrake) -> problems.Problem:
    return problems.not_found(str(error))


FAILURES: Final[problems.Failures] = {UnknownBrake: _unknown}
"""how the exceptions of `service.brakes` read on the wire"""
