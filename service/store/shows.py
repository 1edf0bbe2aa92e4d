"""Runs the statements of shows and their incidents."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from service.model import Json
from service.store.orders import Written, again
from service.store.pool import Pool

_PUT: Final = "SELECT show_put($1::jsonb)"
_PUT_INCIDENT: Final = "SELECT incident_put($1::jsonb)"

_GET: Final = """
SELECT jsonb_build_object('id', s.id, 'ref', s.ref, 'version', s.version, 'name', s.name, 'zone', s.zone, 'starts_at', s.starts_at,
    'ends_at', s.ends_at, 'status', s.status, 'settings', s.settings,
    'incidents', coalesce((SELECT jsonb_agg(jsonb_build_object('id', i.id, 'ref', i.ref, 'version', i.version, 'kind', i.kind,
        'from', i.starts_at, 'to', i.ends_at, 'scope', i.scope) ORDER BY i.starts_at, i.id)
        FROM incident i WHERE i.platform_id = $1 AND i.show_id = s.id), '[]'))
FROM show s WHERE s.platform_id = $1 AND s.ref = $2
"""


class ShowStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, document: Json) -> Written:
        """Takes a show in, in one transaction; cases that waited for its date are given back to the process."""
        return msgspec.convert(await again(lambda: self._pool.fetchval(_PUT, document)), Written)

    async def put_incident(self, document: Json) -> Written:
        """Takes an incident in, in one transaction; when it has ended, cases that waited for that are given back to the process."""
        return msgspec.convert(await again(lambda: self._pool.fetchval(_PUT_INCIDENT, document)), Written)

    async def get(self, platform_id: UUID, ref: str) -> Any | None:
        return await self._pool.fetchval(_GET, platform_id, ref)
