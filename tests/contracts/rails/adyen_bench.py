"""Adyen's adapter and webhook together, against the stub of our own: what they show is how we read Adyen's pages, not Adyen."""

from __future__ import annotations

from datetime import UTC, datetime

from integrations.payments_adyen import AdyenRail
from integrations.payments_adyen_notifications import AdyenNotifications
from service.ports import RefundNews, RefundSeen
from tests.contracts.rails.benches import Ids
from tests.peers.adyen_stub import API_KEY, HMAC_KEY, MERCHANT_ACCOUNT, AdyenStub


class AdyenBench(Ids):
    def __init__(self, test: str, stub: AdyenStub) -> None:
        super().__init__(test)
        self.stub = stub
        self.rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=stub.base_url)
        self.notifications = AdyenNotifications([HMAC_KEY], merchant_account=MERCHANT_ACCOUNT)

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        # the two decimals that Adyen gives a krona
        return self.stub.capture(minor * 100 if currency == "ISK" else minor, currency)

    async def disputed_charge(self, minor: int) -> str:
        psp = await self.charge(minor)
        self.stub.payments[psp].charged_back = True
        return psp

    async def paid(self, payment_ref: str) -> int:
        payment = self.stub.payments[payment_ref]
        return payment.refunded // 100 if payment.currency == "ISK" else payment.refunded

    async def ending(self, refund: RefundSeen) -> RefundSeen:
        """By the notification that the stub signs, opened as it would be in production."""
        body = self.stub.notification(self.stub.refunds[refund.provider_ref])
        (event,) = await self.notifications.opened(body, {}, datetime.now(UTC))
        (news,) = await self.notifications.news(event)
        assert isinstance(news, RefundNews)
        return news.refund
