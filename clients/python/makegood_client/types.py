"""The types of the contract. Written by clients/generate.py: change nothing here."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

AccessTold = TypedDict(
    'AccessTold',
    {
        'expires_at': str,
        'order': NotRequired[str | None],
        'pass': str,
        'position': str,
        'show': str,
        'token': str,
    },
)


class ActionShown(TypedDict):
    action: str
    amount: NotRequired[int | None]
    cause: NotRequired[str | None]
    incident: NotRequired[str | None]
    pass_id: NotRequired[str | None]
    payment: NotRequired[str | None]
    position: NotRequired[str | None]


class AgeShown(TypedDict):
    behind: str
    cases: int
    up_to_seconds: int | None


class AgentChange(TypedDict):
    capacity: NotRequired[int | None]
    languages: NotRequired[list[str] | None]
    reason: str
    role: NotRequired[Literal['agent', 'lead', 'machine'] | None]
    sign_in: NotRequired[str | None]
    skills: NotRequired[list[Literal['core', 'escalation', 'payments', 'access', 'merchandise', 'trust', 'accessibility', 'operations', 'support', 'playback']] | None]


class AgentCount(TypedDict):
    available: int
    behind: str
    holding: int
    on_shift: int


class AgentShown(TypedDict):
    available: bool
    capacity: int
    created_at: str
    disabled_at: str | None
    id: str
    languages: list[str]
    name: str
    role: Literal['agent', 'lead', 'machine']
    sign_in: str | None
    skills: list[str]


class AgentSignedIn(TypedDict):
    available: bool
    capacity: int
    id: str
    languages: list[str]
    name: str
    role: Literal['agent', 'lead', 'machine']
    skills: list[str]


class AgentsShown(TypedDict):
    agents: list[AgentShown]


class Agreement(TypedDict):
    facts_hash: str
    reason: str


class AnswerLook(TypedDict):
    fact: str
    value: str


class AnswerShown(TypedDict):
    because: str
    outcome: str
    rule: NotRequired[str | None]
    would_change: NotRequired[str | None]


class ApprovedShown(TypedDict):
    given: int
    needed: int
    status: Literal['released', 'approved']


class Article(TypedDict):
    title: dict[str, str]
    url: str


class ArticleShown(TypedDict):
    title: str
    url: str


class AttachmentShown(TypedDict):
    bytes: int
    id: str
    name: str
    type: str


class AttemptMoney(TypedDict):
    failure: NotRequired[str | None]
    key: NotRequired[str | None]
    provider_ref: NotRequired[str | None]
    rail: str
    sent_at: NotRequired[str | None]
    state: Literal['with_people', 'choice_needed', 'working', 'sent', 'arrived', 'could_not', 'credited', 'released']


class Availability(TypedDict):
    available: bool


class AwardShown(TypedDict):
    amount: int
    arrived: int
    cause: str
    owed: int
    sent: int
    tax: int
    told: str


class Backlog(TypedDict):
    oldest_seconds: int
    operations: int


class Because(TypedDict):
    reason: str


class Brake(TypedDict):
    actor: str
    created_at: str
    reason: str
    ref: str
    scope: Literal['all', 'action', 'rail', 'show']


class BrakesShown(TypedDict):
    brakes: list[Brake]


class BuyerFeed(TypedDict):
    customer_ref: NotRequired[str | None]
    email: NotRequired[str | None]
    name: NotRequired[str | None]
    phone: NotRequired[str | None]


class CaseFound(TypedDict):
    agent: str | None
    created_at: str
    currency: str | None
    ended_at: str | None
    id: str
    locale: str
    mine: bool
    money_at_stake: int
    order: str | None
    problem: str
    queued_at: str | None
    show: str | None
    show_name: str | None
    skill: str | None
    state: str
    version: int


class CaseLine(TypedDict):
    created_at: str
    ended_at: str | None
    id: str
    order: str | None
    problem: str
    show_name: str | None
    status: str


class CaseTold(TypedDict):
    case: str
    channel: str
    joined_to: NotRequired[str | None]
    order: NotRequired[str | None]
    outcome: NotRequired[str | None]
    problem: str
    show: NotRequired[str | None]
    skill: NotRequired[str | None]
    wait_for: NotRequired[str | None]
    wait_ref: NotRequired[str | None]
    wait_until: NotRequired[str | None]


Channel: TypeAlias = Literal['widget', 'email', 'chat', 'phone', 'social', 'api']


class Checked(TypedDict):
    allowed: bool
    expires_at: NotRequired[str | None]
    pass_id: NotRequired[str | None]
    reason: NotRequired[Literal['', 'invalid', 'expired', 'revoked', 'suspended', 'unknown', 'other_show']]
    show: NotRequired[str | None]


class ClockShown(TypedDict):
    breached_at: str | None
    due_at: str | None
    ended_at: str | None
    kind: Literal['acknowledge', 'next_answer', 'resolve']
    left_seconds: float | None
    met: bool | None
    paused_for: str | None
    started_at: str
    target_seconds: int
    warned_at: str | None


class CodeProof(TypedDict):
    code: str


class CodeRequest(TypedDict):
    by: NotRequired[Literal['email', 'text']]
    email: str
    locale: NotRequired[str | None]
    order: NotRequired[str | None]


class CodeRequested(TypedDict):
    detail: str
    valid_minutes: int


class Confirmation(TypedDict):
    preview: str
    reason: str


class ContactsShown(TypedDict):
    email: str | None
    phone: str | None
    support: str
    url: str | None


class Count(TypedDict):
    behind: str
    cases: int


class DecidedToday(TypedDict):
    decided: int
    money: dict[str, int]


class DeskPayment(TypedDict):
    accounts: dict[str, int]
    balanced: bool
    provider_ref: str | None
    rail: str | None


class DeskShown(TypedDict):
    agent: str | None
    guards: list[str]
    queued_at: str | None
    skill: str | None


class Difference(TypedDict):
    became: Any
    field: str
    was: Any


class Draft(TypedDict):
    body: str
    kind: Literal['reply', 'note']


class DraftShown(TypedDict):
    agent: str
    body: str
    kind: Literal['reply', 'note']
    mine: bool
    updated_at: str


class DraftsShown(TypedDict):
    drafts: list[DraftShown]


class Ended(TypedDict):
    outcome: NotRequired[Literal['resolved', 'denied']]
    reason: str


class Endpoint(TypedDict):
    changed_at: str
    created_at: str
    failing_since: str | None
    former_secret_until: str | None
    id: str
    kind: Literal['webhook', 'adapter']
    name: str
    next_try_at: str | None
    position: int
    since: str
    state: Literal['active', 'paused', 'disabled']
    succeeded_at: str | None
    types: list[str]
    url: str | None
    why: str


class EndpointChange(TypedDict):
    name: NotRequired[str | None]
    reason: str
    state: NotRequired[Literal['active', 'paused'] | None]
    types: NotRequired[list[str] | None]
    url: NotRequired[str | None]


class EndpointTold(TypedDict):
    endpoint: str
    name: NotRequired[str]
    since: NotRequired[str | None]
    why: str


class EndpointsShown(TypedDict):
    endpoints: list[Endpoint]


class EntryShown(TypedDict):
    actor: str
    data: dict[str, Any]
    happened_at: str
    kind: str
    seq: int
    source: str


class EvidenceShown(TypedDict):
    kind: Literal['message', 'timeline', 'payment', 'pass', 'note']
    ref: str
    words: NotRequired[str]


class EvidenceTold(TypedDict):
    """
    What another team should look at, by its name: a message or note (`msg_…`), an entry's place in the case's timeline, a payment by
        your reference, a pass (`pass_…`). Of a note nothing but its name is told.
    """

    kind: Literal['message', 'note', 'pass', 'payment', 'timeline']
    ref: str
    words: NotRequired[str]


class FactShown(TypedDict):
    kind: Literal['money', 'count', 'text', 'yes_no', 'state']
    label: str
    name: str
    value: str | int | bool | None


class Failure(TypedDict):
    at: str
    word: str


class Fed(TypedDict):
    fed: bool
    mend: str
    name: str
    needed: bool


class FeeFeed(TypedDict):
    amount: int
    canceled: NotRequired[bool]
    name: str
    ref: str
    refundable: NotRequired[bool]
    tax: NotRequired[int]


class FieldError(TypedDict):
    """
    What is wrong with one field. `field`: a JSON pointer (RFC 6901) into the body, or the name of a parameter or header.
    """

    field: str
    message: str


class FileTold(TypedDict):
    bytes: int
    id: str
    name: str
    type: str


class Finding(TypedDict):
    moved: bool
    reference: NotRequired[str | None]


class Follow(TypedDict):
    locale: NotRequired[str | None]
    show: str


class FollowingShown(TypedDict):
    following: bool
    possible: bool


class GivenBack(TypedDict):
    agent: NotRequired[str | None]
    reason: str
    skill: NotRequired[str | None]


class GuardShown(TypedDict):
    id: str
    text: str


class HandoffShown(TypedDict):
    agent: str | None
    desk_open: bool
    opens_at: str | None
    since: str


class HoursShown(TypedDict):
    open: bool
    opens_at: str | None


class Identify(TypedDict):
    order: NotRequired[str | None]


IdentityLevel: TypeAlias = Literal['anonymous', 'claimed', 'verified', 'strong']


class ItemShown(TypedDict):
    kind: str
    name: str
    pass_id: str | None


class Judgement(TypedDict):
    reason: str


class JudgementShown(TypedDict):
    by: NotRequired[str | None]
    reference: NotRequired[str | None]
    words: str


class Kept(TypedDict):
    lease_seconds: NotRequired[int]


class KeptShown(TypedDict):
    until: str


class KeySet(TypedDict):
    keys: list[dict[str, str]]


class KeyShown(TypedDict):
    agent: str | None
    created_at: str
    expires_at: str | None
    id: str
    kind: Literal['platform', 'agent']
    name: str
    old_token_until: str | None
    revoked_at: str | None
    role: Literal['agent', 'lead', 'machine'] | None
    rotated_at: str | None
    scopes: list[str]
    works: bool


class KeysShown(TypedDict):
    keys: list[KeyShown]


Likely = TypedDict(
    'Likely',
    {
        'actions': NotRequired[list[str]],
        'amount': NotRequired[int | None],
        'because': str,
        'currency': NotRequired[str | None],
        'from': NotRequired[str | None],
        'held': NotRequired[bool],
        'incident': NotRequired[str | None],
        'outcome': Literal['approve', 'wait', 'ask', 'escalate', 'deny'],
        'problem': str,
        'to': NotRequired[str | None],
        'until': NotRequired[str | None],
        'would_change': NotRequired[str | None],
    },
)


class LineMoney(TypedDict):
    awarded: int
    awarded_tax: int
    awards: list[AwardShown]
    canceled: bool
    discount: int
    kind: Literal['stream', 'venue', 'merchandise', 'other', 'fee']
    name: str
    price: int
    ref: str
    tax: int


class LiveEvent(TypedDict):
    data: str
    event: Literal['snapshot', 'changed', 'session']
    id: NotRequired[str]


class MacroShown(TypedDict):
    body: str
    fits: bool
    id: str
    missing: list[str]
    title: str


class MacrosShown(TypedDict):
    macros: list[MacroShown]


class Made(TypedDict):
    endpoint: Endpoint
    secret: str | None


class MessageShown(TypedDict):
    attachments: NotRequired[list[AttachmentShown]]
    author: str
    body: str
    created_at: str
    id: str
    kind: Literal['customer', 'reply', 'note']
    via: NotRequired[list[Literal['widget', 'mail', 'api']]]


class Met(TypedDict):
    met: int
    of: int


class MinuteShown(TypedDict):
    at: str
    cases: int


Mode: TypeAlias = Literal['watch', 'suggest', 'act']


class MovementShown(TypedDict):
    amount: int
    at: str
    credit: str
    debit: str
    id: int
    operation: str | None
    payment: str


class NewAction(TypedDict):
    action: Literal['refund', 'reissue_access', 'resend_pass', 'replace_pass', 'void_pass']
    amount: NotRequired[int | None]
    cause: NotRequired[Literal['incident', 'show_cancelled', 'show_postponed', 'duplicate_charge', 'no_pass', 'remorse', 'goodwill'] | None]
    incident: NotRequired[str | None]
    pass_id: NotRequired[str | None]
    payment: NotRequired[str | None]
    position: NotRequired[str | None]


class NewAgent(TypedDict):
    days: NotRequired[int]
    name: str
    reason: str
    role: NotRequired[Literal['agent', 'lead', 'machine']]
    skills: NotRequired[list[Literal['core', 'escalation', 'payments', 'access', 'merchandise', 'trust', 'accessibility', 'operations', 'support', 'playback'] | Any]]


class NewDeskSession(TypedDict):
    code: NotRequired[str | None]
    token: NotRequired[str | None]


class NewEndpoint(TypedDict):
    name: str
    reason: str
    types: NotRequired[list[str | Any]]
    url: str


class NewEvidence(TypedDict):
    kind: Literal['message', 'timeline', 'payment', 'pass', 'note']
    ref: str
    words: NotRequired[str]


class NewJudgement(TypedDict):
    answer: Literal['cleared', 'confirmed', 'need_more']
    by: NotRequired[str | None]
    reference: NotRequired[str | None]
    words: str


class NewKey(TypedDict):
    days: NotRequired[int]
    name: str
    reason: str
    scopes: NotRequired[list[str | Any]]


class NewNote(TypedDict):
    attachments: NotRequired[list[str | Any]]
    body: str


class NewReferral(TypedDict):
    answer_within_seconds: NotRequired[int]
    evidence: list[NewEvidence | Any]
    holds: bool
    question: str
    reason: Literal['chargeback_risk', 'card_testing', 'pass_sharing', 'scalping', 'account_takeover', 'false_claim', 'abuse', 'threat', 'self_harm', 'other']
    team: Literal['moderation', 'fraud']


class NewReply(TypedDict):
    attachments: NotRequired[list[str | Any]]
    body: str
    macro: NotRequired[str | None]


class NewScore(TypedDict):
    asked: NotRequired[Literal['resolution', 'after_show']]
    score: int


class NewSettings(TypedDict):
    reason: str
    settings: dict[str, Any]


class NoticeAtDesk(TypedDict):
    actor: str
    followers: int
    over: bool
    reason: str
    show: str
    show_name: dict[str, str]
    since: str
    text: dict[str, str]
    updated_at: str


class NoticeEvent(TypedDict):
    data: str
    event: Literal['notice']


class NoticePut(TypedDict):
    reason: str
    text: dict[str, str]


class NoticeTold(TypedDict):
    """
    What is said on every widget of a show. Of two that come out of order the one with the later `at` stands.
    """

    at: str
    show: str
    since: str
    text: NotRequired[dict[str, str]]


class NoticeWords(TypedDict):
    at: str
    text: dict[str, str]


class NoticesShown(TypedDict):
    notices: list[NoticeAtDesk]


class OfferedTold(TypedDict):
    amount: int
    currency: str
    to: NotRequired[str | None]


class OperationMoney(TypedDict):
    action: Literal['refund', 'goodwill_credit', 'cancel_payment']
    amount: int
    attempts: list[AttemptMoney]
    case: str | None
    created_at: str
    fees: int
    id: str
    payment: str | None
    state: Literal['with_people', 'choice_needed', 'working', 'sent', 'arrived', 'could_not', 'credited', 'released']
    tax: int
    told: str


class OperationShown(TypedDict):
    action: str
    amount: NotRequired[int | None]
    approvals: NotRequired[int]
    approvals_needed: NotRequired[int]
    chosen: NotRequired[bool]
    currency: NotRequired[str | None]
    failure: NotRequired[str | None]
    holds: NotRequired[list[str]]
    id: str
    pass_id: NotRequired[str | None]
    payment: NotRequired[str | None]
    reference: NotRequired[str | None]
    sent_at: NotRequired[str | None]
    status: Literal['working', 'sent', 'done', 'held', 'choose', 'could_not']
    to: NotRequired[str | None]


class OptionShown(TypedDict):
    needs_address: NotRequired[bool]
    text: str
    value: str


class OrderFound(TypedDict):
    cases: list[str]
    currency: str
    placed_at: str
    ref: str
    show: str | None
    shows: list[str]
    status: str
    total: int


class OrderTold(TypedDict):
    about: NotRequired[dict[str, Any]]
    order: NotRequired[str | None]
    what: str


class OwnSatisfaction(TypedDict):
    answers: int
    average: float | None


ParkedFor = TypedDict(
    'ParkedFor',
    {
        'for': Literal['customer', 'hold'],
        'reason': str,
        'seconds': int,
    },
)


class PassFeed(TypedDict):
    barcode: str
    checked_in_at: NotRequired[str | None]
    delivery: NotRequired[Literal['sent', 'bounced', 'not_sent'] | None]
    issuer: NotRequired[Literal['platform', 'makegood']]
    status: NotRequired[Literal['valid', 'void']]


class PassState(TypedDict):
    checked_in_at: str | None
    id: str
    issuer: Literal['platform', 'makegood']
    replaces: str | None
    status: Literal['valid', 'pending', 'void']


PassTold = TypedDict(
    'PassTold',
    {
        'barcode': str,
        'case': NotRequired[str | None],
        'failure': NotRequired[str | None],
        'issuer': Literal['makegood', 'platform'],
        'order': NotRequired[str | None],
        'pass': str,
        'position': str,
        'replaces': NotRequired[str | None],
        'shows': NotRequired[list[str]],
        'why': NotRequired[str | None],
    },
)


class Pause(TypedDict):
    reason: str


class PaymentMoney(TypedDict):
    awards: list[AwardShown]
    captured: int
    desk: NotRequired[DeskPayment | None]
    dispute: Literal['none', 'open', 'won', 'lost']
    method: str
    on_its_way: int
    paid_at: str | None
    promised: int
    ref: str
    refunded: int
    refunded_elsewhere: int
    status: Literal['pending', 'confirmed', 'failed', 'cancelled']


class PaymentRef(TypedDict):
    id: str
    provider_ref: NotRequired[str | None]
    rail: NotRequired[str | None]
    ref: str


class PaymentState(TypedDict):
    amount: int
    captured: int
    dispute: Literal['none', 'open', 'won', 'lost']
    id: str
    paid_at: str | None
    rail: str | None
    ref: str
    refunded: int
    refunded_elsewhere: int
    reserved: int
    status: Literal['pending', 'confirmed', 'failed', 'cancelled']


class Payout(TypedDict):
    address: NotRequired[str | None]
    checked: NotRequired[str | None]
    operation: str
    to: str


class PersonFeed(TypedDict):
    email: NotRequired[str | None]
    name: NotRequired[str | None]
    phone: NotRequired[str | None]


class PingTold(TypedDict):
    endpoint: str


class PlatformEvent(TypedDict):
    """
    One event as it is sent and read. `id` is the same each time it is told: who has seen it need not act again.
    """

    data: dict[str, Any]
    id: str
    position: int
    timestamp: str
    type: str


class PlatformOfDesk(TypedDict):
    accent: str
    languages: list[str]
    name: str
    slug: str
    zone: str


class Playback(TypedDict):
    expires_at: str
    playback_id: str
    profile: Literal['generic', 'mux', 'cloudflare_stream']
    token: str


class PlaybookShown(TypedDict):
    id: str
    title: str
    why: str


class PlayerShown(TypedDict):
    app_version: NotRequired[str | None]
    browser: NotRequired[str | None]
    device: NotRequired[str | None]
    error: NotRequired[str | None]
    network: NotRequired[str | None]
    system: NotRequired[str | None]


class PlayerTold(TypedDict):
    app_version: NotRequired[str | None]
    browser: NotRequired[str | None]
    device: NotRequired[str | None]
    error: NotRequired[str | None]
    network: NotRequired[str | None]
    system: NotRequired[str | None]


class PolicyAction(TypedDict):
    action: str
    amount: int | None
    cause: str


class PolicyExample(TypedDict):
    about: str
    expect: dict[str, Any]
    given: dict[str, Any]
    holds: bool


class PolicyRule(TypedDict):
    about: str
    because: dict[str, str]
    examples: list[PolicyExample]
    id: str
    then: str
    today: DecidedToday
    when: str


class PolicyTry(TypedDict):
    facts: NotRequired[dict[str, str | int | float | bool | list[str] | None]]


PositionFeed = TypedDict(
    'PositionFeed',
    {
        'canceled': NotRequired[bool],
        'discount': NotRequired[int],
        'holder': NotRequired[PersonFeed | None],
        'kind': Literal['stream', 'venue', 'merchandise', 'other'],
        'name': str,
        'pass': NotRequired[PassFeed | None],
        'price': int,
        'ref': str,
        'shows': NotRequired[list[str | Any]],
        'tax': NotRequired[int],
    },
)


class PresenceShown(TypedDict):
    available: bool
    capacity: int
    holding: int
    id: str
    languages: list[str]
    name: str
    role: Literal['agent', 'lead', 'machine']
    seen_at: str | None
    skills: list[str]


class PreviewShown(TypedDict):
    action: ActionShown
    amount: int | None
    can_confirm: bool
    currency: str | None
    effects: list[str]
    expires_at: str
    facts: list[FactShown]
    facts_hash: str
    guards: list[GuardShown]
    id: str | None
    people_needed: int
    rail: str | None
    sentence: str
    to: str | None


Problem: TypeAlias = Literal['pass_missing', 'pass_lost', 'pass_leaked', 'link_dead', 'wrong_device', 'too_many_devices', 'cannot_sign_in', 'will_not_play', 'buffering', 'device_unsupported', 'stream_outage', 'show_cancelled', 'show_postponed', 'charged_twice', 'charged_no_pass', 'payment_pending', 'charged_after_cancelling', 'wants_refund', 'merch_wrong', 'merch_missing', 'accessibility', 'abuse', 'fraud', 'other']


class ProblemBody(TypedDict):
    """
    A problem as RFC 9457 writes it. `type` is stable and meant for programs, `detail` for people.
    """

    detail: NotRequired[str]
    errors: NotRequired[list[FieldError]]
    instance: NotRequired[str]
    likely: NotRequired[dict[str, Any] | None]
    preview: NotRequired[dict[str, Any] | None]
    status: int
    title: str
    type: str


class ProgressEvent(TypedDict):
    data: str
    event: Literal['entry', 'case']
    id: NotRequired[str]


class ProposedShown(TypedDict):
    at: str
    by: str
    preview: PreviewShown
    reason: str


class PurchaseTold(TypedDict):
    amount: int
    bought_at: str
    currency: str
    email: NotRequired[str | None]
    last4: str


class QuestionShown(TypedDict):
    fact: str
    options: NotRequired[list[OptionShown]]
    prompt: str


class QueueClock(TypedDict):
    breached: bool
    due_at: str | None
    kind: Literal['acknowledge', 'next_answer', 'resolve']
    paused_for: str | None
    warned: bool


class QueueRow(TypedDict):
    agent: str | None
    currency: str | None
    held: int
    id: str
    locale: str
    look_by: str
    mine: bool
    money_at_stake: int
    order: str | None
    playbook: str | None
    priority: int
    problem: str
    queued_at: str
    show: str | None
    show_name: str | None
    skill: str
    sla: QueueClock | None
    state: Literal['waiting', 'taken', 'hold', 'waits_for_customer', 'referred']
    unanswered_at: str | None
    version: int
    why: str | None


class RailStatus(TypedDict):
    backlog: Backlog
    kind: str
    last_failure: Failure | None
    name: str
    pace_per_second: float | None
    pays: Literal['back', 'out']
    reason: Literal['well', 'stopped', 'unreachable', 'being_tried', 'pays_out_only']
    since: str | None
    state: Literal['closed', 'open', 'half_open', 'stopped']
    take_new_payments: bool
    waits_until: str | None
    why: str


class RailsShown(TypedDict):
    rails: list[RailStatus]


class ReferralShown(TypedDict):
    answer: JudgementShown | None
    answer_by: str
    answered_at: str | None
    asked_by: str
    case: str
    created_at: str
    evidence: list[EvidenceShown]
    held: dict[str, int]
    holding: bool
    holds: bool
    id: str
    mine: bool
    order: str | None
    overdue: bool
    problem: str
    question: str
    reason: Literal['chargeback_risk', 'card_testing', 'pass_sharing', 'scalping', 'account_takeover', 'false_claim', 'abuse', 'threat', 'self_harm', 'other']
    show: str | None
    state: Literal['open', 'cleared', 'confirmed', 'need_more', 'withdrawn']
    team: Literal['moderation', 'fraud']


class ReferralTold(TypedDict):
    """
    Answer with `POST /v1/referrals/{referral}/answer`.
    """

    answer: NotRequired[Literal['cleared', 'confirmed', 'need_more'] | None]
    answer_by: NotRequired[str | None]
    by: NotRequired[str | None]
    case: NotRequired[str | None]
    evidence: NotRequired[list[EvidenceTold]]
    holds: bool
    order: NotRequired[str | None]
    problem: NotRequired[str | None]
    question: NotRequired[str | None]
    reason: str
    reference: NotRequired[str | None]
    referral: str
    show: NotRequired[str | None]
    team: Literal['fraud', 'moderation']
    words: NotRequired[str | None]


class RefundElsewhere(TypedDict):
    amount: int
    currency: str
    order: NotRequired[str | None]
    payment: PaymentRef
    ref: str
    state: str


class RefundFeed(TypedDict):
    amount: int
    created_at: NotRequired[str | None]
    provider_ref: NotRequired[str | None]
    ref: str
    state: Literal['created', 'transit', 'done', 'failed']


class RefundLine(TypedDict):
    """
    The part of a refund that is for one line of the order: enough for one line of a credit note.
    """

    amount: int
    ref: NotRequired[str | None]
    tax: NotRequired[int]
    type: Literal['charge', 'fee', 'position']


class RefundSeries(TypedDict):
    per_minute: list[int]
    rail: str
    state: str


class RefundTold(TypedDict):
    amount: int
    case: NotRequired[str | None]
    currency: str
    failure: NotRequired[str | None]
    lines: NotRequired[list[RefundLine]]
    order: NotRequired[str | None]
    payment: PaymentRef
    provider_ref: NotRequired[str | None]
    rail: NotRequired[str | None]
    reason: str
    refund: str
    why: NotRequired[str | None]


Replay = TypedDict(
    'Replay',
    {
        'after': NotRequired[int | None],
        'events': NotRequired[list[str | Any]],
        'from': NotRequired[int | None],
        'reason': str,
        'to': NotRequired[int | None],
    },
)


class Replayed(TypedDict):
    events: int


class ReplyTold(TypedDict):
    """
    The one event with words for a customer: say them where the customer wrote to you, and nowhere else.
    """

    agent: str
    attachments: NotRequired[list[FileTold]]
    case: str
    channel: str
    locale: str
    message: str
    order: NotRequired[str | None]
    problem: str
    show: NotRequired[str | None]
    words: str


class Revocation(TypedDict):
    expires_at: str
    jti: str
    state: Literal['revoked', 'suspended', 'active']


class RevocationsPage(TypedDict):
    more: bool
    next: int
    revocations: list[Revocation]


class Rollback(TypedDict):
    reason: str
    to: int


class Rotation(TypedDict):
    days: NotRequired[int]
    overlap_seconds: NotRequired[int]
    reason: str


class RoutingExample(TypedDict):
    about: str
    expect: dict[str, Any]
    given: dict[str, Any]


class RoutingRule(TypedDict):
    examples: list[RoutingExample]
    id: str
    lead_seconds: int | None
    playbook: str | None
    skill: str | None
    targets: dict[str, int]
    when: str
    within_seconds: int


class RoutingShown(TypedDict):
    hash: str
    rules: list[RoutingRule]


class RuleAsked(TypedDict):
    answered: bool
    decides: bool
    missing: list[str]
    rule: str
    value: Literal['true', 'false', 'unknown']


class RuleWant(TypedDict):
    effect: Literal['never_applies', 'assumes', 'hands_over']
    facts: list[str]
    mend: list[str]
    pack: str
    rule: str


class Said(TypedDict):
    channel: NotRequired[Channel]
    message: str


class Satisfaction(TypedDict):
    answers: int
    average: float | None
    of_asked: int


class SavedBasis(TypedDict):
    measured: bool
    seconds_each: float


class Scope(TypedDict):
    devices: NotRequired[list[str | Any]]
    position_kinds: NotRequired[list[Literal['stream', 'venue', 'merchandise', 'other'] | Any]]
    regions: NotRequired[list[str | Any]]


class ScoreByToken(TypedDict):
    score: int
    token: str


class ScoreShown(TypedDict):
    score: int


class Script(TypedDict):
    text: dict[str, str]
    title: dict[str, str]


class ScriptShown(TypedDict):
    text: str
    title: str


class SearchFound(TypedDict):
    cases: list[CaseFound]
    orders: list[OrderFound]


class SecretRotation(TypedDict):
    overlap_hours: NotRequired[int]
    reason: str


class SessionOpened(TypedDict):
    expires_at: str
    id: str
    level: IdentityLevel
    token: str


class SessionShown(TypedDict):
    expires_at: str | None
    id: str | None
    level: IdentityLevel
    level_until: str | None


class SettingsNow(TypedDict):
    secrets: list[str]
    settings: dict[str, Any]
    version: int


class Settlement(TypedDict):
    reference: str
    sent_on: NotRequired[str | None]


class Share(TypedDict):
    of: int
    share: float | None


class Shift(TypedDict):
    holding: int
    median_handle_seconds: float | None
    replies: int
    resolved_today: int
    satisfaction: OwnSatisfaction
    since: str
    sla: Met
    taken_today: int


class ShiftShown(TypedDict):
    agents: list[PresenceShown]


class ShowCaps(TypedDict):
    per_customer_and_day: NotRequired[dict[str, int]]
    per_show_and_hour: NotRequired[dict[str, int]]


class ShowFeed(TypedDict):
    articles: NotRequired[dict[str, Article]]
    caps: NotRequired[ShowCaps]
    ends_at: str
    known_errors: NotRequired[dict[str, Article]]
    modes: NotRequired[dict[str, Mode]]
    name: dict[str, str]
    parameters: NotRequired[dict[str, dict[str, bool | int | float | str]]]
    playback_id: NotRequired[str | None]
    rollback: NotRequired[bool]
    starts_at: str
    status: NotRequired[Literal['scheduled', 'cancelled', 'postponed']]
    stream_url: NotRequired[str | None]
    version: int
    zone: str


class ShowOfOrder(TypedDict):
    ends_at: str
    name: str
    phase: Literal['before', 'live', 'over']
    ref: str
    starts_at: str
    status: str
    zone: str


class ShowSettings(TypedDict):
    articles: NotRequired[dict[str, Article]]
    caps: NotRequired[ShowCaps]
    known_errors: NotRequired[dict[str, Article]]
    modes: NotRequired[dict[str, Mode]]
    parameters: NotRequired[dict[str, dict[str, bool | int | float | str]]]
    playback_id: NotRequired[str | None]
    rollback: NotRequired[bool]
    stream_url: NotRequired[str | None]


class ShowShown(TypedDict):
    ends_at: str
    name: dict[str, str]
    phase: Literal['before', 'live', 'over']
    ref: str
    starts_at: str
    status: str
    zone: str


class SignInWays(TypedDict):
    accent: str
    name: str
    platform: str | None
    ways: list[Literal['oidc', 'link', 'token']]


class SkillShown(TypedDict):
    behind: str
    cases: int
    skill: str


class Spread(TypedDict):
    median: float | None
    p90: float | None


class StepAction(TypedDict):
    action: str
    cause: NotRequired[str | None]


class StepShown(TypedDict):
    action: dict[str, Any] | None
    macro: str | None
    text: str


class SuggestionShown(TypedDict):
    action: NotRequired[ActionShown | None]
    approve: NotRequired[str | None]
    key: str
    label: str
    people_needed: NotRequired[int]
    reply: NotRequired[bool]
    why: str


class SuggestionsShown(TypedDict):
    suggestions: list[SuggestionShown]


class Take(TypedDict):
    case: NotRequired[str | None]
    lease_seconds: NotRequired[int]


class TestResult(TypedDict):
    delivered: bool
    detail: str
    milliseconds: int
    status: int | None


class TimelinePage(TypedDict):
    entries: list[EntryShown]
    next_after: int | None


class TokenShown(TypedDict):
    expires_at: str
    playback: NotRequired[Playback | None]
    token: str


class TokenToCheck(TypedDict):
    show: NotRequired[str | None]
    token: str


class TokenWanted(TypedDict):
    pass_id: str
    show: str


class Tried(TypedDict):
    at: str | None
    detail: str
    id: str
    milliseconds: int
    status: int | None
    type: str


class Trigger(TypedDict):
    problem: NotRequired[str | None]
    rule: NotRequired[str | None]
    skill: NotRequired[str | None]


class VersionShown(TypedDict):
    actor: str
    at: str
    back_to: int | None
    changes: list[Difference]
    version: int
    why: str


class WaitQuote(TypedDict):
    answered: int
    high_seconds: int
    low_seconds: int
    since: str
    typical_seconds: int


class WaitRange(TypedDict):
    high_seconds: int
    low_seconds: int


class WaitShown(TypedDict):
    until: str
    waiting_for: str


class Waiting(TypedDict):
    case: str | None
    detail: str
    failing_since: str | None
    id: str
    next_try_at: str | None
    order: str | None
    position: int
    state: Literal['parked', 'dead']
    status: int | None
    tries: int
    type: str


class Withdrawal(TypedDict):
    reason: str


class Words(TypedDict):
    credit: str
    stream_link: str
    team: str
    ticket: str
    tickets: str


class AccessShown(TypedDict):
    expires_at: str
    pass_id: str
    playback: NotRequired[Playback | None]
    token: str


class Answer(TypedDict):
    channel: NotRequired[Channel]
    fact: str
    offered: NotRequired[OfferedTold | None]
    value: str


class AskPerson(TypedDict):
    channel: NotRequired[Channel]
    message: NotRequired[str | None]


class CaseShown(TypedDict):
    access: list[AccessShown]
    answers: list[AnswerShown]
    article: NotRequired[ArticleShown | None]
    can_ask_a_person: bool
    created_at: str
    desk: NotRequired[DeskShown | None]
    ended_at: str | None
    handoff: NotRequired[HandoffShown | None]
    id: str
    identity: str
    joined_to: str | None
    locale: str
    messages: list[MessageShown]
    operations: list[OperationShown]
    order: str | None
    player: NotRequired[PlayerShown | None]
    problem: str
    question: QuestionShown | None
    show: str | None
    show_name: str | None
    state: Literal['open', 'resolved', 'denied', 'joined', 'closed']
    status: str
    version: int
    wait: WaitShown | None
    wait_quote: NotRequired[WaitRange | None]


class Deliveries(TypedDict):
    tries: list[Tried]
    waiting: list[Waiting]


class DeskSessionShown(TypedDict):
    agent: AgentSignedIn
    expires_at: str | None
    platform: PlatformOfDesk
    scopes: list[str]
    signs_out_at: str | None


class DisputeTold(TypedDict):
    dispute: NotRequired[str | None]
    order: NotRequired[str | None]
    payment: PaymentRef
    warning: NotRequired[str | None]


class EventsPage(TypedDict):
    events: list[PlatformEvent]
    next_after: int


class FirstContact(TypedDict):
    automated: Share
    human: Share
    overall: Share


class GuideShown(TypedDict):
    clocks: list[ClockShown]
    escalates_to: str | None
    playbook: PlaybookShown
    scripts: list[ScriptShown]
    steps: list[StepShown]


class HistoryShown(TypedDict):
    before: int | None
    versions: list[VersionShown]


IncidentFeed = TypedDict(
    'IncidentFeed',
    {
        'from': str,
        'kind': str,
        'scope': NotRequired[Scope],
        'to': NotRequired[str | None],
        'version': int,
    },
)


IncidentState = TypedDict(
    'IncidentState',
    {
        'from': str,
        'id': str,
        'kind': str,
        'ref': str,
        'scope': Scope,
        'to': str | None,
        'version': int,
    },
)


class KeyIssued(TypedDict):
    key: KeyShown
    token: str | None


class LineState(TypedDict):
    awarded: int
    canceled: bool
    discount: int
    id: str
    kind: Literal['stream', 'venue', 'merchandise', 'other', 'fee']
    name: str
    passes: list[PassState]
    price: int
    ref: str
    refundable: bool
    shows: list[str]
    tax: int


class Look(TypedDict):
    incident: NotRequired[str | None]
    locale: NotRequired[str]
    order: NotRequired[str | None]
    passes: NotRequired[list[str | Any]]
    problem: Problem
    show: NotRequired[str | None]


class NewCase(TypedDict):
    channel: Channel
    checked: NotRequired[str | None]
    incident: NotRequired[str | None]
    locale: NotRequired[str]
    message: NotRequired[str | None]
    offered: NotRequired[OfferedTold | None]
    order: NotRequired[str | None]
    passes: NotRequired[list[str | Any]]
    player: NotRequired[PlayerTold | None]
    problem: Problem
    purchase: NotRequired[PurchaseTold | None]
    show: NotRequired[str | None]


class NoticeShown(TypedDict):
    over: bool
    show: str
    since: str
    text: dict[str, str]
    updated_at: str
    updates: NotRequired[list[NoticeWords]]


class OperationPreviewShown(TypedDict):
    moved: list[str]
    now: PreviewShown
    operation: str
    proposed: ProposedShown | None
    sentence: str


class OrderMoney(TypedDict):
    balanced: NotRequired[bool | None]
    currency: str
    lines: list[LineMoney]
    movements: NotRequired[list[MovementShown]]
    operations: list[OperationMoney]
    order: str
    payments: list[PaymentMoney]
    total: int


class OrderOfHelp(TypedDict):
    case: CaseLine | None
    currency: str | None
    items: list[ItemShown]
    likely: list[Likely]
    order: str
    role: Literal['buyer', 'holder']
    show: ShowOfOrder | None
    total: int | None


class OrderState(TypedDict):
    cancelled_at: str | None
    currency: str
    id: str
    lines: list[LineState]
    locale: str
    payments: list[PaymentState]
    placed_at: str
    ref: str
    status: Literal['paid', 'pending', 'expired', 'cancelled']
    total: int
    version: int


class PaymentFeed(TypedDict):
    amount: int
    captured: int
    created_at: str
    currency: NotRequired[str | None]
    dispute: NotRequired[Literal['none', 'open', 'won', 'lost']]
    disputed_amount: NotRequired[int | None]
    method: NotRequired[str]
    paid_at: NotRequired[str | None]
    provider_ref: NotRequired[str | None]
    rail: NotRequired[str | None]
    ref: str
    refunds_elsewhere: NotRequired[list[RefundFeed | Any]]
    status: Literal['pending', 'confirmed', 'failed', 'cancelled']


class PolicyPack(TypedDict):
    about: str
    facts: dict[str, str]
    for_each: str
    hash: str
    name: str
    parameters: dict[str, Any]
    problems: list[str]
    rules: list[PolicyRule]
    usual: dict[str, Any]


class PolicyTried(TypedDict):
    actions: list[PolicyAction]
    because: dict[str, str]
    outcome: Literal['approve', 'ask', 'wait', 'deny', 'escalate']
    rule: str
    trace: list[RuleAsked]
    would_change: dict[str, str]


class QueuePage(TypedDict):
    cases: list[QueueRow]
    next_offset: int | None
    total: int


class Readiness(TypedDict):
    fed: list[Fed]
    rules: list[RuleWant]


class ReferralPage(TypedDict):
    next_offset: int | None
    referrals: list[ReferralShown]


class ShowState(TypedDict):
    ends_at: str
    id: str
    incidents: list[IncidentState]
    minutes: int
    name: dict[str, str]
    ref: str
    settings: ShowSettings
    starts_at: str
    status: Literal['scheduled', 'cancelled', 'postponed']
    version: int
    zone: str


class Step(TypedDict):
    action: NotRequired[StepAction | None]
    macro: NotRequired[str | None]
    text: dict[str, str]


class Board(TypedDict):
    agents: AgentCount
    arrivals: list[MinuteShown]
    at: str
    backlog: Count
    backlog_by_age: list[AgeShown]
    backlog_by_skill: list[SkillShown]
    fcr_at: str
    fcr_now: FirstContact
    refunds_per_minute: list[RefundSeries]
    resolutions: list[MinuteShown]
    sla_at_risk: Count
    sla_breached: Count
    wait: WaitQuote


class BundleShown(TypedDict):
    case: CaseShown
    decisions: list[dict[str, Any]]
    history: list[dict[str, Any]]
    order: dict[str, Any] | None
    tried: list[dict[str, Any]]


class FiguresShown(TypedDict):
    acknowledge_seconds: Spread
    answered_without_person: Share
    backlog: int
    begin: str
    cases: int
    contacts: int
    definitions: dict[str, str]
    end: str
    fcr: FirstContact
    handle_seconds: Spread
    hours_saved: float
    hours_saved_basis: SavedBasis
    money_sent: dict[str, int]
    resolved: int
    satisfaction: Satisfaction
    show: str | None
    sla: Met


class HelpOrders(TypedDict):
    cases: list[CaseLine]
    orders: list[OrderOfHelp]


class HelpShown(TypedDict):
    accent: str
    codes_by_text: bool
    contacts: ContactsShown
    desk: HoursShown
    languages: list[str]
    name: str
    notice: NotRequired[NoticeShown | None]
    platform: str
    show: ShowShown | None
    words: dict[str, Words]
    zone: str


class OrderFeed(TypedDict):
    buyer: BuyerFeed
    cancelled_at: NotRequired[str | None]
    currency: str
    fees: NotRequired[list[FeeFeed | Any]]
    locale: NotRequired[str]
    payments: NotRequired[list[PaymentFeed | Any]]
    placed_at: str
    positions: NotRequired[list[PositionFeed | Any]]
    status: Literal['paid', 'pending', 'expired', 'cancelled']
    total: int
    version: int


class OrderPut(TypedDict):
    applied: bool
    order: OrderState
    result: Literal['created', 'updated', 'unchanged', 'older']


class Playbook(TypedDict):
    chain: list[str]
    id: str
    on: list[Trigger]
    scripts: NotRequired[list[Script]]
    steps: list[Step]
    title: dict[str, str]
    why: dict[str, str]


class PlaybooksShown(TypedDict):
    hash: str
    playbooks: list[Playbook]


class PoliciesShown(TypedDict):
    packs: list[PolicyPack]
    playbooks: PlaybooksShown
    routing: RoutingShown


class ShowPut(TypedDict):
    applied: bool
    result: Literal['created', 'updated', 'unchanged', 'older']
    show: ShowState
