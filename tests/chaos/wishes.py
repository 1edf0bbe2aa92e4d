"""What is asked for and what goes wrong, drawn from the seed before anything starts: so a run can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from integrations.sandbox_books import Fault, Script

Kind = Literal["share", "whole", "twice", "remorse", "by_agent", "goodwill", "same_again"]
RailName = Literal["stripe", "sandbox"]
Later = Literal["settle", "fail", "cancel"]
What = Literal["kill", "freeze", "crash", "outage"]

# Weights: shares of an outage most, for two of them fit into one payment where nothing but the key and the books stand in the way.
_KINDS: Final[dict[Kind, int]] = {"share": 40, "whole": 15, "twice": 12, "remorse": 10, "by_agent": 9, "goodwill": 6, "same_again": 8}
OUTAGE_MINUTES: Final = 25
SHOW_MINUTES: Final = 90
# Below what one agent may give as goodwill.
_GOODWILL: Final = 500
# How long each lasts. A freeze is longer than a lease, so that everything the process was at is taken over before it wakes up; an outage
# is long enough to open the breaker, which then asks again ever more seldom.
_SECONDS: Final[dict[What, tuple[float, float]]] = {"kill": (0.0, 1.5), "freeze": (16.0, 20.0), "crash": (0.0, 1.5), "outage": (2.0, 5.0)}
# Wishes are asked for in this stretch of the run: the first is under way before anything is done to a process, the last after it.
_MOMENTS: Final = (0.03, 0.92)

# The rail cannot be reached for this refund for as long as a storm lasts: the waits between its tries double up to a minute.
_AWAY_CALLS: Final = 20
# A platform waits for hours before it offers another way; here it has to happen while processes are killed and frozen.
FAILOVER_AFTER_SECONDS: Final = 6

# What a sandbox refund meets, by weight; a weight of nothing at all is the largest.
_ROADS: Final[tuple[tuple[int, tuple[tuple[Fault, int], ...], Later | None], ...]] = (
    (50, (), None),
    (8, ((Fault.LOST_ANSWER, 1),), None),
    (5, ((Fault.LOST_ANSWER, 2),), None),
    (4, ((Fault.NO_ANSWER, 1), (Fault.LOST_ANSWER, 1)), None),
    (6, ((Fault.IN_FLIGHT, 1),), None),
    (4, ((Fault.IN_FLIGHT, 2),), None),
    (3, ((Fault.IN_FLIGHT, 1), (Fault.NO_ANSWER, 2)), None),
    (5, ((Fault.UNREACHABLE, 2),), None),
    (3, ((Fault.RATE_LIMITED, 1),), None),
    (7, ((Fault.ACCEPTED, 1),), "settle"),
    (3, ((Fault.ACCEPTED, 1),), "fail"),
    (1, ((Fault.ACCEPTED, 1),), "cancel"),
    (5, ((Fault.FAILED, 1),), None),
    (2, ((Fault.UNREACHABLE, _AWAY_CALLS),), None),
)
# And the pay-out, where the customer chose one because their card is closed.
_WAYS_OUT: Final[tuple[tuple[int, tuple[tuple[Fault, int], ...]], ...]] = (
    (4, ()),
    (2, ((Fault.LOST_ANSWER, 2),)),
    (2, ((Fault.IN_FLIGHT, 1), (Fault.NO_ANSWER, 1))),
    (1, ((Fault.UNREACHABLE, 2),)),
)
# Of these kinds a case has one refund, which the customer can choose another way for.
_CHOOSING: Final[frozenset[Kind]] = frozenset({"share", "whole", "twice", "remorse"})
BACKUP: Final = "backup"
CLOSED_CARD: Final = "expired_or_canceled_card"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One customer and one order, and what has to be paid back of it in the end: no more, and no less unless a bank says no."""

    ref: str
    kind: Kind
    rail: RailName
    prices: tuple[int, ...]
    charges: int
    due: int
    asks: int
    """how many clients ask at once, with one key"""
    asks_anew: bool
    """one more asks beside them with a key of its own"""
    faults: tuple[tuple[Fault, int], ...]
    later: Later | None
    pause_ms: int
    wait_seconds: int
    """how long its clients let a server hold the answer back"""
    out_faults: tuple[tuple[Fault, int], ...]
    """what the pay-out meets, if there is one"""

    @property
    def is_refused(self) -> bool:
        """The bank refuses it, at once or later, so that people or the customer are asked."""
        return self.later in {"fail", "cancel"} or self.is_refused_at_once

    @property
    def is_refused_at_once(self) -> bool:
        return any(fault is Fault.FAILED for fault, _ in self.faults)

    @property
    def chooses(self) -> bool:
        """The card is closed, or the rail away for long: the customer says where the money should go, if anybody asks."""
        return self.kind in _CHOOSING and (self.later == "fail" or self.is_refused_at_once or self.is_away)

    @property
    def is_away(self) -> bool:
        """Nothing of it gets through. The first rail may come back before anybody has offered another: then it pays."""
        return (Fault.UNREACHABLE, _AWAY_CALLS) in self.faults

    @property
    def may_stay_unpaid(self) -> bool:
        return self.is_refused and not self.chooses

    def scripts(self, payment_ref: str) -> list[Script]:
        return self._scripts(payment_ref, self.faults)

    def scripts_of_way_out(self, payment_ref: str) -> list[Script]:
        return self._scripts(payment_ref, self.out_faults) if self.chooses else []

    def _scripts(self, payment_ref: str, faults: Sequence[tuple[Fault, int]]) -> list[Script]:
        return [
            Script(
                fault=fault,
                times=times,
                payment_ref=payment_ref,
                detail=CLOSED_CARD if fault is Fault.FAILED else "",
                retry_after_seconds=1.0 if fault is Fault.RATE_LIMITED else None,
            )
            for fault, times in faults
        ]

    @property
    def scripted(self) -> int:
        """How many faults of the sandbox are meant for it."""
        return sum(times for _, times in (*self.faults, *(self.out_faults if self.chooses else ())))


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is done to a process, to PostgreSQL or to a whole rail, when this share of the wishes has been asked for."""

    what: What
    at: float
    target: int
    """which process; the next one that works, when it does not"""
    seconds: float
    """how long it lasts: until a process is started again or goes on, until a database is back, until a rail can be reached"""
    pause: float
    """seconds into that moment, so that nothing happens in step with the clients"""


def wishes(seed: int, count: int) -> Sequence[Wish]:
    chance = random.Random(f"wishes {seed}")  # noqa: S311 - repeatable, not secret
    return [_wish(chance, number) for number in range(count)]


def _wish(chance: random.Random, number: int) -> Wish:
    kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    rail: RailName = chance.choice(("stripe", "sandbox"))
    prices = (chance.randrange(1500, 6000), chance.randrange(1500, 6000)) if kind == "whole" else (chance.randrange(2000, 6000),)
    _, faults, later = chance.choices(_ROADS, [weight for weight, _, _ in _ROADS])[0]
    return Wish(
        ref=f"C{number:05d}",
        kind=kind,
        rail=rail,
        prices=prices,
        charges=2 if kind == "twice" else 1,
        due=_due(kind, prices),
        asks=chance.choice((1, 1, 1, 2, 3)),
        asks_anew=chance.random() < 0.2,
        faults=faults if rail == "sandbox" else (),
        later=later if rail == "sandbox" else None,
        pause_ms=chance.randrange(0, 200),
        wait_seconds=chance.choice((0, 1, 1, 2, 10)),
        out_faults=chance.choices([way for _, way in _WAYS_OUT], [weight for weight, _ in _WAYS_OUT])[0],
    )


def share(price: int) -> int:
    """What an outage gives back of a price, as the policy rounds it."""
    return price * OUTAGE_MINUTES // SHOW_MINUTES


def _due(kind: Kind, prices: Sequence[int]) -> int:
    match kind:
        case "share":
            return share(prices[0])
        case "same_again":
            return 2 * share(prices[0])
        case "by_agent":
            return prices[0] // 3
        case "goodwill":
            return _GOODWILL
        case "whole" | "twice" | "remorse":
            return sum(prices)


def acts(seed: int, *, kills: int, members: int) -> Sequence[Act]:
    """As many kills as asked for, and of the rest what goes with so many."""
    chance = random.Random(f"acts {seed}")  # noqa: S311 - see wishes
    counts: dict[What, int] = {
        "kill": kills,
        "freeze": -(-kills // 8),
        "crash": -(-kills // 12),
        "outage": -(-kills // 6),
    }
    found = [
        Act(
            what=what,
            # What takes long begins early, so that the end of a run does not wait for it.
            at=chance.uniform(*_MOMENTS) * (0.5 if what == "freeze" else 1.0),
            target=chance.randrange(members),
            seconds=chance.uniform(*_SECONDS[what]),
            pause=chance.uniform(0.0, 0.3),
        )
        for what, count in counts.items()
        for _ in range(count)
    ]
    return sorted(found, key=lambda act: act.at)
