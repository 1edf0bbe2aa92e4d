"""Keeps every pack text by its hash, and reads decisions back with the texts they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from service.store.pool import Pool


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of a stored decision, and the text of the pack that gave it (None: it was never kept here)."""

    subject: Mapping[str, Any]
    facts: Mapping[str, Any]
    parameters: Mapping[str, Any]
    verdict: Mapping[str, Any]
    text: str | None


async def keep(pool: Pool, packs: Iterable[tuple[str, str, str]]) -> None:
    """Stores (hash, name, text) where they are new: a decision can be explained for as long as it is kept."""
    await pool.executemany(
        "INSERT INTO policy_text (hash, name, body) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING  -- every platform: packs are shared",
        list(packs),
    )


async def texts_of(pool: Pool, hashes: Sequence[str]) -> Mapping[str, str]:
    """Texts by hash; what was never kept is left out."""
    rows = await pool.fetch("SELECT hash, body FROM policy_text WHERE hash = ANY ($1::text[])  -- every platform: by hash", list(hashes))
    return {row["hash"]: row["body"] for row in rows}


async def note_installed(pool: Pool, packs: Mapping[str, str]) -> None:
    """Records that the installation decides by these from now on (name -> hash), where the last that started decided by others."""
    await pool.execute(
        """
        -- every platform: the packs are the installation's
        INSERT INTO installation_change (at, actor, what, why, data)
        SELECT (SELECT app_now()), 'makegood', 'packs_installed', 'a process started with them', $1
        WHERE $1 IS DISTINCT FROM (SELECT data FROM installation_change WHERE what = 'packs_installed' ORDER BY id DESC LIMIT 1)
        """,
        dict(packs),
    )


async def decision_of(pool: Pool, case: UUID) -> Sequence[Made]:
    """The verdicts of a case's newest decision that a pack made; empty when there is none."""
    rows = await pool.fetch(
        """
        -- every platform: the installation's operator asks
        SELECT v->'subject' AS subject, v->'facts' AS facts, v->'parameters' AS parameters, v->'verdict' AS verdict, t.body AS text
        FROM (SELECT platform_id, verdicts FROM decision WHERE case_id = $1 AND verdicts <> '[]' ORDER BY created_at DESC LIMIT 1) d
            CROSS JOIN jsonb_array_elements(d.verdicts) WITH ORDINALITY AS e(v, n)
            LEFT JOIN policy_text t ON t.hash = v->'verdict'->>'pack_hash'
        ORDER BY n
        """,
        case,
    )
    return [Made(**dict(row)) for row in rows]
