"""Scenarios of money that finds its way back without anybody at the desk, or that waits, or that stays where it is."""

from __future__ import annotations

from datetime import UTC, datetime

from service.demo.people import Json
from service.demo.stage import CANCELLED, LIVE, Stage, shirt, ticket


async def charged_twice(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()], charges=2)
    fan = await stage.fan(order)

    case = await fan.asks("charged_twice", order, "There are two charges on my card.")

    first, second = [await stage.ledger(one) for one in order.payments]
    stage.check("the second charge was paid back", holds=(second.refunded_minor, second.refunds) == (4500, 1))
    stage.check("the first charge was not touched", holds=first.refunds == 0)
    stage.check("the ticket is still good", holds=(await stage.order(order))["lines"][0]["passes"][0]["status"] == "valid")
    return case


async def charged_once(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()])
    fan = await stage.fan(order)

    case = await fan.asks("charged_twice", order, "I think you charged me twice.")

    stage.check("the denial says what would change it", holds=bool(case["answers"][0]["would_change"]))
    stage.check("a person can be asked", holds=case["can_ask_a_person"])
    stage.check("no money moved", holds=(await stage.ledger(order.payments[0])).refunds == 0)
    return case


async def payment_pending(stage: Stage) -> Json:
    at = datetime.now(UTC).isoformat()
    payment = {"ref": "P1", "rail": "sandbox", "status": "pending", "amount": 4500, "captured": 0, "created_at": at}
    order = await stage.sells(LIVE, [ticket()], status="pending", payments=[payment])
    fan = await stage.fan(order)

    case = await fan.asks("payment_pending", order, "I paid, and the order still says pending.")

    stage.check("it waits for the payment", holds=case["wait"]["waiting_for"] == "payment_settles")
    stage.check("the customer is told why", holds=bool(case["answers"][0]["because"]))
    return case


async def outage(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket(2500), shirt()])
    fan = await stage.fan(order)
    incident = await stage.incident_begins()

    try:
        case = await fan.asks("stream_outage", order, "The picture is gone.", incident=incident)
        stage.check("it waits for the end of the outage, and nobody need ask again", holds=case["wait"]["waiting_for"] == "incident_end")
        stage.check("no money moved yet", holds=(await stage.ledger(order.payments[0])).refunds == 0)
    finally:
        await stage.incident(25, running=incident)
    case = await fan.follows(case, "resolved")

    stage.check("25 of 90 minutes came back", holds=(await stage.ledger(order.payments[0])).refunded_minor == 694)
    promised = [line["awarded"] for line in (await stage.order(order))["lines"]]
    stage.check("for the stream, and not for the T-shirt", holds=promised == [694, 0])
    mail = await stage.told(order, "€6.94")
    stage.check("the mail says how much", holds="€6.94" in mail.subject)
    return case


async def show_cancelled(stage: Stage) -> Json:
    order = await stage.sells(CANCELLED, [ticket()])
    fan, edge = await stage.fan(order), await stage.edge()
    link = await stage.way_in(order)

    case = await fan.asks("show_cancelled", order, "The show was cancelled, I want my money back.")

    stage.check("all of it was paid back", holds=(await stage.ledger(order.payments[0])).refunded_minor == 4500)
    stage.check("the ticket is void", holds=(await stage.order(order))["lines"][0]["passes"][0]["status"] == "void")
    stage.check("the link is dead", holds=(await edge.asked_to_admit(link, CANCELLED))["reason"] == "revoked")
    return case
