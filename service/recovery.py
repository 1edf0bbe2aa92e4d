"""After a restored backup: nothing is sent until every refund that the processors made since then is in our books again.

What is known of an operation or an attempt is put right; what is not is counted, so that no more goes back than came in, and more money of
its order waits for a person. What nobody can be asked about goes to people. Run twice, it changes nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from service.auditing import days, put_right
from service.model import Json
from service.ports import Declined, Movement, RefundRail
from service.store.audit import AuditStore

# Clocks of processors differ from ours, and a backup takes its time.
_MARGIN: Final = timedelta(hours=1)
# What goes to people in one transaction.
_UNSURE_AT_ONCE: Final = 100
_UNSURE_ROUNDS_MAX: Final = 10_000
# A person reads them one by one; the table says how many there are.
LISTED_MAX: Final = 200

# Words of refund_recovered after which nothing is left to do.
_SETTLED: Final = frozenset({"applied", "known", "noted", "elsewhere", "lost"})


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a processor's list that people have to look at. `word`: `unknown_payment`, `mismatch` or `people`."""

    rail: str
    word: str
    movement: Movement


class RailRecovered(msgspec.Struct, frozen=True, kw_only=True):
    rail: str
    since: datetime
    read: str
    """`list`, `report`, or `none`: neither, so that what was under way went to people"""
    words: Mapping[str, int]
    """word of refund_recovered -> lines of the processor's list"""
    others: int
    """refunds that carry no ids of ours, of payments that we do not know: somebody else's"""
    in_review: int
    """operations of the rail that people have to look at"""

    @property
    def open(self) -> int:
        """What keeps money stopped: everything that is not settled. Operations in review send nothing by themselves."""
        return sum(count for word, count in self.words.items() if word not in _SETTLED)


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    rails: tuple[RailRecovered, ...]
    unmatched: tuple[Unmatched, ...]
    """the first LISTED_MAX"""
    went: int | None
    """operations that go now; None: money is still stopped"""

    @property
    def complete(self) -> bool:
        return all(one.open == 0 for one in self.rails)


class NotStopped(Exception):  # noqa: N818 - says what is wrong
    """The brakes are not on everywhere: nothing was matched."""


class Recovery:
    """`reports`: rail -> what its processor gave as a file."""

    def __init__(
        self, store: AuditStore, rails: Mapping[str, RefundRail], *, reports: Mapping[str, Sequence[Movement]], actor: str
    ) -> None:
        self._store = store
        self._rails = rails
        self._reports = reports
        self._actor = actor
        self._unmatched: list[Unmatched] = []

    async def run(self, since: datetime, *, then: str = "stay") -> Recovered:
        """Matches everything since then; with `then="go"`, money goes again if everything was matched.

        Raises NotStopped, Unavailable when a processor does not answer: money stays stopped, run it again.
        """
        stopped, platforms = await self._store.stop(self._actor)
        if stopped < platforms:
            raise NotStopped(f"{platforms - stopped} of {platforms} platforms")
        until = await self._store.now() + _MARGIN
        # What was paid first, of all rails, then what failed: a failure beside a payment must not set out to pay again.
        words: dict[str, Counter[str]] = {name: Counter() for name in self._rails}
        starts = {name: await self._start(name, since) for name in self._rails}
        read = {name: await self._match(rail, starts[name], until, words[name], dead=False) for name, rail in self._rails.items()}
        for name, rail in self._rails.items():
            if read[name] != "none":
                await self._match(rail, starts[name], until, words[name], dead=True)
            else:
                await self._unsure(name)
        done = [
            RailRecovered(
                rail=name,
                since=starts[name],
                read=read[name],
                words={word: count for word, count in sorted(words[name].items()) if word != "others"},
                others=words[name]["others"],
                in_review=await self._store.in_review(name),
            )
            for name in self._rails
        ]
        found = Recovered(rails=tuple(done), unmatched=tuple(self._unmatched), went=None)
        if then == "go" and found.complete:
            found = msgspec.structs.replace(found, went=await self._store.go(self._actor))
        await self._store.note(self._actor, "recovered", _noted(found, since))
        return found

    async def _start(self, rail: str, since: datetime) -> datetime:
        """What was under way when the backup was taken may be older than the backup."""
        oldest = await self._store.oldest_open(rail)
        return min(since, oldest or since) - _MARGIN

    async def _match(self, rail: RefundRail, since: datetime, until: datetime, words: Counter[str], *, dead: bool) -> str:
        """Puts each line that moved money, or each that did not, into our books; how the rail was read."""
        report = self._reports.get(rail.name)
        try:
            async for movement in _listed(rail, report, since, until):
                if (movement.refund.state in {"FAILED", "CANCELED"}) == dead:
                    await self._put_right(rail.name, movement, words)
        except Declined as unsupported:
            if unsupported.code != "unsupported":
                raise
            return "none"
        return "list" if report is None else "report"

    async def _put_right(self, rail: str, movement: Movement, words: Counter[str]) -> None:
        word = await put_right(self._store, rail, movement, source="recovery")
        seen = movement.refund
        if word == "unknown_payment" and seen.attempt_id is None and seen.operation_id is None:
            word = "others"
        words[word] += 1
        if word not in _SETTLED | {"others"} and len(self._unmatched) < LISTED_MAX:
            self._unmatched.append(Unmatched(rail=rail, word=word, movement=movement))

    async def _unsure(self, rail: str) -> None:
        for _ in range(_UNSURE_ROUNDS_MAX):
            if await self._store.unsure(rail, _UNSURE_AT_ONCE) == 0:
                return


async def _listed(rail: RefundRail, report: Sequence[Movement] | None, since: datetime, until: datetime) -> AsyncIterator[Movement]:
    """A day at a time. All of a report: what it has from before is known already."""
    if report is not None:
        for movement in report:
            yield movement
        return
    for start, end in days(since, until):
        async for movement in rail.listed(start, end):
            yield movement


def _noted(found: Recovered, since: datetime) -> Json:
    return {
        "since": since,
        "complete": found.complete,
        "went": found.went,
        "rails": {one.rail: {"read": one.read, "in_review": one.in_review, **one.words} for one in found.rails},
    }
