"""Whatever sends the mail, the customer receives the same message, and a failure means the same thing."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

import msgspec
import pytest

from service.letters.model import Letter
from service.letters.render import Letters, letter_name
from service.ports import Declined, Mail, MailFile, OutcomeUnknown, Unavailable
from tests.mail.offices import Office
from tests.mail.qr import read_qr
from tests.mail.samples import LETTERS, LOOK, TICKET

KEY = UUID(int=0xA11CE)
MAIL = Mail(to="ada@example.org", subject="New stream link", text="Here it is.\n", html="<p>Here it is.</p>\n", message_key=KEY)


def received(office: Office) -> EmailMessage:
    parsed = message_from_bytes(office.messages[-1], policy=SMTP)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def test_the_message_arrives_with_text_and_html_as_alternatives(office: Office) -> None:
    await office.mailer.send(MAIL)
    message = received(office)
    assert message["From"] == "Nordlicht <help@nordlicht.example>"
    assert message["To"] == "ada@example.org"
    assert message["Subject"] == "New stream link"
    assert message["Date"].datetime.isoformat() == "2026-11-21T19:10:00+00:00"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "plain") == MAIL.text
    assert body(message, "html") == MAIL.html


async def test_files_are_attached_behind_the_letter_as_they_are(office: Office) -> None:
    files = (
        MailFile(name="Quittung für März.pdf", type="application/pdf", content=b"%PDF-1.7\n\xff\x00"),
        MailFile(name="log.txt", type="text/plain", content=("ö" * 2000 + "\r\nend\n").encode()),
        MailFile(name="a\r\nBcc: eve@example.org.png", type="image/png", content=b"\x89PNG\r\n\x1a\n"),
    )
    await office.mailer.send(msgspec.structs.replace(MAIL, files=files))
    message = received(office)
    assert message["Bcc"] is None
    assert (body(message, "plain"), body(message, "html")) == (MAIL.text, MAIL.html)
    found = list(message.iter_attachments())
    assert [(one.get_content_disposition(), one.get_content_type()) for one in found] == [("attachment", file.type) for file in files]
    assert [one.get_payload(decode=True) for one in found] == [file.content for file in files]
    assert [one.get_filename() for one in found] == ["Quittung für März.pdf", "log.txt", "a Bcc: eve@example.org.png"]
    assert max(map(len, office.messages[-1].split(b"\r\n"))) <= 998
    assert office.messages[-1].isascii()


async def test_a_repeated_mail_carries_the_same_message_id_and_another_another(office: Office) -> None:
    for mail in (MAIL, MAIL, msgspec.structs.replace(MAIL, message_key=UUID(int=2))):
        await office.mailer.send(mail)
    ids = [message_from_bytes(content)["Message-ID"] for content in office.messages]
    assert ids[0] == ids[1] == f"<{KEY.hex}@nordlicht.example>"
    assert ids[2] != ids[0]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
async def test_every_letter_arrives_as_it_was_written(office: Office, letter: Letter, language: str) -> None:
    rendered = Letters().render(letter, LOOK, language)
    await office.mailer.send(rendered.mail(to="ada@example.org", message_key=KEY))
    message = received(office)
    assert message["Subject"] == rendered.subject
    assert message["Content-Language"] == language
    assert body(message, "plain") == rendered.text
    assert body(message, "html").rstrip("\n") == rendered.html.rstrip("\n")


async def test_the_ticket_in_the_mail_is_read_by_the_gate(office: Office) -> None:
    rendered = Letters().render(LETTERS[1], LOOK, "en")
    await office.mailer.send(rendered.mail(to="ada@example.org", message_key=KEY))
    message = received(office)
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in pictures] == ["<ticket-1>"]
    assert [part.get_content_disposition() for part in pictures] == ["inline"]
    assert 'src="cid:ticket-1"' in body(message, "html")
    picture = pictures[0].get_payload(decode=True)
    assert isinstance(picture, bytes)
    assert read_qr(picture) == TICKET.barcode


async def test_only_seven_bits_travel_and_no_line_is_too_long(office: Office) -> None:
    await office.mailer.send(msgspec.structs.replace(MAIL, text="Grüße " * 400 + "\n", html="<p>" + "日本語" * 900 + "</p>\n"))
    assert office.messages[-1].isascii()
    assert max(map(len, office.messages[-1].split(b"\r\n"))) <= 998
    assert body(received(office), "plain") == "Grüße " * 400 + "\n"


@pytest.mark.parametrize(
    "subject",
    ["Grüße aus Köln: Nordlichter 🎆", "公演のチケット " * 9, "ä" * 150, 'Comma, "quote" <angle> =?utf-8?q?fake?=', "x" * 400],
)
async def test_a_subject_in_any_script_arrives(office: Office, subject: str) -> None:
    await office.mailer.send(msgspec.structs.replace(MAIL, subject=subject))
    parsed = received(office)["Subject"]
    assert parsed == subject.strip() or "=?utf-8?q?fake?=" in subject
    assert len(office.messages) == 1


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ('"Müller, Söhne & Co." <tickets@müller.example>', "Müller, Söhne & Co.", "tickets@xn--mller-kva.example"),
        ("公演 <show@example.jp>", "公演", "show@example.jp"),
        ("bare@example.org", "", "bare@example.org"),
    ],
)
async def test_a_platform_sends_under_its_own_name(office: Office, sender: str, name: str, address: str) -> None:
    await office.mailer.send(msgspec.structs.replace(MAIL, sender=sender, reply_to="Team <team@example.org>"))
    message = received(office)
    assert [(a.display_name, a.addr_spec) for a in message["From"].addresses] == [(name, address)]
    assert [(a.display_name, a.addr_spec) for a in message["Reply-To"].addresses] == [("Team", "team@example.org")]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x00", "\x0b"])
async def test_nothing_in_a_header_starts_another(office: Office, line_end: str) -> None:
    inject = f"Ada{line_end}Bcc: all@evil.example{line_end}{line_end}<b>body</b>"
    await office.mailer.send(msgspec.structs.replace(MAIL, subject=inject, language=inject, sender=f'"{inject}" <help@nordlicht.example>'))
    message = received(office)
    assert message["Bcc"] is None
    assert sorted(message.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type"]
    )
    assert body(message, "plain") == MAIL.text


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example.org, eve@evil.example",
        "ada@example.org\r\nRCPT TO:<eve@evil.example>",
        "Ada <ada@example.org>",
        "ada@@example.org",
        "a da@example.org",
        "ada@exa mple.org",
        "ada@-example.org",
        "ada@example..org",
        ".ada@example.org",
        "a" * 65 + "@example.org",
        "ada@" + "a" * 64 + ".org",
        "ada@" + "ab." * 90 + "org",
        "\udcffada@example.org",
    ],
)
async def test_what_is_no_single_address_is_declined_and_not_repeated_in_the_error(office: Office, to: str) -> None:
    with pytest.raises(Declined) as declined:
        await office.mailer.send(msgspec.structs.replace(MAIL, to=to))
    assert declined.value.code == "declined"
    assert not to or to not in str(declined.value)
    assert office.messages == []


@pytest.mark.parametrize("to", ["ada+tag@example.org", "o'neil@example.org", "ada@löwe.example", "{x}@a.b", "ada@localhost"])
async def test_an_unusual_address_is_still_an_address(office: Office, to: str) -> None:
    await office.mailer.send(msgspec.structs.replace(MAIL, to=to))
    assert len(office.messages) == 1


async def test_an_address_beyond_ascii_is_kept_where_the_server_takes_it(office: Office) -> None:
    await office.mailer.send(msgspec.structs.replace(MAIL, to="jörg@example.org", subject="Grüße"))
    message = received(office)
    assert "jörg@example.org" in office.messages[-1].decode()
    assert message["Subject"] == "Grüße"


@pytest.mark.parametrize("changes", [{"sender": "nobody"}, {"sender": "Nord <>"}, {"reply_to": "a@b@c"}])
async def test_a_wrong_sender_is_our_configuration(office: Office, changes: dict[str, str]) -> None:
    with pytest.raises(Unavailable) as failed:
        await office.mailer.send(msgspec.structs.replace(MAIL, **changes))
    assert failed.value.configuration
    assert office.messages == []


async def test_a_mail_refused_for_good_is_declined(office: Office) -> None:
    office.next_meets("refused")
    with pytest.raises(Declined) as declined:
        await office.mailer.send(MAIL)
    assert declined.value.detail.startswith("550")
    assert "ada" not in str(declined.value)
    assert office.messages == []
    await office.mailer.send(MAIL)
    assert len(office.messages) == 1


async def test_a_mail_refused_for_now_is_unavailable_and_can_be_sent_again(office: Office) -> None:
    office.next_meets("busy")
    with pytest.raises(Unavailable) as failed:
        await office.mailer.send(MAIL)
    assert not failed.value.configuration
    assert office.messages == []
    await office.mailer.send(MAIL)
    assert len(office.messages) == 1


async def test_a_mail_lost_while_it_was_taken_is_unknown_and_may_have_arrived(office: Office) -> None:
    office.next_meets("lost")
    with pytest.raises(OutcomeUnknown):
        await office.mailer.send(MAIL)
    assert len(office.messages) == 1
    await office.mailer.send(MAIL)
    assert len({message_from_bytes(content)["Message-ID"] for content in office.messages}) == 1


async def test_a_reference_comes_back_and_names_no_address(office: Office) -> None:
    reference = await office.mailer.send(MAIL)
    assert reference
    assert "@" not in reference


async def test_the_check_sends_nothing(office: Office) -> None:
    assert await office.mailer.check()
    assert office.messages == []
