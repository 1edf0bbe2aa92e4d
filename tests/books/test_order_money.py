"""`GET /v1/orders/{ref}/money`: to the last unit, for whoever paid; and a check of the sums for those who keep the books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, bearer
from tests.promises.house import House, stream


async def cut_show(house: House) -> str:
    """25 of its 90 minutes were missing."""
    show = await house.shop.show(f"cut-{uuid4().hex[:8]}", starts_in=timedelta(hours=-3))
    started = datetime.now(UTC) - timedelta(hours=3)
    await house.shop.incident(show, "out1", started + timedelta(minutes=10), started + timedelta(minutes=35))
    return show


async def order_of(house: House, show: str, **more: Any) -> Bought:
    """A ticket of 25.00 with 3.99 of tax in it, and a fee of 2.50."""
    ref = f"M{uuid4().hex[:8]}"
    position = {"ref": "1", "kind": "stream", "name": "Stream pass", "price": 2500, "tax": 399, "discount": 500, "shows": [show]}
    positions = [position | {"pass": {"issuer": "makegood", "barcode": uuid4().hex, "status": "valid"}}]
    fees = [{"ref": "F1", "name": "Booking fee", "amount": 250, "tax": 40, "refundable": True}]
    return await house.shop.order(show, [stream(2750)], ref=ref, positions=positions, fees=fees, **more)


async def money(house: House, order: Bought, *, token: str | None = None) -> Any:
    return await house.get(f"/v1/orders/{order.ref}/money", token=token)


async def test_the_books_of_a_share_add_up_and_are_told_in_sentences(house: House) -> None:
    order = await order_of(house, await cut_show(house))
    await house.report("stream_outage", order)
    shown = await money(house, order)
    (line, fee), (payment,), (operation,) = shown["lines"], shown["payments"], shown["operations"]
    assert line["awards"] == [
        {
            "cause": "incident:out1",
            "told": "25 of 90 minutes were missing: €6.94 of €25.00 was sent back.",
            "amount": 694,
            "tax": 111,
            "sent": 694,
            "arrived": 0,
            "owed": 0,
        }
    ]
    assert (line["price"], line["tax"], line["discount"], line["awarded_tax"]) == (2500, 399, 500, 111)
    assert fee["awards"] == []
    assert (payment["captured"], payment["refunded"], payment["on_its_way"], payment["promised"]) == (2750, 694, 0, 0)
    assert (operation["state"], operation["amount"], operation["tax"], operation["fees"]) == ("sent", 694, 111, 0)
    assert operation["told"] == "€6.94 was sent to Visa ·· 4242. Banks take some days to show it."
    assert [one["state"] for one in operation["attempts"]] == ["sent"]
    assert shown["balanced"] is True
    assert payment["desk"]["accounts"] == {"paid_out:sandbox": 694, "sales": 2056}
    assert [(one["debit"], one["credit"], one["amount"]) for one in shown["movements"]] == [
        ("sales", "owed_to_customer", 694),
        ("owed_to_customer", "in_transit:sandbox", 694),
        ("in_transit:sandbox", "paid_out:sandbox", 694),
    ]


async def test_a_whole_order_gives_back_all_of_its_tax_and_names_its_fees(house: House) -> None:
    show = await house.shop.show(f"off-{uuid4().hex[:8]}", starts_in=timedelta(days=2), status="cancelled")
    order = await order_of(house, show, locale="de")
    await house.report("show_cancelled", order)
    shown = await money(house, order)
    assert [(one["awarded"], one["awarded_tax"]) for one in shown["lines"]] == [(2500, 399), (250, 40)]
    assert sum(one["tax"] for one in shown["operations"]) == 439
    assert sum(one["fees"] for one in shown["operations"]) == 250
    assert shown["lines"][0]["awards"][0]["told"].startswith("Die Show wurde abgesagt: 25,00")


async def test_what_is_accepted_is_on_its_way_and_what_waits_is_promised(house: House) -> None:
    show = await cut_show(house)
    accepted, held = await order_of(house, show), await order_of(house, show)
    await house.books.script(Script(fault=Fault.ACCEPTED, payment_ref=accepted.payments[0]))
    await house.report("stream_outage", accepted)
    shown = await money(house, accepted)
    assert (shown["payments"][0]["on_its_way"], shown["payments"][0]["refunded"], shown["balanced"]) == (694, 0, True)
    await house.pool.execute("SELECT brake_put($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
    await house.report("stream_outage", held, wait=0)
    shown = await money(house, held)
    await house.pool.execute("SELECT brake_release($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
    assert (shown["payments"][0]["promised"], shown["operations"][0]["state"], shown["balanced"]) == (694, "working", True)
    assert shown["lines"][0]["awards"][0]["told"].endswith("is to be sent back.")


async def test_what_others_refunded_is_on_an_account_of_its_own(house: House) -> None:
    show = await cut_show(house)
    order = await order_of(house, show)
    await house.report("stream_outage", order)
    await house.shop.order(
        show,
        [stream(2750)],
        ref=order.ref,
        payments=[
            {
                "ref": "P1",
                "rail": "sandbox",
                "provider_ref": order.payments[0],
                "status": "confirmed",
                "amount": 2750,
                "captured": 2750,
                "created_at": datetime.now(UTC).isoformat(),
                "refunds_elsewhere": [{"ref": "R1", "amount": 300, "state": "done"}],
            }
        ],
    )
    shown = await money(house, order)
    assert shown["balanced"] is True
    assert shown["payments"][0]["refunded_elsewhere"] == 300
    assert shown["payments"][0]["desk"]["accounts"] == {"paid_elsewhere": 300, "paid_out:sandbox": 694, "sales": 1756}


async def test_a_buyer_reads_no_keys_and_no_accounts_and_a_holder_reads_nothing(house: House) -> None:
    show = await cut_show(house)
    order = await order_of(house, show, email=f"{uuid4().hex[:8]}@example.org")
    await house.report("stream_outage", order)
    session = await _session(house, order.email)
    shown = await money(house, order, token=session)
    assert (shown["balanced"], shown["movements"], shown["payments"][0]["desk"]) == (None, [], None)
    assert {(one["key"], one["provider_ref"]) for one in shown["operations"][0]["attempts"]} == {(None, None)}
    assert shown["operations"][0]["case"] is None
    holder = f"{uuid4().hex[:8]}@example.org"
    pass_ = {"issuer": "makegood", "barcode": uuid4().hex, "status": "valid"}
    position = {"ref": "1", "kind": "stream", "name": "Stream", "price": 2750, "shows": [show], "holder": {"email": holder}, "pass": pass_}
    theirs = await house.shop.order(show, [stream(2750)], positions=[position])
    answer = await house.client.get(f"/v1/orders/{theirs.ref}/money", headers=bearer(await _session(house, holder)))
    assert answer.status_code == 404
    assert "2750" not in answer.text


async def test_that_an_agent_looked_is_kept_and_that_the_platform_did_is_not(house: House) -> None:
    order = await order_of(house, await cut_show(house))
    await money(house, order)
    await money(house, order, token=house.desk.agent)
    query = "SELECT actor FROM audit WHERE what = 'money_viewed' AND data->>'order' = (SELECT id::text FROM orders WHERE ref = $1)"
    assert [row["actor"] for row in await house.rows(query, order.ref)] == ["agent:Mira"]


async def _session(house: House, address: str) -> str:
    """Of a customer who proved this address."""
    made = await house.client.post("/v1/sessions", headers={"Makegood-Platform": house.desk.slug})
    token: str = made.json()["token"]
    await house.pool.execute(
        """
        UPDATE session SET level = 'verified', person_email = $1, level_until = app_now() + interval '5 minutes'
        WHERE id = (SELECT id FROM session ORDER BY created_at DESC LIMIT 1)
        """,
        address,
    )
    return token


FAULTS = st.lists(st.sampled_from([Fault.ACCEPTED, Fault.FAILED, Fault.DECLINED, Fault.LOST_ANSWER, Fault.UNREACHABLE]), max_size=2)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(faults=FAULTS, late=st.sampled_from(["", "settle", "fail"]), twice=st.booleans())
async def test_whatever_a_processor_does_the_rows_agree_with_the_counters(
    house: House,
    faults: list[Fault],
    late: str,
    twice: bool,  # noqa: FBT001 - drawn
) -> None:
    show = await cut_show(house)
    order = await order_of(house, show, charges=2 if twice else 1)
    await house.books.script(*(Script(fault=fault, payment_ref=order.payments[0]) for fault in faults))
    await house.report("stream_outage", order, wait=1)
    if twice:
        await house.report("charged_twice", order, wait=1)
    refs = await house.rows(
        "SELECT a.provider_ref FROM attempt a WHERE a.provider_ref IS NOT NULL AND a.request->>'payment_ref' = $1", order.payments[0]
    )
    for row in refs:
        if late == "settle":
            await house.books.settle(row["provider_ref"])
        elif late == "fail":
            await house.books.fail_late(row["provider_ref"], "lost_or_stolen_card")
    await house.pass_time(timedelta(minutes=11))
    shown = await money(house, order)
    assert shown["balanced"] is True, shown
    for operation in shown["operations"]:
        assert operation["told"].endswith(".")
    for line in shown["lines"]:
        assert (
            line["awarded"]
            == sum(one["amount"] for one in line["awards"])
            == sum(one["sent"] + one["arrived"] + one["owed"] for one in line["awards"])
        )
