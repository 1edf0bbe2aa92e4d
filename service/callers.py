"""Who is calling: the outcome of authentication, as the domain sees it."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

import msgspec

from service.addresses import folded
from service.model import IdentityLevel

# How an order's buyer was found among what somebody has proved: by the address, by address and phone together (a text), or by both.
Proven = Literal["address", "text", "both"]

# What people are compared with (`buyer_proven`, `holder_proven`): an address alone; an address and a phone together. Folded.
Proofs = tuple[str | None, str | None, str | None]
NOTHING_PROVEN: Final[Proofs] = (None, None, None)


class TextProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a code by text proved: whoever asks reads what is sent to the phone that the buyer of this address left with an order.

    It says nothing of the address alone, since anybody can order with somebody else's. It does not print itself.
    """

    email: str
    """folded"""
    phone: str
    """E.164"""
    beside_mail: bool
    """the same session has proven this address by mail too, and the second of the two is fresh"""

    def __repr__(self) -> str:
        return "TextProof(...)"


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
    """of a customer, as it holds now (levels run out); what a session has proven more surely for single orders, `as_buyer` says"""
    session_id: UUID | None = None
    email: str | None = None
    """the address that a customer proved, by a code in a mail or by the platform's JWT; never by a text"""
    text: TextProof | None = None
    """what a code by text proved"""
    only_pass: UUID | None = None
    """set when that address is a holder's: this pass alone"""
    customer_ref: str | None = None
    """`sub` of the platform's JWT"""

    @property
    def key(self) -> str:
        """Stable text for idempotency and rate limits."""
        return f"{self.kind}:{self.id.hex}"

    @property
    def proofs(self) -> Proofs:
        """What every statement compares people with."""
        by_text = (None, None) if self.text is None else (self.text.email, self.text.phone)
        return (folded(self.email) if self.email else None, *by_text)

    def as_buyer(self, *, proven: Proven | None, customer_ref: str | None) -> IdentityLevel | None:
        """How sure it is that this customer is the buyer of one order; None: nothing says so. No other place decides it.

        `proven`: what `buyer_proven` says of the order's buyer; `customer_ref`: the order's.
        """
        if self.kind != "customer" or not self.level.at_least(IdentityLevel.VERIFIED):
            return None
        if self.customer_ref is not None and self.customer_ref == customer_ref:
            return self.level
        if proven == "both" and self.text is not None and self.text.beside_mail:
            return IdentityLevel.STRONG
        return None if proven is None else self.level
