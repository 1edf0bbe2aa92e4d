"""One run from end to end: set up, storm, calm, count; and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from tests.chaos.ground import Ground, feed, opened
from tests.chaos.ledgers import Verdict, World, judge, look, story
from tests.chaos.storm import Storm
from tests.chaos.wishes import BACKUP, Wish, acts, wishes
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import broken_sums

# What was under way when the faults stopped has a lease and a call to end, and then waits that double up to a minute.
_SETTLE_SECONDS_MAX: Final = 5 * PATIENCE_SECONDS
_LOOK_SECONDS: Final = 0.5
# An accepted refund is looked at every ten minutes only: the clock is turned on to what is due, at most so far at once.
_CLOCK_STEP_MAX: Final = timedelta(minutes=11)
# In the end every tenth customer asks once more.
_AGAIN_EVERY: Final = 10
# As many stories as a person reads.
_STORIES_MAX: Final = 5

_UNDER_WAY: Final = """
    SELECT EXISTS (SELECT FROM operation WHERE state IN ('READY', 'SENT')) OR EXISTS (SELECT FROM try WHERE result IS NULL)
        OR EXISTS (SELECT FROM cases WHERE state = 'open' AND owner IN ('process', 'operation'))
"""
_NEXT_DUE: Final = """
    SELECT min(due_at) - app_now() FROM (SELECT due_at FROM operation WHERE state IN ('READY', 'SENT')
        UNION ALL SELECT due_at FROM cases WHERE state = 'open' AND owner IN ('process', 'operation')) x
"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    asked_for: int
    operations: int
    """refunds that the processors' own books name, those that failed there too"""
    kills: int
    busy_kills: int
    faults: int
    verdict: Verdict
    broken: Mapping[str, Sequence[Any]]
    details: Mapping[str, Any]
    stories: tuple[str, ...]
    seconds: float

    @property
    def is_well(self) -> bool:
        """Nothing doubled, lost or stuck, and something was really done."""
        return self.verdict.is_well and not self.broken and self.operations >= self.asked_for > 0 < self.busy_kills

    def last_line(self) -> str:
        return msgspec.json.encode(
            {
                "operations": self.operations,
                "kills": self.kills,
                "faults": self.faults,
                "doubles": len(self.verdict.doubles),
                "lost": len(self.verdict.lost),
                "stuck": len(self.verdict.stuck),
                "seed": self.seed,
                "seconds": round(self.seconds),
            }
        ).decode()

    def text(self) -> str:
        """What was met, and everything that is wrong."""
        lines = [f"{name}: {value}" for name, value in self.details.items()]
        for name in ("doubles", "lost", "stuck"):
            lines += [f"{name}: {one}" for one in getattr(self.verdict, name)]
        lines += [f"does not hold: {name}: {list(rows)}" for name, rows in self.broken.items()]
        return "\n".join([*lines, *self.stories])


async def chaos(*, seed: int, operations: int, kills: int, seconds_max: float) -> Report:
    """As many refunds as asked for, in a storm of at most so many seconds."""
    started = time.monotonic()
    wanted = wishes(seed, operations)
    async with opened(seed) as ground:
        plan = acts(seed, kills=kills, members=len(ground.crew.members))
        shows = await feed(ground, wanted)
        storm = Storm(ground, shows, wanted, plan, seed=seed)
        began = time.monotonic()
        try:
            await storm.rage(seconds_max)
            raged = time.monotonic()
            unmet = await _settle(ground, storm)
            await storm.choose_late()
            await _settle(ground, storm)
            await storm.ask_again(_AGAIN_EVERY)
            await _settle(ground, storm)
        finally:
            await storm.close()
        world = await look(ground.house, ground.ledger, ground.peer, ground.charges)
        return await _report(ground, storm, world, wanted, seed=seed, unmet=unmet, times=(started, began, raged))


async def _settle(ground: Ground, storm: Storm) -> int:
    """No more faults: whatever is under way may end, within bounds. How many planned faults of the sandbox nobody met."""
    unmet = await ground.script_left()
    for books in (ground.house.books, ground.backup):
        await books.clear()
    await ground.proxy.calm()
    ends_at = time.monotonic() + _SETTLE_SECONDS_MAX
    while time.monotonic() < ends_at:
        await storm.clear_desk()
        if not await ground.house.value(_UNDER_WAY):
            break
        if not await ground.house.value("SELECT EXISTS (SELECT FROM try WHERE result IS NULL)"):
            # Nobody is at anything: on to what is due next.
            ahead = await ground.house.value(_NEXT_DUE)
            if ahead is not None and ahead > timedelta(0):
                await ground.house.pass_time(min(ahead, _CLOCK_STEP_MAX))
        await asyncio.sleep(_LOOK_SECONDS)
    return unmet


async def _report(
    ground: Ground, storm: Storm, world: World, wanted: Sequence[Wish], *, seed: int, unmet: int, times: tuple[float, float, float]
) -> Report:
    verdict = judge(world, storm.asked, {f"{ref}: {heard}" for ref, heard in storm.unanswered.items()})
    started, began, raged = times
    scripted = sum(wish.scripted for wish in wanted)
    named = "\n".join((*verdict.doubles, *verdict.lost, *verdict.stuck))
    to_tell = [wish.ref for wish in wanted if wish.ref in named][:_STORIES_MAX]
    return Report(
        seed=seed,
        asked_for=len(wanted),
        operations=len({one.operation for one in world.paid}),
        kills=storm.done["kill"],
        busy_kills=storm.busy_kills,
        faults=ground.proxy.met.total() + scripted - unmet + storm.done.total() - storm.done["kill"],
        verdict=verdict,
        broken=await broken_sums(ground.house),
        details={
            "proxy": dict(ground.proxy.met),
            "sandbox": scripted - unmet,
            "done to processes": dict(storm.done) | {"kills under load": storm.busy_kills, "fell by themselves": ground.crew.falls},
            "requests sent again by clients": storm.repeats,
            "paid out another way": len({one.operation for one in world.paid if one.rail == BACKUP and one.is_alive}),
            "left to people since a bank refused": len(verdict.handed),
            "seconds": f"{began - started:.0f} to set up, {raged - began:.0f} of storm, {time.monotonic() - raged:.0f} to settle",
        },
        stories=tuple([await story(ground.house, world, ref) for ref in to_tell]),
        seconds=time.monotonic() - started,
    )
