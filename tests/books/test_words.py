"""The sentences about money: whole, in the reader's language, and never "arrived" without proof."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from service.books_shown import Status, status_of
from service.books_words import Speech
from service.model import new_id
from service.store.books import AttemptRow, MoneyOperationRow
from service.texts import LANGUAGES

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "25 of 90 minutes were missing: €6.94 of €25.00 was sent back."),
        ("de", f"25 von 90 Minuten fehlten: 6,94{NBSP}€ von 25,00{NBSP}€ wurden zurückgesendet."),
        ("fr", f"25 minutes sur 90 ont manqué. Montant renvoyé{NBSP}: 6,94{NBSP}€ sur 25,00{NBSP}€."),
        ("it", "25 of 90 minutes were missing: €6.94 of €25.00 was sent back."),
    ],
)
def test_an_award_is_told_in_the_readers_language(language: str, told: str) -> None:
    speech = Speech(language, LANGUAGES, "EUR")
    assert speech.award("incident:out1", price=2500, sent=694, arrived=0, owed=0, minutes=(25, 90)) == told


@pytest.mark.parametrize(
    "cause", ["incident:x", "show_cancelled", "show_postponed", "duplicate_charge", "no_pass", "remorse", "agent:1", "?"]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cause_and_outcome_is_a_whole_sentence(cause: str, language: str) -> None:
    speech = Speech(language, LANGUAGES, "JPY")
    for sent, arrived, owed in ((0, 0, 9), (9, 0, 0), (0, 9, 0), (4, 0, 5), (0, 4, 5), (4, 5, 0)):
        told = speech.award(cause, price=90, sent=sent, arrived=arrived, owed=owed, minutes=None)
        assert told.endswith((".", "\u3002"))
        assert "{" not in told
        assert not told[0].islower()


# How each language says that money has come to whom it was sent.
PROOF = {
    "en": ("came back", "arrived"),
    "de": ("zurückgekommen", "angekommen"),
    "fr": ("arrivé",),
    "es": ("llegado",),
    "ja": ("届い", "届き"),
    "ar": ("واصل", "وصل"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_arrived_is_said_of_nothing_that_was_only_sent(language: str) -> None:
    speech, proof = Speech(language, LANGUAGES, "EUR"), PROOF[language]
    for sent, arrived, owed in ((9, 0, 0), (4, 5, 0), (4, 0, 5), (0, 0, 9)):
        told = speech.award("remorse", price=90, sent=sent, arrived=arrived, owed=owed, minutes=None)
        assert not any(word in told for word in proof), told
    assert any(word in speech.award("remorse", price=9, sent=0, arrived=9, owed=0, minutes=None) for word in proof)
    assert not any(word in speech.state("sent", 9, to="", chosen=False) for word in proof)


# How each language speaks of banks.
BANKS = {"en": "Banks", "de": "Banken", "fr": "banques", "es": "bancos", "ja": "明細", "ar": "المصارف"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_banks_is_spoken_only_where_money_goes_back(language: str) -> None:
    speech = Speech(language, LANGUAGES, "EUR")
    assert BANKS[language] in speech.state("sent", 9, to="Visa 4242", chosen=False)
    assert BANKS[language] not in speech.state("sent", 9, to="", chosen=True)


@pytest.mark.parametrize(
    ("state", "accepted", "rail", "status"),
    [
        ("READY", False, None, "working"),
        ("SENT", False, None, "working"),
        ("SENT", True, None, "sent"),
        ("DONE", True, "card", "sent"),
        ("DONE", True, "payout", "arrived"),
        ("DONE", True, None, "sent"),
        ("HELD", False, None, "with_people"),
        ("NEEDS_REVIEW", False, None, "with_people"),
        ("CHOICE_NEEDED", False, None, "choice_needed"),
        ("REFUSED", False, None, "could_not"),
        ("FAILED", True, None, "could_not"),
    ],
)
def test_a_movement_is_called_what_is_known_of_it(state: str, accepted: bool, rail: str | None, status: Status) -> None:  # noqa: FBT001 - a table
    at = datetime(2026, 11, 20, 20, tzinfo=UTC)
    attempts = () if rail is None else (_attempt(rail),)
    row = MoneyOperationRow(
        id=new_id(),
        case=uuid4(),
        action="refund",
        state=state,
        rail=rail,
        payment=None,
        amount=5,
        reason="",
        accepted_at=at if accepted else None,
        created_at=at,
        ended_at=None,
        attempts=attempts,
    )
    assert status_of(row, {"payout"}) == status


def _attempt(rail: str) -> AttemptRow:
    return AttemptRow(
        id=uuid4(), seq=1, rail=rail, state="SUCCEEDED", key="k", provider_ref="r", failure=None, first_sent_at=None, succeeded_at=None
    )
