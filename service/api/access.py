"""Routes of access: a pass's token for the platform, and the check that a stream's edge makes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from service.access import Access, Checked
from service.api import problems
from service.api.auth import opens_to
from service.api.cases import PassId, Ref
from service.api.contract import examples
from service.callers import Caller
from service.model import WireId, unwire


class TokenWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass_id: PassId
    show: Ref


class TokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A signed JWT that opens the stream until it runs out, is replaced, or its pass dies."""

    token: str
    expires_at: datetime


class TokenToCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=1, max_length=4000)]
    show: Ref | None = None


_WANTED: Final = {"pass_id": "pass_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f", "show": "nll26"}


class AccessRoutes(Controller):
    tags = ("access",)

    @post("/v1/access/tokens", status_code=200, opt={**opens_to("platform", scope="orders:write"), **examples(request=_WANTED)})
    async def issue_token(
        self, data: JSONBody[TokenWanted], caller: NamedDependency[Caller], access: NamedDependency[Access]
    ) -> TokenShown:
        """The active token of a pass for a show, made if there is none: asking again gives the same one."""
        pass_id = unwire(WireId.PASS, data.pass_id)
        minted = None if pass_id is None else await access.issue(caller, pass_id, data.show)
        if minted is None:
            raise problems.not_found("pass")
        return TokenShown(token=minted.token, expires_at=minted.expires_at)

    @post("/v1/access/check", status_code=200, opt=opens_to("platform", scope="access:check"))
    async def check_token(self, data: JSONBody[TokenToCheck], caller: NamedDependency[Caller], access: NamedDependency[Access]) -> Checked:
        """Whether a token opens the stream now: signature, times, and that it was not revoked or suspended since."""
        return await access.check(caller, data.token, data.show)
