"""Cases that another team judges, moderation or fraud: asked with evidence, answered once, and what that does to what waited.

While a team judges, the case is put aside, its clocks stand still, and, where it was asked so, no money and no pass of its order goes out:
what is ready is held, and so is what is decided later. What was sent is followed up as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.model import WireId, new_id, unwire
from service.store.idempotency import IdempotencyKey
from service.store.referrals import ReferralRow, ReferralStore
from service.watch import Watch

Team = Literal["moderation", "fraud"]
Answer = Literal["cleared", "confirmed", "need_more"]
State = Literal["open", "cleared", "confirmed", "need_more", "withdrawn"]
Reason = Literal[
    "chargeback_risk",
    "card_testing",
    "pass_sharing",
    "scalping",
    "account_takeover",
    "false_claim",
    "abuse",
    "threat",
    "self_harm",
    "other",
]
EvidenceKind = Literal["message", "timeline", "payment", "pass", "note"]

# A day: another team has shifts too, and money waits meanwhile.
ANSWER_SECONDS_DEFAULT: Final = 86_400
# What each kind of evidence is named by, where that is an id.
_IDS: Final[Mapping[str, WireId]] = {"message": WireId.MESSAGE, "note": WireId.MESSAGE, "pass": WireId.PASS}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    kind: EvidenceKind
    ref: str
    words: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    team: Team
    reason: Reason
    question: str
    evidence: Sequence[Evidence]
    holds: bool
    answer_within_seconds: int


class EvidenceMissing(Exception):  # noqa: N818 - says what is wrong
    """A piece of evidence is not in this case or its order; `piece`: which, from 0."""

    def __init__(self, piece: int) -> None:
        super().__init__(f"piece {piece}")
        self.piece = piece


class Refused(Exception):  # noqa: N818 - says what happened
    """`not_yours`, `already_referred`, `own`, `answered_before`, `judged`, `not_for_you`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Referrals:
    def __init__(self, store: ReferralStore, watch: Watch) -> None:
        self._store = store
        self._watch = watch

    async def ask(self, caller: Caller, key: IdempotencyKey, case: UUID, question: Question) -> ReferralRow:
        """Puts the case, which the caller has, aside until another team has judged. Once for each key.

        Raises EvidenceMissing, Refused, KeyReused.
        """
        referral = new_id()
        document = {
            "platform": caller.platform_id,
            "id": referral,
            "case": case,
            "agent": caller.agent_id,
            "actor": caller.name,
            "team": question.team,
            "reason": question.reason,
            "question": question.question,
            "holds": question.holds,
            "seconds": question.answer_within_seconds,
            "evidence": [_piece(number, one) for number, one in enumerate(question.evidence)],
        }
        answer = await self._store.open(key, document)
        if answer["status"] == "repeat":
            referral = await self._store.made_by(key) or referral
        elif answer["status"] == "no_evidence":
            raise EvidenceMissing(int(answer["piece"]))
        elif answer["status"] != "opened":
            raise Refused(answer["status"])
        self._watch.tell(case)
        return await self._known(caller, referral)

    async def one(self, caller: Caller, referral: UUID) -> ReferralRow | None:
        return await self._store.one(caller.platform_id, referral)

    async def listed(
        self, caller: Caller, *, state: State | None, team: Team | None, case: UUID | None, most: int, offset: int
    ) -> Sequence[ReferralRow]:
        return await self._store.listed(caller.platform_id, state=state, team=team, case=case, most=most, offset=offset)

    async def answer(
        self, caller: Caller, referral: UUID, answer: Answer, *, words: str, by: str | None, reference: str | None
    ) -> ReferralRow:
        """The team's word, from its own system or from a person with the skill `trust`. The same again changes nothing.

        Raises Refused: nobody answers what they asked themselves, and what was judged is not judged again.
        """
        if caller.kind != "platform" and not await self._store.judges(caller):
            raise Refused("not_for_you")
        status = await self._store.answer(
            {
                "platform": caller.platform_id,
                "id": referral,
                "answer": answer,
                "actor": caller.name,
                "agent": caller.agent_id,
                "words": words,
                "by": by or (caller.name.removeprefix("agent:") if caller.agent_id else None),
                "reference": reference,
            }
        )
        if status not in {"answered", "same"}:
            raise Refused(status)
        return await self._told(caller, referral)

    async def withdraw(self, caller: Caller, referral: UUID, reason: str) -> ReferralRow:
        """Takes the question back; what waited for it alone goes on. For who asked, a lead, or who could answer. Raises Refused."""
        known = await self._known(caller, referral)
        if known.agent_id != caller.agent_id and caller.role != "lead" and not await self._store.judges(caller):
            raise Refused("not_for_you")
        status = await self._store.withdraw(caller, referral, reason)
        if status not in {"withdrawn", "same"}:
            raise Refused(status)
        return await self._told(caller, referral)

    async def _told(self, caller: Caller, referral: UUID) -> ReferralRow:
        row = await self._known(caller, referral)
        self._watch.tell(row.case_id)
        return row

    async def _known(self, caller: Caller, referral: UUID) -> ReferralRow:
        row = await self._store.one(caller.platform_id, referral)
        if row is None:
            raise Refused("no_referral")
        return row


def _piece(number: int, one: Evidence) -> dict[str, Any]:
    """Raises EvidenceMissing for what cannot be anything's name."""
    piece: dict[str, Any] = {"kind": one.kind, "ref": one.ref}
    if one.words:
        piece["words"] = one.words
    if one.kind in _IDS:
        found = unwire(_IDS[one.kind], one.ref)
        if found is None:
            raise EvidenceMissing(number)
        piece["id"] = found
    elif one.kind == "timeline" and not (one.ref.isascii() and one.ref.isdigit() and len(one.ref) <= _SEQ_DIGITS_MAX):
        raise EvidenceMissing(number)
    return piece


# A timeline of more entries than that is no case's.
_SEQ_DIGITS_MAX: Final = 9
