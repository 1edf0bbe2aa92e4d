"""A process whose mail server never answers: it says `sending` when it has taken a letter up, and is then killed by the test."""

from __future__ import annotations

import asyncio
import os
import sys

from service.ports import Mail
from service.store.pool import open_pool
from tests.post.world import Office


class SilentServer:
    async def send(self, mail: Mail) -> str:
        sys.stdout.write("sending\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
        return mail.to

    async def check(self) -> str:
        return "silent"


async def main() -> None:
    dsn = os.environ["DSN"]
    async with await open_pool(dsn, size=2) as pool:
        await Office(pool, dsn, SilentServer()).jobs.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main())
