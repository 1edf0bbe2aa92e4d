"""A platform on pretix: passes are made and voided there, refunds written back once and known again as ours, troubles told apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import yaml

from integrations.platform_pretix import MappingError, PretixPlatform
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.orders.loading import MAPPING
from tests.peers.loopback import Fault, Reply, json
from tests.peers.pretix_stub import EVENT, ORGANIZER, TOKEN, PretixStub, standing

OPERATION = "op_0199a1b2c3d47e5f8a9b0c1d2e3f4a5e"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    data: Mapping[str, Any]
    timestamp: datetime = datetime(2026, 11, 22, tzinfo=UTC)
    position: int = 1


@pytest.fixture
async def stub() -> AsyncIterator[PretixStub]:
    async with PretixStub().serving() as serving:
        yield serving


def platform_at(url: str, *, token: str = TOKEN, mapping: Mapping[str, Any] | None = None) -> PretixPlatform:
    answers = yaml.safe_load(MAPPING.read_text()) if mapping is None else mapping
    return PretixPlatform(url, token=token, organizer=ORGANIZER, events=[EVENT], mapping=answers, private=True)


@pytest.fixture
async def pretix(stub: PretixStub) -> AsyncIterator[PretixPlatform]:
    opened = platform_at(stub.base_url)
    yield opened
    await opened.close()


async def test_a_pretix_inside_a_private_network_is_shown_no_token_unless_the_installation_allows_it(stub: PretixStub) -> None:
    answers = yaml.safe_load(MAPPING.read_text())
    outside = PretixPlatform(stub.base_url, token=TOKEN, organizer=ORGANIZER, events=[EVENT], mapping=answers)
    with pytest.raises(Unavailable):
        await outside.orders.fetch("M0VLU")
    await outside.close()


def paid(order: Mapping[str, Any], positions: int | None = None) -> bool:
    """An order that is paid and whose positions all stand, with this many of them."""
    whole = order["status"] == "p" and not order["refunds"] and not any(one["canceled"] for one in order["positions"])
    return whole and (positions is None or len(order["positions"]) == positions)


def refund(order: Mapping[str, Any], kind: str, event: str = "evt_1", **changes: Any) -> Told:
    data = {
        "order": order["code"],
        "refund": OPERATION,
        "payment": {"id": "pay_1", "ref": f"P-{order['payments'][0]['local_id']}"},
        "amount": 694,
        "currency": "EUR",
        "provider_ref": "re_1",
        **changes,
    }
    return Told(id=event, type=f"refund.{kind}", data=data)


# ------------------------------------------------------------------------------------------------------ orders


async def test_an_order_is_read_by_its_code_with_its_show(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    found = await pretix.orders.fetch(order["code"].lower())
    assert found is not None
    assert (found.ref, found.order.status, set(found.shows)) == (order["code"], "paid", {EVENT})


async def test_a_code_that_nobody_has_is_no_order(pretix: PretixPlatform) -> None:
    assert await pretix.orders.fetch("NEVER") is None


@pytest.mark.parametrize("change", [{"testmode": True}, {"event": "another"}])
async def test_what_is_not_ours_to_read_is_no_order(stub: PretixStub, pretix: PretixPlatform, change: dict[str, Any]) -> None:
    order = stub.order_where(paid)
    order.update(change)
    assert await pretix.orders.fetch(order["code"]) is None


async def test_an_order_that_cannot_be_understood_harms_no_other(stub: PretixStub, pretix: PretixPlatform) -> None:
    broken = stub.order_where(paid)
    broken["total"] = "1.001"
    (page,) = [page async for page in pretix.orders.changed("")]
    assert set(page.not_understood) == {broken["code"]}
    assert len(page.orders) == len(stub.orders) - 1
    with pytest.raises(Declined, match="unsupported"):
        await pretix.orders.fetch(broken["code"])


async def test_the_next_look_asks_for_changes_and_a_little_more(stub: PretixStub, pretix: PretixPlatform) -> None:
    cursors = [page.cursor async for page in pretix.orders.changed("")]
    order = stub.order_where(paid)
    # Dated before the first look was answered, by a transaction that ended after it.
    order["last_modified"] = stub.now.replace(minute=stub.now.minute - 1 if stub.now.minute else 0).isoformat()
    (page,) = [page async for page in pretix.orders.changed(cursors[-1])]
    assert [one.ref for one in page.orders] == [order["code"]]


async def test_a_mapping_that_cannot_be_read_is_told_when_it_is_opened(stub: PretixStub) -> None:
    with pytest.raises(MappingError):
        platform_at(stub.base_url, mapping={"providers": {"stripe": "No Rail"}})


# ------------------------------------------------------------------------------------------------------ passes


async def test_a_new_pass_kills_the_old_one_and_the_same_key_is_the_same_pass(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    old, ref = order["positions"][0]["secret"], str(order["positions"][0]["positionid"])
    stub.fail(Fault(method="POST", path="/api"))  # carried out, and the answer is lost
    with pytest.raises(OutcomeUnknown):
        await pretix.passes.replace(order_ref=order["code"], position_ref=ref, key="k")
    made = await pretix.passes.replace(order_ref=order["code"], position_ref=ref, key="k")
    assert made.barcode == order["positions"][0]["secret"]
    assert (stub.gate(old), stub.gate(made.barcode)) == ("invalid", "ok")


async def test_a_position_is_voided_alone_and_twice_is_once(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(lambda one: paid(one, 2))
    first, second = order["positions"]
    for key in ("a", "b"):
        await pretix.passes.void(order_ref=order["code"], position_ref=str(first["positionid"]), key=key)
    assert (stub.gate(first["secret"]), stub.gate(second["secret"])) == ("canceled", "ok")


async def test_with_the_last_position_the_order_ends_and_keeps_the_fee_that_does_not_go_back(
    stub: PretixStub, pretix: PretixPlatform
) -> None:
    order = stub.order_where(lambda one: paid(one, 1) and one["fees"])
    order["fees"][0]["fee_type"] = "payment"
    fee = order["fees"][0]["value"]
    await pretix.passes.void(order_ref=order["code"], position_ref="1", key="k")
    assert stub.gate(order["positions"][0]["secret"]) == "canceled"
    assert (order["status"], order["total"]) == ("p", fee)
    found = await pretix.orders.fetch(order["code"])
    assert found is not None
    assert [one.refundable for one in found.order.fees if not one.canceled] == [False]


async def test_with_the_last_position_and_nothing_kept_the_order_is_cancelled(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(lambda one: paid(one, 1) and not one["fees"])
    await pretix.passes.void(order_ref=order["code"], position_ref="1", key="k")
    assert order["status"] == "c"


async def test_two_positions_that_are_voided_at_once_end_the_order(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(lambda one: paid(one, 2))
    refs = [str(one["positionid"]) for one in order["positions"]]
    await asyncio.gather(*(pretix.passes.void(order_ref=order["code"], position_ref=ref, key=ref) for ref in refs))
    assert {stub.gate(one["secret"]) for one in order["positions"]} == {"canceled"}
    for ref in refs:  # and again, as after a lost answer
        await pretix.passes.void(order_ref=order["code"], position_ref=ref, key=ref)


async def test_what_pretix_refuses_for_good_is_declined(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(lambda one: paid(one, 2))
    stub.fail(Fault(method="DELETE", path="/api", instead=json(400, ["no"]), times=9))
    with pytest.raises(Declined, match="declined"):
        await pretix.passes.void(order_ref=order["code"], position_ref=str(order["positions"][0]["positionid"]), key="k")


async def test_a_ticket_that_a_shirt_goes_with_is_blocked(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(lambda one: paid(one, 2))
    ticket, shirt = order["positions"]
    shirt["addon_to"] = ticket["id"]
    await pretix.passes.void(order_ref=order["code"], position_ref=str(ticket["positionid"]), key="k")
    assert (stub.gate(ticket["secret"]), shirt["canceled"]) == ("blocked", False)
    found = await pretix.orders.fetch(order["code"])
    assert found is not None
    admission = found.order.positions[0].admission
    assert admission is None or admission.status == "void"


async def test_a_position_that_is_not_there_is_declined(stub: PretixStub, pretix: PretixPlatform) -> None:
    with pytest.raises(Declined, match="not_found"):
        await pretix.passes.replace(order_ref=stub.order_where(paid)["code"], position_ref="99", key="k")


# ------------------------------------------------------------------------------------------------------ refunds


async def test_a_refund_is_written_back_once_however_often_it_is_told(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    for told in (refund(order, "sent"), refund(order, "sent"), refund(order, "succeeded", "evt_2"), refund(order, "succeeded", "evt_2")):
        await pretix.told.told(told)
    assert standing(order) == [("6.94", "done")]
    assert {one["provider"] for one in order["refunds"]} == {"manual"}


async def test_a_lost_answer_writes_no_second_refund(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    stub.fail(Fault(method="POST", path="/api"))
    with pytest.raises(OutcomeUnknown):
        await pretix.told.told(refund(order, "sent"))
    await pretix.told.told(refund(order, "sent"))
    assert standing(order) == [("6.94", "transit")]


async def test_what_was_written_back_is_read_as_ours(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    await pretix.told.told(refund(order, "sent"))
    found = await pretix.orders.fetch(order["code"])
    assert found is not None
    (seen,) = found.order.payments[0].refunds_elsewhere
    assert (seen.amount, seen.state, seen.provider_ref) == (694, "transit", "re_1")


async def test_a_refund_that_came_to_nothing_is_taken_back_and_stays_so(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    for told in (refund(order, "sent"), refund(order, "failed", "evt_2"), refund(order, "sent"), refund(order, "failed", "evt_2")):
        await pretix.told.told(told)
    assert standing(order) == []
    assert len(order["refunds"]) == 1


async def test_a_refund_that_goes_out_again_another_way_is_written_again(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    again = refund(order, "sent", "evt_3", provider_ref="payout_2")
    for told in (refund(order, "sent"), refund(order, "failed", "evt_2"), again, again):
        await pretix.told.told(told)
    assert standing(order) == [("6.94", "transit")]


async def test_what_pretix_has_as_done_and_failed_after_all_is_for_people(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    await pretix.told.told(refund(order, "succeeded"))
    with pytest.raises(Declined, match="unsupported"):
        await pretix.told.told(refund(order, "failed", "evt_2"))
    assert standing(order) == [("6.94", "done")]


async def test_an_amount_that_pretix_would_round_is_for_people(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    with pytest.raises(Declined, match="unsupported"):
        await pretix.told.told(refund(order, "sent", amount=6945, currency="KWD"))
    assert standing(order) == []


async def test_whoever_got_a_new_ticket_is_sent_the_link(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    told = Told(id="evt_1", type="pass.replaced", data={"order": order["code"], "issuer": "platform"})
    for _ in range(2):
        await pretix.told.told(told)
    assert stub.mails == [order["email"]]


async def test_what_else_is_told_writes_nothing(stub: PretixStub, pretix: PretixPlatform) -> None:
    order = stub.order_where(paid)
    for kind in ("created", "held", "released", "delayed", "returned", "choice_needed"):
        await pretix.told.told(refund(order, kind))
    await pretix.told.told(Told(id="evt_2", type="pass.replaced", data={"order": order["code"], "issuer": "makegood"}))
    assert stub.count("POST", "/") == 0


# ----------------------------------------------------------------------------------------------------- troubles


_TROUBLES = [
    (json(401, {"detail": "Invalid token."}), Unavailable),
    (json(403, {"detail": "You may not."}), Unavailable),
    (json(429, {"detail": "later"}), Unavailable),
    (json(404, {"detail": "Not found."}), Declined),
    (json(400, {"detail": "no"}), Declined),
    (json(409, {"detail": "Concurrent request with idempotency key."}), OutcomeUnknown),
    (Reply(status=500, body=b"<html>"), OutcomeUnknown),
    (Reply(status=302, headers={"Location": "https://elsewhere.example/"}), OutcomeUnknown),
    (Reply(status=404, body=b"<html>", headers={"Content-Type": "text/html"}), OutcomeUnknown),
    (json(200, {"id": "not a number"}), OutcomeUnknown),
]


@pytest.mark.parametrize(("reply", "failure"), _TROUBLES)
async def test_each_trouble_is_what_it_is(stub: PretixStub, pretix: PretixPlatform, reply: Reply, failure: type[Exception]) -> None:
    order = stub.order_where(paid)
    stub.fail(Fault(method="POST", path="/api", instead=reply))
    with pytest.raises(failure):
        await pretix.passes.replace(order_ref=order["code"], position_ref="1", key="k")


async def test_a_pretix_that_is_away_was_never_sent_anything() -> None:
    async with PretixStub().serving() as stub:
        url, code = stub.base_url, stub.order_where(paid)["code"]
    gone = platform_at(url)
    try:
        with pytest.raises(Unavailable):
            await gone.orders.fetch(code)
        with pytest.raises(Unavailable):
            await gone.passes.void(order_ref=code, position_ref="1", key="k")
    finally:
        await gone.close()


async def test_a_wrong_token_is_a_matter_of_settings_and_stands_in_no_error(stub: PretixStub) -> None:
    wrong = platform_at(stub.base_url, token="wr0ng-token")
    try:
        with pytest.raises(Unavailable) as caught:
            await wrong.orders.fetch("ABCDE")
    finally:
        await wrong.close()
    assert caught.value.configuration
    assert "wr0ng" not in str(caught.value)
