"""The two places that mail can go to in the tests, behind one face: the sandbox, and a real SMTP server on this machine."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from integrations.mail_smtp import SmtpMailer
from integrations.sandbox_mail import SandboxMailer
from service.ports import Declined, Mailer, OutcomeUnknown, Unavailable

SENDER = "Nordlicht <help@nordlicht.example>"
AT = datetime(2026, 11, 21, 19, 10, tzinfo=UTC)

Trouble = Literal["refused", "busy", "lost"]


class Office(Protocol):
    """A mailer and what arrived through it."""

    @property
    def mailer(self) -> Mailer: ...

    @property
    def messages(self) -> list[bytes]: ...

    def next_meets(self, trouble: Trouble) -> None:
        """The next mail is refused for good, refused for now, or taken while the connection is lost."""


class SandboxOffice:
    def __init__(self) -> None:
        self.mailer = SandboxMailer(sender=SENDER, clock=lambda: AT)

    @property
    def messages(self) -> list[bytes]:
        return list(self.mailer.messages)

    def next_meets(self, trouble: Trouble) -> None:
        failures: dict[Trouble, Declined | Unavailable | OutcomeUnknown] = {
            "refused": Declined("declined", "550"),
            "busy": Unavailable("450"),
            "lost": OutcomeUnknown("lost"),
        }
        self.mailer.fail_next(failures[trouble])


def cut(connection: SMTP) -> None:
    assert isinstance(connection.transport, asyncio.WriteTransport)
    connection.transport.abort()


class SmtpServer:
    """aiosmtpd with a script: what it answers next to each command, and whether it hangs up after DATA."""

    def __init__(self) -> None:
        self.port = 0
        self.messages: list[bytes] = []
        self.envelopes: list[tuple[str | None, list[str]]] = []
        self.replies: dict[str, list[str]] = {"MAIL": [], "RCPT": [], "DATA": []}
        self.connections: list[SMTP] = []
        self.hang_up_at: str | None = None
        self.greetings_cut = 0

    def hang_up(self) -> None:
        """Close every open connection, as a restarting server does."""
        for connection in self.connections:
            if connection.transport is not None:
                cut(connection)

    def _answer(self, command: str, server: SMTP, fine: str) -> str:
        if self.hang_up_at == command:
            self.hang_up_at = None
            cut(server)
        return self.replies[command].pop(0) if self.replies[command] else fine

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - the library's name for it
        del session
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._answer("MAIL", server, "250 2.1.0 Ok")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - the library's name for it
        del session, options
        envelope.rcpt_tos.append(address)
        return self._answer("RCPT", server, "250 2.1.5 Ok")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name for it
        del session
        reply = self._answer("DATA", server, "250 2.0.0 Ok: queued as 4fK2 for <ada@example.org>")
        if reply.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.messages.append(envelope.content)
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return reply


class Connection(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self.event_handler
        assert isinstance(server, SmtpServer)
        super().connection_made(transport)
        if server.greetings_cut:
            server.greetings_cut -= 1
            cut(self)


class SmtpOffice:
    def __init__(self, server: SmtpServer, mailer: SmtpMailer) -> None:
        self.server = server
        self.mailer = mailer

    @property
    def messages(self) -> list[bytes]:
        return self.server.messages

    def next_meets(self, trouble: Trouble) -> None:
        if trouble == "lost":
            self.server.hang_up_at = "DATA"
        else:
            self.server.replies["RCPT"].append({"refused": "550 5.1.1 <ada@example.org> unknown", "busy": "450 4.2.1 later"}[trouble])


def sign_in(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
    del server, session, envelope, mechanism
    fine = isinstance(data, LoginPassword) and data.login == b"nordlicht" and data.password == b"a long password"
    return AuthResult(success=fine, handled=False)


@asynccontextmanager
async def smtp_server(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[SmtpServer]:
    """A server on a free port of 127.0.0.1; with `tls` it speaks TLS from the first byte, `tls_context` among the options is STARTTLS."""
    server = SmtpServer()
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        server.connections.append(Connection(server, hostname="mail.test", ident="test", loop=loop, **options))
        return server.connections[-1]

    listening = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.hang_up()
        await listening.wait_closed()


@asynccontextmanager
async def smtp_mailer(server: SmtpServer, **options: Any) -> AsyncIterator[SmtpMailer]:
    settings: dict[str, Any] = {"tls": "none", "retry_wait_seconds": 0.0, "clock": lambda: AT, **options}
    mailer = SmtpMailer(host="127.0.0.1", port=server.port, sender=SENDER, **settings)
    try:
        yield mailer
    finally:
        await mailer.aclose()
