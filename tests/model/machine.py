"""The model: what customers, people, processors, banks, clocks and broken machines do is drawn; after each step the ledgers are asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from service.choices import Chosen
from service.model import Problem
from service.operations import LEASE_SECONDS
from service.ports import DisputeNews, RefundNews, Unavailable
from service.rails import Entry
from tests.keys import fresh_key
from tests.model import ending
from tests.model.ground import BACK, KINDS, Ground, Refund
from tests.model.processors import CLOSED, FAILURES, FAULTS, ON_THE_WIRE, Line, Notice, Processor
from tests.model.workers import Worker

# More processes at once would only make each example longer.
WORKERS_MAX: Final = 6
CLAIM_MOST: Final = 8
PLACE: Final = st.integers(0, 11)
# A worker's way through one operation has some twenty places.
STEPS: Final = st.integers(1, 16)
# Around a retry, a lease, a proof's minute, the wait before a choice, an hour's reading, a key's window, a slow look.
SECONDS: Final = st.sampled_from([1, 5, 16, 16, 61, 61, 130, 700, 3_700, 22_000, 79_000, 86_400, 400_000])
PRICES: Final = st.sampled_from([[900], [2500], [2500, 2500], [2500, 700], [12_000], [9_000, 9_000], [25_000], [33_000, 1_000]])
RAIL: Final = st.sampled_from(sorted(KINDS))
RAILS: Final = st.lists(st.sampled_from(BACK), min_size=1, max_size=2)
WHY: Final = st.sampled_from(["down", "off", "twice"])
# The last request before an outage, and how far a worker comes before it stands still.
FIRST: Final = st.sampled_from(["", "", "never_sent", "in_flight", "in_flight", "lost", "dropped"])
STANDS: Final = st.one_of(st.just(0), st.integers(1, 12))
# Half of what goes wrong is what lets another rail take over, or may have paid.
FAULT: Final = st.one_of(st.sampled_from(FAULTS), st.sampled_from(CLOSED), st.sampled_from(["lost", "dropped", "in_flight", "never_sent"]))
WILL: Final = st.lists(FAULT, max_size=3)
ENDS: Final = st.builds(
    ending.Plan,
    outage=st.one_of(st.none(), st.builds(ending.Outage, first=FIRST, stands=STANDS, lasts=st.booleans(), goes=st.booleans())),
    late=st.booleans(),
    lost=st.booleans(),
    fails=st.booleans(),
    dispute=st.sampled_from(["", "won", "lost"]),
)


class Model(RuleBasedStateMachine):
    """One example is one world. `ground` and `runner` are set by whoever runs it."""

    ground: Ground
    runner: asyncio.Runner
    steps = 0
    violations = 0
    """whatever an example raised, whether or not hypothesis could make it come again"""
    examples = 0
    happened: ClassVar[Counter[str]] = Counter()
    """what the orders' histories tell, over all examples: what was drawn has to reach far"""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[Worker] = []
        self.refunds: list[Refund] = []
        self.sold: list[tuple[str, str]] = []
        self.plan: ending.Plan | None = None
        self._disputes = 0
        self._is_well = True

    def does(self, work: Coroutine[Any, Any, None]) -> None:
        """One step, and what must hold after it."""
        Model.steps += 1
        try:
            self.runner.run(self._and_check(work))
        except BaseException:
            self._is_well = False
            Model.violations += 1
            raise

    async def _and_check(self, work: Coroutine[Any, Any, None]) -> None:
        await work
        self.workers = [one for one in self.workers if not one.is_done]
        self.ground.check_ledger()
        self.refunds = list(await self.ground.known())
        self.ground.check_given_up(self.refunds)
        await self.ground.check_books()

    # ---------------------------------------------------------------------------------------------------- customers

    @initialize(end=ENDS, prices=PRICES, rails=RAILS, why=WHY, faults=WILL, steps=STEPS)
    def begins(self, *, end: ending.Plan, prices: list[int], rails: list[str], why: str, faults: list[str], steps: int) -> None:
        """Every example has a refund, and a processor that has something in mind with it."""
        Model.examples += 1
        self.plan = end
        self.does(self._begins(prices, rails, why, faults, steps))

    async def _begins(self, prices: list[int], rails: list[str], why: str, faults: list[str], steps: int) -> None:
        await self.ground.clear()
        if self.plan is not None and self.plan.outage is not None:
            outage = self.plan.outage
            await self._begins_in_an_outage(outage.first, outage.stands, lasts=outage.lasts, goes=outage.goes)
        for rail in set(rails):
            self.ground.rails[rail].next.extend(faults)
        await self._complains(prices, rails, why, steps)

    async def _begins_in_an_outage(self, first: str, stands: int, *, lasts: bool, goes: bool) -> None:
        card = self.ground.rails["card"]
        card.down = not first
        card.next.clear()
        card.next.extend([first] * bool(first))
        await self._complains([2500], ["card"], "off", 100)
        await self._outage("", stands, lasts=lasts, goes=goes)

    @precondition(lambda self: len(self.sold) < 3)
    @rule(prices=PRICES, rails=RAILS, why=WHY, steps=STEPS)
    def customer_complains(self, prices: list[int], rails: list[str], why: str, steps: int) -> None:
        self.does(self._complains(prices, rails, why, steps))

    async def _complains(self, prices: list[int], rails: list[str], why: str, steps: int) -> None:
        total = sum(prices)
        if why == "twice":
            payments = [(rail, total) for rail in [*rails, rails[0]][:2]]
        else:
            payments = [(rails[0], total)] if len(rails) == 1 else [(rails[0], total - total // 3), (rails[1], total // 3)]
        show = "off" if why == "off" else "down"
        order = await self.ground.sells(show, prices, payments)
        problem = {"down": Problem.STREAM_OUTAGE, "off": Problem.SHOW_CANCELLED, "twice": Problem.CHARGED_TWICE}[why]
        self.sold.append((order, show))
        await self._starts("request", self.ground.complains(problem, show, order), steps)

    @precondition(lambda self: bool(self.sold))
    @rule(place=PLACE, problem=st.sampled_from([Problem.STREAM_OUTAGE, Problem.SHOW_CANCELLED, Problem.CHARGED_TWICE]), steps=STEPS)
    def customer_complains_again(self, place: int, problem: Problem, steps: int) -> None:
        order, show = self.sold[place % len(self.sold)]
        self.does(self._starts("request", self.ground.complains(problem, show, order), steps))

    @precondition(lambda self: any(one.choosing for one in self.refunds))
    @rule(place=PLACE, rail=st.sampled_from(["wallet", "payout", "manual"]), agent=st.booleans())
    def chooses(self, place: int, rail: str, agent: bool) -> None:  # noqa: FBT001 - drawn
        self.does(self._chooses(_one(place, [one for one in self.refunds if one.choosing]), rail, agent=agent))

    async def _chooses(self, refund: Refund, rail: str, *, agent: bool) -> None:
        caller = self.ground.lead(0) if agent else self.ground.customer()
        address = None if rail == "manual" else "mira@example.org"
        chosen = Chosen(operation=refund.id, rail=rail, address=address, checked="by telephone" if agent else None)
        await self.ground.choices.choose(caller, fresh_key(caller.platform_id), refund.case, chosen, level=caller.level)

    # ------------------------------------------------------------------------------------------------------ processes

    @rule()
    def processes_work(self) -> None:
        """One round of the claim loop, whole."""
        self.does(self.claim(CLAIM_MOST, None))

    @precondition(lambda self: len(self.workers) < WORKERS_MAX)
    @rule(steps=STEPS, most=st.integers(1, 3))
    def processes_begin(self, steps: int, most: int) -> None:
        self.does(self.claim(most, steps))

    async def claim(self, most: int, steps: int | None) -> None:
        await self.claim_some(most, steps)

    async def claim_some(self, most: int, steps: int | None) -> int:
        """As a process's claim loop does; how much was due. None: to the end."""
        ground = self.ground
        since = ground.operations.clock()
        operations = await ground.flow.claim_operations(most, LEASE_SECONDS)
        cases = await ground.flow.claim_cases(most, LEASE_SECONDS)
        for one in operations:
            work = ground.operations.advance(
                one.platform, one.id, one.epoch, since=since, rail=one.rail, state=one.state, priority=one.priority
            )
            await self._starts(f"operation {one.id}", work, steps)
        for case in cases:
            await self._starts(f"case {case.id}", ground.resolution.resolve(case.platform, case.id, case.epoch), steps)
        return len(operations) + len(cases)

    async def _starts(self, name: str, work: Coroutine[Any, Any, object], steps: int | None) -> None:
        worker = Worker(name, work)
        self.workers.append(worker)
        await (worker.run() if steps is None or len(self.workers) > WORKERS_MAX else worker.run(steps))

    @precondition(lambda self: bool(self.workers))
    @rule(place=PLACE, steps=STEPS)
    def goes_on(self, place: int, steps: int) -> None:
        self.does(_one(place, self.workers).run(steps))

    @precondition(lambda self: bool(self.workers))
    @rule(place=PLACE)
    def wakes_up(self, place: int) -> None:
        self.does(_one(place, self.workers).run())

    @precondition(lambda self: 0 < len(self.workers) < WORKERS_MAX)
    @rule(seconds=st.sampled_from([16, 61, 61, 7_300]), steps=st.one_of(st.none(), STEPS), wakes=st.booleans(), place=PLACE)
    def leases_end(self, seconds: int, steps: int | None, wakes: bool, place: int) -> None:  # noqa: FBT001 - drawn
        """Others take up what frozen workers hold; one of these may wake up into it."""
        self.does(self._others_take_over(seconds, steps, list(self.workers)[place % len(self.workers)] if wakes else None))

    async def _others_take_over(self, seconds: int, steps: int | None, wakes: Worker | None) -> None:
        await self.ground.passes(seconds)
        await self.claim_some(CLAIM_MOST, steps)
        if wakes is not None:
            await wakes.run()

    @precondition(lambda self: bool(self.workers))
    @rule(place=PLACE)
    def crashes(self, place: int) -> None:
        self.does(_one(place, self.workers).crash())

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.does(self.ground.passes(seconds))

    @rule(rail=RAIL, shut=st.sampled_from([None, Entry(kind="refused", seconds=5.0), Entry(kind="wait", seconds=2.0)]))
    def breaker_flips(self, rail: str, shut: Entry | None) -> None:
        self.does(self._flips(rail, shut))

    async def _flips(self, rail: str, shut: Entry | None) -> None:
        if shut is None:
            self.ground.gate.shut.pop(rail, None)
        else:
            self.ground.gate.shut[rail] = shut

    @rule()
    def slow_looks(self) -> None:
        self.does(self._looks())

    async def _looks(self) -> None:
        await self.ground.refunds.read_again()

    # ----------------------------------------------------------------------------------------------------- processors

    @rule(rail=RAIL, faults=st.lists(FAULT, min_size=1, max_size=2))
    def processor_will(self, rail: str, faults: list[str]) -> None:
        self.ground.rails[rail].next.extend(faults)

    @precondition(lambda self: any(one.state in {"READY", "SENT"} for one in self.refunds))
    @rule(
        first=st.sampled_from(["in_flight", "lost", "dropped", "never_sent", ""]),
        stands=st.integers(0, 12),
        lasts=st.booleans(),
        goes=st.booleans(),
    )
    def outage(self, first: str, stands: int, lasts: bool, goes: bool) -> None:  # noqa: FBT001 - drawn
        self.does(self._outage(first, stands, lasts=lasts, goes=goes))

    async def _outage(self, first: str, stands: int, *, lasts: bool, goes: bool) -> None:
        """Nothing reaches the processor that pays cards back for so long that customers are asked.

        `first`: what the last request before it came to. `stands`: a worker stands still so far on its way there; 0: none does.
        `goes`: whoever may, takes the backup, and people agree.
        """
        card = self.ground.rails["card"]
        card.next.clear()
        if first:
            card.next.append(first)
            await self.claim_some(CLAIM_MOST, None)
            await self.ground.passes(16)
        if stands:
            await self.claim_some(CLAIM_MOST, stands)
        card.down = True
        for _ in range(4):
            await self.ground.passes(61)
            await self.claim_some(CLAIM_MOST, None)
        card.down = lasts
        if goes:
            await self._goes_to_the_backup()

    async def _goes_to_the_backup(self) -> None:
        for one in await self.ground.known():
            if one.choosing:
                await self._chooses(one, "payout", agent=False)
                await self._approves(one, 1)
                await self._approves(one, 2)
        await self.claim_some(CLAIM_MOST, None)

    @precondition(lambda self: any(one.choosing for one in self.refunds))
    @rule()
    def all_go_to_the_backup(self) -> None:
        self.does(self._goes_to_the_backup())

    @rule(rail=RAIL, down=st.booleans(), unreadable=st.booleans())
    def processor_is(self, rail: str, down: bool, unreadable: bool) -> None:  # noqa: FBT001 - drawn
        self.ground.rails[rail].down, self.ground.rails[rail].unreadable = down, unreadable

    @precondition(lambda self: any(one.in_flight for one in self.ground.rails.values()))
    @rule(place=PLACE, dies=st.booleans())
    def arrives_late(self, place: int, dies: bool) -> None:  # noqa: FBT001 - drawn
        rail = _one(place, [one for one in self.ground.rails.values() if one.in_flight])
        self.does(_now(lambda: rail.deliver(place % len(rail.in_flight), dies=dies)))

    @precondition(lambda self: any(True for _ in self.lines("ACCEPTED")))
    @rule(place=PLACE, to=st.sampled_from(["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "CANCELED"]), failure=st.sampled_from(FAILURES))
    def settles(self, place: int, to: Any, failure: str) -> None:
        rail, line = _one(place, list(self.lines("ACCEPTED")))
        self.does(_now(lambda: rail.move(line, to, "" if to == "SUCCEEDED" else failure)))

    @precondition(lambda self: any(True for _ in self.lines("SUCCEEDED")))
    @rule(place=PLACE, failure=st.sampled_from(FAILURES))
    def fails_late(self, place: int, failure: str) -> None:
        rail, line = _one(place, list(self.lines("SUCCEEDED")))
        self.does(_now(lambda: rail.move(line, "FAILED", failure)))

    def lines(self, state: str) -> Any:
        """Of our own refunds and pay-outs, with their rail."""
        for rail in self.ground.rails.values():
            for line in rail.lines:
                if line.operation is not None and line.state == state:
                    yield rail, line

    @precondition(lambda self: bool(self.sold))
    @rule(place=PLACE, share=st.sampled_from([1, 2, 3]))
    def refunded_by_hand(self, place: int, share: int) -> None:
        rail, ref = self._charge(place)
        left = rail.charges[ref].captured - rail.refunded(ref)
        if left >= share and not rail.charges[ref].disputed:
            self.does(_now(lambda: rail.refund_by_hand(ref, left // share)))

    @precondition(lambda self: bool(self.sold))
    @rule(place=PLACE)
    def bank_asks(self, place: int) -> None:
        rail, ref = self._charge(place)
        self._disputes += 1
        self.does(_now(lambda: rail.dispute(ref, f"dp_{self._disputes}", "open")))

    @precondition(lambda self: any(charge.disputed for rail in self.ground.rails.values() for charge in rail.charges.values()))
    @rule(place=PLACE, to=st.sampled_from(["won", "lost"]))
    def bank_decides(self, place: int, to: Any) -> None:
        rail, ref, dispute = _one(place, list(self.ground.open_disputes()))
        self.does(_now(lambda: rail.dispute(ref, dispute, to)))

    def _charge(self, place: int) -> tuple[Processor, str]:
        found: tuple[Processor, str] = _one(place, [(rail, ref) for rail in self.ground.rails.values() for ref in rail.charges])
        return found

    @precondition(lambda self: bool(self.ground.notices))
    @rule(place=PLACE, again=st.booleans(), steps=st.one_of(st.none(), STEPS))
    def notification_comes(self, place: int, again: bool, steps: int | None) -> None:  # noqa: FBT001 - drawn
        self.does(self._starts("notification", self.tell(_one(place, self.ground.notices), again=again), steps))

    async def tell(self, notice: Notice, *, again: bool) -> None:
        """As the inbox does. It stays there until it was applied, and for longer where it comes again."""
        try:
            news = self.ground.rails[notice.rail].news(notice)
        except Unavailable:
            return
        if isinstance(news, RefundNews):
            await self.ground.refunds.heard(notice.rail, news, source="webhook")
        elif isinstance(news, DisputeNews):
            await self.ground.inbox.dispute(
                {
                    "rail": notice.rail,
                    "payment_ref": news.payment_ref,
                    "at": notice.at,
                    "ref": news.dispute_ref,
                    "state": news.state,
                    "amount": news.amount.minor,
                    "currency": news.amount.currency,
                }
            )
        if not again and notice in self.ground.notices:
            self.ground.notices.remove(notice)

    # --------------------------------------------------------------------------------------------------------- people

    @precondition(lambda self: any(one.state == "HELD" for one in self.refunds))
    @rule(place=PLACE, lead=st.integers(0, 2))
    def person_approves(self, place: int, lead: int) -> None:
        self.does(self._approves(_one(place, self._in("HELD")), lead))

    async def _approves(self, refund: Refund, lead: int) -> None:
        person = self.ground.lead(lead)
        await self.ground.desk.approve(person, fresh_key(person.platform_id), refund.id, reason="seen", needed=1, caps=[])

    @precondition(lambda self: any(one.state in {"HELD", "CHOICE_NEEDED"} for one in self.refunds))
    @rule(place=PLACE)
    def person_refuses(self, place: int) -> None:
        refund = _one(place, self._in("HELD", "CHOICE_NEEDED"))
        self.does(self._refuses(refund))

    async def _refuses(self, refund: Refund) -> None:
        await self.ground.desk.refuse(self.ground.lead(0), refund.id, "no")

    @precondition(lambda self: any(one.state == "HELD" and "outside" in one.holds and one.approved for one in self.refunds))
    @rule(place=PLACE)
    def person_sends_outside(self, place: int) -> None:
        """And writes down what was sent: only what our books took is sent at all."""
        outside = [one for one in self.refunds if one.state == "HELD" and "outside" in one.holds and one.approved]
        self.does(self._sends(_one(place, outside)))

    async def _sends(self, refund: Refund) -> None:
        ref = f"transfer {len(self.ground.outside)}"
        lead = self.ground.lead(0)
        if await self.ground.desk.settle(lead, fresh_key(lead.platform_id), refund.id, ref, None) == "settled":
            line = Line(
                ref=ref,
                payment_ref=refund.payment_ref,
                amount=refund.amount,
                state="SUCCEEDED",
                at=self.ground.now(),
                operation=refund.id,
            )
            self.ground.outside.append(line)

    @precondition(lambda self: any(one.state == "NEEDS_REVIEW" for one in self.refunds))
    @rule(place=PLACE)
    def person_judges(self, place: int) -> None:
        self.does(self.judge(_one(place, self._in("NEEDS_REVIEW"))))

    async def judge(self, refund: Refund) -> None:
        """Truly, with the ledger before them; not while anything of it may still be on its way."""
        if any(one.place == ON_THE_WIRE for one in self.workers) or any(
            request.operation_id == refund.id for rail in self.ground.rails.values() for request, _ in rail.in_flight
        ):
            return
        found = next((line for _, line in self.ground.ours() if line.operation == refund.id), None)
        await self.ground.desk.judge(self.ground.lead(0), refund.id, moved=found is not None, reference=found.ref if found else None)

    @rule(rail=RAIL, stop=st.booleans())
    def people_mend(self, rail: str, stop: bool) -> None:  # noqa: FBT001 - drawn
        self.does(self.brake(rail, stop=stop))

    async def brake(self, rail: str, *, stop: bool) -> None:
        brakes, lead = self.ground.brakes, self.ground.lead(0)
        await (brakes.pause(lead, "rail", rail, "drawn") if stop else brakes.resume(lead, "rail", rail, "drawn"))

    def _in(self, *states: str) -> list[Refund]:
        return [one for one in self.refunds if one.state in states]

    # ----------------------------------------------------------------------------------------------------------- the end

    def teardown(self) -> None:
        try:
            if self._is_well and self.plan is not None:
                self.runner.run(ending.ends(self, self.plan))
        except BaseException:
            Model.violations += 1
            raise
        finally:
            self.runner.run(self._leaves())

    async def _leaves(self) -> None:
        for one in self.workers:
            await one.crash()


def _one(place: int, some: Any) -> Any:
    return some[place % len(some)]


async def _now(act: Any) -> None:
    act()
