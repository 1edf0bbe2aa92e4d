"""Sends the text with a one-time code: the background half of proving a phone."""

from __future__ import annotations

import asyncio
from typing import Final, Literal
from uuid import UUID

import structlog

from service.code_text_words import LANGUAGES, body, host_of
from service.identity import CODE_SECONDS
from service.in_step import InStep
from service.letters.words import choose_language
from service.limits import Limits, bucket
from service.platforms import Platform, Platforms
from service.ports import OutcomeUnknown, Text, Texter, Unavailable
from service.sealed_code import CodeInside, unseal
from service.sealing import Unsealable, Vault
from service.store.identity import IdentityStore

log: Final = structlog.get_logger(__name__)

_ID_BYTES: Final = 16
# Whoever sends texts answers within a second; what has not by then may have left all the same.
_SEND_SECONDS_MAX: Final = 20.0


class CodeTexts:
    """The vault is the one that `Identity` was given. `public_url`: where the service's own pages are, if somebody said so."""

    def __init__(
        self,
        *,
        store: IdentityStore,
        platforms: Platforms,
        vault: Vault,
        texter: Texter,
        in_step: InStep,
        public_url: str | None,
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._vault = vault
        self._texter = texter
        self._in_step = in_step
        self._public_url = public_url
        self._limits = limits or Limits()

    async def send_text(self, job: bytes) -> None:
        """The job `send_text`: sends the code, or does nothing where there is no phone to send it to, or too much was sent already.

        An order that we do not know is asked for at its platform first, as for a letter. What may have left is not sent again, since it
        costs money and another can be asked for. Raises Declined and Unavailable as the texter does, and Unavailable while the platform
        does not answer: run it again.
        """
        if len(job) != 2 * _ID_BYTES:
            log.error("text_job_malformed")
            return
        platform_id, code_id = UUID(bytes=job[:_ID_BYTES]), UUID(bytes=job[_ID_BYTES:])
        platform = await self._platforms.by_id(platform_id)
        row = await self._store.text_to_send(platform_id, code_id)
        if row is None or platform is None:
            return
        try:
            inside = unseal(self._vault, code_id, row["sealed"])
        except Unsealable:
            log.error("text_unsealable", code_id=code_id.hex)  # noqa: TRY400 - where it happened is plain
            return
        phone = row["text_phone"] or await self._phone_at_platform(platform, code_id, inside)
        if phone is None:
            return
        used_up = await self._used_up(platform_id, code_id, phone)
        if used_up is not None:
            log.warning("text_held_back", limit=used_up, platform=platform.slug)
            return
        language = choose_language(row["language"], platform.settings.languages, LANGUAGES)
        written = body(
            language,
            code=inside.digits,
            platform=platform.settings.name,
            minutes=CODE_SECONDS // 60,
            host=self._host(platform, inside.origin),
        )
        try:
            async with asyncio.timeout(_SEND_SECONDS_MAX):
                await self._texter.send(Text(to=phone, body=written, message_key=code_id))
        except (OutcomeUnknown, TimeoutError):
            log.warning("text_outcome_unknown", code_id=code_id.hex)
        await self._store.code_sent(platform_id, code_id)
        log.info("code_sent", code_id=code_id.hex, by="text")

    async def _used_up(self, platform: UUID, code: UUID, phone: str) -> Literal["phone", "platform"] | None:
        """Counts one text; which limit has no room. Silently: whoever asked must not learn from it whether there is such a phone.

        The phone first, so that one phone that is asked for again and again does not use up its platform's day. A text that could not be
        handed over yet counts once, however often it is tried.
        """
        limits, vault = self._limits, self._vault
        if await self._store.take(platform, [bucket(vault, "text-code", code.hex, (1, 86400))]):
            return None
        if await self._store.take(
            platform,
            [
                bucket(vault, "text-phone", phone, limits.texts_per_phone),
                bucket(vault, "text-phone-day", phone, limits.texts_per_phone_and_day),
            ],
        ):
            return "phone"
        if await self._store.take(platform, [bucket(vault, "text-platform-day", platform.hex, limits.texts_per_platform)]):
            return "platform"
        return None

    def _host(self, platform: Platform, origin: str) -> str | None:
        """Where the code is typed in: on the platform's own page that asked for it, else on ours. Nobody else is ever named."""
        if origin in platform.settings.origins:
            return host_of(origin)
        return None if self._public_url is None else host_of(self._public_url)

    async def _phone_at_platform(self, platform: Platform, code_id: UUID, inside: CodeInside) -> str | None:
        """Where the code goes after all, once the named order has been read at its platform. Raises Unavailable."""
        if platform.settings.source is None or not inside.email or inside.order_ref is None:
            return None
        read = await self._in_step.read(platform.id, inside.order_ref)
        if read == "unavailable":
            raise Unavailable("the platform's system does not answer")
        return await self._store.text_match(platform.id, code_id, inside.email, inside.order_ref) if read == "read" else None
