"""A scenario of two systems in step: the platform knows more than we do, and is told all that we do."""

from __future__ import annotations

from datetime import timedelta

from service.demo.people import Json
from service.demo.stage import LIVE, Stage, ticket


async def bought_two_minutes_ago(stage: Stage) -> Json:
    aurora = await stage.elsewhere()
    order = await aurora.sells(LIVE, [ticket()], charges=2, age=timedelta(minutes=2))
    stage.check("the order is known to its platform alone", holds=not await aurora.is_known(order))
    fan = await aurora.fan(order)

    case = await fan.asks("charged_twice", order, "I bought a ticket two minutes ago, and there are two charges on my card.")

    stage.check("it was read there before it did not exist", holds=await aurora.is_known(order))
    first, second = [await stage.ledger(one) for one in order.payments]
    stage.check("the second charge was paid back, once", holds=(second.refunded_minor, second.refunds) == (4500, 1))
    stage.check("the first charge was not touched", holds=first.refunds == 0)
    told = await aurora.platform_hears(order, "case.resolved")
    stage.check("the platform was told of the refund, signed", holds="refund.succeeded" in told)
    await aurora.check_books()
    return case
