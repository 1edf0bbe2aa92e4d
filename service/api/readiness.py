"""The route that tells a platform what it has not fed yet: `/v1/platform/readiness`."""

from __future__ import annotations

from typing import Final

from litestar import Controller, get
from litestar.di import NamedDependency

from service.api.auth import opens_to
from service.api.contract import examples
from service.callers import Caller
from service.wants import Readiness, Wants

_CHECK_INS: Final = "send the order again with `pass.checked_in_at` when the gate lets somebody in"
_EXAMPLE: Final = {
    "fed": [{"name": "check_ins", "fed": False, "needed": False, "mend": _CHECK_INS}],
    "rules": [{"pack": "passes", "rule": "used", "effect": "never_applies", "facts": ["pass.checked_in"], "mend": [_CHECK_INS]}],
}


class ReadinessRoutes(Controller):
    """For whoever integrates a platform."""

    tags = ("settings",)

    @get("/v1/platform/readiness", opt={**opens_to("platform", scope="orders:read"), **examples(answer=_EXAMPLE)})
    async def show_readiness(self, caller: NamedDependency[Caller], wants: NamedDependency[Wants]) -> Readiness:
        """What the platform has fed so far, and which rules can never decide, decide blind or hand over for want of facts."""
        return await wants.of(caller.platform_id)
