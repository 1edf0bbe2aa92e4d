"""Finds a case or an order by a name that somebody at the desk was given: exact names, no words from what customers wrote."""

from __future__ import annotations

import unicodedata
from typing import Final
from uuid import UUID

from service.callers import Caller
from service.model import WireId, unwire
from service.store import search as store
from service.store.pool import Pool
from service.store.search import By, Found

# As long as a reference of an order or a processor may be; an address has at most 254 characters (RFC 5321, section 4.5.3.1.3).
QUERY_LENGTH_MAX: Final = 254


class Search:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, caller: Caller, query: str) -> Found:
        """By the id of a case or an operation, an order's reference, a processor's reference, or the address of a buyer or holder.

        Who looked is kept, with what they found. What found nothing is kept nowhere, and an address never.
        """
        by, name = named(query.strip())
        return await store.search(self._pool, caller.platform_id, by, name, actor=caller.name)


def named(query: str) -> tuple[By, str | UUID]:
    """What kind of name it is, by its looks: those of its plain letters, for a full-width @ makes an address as well."""
    plain = unicodedata.normalize("NFKC", query).strip()
    case, operation = unwire(WireId.CASE, plain), unwire(WireId.OPERATION, plain)
    if case is not None:
        return "case", case
    if operation is not None:
        return "operation", operation
    # References are the platform's and the processor's own: they are compared as they were typed.
    return ("email", plain) if "@" in plain else ("reference", query)
