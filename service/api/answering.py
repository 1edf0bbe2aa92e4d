"""Routes of answering: replies and notes, what is attached to them, what is being typed, texts at hand, and the wait as it is quoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from service.answering import Answering, Kind, MacroShown, NotAttached, NotTaken, TooManyAttached, Unfinished, UnknownMacro
from service.api import problems
from service.api.auth import DESK, opens_to
from service.api.cases import CASE_EXAMPLE, Text, found, seen
from service.api.contract import examples
from service.api.headers import repeatable
from service.attachments import BYTES_MAX, OF_MESSAGE_MAX, TYPES, NotThatType
from service.callers import Caller
from service.cases import Cases
from service.model import WireId, unwire
from service.shown import AttachmentShown, CaseShown
from service.store.idempotency import IdempotencyKey, IdempotencyStore
from service.waits import WaitQuote, Waits

_WORK: Final = opens_to(*DESK, scope="queue:work")
# Words that reach customers, or lie there for a person to send.
_WORDS: Final = opens_to(*DESK, scope="queue:work", machines="replies:write")
_EVERYBODY: Final = ("platform", "agent", "machine", "customer")

AttachmentId = Annotated[str, Meta(pattern=r"^att_[0-9a-f]{32}$(?!\n)")]
Attachments = Annotated[tuple[AttachmentId, ...], Meta(max_length=OF_MESSAGE_MAX)]


class NewReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    body: Text
    attachments: Attachments = ()
    """files that you have attached to this case and sent with nothing yet"""
    macro: Annotated[str, Meta(max_length=60)] | None = None
    """the macro that it was made from"""


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    body: Text
    attachments: Attachments = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Kind
    body: Annotated[str, Meta(max_length=5000)]
    """empty: nothing is being typed any more"""


class DraftShown(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["reply", "note"]
    body: str
    updated_at: datetime
    agent: str
    mine: bool


class DraftsShown(msgspec.Struct, frozen=True, kw_only=True):
    drafts: tuple[DraftShown, ...]


class MacrosShown(msgspec.Struct, frozen=True, kw_only=True):
    macros: tuple[MacroShown, ...]


@dataclass
class _Upload(Operation):
    """The handler reads the bytes itself, so the contract has to be told of the body."""

    def __post_init__(self) -> None:
        file = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        self.request_body = RequestBody(required=True, description="The file itself.", content=dict.fromkeys(TYPES, file))


_FILE: Final = {
    200: ResponseSpec(data_container=bytes, generate_examples=False, media_type="application/octet-stream", description="The file itself")
}
_FILE_EXAMPLE: Final = {"id": "att_0192f1c2aa0b7c3d8e9f0a1b2c3d4e61", "name": "receipt.pdf", "type": "application/pdf", "bytes": 48213}
_MACRO_EXAMPLE: Final = {
    "macros": [
        {"id": "wait_quote", "title": "How long it takes", "body": "It takes us 2 to 6 minutes.", "missing": [], "fits": False},
        {"id": "refund_sent", "title": "Your money is on its way", "body": "[amount?] is on its way.", "missing": ["amount"], "fits": True},
    ]
}
_WAIT_EXAMPLE: Final = {
    "low_seconds": 120,
    "high_seconds": 360,
    "typical_seconds": 180,
    "answered": 23,
    "since": "2026-11-20T20:11:07Z",
}


class AnsweringRoutes(Controller):
    tags = ("desk",)

    @post("/v1/cases/{case_id:str}/notes", status_code=200, opt=_WORK)
    async def add_note(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[NewNote],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """For the desk alone: a note, and what is attached to it, never leaves."""
        case = await seen(cases, caller, case_id)
        await answering.send(caller, idempotency, case, "note", data.body, files=_files(data.attachments))
        return found(await cases.get(caller, case))

    @post(
        "/v1/cases/{case_id:str}/replies",
        status_code=200,
        opt={**_WORDS, **examples(request={"body": "It is on its way."}, answer=CASE_EXAMPLE)},
    )
    async def reply(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[NewReply],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Reaches the customer by the channel they used last: in the case at once, by mail, or by the platform (event `case.replied`).

        A claim of yours lasts at least another minute and a half; a program answers only cases that it has taken. A text that still says
        `[amount?]` or `{amount}` is not sent.
        """
        case = await seen(cases, caller, case_id)
        async with repeatable(repeats, idempotency):
            await answering.send(caller, idempotency, case, "reply", data.body, files=_files(data.attachments), macro=data.macro)
        return found(await cases.get(caller, case))

    @post(
        "/v1/cases/{case_id:str}/attachments",
        # Read to its end and then refused: whoever sends a photo that is too large sees why, and no broken connection.
        request_max_body_size=2 * BYTES_MAX,
        operation_class=_Upload,
        opt={**_WORDS, **examples(answer=_FILE_EXAMPLE)},
    )
    async def attach(
        self,
        *,
        case_id: FromPath[str],
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
        name: Annotated[str, QueryParameter(min_length=1, max_length=200)] = "file",
    ) -> AttachmentShown:
        """Keeps a file for a reply or a note: PNG, JPEG, WebP, PDF or plain text, at most 5 MiB, by its content and not by its name.

        Name its id in the message. What is sent with none within a day is forgotten.
        """
        case = await seen(cases, caller, case_id)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise _not_taken()
        content = await request.body()
        if len(content) > BYTES_MAX:
            raise problems.Problem(status=413, code="body_too_large", detail=f"A file has at most {BYTES_MAX} bytes.")
        return await answering.attach(caller, case, name, kind, content)

    @get("/v1/attachments/{attachment_id:str}", responses=_FILE, opt=opens_to(*_EVERYBODY, scope="cases:read"))
    async def get_attachment(
        self, attachment_id: FromPath[str], caller: NamedDependency[Caller], answering: NamedDependency[Answering]
    ) -> Response[bytes]:
        """A file as it was attached. Customers and the platform have what came with a reply that they are shown; browsers save it."""
        attachment = unwire(WireId.ATTACHMENT, attachment_id)
        file = None if attachment is None else await answering.attachment(caller, attachment)
        if file is None:
            raise problems.not_found("attachment")
        return Response(file.content, media_type=file.type, headers={"Content-Disposition": _saved_as(file.name)})

    @get("/v1/cases/{case_id:str}/macros", opt={**opens_to(*DESK, scope="cases:read"), **examples(answer=_MACRO_EXAMPLE)})
    async def list_macros(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
    ) -> MacrosShown:
        """Texts for this case, filled in with what it knows: those for its problem first, in its language where they have it."""
        case = await seen(cases, caller, case_id)
        return MacrosShown(macros=tuple(await answering.macros(caller, case)))

    @put("/v1/cases/{case_id:str}/draft", status_code=204, opt=_WORDS)
    async def keep_draft(
        self,
        case_id: FromPath[str],
        data: JSONBody[Draft],
        caller: NamedDependency[Caller],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
    ) -> None:
        """Keeps what you are typing, so that it outlives your browser. It goes when it is sent, or when you send it empty."""
        case = await seen(cases, caller, case_id)
        await answering.keep_draft(caller, case, data.kind, data.body)

    @get("/v1/cases/{case_id:str}/drafts", opt=opens_to(*DESK, scope="cases:read"))
    async def list_drafts(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        answering: NamedDependency[Answering],
        cases: NamedDependency[Cases],
    ) -> DraftsShown:
        """What is being typed on this case: your own, and while you have the case what others left."""
        case = await seen(cases, caller, case_id)
        rows = await answering.drafts(caller, case)
        return DraftsShown(
            drafts=tuple(
                DraftShown(kind=one.kind, body=one.body, updated_at=one.updated_at, agent=one.agent, mine=one.mine) for one in rows
            )
        )

    @get("/v1/wait", opt={**opens_to(*_EVERYBODY, scope="cases:read"), **examples(answer=_WAIT_EXAMPLE)})
    async def quote_wait(
        self,
        caller: NamedDependency[Caller],
        waits: NamedDependency[Waits],
        skill: Annotated[str | None, QueryParameter(max_length=40)] = None,
    ) -> WaitQuote:
        """How long people take to look at a case, from what they did within the last 30 minutes."""
        return await waits.quote(caller.platform_id, skill)


def _files(names: tuple[str, ...]) -> tuple[UUID, ...]:
    return tuple(one for one in (unwire(WireId.ATTACHMENT, name) for name in names) if one is not None)


def _saved_as(name: str) -> str:
    """RFC 6266, section 4: never shown within a page; with the name in ASCII for old programs, and as it is for others."""
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%;' else "_" for one in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _not_taken() -> problems.Problem:
    return problems.Problem(
        status=415,
        code="unsupported_media_type",
        title="This kind of file is not taken",
        errors=[problems.FieldError(field="Content-Type", message=f"has to be one of {', '.join(TYPES)}")],
    )


FAILURES: Final[problems.Failures] = {
    NotThatType: lambda wrong: problems.invalid("", f"the content is not {wrong.type}"),
    NotAttached: lambda _: problems.invalid("/attachments", "names a file that is not attached to this case, or was sent already"),
    NotTaken: lambda _: problems.conflict("not_yours", "You have not taken this case", "Take it first."),
    TooManyAttached: lambda _: problems.conflict("too_many_attachments", "No more files", "Send, or leave, what is attached already."),
    Unfinished: lambda found: problems.invalid("/body", f"still says [{'?], ['.join(found.missing)}?]"),
    UnknownMacro: lambda _: problems.invalid("/macro", "is no macro here"),
}
"""how the exceptions of `service.answering` and `service.attachments` read on the wire"""
