"""Writes the letters about passes and cases: what they say comes from the rows as they stand, and from the policy's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from service.access import Access
from service.addresses import folded
from service.letters.model import (
    AfterShow,
    CaseDenied,
    CaseHandedOver,
    CaseQuestion,
    CaseReply,
    CaseResolved,
    CaseWaiting,
    Letter,
    MoneySent,
    PassReplaced,
    PassResent,
    ShowNotice,
    TicketShown,
    Words,
)
from service.letters.render import OUR_WORDS, Letters, letter_name
from service.letters.words import choose_language
from service.model import Money, WireId, new_id, wire
from service.platforms import Platform, Platforms
from service.ports import Mail, MailFile
from service.post_words import answered_by, problem_said, refusal, sentence
from service.satisfaction import Satisfactions
from service.shown import CaseShown, in_language, operation_status, show
from service.store import access as access_store
from service.store import cases, post
from service.store.cases import CaseRecord, OperationRow
from service.store.notices import NoticeStore
from service.store.pool import Pool
from service.store.post import Addressee, PassToSend, ToldBefore

# What a mail brings in files; larger ones are refused by servers that take ten megabytes, and are slow on a phone.
FILES_BYTES_MAX: Final = 1024 * 1024

# Operations whose success a letter tells in a sentence of its own.
_TOLD_ACTIONS: Final = ("resend_pass", "replace_pass", "reissue_access")


class CaseMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail about a case, and what the case's timeline says of it: the letter's name and what it told, never an address."""

    case: UUID
    mail: Mail
    told: Mapping[str, Any]


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What every sentence of one letter stands on."""

    language: str
    words: Words
    name: str
    show: str
    zone: str
    case_url: str


class Post:
    """`public_url` is where customers reach this installation, without a slash at the end."""

    def __init__(
        self,
        pool: Pool,
        *,
        platforms: Platforms,
        letters: Letters,
        access: Access,
        satisfactions: Satisfactions,
        public_url: str,
    ) -> None:
        self._pool = pool
        self._platforms = platforms
        self._letters = letters
        self._access = access
        self._satisfactions = satisfactions
        self._public_url = public_url.rstrip("/")

    # ------------------------------------------------------------------------------------------------ passes

    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        """The pass as it is now, to its holder, else to the buyer. None: no address, or it admits nobody any more."""
        row, sells = await post.pass_to_send(self._pool, platform, operation), await self._platforms.by_id(platform)
        if row is None or sells is None:
            return None
        kind = PassReplaced if row.letter == "pass_replaced" else PassResent
        letter = kind(
            name=row.name or "",
            show=in_language(row.show_name, _language(sells, row.locale)),
            zone=row.zone,
            case_url=self._case_url(sells, row.case_id),
            starts_at=row.starts_at,
            tickets=(TicketShown(barcode=row.barcode, title=row.title, holder=row.holder or ""),),
            link=await self._stream_link(sells, row) if row.kind == "stream" else "",
        )
        return self._mail(sells, letter, row.locale, to=row.address, key=operation)

    async def _stream_link(self, sells: Platform, row: PassToSend) -> str:
        """Where the stream opens: the show's, else the platform's setting `stream_url`, `https://live.example/{show}?access={token}`.

        Where neither says so, or the pass is suspended, it is the page of the case, which shows the way in to whoever proves who they are.
        """
        if not row.stream_url:
            return self._case_url(sells, row.case_id)
        issued = await access_store.issue(self._pool, sells.id, row.pass_id, row.show, new_id())
        token = None if issued is None else await self._access.token(sells.id, issued.jti)
        if token is None:
            return self._case_url(sells, row.case_id)
        return row.stream_url.replace("{show}", quote(row.show, safe="")).replace("{token}", token.token)

    # ------------------------------------------------------------------------------------------------- cases

    async def case_letter(self, platform: UUID, case: UUID, version: int) -> CaseMail | None:
        """What there is to tell about the case as it stands now; `version` is the case's when somebody saw that there is something.

        None: an earlier letter has told it, there is nothing to tell, or nobody to tell it to. The same news is the same mail, whichever
        version is told: however often it is looked whether what a case waits for has come, its customer hears of the wait once, and two
        letters that fell due together (a mail server was away, a process was started again) are one mail about its end.
        """
        whom, sells = await post.addressee(self._pool, platform, case), await self._platforms.by_id(platform)
        if whom is None or sells is None:
            return None
        record = await cases.read(self._pool, platform, case, (folded(whom.address), None, None))
        before = await post.told_before(self._pool, platform, case)
        if record is None or record.state == "joined" or record.id != case or before.version >= version:
            return None
        language = _language(sells, record.locale)
        news = tuple(one for one in record.operations if one.id not in before.operations)
        as_told = msgspec.structs.replace(record, locale=language, operations=news)
        letter = self._letter(as_told, before, self._place(sells, whom, language), sells)
        wait = _wait(letter, record)
        if letter is None or (wait is not None and wait == before.wait):
            return None
        name, operations = letter_name(letter), _told_of(letter, news)
        told = {"letter": name, "version": max(version, record.version), "operations": operations}
        end = f"{name} at {record.ended_at} {sorted(one.hex for one in operations)}"
        return CaseMail(
            case=case,
            mail=self._mail(sells, letter, record.locale, to=whom.address, key=uuid5(case, f"told {wait or end}")),
            told=told | ({} if wait is None else {"wait": wait}),
        )

    def _letter(self, record: CaseRecord, before: ToldBefore, at: _Place, platform: Platform) -> Letter | None:
        shown = show(record, "holder" if record.requester == "holder" else "buyer", ())
        if shown.status == "resolved":
            return _resolved(shown, record, before, at)
        if shown.status == "denied":
            return _denied(shown, at)
        if record.owner == "queue" and record.due_at is not None:
            hours, zone = platform.settings.desk_hours, platform.settings.zone
            return CaseHandedOver(**_basics(at), known=_known(shown, at), answer_by=answered_by(record.due_at, hours, zone))
        if shown.status == "waiting" and shown.wait is not None:
            return CaseWaiting(**_basics(at), because=_because(shown, "wait"), until=shown.wait.until)
        if shown.status == "asked" and shown.question is not None:
            options = "".join(f"\n{one.text}" for one in shown.question.options)
            return CaseQuestion(**_basics(at), question=shown.question.prompt + options)
        return None

    async def reply_letter(self, platform: UUID, message: UUID) -> CaseMail | None:
        """An agent's reply. None: it was sent before, or there is nobody known to send it to (the case shows it all the same)."""
        row = await post.reply_to_send(self._pool, platform, message)
        if row is None or row.told:
            return None
        whom, sells = await post.addressee(self._pool, platform, row.case_id), await self._platforms.by_id(platform)
        if whom is None or sells is None:
            return None
        at = self._place(sells, whom, _language(sells, whom.locale))
        found = await post.files_to_send(self._pool, platform, message, FILES_BYTES_MAX)
        files = tuple(MailFile(name=one.name, type=one.type, content=one.content) for one in found if one.content)
        letter = CaseReply(
            **_basics(at),
            agent=row.author.partition(":")[2] or row.author,
            body=row.body,
            attached=tuple(one.name for one in found if one.content),
            in_case=tuple(one.name for one in found if not one.content),
        )
        mail = self._mail(sells, letter, whom.locale, to=whom.address, key=message, files=files)
        return CaseMail(case=row.case_id, mail=mail, told={"letter": letter_name(letter), "message": message})

    async def after_show_letter(self, platform: UUID, case: UUID) -> CaseMail | None:
        """The one question a day after the show. None: it was sent or answered before, or there is nobody known to send it to."""
        whom, sells = await post.addressee(self._pool, platform, case), await self._platforms.by_id(platform)
        if whom is None or sells is None or await post.asked_after_show(self._pool, platform, case):
            return None
        at = self._place(sells, whom, _language(sells, whom.locale))
        url = f"{self._public_url}/feedback#{self._satisfactions.token(platform, case)}"
        mail = self._mail(
            sells, AfterShow(**_basics(at), feedback_url=url), whom.locale, to=whom.address, key=uuid5(case, "after the show")
        )
        return CaseMail(case=case, mail=mail, told={"letter": "after_show"})

    async def notice_letter(self, platform: UUID, notice: UUID, person: UUID, seq: int) -> Mail | None:
        """What is said on a show, to one who asked to be told. None: they take no more of them, or another letter tells it."""
        row, sells = await NoticeStore(self._pool).letter(platform, notice, person, seq), await self._platforms.by_id(platform)
        if row is None or sells is None:
            return None
        language = _language(sells, row.locale)
        letter = ShowNotice(
            name=row.name or "",
            show=in_language(row.show_name, language),
            zone=row.zone,
            case_url=f"{self._public_url}/help/{sells.slug}?show={quote(row.show, safe='')}",
            body=in_language(row.text, language),
            state="over" if row.is_over else "news",
        )
        return self._mail(sells, letter, row.locale, to=row.address, key=uuid5(notice, f"{person.hex} {seq}"))

    # ------------------------------------------------------------------------------------------------- parts

    def _case_url(self, platform: Platform, case: UUID) -> str:
        """The case's page. It carries no token: whoever opens it proves who they are."""
        return f"{self._public_url}/help/{platform.slug}/{wire(WireId.CASE, case)}"

    def _place(self, platform: Platform, whom: Addressee, language: str) -> _Place:
        return _Place(
            language=language,
            words=platform.settings.look.words.get(language, OUR_WORDS[language]),
            name=whom.name or "",
            show=in_language(whom.show_name or {}, language) or platform.settings.name,
            zone=whom.zone,
            case_url=self._case_url(platform, whom.case_id),
        )

    def _mail(self, platform: Platform, letter: Letter, locale: str, *, to: str, key: UUID, files: tuple[MailFile, ...] = ()) -> Mail:
        rendered = self._letters.render(letter, platform.settings.look, locale)
        reply_to = platform.settings.contacts.email
        return rendered.mail(to=to, message_key=key, sender=platform.settings.sender, reply_to=reply_to, files=files)


# -------------------------------------------------------------------------------------------------- what a letter says (pure)


def _language(platform: Platform, locale: str) -> str:
    """The language that the letter will be written in, so that the policy's texts in it are of the same."""
    return choose_language(locale, platform.settings.look.languages, OUR_WORDS)


def _basics(at: _Place) -> dict[str, Any]:
    return {"name": at.name, "show": at.show, "zone": at.zone, "case_url": at.case_url}


def _wait(letter: Letter | None, record: CaseRecord) -> str | None:
    """What the letter says the case waits for, and until when."""
    if isinstance(letter, CaseHandedOver):
        return f"people until {letter.answer_by.isoformat()}"
    return f"{record.wait_for} until {record.wait_until}" if isinstance(letter, CaseWaiting | CaseQuestion) else None


def _told_of(letter: Letter, news: Sequence[OperationRow]) -> list[UUID]:
    """The operations that the letter tells of: no later one need tell them again. Only the last letter of a case tells of money."""
    ended = [one for one in news if operation_status(one) in {"sent", "done"}]
    if isinstance(letter, CaseHandedOver):
        return [one.id for one in ended if one.action in _TOLD_ACTIONS]
    return [one.id for one in ended] if isinstance(letter, CaseResolved) else []


def _because(shown: CaseShown, *outcomes: str) -> str:
    return "\n\n".join(one.because for one in shown.answers if one.outcome in outcomes and one.because)


def _done(shown: CaseShown, at: _Place) -> tuple[str, ...]:
    actions = dict.fromkeys(one.action for one in shown.operations if one.status == "done" and one.action in _TOLD_ACTIONS)
    return tuple(sentence(at.language, action, at.words) for action in actions)


def _resolved(shown: CaseShown, record: CaseRecord, before: ToldBefore, at: _Place) -> CaseResolved:
    """A denial beside what was approved is explained with it. A holder hears nothing of money."""
    money = [one for one in shown.operations if one.amount is not None and one.currency is not None and record.requester != "holder"]
    sent = tuple(
        MoneySent(amount=Money(minor=one.amount or 0, currency=one.currency or ""), to=one.to or "", chosen=one.chosen)
        for one in money
        if one.action == "refund" and one.status == "sent"
    )
    credit = tuple(
        Money(minor=one.amount or 0, currency=one.currency or "")
        for one in money
        if one.action == "goodwill_credit" and one.status == "done"
    )
    if record.outcome == "already_done":
        because = sentence(at.language, "already_done", at.words)
    elif any(one.outcome == "approve" for one in shown.answers):
        because = _because(shown, "approve", "deny") or sentence(at.language, "by_people", at.words)
    else:
        # The rules had said no, or nothing: it was people who settled it, and a denial of before is not the reason.
        because = sentence(at.language, "by_people", at.words)
    return CaseResolved(
        **_basics(at),
        because=because,
        money_sent=sent,
        credit=credit,
        done=_done(shown, at),
        ticket="ended" if sent and before.whole else "kept",
    )


def _denied(shown: CaseShown, at: _Place) -> CaseDenied:
    changes = [one.would_change for one in shown.answers if one.outcome == "deny" and one.would_change]
    return CaseDenied(
        **_basics(at),
        answer=refusal(at.language, shown.problem, at.words),
        because=_because(shown, "deny") or sentence(at.language, "by_people", at.words),
        would_change="\n\n".join(changes) or sentence(at.language, "would_change", at.words),
    )


def _known(shown: CaseShown, at: _Place) -> tuple[str, ...]:
    """What the people who have it need not be told again."""
    problem = problem_said(at.language, shown.problem, at.words)
    known = [sentence(at.language, "problem", at.words, problem)] if problem else []
    if shown.order:
        known += [sentence(at.language, "order", at.words, shown.order), sentence(at.language, "proven", at.words)]
    if any(one.kind == "customer" for one in shown.messages):
        known.append(sentence(at.language, "written", at.words))
    return (*known, *_done(shown, at))
