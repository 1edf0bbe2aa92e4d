"""Our own stand-in for a platform that issues gift cards, in memory: it keeps the contract of `integrations/credit_platform.py`.

It is ours, so it proves nothing about any platform. Cards are counted on its side, whatever answers were lost on the way. It says the
code in every answer, against the contract, so that tests can see that the code goes nowhere.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from tests.peers.loopback import Asked, Reply, Stub, json

SECRET, CODE = "secret-of-tests", "GIFT-4711-0815"


class GiftCardsStub(Stub):
    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[str, dict[str, Any]] = {}
        """by reference"""
        self._keys: dict[str, str] = {}
        self._ids = count(1)

    def issued(self, currency: str) -> int:
        """What all cards of a currency are worth, in minor units."""
        return sum(card["amount"] for card in self.cards.values() if card["currency"] == currency and card["status"] == "issued")

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return json(401, {"code": "unauthorized"})
        match asked.method, asked.path:
            case "GET", "/shop/gift-cards":
                return json(200, {"cards": [card for card in [self.cards.get(asked.query["reference"])] if card]})
            case "POST", "/shop/gift-cards":
                return self._issue(msgspec.json.decode(asked.body), asked.headers["idempotency-key"])
        return json(404, {"code": "not_found"})

    def _issue(self, sent: dict[str, Any], key: str) -> Reply:
        known = self.cards.get(sent["reference"])
        same = known is None or (known["amount"], known["currency"]) == (sent["amount"], sent["currency"])
        if self._keys.setdefault(key, sent["reference"]) != sent["reference"] or not same:
            return json(422, {"code": "idempotency_misuse", "message": f"{CODE} was issued for that"})
        if known is not None:
            return json(200, known)
        card = {"id": f"gc_{next(self._ids)}", "issued_at": "2026-05-01T20:00:00Z", "status": "issued", "code": CODE, "code_hint": "0815"}
        self.cards[sent["reference"]] = sent | card
        return json(201, sent | card)
