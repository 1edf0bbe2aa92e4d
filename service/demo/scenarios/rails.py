"""Scenarios of money whose first way is barred: the customer chooses another, or the first is found to have paid after all."""

from __future__ import annotations

from integrations.sandbox_books import Fault
from service.demo.night import BACKUP
from service.demo.people import Json, refusal
from service.demo.stage import CANCELLED, LIVE, Stage, ticket


async def card_closed(stage: Stage) -> Json:
    order = await stage.sells(CANCELLED, [ticket()])
    (payment,) = order.payments
    await stage.processor_does(Fault.FAILED, payment, detail="expired_or_canceled_card")
    fan, just_signed_in = await stage.fan(order), await stage.fan(order, second_factor=True)

    case = await fan.asks("show_cancelled", order, "The show was cancelled, I want my money back.")
    stage.check("the customer is asked where it should go", holds=case["question"]["fact"] == "destination")
    refused = await refusal(fan.chooses(case, BACKUP, order.email))
    stage.check("nobody chooses without a second factor", holds=refused == "not_strong")
    case = await just_signed_in.chooses(case, BACKUP, order.email)

    stage.check("the card got nothing", holds=(await stage.ledger(payment)).refunded_minor == 0)
    stage.check("the chosen account got all of it, once", holds=await stage.paid_by_backup(payment) == 4500)
    stage.check("the ticket is void", holds=(await stage.order(order))["lines"][0]["passes"][0]["status"] == "void")
    return case


async def primary_unreachable(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()], charges=2)
    payment = order.payments[1]
    await stage.processor_does(Fault.UNREACHABLE, payment, times=None)
    fan, lead = await stage.fan(order, second_factor=True), await stage.lead()

    case = await fan.asks("charged_twice", order, "There are two charges on my card.", wait_seconds=0)
    try:
        case = await fan.follows(case, "asked")
        stage.check("after a while the policy lets the customer choose", holds=case["question"]["fact"] == "destination")
        case = await fan.chooses(case, BACKUP, order.email)
        held = next(one for one in (await stage.seen(case))["operations"] if one["status"] == "held")
        stage.check("a person looks before the first rail is given up", holds="failover" in held["holds"])
        await lead.approves(held, "their side has been down all evening; the payment was read and is untouched")
        case = await fan.follows(case, "resolved")
    finally:
        await stage.processor_is_well()

    stage.check("the first rail never got the request", holds=(await stage.ledger(payment)).refunds == 0)
    stage.check("the backup paid it, once", holds=await stage.paid_by_backup(payment) == 4500)
    return case


async def answer_lost(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()], charges=2)
    payment = order.payments[1]
    await stage.processor_does(Fault.LOST_ANSWER, payment)
    fan = await stage.fan(order)

    case = await fan.asks("charged_twice", order, "There are two charges on my card.")

    line = await stage.ledger(payment)
    stage.check("the refund was made, and its answer was lost", holds=case["operations"][0]["status"] == "sent")
    stage.check("it was found again under its key, and made once", holds=(line.refunded_minor, line.refunds) == (4500, 1))
    return case
