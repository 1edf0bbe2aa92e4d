"""Routes with which a customer opens a session and proves an address, or a phone: `/v1/sessions`, `/v1/session`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import open_to_anyone, opens_to
from service.api.cases import Language
from service.api.contract import examples
from service.callers import Caller
from service.identity import CodeAsked, CodeRefused, Identity, NoTexts, TooMany
from service.model import IdentityLevel, WireId, wire
from service.platforms import Platforms

# RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets. What is no address is refused before anything is looked up.
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        pattern=r"^[^\s@<>,;\"\x00-\x1f\x7f]+@[^\s@<>,;\"\x00-\x1f\x7f]+$(?!\n)",
        examples=["mira@example.org"],
    ),
]
OrderRef = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["M0VLU"])]
# A name of 253 characters (RFC 1035) with its scheme; what is longer is no page.
_ORIGIN_LENGTH_MAX: Final = 261
Digits = Annotated[str, Meta(pattern=r"^[0-9]{6}$(?!\n)", examples=["042917"])]


class SessionOpened(msgspec.Struct, frozen=True, kw_only=True):
    """A session. The token is shown once; send it as `Authorization: Bearer …`."""

    id: str
    token: str
    level: IdentityLevel
    expires_at: datetime


class CodeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send a code. With an order: only if the address is of that order."""

    email: Email
    order: OrderRef | None = None
    locale: Language | None = None
    by: Literal["email", "text"] = "email"
    """`text`: to the phone that the buyer of this address left with the order, or with their newest one; it opens the orders with that
    address and that phone. Only where `GET /v1/help` says `codes_by_text`"""


class CodeRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every request: it does not say whether the address or the order is known."""

    detail: str
    valid_minutes: int


class CodeProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Digits


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who we take the customer for now. `level_until`: when a proven level falls back. `strong` after a code by mail and one by text to the
    same buyer: for that buyer's orders.
    """

    level: IdentityLevel
    level_until: datetime | None
    expires_at: datetime | None
    id: str | None


_REQUESTED: Final = CodeRequested(
    detail="If the address belongs to an order, a code is on its way to it. It works once, in this session.", valid_minutes=10
)
_REQUESTED_BY_TEXT: Final = CodeRequested(
    detail="If an order under this address has a phone, a code is on its way to it. It works once, in this session.", valid_minutes=10
)
_OPENED: Final = {"id": "sess_0192", "token": "mgs_…", "level": "anonymous", "expires_at": "2026-11-23T20:00:00Z"}
_SHOWN: Final = {
    "level": "verified",
    "level_until": "2026-11-22T20:30:00Z",
    "expires_at": "2026-11-23T20:00:00Z",
    "id": "sess_0192",
}


_NOT_ACCEPTED: Final = {
    422: ResponseSpec(
        data_container=problems.ProblemBody,
        generate_examples=False,
        media_type=problems.MEDIA_TYPE,
        description="The code is not accepted",
    )
}


class CustomerIdentity(Controller):
    """These POSTs take no Idempotency-Key: a repeat could only be answered with a secret that we do not keep."""

    tags = ("identity",)

    @post("/v1/sessions", opt={**open_to_anyone("a customer starts here"), **examples(answer=_OPENED)})
    async def open_session(
        self,
        platform_slug: NamedDependency[str],
        client_address: NamedDependency[str],
        platforms: NamedDependency[Platforms],
        identity: NamedDependency[Identity],
    ) -> SessionOpened:
        """Opens an anonymous session, in which a customer can ask for help, for a person, or for a code."""
        platform = await platforms.by_slug(platform_slug)
        if platform is None:
            raise problems.not_found("platform")
        opened = await identity.open_session(platform, client_address)
        return SessionOpened(
            id=wire(WireId.SESSION, opened.id), token=opened.token, level=IdentityLevel.ANONYMOUS, expires_at=opened.expires_at
        )

    @post(
        "/v1/sessions/codes",
        status_code=202,
        opt={**opens_to("customer"), **examples(request={"email": "mira@example.org", "order": "M0VLU"}, answer=_REQUESTED)},
    )
    async def request_code(
        self,
        *,
        data: JSONBody[CodeRequest],
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        client_address: NamedDependency[str],
        platforms: NamedDependency[Platforms],
        identity: NamedDependency[Identity],
    ) -> CodeRequested:
        """Asks for a code by mail or by text. The answer is the same whether or not there is such an order, or a phone. A new code replaces
        the older one that went the same way.
        """
        _check_session(caller)
        language = await platforms.language(caller.platform_id, data.locale)
        asked = CodeAsked(
            email=data.email,
            order_ref=data.order,
            language=language,
            client=client_address,
            channel="text" if data.by == "text" else "mail",
            origin=request.headers.get("origin", "")[:_ORIGIN_LENGTH_MAX],
        )
        await identity.request_code(caller, asked)
        return _REQUESTED if data.by == "email" else _REQUESTED_BY_TEXT

    @post(
        "/v1/sessions/verify",
        status_code=200,
        responses=_NOT_ACCEPTED,
        opt={**opens_to("customer"), **examples(request={"code": "042917"}, answer=_SHOWN)},
    )
    async def verify_code(
        self,
        data: JSONBody[CodeProof],
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        client_address: NamedDependency[str],
        identity: NamedDependency[Identity],
    ) -> SessionShown:
        """Raises the session to `verified` for half an hour; a code by mail and one by text to the same buyer together to `strong`, for ten
        minutes and that buyer's orders. Five tries a code; each code works once.
        """
        _check_session(caller)
        await identity.verify_code(caller, data.code, client_address)
        return await _shown(request, caller, identity)

    @get("/v1/session", opt={**opens_to("customer"), **examples(answer=_SHOWN)})
    async def show_session(
        self, request: Request[Any, Any, Any], caller: NamedDependency[Caller], identity: NamedDependency[Identity]
    ) -> SessionShown:
        """Who we take you for now, and until when. Also for a platform's JWT."""
        return await _shown(request, caller, identity)

    @delete("/v1/session", opt=opens_to("customer"))
    async def close_session(self, caller: NamedDependency[Caller], identity: NamedDependency[Identity]) -> None:
        """Ends the session at once and forgets the address and the phone it had proven."""
        _check_session(caller)
        await identity.close_session(caller)


FAILURES: Final[problems.Failures] = {
    TooMany: lambda error: problems.too_many(error.retry_after_seconds),
    NoTexts: lambda _: problems.conflict("no_texts", "Codes go by mail here", "Nobody sends text messages for this installation."),
    CodeRefused: lambda _: problems.Problem(
        status=422,
        code="code_refused",
        title="This code does not work",
        detail="It is wrong, was used, has run out, or too many were tried. Ask for a new one.",
        errors=[problems.FieldError(field="/code", message="does not work")],
    ),
}
"""how the exceptions of `service.identity` read on the wire"""


async def _shown(request: Request[Any, Any, Any], caller: Caller, identity: Identity) -> SessionShown:
    if caller.session_id is None:
        return SessionShown(id=None, level=caller.level, level_until=None, expires_at=None)
    token = request.headers["authorization"].split()[-1]
    now = await identity.session_now(token)
    if now is None:
        raise problems.not_found("session")
    return SessionShown(id=wire(WireId.SESSION, now.id), level=now.level, level_until=now.level_until, expires_at=now.expires_at)


def _check_session(caller: Caller) -> None:
    if caller.session_id is None:
        raise problems.conflict(
            "not_a_session", "This is for sessions of ours", "A platform's JWT proves its customer by itself and ends by itself."
        )
