"""What a platform is told, by webhook and by `list_events`. Written by clients/generate.py: change nothing here."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict, cast

from makegood_client import types as t


class _Told(TypedDict):
    id: str
    timestamp: str
    position: int


class AccessIssued(_Told):
    """A new token opens the stream."""

    type: Literal["access.issued"]
    data: t.AccessTold


class AccessRestored(_Told):
    """A suspended token opens the stream again."""

    type: Literal["access.restored"]
    data: t.AccessTold


class AccessRevoked(_Told):
    """A token opens nothing any more."""

    type: Literal["access.revoked"]
    data: t.AccessTold


class AccessSuspended(_Told):
    """A token opens nothing while the money for its position is on its way back."""

    type: Literal["access.suspended"]
    data: t.AccessTold


class CaseAsked(_Told):
    """The customer was asked for the one thing that is missing."""

    type: Literal["case.asked"]
    data: t.CaseTold


class CaseClosed(_Told):
    """It ended without a result: nobody answered what was asked."""

    type: Literal["case.closed"]
    data: t.CaseTold


class CaseDenied(_Told):
    """The policy said no, and why."""

    type: Literal["case.denied"]
    data: t.CaseTold


class CaseHandedOver(_Told):
    """People have the case."""

    type: Literal["case.handed_over"]
    data: t.CaseTold


class CaseJoined(_Told):
    """The same problem had a case already, which has this contact now."""

    type: Literal["case.joined"]
    data: t.CaseTold


class CaseOpened(_Told):
    """A customer has a problem."""

    type: Literal["case.opened"]
    data: t.CaseTold


class CaseReopened(_Told):
    """An ended case goes on."""

    type: Literal["case.reopened"]
    data: t.CaseTold


class CaseReplied(_Told):
    """A person answered, and the customer wrote by a channel that is yours: bring them these words, and what is attached."""

    type: Literal["case.replied"]
    data: t.ReplyTold


class CaseResolved(_Told):
    """The problem is put right: all that was decided is done or accepted."""

    type: Literal["case.resolved"]
    data: t.CaseTold


class CaseWaiting(_Told):
    """The case waits for what `wait_for` names, and goes on by itself."""

    type: Literal["case.waiting"]
    data: t.CaseTold


class DisputeLost(_Told):
    """The bank has taken the money: it counts as refunded, and what it paid for admits nobody any more."""

    type: Literal["dispute.lost"]
    data: t.DisputeTold


class DisputeOpened(_Told):
    """The customer's bank asks for the money of a payment: nothing of it is refunded meanwhile."""

    type: Literal["dispute.opened"]
    data: t.DisputeTold


class DisputeWarned(_Told):
    """A bank believes that a payment is fraud; people have a case with a proposed refund."""

    type: Literal["dispute.warned"]
    data: t.DisputeTold


class DisputeWon(_Told):
    """The money stays; cases that waited go on."""

    type: Literal["dispute.won"]
    data: t.DisputeTold


class EndpointDisabled(_Told):
    """An endpoint of yours was given up; what it was not told waits for you to enable it."""

    type: Literal["endpoint.disabled"]
    data: t.EndpointTold


class NoticeBegun(_Told):
    """Every widget of a show says this now: say the same elsewhere, if you like."""

    type: Literal["notice.begun"]
    data: t.NoticeTold


class NoticeOver(_Told):
    """It is over, and is said no more."""

    type: Literal["notice.over"]
    data: t.NoticeTold


class NoticeUpdated(_Told):
    """It says something else now."""

    type: Literal["notice.updated"]
    data: t.NoticeTold


class OrderChanged(_Told):
    """Something of an order was learnt, from the feed or a processor: `what`."""

    type: Literal["order.changed"]
    data: t.OrderTold


class OrderDisagrees(_Told):
    """Our books and somebody else's do not agree; people have a case. Please look at the order too."""

    type: Literal["order.disagrees"]
    data: t.OrderTold


class PassDelayed(_Told):
    """What was to happen with a pass did not, for the reason in `why`: it is tried again, or people have it."""

    type: Literal["pass.delayed"]
    data: t.PassTold


class PassReplaced(_Told):
    """A pass has a successor: the gate admits this barcode, and the one before it no more."""

    type: Literal["pass.replaced"]
    data: t.PassTold


class PassSent(_Told):
    """A pass was sent to its holder once more."""

    type: Literal["pass.sent"]
    data: t.PassTold


class PassVoided(_Told):
    """A pass admits nobody any more."""

    type: Literal["pass.voided"]
    data: t.PassTold


class Ping(_Told):
    """You asked for a test; it has no place in the feed."""

    type: Literal["ping"]
    data: t.PingTold


class ReferralAnswered(_Told):
    """The team has judged: `cleared` lets what waited go on, `confirmed` refuses it, `need_more` asks back; `words` says why."""

    type: Literal["referral.answered"]
    data: t.ReferralTold


class ReferralOpened(_Told):
    """A case was handed to one of your teams to judge, with evidence; it waits for the answer."""

    type: Literal["referral.opened"]
    data: t.ReferralTold


class ReferralWithdrawn(_Told):
    """The question was taken back, for the reason in `words`; what waited for it alone goes on."""

    type: Literal["referral.withdrawn"]
    data: t.ReferralTold


class RefundChoiceNeeded(_Told):
    """It cannot go back where it came from; the customer is asked where it should go."""

    type: Literal["refund.choice_needed"]
    data: t.RefundTold


class RefundCreated(_Told):
    """Money was promised and reserved: refund it nowhere else. It is sent now, or when a person has agreed."""

    type: Literal["refund.created"]
    data: t.RefundTold


class RefundDelayed(_Told):
    """It takes longer, for the reason in `why`; it may have been paid. Refund it nowhere else."""

    type: Literal["refund.delayed"]
    data: t.RefundTold


class RefundFailed(_Told):
    """It came to nothing, and the money is free again. People look at the case."""

    type: Literal["refund.failed"]
    data: t.RefundTold


class RefundHeld(_Told):
    """It was about to go and waits: the bank has the payment under dispute, or another team judges the order."""

    type: Literal["refund.held"]
    data: t.RefundTold


class RefundReleased(_Told):
    """It goes on."""

    type: Literal["refund.released"]
    data: t.RefundTold


class RefundReturned(_Told):
    """It had been sent, and the bank gave the money back to us. It is still owed, and goes out again."""

    type: Literal["refund.returned"]
    data: t.RefundTold


class RefundSeenElsewhere(_Told):
    """A refund that we did not make was seen, and counts against what may still be refunded."""

    type: Literal["refund.seen_elsewhere"]
    data: t.RefundElsewhere


class RefundSent(_Told):
    """The processor has taken the refund: tell the customer that it is on its way, and write the credit note."""

    type: Literal["refund.sent"]
    data: t.RefundTold


class RefundSucceeded(_Told):
    """The processor says that it is done. Without `refund.sent` before it where the processor did both at once."""

    type: Literal["refund.succeeded"]
    data: t.RefundTold


Event: TypeAlias = (
    AccessIssued
    | AccessRestored
    | AccessRevoked
    | AccessSuspended
    | CaseAsked
    | CaseClosed
    | CaseDenied
    | CaseHandedOver
    | CaseJoined
    | CaseOpened
    | CaseReopened
    | CaseReplied
    | CaseResolved
    | CaseWaiting
    | DisputeLost
    | DisputeOpened
    | DisputeWarned
    | DisputeWon
    | EndpointDisabled
    | NoticeBegun
    | NoticeOver
    | NoticeUpdated
    | OrderChanged
    | OrderDisagrees
    | PassDelayed
    | PassReplaced
    | PassSent
    | PassVoided
    | Ping
    | ReferralAnswered
    | ReferralOpened
    | ReferralWithdrawn
    | RefundChoiceNeeded
    | RefundCreated
    | RefundDelayed
    | RefundFailed
    | RefundHeld
    | RefundReleased
    | RefundReturned
    | RefundSeenElsewhere
    | RefundSent
    | RefundSucceeded
)


def as_event(told: t.PlatformEvent) -> Event:
    """The event in a webhook's body, once its signature was verified, or one of `list_events`. A later release may add types."""
    return cast(Event, told)
