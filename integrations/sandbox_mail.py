"""A mailer that keeps its mail instead of sending it: for the demo, for tests, and for trying Makegood without a mail server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from integrations.mail_message import address, compose
from service.ports import Declined, Mail, OutcomeUnknown, Unavailable

# Enough to look back on an evening of trying things; each mail with a picture is about ten kilobytes.
_KEPT_MAX: Final = 1000
# A script longer than this is a mistake in a test.
_SCRIPTED_MAX: Final = 1000


# As many as a person who tries things looks through.
_FILES_MAX: Final = 200


class MailFolder:
    """Where somebody who tries Makegood without a mail server reads the mail: one text file each, the newest two hundred."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, mail: Mail) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{mail.message_key.hex}.txt"
        (self._folder / name).write_text(f"To: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}\n", encoding="utf-8")
        for old in sorted(self._folder.glob("*.txt"))[:-_FILES_MAX]:
            old.unlink(missing_ok=True)


class SandboxMailer:
    """`Mailer` in memory: the newest thousand mails, and an optional listener that sees each as it arrives.

    `fail_next` scripts failures, one a sending: after Declined and Unavailable nothing was kept; an OutcomeUnknown is kept, since
    the cruel case is the mail that did arrive.
    """

    def __init__(
        self,
        *,
        sender: str,
        on_mail: Callable[[Mail], None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sender = sender
        self._on_mail = on_mail
        self._clock = clock
        self._kept: deque[tuple[Mail, datetime]] = deque(maxlen=_KEPT_MAX)
        self._failures: deque[Declined | Unavailable | OutcomeUnknown] = deque()

    def fail_next(self, *failures: Declined | Unavailable | OutcomeUnknown) -> None:
        if len(self._failures) + len(failures) > _SCRIPTED_MAX:
            raise ValueError(f"at most {_SCRIPTED_MAX} failures can be scripted")
        self._failures.extend(failures)

    async def send(self, mail: Mail) -> str:
        address(mail, self._sender)
        failure = self._failures.popleft() if self._failures else None
        if isinstance(failure, Declined | Unavailable):
            raise failure
        self._kept.append((mail, self._clock()))
        if self._on_mail is not None:
            self._on_mail(mail)
        if failure is not None:
            raise failure
        return f"sandbox {mail.message_key.hex}"

    async def check(self) -> str:
        return f"sandbox: mail is kept, not sent ({len(self._kept)} kept)"

    @property
    def mails(self) -> tuple[Mail, ...]:
        """What was sent, oldest first."""
        return tuple(mail for mail, _ in self._kept)

    @property
    def messages(self) -> tuple[bytes, ...]:
        """The same as the messages that a server would have been given; built when asked for, since that is the slow part."""
        return tuple(compose(mail, self._sender, at).content for mail, at in self._kept)
