"""Where money goes when the first rail cannot: what may be offered, up to which amount, and how long anything may take."""

import hashlib
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from policies.facts import parse_duration
from policies.guards import Code, Count, Limits, limit
from policies.reading import ReadingError, canonical, read

RAILS_FILE: Final = "rails.yaml"

Reason = Literal["expired_or_canceled_card", "lost_or_stolen_card", "declined", "unknown", "unreachable"]
"""What lets money go another way: proof that the first rail never moved it. `unreachable`: nothing was ever sent."""

OfferKind = Literal["paypal_payout", "sandbox_payout", "store_credit", "manual"]
RailKind = Literal["stripe", "adyen", "sandbox", "paypal_payout", "sandbox_payout", "store_credit", "manual"]

# Why money never goes another way, whatever anybody writes: it would be paid twice, or is not ours to send elsewhere.
_NEVER: Final = {
    "insufficient_funds": "the balance is too low and the refund waits for it",
    "charge_for_pending_refund_disputed": "the bank may already be giving the money back",
    "merchant_request": "the merchant stopped it on purpose",
}
# What is offered beside money and never alone.
_NO_MONEY: Final = frozenset({"store_credit"})

# Reading a payment is proof for an hour (DESIGN 4.6b): afterwards a dispute may have been opened.
_READ_WITHIN_MAX: Final = timedelta(hours=1)
# Shops confirm orders minutes after the charge; sooner, a sale that is only slow would be undone.
_ROLLBACK_AFTER_MIN: Final = timedelta(minutes=15)
# Longer than any processor keeps anything; a year here is a slip of the keyboard.
_DURATION_MAX: Final = timedelta(days=366)


class RailsError(ValueError):
    """The rails file does not load; the message names the field."""


class Duration(timedelta):
    """`90m`, `12h`, `2d`: above zero, at most a year."""


class Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row: for these reasons and currencies, these kinds in this order."""

    reasons: Annotated[list[Reason], msgspec.Meta(min_length=1)]
    currencies: Literal["any"] | Annotated[list[Code], msgspec.Meta(min_length=1)]
    offer: Annotated[list[OfferKind], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        if not set(self.offer) - _NO_MONEY:
            raise ValueError("`offer`: store_credit is only ever offered beside a way to get money")
        if len(set(self.offer)) < len(self.offer):
            raise ValueError("`offer`: a kind stands twice")

    def fits(self, reason: str, currency: str) -> bool:
        return reason in self.reasons and (self.currencies == "any" or currency in self.currencies)


class Unreachable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a rail that could not be reached may be left."""

    failover_after: Duration | None
    """None: never"""
    read_within: Duration
    auto_max: Limits

    def __post_init__(self) -> None:
        if self.read_within > _READ_WITHIN_MAX:
            raise ValueError("`read_within` is at most 1h: later, what was read says nothing")


class Payout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which amount on people agree to a pay-out."""

    person_over: Limits
    second_person_over: Limits

    def __post_init__(self) -> None:
        for currency, minor in self.person_over.items():
            if limit(self.second_person_over, currency) < minor:
                raise ValueError(f"`second_person_over` has to be at least `person_over` for {currency}")


class FollowUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long anything may take before people look."""

    choice_within: Duration
    accepted_within: dict[RailKind, Duration]
    late_failures_for: Duration
    key_ends_notice: Duration


class Rollback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sales that failed half-way are undone, where a show asks for it."""

    after: Duration
    per_hour_max: Limits
    confirm_first: Count

    def __post_init__(self) -> None:
        if self.after < _ROLLBACK_AFTER_MIN:
            raise ValueError("`after` is at least 15m: sooner, a sale that is only slow would be undone")


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file, as it is written."""

    backups: Annotated[list[Backup], msgspec.Meta(max_length=100)]
    unreachable: Unreachable
    payout: Payout
    follow_up: FollowUp
    rollback: Rollback


class Rails(_Written, frozen=True, kw_only=True):
    """The choices and numbers of one installation, with the hash of the text that they come from."""

    text: str
    hash: str

    def offers(self, reason: str, currency: str, kinds: Collection[str]) -> tuple[str, ...]:
        """Which of `kinds` a customer may choose from, best first; empty where people have to find a way.

        `reason`: why the first rail cannot, or `unreachable`. Whatever is not a proof gives nothing.
        """
        for row in self.backups:
            if row.fits(reason, currency):
                found = tuple(kind for kind in row.offer if kind in kinds)
                return found if set(found) - _NO_MONEY else ()
        return ()

    def auto_max(self, currency: str) -> int:
        """Minor units: the most that leaves a rail that cannot be reached without a person's approval."""
        return limit(self.unreachable.auto_max, currency)

    def approvals(self, amount: int, currency: str) -> Literal[0, 1, 2]:
        """How many people have to agree to a pay-out of so many minor units."""
        if amount > limit(self.payout.second_person_over, currency):
            return 2
        return 1 if amount > limit(self.payout.person_over, currency) else 0

    def accepted_seconds_max(self, kind: str, otherwise: float) -> float:
        """How long a refund may stand accepted on a rail of this kind; `otherwise` is what its adapter knows."""
        within = next((value for name, value in self.follow_up.accepted_within.items() if name == kind), None)
        return otherwise if within is None else within.total_seconds()

    def rollback_max(self, currency: str) -> int:
        """Minor units per show and hour."""
        return limit(self.rollback.per_hour_max, currency)


def load_rails(text: str) -> Rails:
    """Returns the choices in `text`. Raises RailsError for a missing, unknown, impossible or dangerous value."""
    try:
        plain = read(text).plain()
        _refuse_what_never_moves(plain)
        written = msgspec.convert(plain, _Written, dec_hook=_duration)
    except ReadingError as error:
        raise RailsError(f"rails: {error}") from error
    except msgspec.ValidationError as error:
        raise RailsError(f"rails: {error}") from error
    kept = canonical(text)
    values = {name: getattr(written, name) for name in written.__struct_fields__}
    return Rails(text=kept, hash=hashlib.sha256(kept.encode()).hexdigest(), **values)


def _refuse_what_never_moves(plain: Any) -> None:
    """Says why, where a plain "not one of" would leave the reader guessing. Raises RailsError."""
    rows = plain.get("backups") if isinstance(plain, dict) else None
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        listed = row.get("reasons") if isinstance(row, dict) else None
        for reason in listed if isinstance(listed, list) else ():
            if isinstance(reason, str) and reason in _NEVER:
                known = ", ".join(get_args(Reason))
                raise RailsError(f"rails: {reason} never sends money another way: {_NEVER[reason]}; use {known} - at `$.backups[{number}]`")


def _duration(kind: type, value: Any) -> Any:
    if kind is not Duration:
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration; write for example 90m, 12h or 2d")  # noqa: TRY004 - msgspec names the field of a ValueError
    length = parse_duration(value)
    if not timedelta(0) < length <= _DURATION_MAX:
        raise ValueError(f"{value} has to be above zero and at most {_DURATION_MAX.days}d")
    return Duration(seconds=length.total_seconds())
