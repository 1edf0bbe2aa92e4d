"""A guest whose card is closed: what codes by mail and by text let them do over HTTP, and what they do not do for somebody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from integrations.sandbox_books import Fault
from service.demo.journal import Journal
from service.demo.night import BACKUP, Night
from service.demo.people import Json
from service.demo.stage import CANCELLED, Stage, open_stage, ticket
from service.demo.world import Bought, bearer
from tests.promises.house import settled

THIEFS_PHONE = "+447700900999"


@pytest.fixture
async def stage(night: Night) -> AsyncIterator[Stage]:
    async with open_stage(night, Journal(lambda _: None)) as opened:
        yield opened


_CODE: Final = re.compile(r"\b\d{6}\b", re.ASCII)


class Guest:
    """A session of its own, over plain HTTP."""

    def __init__(self, night: Night, token: str) -> None:
        self._night, self.token = night, token

    @classmethod
    async def arrives(cls, night: Night) -> Guest:
        answer = await night.client.post("/v1/sessions", headers={"Makegood-Platform": night.desk.slug})
        return cls(night, answer.json()["token"])

    async def post(self, path: str, body: Json) -> Any:
        return await settled(await self._night.client.post(path, json=body, headers=bearer(self.token, uuid4().hex)), self._case)

    async def _case(self, case: str) -> Any:
        return (await self.get(f"/v1/cases/{case}")).json()

    async def get(self, path: str) -> Any:
        return await self._night.client.get(path, headers=bearer(self.token))

    async def by_mail(self, order: Bought) -> str:
        before = len(self._night.mails.to(order.email))
        await self.post("/v1/sessions/codes", {"email": order.email})
        # Letters about the case may come first.
        mail = await self._night.mails.until(
            order.email, lambda one: one in self._night.mails.to(order.email)[before:] and _CODE.search(one.text) is not None
        )
        return await self._gives(mail.text)

    async def by_text(self, order: Bought) -> str:
        before = len(self._night.mails.received("", order.phone))
        await self.post("/v1/sessions/codes", {"email": order.email, "order": order.ref, "by": "text"})
        return await self._gives((await self._night.mails.text_to(order.phone, after=before)).body)

    async def _gives(self, text: str) -> str:
        found = _CODE.search(text)
        assert found is not None
        answer = await self.post("/v1/sessions/verify", {"code": found[0]})
        assert answer.status_code == 200, answer.text
        level: str = answer.json()["level"]
        return level

    async def chooses(self, case: Json) -> Any:
        (refund,) = [one for one in case["operations"] if one["action"] == "refund"]
        body = {"operation": refund["id"], "to": BACKUP, "address": "mia@example.org"}
        return await self.post(f"/v1/cases/{case['id']}/payout", body)


async def _card_closed(stage: Stage, phone: str) -> Bought:
    order = await stage.sells(CANCELLED, [ticket(4500)], phone=phone)
    await stage.processor_does(Fault.FAILED, order.payments[0], detail="expired_or_canceled_card")
    return order


async def test_a_guest_who_proved_mail_and_phone_says_where_their_money_goes(stage: Stage, night: Night) -> None:
    order, guest = await _card_closed(stage, "+447700900555"), await Guest.arrives(night)
    assert await guest.by_text(order) == "verified"
    opened = await guest.post("/v1/cases", {"problem": "show_cancelled", "order": order.ref, "channel": "widget"})
    case = opened.json()
    assert (case["identity"], case["question"]["fact"]) == ("verified", "destination")
    assert (await guest.get(f"/v1/orders/{order.ref}/money")).status_code == 200
    refused = await guest.chooses(case)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:makegood:problem:not_strong")
    assert await guest.by_mail(order) == "strong"
    assert (await guest.get("/v1/session")).json()["level"] == "strong"
    done = await guest.chooses(case)
    assert (done.status_code, done.json()["status"]) == (200, "resolved")
    assert await stage.paid_by_backup(order.payments[0]) == 4500


async def test_somebody_with_the_mailbox_and_an_order_of_their_own_takes_no_money(stage: Stage, night: Night) -> None:
    """They read the customer's mail, and have bought with the customer's address and their own phone: still one proof of that order."""
    order, thief = await _card_closed(stage, "+447700900556"), await Guest.arrives(night)
    own = await stage.sells(CANCELLED, [ticket(100)], email=order.email, phone=THIEFS_PHONE)
    await thief.by_mail(order)
    assert await thief.by_text(own) == "strong"
    case = (await thief.post("/v1/cases", {"problem": "show_cancelled", "order": order.ref, "channel": "widget"})).json()
    assert (case["identity"], case["question"]["fact"]) == ("verified", "destination")
    refused = await thief.chooses(case)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:makegood:problem:not_strong")
    assert await stage.paid_by_backup(order.payments[0]) == 0


async def test_an_order_of_ones_own_with_somebodys_address_shows_nothing_of_theirs(stage: Stage, night: Night) -> None:
    order, customer = await _card_closed(stage, "+447700900557"), await Guest.arrives(night)
    await customer.by_text(order)
    case = (await customer.post("/v1/cases", {"problem": "show_cancelled", "order": order.ref, "channel": "widget"})).json()

    thief = await Guest.arrives(night)
    own = await stage.sells(CANCELLED, [ticket(100)], email=order.email, phone=THIEFS_PHONE)
    await thief.by_text(own)
    looks = [f"/v1/cases/{case['id']}{rest}" for rest in ("", "/timeline", "/progress")] + [f"/v1/orders/{order.ref}/money"]
    assert {(await thief.get(path)).status_code for path in looks} == {404}
    words: list[tuple[str, Json]] = [
        ("messages", {"message": "pay me"}),
        ("person", {}),
        ("identify", {"order": order.ref}),
        ("satisfaction", {"score": 1}),
    ]
    assert {(await thief.post(f"/v1/cases/{case['id']}/{path}", body)).status_code for path, body in words} == {404}
    assert (await thief.chooses(case)).status_code == 404
    named = (await thief.post("/v1/cases", {"problem": "show_cancelled", "order": order.ref, "channel": "widget"})).json()
    assert (named["identity"], named["question"]["fact"], named["operations"]) == ("claimed", "identity", [])
    listed = (await thief.get("/v1/help/orders?locale=en")).json()
    assert {one["order"] for one in listed["orders"]} == {own.ref}
    assert order.ref not in {one["order"] for one in listed["cases"] if one["id"] != named["id"]}


async def test_who_proves_another_phone_in_the_same_session_is_told_nothing_of_the_one_before(stage: Stage, night: Night) -> None:
    order, session = await _card_closed(stage, "+447700900558"), await Guest.arrives(night)
    await session.by_text(order)
    case = (await session.post("/v1/cases", {"problem": "show_cancelled", "order": order.ref, "channel": "widget"})).json()
    assert [one["id"] for one in (await session.get("/v1/help/orders")).json()["cases"]] == [case["id"]]
    await session.by_text(await stage.sells(CANCELLED, [ticket(100)], email=order.email, phone=THIEFS_PHONE))
    assert (await session.get("/v1/help/orders")).json()["cases"] == []
    assert (await session.get(f"/v1/cases/{case['id']}")).status_code == 404
