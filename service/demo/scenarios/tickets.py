"""Scenarios of getting in: the ticket's mail, the link to the stream, and a guest whom nobody knows yet."""

from __future__ import annotations

from service.demo.people import Json
from service.demo.stage import LIVE, Stage, ticket


async def pass_never_arrived(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()])
    fan = await stage.fan(order)

    case = await fan.asks("pass_missing", order, "The mail with my ticket never came.")

    mail = await stage.told(order, order.barcodes[0])
    stage.check("the ticket came by mail, with the same barcode", holds=mail.subject.startswith("Ticket for"))
    stage.check("the ticket is the same one", holds=len((await stage.order(order))["lines"][0]["passes"]) == 1)
    return case


async def link_dead(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()])
    fan, edge = await stage.fan(order), await stage.edge()
    old = await stage.way_in(order)
    stage.check("the old link opens the stream", holds=(await edge.asked_to_admit(old, LIVE))["allowed"])

    case = await fan.asks("link_dead", order, "My link does not open.")

    new = case["access"][0]["token"]
    stage.check("the old link is refused", holds=(await edge.asked_to_admit(old, LIVE))["reason"] == "revoked")
    stage.check("the new link opens the stream", holds=(await edge.asked_to_admit(new, LIVE))["allowed"])
    return case


async def guest_with_an_address(stage: Stage) -> Json:
    order = await stage.sells(LIVE, [ticket()])
    guest, edge = await stage.guest(order.buyer), await stage.edge()

    case = await guest.asks("link_dead", LIVE, "I am not signed in, and my link does not open.")
    stage.check("nothing is said before it is known who asks", holds=case["status"] == "asked" and case["order"] is None)

    proven = await guest.proves(order.email)
    stage.check("the code from the mail proves the address", holds=proven["level"] == "verified")
    case = await guest.goes_on(case)

    new = case["access"][0]["token"]
    stage.check("the order was found by the address alone", holds=case["order"] == order.ref)
    stage.check("the new link opens the stream", holds=(await edge.asked_to_admit(new, LIVE))["allowed"])
    return case
