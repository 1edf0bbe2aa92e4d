"""Route of an order's money: `/v1/orders/{ref}/money`, for whoever paid, the desk and the platform."""

from __future__ import annotations

from typing import Any, Final

from litestar import Controller, get
from litestar.di import NamedDependency

from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.api.platform import RefInPath
from service.books import Books
from service.books_shown import OrderMoney
from service.callers import Caller

_AWARD: Final[dict[str, Any]] = {
    "cause": "incident:outage-1",
    "told": "25 of 90 minutes were missing: €6.94 of €25.00 was sent back.",
    "amount": 694,
    "tax": 111,
    "sent": 694,
    "arrived": 0,
    "owed": 0,
}
EXAMPLE: Final[dict[str, Any]] = {
    "order": "M0VLU",
    "currency": "EUR",
    "total": 2500,
    "lines": [
        {
            "ref": "1",
            "kind": "stream",
            "name": "Stream ticket",
            "price": 2500,
            "tax": 399,
            "discount": 0,
            "canceled": False,
            "awarded": 694,
            "awarded_tax": 111,
            "awards": [_AWARD],
        }
    ],
    "payments": [
        {
            "ref": "P-1",
            "method": "Visa ·· 4242",
            "status": "confirmed",
            "captured": 2500,
            "refunded": 694,
            "on_its_way": 0,
            "promised": 0,
            "refunded_elsewhere": 0,
            "dispute": "none",
            "awards": [],
            "paid_at": "2026-10-01T10:00:00Z",
            "desk": {
                "rail": "stripe",
                "provider_ref": "pi_3Q0a1b2c3d4e5f",
                "accounts": {"paid_out:stripe": 694, "sales": 1806},
                "balanced": True,
            },
        }
    ],
    "operations": [
        {
            "id": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
            "action": "refund",
            "state": "sent",
            "told": "€6.94 was sent to Visa ·· 4242. Banks take some days to show it.",
            "amount": 694,
            "tax": 111,
            "fees": 0,
            "payment": "P-1",
            "case": "case_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f",
            "created_at": "2026-11-20T20:41:07Z",
            "attempts": [
                {
                    "rail": "stripe",
                    "state": "sent",
                    "failure": None,
                    "sent_at": "2026-11-20T20:41:07Z",
                    "key": "mg-0192f1c2aa0b7c3d8e9f0a1b2c3d4e61",
                    "provider_ref": "re_3Q0a1b2c3d4e5f",
                }
            ],
        }
    ],
    "balanced": True,
    "movements": [
        {
            "id": 41,
            "at": "2026-11-20T20:41:07Z",
            "debit": "sales",
            "credit": "owed_to_customer",
            "amount": 694,
            "payment": "P-1",
            "operation": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
        },
        {
            "id": 42,
            "at": "2026-11-20T20:41:08Z",
            "debit": "owed_to_customer",
            "credit": "in_transit:stripe",
            "amount": 694,
            "payment": "P-1",
            "operation": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
        },
        {
            "id": 43,
            "at": "2026-11-20T20:41:08Z",
            "debit": "in_transit:stripe",
            "credit": "paid_out:stripe",
            "amount": 694,
            "payment": "P-1",
            "operation": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
        },
    ],
}


class MoneyRoutes(Controller):
    tags = ("money",)

    @get(
        "/v1/orders/{ref:str}/money",
        opt={**opens_to("platform", "agent", "machine", "customer", scope="orders:read"), **examples(answer=EXAMPLE)},
    )
    async def show_money(self, ref: RefInPath, caller: NamedDependency[Caller], books: NamedDependency[Books]) -> OrderMoney:
        """Shows where the money of an order is: what was bought, what goes back for which cause, every movement and every attempt.

        The buyer reads sentences; the desk and the platform also keys, references, accounts and the rows of the books. Who only holds a
        ticket sees no price. That a person of the desk looked is kept.
        """
        found = await books.money(caller, ref)
        if found is None:
            raise problems.not_found("order")
        return found
