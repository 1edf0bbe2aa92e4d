"""The customers who keep coming after the play: what each bought, what went wrong, and what they say; some need people, some do not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from service.demo.stage import CANCELLED, LIVE, OVER, shirt, ticket
from service.demo.world import STREAM, VENUE, Item

# A show whose doors open soon, so that something is more urgent than the rest.
SOON: Final = "midnight-set"
_PAID: Final = timedelta(days=3)


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of customer. What `order` says of the order goes to `Shop.order`."""

    problem: str
    says: str
    show: str = LIVE
    items: tuple[Item, ...] = (ticket(),)
    order: Mapping[str, Any] = {}
    locale: str = "en"
    insists: str = ""
    """what they write to have a person look again"""
    answers: str = ""
    """what they write back when a person asks them something"""

    def more(self, ref: str) -> dict[str, Any]:
        """What is particular about the order of this reference."""
        return {name: value(ref) if callable(value) else value for name, value in self.order.items()}


def _payment(ref: str, number: int, amount: int) -> dict[str, Any]:
    at = (datetime.now(UTC) - _PAID + timedelta(minutes=number)).isoformat()
    return {
        "ref": f"P{number}",
        "rail": "sandbox",
        "provider_ref": f"ch_{ref}_{number}",
        "status": "confirmed",
        "amount": amount,
        "captured": amount,
        "method": "Visa ·· 4242",
        "paid_at": at,
        "created_at": at,
    }


def sent_back_before(ref: str) -> list[dict[str, Any]]:
    """Two charges of 45.00, and somebody has sent 45.00 back by hand: whether that was for the second one is for a person to see."""
    by_hand = {"ref": "R1", "amount": 4500, "state": "done", "provider_ref": f"re_{ref}"}
    return [_payment(ref, 1, 4500) | {"refunds_elsewhere": [by_hand]}, _payment(ref, 2, 4500)]


def _without_ticket(_: str) -> list[dict[str, Any]]:
    return [{"ref": "1", "kind": STREAM, "name": "Stream ticket", "price": 4500, "shows": [LIVE]}]


_HALL: Final = Item(kind=VENUE, name="Seat in the hall, row 4", price=8900)
_BOX: Final = Item(kind=VENUE, name="Box for six, with a table", price=48000)

CONTACTS: Final = (
    Contact(
        problem="charged_twice",
        says="My bank shows 45.00 twice. I have asked the bank as well.",
        order={"charges": 2, "dispute": "open"},
        answers="I have told my bank to withdraw it. Here is their letter number: 77-104.",
    ),
    Contact(problem="merch_wrong", says="I ordered M and got a child's size.", show=OVER, items=(ticket(), shirt()), answers="M, please."),
    Contact(problem="link_dead", says="The link says it has run out."),
    Contact(problem="show_cancelled", says="We had the box for six. The show is off.", show=CANCELLED, items=(_BOX,)),
    Contact(
        problem="accessibility",
        says="I use a wheelchair. Which door is step-free, and when does it open?",
        show=SOON,
        items=(_HALL,),
        answers="I come by train, from the north side.",
    ),
    Contact(problem="charged_twice", says="There are two charges on my card.", order={"charges": 2}),
    Contact(
        problem="will_not_play",
        says="Bild schwarz, Ton läuft. Neu starten half nicht.",
        locale="de",
        answers="Ein Fernseher von 2017, der Browser darauf.",
    ),
    Contact(problem="charged_no_pass", says="I paid on Tuesday and never got a ticket.", order={"positions": _without_ticket}),
    Contact(
        problem="wants_refund", says="I could not come.", show=OVER, insists="I was in hospital that night. I can send you the letter."
    ),
    Contact(problem="pass_missing", says="The mail with my ticket never came.", show=SOON),
    Contact(
        problem="charged_twice",
        says="Two charges, and somebody wrote that one went back.",
        order={"charges": 2, "payments": sent_back_before},
    ),
    Contact(problem="buffering", says="It stops every ten seconds since the second song.", answers="Wi-Fi, the bar shows two of four."),
    Contact(problem="merch_missing", says="Das T-Shirt ist nach vier Wochen nicht da.", show=OVER, items=(ticket(), shirt()), locale="de"),
    Contact(problem="fraud", says="Somebody is selling copies of my ticket in a group chat.", show=SOON, items=(_HALL,)),
    Contact(problem="stream_outage", says="The picture was gone for half an hour."),
    Contact(
        problem="other",
        says="Can I give my seat to my sister? Her name is on nothing yet.",
        show=SOON,
        items=(_HALL,),
        answers="Her name is Ines.",
    ),
    Contact(problem="show_cancelled", says="Die Show fällt aus, ich möchte mein Geld zurück.", show=CANCELLED, locale="de"),
    Contact(problem="abuse", says="Another viewer threatens me in the chat of the show.", insists="He has just written again."),
    Contact(problem="wrong_device", says="I opened the link on my phone and want it on the television."),
    Contact(problem="device_unsupported", says="The app says that my tablet is too old.", show=SOON, answers="It is from 2016."),
)
"""in the order in which they come, again and again"""

NAMES: Final = (
    *("Ada Lind", "Ben Okafor", "Chiara Rossi", "Deniz Kaya", "Emil Novak", "Farah Aziz", "Greta Holm", "Hugo Martin", "Ines Duarte"),
    *("Jakub Zielinski", "Kaja Berg", "Liam Byrne", "Mei Tanaka", "Noor Haddad", "Otto Weiss", "Priya Nair", "Quim Ferrer", "Rosa Blum"),
    *("Sven Dahl", "Tuva Lie", "Umar Sheikh", "Vera Petrova", "Wim de Vries", "Xenia Pappas", "Yara Costa", "Zoe Laurent"),
)
