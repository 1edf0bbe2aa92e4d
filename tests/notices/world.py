"""What the tests of notices share: a platform with a show, its lead, and customers who are written to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from service.notice_live import NoticeLive
from service.notices import Notices, as_told
from service.platforms import Platforms
from service.sealing import Vault
from service.store.notices import NoticeStore
from service.store.platforms import PlatformStore
from service.watch import Watch
from tests.post.world import SECRET, World

WHY: Final = "the encoder in Oslo is down"
DOWN: Final = {"en": "We know the stream is down.", "de": "Wir wissen, dass der Stream steht."}
CAUSE: Final = {"en": "It is a cable in Oslo.", "de": "Es ist ein Kabel in Oslo."}
SOUND: Final = {"en": "The picture is back, the sound is not.", "de": "Das Bild ist da, der Ton nicht."}


async def unheard(_: object) -> None:
    """A hint that reaches no other process."""


class Process:
    """What one process of an installation has of notices."""

    def __init__(self, world: World) -> None:
        platforms = Platforms(PlatformStore(world.pool), Vault(SECRET, purpose="platform"), monotonic=lambda: 0.0, kept_seconds=0.0)
        self.store = NoticeStore(world.pool)
        self.watch = Watch(unheard)
        self.notices = Notices(self.store, platforms, self.watch)
        self.live = NoticeLive(self.store.now, as_told, self.watch)

    async def close(self) -> None:
        self.watch.close()
        await self.live.close()


async def later(world: World, by: timedelta) -> None:
    """The clock of this database goes on."""
    await world.pool.execute("UPDATE app_clock SET ahead = ahead + $1", by)


async def planned(world: World) -> Sequence[bytes]:
    """Sweeps, and takes the letters to followers out of the queue."""
    while await world.office.jobs.tell_waiting(3):
        pass
    rows = await world.pool.fetch("DELETE FROM pgqueuer WHERE entrypoint = 'tell_follower' RETURNING payload")
    return [row["payload"] for row in rows]


async def deliver(world: World) -> int:
    """Writes to everybody who is to be written to now; to how many."""
    jobs = await planned(world)
    for job in jobs:
        await world.office.jobs.tell_follower(job, 0)
    return len(jobs)


def people_of(jobs: Sequence[bytes]) -> set[str]:
    return {msgspec.json.decode(job)["person"] for job in jobs}
