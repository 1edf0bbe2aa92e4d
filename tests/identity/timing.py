"""How long it takes to ask for a code, for an order that exists and for one that does not: what the bench compares."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import msgspec

from service.identity import CodeAsked, Identity
from service.limits import Limits
from service.model import new_id
from service.platforms import Platform


class Medians(msgspec.Struct, frozen=True, kw_only=True):
    known_ms: float
    unknown_ms: float

    @property
    def difference_ms(self) -> float:
        return abs(self.known_ms - self.unknown_ms)


# Nothing refuses a bench.
BOUNDLESS = Limits(
    **dict.fromkeys(Limits.__struct_fields__, (10**9, 86400)),
)


async def ask_for_codes(identity: Identity, platform: Platform, *, known: tuple[str, str], rounds: int) -> Medians:
    """Asks in turns, so that whatever else the machine does falls on both. `known`: address and reference of an order.

    Give the identity BOUNDLESS limits. Each round is one session that asks for two codes, in changing order.
    """
    spent: dict[bool, list[float]] = {True: [], False: []}
    for index in range(rounds):
        opened = await identity.open_session(platform, "192.0.2.1")
        caller = await identity.caller_for_session(opened.token)
        if caller is None:
            raise RuntimeError("a new session is not there")
        unknown = (f"{new_id().hex}@example.org", new_id().hex[:8])
        for exists in (index % 2 == 0, index % 2 != 0):
            email, order = known if exists else unknown
            asked = CodeAsked(email=email, order_ref=order, language="en", client="192.0.2.1")
            started = perf_counter()
            await identity.request_code(caller, asked)
            spent[exists].append((perf_counter() - started) * 1000)
    return Medians(known_ms=median(spent[True]), unknown_ms=median(spent[False]))
