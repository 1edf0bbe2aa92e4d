"""The storm itself: clients ask, processes are killed and frozen, PostgreSQL crashes, and a clerk at the bank takes his time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Final

from integrations.sandbox_books import Fault, Script
from tests.chaos.customers import Asked, Caller, Unanswered, ask, ask_once_more, choose
from tests.chaos.ground import Ground
from tests.chaos.members import Member
from tests.chaos.wishes import CLOSED_CARD, Act, Kind, Wish

# Enough at once that every kill finds work under way, and few enough that two cores are not only queueing.
CLIENTS: Final = 16
# How far clients may run ahead of what is to be done to the processes.
_AHEAD: Final = 32
# The bank looks at what it was sent about every second.
_CLERK_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02


class Storm:
    """One run's clients and faults. The wishes and acts come from the seed; which process has which request in hand does not."""

    def __init__(self, ground: Ground, shows: Mapping[Kind, str], wanted: Sequence[Wish], plan: Sequence[Act], *, seed: int) -> None:
        self._ground = ground
        self._shows = shows
        self._wanted = wanted
        self._plan = plan
        self._seed = seed
        self._callers = [Caller(ground.crew.addresses, ground.house.desk, number) for number in range(2 * CLIENTS)]
        self._next = count()
        self._begun = 0
        self._under_way = 0
        self._acted = 0
        self.asked: list[Asked] = []
        self.unanswered: dict[str, str] = {}
        """order -> what its client heard last"""
        self.done: Counter[str] = Counter()
        self.busy_kills = 0
        """kills while requests were under way"""

    async def close(self) -> None:
        for one in self._callers:
            await one.close()

    @property
    def repeats(self) -> int:
        """Requests that were sent again since nobody answered."""
        return sum(one.repeats for one in self._callers)

    async def rage(self, seconds_max: float) -> None:
        """Until everything planned was asked for and done. What is not answered by then never was."""
        clerk = asyncio.create_task(self._clerk())
        waiting = iter(self._wanted)
        try:
            async with asyncio.timeout(seconds_max), asyncio.TaskGroup() as group:
                group.create_task(self._weather())
                for _ in range(CLIENTS):
                    group.create_task(self._client(waiting))
        except TimeoutError:
            heard = {one.wish.ref for one in self.asked} | set(self.unanswered)
            self.unanswered |= {one.ref: "the time was over" for one in self._wanted if one.ref not in heard}
        finally:
            clerk.cancel()
            await asyncio.gather(clerk, return_exceptions=True)

    async def choose_late(self) -> None:
        """Whose refund failed after it had been accepted chooses another way, too; who has chosen is asked nothing more."""
        waiting = iter([one for one in self.asked if one.wish.chooses])
        await asyncio.gather(*(self._choose_some(waiting) for _ in range(CLIENTS)))

    async def _choose_some(self, waiting: Iterator[Asked]) -> None:
        for one in waiting:
            try:
                await choose(self._caller(), one.wish, min(one.cases))
            except Unanswered as failure:
                self.unanswered[one.wish.ref] = f"{one.wish.kind}: {failure}"

    async def ask_again(self, every: int) -> None:
        """A sample of the customers ask once more when it is all over."""
        for one in self.asked[::every]:
            await ask_once_more(self._caller(), one, self._shows[one.wish.kind])

    # ---------------------------------------------------------------------------------------------------------- clients

    async def _client(self, waiting: Iterator[Wish]) -> None:
        for wish in waiting:
            while self._acted < len(self._plan) and self._begun > self._plan[self._acted].at * len(self._wanted) + _AHEAD:
                await asyncio.sleep(_LOOK_SECONDS)
            self._begun += 1
            await asyncio.sleep(wish.pause_ms / 1000)
            self._under_way += 1
            try:
                self.asked.append(await ask(self._caller, wish, self._shows[wish.kind]))
            except Unanswered as failure:
                self.unanswered[wish.ref] = f"{wish.kind}: {failure}"
            finally:
                self._under_way -= 1

    def _caller(self) -> Caller:
        return self._callers[next(self._next) % len(self._callers)]

    # ---------------------------------------------------------------------------------------------------------- weather

    async def _weather(self) -> None:
        """Does what is planned when enough has been asked for. What takes time goes on beside what comes next."""
        async with asyncio.TaskGroup() as going_on:
            for act in self._plan:
                while self._begun < act.at * len(self._wanted):
                    await asyncio.sleep(_LOOK_SECONDS)
                await asyncio.sleep(act.pause)
                begun = asyncio.Event()
                going_on.create_task(self._carry_out(act, begun))
                await begun.wait()
                self._acted += 1

    async def _carry_out(self, act: Act, begun: asyncio.Event) -> None:
        match act.what:
            case "outage":
                begun.set()
                await self._ground.house.books.script(Script(fault=Fault.UNREACHABLE, times=None, call="any"))
                await asyncio.sleep(act.seconds)
                await self._ground.end_outages()
            case "crash":
                async with self._ground.ours.busy:
                    begun.set()
                    await self._ground.ours.crash(down_seconds=act.seconds)
            case "freeze":
                member = self._free(act.target)
                async with member.busy:
                    begun.set()
                    await member.freeze(act.seconds)
            case "kill":
                member = self._free(act.target)
                async with member.busy:
                    begun.set()
                    self.busy_kills += self._under_way > 0
                    await member.kill()
                    await asyncio.sleep(act.seconds)
                    await member.start()
        self.done[act.what] += 1

    def _free(self, target: int) -> Member:
        """The planned one, or the next that nothing is being done to."""
        members = self._ground.crew.members
        row = [members[(target + step) % len(members)] for step in range(len(members))]
        return next((one for one in row if not one.busy.locked()), row[0])

    # ---------------------------------------------------------------------------------------------------------- the bank

    async def _clerk(self) -> None:
        """What was on its way to the sandbox arrives, and its bank says what became of what was accepted."""
        chance = random.Random(f"clerk {self._seed}")  # noqa: S311 - repeatable, not secret
        while True:
            await asyncio.sleep(chance.uniform(0, 2 * _CLERK_SECONDS))
            await self.clear_desk()

    async def clear_desk(self) -> None:
        orders = {one.ref: one for one in self._wanted}
        books = self._ground.house.books
        await books.deliver()
        await self._ground.backup.deliver()
        for ref, order in await self._ground.accepted():
            match orders[order].later:
                case "fail":
                    await books.fail_late(ref, CLOSED_CARD)
                case "cancel":
                    await books.cancel(ref)
                case _:
                    await books.settle(ref)
