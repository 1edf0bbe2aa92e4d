"""How agents answer: replies that reach the customer, notes that never leave, what is attached, what is being typed, and texts at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from babel import Locale, UnknownLocaleError

from policies import Macro, Macros, fill, fitting, unfilled
from service import attachments
from service.callers import Caller
from service.cases import Cases
from service.letters.words import choose_locale, money
from service.model import Money, WireId, new_id, wire
from service.platforms import Platforms, PlatformSettings
from service.shown import AttachmentShown, in_language
from service.store.answering import AnsweringStore, Attachment, CaseFacts, DraftRow
from service.store.idempotency import IdempotencyKey
from service.waits import Waits, in_words
from service.watch import Watch

# Whoever writes is still there: long enough to go on, and short enough that a case does not wait long for who wrote and left.
# A program that needs more asks for it.
WRITING_SECONDS: Final = 90.0

Kind = Literal["reply", "note"]


class NotAttached(Exception):  # noqa: N818 - says what is wrong
    """An attachment is of another case, was sent before, or was forgotten."""


class NotTaken(Exception):  # noqa: N818 - says what is wrong
    """A program writes only on cases that it has taken."""


class TooManyAttached(Exception):  # noqa: N818 - says what is wrong
    """So many files wait to be sent, or the case has so many, that no more are taken."""


class Unfinished(Exception):  # noqa: N818 - says what is wrong
    """The text still has places where a macro found no value. `missing`: which."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(", ".join(missing))
        self.missing = tuple(missing)


class UnknownMacro(Exception):  # noqa: N818 - says what is wrong
    """Neither this installation nor the platform has a macro of that name."""


class MacroShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    body: str
    """filled in; a variable without a value reads `[amount?]`, and a reply that still says so is not sent"""
    missing: tuple[str, ...]
    fits: bool
    """it is meant for this case's problem, not for any"""


class Answering:
    """`macros`: the installation's; a platform's own in its settings stand before them."""

    def __init__(self, store: AnsweringStore, cases: Cases, platforms: Platforms, macros: Macros, *, waits: Waits, watch: Watch) -> None:
        self._store = store
        self._cases = cases
        self._platforms = platforms
        self._macros = macros
        self._waits = waits
        self._watch = watch

    async def send(
        self,
        caller: Caller,
        key: IdempotencyKey,
        case: UUID,
        kind: Kind,
        body: str,
        *,
        files: Sequence[UUID] = (),
        macro: str | None = None,
    ) -> None:
        """A reply, by the ways that reach the customer, or a note, which never leaves. Once for each key.

        Raises KeyReused, NotAttached, NotTaken, Unfinished, UnknownMacro.
        """
        if kind == "reply" and (missing := unfilled(body)):
            raise Unfinished(missing)
        if macro is not None and macro not in {one.id for one in await self._all(caller.platform_id)}:
            raise UnknownMacro(macro)
        document: dict[str, Any] = {
            "case": case,
            "message": new_id(),
            "kind": kind,
            "body": body,
            "attachments": list(files),
            "macro": macro,
            "lease_seconds": WRITING_SECONDS,
            "only_taken": kind == "reply" and caller.kind == "machine",
        }
        sent = await self._store.send(caller, key, document)
        if sent == "not_yours":
            raise NotTaken
        if sent == "no_attachment":
            raise NotAttached
        self._watch.tell(await self._cases.target(caller, case))

    # -------------------------------------------------------------------------------------------- attachments

    async def attach(self, caller: Caller, case: UUID, name: str, kind: str, content: bytes) -> AttachmentShown:
        """Keeps a file until it is sent, a day at most. Raises NotTaken, NotThatType, TooManyAttached."""
        await self._check_taken(caller, case)
        fit, attachment = attachments.checked(name, kind, content), new_id()
        if not await self._store.attach(caller, case, attachment, name=fit, kind=kind, content=content):
            raise TooManyAttached
        return AttachmentShown(id=wire(WireId.ATTACHMENT, attachment), name=fit, type=kind, bytes=len(content))

    async def attachment(self, caller: Caller, attachment: UUID) -> Attachment | None:
        """A file that this caller may have: at the desk any, else what came with a reply that they are shown. None: not theirs, or none."""
        found = await self._store.attachment(caller.platform_id, attachment)
        if found is None:
            return None
        if caller.kind in {"agent", "machine"}:
            return found
        name = wire(WireId.ATTACHMENT, attachment)
        for case in found.cases if found.sent else ():
            shown = await self._cases.get(caller, case)
            if shown is not None and any(one.id == name for message in shown.messages for one in message.attachments):
                return found
        return None

    # ------------------------------------------------------------------------------------------------- drafts

    async def keep_draft(self, caller: Caller, case: UUID, kind: Kind, body: str) -> None:
        """Nothing typed is lost with a browser, a session or a claim. Empty: there is none any more. Raises NotTaken."""
        await self._check_taken(caller, case)
        await self._store.keep_draft(caller, case, kind, body)

    async def drafts(self, caller: Caller, case: UUID) -> Sequence[DraftRow]:
        return await self._store.drafts(caller, case)

    # ------------------------------------------------------------------------------------------------- macros

    async def macros(self, caller: Caller, case: UUID) -> Sequence[MacroShown]:
        """Those for the case's problem first, filled in with what the case knows, in its language where they have it."""
        facts, platform = await self._store.facts(caller.platform_id, case), await self._platforms.by_id(caller.platform_id)
        if facts is None or platform is None:
            return ()
        wait = in_words(await self._waits.quote(caller.platform_id), facts.locale)
        values = _values(facts, platform.settings, agent=caller.name.partition(":")[2] or caller.name, wait=wait)
        return tuple(_shown(one, facts.locale, values) for one in fitting(await self._all(caller.platform_id), facts.problem))

    async def _all(self, platform: UUID) -> Sequence[Macro]:
        found = await self._platforms.by_id(platform)
        own = found.settings.macros if found else ()
        taken = {one.id for one in own}
        return (*own, *(one for one in self._macros.all if one.id not in taken))

    async def _check_taken(self, caller: Caller, case: UUID) -> None:
        """What lies there for people to send, a program leaves only where it works itself."""
        if caller.kind == "machine" and not await self._store.has(caller, case):
            raise NotTaken

    async def forget_old(self) -> None:
        """Files that nobody sent, and drafts that nobody touched for a month."""
        await self._store.forget_old()


def _values(facts: CaseFacts, settings: PlatformSettings, *, agent: str, wait: str) -> dict[str, str | None]:
    """In the case's language. Of several currencies each amount, since none of them is the amount."""
    amounts = [money(Money(minor=one.amount, currency=one.currency), _locale(facts.locale)) for one in facts.refunded]
    return {
        "order": facts.order,
        "show": in_language(facts.show, facts.locale) if facts.show else None,
        "amount": " + ".join(amounts) or None,
        "reference": facts.reference,
        "agent": agent,
        "wait": wait,
        "platform": settings.name,
    }


def _locale(tag: str) -> Locale:
    """English for a language that nobody knows how to write amounts in."""
    try:
        return choose_locale(tag, tag.split("-", maxsplit=1)[0].lower())
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def _shown(macro: Macro, locale: str, values: dict[str, str | None]) -> MacroShown:
    filled = fill(in_language(macro.body, locale), values)
    return MacroShown(
        id=macro.id, title=in_language(macro.title, locale), body=filled.text, missing=filled.missing, fits=bool(macro.problems)
    )
