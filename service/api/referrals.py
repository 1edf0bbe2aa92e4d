"""Routes of referrals: a case handed to moderation or fraud as a deed, and the answer that comes back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to
from service.api.cases import Ref, found, id_of
from service.api.contract import examples
from service.callers import Caller
from service.cases import Cases
from service.model import WireId, unwire, wire
from service.referrals import (
    ANSWER_SECONDS_DEFAULT,
    Answer,
    Evidence,
    EvidenceKind,
    EvidenceMissing,
    Question,
    Reason,
    Referrals,
    Refused,
    State,
    Team,
)
from service.store.idempotency import IdempotencyKey
from service.store.referrals import ReferralRow

Words = Annotated[str, Meta(min_length=3, max_length=2000)]
# What a person reads before a judgement; a case that needs more is a file, and is attached to the team's own.
_EVIDENCE_MAX: Final = 20
# From a minute, for what happens during a show, to two weeks, for what a bank has to say something about.
_ANSWER_SECONDS: Final = (60, 1_209_600)
_READ: Final = opens_to("agent", "machine", "platform", scope="cases:read")


class NewEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is in the case: a `message` or `note` (`msg_…`), an entry of the `timeline` (its seq), a `payment` of its order (the
    platform's reference), a `pass` of its order (`pass_…`). Of a note its id alone leaves.
    """

    kind: EvidenceKind
    ref: Ref
    words: Annotated[str, Meta(max_length=500)] = ""
    """what it shows, for who judges"""


class NewReferral(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    team: Team
    reason: Reason
    question: Words
    evidence: Annotated[tuple[NewEvidence, ...], Meta(min_length=1, max_length=_EVIDENCE_MAX)]
    holds: bool
    """true: no money and no pass of the order goes out until the answer; what was sent is followed up as ever"""
    answer_within_seconds: Annotated[int, Meta(ge=_ANSWER_SECONDS[0], le=_ANSWER_SECONDS[1])] = ANSWER_SECONDS_DEFAULT
    """later, the case comes back to people without an answer, and what waits waits on"""


class NewJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cleared`: what waited goes on; `confirmed`: it is refused, and people of trust have the case; `need_more`: `words` asks back."""

    answer: Answer
    words: Words
    by: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """who judged, as the team names them; nobody's address"""
    reference: Ref | None = None
    """the team's own"""


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class EvidenceShown(msgspec.Struct, frozen=True, kw_only=True):
    kind: EvidenceKind
    ref: str
    words: str = ""


class JudgementShown(msgspec.Struct, frozen=True, kw_only=True):
    words: str
    by: str | None = None
    reference: str | None = None


class ReferralShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    case: str
    order: str | None
    show: str | None
    problem: str
    team: Team
    reason: Reason
    question: str
    evidence: tuple[EvidenceShown, ...]
    holds: bool
    held: dict[str, int]
    """money that waits for this answer now: minor units by currency"""
    holding: bool
    """money and tickets of the order wait for the answer now; an answer that asks back does not let them go"""
    state: State
    answer: JudgementShown | None
    asked_by: str
    mine: bool
    """you asked it: somebody else answers it"""
    created_at: datetime
    answer_by: datetime
    overdue: bool
    answered_at: datetime | None


class ReferralPage(msgspec.Struct, frozen=True, kw_only=True):
    referrals: tuple[ReferralShown, ...]
    next_offset: int | None


_NEW: Final = {
    "team": "fraud",
    "reason": "chargeback_risk",
    "question": "Three cards on one order within a minute: is this buyer known to you?",
    "evidence": [{"kind": "payment", "ref": "P-2", "words": "the third card"}],
    "holds": True,
}
_ANSWER: Final = {"answer": "cleared", "words": "A family with three cards; known since 2024.", "by": "Noa", "reference": "FR-88"}


class ReferralRoutes(Controller):
    tags = ("referrals",)

    @post(
        "/v1/cases/{case_id:str}/referrals",
        opt={**opens_to("agent", "machine", scope="queue:work", machines="cases:park"), **examples(request=_NEW)},
    )
    async def refer_case(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[NewReferral],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        referrals: NamedDependency[Referrals],
        cases: NamedDependency[Cases],
    ) -> ReferralShown:
        """Hands a case that you have taken to moderation or fraud, with evidence. It waits for their answer, and its clocks stand still."""
        case = id_of(case_id)
        found(await cases.get(caller, case))
        question = Question(
            team=data.team,
            reason=data.reason,
            question=data.question,
            evidence=[Evidence(kind=one.kind, ref=one.ref, words=one.words) for one in data.evidence],
            holds=data.holds,
            answer_within_seconds=data.answer_within_seconds,
        )
        return _shown(await referrals.ask(caller, idempotency, case, question), caller)

    @get("/v1/referrals", opt=_READ)
    async def list_referrals(
        self,
        *,
        caller: NamedDependency[Caller],
        referrals: NamedDependency[Referrals],
        case: Annotated[str | None, QueryParameter(max_length=40)] = None,
        shown: Annotated[State | None, QueryParameter(name="state")] = None,
        team: Annotated[Team | None, QueryParameter()] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
        offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
    ) -> ReferralPage:
        """What other teams were asked, the newest first.

        `state=open` lists what waits for an answer: what a team has asked back as well, while money or tickets wait for it.
        """
        of_case = None if case is None else id_of(case)
        rows = await referrals.listed(caller, state=shown, team=team, case=of_case, most=limit, offset=offset)
        return ReferralPage(
            referrals=tuple(_shown(one, caller) for one in rows), next_offset=offset + limit if len(rows) == limit else None
        )

    @get("/v1/referrals/{referral_id:str}", opt=_READ)
    async def show_referral(
        self, referral_id: FromPath[str], caller: NamedDependency[Caller], referrals: NamedDependency[Referrals]
    ) -> ReferralShown:
        """What was asked, with its evidence, and what was answered."""
        return _shown((await _known(referrals, caller, referral_id)), caller)

    @post(
        "/v1/referrals/{referral_id:str}/answer",
        status_code=200,
        opt={**opens_to("agent", "platform", scope="referrals:write"), **examples(request=_ANSWER)},
    )
    async def answer_referral(
        self,
        referral_id: FromPath[str],
        data: JSONBody[NewJudgement],
        caller: NamedDependency[Caller],
        referrals: NamedDependency[Referrals],
    ) -> ReferralShown:
        """The team's answer, once; after `need_more`, while money or tickets wait, once more.

        By the platform's own key, or by a person with the skill `trust` who did not ask.
        """
        referral = (await _known(referrals, caller, referral_id)).id
        row = await referrals.answer(caller, referral, data.answer, words=data.words, by=data.by, reference=data.reference)
        return _shown(row, caller)

    @post("/v1/referrals/{referral_id:str}/withdraw", status_code=200, opt=opens_to("agent", scope="queue:work"))
    async def withdraw_referral(
        self,
        referral_id: FromPath[str],
        data: JSONBody[Withdrawal],
        caller: NamedDependency[Caller],
        referrals: NamedDependency[Referrals],
    ) -> ReferralShown:
        """Takes a question back that was not judged; what waited for it alone goes on. For who asked, a lead, or the skill `trust`."""
        referral = (await _known(referrals, caller, referral_id)).id
        return _shown(await referrals.withdraw(caller, referral, data.reason), caller)


async def _known(referrals: Referrals, caller: Caller, text: str) -> ReferralRow:
    """Raises Problem 404."""
    referral: UUID | None = unwire(WireId.REFERRAL, text)
    row = None if referral is None else await referrals.one(caller, referral)
    if row is None:
        raise problems.not_found("referral")
    return row


def _shown(row: ReferralRow, caller: Caller) -> ReferralShown:
    fields: dict[str, Any] = {name: getattr(row, name) for name in _AS_THEY_ARE}
    return ReferralShown(
        id=wire(WireId.REFERRAL, row.id),
        case=wire(WireId.CASE, row.case_id),
        evidence=tuple(EvidenceShown(kind=one["kind"], ref=one["ref"], words=one.get("words", "")) for one in row.evidence),
        held=dict(row.held),
        answer=None if row.answer is None else msgspec.convert(row.answer, JudgementShown),
        mine=row.agent_id is not None and row.agent_id == caller.agent_id,
        **fields,
    )


_AS_THEY_ARE: Final = (
    *(
        "order",
        "show",
        "problem",
        "team",
        "reason",
        "question",
        "holds",
        "holding",
        "state",
        "asked_by",
        "created_at",
        "answer_by",
        "overdue",
    ),
    "answered_at",
)

# Code -> title and what to do.
_REFUSED: Final = {
    "not_yours": ("You have not taken this case", "Take it first."),
    "already_referred": ("This team has been asked already", "Wait for its answer, or withdraw the question."),
    "own": ("You asked this yourself", "Somebody else has to answer it."),
    "answered_before": ("This was answered already", "An answer stands; a new question is a new referral."),
    "judged": ("This was answered already", "What was judged is not withdrawn."),
}


def _refused(refused: Refused) -> problems.Problem:
    if refused.code == "no_referral":
        return problems.not_found("referral")
    if refused.code == "not_for_you":
        return problems.not_allowed("not_for_you", "This is for people with the skill trust, and for the platform's own systems.")
    return problems.conflict(refused.code, *_REFUSED[refused.code])


FAILURES: Final[problems.Failures] = {
    EvidenceMissing: lambda missing: problems.invalid(f"/evidence/{missing.piece}", "is not in this case or its order"),
    Refused: _refused,
}
"""how the exceptions of `service.referrals` read on the wire"""
