"""Orders in bulk: newline-delimited JSON, read line by line, each line taken in by itself and answered by itself."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from service.api import problems
from service.api.body import BODY_BYTES_MAX, decode
from service.callers import Caller
from service.feed import OrderFeed, Ref
from service.feed_rules import FeedInvalid
from service.orders import FeedConflict, Orders

# At three milliseconds an order this answers within half a minute, which is what proxies wait for; a larger import is several requests.
LINES_MAX: Final = 10_000

# Room for as many orders of six positions each (6 kB); what is larger is cut into several requests too.
BULK_BYTES_MAX: Final = 64 * 1024 * 1024

# An order in bulk may be as large as one alone.
LINE_BYTES_MAX: Final = BODY_BYTES_MAX

_NEWLINE: Final = b"\n"


class BulkOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a bulk import."""

    ref: Ref
    order: OrderFeed


class BulkProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was wrong with one line, as RFC 9457 writes it."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[problems.FieldError, ...] = ()


class BulkResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line: a result or a problem. `line` counts from 1, blank lines too."""

    line: int
    ref: str | None = None
    result: str | None = None
    """`created`, `updated`, `unchanged` or `older`"""
    problem: BulkProblem | None = None


async def take_in(chunks: AsyncIterator[bytes], caller: Caller, orders: Orders, failures: problems.Failures) -> bytes:
    """The results, one line each. A line that is wrong stops no other; each is a transaction of its own, so the whole may be sent again.

    The answer is written when all was read: a client that only writes while a server only writes would wait forever.
    """
    encoder = msgspec.json.Encoder()
    answer = bytearray()
    taken = 0
    async for number, line in _lines(chunks):
        if line is not None and not line.strip():
            continue
        taken += 1
        if taken > LINES_MAX:
            answer += encoder.encode(_refused(number, None, _too_many(number))) + _NEWLINE
            break
        answer += encoder.encode(await _take_line(number, line, caller, orders, failures)) + _NEWLINE
    return bytes(answer)


async def _take_line(number: int, line: bytes | None, caller: Caller, orders: Orders, failures: problems.Failures) -> BulkResult:
    if line is None:
        return _refused(
            number, None, problems.Problem(status=413, code="body_too_large", detail=f"A line has at most {LINE_BYTES_MAX} bytes.")
        )
    ref: str | None = None
    try:
        read: BulkOrder = decode(line, BulkOrder)
        ref = read.ref
        written = await orders.put(caller.platform_id, ref, read.order, source=caller.name)
    except problems.Problem as problem:
        return _refused(number, ref, problem)
    except (FeedInvalid, FeedConflict) as error:
        return _refused(number, ref, failures[type(error)](error))
    return BulkResult(line=number, ref=ref, result=written.result)


def _refused(number: int, ref: str | None, problem: problems.Problem) -> BulkResult:
    return BulkResult(
        line=number,
        ref=ref,
        problem=BulkProblem(
            type=f"urn:makegood:problem:{problem.code}",
            title=problem.title,
            status=problem.status,
            detail=problem.detail,
            errors=problem.errors,
        ),
    )


def _too_many(number: int) -> problems.Problem:
    return problems.Problem(status=413, code="too_many_lines", title="Too many lines", detail=f"Send line {number} and what follows again.")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long, of which no more than the limit is ever held."""
    number = 1
    held = bytearray()
    too_long = False
    async for chunk in chunks:
        parts = deque(chunk.split(_NEWLINE))
        while parts:
            held += parts.popleft()
            if len(held) > LINE_BYTES_MAX:
                too_long = True
                held.clear()
            if parts:
                yield number, None if too_long else bytes(held)
                number += 1
                held.clear()
                too_long = False
    if held or too_long:
        yield number, None if too_long else bytes(held)
