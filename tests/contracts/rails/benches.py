"""A rail under test together with what makes payments at its processor."""

from __future__ import annotations

from itertools import count
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid5

import httpx
import stripe

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_http import QuietHttpx
from integrations.sandbox import SandboxRail
from integrations.sandbox_books import SandboxBooks, SandboxPool
from service.model import Money
from service.ports import RefundRail, RefundRequest, RefundSeen
from tests.patience import PATIENCE_SECONDS

TEST_KEY = "sk_test_makegood"
_NAMESPACE = UUID("5c1f3a54-8f0c-4f39-9d1e-3f8f7a1f1d10")


class Bench(Protocol):
    """Amounts are ISO minor units. Rails that pay out have no payment of their own: theirs is a reference that was paid elsewhere."""

    destination: str
    """of rails that pay out: where to; empty for those that pay back"""

    @property
    def rail(self) -> RefundRail: ...

    async def charge(self, minor: int, currency: str = "EUR") -> str: ...

    async def disputed_charge(self, minor: int) -> str:
        """A payment that its processor refunds no more; only asked of rails that pay back."""

    async def paid(self, payment_ref: str) -> int:
        """What left for that payment, counted from the processor's side and not by the rail under test."""

    async def ending(self, refund: RefundSeen) -> RefundSeen:
        """The refund as it ends, the way the processor tells it; the same where the answer was the end."""

    def new_id(self) -> UUID: ...


class Ids:
    """The same ids in the same order for a test of the same name: recorded requests have to be met again.

    What most benches have in common stands here too: nowhere to pay out to, and answers that are the end.
    """

    destination = ""

    def __init__(self, test: str) -> None:
        self._test = test
        self._count = count()

    def new_id(self) -> UUID:
        return uuid5(_NAMESPACE, f"{self._test} {next(self._count)}")

    async def ending(self, refund: RefundSeen) -> RefundSeen:
        return refund


def request_for(bench: Bench, payment_ref: str, minor: int, currency: str = "EUR") -> RefundRequest:
    reason: Literal["requested_by_customer"] = "requested_by_customer"
    return RefundRequest(
        operation_id=bench.new_id(),
        attempt_id=bench.new_id(),
        payment_ref=payment_ref,
        amount=Money(minor=minor, currency=currency),
        reason=reason,
        destination=bench.destination,
    )


def beside(dsn: str, database: str) -> str:
    """Another database on the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


class SandboxBench(Ids):
    def __init__(self, test: str, pool: SandboxPool) -> None:
        super().__init__(test)
        self.rail = SandboxRail(f"sandbox {test}", pool, call_seconds_max=PATIENCE_SECONDS)
        self.books = SandboxBooks(f"sandbox {test}", pool)

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        payment_ref = f"ch_{self.new_id().hex}"
        await self.books.load_charge(payment_ref, Money(minor=minor, currency=currency))
        return payment_ref

    async def disputed_charge(self, minor: int) -> str:
        payment_ref = await self.charge(minor)
        await self.books.open_dispute(payment_ref)
        return payment_ref

    async def paid(self, payment_ref: str) -> int:
        return (await self.books.line(payment_ref)).refunded_minor


class StripeBench(Ids):
    """Stripe's adapter, and a client of its own that makes charges with the special sources of test mode."""

    def __init__(self, test: str, base_url: str) -> None:
        super().__init__(test)
        self.rail = StripeRail("stripe", TEST_KEY, base_url=base_url, call_seconds_max=PATIENCE_SECONDS)
        self._http = QuietHttpx(httpx.Timeout(PATIENCE_SECONDS))
        self.client = stripe.StripeClient(TEST_KEY, base_addresses={"api": base_url}, http_client=self._http, max_network_retries=0)

    async def close(self) -> None:
        await self.rail.close()
        await self._http.close_async()

    async def charge(self, minor: int, currency: str = "EUR", source: str = "tok_visa") -> str:
        # the two zeros that Stripe wants after a krona that has none
        amount = minor * 100 if currency == "ISK" else minor
        params: Any = {"amount": amount, "currency": currency.lower(), "source": source}
        charge = await self.client.v1.charges.create_async(params, {"idempotency_key": str(self.new_id())})
        return charge.id

    async def disputed_charge(self, minor: int) -> str:
        return await self.charge(minor, source="tok_createDispute")

    async def paid(self, payment_ref: str) -> int:
        charge = await self.client.v1.charges.retrieve_async(payment_ref)
        return charge.amount_refunded // 100 if charge.currency == "isk" else charge.amount_refunded
