"""Scenarios of doing a thing once, whatever happens: twenty requests together, two ways to the same money, a pause in between."""

from __future__ import annotations

import asyncio
import time

from service.demo.people import Json, refusal
from service.demo.stage import LIVE, Stage, ticket


async def twenty_at_once(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket(2500)])
    incident = await stage.incident(25)
    fans = [await stage.fan(order) for _ in range(20)]

    says = "The picture was gone for a while."
    stage.journal.asked(f"{order.buyer} (twenty windows)", says)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        # Ten are one request sent again and again, ten are requests of their own.
        keys = [order.ref] * 10 + [f"{order.ref}-{number}" for number in range(10)]
        asked = [
            group.create_task(fan.sends("stream_outage", order, says, key=key, incident=incident))
            for fan, key in zip(fans, keys, strict=True)
        ]
    waited_ms = (time.perf_counter() - started) * 1000
    cases = [task.result() for task in asked]
    stage.journal.answered(waited_ms)
    stage.journal.stands(await stage.seen(cases[0]), waited_ms)

    line = await stage.ledger(order.payments[0])
    stage.check("the money went out once", holds=(line.refunded_minor, line.refunds) == (694, 1))
    stage.check("the same request is the same case", holds=len({case["id"] for case in cases[:10]}) == 1)
    stage.check("all twenty are told of it", holds={case["operations"][0]["amount"] for case in cases} == {694})
    return cases[0]


async def widget_and_agent(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket(2500)])
    incident = await stage.incident(25)
    fan, mira = await stage.fan(order), await stage.agent()

    await fan.asks("stream_outage", order, "The picture was gone for a while.", incident=incident)
    case = await mira.takes_call(order, "I want something back for the outage.", "name, order and the last four digits of the card")
    case = await mira.takes(case)
    again = mira.refunds(case, "25 minutes of outage", position="1", amount=694, cause="incident", incident=incident)
    stage.check("what the widget paid is not paid again", holds=await refusal(again) == "already_paid")
    await mira.replies(case, "You have had €6.94 back for the outage already: it is on its way to your card.")
    case = await mira.resolves(case, "it was paid already, by the widget")

    line = await stage.ledger(order.payments[0])
    stage.check("the money went out once", holds=(line.refunded_minor, line.refunds) == (694, 1))
    return case


async def paused_and_resumed(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()], charges=2)
    fan, jonas = await stage.fan(order), await stage.lead()
    await jonas.pauses_everything("something looks wrong with the numbers")

    try:
        case = await fan.asks("charged_twice", order, "There are two charges on my card.", wait_seconds=0)
        stage.check("it was decided and kept", holds=case["operations"][0]["status"] == "working")
        stage.check("nothing was sent", holds=(await stage.ledger(order.payments[1])).refunds == 0)
    finally:
        await jonas.resumes_everything()
    stage.journal.say("people", jonas.name, "resumes")
    case = await fan.follows(case, "resolved")

    line = await stage.ledger(order.payments[1])
    stage.check("then it went out, once", holds=(line.refunded_minor, line.refunds) == (4500, 1))
    mail = await stage.told(order, "€45.00")
    stage.check("the mail says how much", holds="€45.00" in mail.subject)
    return case
