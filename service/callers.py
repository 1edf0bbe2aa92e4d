"""Who is calling: the outcome of authentication, as the domain sees it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from service.model import IdentityLevel


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated caller of one platform. `kind` decides which routes are open, `scopes` narrow a key further.

    `platform`: the platform's own key. `agent`: a person at the desk. `machine`: a program as
    agent. `customer`: a session of ours or the platform's JWT; `nobody` never reaches a handler that asks for a Caller.
    """

    kind: Literal["platform", "agent", "machine", "customer"]
    platform_id: UUID
    platform: str
    """its slug"""
    id: UUID
    """of the key, or of the session; for a platform's JWT an id derived from issuer and subject"""
    name: str
    """what the timeline shows: `key:shop`, `agent:Mira`, `customer`"""
    scopes: frozenset[str] = frozenset()
    agent_id: UUID | None = None
    role: Literal["agent", "lead", "machine", ""] = ""
    level: IdentityLevel = IdentityLevel.ANONYMOUS
    """of a customer, as it holds now (levels run out)"""
    session_id: UUID | None = None
    email: str | None = None
    """the address that a customer proved"""
    only_pass: UUID | None = None
    """set when that address is a holder's: this pass alone"""
    customer_ref: str | None = None
    """`sub` of the platform's JWT"""

    @property
    def key(self) -> str:
        """Stable text for idempotency and rate limits."""
        return f"{self.kind}:{self.id.hex}"
