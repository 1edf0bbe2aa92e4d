"""What the suite for platforms' own systems does to each of them: the sandbox over our interface, and our stand-in for a pretix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, Self

import yaml

from integrations.platform_http import HttpPlatform
from integrations.platform_pretix import PretixPlatform
from integrations.sandbox_platform import PlatformFault, PlatformScript, SandboxPlatform
from service.sources import System
from tests.orders.loading import MAPPING
from tests.peers import pretix_stub
from tests.peers.loopback import Fault, Reply, json
from tests.peers.pretix_stub import PretixStub

SHOW: Final[Mapping[str, Any]] = {
    "version": 1,
    "name": {"en": "Northern Lights"},
    "zone": "Europe/Berlin",
    "starts_at": "2026-11-22T20:00:00Z",
    "ends_at": "2026-11-22T21:30:00Z",
}


def order_of(number: int) -> dict[str, Any]:
    return {
        "version": number,
        "status": "paid",
        "currency": "EUR",
        "total": 2500,
        "buyer": {"email": "fan@example.org"},
        "placed_at": "2026-11-01T10:00:00Z",
        "positions": [
            {
                "ref": "1",
                "kind": "stream",
                "name": "Ticket",
                "price": 2500,
                "shows": ["nll26"],
                "pass": {"issuer": "platform", "barcode": f"bar-{number}", "status": "valid"},
            }
        ],
        "payments": [
            {
                "ref": "P1",
                "rail": "sandbox",
                "provider_ref": f"ch_{number}",
                "status": "confirmed",
                "amount": 2500,
                "captured": 2500,
                "created_at": "2026-11-01T10:00:00Z",
            }
        ],
    }


class Bench(Protocol):
    """One system with some orders. `known` has one position, `1`, with a ticket that is good."""

    known: str
    barcode: str
    everything: frozenset[str]

    def system(self, *, token: str | None = None) -> System:
        """A new connection; with another token than the right one."""

    def gate(self, barcode: str) -> str:
        """`ok`, or why nobody is let in."""

    def change(self, ref: str) -> None:
        """Something about the order changes there."""

    def spoil(self, ref: str) -> None:
        """The order says from now on what nobody can understand."""

    def lose_answer(self) -> None:
        """The next request that does something is carried out, and its answer is lost."""

    def fail(self) -> None:
        """Everything is answered with 500."""

    def babble(self) -> None:
        """The next request is answered with a page that is not the system's own, as a success."""

    async def go(self) -> None:
        """Nobody takes a connection there any more."""


class SandboxBench:
    known, barcode = "A1", "bar-1"

    def __init__(self) -> None:
        self.platform = SandboxPlatform(token="t0ken")
        self.platform.keeps_show("nll26", SHOW)
        refs = ["A1", *(f"B{number}" for number in range(2, 121))]
        for number, ref in enumerate(refs, 1):
            self.platform.sells(ref, order_of(number))
        self.everything = frozenset(refs)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        async with self.platform.running():
            yield self

    def system(self, *, token: str | None = None) -> System:
        return HttpPlatform(self.platform.address, token=token or self.platform.token, private=True)

    def gate(self, barcode: str) -> str:
        return self.platform.gate(barcode)

    def change(self, ref: str) -> None:
        self.platform.changes(ref, lambda order: order.update(locale="fr"))

    def spoil(self, ref: str) -> None:
        self.platform.changes(ref, lambda order: order.update(currency="euro"))

    def lose_answer(self) -> None:
        self.platform.script(PlatformScript(fault=PlatformFault.LOST_ANSWER, method="POST"))

    def fail(self) -> None:
        self.platform.script(PlatformScript(fault=PlatformFault.ERROR, times=None))

    def babble(self) -> None:
        self.platform.script(PlatformScript(fault=PlatformFault.GARBAGE))

    async def go(self) -> None:
        await self.platform.stop()


class PretixBench:
    def __init__(self) -> None:
        self.stub = PretixStub()
        # A fee that stays with the shop would keep the order alive beyond its only ticket.
        order = self.stub.order_where(lambda one: one["status"] == "p" and len(one["positions"]) == 1 and not one["fees"])
        self.known: str = order["code"]
        self.barcode: str = order["positions"][0]["secret"]
        self.everything = frozenset(self.stub.orders)
        self._serving: Any = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        self._serving = self.stub.serving()
        await self._serving.__aenter__()
        try:
            yield self
        finally:
            await self.go()

    def system(self, *, token: str | None = None) -> System:
        return PretixPlatform(
            self.stub.base_url,
            token=token or pretix_stub.TOKEN,
            organizer=pretix_stub.ORGANIZER,
            events=[pretix_stub.EVENT],
            mapping=yaml.safe_load(MAPPING.read_text()),
            private=True,
        )

    def gate(self, barcode: str) -> str:
        return self.stub.gate(barcode)

    def change(self, ref: str) -> None:
        self.stub.orders[ref]["locale"] = "fr"
        self.stub.touch(self.stub.orders[ref])

    def spoil(self, ref: str) -> None:
        self.stub.orders[ref]["total"] = "1.001"
        self.stub.touch(self.stub.orders[ref])

    def lose_answer(self) -> None:
        self.stub.fail(Fault(method="POST", path="/api"))

    def fail(self) -> None:
        for method in ("GET", "POST", "DELETE"):
            self.stub.fail(Fault(method=method, path="/", instead=json(500, {"detail": "no"}), times=100))

    def babble(self) -> None:
        page = Reply(status=200, body=b"<html>busy</html>", headers={"Content-Type": "text/html"})
        self.stub.fail(Fault(method="GET", path="/", instead=page))

    async def go(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.__aexit__(None, None, None)


BENCHES: Final[Mapping[str, type[SandboxBench | PretixBench]]] = {"http": SandboxBench, "pretix": PretixBench}
