"""The tests' event loop: whoever was answered in time hears it, however long the process stood still; whoever was not, does not."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.loops import let_pass

# Far beyond what a loop may take for a callback.
STALL_SECONDS = 0.6


async def test_an_answer_that_has_come_is_heard_though_the_process_stood_still_for_longer_than_it_may_take() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    for _ in range(3):
        async with asyncio.timeout(STALL_SECONDS / 2):
            waiting = asyncio.create_task(reader.readexactly(1))
            await asyncio.sleep(0)
            theirs.send(b"x")
            time.sleep(STALL_SECONDS)  # noqa: ASYNC251 - the whole process stands still
            assert await waiting == b"x"
    theirs.close()
    writer.close()


async def test_what_does_not_come_is_waited_for_no_longer_than_was_said() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.Event().wait()


async def test_time_that_a_test_lets_pass_ends_what_ends_by_then_and_nothing_else() -> None:
    before = asyncio.get_running_loop().time()
    hour, day = (asyncio.create_task(asyncio.sleep(seconds)) for seconds in (3600.0, 86_400.0))
    await asyncio.sleep(0)
    let_pass(3601.0)
    await hour
    assert not day.done()
    day.cancel()
    assert asyncio.get_running_loop().time() - before > 3600.0


async def test_the_clock_never_goes_back() -> None:
    loop = asyncio.get_running_loop()
    seen = [loop.time()]
    for seconds in (0.0, STALL_SECONDS, 0.01):
        time.sleep(seconds)  # noqa: ASYNC251 - the whole process stands still
        seen.append(loop.time())
        await asyncio.sleep(0.001)
        seen.append(loop.time())
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] < STALL_SECONDS
