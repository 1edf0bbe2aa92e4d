"""The help widget's files as this and earlier releases served them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.store.pool import Pool

# A season and a half: a page that was pinned for last year's festival still helps at this year's.
FORGOTTEN_AFTER_DAYS: Final = 400
# Fifty releases of twenty files; whoever builds at every turn pushes out what was used longest ago.
FILES_MAX: Final = 1000
# One pass of the clean-up; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 200

# A crowd that loads a file writes one row a day.
_KEEP: Final = """
INSERT INTO widget_file AS had (name, body, kept_at, used_at)
SELECT given.name, given.body, now, now FROM unnest($1::text[], $2::bytea[]) AS given (name, body), (SELECT app_now() AS now) AS clock
ORDER BY given.name
ON CONFLICT (name) DO UPDATE SET used_at = EXCLUDED.used_at WHERE had.used_at < EXCLUDED.used_at - interval '1 day'
"""
_FIND: Final = """
WITH used AS (
    UPDATE widget_file SET used_at = (SELECT app_now()) WHERE name = $1 AND used_at < (SELECT app_now()) - interval '1 day'
)
SELECT body FROM widget_file WHERE name = $1
"""
_FORGET: Final = """
DELETE FROM widget_file WHERE name IN (
    SELECT name FROM widget_file WHERE used_at < (SELECT app_now()) - make_interval(days => $1) ORDER BY used_at LIMIT $3 FOR UPDATE SKIP LOCKED)
OR name IN (SELECT name FROM widget_file ORDER BY used_at DESC, name OFFSET $2 LIMIT $3)
"""


class WidgetFileStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, files: Mapping[str, bytes]) -> None:
        """What is there under a name stays as it was."""
        await self._pool.execute(_KEEP, list(files), list(files.values()))

    async def find(self, name: str) -> bytes | None:
        body: bytes | None = await self._pool.fetchval(_FIND, name)
        return body

    async def forget_old(self) -> None:
        """What no page has loaded for so long, and what is too much."""
        await self._pool.execute(_FORGET, FORGOTTEN_AFTER_DAYS, FILES_MAX, _FORGOTTEN_AT_ONCE_MAX)
