"""Scenarios that people finish: a second look after a denial, a dispute, and a sum that needs two of them."""

from __future__ import annotations

from service.demo.people import Json, refusal
from service.demo.stage import CANCELLED, LIVE, OVER, Stage, ticket


async def a_person_looks_again(stage: Stage) -> Json:
    order = await stage.sells(OVER, [ticket()])
    fan, mira = await stage.fan(order), await stage.agent()

    case = await fan.asks("wants_refund", order, "I did not like the show and want my money back.")
    stage.check(
        "the answer is no, and says what would change it", holds=case["status"] == "denied" and bool(case["answers"][0]["would_change"])
    )

    case = await fan.wants_a_person(case, "I was ill. Please look again.")
    stage.check("it waits for a person", holds=case["status"] == "with_people")
    await mira.takes(case)
    known = await mira.reads(case)
    stage.check("she need not ask again: the denial is there", holds=known["decisions"][0]["outcome"] == "deny")
    await mira.replies(case, "I am sorry to hear that. The recording stays open for you for another week.")
    case = await mira.resolves(case, "the recording stays open for a week")

    await stage.told(order, "The recording stays open")
    seen = await fan.client.get(f"/v1/cases/{case['id']}")
    stage.check("the reply is in the case and in the mail", holds=[one["kind"] for one in seen["messages"]][-1] == "reply")
    stage.check("nothing of the desk is shown", holds=seen["desk"] is None)
    last = await stage.told(order, "settled it")
    stage.check("the last mail does not repeat the denial", holds="cannot be given back" not in last.text)
    return case


async def disputed(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()], dispute="open")
    fan, mira = await stage.fan(order), await stage.agent()

    case = await fan.asks("wants_refund", order, "I have asked my bank, and I ask you too: I want my money back.")

    queued = {one["id"]: one for one in await mira.queue()}
    stage.check("it waits for somebody who knows payments", holds=queued[case["id"]]["skill"] == "payments")
    known = await mira.reads(case)
    verdict = known["decisions"][0]["verdicts"][0]
    stage.check("the rule is in the bundle", holds=verdict["verdict"]["rule"] == "dispute-open")
    stage.check("so are the facts", holds=verdict["facts"]["order.dispute_open"] is True)
    stage.check("so is what was bought and paid", holds=known["order"]["payments"][0]["dispute"] == "open")
    stage.check("so is what happened so far", holds={"contact_received", "decided"} <= {one["kind"] for one in known["timeline"]})
    stage.check("so are the customer's words", holds=known["case"]["messages"][0]["kind"] == "customer")
    stage.check("no money moved", holds=(await stage.ledger(order.payments[0])).refunds == 0)
    return case


async def two_people_agree(stage: Stage) -> Json:
    order = await stage.sells(CANCELLED, [ticket(48000)])
    fan, mira, jonas = await stage.fan(order), await stage.agent(), await stage.lead()

    case = await fan.asks("show_cancelled", order, "The show was cancelled. It was the big package.")
    stage.check("it is held, and no money moved", holds=(await stage.ledger(order.payments[0])).refunds == 0)

    await mira.takes(case)
    held = case["operations"][0]
    first = await mira.approves(held, "the show was cancelled")
    stage.check("one person is not enough", holds=(first["status"], first["given"], first["needed"]) == ("approved", 1, 2))
    stage.check("nobody counts twice", holds=await refusal(mira.approves(held, "once more")) == "same_person")
    stage.check("no money moved yet", holds=(await stage.ledger(order.payments[0])).refunds == 0)
    await jonas.approves(held, "I have looked at the order")
    case = await fan.follows(case, "resolved")

    line = await stage.ledger(order.payments[0])
    stage.check("all of it was paid back, once", holds=(line.refunded_minor, line.refunds) == (48000, 1))
    stage.check("the ticket is void", holds=(await stage.order(order))["lines"][0]["passes"][0]["status"] == "void")
    return case
