"""One session, another person: what was proven before is nobody's any more, and a proof that ran out moves no money."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from service.demo.world import Bought, bearer
from tests.help.test_likely import buyer_of, outage
from tests.help.test_start import orders_of
from tests.promises.house import House, stream
from tests.promises.test_attacks import Stranger, somebody

CODE: Final = re.compile(r"\b\d{6}\b")
REFUND: Final = {"fact": "answer.postponed", "value": "refund"}


async def asked_about_a_postponed_show(house: House, ref: str) -> tuple[Stranger, Bought, Any]:
    show = await house.shop.show(ref, starts_in=timedelta(days=9), status="postponed")
    order = await house.shop.order(show, [stream()])
    one = await buyer_of(house, order)
    return one, order, await one.reports("show_postponed", order=order.ref, show=show)


async def proves_again(one: Stranger, email: str) -> Stranger:
    """By a code of its own: the address has had others."""
    had = len(one.house.mails.to(email))
    await one.house.client.post("/v1/sessions/codes", json={"email": email}, headers=bearer(one.token))
    mail = await one.house.mails.until(email, lambda got: got in one.house.mails.to(email)[had:] and CODE.search(got.text) is not None)
    found = CODE.search(mail.text)
    assert found is not None
    answer = await one.house.client.post("/v1/sessions/verify", json={"code": found[0]}, headers=bearer(one.token))
    assert answer.status_code == 200, answer.text
    return one


async def test_an_hour_later_the_session_alone_moves_no_money(house: House, ref: str) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    await house.pass_time(timedelta(hours=1))
    answer = await one.asks(f"/v1/cases/{case['id']}/answers", REFUND)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:makegood:problem:not_proven")
    assert await house.line_awarded(order) == 0
    assert (await one.sees(f"/v1/cases/{case['id']}"))["question"]["fact"] == "answer.postponed"
    # Words and the way to a person stay open.
    assert (await one.asks(f"/v1/cases/{case['id']}/messages", {"message": "hello"})).status_code == 201
    assert (await one.asks(f"/v1/cases/{case['id']}/person", {})).status_code == 200


async def test_a_code_later_the_answer_counts(house: House, ref: str) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    await house.pass_time(timedelta(hours=1))
    assert (await one.asks(f"/v1/cases/{case['id']}/answers", REFUND)).status_code == 403
    again = await proves_again(await somebody(house), order.email)
    assert (await again.asks(f"/v1/cases/{case['id']}/answers", REFUND)).status_code == 200
    assert await house.line_awarded(order) == 2500


async def test_who_proves_another_address_neither_sees_nor_decides_for_the_one_before(house: House, ref: str) -> None:
    show = await outage(house, ref)
    first, second = await house.shop.order(show, [stream()]), await house.shop.order(show, [stream()])
    one = await buyer_of(house, first)
    case = await one.reports("other", order=first.ref, show=show, message="my old flat, Elm Street 4")
    await one.proves(second.email)
    assert first.ref not in json.dumps(await orders_of(one))
    for path in ("", "/timeline", "/progress"):
        assert (await house.client.get(f"/v1/cases/{case['id']}{path}", headers=bearer(one.token))).status_code == 404
    for path, body in (("messages", {"message": "hello"}), ("person", {}), ("answers", REFUND)):
        assert (await one.asks(f"/v1/cases/{case['id']}/{path}", body)).status_code == 404
    # Nor when the second proof has run out too.
    await house.pass_time(timedelta(hours=1))
    assert (await house.client.get(f"/v1/cases/{case['id']}", headers=bearer(one.token))).status_code == 404
    assert (await orders_of(one))["cases"] == []


async def test_the_same_address_again_keeps_what_the_session_opened(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("other", order=order.ref, show=order.show)
    await proves_again(one, order.email)
    await house.pass_time(timedelta(hours=1))
    assert [line["id"] for line in (await orders_of(one))["cases"]] == [case["id"]]


async def test_a_case_without_an_order_stays_with_its_session(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await somebody(house)
    case = await one.reports("other", message="where are the toilets")
    await one.proves(order.email)
    assert (await house.client.get(f"/v1/cases/{case['id']}", headers=bearer(one.token))).status_code == 200


async def test_another_address_is_another_even_after_the_first_has_run_out(house: House, ref: str) -> None:
    show = await outage(house, ref)
    first, second = await house.shop.order(show, [stream()]), await house.shop.order(show, [stream()], email=f"b-{uuid4().hex}@example.org")
    one = await buyer_of(house, first)
    case = await one.reports("other", order=first.ref, show=show)
    await house.pass_time(timedelta(minutes=40))
    await one.proves(second.email)
    await house.pass_time(timedelta(minutes=40))
    assert (await house.client.get(f"/v1/cases/{case['id']}", headers=bearer(one.token))).status_code == 404
