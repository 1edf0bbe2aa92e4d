"""One full letter of each kind, and the look of a platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from service.letters.model import (
    AfterShow,
    CaseDenied,
    CaseHandedOver,
    CaseQuestion,
    CaseReply,
    CaseResolved,
    CaseWaiting,
    Letter,
    LinkReissued,
    Look,
    MoneySent,
    OneTimeCode,
    PassReplaced,
    PassResent,
    ShowNotice,
    TicketShown,
)
from service.model import Money

# Saturday 20:10 in Berlin, 04:10 on Sunday in Tokyo.
START: Final = datetime(2026, 11, 21, 19, 10, tzinfo=UTC)
SHOW: Final = "Northern Lights Live"
BERLIN: Final = "Europe/Berlin"
CASE_URL: Final = "https://help.example/c/one"
TICKET: Final = TicketShown(barcode="NL-7Q2M4X9K", title="Stalls, row 4, seat 12", holder="Ada Lovelace")

LOOK: Final = Look(
    name="Nordlicht",
    languages=("de", "en", "fr", "es", "ja", "ar"),
    support="help@nordlicht.example",
    legal={language: f"Nordlicht GmbH, Berlin ({language})" for language in ("en", "de", "fr", "es", "ja", "ar")},
)

LETTERS: Final[tuple[Letter, ...]] = (
    OneTimeCode(name="Ada", code="204815", valid_minutes=10),
    PassResent(name="Ada", show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=(TICKET,)),
    PassReplaced(name="Ada", show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=(TICKET, TICKET)),
    LinkReissued(
        show=SHOW,
        zone=BERLIN,
        case_url=CASE_URL,
        starts_at=START,
        link="https://watch.example/s?t=abc&d=1",
        expires_at=START + timedelta(hours=3),
    ),
    CaseResolved(
        show=SHOW,
        zone=BERLIN,
        case_url=CASE_URL,
        because="The stream was down from 20:10 to 20:35.\nYou get 25 of 90 minutes back.",
        money_sent=(MoneySent(amount=Money(minor=694, currency="EUR"), to="Visa ending 4242"),),
    ),
    CaseResolved(
        show=SHOW,
        zone=BERLIN,
        case_url=CASE_URL,
        because="The show was cancelled.",
        money_sent=(
            MoneySent(amount=Money(minor=4500, currency="EUR")),
            MoneySent(amount=Money(minor=120, currency="EUR"), state="arrived"),
            MoneySent(amount=Money(minor=90, currency="EUR"), to="Visa ending 4242", state="arrived"),
        ),
        ticket="ended",
    ),
    CaseResolved(
        show=SHOW,
        zone=BERLIN,
        case_url=CASE_URL,
        because="You waited long.",
        credit=(Money(minor=500, currency="EUR"),),
        done=("Your stream link is new.",),
    ),
    CaseWaiting(show=SHOW, zone=BERLIN, case_url=CASE_URL, because="We know the stream is down.", until=START),
    CaseWaiting(show=SHOW, zone=BERLIN, case_url=CASE_URL, because="We know the stream is down."),
    CaseDenied(
        show=SHOW,
        zone=BERLIN,
        case_url=CASE_URL,
        answer="We cannot send the money back.",
        because="The show ended two days ago and was watched.",
        would_change="Tell us what kept you from seeing it.",
    ),
    CaseHandedOver(show=SHOW, zone=BERLIN, case_url=CASE_URL, known=("You were charged twice, 45.00 each.",), answer_by=START),
    CaseHandedOver(show=SHOW, zone=BERLIN, case_url=CASE_URL, known=(), answer_by=START),
    CaseReply(show=SHOW, zone=BERLIN, case_url=CASE_URL, agent="Sam", body="I looked.\n\nThe second charge goes back today."),
    CaseReply(show=SHOW, zone=BERLIN, case_url=CASE_URL, agent="Sam", body="Here.", attached=("a.pdf",), in_case=("b.png", "c.png")),
    CaseQuestion(show=SHOW, zone=BERLIN, case_url=CASE_URL, question="Which of your two orders is it?"),
    AfterShow(show=SHOW, zone=BERLIN, case_url=CASE_URL, feedback_url="https://help.example/feedback#mgf_x"),
    ShowNotice(show=SHOW, zone=BERLIN, case_url=CASE_URL, body="The picture is back in Oslo.\n\nWe are looking at the sound."),
    ShowNotice(show=SHOW, zone=BERLIN, case_url=CASE_URL, body="The picture is back.", state="over"),
)
