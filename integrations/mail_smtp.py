"""Sends mail over SMTP, on a few connections that are kept open."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from integrations.mail_message import Message, compose, domain_of
from service.ports import Declined, Mail, OutcomeUnknown, Unavailable

Tls = Literal["implicit", "starttls", "none"]

# Four at a time keep a mail server's usual limit for one client (ten to twenty) free for several processes.
_CONNECTIONS_MAX: Final = 4
# Servers close a silent connection after 60 s at the earliest in practice (RFC 5321, section 4.5.3.2, asks for 5 minutes).
_IDLE_SECONDS_MAX: Final = 30.0
# Common servers (Postfix, Exim) stop at 100 messages on one connection.
_MESSAGES_PER_CONNECTION_MAX: Final = 100
# A restarting server or a lost packet; what lasts longer waits in the queue of jobs.
_CONNECT_TRIES_MAX: Final = 3
# Enhanced status codes (RFC 3463) at the start of a reply: the only part of it that never quotes an address.
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b", re.ASCII)
_REPLY_LENGTH_MAX: Final = 120


class _Line:
    """An open connection, how often it was used and when last."""

    def __init__(self, client: SMTP) -> None:
        self.client = client
        self.messages = 0
        self.used_at = time.monotonic()

    def worth_keeping(self) -> bool:
        fresh = time.monotonic() - self.used_at < _IDLE_SECONDS_MAX
        return fresh and self.messages < _MESSAGES_PER_CONNECTION_MAX and self.client.is_connected


class SmtpMailer:
    """`Mailer` over one SMTP server. For one event loop; call `aclose` at the end.

    `sender` (`Name <address>`) counts where a mail names none. `timeout_seconds` bounds each exchange with the server; 20 s forgive a
    content scanner, and what was cut off after DATA is unknown, not failed. `tls_context` is for a server with a certificate of its own.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        username: str | None = None,
        password: str | None = None,
        tls: Tls = "starttls",
        tls_context: ssl.SSLContext | None = None,
        timeout_seconds: float = 20.0,
        retry_wait_seconds: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises ValueError when a password would travel unprotected."""
        if username is not None and tls == "none" and not _is_this_machine(host):
            raise ValueError("a mail server on another machine gets a password only over TLS")
        self._host, self._port, self._sender = host, port, sender
        self._username, self._password = username, password
        self._tls, self._tls_context = tls, tls_context
        self._timeout_seconds = timeout_seconds
        self._retry_wait_seconds = retry_wait_seconds
        self._clock = clock
        self._slots = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._idle: list[_Line] = []

    async def send(self, mail: Mail) -> str:
        """Hand over once; returns what the server calls the message. Raises Declined, Unavailable, OutcomeUnknown."""
        message = compose(mail, self._sender, self._clock())
        async with self._line() as line:
            if message.needs_utf8 and not line.client.supports_extension("smtputf8"):
                raise Declined("unsupported", "the mail server takes no address outside ASCII")
            await _announce(line.client, message)
            line.messages += 1
            reply = await _hand_over(line.client, message)
        # Our own line would be the place to learn an address from, should the server quote one.
        return " ".join(word for word in reply.split() if "@" not in word)[:_REPLY_LENGTH_MAX]

    async def check(self) -> str:
        """Connect, protect, sign in and greet. Raises Unavailable."""
        async with self._line() as line:
            protected = line.client.get_transport_info("sslcontext") is not None
        return f"{self._host}:{self._port}, {'TLS' if protected else 'no TLS'}, {'signed in' if self._username else 'no sign-in'}"

    async def aclose(self) -> None:
        while self._idle:
            client = self._idle.pop().client
            try:
                await client.quit()
            except (SMTPException, OSError):
                client.close()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[_Line]:
        """A connection for one use: kept when the use ends well, dropped when it does not."""
        async with self._slots:
            line = await self._kept() or _Line(await self._connect())
            try:
                yield line
            except BaseException:
                line.client.close()
                raise
            line.used_at = time.monotonic()
            self._idle.append(line)

    async def _kept(self) -> _Line | None:
        """An open connection that still answers. Asking first means that a silent close never looks like a lost message."""
        while self._idle:
            line = self._idle.pop()
            try:
                if line.worth_keeping():
                    await line.client.rset()
                    return line
            except (SMTPException, OSError):
                pass  # Closed by the server meanwhile.
            except BaseException:
                line.client.close()
                raise
            line.client.close()
        return None

    async def _connect(self) -> SMTP:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_CONNECT_TRIES_MAX),
            wait=wait_random_exponential(max=self._retry_wait_seconds),
            retry=retry_if_exception(lambda failure: isinstance(failure, Unavailable) and not failure.configuration),
            reraise=True,
        )
        return await retrying(self._connect_once)

    async def _connect_once(self) -> SMTP:
        client = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            # Otherwise the name of this machine, which takes a look-up and is nobody's business.
            local_hostname=domain_of(self._sender),
            timeout=self._timeout_seconds,
            use_tls=self._tls == "implicit",
            start_tls=self._tls == "starttls",
            tls_context=self._tls_context,
        )
        try:
            await client.connect()
            await client.ehlo()
        except (SMTPException, OSError) as failure:
            client.close()
            raise _not_connected(failure) from None
        return client


async def _announce(client: SMTP, message: Message) -> None:
    """Sender and recipient: until DATA nothing has happened."""
    encoding = "utf-8" if message.needs_utf8 else "ascii"
    options = ["SMTPUTF8"] if message.needs_utf8 else []
    if client.supports_extension("size"):
        # RFC 1870: a server that takes no message of this size says so now.
        options.append(f"SIZE={len(message.content)}")
    try:
        await client.mail(message.sender, options=options, encoding=encoding)
        await client.rcpt(message.recipient, encoding=encoding)
    except SMTPResponseException as failure:
        raise _refused(failure) from None
    except (SMTPException, OSError) as failure:
        raise Unavailable(f"the connection to the mail server was lost: {type(failure).__name__}") from None


async def _hand_over(client: SMTP, message: Message) -> str:
    """Sent once: after DATA a lost connection leaves open whether the server has it."""
    try:
        return (await client.data(message.content)).message
    except SMTPResponseException as failure:
        raise _refused(failure) from None
    except (SMTPException, OSError) as failure:
        raise OutcomeUnknown(f"lost while the mail server took the message: {type(failure).__name__}") from None


def _refused(failure: SMTPResponseException) -> Declined | Unavailable:
    """Their no, by its code (RFC 5321, section 4.2.1): 4xx is not now; 5xx is never, and about us when it answers MAIL."""
    enhanced = _ENHANCED.match(failure.message)
    code = f"{failure.code} {enhanced[0]}" if enhanced else str(failure.code)
    if failure.code < 500:
        return Unavailable(f"the mail server says not now: {code}")
    too_large = failure.code == 552
    if failure.code in {530, 538} or (isinstance(failure, SMTPSenderRefused) and not too_large):
        return Unavailable(f"the mail server does not take mail from us: {code}", configuration=True)
    return Declined("declined", code)


def _not_connected(failure: SMTPException | OSError) -> Unavailable:
    """Nothing left this machine; `configuration` when trying again cannot help: credentials, certificate, or what the server lacks."""
    cause = failure.__cause__ or failure.__context__
    if isinstance(failure, ssl.SSLError) or isinstance(cause, ssl.SSLError):
        return Unavailable("the mail server's certificate or TLS was not accepted", never_sent=True, configuration=True)
    if isinstance(failure, SMTPAuthenticationError):
        wrong = failure.code >= 500
        return Unavailable(f"the mail server refused the sign-in: {failure.code}", never_sent=True, configuration=wrong)
    if isinstance(failure, SMTPResponseException):
        return Unavailable(f"the mail server does not talk to us: {failure.code}", never_sent=True)
    if isinstance(failure, SMTPConnectError | SMTPServerDisconnected | SMTPTimeoutError | OSError):
        return Unavailable(f"the mail server cannot be reached: {type(failure).__name__}", never_sent=True)
    # What is left is aiosmtplib's own: no STARTTLS, no AUTH, no method in common.
    return Unavailable("the mail server does not offer the TLS or the sign-in that is configured", never_sent=True, configuration=True)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
