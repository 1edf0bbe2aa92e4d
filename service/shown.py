"""A case as its customer, an agent or the platform reads it: words for states, texts of the policy, and only what is theirs to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from service.model import ADDRESSED, PLATFORM_ANSWERS, WireId, wire
from service.playback import Playback
from service.standing import HandoffShown, PlayerShown, first_name, handoff, status, with_people
from service.store.cases import CaseRecord, OperationRow
from service.texts import TEXTS

Audience = Literal["buyer", "holder", "session", "platform", "desk"]


class AnswerShown(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule said, in the case's language."""

    outcome: str
    because: str
    would_change: str | None = None
    rule: str | None = None
    """`pack/rule`; for agents and the platform"""


class OptionShown(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    text: str
    needs_address: bool = False
    """of a way for money: `/payout` has to name the mail address of the account"""


class QuestionShown(msgspec.Struct, frozen=True, kw_only=True):
    """The one thing that is needed; answer with `POST /v1/cases/{id}/answers`, `/identify` for `identity`, `/payout` for `destination`."""

    fact: str
    prompt: str
    options: tuple[OptionShown, ...] = ()


class WaitShown(msgspec.Struct, frozen=True, kw_only=True):
    waiting_for: str
    until: datetime


class OperationShown(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done for the customer. `status`: `working`, `sent` (accepted), `done`, `held` (people must agree), `choose` (the
    customer says where it should go, with `POST /v1/cases/{id}/payout`), `could_not`.
    """

    id: str
    action: str
    status: Literal["working", "sent", "done", "held", "choose", "could_not"]
    amount: int | None = None
    currency: str | None = None
    to: str | None = None
    """where the money goes: `Visa ·· 4242`"""
    chosen: bool = False
    """the customer said where the money goes: it goes not back the way it was paid"""
    sent_at: datetime | None = None
    """when the processor accepted it"""
    reference: str | None = None
    """the processor's own, for whoever bought it to show to their bank"""
    pass_id: str | None = None
    payment: str | None = None
    """the platform's own reference of the payment; for agents and the platform"""
    holds: tuple[str, ...] = ()
    approvals: int = 0
    approvals_needed: int = 0
    failure: str | None = None


class AccessShown(msgspec.Struct, frozen=True, kw_only=True):
    """A working key to the stream. Shown to its customer and to the platform, never to agents."""

    pass_id: str
    token: str
    expires_at: datetime
    playback: Playback | None = None
    """what the platform's video service takes in its place, where it has one: look again for the next one"""


class AttachmentShown(msgspec.Struct, frozen=True, kw_only=True):
    """A file: `GET /v1/attachments/{id}` has its content."""

    id: str
    name: str
    type: str
    bytes: int


class MessageShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["customer", "reply", "note"]
    author: str
    body: str
    created_at: datetime
    attachments: tuple[AttachmentShown, ...] = ()
    via: tuple[Literal["widget", "mail", "api"], ...] = ()
    """of a reply: by which ways it went; `api`: told to the platform with `case.replied`, which carries it"""


class WaitRange(msgspec.Struct, frozen=True, kw_only=True):
    """How long it takes people just now to look at a case: most wait between these."""

    low_seconds: int
    high_seconds: int


class ArticleShown(msgspec.Struct, frozen=True, kw_only=True):
    """A help page that fixes this for most."""

    url: str
    title: str


class DeskShown(msgspec.Struct, frozen=True, kw_only=True):
    skill: str | None
    agent: str | None
    queued_at: datetime | None
    guards: tuple[str, ...]


class CaseShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: Literal["open", "resolved", "denied", "joined", "closed"]
    status: str
    """in a word: `working`, `asked`, `waiting`, `with_people`, `resolved`, `denied`, `closed`"""
    problem: str
    order: str | None
    show: str | None
    show_name: str | None
    identity: str
    locale: str
    created_at: datetime
    ended_at: datetime | None
    version: int
    answers: tuple[AnswerShown, ...]
    question: QuestionShown | None
    wait: WaitShown | None
    operations: tuple[OperationShown, ...]
    access: tuple[AccessShown, ...]
    messages: tuple[MessageShown, ...]
    joined_to: str | None
    can_ask_a_person: bool
    wait_quote: WaitRange | None = None
    """while it waits for people"""
    handoff: HandoffShown | None = None
    """for customers, while it is with people"""
    article: ArticleShown | None = None
    """while the case asks whether it works now"""
    desk: DeskShown | None = None
    """for agents and the platform"""
    player: PlayerShown | None = None
    """for agents and the platform"""


def show(
    record: CaseRecord,
    audience: Audience,
    access: Sequence[AccessShown],
    wait_quote: WaitRange | None = None,
    opens_at: datetime | None = None,
) -> CaseShown:
    """The case for this audience. Of a joined case, the case it joined, under the id that was asked for.

    `opens_at`: when the desk opens; None: people are there.
    """
    joined = record.state == "joined" or record.id != record.asked_id
    to_desk = audience in {"desk", "platform"}
    return CaseShown(
        id=wire(WireId.CASE, record.asked_id),
        state="joined" if joined else record.state,  # type: ignore[arg-type]  # the column's CHECK names the same five
        status=status(record),
        problem=record.problem,
        order=record.order or (record.claimed_order if audience != "holder" else None),
        show=record.show.ref if record.show else None,
        show_name=in_language(record.show.name, record.locale) if record.show else None,
        identity=record.identity,
        locale=record.locale,
        created_at=record.created_at,
        ended_at=record.ended_at,
        version=record.version,
        answers=_answers(record, with_rules=to_desk) if audience != "holder" else _answers_of_holder(record),
        question=_question(record, audience) if audience != "holder" or record.requester == "holder" else None,
        wait=_wait(record),
        operations=tuple(_operation(one, audience, record.locale) for one in record.operations if audience != "holder" or one.mine),
        access=tuple(access),
        messages=_messages(record, audience),
        joined_to=wire(WireId.CASE, record.id) if joined else None,
        can_ask_a_person=not with_people(record),
        wait_quote=wait_quote,
        handoff=None if to_desk else handoff(record, opens_at),
        article=_article(record) if audience != "holder" or record.requester == "holder" else None,
        player=msgspec.convert(record.player, PlayerShown) if to_desk and record.player else None,
        desk=DeskShown(skill=record.skill, agent=record.agent, queued_at=record.queued_at, guards=tuple(record.guards))
        if to_desk
        else None,
    )


def in_language(texts: Mapping[str, str], wanted: str) -> str:
    """The text in the wanted language, in its base language, in English, or in the first there is."""
    for language in (wanted, wanted.split("-", maxsplit=1)[0], "en"):
        if language in texts:
            return texts[language]
    return next(iter(texts.values()), "")


# ------------------------------------------------------------------------------------------------------------------------- parts


def _answers(record: CaseRecord, *, with_rules: bool) -> tuple[AnswerShown, ...]:
    """Each rule that spoke, once, what is done first."""
    found: dict[str, AnswerShown] = {}
    for one in record.verdicts:
        verdict = one["verdict"]
        rule = f"{verdict['pack']}/{verdict['rule']}"
        found.setdefault(
            rule,
            AnswerShown(
                outcome=verdict["outcome"],
                because=in_language(verdict["because"], record.locale),
                would_change=in_language(verdict["would_change"], record.locale) or None,
                rule=rule if with_rules else None,
            ),
        )
    if record.wait_for == PLATFORM_ANSWERS and record.ended_at is None:
        found["wait"] = AnswerShown(outcome="wait", because=in_language(_PLATFORM_AWAY, record.locale), would_change=None, rule=None)
    order = ("approve", "ask", "wait", "escalate", "deny")
    return tuple(sorted(found.values(), key=lambda one: order.index(one.outcome)))


def _answers_of_holder(record: CaseRecord) -> tuple[AnswerShown, ...]:
    """A holder hears of their own ticket; of money that others paid they hear nothing."""
    if record.requester == "holder":
        return _answers(record, with_rules=False)
    return ()


# What is asked when no rule asks, said while the platform's own system does not answer, and asked of money that could not go back.
_PROMPTS: Final = TEXTS.by_name("asked")
_PLATFORM_AWAY: Final = TEXTS.by_name("away")["platform"]
_WHERE: Final = TEXTS.by_name("where")
_WAYS: Final = TEXTS.by_name("ways")
_CLOSED: Final = frozenset({"expired_or_canceled_card", "lost_or_stolen_card"})


ASKED_FOR: Final = frozenset(_PROMPTS)
"""what is asked when no rule asks"""


def asked_for(fact: str, language: str) -> str:
    """The question for what no rule asks: `identity` or `passes`."""
    return in_language(_PROMPTS[fact], language)


def platform_away(language: str) -> str:
    """What is said while the platform's own system does not answer."""
    return in_language(_PLATFORM_AWAY, language)


def _where(record: CaseRecord) -> QuestionShown | None:
    """Where a refund should go that cannot go back where it came from."""
    refund = next((one for one in record.operations if one.choosable), None)
    if refund is None:
        return None
    why = "unreachable" if refund.state == "SENT" else "closed" if refund.failure in _CLOSED else "refused"
    options = tuple(
        OptionShown(value=one["rail"], text=in_language(_WAYS[one["kind"]], record.locale), needs_address=one["kind"] in ADDRESSED)
        for one in refund.result.get("offers", ())
    )
    return QuestionShown(fact="destination", prompt=in_language(_WHERE[why], record.locale), options=options)


def _question(record: CaseRecord, audience: Audience) -> QuestionShown | None:
    if record.ended_at is not None or record.owner != "timer" or not (record.wait_for or "").startswith("answer:"):
        return None
    fact = (record.wait_for or "").removeprefix("answer:")
    if fact == "destination":
        return _where(record) if audience in {"buyer", "desk", "platform"} else None
    if fact in _PROMPTS:
        options = tuple(OptionShown(value=wire(WireId.PASS, one.id), text=one.name) for one in record.passes) if fact == "passes" else ()
        return QuestionShown(fact=fact, prompt=in_language(_PROMPTS[fact], record.locale), options=options)
    for one in record.verdicts:
        asked = one["verdict"].get("ask")
        if asked and asked["fact"] == fact:
            options = tuple(OptionShown(value=o["value"], text=in_language(o["text"], record.locale)) for o in asked["options"])
            return QuestionShown(fact=fact, prompt=in_language(asked["prompt"], record.locale), options=options)
    return None


def _article(record: CaseRecord) -> ArticleShown | None:
    """What the rule that asks stands on; its title as the show has it now."""
    asking = next((one for one in record.verdicts if one["verdict"]["outcome"] == "ask"), None)
    url = None if asking is None else asking["facts"].get("article.key")
    if not url or record.ended_at is not None or record.owner != "timer":
        return None
    return ArticleShown(url=url, title=in_language(record.article.title, record.locale) if record.article else url)


def _wait(record: CaseRecord) -> WaitShown | None:
    if record.ended_at is not None or record.owner != "timer" or record.wait_for is None or record.wait_for.startswith("answer:"):
        return None
    if with_people(record):
        return None
    return WaitShown(waiting_for=record.wait_for, until=record.wait_until or record.created_at)


def _operation(row: OperationRow, audience: Audience, language: str) -> OperationShown:
    money, to_desk = row.amount is not None, audience in {"desk", "platform"}
    # What a customer recognises: the card it goes back to, else the way that was chosen.
    chosen = next((one["kind"] for one in row.result.get("offers", ()) if one["rail"] == row.rail), None)
    to = in_language(_WAYS[chosen], "en" if to_desk else language) if chosen else row.method or None
    return OperationShown(
        id=wire(WireId.OPERATION, row.id),
        action=row.action,
        status=operation_status(row),
        amount=row.amount,
        currency=row.currency if money else None,
        to=to if audience != "session" else None,
        chosen=chosen is not None and audience != "session",
        sent_at=row.accepted_at,
        reference=row.reference if audience == "buyer" and money else None,
        pass_id=wire(WireId.PASS, row.pass_id) if row.pass_id else None,
        payment=row.payment_ref if to_desk else None,
        holds=row.holds if to_desk else (),
        approvals=row.approvals if to_desk else 0,
        approvals_needed=row.approvals_needed if to_desk else 0,
        failure=row.failure if to_desk else None,
    )


def operation_status(row: OperationRow) -> Literal["working", "sent", "done", "held", "choose", "could_not"]:
    """`sent` when the processor accepted it: never `done` for money that is still on its way."""
    if row.choosable and row.result.get("offers"):
        return "choose"
    if row.state in {"REFUSED", "FAILED"}:
        return "could_not"
    if row.state in {"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"}:
        return "held"
    if row.action == "refund":
        return "sent" if row.accepted_at is not None or row.state == "DONE" else "working"
    return "done" if row.state == "DONE" else "working"


def _messages(record: CaseRecord, audience: Audience) -> tuple[MessageShown, ...]:
    """Notes never leave the desk."""
    kinds: set[str] = {"customer", "reply"} | ({"note"} if audience == "desk" else set())
    if audience == "holder" and record.requester != "holder":
        return ()
    to_desk = audience in {"desk", "platform"}
    return tuple(
        MessageShown(
            id=wire(WireId.MESSAGE, one.id),
            kind=one.kind,  # type: ignore[arg-type]  # the column's CHECK names the same three
            author=one.author if to_desk or one.kind == "customer" else first_name(one.author.removeprefix("agent:")),
            body=one.body,
            created_at=one.created_at,
            attachments=tuple(
                AttachmentShown(id=wire(WireId.ATTACHMENT, file.id), name=file.name, type=file.type, bytes=file.bytes)
                for file in one.attachments
            ),
            via=one.via,  # type: ignore[arg-type]  # reply_via() names the same three
        )
        for one in record.messages
        if one.kind in kinds
    )


# What a customer may read of a timeline: what happened to them, not how the desk works.
CUSTOMER_KINDS: Final = frozenset(
    {
        "contact_received",
        "contact_joined",
        "joined",
        "decided",
        "already_done",
        "answered",
        "asked_for_a_person",
        "replied",
        "taken",
        "customer_told",
    }
)


def entry_for_customer(kind: str, data: Mapping[str, Any], audience: Audience) -> Mapping[str, Any] | None:
    """The entry's data as a customer may have it, or None when it is not theirs to see. A holder sees no money."""
    if kind in CUSTOMER_KINDS:
        return {name: data[name] for name in ("outcome", "message", "problem") if name in data}
    if audience == "holder" and (kind.startswith("refund_") or "amount" in data):
        return None
    if kind.startswith(("refund_", "reissue_access_", "resend_pass_", "replace_pass_", "operation_")):
        return {name: data[name] for name in ("action", "amount", "currency") if name in data}
    return None
