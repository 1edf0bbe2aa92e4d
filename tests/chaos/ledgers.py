"""What the processors themselves say was paid back, on every rail, and how that compares with what was asked for and with our books."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from integrations.sandbox_books import SandboxPool
from tests.chaos.customers import Asked
from tests.contracts.rails.benches import TEST_KEY
from tests.promises.house import House

# A page of Stripe's lists holds a hundred; more pages than this are more refunds than any run makes.
_PAGES_MAX: Final = 1000
_DEAD: Final = frozenset({"FAILED", "CANCELED", "failed", "canceled"})

_SANDBOX: Final = """
    SELECT account, payment_ref, ref, amount, state, operation_id, attempt_id FROM sandbox.refund WHERE reason <> 'loaded' ORDER BY made_at
"""
_OPERATIONS: Final = """
    SELECT o.id, o.state, o.amount, o.rail, o.case_id, o.accepted_at IS NOT NULL AS accepted, r.ref AS order_ref
    FROM operation o JOIN orders r ON r.id = o.order_id WHERE o.action = 'refund'
"""
_BOOKS: Final = """
    SELECT p.provider_ref, p.refunded + coalesce((SELECT sum(o.amount) FROM operation o WHERE o.payment_id = p.id AND o.action = 'refund'
        AND o.accepted_at IS NOT NULL AND o.ended_at IS NULL), 0)::bigint AS paid
    FROM payment p WHERE p.provider_ref IS NOT NULL
"""
_CASES: Final = "SELECT c.id, c.state, c.owner, r.ref AS order_ref FROM cases c LEFT JOIN orders r ON r.id = c.order_id"
_HARMS: Final = """
    SELECT h.id, h.awarded, x.operation_id, x.amount FROM harm h JOIN operation_part x ON x.harm_id = h.id
"""
_STORY: Final = """
    SELECT jsonb_build_object('operation', to_jsonb(o), 'attempts', (SELECT jsonb_agg(to_jsonb(a) || jsonb_build_object('tries',
        (SELECT jsonb_agg(to_jsonb(t) ORDER BY t.seq) FROM try t WHERE t.attempt_id = a.id)) ORDER BY a.seq) FROM attempt a
        WHERE a.operation_id = o.id)) AS told
    FROM operation o WHERE o.id = ANY ($1) ORDER BY o.created_at
"""
# With these an operation waits for a person or for the customer, and a case for a person.
_WITH_PEOPLE: Final = frozenset({"HELD", "NEEDS_REVIEW", "CHOICE_NEEDED"})
_ENDED: Final = frozenset({"DONE", "REFUSED", "FAILED"})


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """One refund in a processor's own books."""

    rail: str
    payment_ref: str
    ref: str
    amount: int
    is_alive: bool
    """not failed and not cancelled: the money went, or goes"""
    operation: UUID | None
    attempt: UUID | None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as our own tables have it."""

    id: UUID
    state: str
    amount: int
    order: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    state: str
    owner: str | None
    order: str | None


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides when it is all over: theirs first, for theirs is the truth."""

    paid: tuple[Paid, ...]
    captured: Mapping[str, int]
    """by the processor's reference of the payment"""
    orders: Mapping[str, str]
    """the order of each of those payments"""
    operations: tuple[Operation, ...]
    cases: tuple[Case, ...]
    books: Mapping[str, int]
    """what our books say of each payment: refunded, or accepted and under way"""
    parts: tuple[tuple[UUID, int, UUID, int], ...]
    """harm, what is awarded of it, operation, the operation's part of it"""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    doubles: tuple[str, ...]
    lost: tuple[str, ...]
    stuck: tuple[str, ...]
    handed: tuple[str, ...]
    """orders whose refund people or the customer have to finish, since a bank refused it"""

    @property
    def is_well(self) -> bool:
        return not (self.doubles or self.lost or self.stuck)


def judge(world: World, asked: Iterable[Asked], unanswered: Collection[str]) -> Verdict:
    """What was paid twice, what was lost, and what never ended. `unanswered`: orders whose client nobody answered."""
    asked = tuple(asked)
    with_people = _with_people(world)
    refused = {one.wish.ref for one in asked if one.wish.is_refused}
    return Verdict(
        doubles=(*_twice_for_one(world), *_more_than_due(world, asked)),
        lost=(*_not_in_our_books(world), *_less_than_due(world, asked, with_people)),
        stuck=(*_never_ended(world, refused), *(f"{ref}: nobody answered" for ref in sorted(unanswered))),
        handed=tuple(sorted(with_people & refused)),
    )


def _alive_by_order(world: World) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in world.paid:
        if one.is_alive:
            found[world.orders.get(one.payment_ref, one.payment_ref)] += one.amount
    return found


def _twice_for_one(world: World) -> Iterable[str]:
    """Over all rails: an operation pays once, a harm is paid for once, a payment gives back no more than it took."""
    alive = [one for one in world.paid if one.is_alive]
    for operation, times in Counter(one.operation for one in alive if one.operation is not None).items():
        if times > 1:
            yield f"operation {operation} was paid {times} times"
    went: Counter[str] = Counter()
    for one in alive:
        went[one.payment_ref] += one.amount
    for payment, amount in went.items():
        if amount > world.captured.get(payment, 0):
            yield f"payment {payment} gave back {amount} of {world.captured.get(payment, 0)}"
    times_paid = Counter(one.operation for one in alive)
    harms: defaultdict[UUID, int] = defaultdict(int)
    awards: dict[UUID, int] = {}
    for harm, awarded, operation, amount in world.parts:
        harms[harm] += amount * times_paid[operation]
        awards[harm] = awarded
    for harm, amount in harms.items():
        if amount > awards[harm]:
            yield f"harm {harm} was paid {amount} for {awards[harm]}"


def _more_than_due(world: World, asked: Sequence[Asked]) -> Iterable[str]:
    went = _alive_by_order(world)
    for one in asked:
        if went[one.wish.ref] > one.wish.due:
            yield f"order {one.wish.ref} ({one.wish.kind}, {one.wish.rail}) was due {one.wish.due} and got {went[one.wish.ref]}"


def _not_in_our_books(world: World) -> Iterable[str]:
    """Money that went without us knowing, or that we believe went and did not."""
    known = {one.id for one in world.operations}
    for one in world.paid:
        if one.operation not in known:
            yield f"{one.rail} has {one.ref} of {one.amount} on {one.payment_ref}, and we know of no such operation"
    theirs: Counter[str] = Counter()
    for one in world.paid:
        if one.is_alive:
            theirs[one.payment_ref] += one.amount
    for payment, ours in world.books.items():
        if ours != theirs[payment]:
            yield f"payment {payment} of order {world.orders.get(payment)}: they paid back {theirs[payment]}, our books say {ours}"


def _less_than_due(world: World, asked: Sequence[Asked], with_people: Collection[str]) -> Iterable[str]:
    """Whoever was due money has it, or a bank refused it and people know."""
    went = _alive_by_order(world)
    there = {f"case_{one.id.hex}" for one in world.cases}
    for one in asked:
        for case in sorted(one.cases - there):
            yield f"order {one.wish.ref}: {case} was accepted and is not there"
        if went[one.wish.ref] < one.wish.due and not (one.wish.may_stay_unpaid and one.wish.ref in with_people):
            yield f"order {one.wish.ref} ({one.wish.kind}, {one.wish.rail}) was due {one.wish.due} and got {went[one.wish.ref]}"


def _with_people(world: World) -> set[str]:
    found = {one.order for one in world.operations if one.state in _WITH_PEOPLE}
    found |= {one.order for one in world.cases if one.order and one.state == "open" and one.owner in {"queue", "agent", "timer"}}
    return found


def _never_ended(world: World, refused: Collection[str]) -> Iterable[str]:
    """Neither at an end nor with people; or with people although no bank refused anything."""
    for operation in world.operations:
        if operation.state not in _ENDED | _WITH_PEOPLE:
            yield f"order {operation.order}: operation {operation.id} is still {operation.state}"
        elif operation.state in {"NEEDS_REVIEW", "CHOICE_NEEDED"} and operation.order not in refused:
            yield f"order {operation.order}: operation {operation.id} is {operation.state}, and no bank refused it"
    for case in world.cases:
        if case.state == "open" and case.owner not in {"queue", "agent", "timer"}:
            yield f"order {case.order}: case {case.id} is still open with {case.owner}"


# --------------------------------------------------------------------------------------------------------------------- reading


async def look(house: House, ledger: SandboxPool, peer: str, charges: Mapping[str, str]) -> World:
    """Everything at rest. `charges`: the payments made at the peer, and their orders."""
    at_peer, captured = await _of_peer(peer)
    rows = await ledger.fetch(_SANDBOX)
    sandbox = [
        Paid(
            rail=row["account"],
            payment_ref=row["payment_ref"],
            ref=row["ref"],
            amount=row["amount"],
            is_alive=row["state"] not in _DEAD,
            operation=row["operation_id"],
            attempt=row["attempt_id"],
        )
        for row in rows
    ]
    taken = await ledger.fetch("SELECT payment_ref, captured FROM sandbox.charge")
    # The sandbox's references are made of the order's, `ch_<order>_<number>`.
    orders = {row["payment_ref"]: row["payment_ref"].split("_")[1] for row in taken}
    return World(
        paid=(*at_peer, *sandbox),
        captured={**captured, **{row["payment_ref"]: row["captured"] for row in taken}},
        orders={**orders, **charges},
        operations=tuple(
            Operation(id=row["id"], state=row["state"], amount=row["amount"], order=row["order_ref"])
            for row in await house.rows(_OPERATIONS)
        ),
        cases=tuple(Case(id=row["id"], state=row["state"], owner=row["owner"], order=row["order_ref"]) for row in await house.rows(_CASES)),
        books={row["provider_ref"]: row["paid"] for row in await house.rows(_BOOKS)},
        parts=tuple((row["id"], row["awarded"], row["operation_id"], row["amount"]) for row in await house.rows(_HARMS)),
    )


async def _of_peer(peer: str) -> tuple[list[Paid], dict[str, int]]:
    async with httpx.AsyncClient(base_url=peer, headers={"Authorization": f"Bearer {TEST_KEY}"}, trust_env=False) as client:
        refunds = await _all(client, "/v1/refunds")
        charges = await _all(client, "/v1/charges")
    paid = [
        Paid(
            rail="stripe",
            payment_ref=one["charge"],
            ref=one["id"],
            amount=one["amount"],
            is_alive=one["status"] not in _DEAD,
            operation=_uuid(one["metadata"].get("operation_id")),
            attempt=_uuid(one["metadata"].get("attempt_id")),
        )
        for one in refunds
    ]
    return paid, {one["id"]: one["amount"] for one in charges}


async def _all(client: httpx.AsyncClient, path: str) -> list[Any]:
    found: list[Any] = []
    for _ in range(_PAGES_MAX):
        page = (await client.get(path, params={"limit": 100} | ({"starting_after": found[-1]["id"]} if found else {}))).json()
        found += page["data"]
        if not page["has_more"]:
            return found
    raise AssertionError(f"{path} has more than {_PAGES_MAX} pages")


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None


async def story(house: House, world: World, order: str) -> str:
    """Everything known of one order's refunds, on both sides, for whoever has to find out what happened."""
    ours = [one.id for one in world.operations if one.order == order]
    told = await house.rows(_STORY, ours)
    theirs = [msgspec.to_builtins(one) for one in world.paid if world.orders.get(one.payment_ref) == order or one.operation in ours]
    return json.dumps({"order": order, "ours": [row["told"] for row in told], "theirs": theirs}, indent=1, default=str)
