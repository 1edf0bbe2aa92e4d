"""What a customer tells beside the problem: what their player said, a purchase, what they said yes to."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from service.api import problems
from service.contacts import Offered, Player
from service.feed import Currency, Email, Instant, Minor, MinorPositive
from service.likely import Likely
from service.purchase import Purchase

# What a player or device tells is a word or two; printable, since it stands on people's screens as it is.
Told = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]


class PlayerTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the customer's own player and device say; for the article that fixes it, and for the people who look."""

    error: Told | None = None
    """the code that the player shows: the show's `known_errors` are looked up by it"""
    device: Told | None = None
    system: Told | None = None
    app_version: Told | None = None
    network: Told | None = None
    browser: Told | None = None


class PurchaseTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For who cannot read the mail they bought with. People compare it; nothing is done by itself."""

    bought_at: Instant
    amount: Minor
    currency: Currency
    last4: Annotated[str, Meta(pattern=r"^[0-9]{4}$(?!\n)")]
    email: Email | None = None
    """where the customer can be reached"""


class OfferedTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the customer was shown and said yes to. Where the rules would now pay less, in another currency or somewhere else, nothing is
    done: 409 `offer_moved`.
    """

    amount: MinorPositive
    currency: Currency
    to: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    """`Visa ·· 4242`, as it was shown; left out: wherever the rules send it"""


def player_of(told: PlayerTold | None) -> Player | None:
    return None if told is None else msgspec.convert(told, Player, from_attributes=True)


def purchase_of(told: PurchaseTold | None) -> Purchase | None:
    return None if told is None else msgspec.convert(told, Purchase, from_attributes=True)


def offered_of(told: OfferedTold | None) -> Offered | None:
    return None if told is None else msgspec.convert(told, Offered, from_attributes=True)


def offer_moved(now: Likely) -> problems.Problem:
    """409, with what it would be now."""
    return problems.Problem(
        status=409,
        code="offer_moved",
        title="What you were shown is not what would be done now",
        detail="Nothing was done. See what it would be now, and say yes again.",
        likely=msgspec.to_builtins(now),
    )
