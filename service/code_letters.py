"""Sends the letter with a one-time code: the background half of proving an address."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import structlog

from service.identity import CODE_SECONDS
from service.in_step import InStep
from service.letters.model import OneTimeCode
from service.letters.render import Letters
from service.platforms import Platform, Platforms
from service.ports import Mail, Mailer, Unavailable
from service.sealed_code import CodeInside, unseal
from service.sealing import Unsealable, Vault
from service.store.identity import IdentityStore

log: Final = structlog.get_logger(__name__)

_ID_BYTES: Final = 16


class CodeLetters:
    """The vault is the one that `Identity` was given."""

    def __init__(
        self, *, store: IdentityStore, platforms: Platforms, vault: Vault, letters: Letters, mailer: Mailer, in_step: InStep
    ) -> None:
        self._in_step = in_step
        self._store = store
        self._platforms = platforms
        self._vault = vault
        self._letters = letters
        self._mailer = mailer

    async def send_code(self, job: bytes) -> None:
        """The job `send_code`: writes the letter, or does nothing where there is nobody to write to. Safe to run twice.

        An order that we do not know is asked for at its platform first: it may have been bought a minute ago. Whoever asked for the code
        cannot tell, since they have had their answer. (Twice is the same letter with the same Message-ID.) Raises Declined, Unavailable,
        OutcomeUnknown as the mailer does, and Unavailable while the platform does not answer.
        """
        if len(job) != 2 * _ID_BYTES:
            log.error("code_job_malformed")
            return
        platform_id, code_id = UUID(bytes=job[:_ID_BYTES]), UUID(bytes=job[_ID_BYTES:])
        platform = await self._platforms.by_id(platform_id)
        row = await self._store.code_to_send(platform_id, code_id)
        if row is None or platform is None:
            return
        try:
            inside = unseal(self._vault, code_id, row["sealed"])
        except Unsealable:
            log.error("code_unsealable", code_id=code_id.hex)  # noqa: TRY400 - where it happened is plain
            return
        address = row["email"] or await self._address_at_platform(platform, code_id, inside)
        if address is None:
            return
        letter = OneTimeCode(code=inside.digits, valid_minutes=CODE_SECONDS // 60)
        rendered = self._letters.render(letter, platform.settings.look, row["language"])
        mail = Mail(
            to=address,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            images=rendered.images,
            language=rendered.language,
            message_key=code_id,
            sender=platform.settings.sender,
            reply_to=platform.settings.contacts.email,
        )
        await self._mailer.send(mail)
        await self._store.code_sent(platform_id, code_id)
        log.info("code_sent", code_id=code_id.hex)

    async def _address_at_platform(self, platform: Platform, code_id: UUID, inside: CodeInside) -> str | None:
        """Where the code goes after all, once the named order has been read at its platform. Raises Unavailable."""
        if platform.settings.source is None or not inside.email or inside.order_ref is None:
            return None
        read = await self._in_step.read(platform.id, inside.order_ref)
        if read == "unavailable":
            raise Unavailable("the platform's system does not answer")
        if read != "read" or not await self._store.code_match(platform.id, code_id, inside.email, inside.order_ref):
            return None
        row = await self._store.code_to_send(platform.id, code_id)
        return None if row is None else row["email"]
