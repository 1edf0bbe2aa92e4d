"""How customers were served, in their own judgement: one tap after the resolution, one more a day after the show; never asked twice."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.sealing import Unsealable, Vault
from service.store.figures import FigureStore

Asked = Literal["resolution", "after_show"]

VAULT_PURPOSE: Final = "satisfaction"
# A token is its own place: it is kept nowhere but in the letter.
_PLACE: Final = b"after the show"
_PREFIX: Final = "mgf_"
# Sealed it is 28 bytes longer; nothing longer is one of ours.
_TOKEN_LENGTH_MAX: Final = 120
# What is sealed: platform, case, when it ends. Short, since mail programs break long links.
_INSIDE: Final = struct.Struct(">16s16sQ")
# People read a letter within days, and some after a holiday.
VALID_FOR: Final = timedelta(days=30)

# The show is still fresh, and the night is slept over.
AFTER_SHOW_SECONDS: Final = 86_400.0
# Who was not asked within two more days, because the installation was down, is not asked about a show they have forgotten.
LATE_SECONDS: Final = 3 * 86_400.0
# One pass, one statement; of a show with a hundred thousand cases the last letter leaves after two hours.
ASKED_AT_ONCE_MAX: Final = 1_000


class NotAsked(Exception):  # noqa: N818 - says what happened
    """The token opens nothing: damaged, made up, or too old."""


class ScoredBefore(Exception):  # noqa: N818 - says what happened
    """Once is enough: the first tap stands."""


class NotYet(Exception):  # noqa: N818 - says what happened
    """The case has not ended, or the show is not over."""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    case: UUID
    until: float
    """seconds since 1970"""


class Satisfactions:
    def __init__(self, store: FigureStore, vault: Vault, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    def token(self, platform: UUID, case: UUID) -> str:
        """For the one link of the letter after the show: it judges this case, once, and opens nothing else."""
        inside = _INSIDE.pack(platform.bytes, case.bytes, int((self._clock() + VALID_FOR).timestamp()))
        return _PREFIX + base64.urlsafe_b64encode(self._vault.seal(inside, place=_PLACE)).rstrip(b"=").decode()

    async def by_token(self, token: str, score: int) -> None:
        """Raises NotAsked, ScoredBefore, NotYet. The same score again changes nothing."""
        inside = self._opened(token)
        if inside is None or inside.until <= self._clock().timestamp():
            raise NotAsked
        await self._put(inside.platform, inside.case, "after_show", score)

    async def by_customer(self, caller: Caller, case: UUID, asked: Asked, score: int) -> None:
        """Of a case that is theirs, as the caller has made sure. Raises ScoredBefore, NotYet."""
        await self._put(caller.platform_id, case, asked, score)

    async def ask_after_shows(self) -> int:
        """One bounded pass: a letter for each case whose show has been over for a day; how many."""
        return await self._store.ask_after_shows(ASKED_AT_ONCE_MAX, after_seconds=AFTER_SHOW_SECONDS, late_seconds=LATE_SECONDS)

    async def _put(self, platform: UUID, case: UUID, asked: Asked, score: int) -> None:
        status = await self._store.score(platform, case, asked, score)
        if status == "not_yet":
            raise NotYet
        if status == "scored_before":
            raise ScoredBefore

    def _opened(self, token: str) -> Inside | None:
        if len(token) > _TOKEN_LENGTH_MAX or not token.startswith(_PREFIX):
            return None
        text = token.removeprefix(_PREFIX)
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            platform, case, until = _INSIDE.unpack(self._vault.open(sealed, place=_PLACE))
        # ValueError: what is not ASCII; binascii.Error, of what is not base64, is one too.
        except (Unsealable, ValueError, struct.error):
            return None
        return Inside(platform=UUID(bytes=platform), case=UUID(bytes=case), until=until)
