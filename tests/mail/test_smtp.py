"""What only a real mail server can do to us: refuse the sign-in, want TLS, close the line, take its time."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from integrations.mail_smtp import SmtpMailer
from integrations.sandbox_mail import SandboxMailer
from service.ports import Declined, Mail, OutcomeUnknown, Unavailable
from tests.mail.offices import SENDER, SmtpServer, sign_in, smtp_mailer, smtp_server
from tests.ports import deaf_port

MAIL = Mail(to="ada@example.org", subject="s", text="t\n", html="<p>t</p>\n", message_key=UUID(int=1))
SIGN_IN: dict[str, Any] = {"authenticator": sign_in, "auth_require_tls": False, "auth_required": True}


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
async def mailer(server: SmtpServer) -> AsyncIterator[SmtpMailer]:
    async with smtp_mailer(server) as mailer:
        yield mailer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that only those trust who were given it, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "mail.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(built.public_bytes(serialization.Encoding.PEM) + pem)
    return file


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_the_envelope_names_sender_and_recipient(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(MAIL)
    assert server.envelopes == [("help@nordlicht.example", ["ada@example.org"])]


async def test_mails_share_a_connection(server: SmtpServer, mailer: SmtpMailer) -> None:
    for _ in range(10):
        await mailer.send(MAIL)
    assert len(server.messages) == 10
    assert len(server.connections) == 1


async def test_many_at_once_use_a_few_connections(server: SmtpServer, mailer: SmtpMailer) -> None:
    await asyncio.gather(*(mailer.send(MAIL) for _ in range(40)))
    assert len(server.messages) == 40
    assert len(server.connections) <= 4


async def test_a_connection_is_changed_after_a_hundred_messages(server: SmtpServer, mailer: SmtpMailer) -> None:
    for _ in range(101):
        await mailer.send(MAIL)
    assert len(server.messages) == 101
    assert len(server.connections) == 2


async def test_a_connection_that_the_server_closed_costs_nothing(server: SmtpServer, mailer: SmtpMailer) -> None:
    await mailer.send(MAIL)
    server.hang_up()
    await mailer.send(MAIL)
    assert len(server.messages) == 2


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
async def test_a_connection_lost_before_the_message_means_that_nothing_happened(
    server: SmtpServer, mailer: SmtpMailer, command: str
) -> None:
    server.hang_up_at = command
    with pytest.raises(Unavailable):
        await mailer.send(MAIL)
    assert server.messages == []


@pytest.mark.parametrize(
    ("command", "reply", "failure"),
    [
        ("MAIL", "451 4.3.0 later", "Unavailable"),
        ("MAIL", "550 5.7.1 not from you", "configuration"),
        ("MAIL", "530 5.7.0 sign in first", "configuration"),
        ("MAIL", "552 5.3.4 too big", "Declined"),
        ("RCPT", "450 4.2.0 greylisted", "Unavailable"),
        ("RCPT", "550 5.1.1 <ada@example.org> nobody", "Declined"),
        ("RCPT", "553 no such mailbox ada@example.org", "Declined"),
        ("DATA", "452 4.3.1 disk full", "Unavailable"),
        ("DATA", "421 4.3.2 going down", "Unavailable"),
        ("DATA", "554 5.7.1 looks like spam to ada@example.org", "Declined"),
    ],
)
async def test_each_reply_of_the_server_means_what_the_standard_says(
    server: SmtpServer, mailer: SmtpMailer, command: str, reply: str, failure: str
) -> None:
    server.replies[command].append(reply)
    with pytest.raises((Declined, Unavailable)) as failed:
        await mailer.send(MAIL)
    kind = "configuration" if getattr(failed.value, "configuration", False) else type(failed.value).__name__
    assert kind == failure
    assert reply[:3] in str(failed.value)
    assert "ada" not in str(failed.value)
    assert server.messages == []


async def test_a_server_that_stops_answering_after_the_message_leaves_it_unknown(server: SmtpServer, mailer: SmtpMailer) -> None:
    """Our patience becomes short when the server hears of the recipient: what comes before is no matter here, and may take its time."""
    hears, takes = server.handle_RCPT, server.handle_DATA
    lines: list[Any] = []

    async def hurries(*given: object) -> str:
        for line in lines:
            line.client.timeout = 0.2
        return await hears(*given)  # type: ignore[arg-type]

    async def silent(*given: object) -> str:
        if lines:
            await asyncio.Event().wait()
        return await takes(*given)  # type: ignore[arg-type]

    server.handle_RCPT, server.handle_DATA = hurries, silent  # type: ignore[method-assign, assignment]
    await mailer.send(MAIL)
    lines += mailer._idle  # noqa: SLF001 - the connection that the next mail goes over
    with pytest.raises(OutcomeUnknown):
        await mailer.send(MAIL)
    assert (len(server.connections), len(server.messages)) == (1, 1)


async def test_a_cancelled_sending_leaves_no_half_used_connection(server: SmtpServer, mailer: SmtpMailer) -> None:
    held, release = asyncio.Event(), asyncio.Event()
    taking = server.handle_RCPT

    async def slow(*given: object) -> str:
        held.set()
        await release.wait()
        return await taking(*given)  # type: ignore[arg-type]

    server.handle_RCPT = slow  # type: ignore[method-assign, assignment]
    sending = asyncio.create_task(mailer.send(MAIL))
    await held.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    release.set()
    await mailer.send(MAIL)
    assert server.envelopes == [("help@nordlicht.example", ["ada@example.org"])]


async def test_nobody_there_is_unavailable_and_nothing_was_sent() -> None:
    with deaf_port() as port:
        mailer = SmtpMailer(host="127.0.0.1", port=port, sender=SENDER, tls="none", retry_wait_seconds=0)
        with pytest.raises(Unavailable) as failed:
            await mailer.send(MAIL)
        assert failed.value.never_sent
        assert not failed.value.configuration
        with pytest.raises(Unavailable):
            await mailer.check()


async def test_connecting_is_tried_again(server: SmtpServer, mailer: SmtpMailer) -> None:
    """Two greetings are cut off; the third stands, and the mail goes out once."""
    server.greetings_cut = 2
    await mailer.send(MAIL)
    assert len(server.messages) == 1
    assert len(server.connections) == 3


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_the_right_password_is_taken_and_a_wrong_one_is_our_configuration() -> None:
    async with smtp_server(**SIGN_IN) as server:
        async with smtp_mailer(server, username="nordlicht", password="a long password") as mailer:
            await mailer.send(MAIL)
            assert (await mailer.check()).endswith("no TLS, signed in")
        async with smtp_mailer(server, username="nordlicht", password="wrong") as mailer:
            with pytest.raises(Unavailable) as failed:
                await mailer.send(MAIL)
            assert failed.value.configuration
            assert failed.value.never_sent
            assert "wrong" not in str(failed.value)
        assert len(server.messages) == 1


async def test_a_server_without_what_is_configured_is_our_configuration(server: SmtpServer) -> None:
    for options in ({"tls": "starttls"}, {"username": "a", "password": "b"}):
        async with smtp_mailer(server, **options) as mailer:
            with pytest.raises(Unavailable) as failed:
                await mailer.check()
            assert failed.value.configuration


async def test_starttls_protects_the_mail_and_an_unknown_certificate_is_refused(certificate: Path) -> None:
    async with smtp_server(tls_context=server_side(certificate), require_starttls=True) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with smtp_mailer(server, tls="starttls", tls_context=trusting) as mailer:
            await mailer.send(MAIL)
            assert "TLS, no sign-in" in await mailer.check()
        async with smtp_mailer(server, tls="starttls") as mailer:
            with pytest.raises(Unavailable) as failed:
                await mailer.send(MAIL)
            assert failed.value.configuration
        assert len(server.messages) == 1


async def test_tls_from_the_first_byte(certificate: Path) -> None:
    async with smtp_server(tls=server_side(certificate)) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with smtp_mailer(server, tls="implicit", tls_context=trusting) as mailer:
            await mailer.send(MAIL)
        async with smtp_mailer(server, tls="implicit") as mailer:
            with pytest.raises(Unavailable) as failed:
                await mailer.send(MAIL)
            assert failed.value.configuration
        assert len(server.messages) == 1


def test_a_password_never_travels_unprotected() -> None:
    with pytest.raises(ValueError, match="only over TLS"):
        SmtpMailer(host="mail.example", port=25, sender=SENDER, username="u", password="p", tls="none")


async def test_an_address_beyond_ascii_is_declined_where_the_server_cannot_take_it(server: SmtpServer, mailer: SmtpMailer) -> None:
    with pytest.raises(Declined) as declined:
        await mailer.send(msgspec.structs.replace(MAIL, to="jörg@example.org"))
    assert declined.value.code == "unsupported"
    assert server.messages == []


async def test_the_sandbox_keeps_the_newest_thousand_and_tells_its_listener() -> None:
    heard: list[Mail] = []
    sandbox = SandboxMailer(sender=SENDER, on_mail=heard.append)
    for number in range(1001):
        await sandbox.send(msgspec.structs.replace(MAIL, message_key=UUID(int=number)))
    assert len(heard) == 1001
    assert len(sandbox.mails) == 1000
    assert sandbox.mails[0].message_key == UUID(int=1)
