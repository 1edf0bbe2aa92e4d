"""What each letter says, as types: a letter can be stored, queued and rendered later, and none can lack a word that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.model import Money
from service.ports import Mail, MailFile

# Longer than any barcode in use, and still a QR code that a phone reads from a screen.
_BARCODE_LENGTH_MAX: Final = 300
# A group order; every ticket is a picture of about a kilobyte, and most mail servers take ten megabytes.
_TICKETS_MAX: Final = 200

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]+", re.ASCII)


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's own words in one language, as they stand within a sentence: `ticket`, `our team`."""

    ticket: str
    tickets: str
    stream_link: str
    credit: str
    team: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform's letters look and speak."""

    name: str
    languages: tuple[str, ...]
    """what it offers, its first language first; BCP 47 tags"""
    support: str
    """where a person answers: an address, a number or a page, as the customer reads it"""
    accent: str = "#1f4fd8"
    """`#rrggbb`; the text on it is black or white, whichever reads better"""
    legal: Mapping[str, str] = {}
    """small print by language"""
    words: Mapping[str, Words] = {}
    """its words by language; what is missing is said in ours"""

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError("a platform offers at least one language")
        if not _COLOUR.fullmatch(self.accent):
            raise ValueError("the accent colour is written #rrggbb")


class TicketShown(msgspec.Struct, frozen=True, kw_only=True):
    barcode: str
    """exactly what the gate reads; the same as before unless the letter says otherwise"""
    title: str
    """what it admits to: `Stalls, row 4, seat 12`"""
    holder: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.barcode) <= _BARCODE_LENGTH_MAX:
            raise ValueError(f"a barcode has 1 to {_BARCODE_LENGTH_MAX} characters")


class MoneySent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of money as its receiver is told: `sent` when the processor accepted it, `arrived` only with proof."""

    amount: Money
    to: str = ""
    """`Visa ending 4242`; empty: the way it was paid"""
    state: Literal["sent", "arrived"] = "sent"
    days_min: int = 5
    days_max: int = 10
    """how long banks take to show it"""
    chosen: bool = False
    """it went where its receiver said, and no bank of theirs need show it: nothing is said of days"""


class _Letter(msgspec.Struct, frozen=True, kw_only=True, tag_field="letter"):
    name: str = ""
    """whom it greets; empty for a greeting without a name"""


class _CaseLetter(_Letter, frozen=True, kw_only=True, tag_field="letter"):
    show: str
    """the show's name"""
    zone: str
    """the show's time zone (IANA): every time in the letter is told in it"""
    case_url: str
    """where the customer sees the case, and can talk to a person"""

    def __post_init__(self) -> None:
        _web_address(self.case_url)


class OneTimeCode(_Letter, frozen=True, kw_only=True, tag="one_time_code"):
    code: str
    valid_minutes: int


class PassResent(_CaseLetter, frozen=True, kw_only=True, tag="pass_resent"):
    starts_at: datetime
    tickets: tuple[TicketShown, ...]
    link: str = ""
    """where the stream opens, for what admits to one; everything else is shown at the entrance"""

    def __post_init__(self) -> None:
        _web_address(self.case_url)
        if self.link:
            _web_address(self.link)
        if not 0 < len(self.tickets) <= _TICKETS_MAX:
            raise ValueError(f"a letter carries 1 to {_TICKETS_MAX} tickets")


class PassReplaced(PassResent, frozen=True, kw_only=True, tag="pass_replaced"):
    """New barcodes: the old ones admit nobody any more."""


class LinkReissued(_CaseLetter, frozen=True, kw_only=True, tag="link_reissued"):
    starts_at: datetime
    link: str
    expires_at: datetime

    def __post_init__(self) -> None:
        _web_address(self.case_url)
        _web_address(self.link)


class CaseResolved(_CaseLetter, frozen=True, kw_only=True, tag="case_resolved"):
    because: str
    """the rule in words, in the letter's language"""
    money_sent: tuple[MoneySent, ...] = ()
    credit: tuple[Money, ...] = ()
    done: tuple[str, ...] = ()
    """what else was done, one sentence each"""
    ticket: Literal["kept", "ended"] = "kept"
    """`ended`: what was bought admits nobody any more, since it was paid back in full"""


class CaseWaiting(_CaseLetter, frozen=True, kw_only=True, tag="case_waiting"):
    because: str
    until: datetime | None = None
    """by when the customer hears from us, whatever happens"""


class CaseDenied(_CaseLetter, frozen=True, kw_only=True, tag="case_denied"):
    answer: str
    """no to what: one sentence"""
    because: str
    would_change: str
    """what would change the answer"""


class CaseHandedOver(_CaseLetter, frozen=True, kw_only=True, tag="case_handed_over"):
    known: tuple[str, ...]
    """what the people who have it know already, one sentence each: the customer need not say it again"""
    answer_by: datetime


class CaseReply(_CaseLetter, frozen=True, kw_only=True, tag="case_reply"):
    agent: str
    body: str
    """the agent's own words; line breaks are kept"""
    attached: tuple[str, ...] = ()
    """names of the files that the mail brings"""
    in_case: tuple[str, ...] = ()
    """names of the files that are too large for a mail, and wait with the case"""


class CaseQuestion(_CaseLetter, frozen=True, kw_only=True, tag="case_question"):
    question: str


class AfterShow(_CaseLetter, frozen=True, kw_only=True, tag="after_show"):
    """One question, a day after the show: how well was it put right? Its link needs one tap, and no proof of who taps."""

    feedback_url: str

    def __post_init__(self) -> None:
        _web_address(self.case_url)
        _web_address(self.feedback_url)


class ShowNotice(_CaseLetter, frozen=True, kw_only=True, tag="show_notice"):
    """What is said on every widget of a show, to who asked to be told. `case_url`: the show's help page, where they take that back."""

    body: str
    """what is said now, in the letter's language; of a notice that is over: what was said last"""
    state: Literal["news", "over"] = "news"


Letter = (
    OneTimeCode
    | PassResent
    | PassReplaced
    | LinkReissued
    | CaseResolved
    | CaseWaiting
    | CaseDenied
    | CaseHandedOver
    | CaseReply
    | CaseQuestion
    | AfterShow
    | ShowNotice
)


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A letter ready to be sent, and the language it turned out to be in."""

    subject: str
    text: str
    html: str
    images: Mapping[str, bytes]
    language: str

    def mail(
        self, *, to: str, message_key: UUID, sender: str | None = None, reply_to: str | None = None, files: tuple[MailFile, ...] = ()
    ) -> Mail:
        return Mail(
            to=to,
            subject=self.subject,
            text=self.text,
            html=self.html,
            message_key=message_key,
            language=self.language,
            reply_to=reply_to,
            sender=sender,
            images=self.images,
            files=files,
        )


def _web_address(url: str) -> None:
    """Only a web address becomes a link: another scheme could run in a reader's mail program."""
    if not _URL.fullmatch(url):
        raise ValueError("a link in a letter starts with https:// or http:// and has no spaces or quotes")
