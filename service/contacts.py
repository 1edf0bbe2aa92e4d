"""A contact, and what was decided on it, as the flow's functions store them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from service import identity_of_case as who
from service.callers import Caller
from service.model import Channel, IdentityLevel, Problem, new_id
from service.operations import LEASE_SECONDS
from service.plan import Plan
from service.purchase import Purchase, in_words
from service.store.flow import CaseRow
from service.view import View


class Player(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer's own player and device told; nothing of who they are."""

    error: str | None = None
    device: str | None = None
    system: str | None = None
    app_version: str | None = None
    network: str | None = None
    browser: str | None = None


class Offered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer was shown, and said yes to."""

    amount: int
    currency: str
    to: str | None = None
    """where it goes, where they were shown that too"""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says is wrong."""

    problem: Problem
    show: str | None
    order: str | None
    passes: tuple[UUID, ...]
    incident: str | None
    message: str | None
    channel: Channel
    locale: str
    checked: str | None
    """an agent's record of how they checked who is asking"""
    key: str
    body_hash: bytes
    player: Player | None = None
    purchase: Purchase | None = None
    """people compare it; nothing is decided on it"""
    offered: Offered | None = None
    """the case is opened only where the rules would still do this"""


def opening(caller: Caller, contact: Contact, asker: who.Asker, view: View, case: UUID, *, passes: tuple[UUID, ...]) -> Mapping[str, Any]:
    """The contact as case_open takes it. The order is set only where its customer is known."""
    verified = asker.level.at_least(IdentityLevel.VERIFIED)
    return {
        "platform": caller.platform_id,
        "case": case,
        "caller": caller.key,
        "caller_name": caller.name,
        "key": contact.key,
        "body_hash": contact.body_hash.hex(),
        "contact": new_id(),
        "channel": contact.channel,
        "locale": contact.locale,
        "problem": contact.problem,
        "show": view.show.id if view.show and (verified or contact.show) else None,
        "order": view.order.id if view.order and verified else None,
        "claimed_order": contact.order,
        "session": caller.session_id,
        "requester": asker.requester,
        "identity": asker.level,
        "incident_ref": contact.incident,
        "message": {"id": new_id(), "body": words} if (words := _words(contact)) else {},
        **({"player": contact.player} if contact.player is not None else {}),
        "passes": list(passes) or [None],
        "lease_seconds": LEASE_SECONDS,
    }


def _words(contact: Contact) -> str | None:
    return contact.message if contact.purchase is None else in_words(contact.purchase, contact.message, contact.locale)


def decision(
    platform: UUID,
    case: UUID,
    epoch: int,
    *,
    view: View,
    asker: who.Asker,
    plan: Plan,
    row: CaseRow | None = None,
    key_seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The plan as case_decide takes it."""
    order = view.order.id if view.order and asker.level.at_least(IdentityLevel.VERIFIED) else None
    document: dict[str, Any] = {
        "platform": platform,
        "case": case,
        "epoch": epoch,
        "order": order,
        "decision": {"id": plan.id, "outcome": plan.outcome, "verdicts": _verdicts(plan), "guards": plan.guards},
        "refunds": plan.refunds,
        "passes": plan.passes,
        "payments": plan.payments,
        "holds": plan.holds,
        "approvals": plan.approvals,
        "caps": plan.caps,
        "limits": plan.limits,
        "priority": 0 if row is None else 1,
        "ids": [new_id() for _ in plan.payments] if plan.outcome == "approve" else [],
        "entries": [_entry(plan)],
        "next": plan.next,
        "next_if_paid": {"state": "resolved", "outcome": "already_done"},
        "begin": True,
        "lease_seconds": LEASE_SECONDS,
        "key_seconds": key_seconds,
    }
    if row is not None and row.order is None and order is not None:
        document["attach"] = {
            "identity": asker.level,
            "requester": asker.requester,
            "passes": list(passes_of(row, asker)) or [None],
            "show": view.show.id if view.show else None,
        }
    return document


def passes_of(row: CaseRow, asker: who.Asker) -> tuple[UUID, ...]:
    """The passes the case is about: of a holder their own, else the named ones."""
    return named_passes(row) if asker.only_pass is None else (asker.only_pass,)


def named_passes(row: CaseRow) -> tuple[UUID, ...]:
    """The passes that the case was opened for, or those the customer named when asked or before it was known who asks."""
    named = row.answers.get("passes") or ()
    return row.passes or tuple(UUID(one) for one in ([named] if isinstance(named, str) else named))


def _verdicts(plan: Plan) -> list[Mapping[str, Any]]:
    """Each subject's rule, hash and facts, as they are kept: enough to reproduce the decision byte for byte."""
    return [
        {
            "subject": {"kind": one.subject.kind, "id": one.subject.id},
            "facts": one.facts,
            "parameters": one.parameters,
            "verdict": one.verdict,
        }
        for one in plan.judged
    ]


def _entry(plan: Plan) -> Mapping[str, Any]:
    return {
        "kind": "decided",
        "source": "policy",
        "data": {
            "decision": plan.id,
            "outcome": plan.outcome,
            "rules": sorted({f"{one.verdict.pack}/{one.verdict.rule}" for one in plan.judged}),
            "guards": plan.guards,
        },
    }


def body_hash(body: bytes) -> bytes:
    """What tells a repeated request from another one under the same key."""
    return hashlib.sha256(body).digest()
