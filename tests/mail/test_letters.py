"""Letters say the right thing in the reader's language, and nothing that somebody else slipped in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import get_args

import jinja2
import msgspec
import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from service.letters import words
from service.letters.model import CaseReply, Letter, LinkReissued, Look, OneTimeCode, PassResent, TicketShown, Words
from service.letters.render import OUR_WORDS, TEMPLATES, Letters, letter_name
from service.model import Money
from tests.mail.qr import read_qr
from tests.mail.samples import BERLIN, CASE_URL, LETTERS, LOOK, SHOW, START, TICKET

LANGUAGES = sorted(OUR_WORDS)
MARKS = re.compile("[\u2068\u2069]")
letters = Letters()


class Page(HTMLParser):
    """The tags, texts and addresses of a page, and whether its tags match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
def test_every_letter_is_whole_in_every_language(letter: Letter, language: str) -> None:
    rendered = letters.render(letter, LOOK, language)
    page = Page(rendered.html)
    assert rendered.language == language
    assert rendered.subject
    assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in rendered.html
    assert "\n\n\n" not in rendered.text
    for part in (rendered.subject, rendered.text, rendered.html):
        assert not re.search(r"\{\{|\{%|None|Undefined|&amp;amp;|&lt;p", part)
    assert LOOK.support in rendered.text
    assert LOOK.legal[language] in rendered.text
    assert LOOK.legal[language] in " ".join(page.words)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
def test_plain_text_and_html_say_the_same(letter: Letter, language: str) -> None:
    rendered = letters.render(letter, LOOK, language)
    shown = " ".join(MARKS.sub("", " ".join(Page(rendered.html).words)).split())
    for line in MARKS.sub("", rendered.text).splitlines():
        said = " ".join(line.split()).removeprefix("* ").removeprefix("> ").removesuffix(":")
        if said and said != "--" and not said.startswith("http"):
            assert all(part in shown for part in said.split(", Ada Lovelace")), said


def test_the_languages_are_complete() -> None:
    names = {f"{kind.__struct_config__.tag}.jinja" for kind in get_args(Letter)} | {"_greeting.jinja", "_footer.jinja"}
    for language in LANGUAGES:
        assert {file.name for file in (TEMPLATES / language).iterdir()} == names
    assert {folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()} == set(LANGUAGES)


def test_the_samples_hold_every_kind_of_letter() -> None:
    assert {type(letter) for letter in LETTERS} == set(get_args(Letter))


@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
def test_a_letter_survives_being_stored(letter: Letter) -> None:
    assert msgspec.json.decode(msgspec.json.encode(letter), type=Letter) == letter


@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
def test_no_letter_blames_shouts_or_speaks_our_words(letter: Letter) -> None:
    said = letters.render(letter, LOOK, "en")
    assert not re.search(r"!|oops|unfortunately|\b(pass|reissue|handoff|receipt|rail|refunded)\b", said.subject + said.text, re.IGNORECASE)


def test_a_template_that_names_what_the_letter_has_not_fails() -> None:
    environment = letters._html  # noqa: SLF001 - the one setting that keeps a hole from being sent
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ nobody_sets_this }}").render()


# ------------------------------------------------------------------------------------------- languages


@pytest.mark.parametrize(
    ("wanted", "offered", "language"),
    [
        ("de", ("en", "de"), "de"),
        ("de-AT", ("en", "de"), "de"),
        ("DE_ch", ("en", "de-DE"), "de"),
        ("ja", ("de", "en"), "de"),
        ("fr", ("it", "de"), "de"),
        ("fr", ("it",), "en"),
        ("ar-EG", ("en", "ar"), "ar"),
        ("de", ("en",), "en"),
        ("", ("de",), "de"),
        ("../../etc", ("de",), "de"),
    ],
)
def test_a_language_that_is_not_written_falls_back_to_the_platforms_first(wanted: str, offered: tuple[str, ...], language: str) -> None:
    look = Look(name="N", languages=offered, support="s")
    assert letters.render(LETTERS[0], look, wanted).language == language


def test_the_platform_speaks_its_own_words() -> None:
    own = Words(ticket="boarding card", tickets="boarding cards", stream_link="gangway", credit="shells", team="the crew")
    look = msgspec.structs.replace(LOOK, words={"en": own})
    said = [letters.render(letter, look, "en") for letter in LETTERS]
    everything = " ".join(rendered.subject + rendered.text for rendered in said)
    assert "Boarding card for Northern Lights Live" in everything
    assert "New gangway" in everything
    assert "€5.00 shells" in everything
    assert "The crew has this now" in everything
    assert not re.search(r"\btickets?\b|our team", everything, re.IGNORECASE)


APART = "\u2068{}\u2069"


def test_a_name_in_another_direction_is_kept_apart_in_the_letter_and_turns_nothing() -> None:
    reply = CaseReply(name="Ada", show=SHOW, zone=BERLIN, case_url=CASE_URL, agent="Sam", body="x")
    arabic = letters.render(reply, LOOK, "ar")
    assert all(APART.format(name) in arabic.text and APART.format(name) in arabic.html for name in ("Ada", "Sam", LOOK.name))
    assert APART.format(SHOW) in arabic.subject
    english = letters.render(msgspec.structs.replace(reply, agent="\u0633\u0627\u0645"), LOOK, "en")
    assert APART.format("\u0633\u0627\u0645") in english.text
    assert "Hello Ada," in english.text


def test_a_french_letter_keeps_the_spaces_that_do_not_break() -> None:
    rendered = letters.render(LETTERS[0], LOOK, "fr")
    assert "code\u202f?" in rendered.text
    assert " :" not in rendered.text + rendered.subject
    assert " ?" not in rendered.text


# --------------------------------------------------------------------------------------- money and times


@pytest.mark.parametrize(
    ("minor", "currency", "tag", "written"),
    [
        (694, "EUR", "en", "€6.94"),
        (694, "EUR", "de", "6,94 €"),
        (694, "EUR", "ja", "€6.94"),
        (123456, "EUR", "en", "€1,234.56"),
        (123456, "EUR", "de", "1.234,56 €"),
        (1200, "JPY", "en", "¥1,200"),
        (1200, "JPY", "de", "1.200 ¥"),
        (1200, "JPY", "ja", "￥1,200"),
        (1200, "CNY", "en", "CN¥12.00"),
        (1250, "KWD", "en", "KWD 1.250"),
        (1250, "KWD", "de", "1,250 KWD"),
        (1234, "RSD", "en", "RSD 12.34"),
        (694, "USD", "en", "$6.94"),
        (694, "CAD", "en", "CA$6.94"),
        (694, "USD", "en-GB", "US$6.94"),
        (694, "AUD", "de", "6,94 AU$"),
        (5, "EUR", "en", "€0.05"),
    ],
)
def test_an_amount_is_written_as_its_reader_writes_it(minor: int, currency: str, tag: str, written: str) -> None:
    shown = words.money(Money(minor=minor, currency=currency), Locale.parse(tag, sep="-"))
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == written


@given(minor=st.integers(0, 10**12), currency=st.sampled_from(["EUR", "JPY", "KWD", "RSD", "ISK", "HUF", "CLF", "UGX"]))
def test_no_digit_of_an_amount_is_lost(minor: int, currency: str) -> None:
    for tag in ("en", "de", "ja"):
        shown = words.money(Money(minor=minor, currency=currency), Locale.parse(tag))
        assert int("".join(c for c in shown if c.isdigit())) == minor


@pytest.mark.parametrize(
    ("zone", "tag", "written"),
    [
        ("Europe/Berlin", "de", "21. November 2026, 20:10 MEZ"),
        ("Europe/Berlin", "en-GB", "21 November 2026, 20:10 CET"),
        ("Europe/Berlin", "en", "November 21, 2026, 8:10 PM Central European Standard Time"),
        ("Asia/Tokyo", "de", "22. November 2026, 04:10 Japanische Normalzeit"),
        ("America/New_York", "en", "November 21, 2026, 2:10 PM EST"),
    ],
)
def test_a_time_is_told_in_the_shows_zone_and_names_it(zone: str, tag: str, written: str) -> None:
    shown = words.moment(START, zone, Locale.parse(tag, sep="-"))
    assert shown.replace("\N{NARROW NO-BREAK SPACE}", " ") == written


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    summer, winter = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    german = Locale.parse("de")
    assert words.moment(summer, BERLIN, german).endswith("02:30 MESZ")
    assert words.moment(winter, BERLIN, german).endswith("02:30 MEZ")


@given(st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}"))
def test_text_on_any_accent_colour_can_be_read(colour: str) -> None:
    def luminance(value: str) -> float:
        channels = [int(value[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])

    lighter, darker = sorted((luminance(colour), luminance(words.readable_on(colour))), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


# ------------------------------------------------------------------------------------------- the QR code


@given(barcode=st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=120))
def test_the_picture_holds_exactly_the_barcode(barcode: str) -> None:
    letter = PassResent(show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=(TicketShown(barcode=barcode, title="Seat"),))
    assert read_qr(letters.render(letter, LOOK, "en").images["ticket-1"]) == barcode


def test_each_ticket_has_its_own_picture_in_the_page() -> None:
    shown = tuple(TicketShown(barcode=f"SEAT-{number}", title=f"Seat {number}") for number in range(3))
    letter = PassResent(show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=shown)
    rendered = letters.render(letter, LOOK, "de")
    pictures = [link.removeprefix("cid:") for link in Page(rendered.html).links if link.startswith("cid:")]
    assert [read_qr(rendered.images[cid]) for cid in pictures] == [ticket.barcode for ticket in shown]


def test_the_same_barcode_is_the_same_picture_again() -> None:
    one, two = (letters.render(letter, LOOK, language) for letter, language in ((LETTERS[1], "en"), (LETTERS[1], "de")))
    assert one.images == two.images


def test_a_ticket_to_a_stream_opens_it_and_one_to_a_hall_is_shown_at_the_entrance() -> None:
    hall = PassResent(show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=(TICKET,))
    stream = msgspec.structs.replace(hall, link="https://watch.example/1")
    assert "at the entrance" in letters.render(hall, LOOK, "en").text
    assert "at the entrance" not in letters.render(stream, LOOK, "en").text
    assert "https://watch.example/1" in Page(letters.render(stream, LOOK, "en").html).links


# --------------------------------------------------------------------------------------- hostile contents

PLAIN_TAGS = {"html", "head", "meta", "title", "style", "body", "header", "main", "p", "a", "footer", "blockquote"}
HOSTILE = 'Ada\r\nBcc: all@evil.example\n\n<script>alert("1")</script> {{ 7*7 }} \u202eevil'


def test_a_name_cannot_add_a_header_a_line_a_tag_or_a_turn() -> None:
    for letter in (OneTimeCode(name=HOSTILE, code="1", valid_minutes=1), CaseReply(
        name=HOSTILE, show=HOSTILE, zone=BERLIN, case_url=CASE_URL, agent=HOSTILE, body=HOSTILE)):  # fmt: skip
        rendered = letters.render(letter, msgspec.structs.replace(LOOK, name=HOSTILE, support=HOSTILE), "en")
        assert "\n" not in rendered.subject
        assert "\r" not in rendered.subject + rendered.text + rendered.html
        assert not any(line.startswith("Bcc") for line in rendered.text.splitlines())
        assert "script" not in Page(rendered.html).tags
        assert "49" not in rendered.text
        assert "\u202e" not in rendered.subject + rendered.text + rendered.html


def test_a_name_that_is_a_message_is_cut() -> None:
    rendered = letters.render(OneTimeCode(name="win " * 5000, code="1", valid_minutes=1), LOOK, "en")
    assert len(rendered.text) < 1000


@given(name=st.text(max_size=300), body=st.text(max_size=300))
def test_whatever_people_are_called_and_write_a_letter_is_whole(name: str, body: str) -> None:
    letter = CaseReply(name=name, show=name, zone=BERLIN, case_url=CASE_URL, agent=name, body=body)
    rendered = letters.render(letter, LOOK, "de")
    assert set(Page(rendered.html).tags) <= PLAIN_TAGS
    assert len(rendered.subject.splitlines()) == 1
    assert len(rendered.subject) <= words.SUBJECT_LENGTH_MAX
    rendered.text.encode()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil", "", "https://a b", 'https://a"b', "https://a\nb", "ftp://a"]
)
def test_only_a_web_address_becomes_a_link(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        LinkReissued(show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, expires_at=START, link=url)
    with pytest.raises(ValueError, match="https://"):
        CaseReply(show=SHOW, zone=BERLIN, case_url=url, agent="a", body="b")


def test_a_letter_refuses_no_tickets_empty_barcodes_and_colours_that_are_none() -> None:
    with pytest.raises(ValueError, match="1 to 200 tickets"):
        PassResent(show=SHOW, zone=BERLIN, case_url=CASE_URL, starts_at=START, tickets=())
    with pytest.raises(ValueError, match="barcode"):
        TicketShown(barcode="", title="t")
    with pytest.raises(ValueError, match="#rrggbb"):
        Look(name="n", languages=("en",), support="s", accent="red;}body{display:none")
    with pytest.raises(ValueError, match="at least one language"):
        Look(name="n", languages=(), support="s")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_platform_that_has_named_nobody_to_ask_sends_to_nobody(language: str) -> None:
    with_line, without = (letters.render(LETTERS[0], msgspec.structs.replace(LOOK, support=to), language) for to in (LOOK.support, ""))
    line = next(one for one in with_line.text.splitlines() if LOOK.support in one)
    assert line not in without.text
    assert line.split(LOOK.support)[0].strip("\u2068 ") not in without.text
    assert "\n\n\n" not in without.text
