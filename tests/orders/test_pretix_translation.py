"""What pretix says in our words: money to the last digit, and nothing that a person has not answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from integrations.orders_pretix import NotTranslatable, Translator, questions
from integrations.orders_pretix_files import Export, FolderError, read_folder
from integrations.orders_pretix_mapping import EventMapping, MappingError, PretixMapping, Unanswered, load, render
from integrations.orders_pretix_wire import PretixEvent, PretixItem, PretixOrder
from service.cli.pretix_import import Refused
from service.feed import OrderFeed
from service.imports import OrderClash
from service.store.pool import Pool
from tests.orders.loading import (
    DATA,
    FOLDERS,
    MAPPING,
    importer_for,
    load_pretix,
    new_platform,
    order_body,
    order_feed,
    raw_event,
    raw_orders,
)

SHOW = "gulf26"


def answers() -> EventMapping:
    export = read_folder(DATA / "pretix" / SHOW)
    return load(MAPPING.read_text()).for_event(questions(export.event, export.items, export.orders))


def translated(changes: dict[str, Any], *, event: dict[str, Any] | None = None) -> OrderFeed:
    """The first paid order of the show with changes, translated."""
    items = msgspec.json.decode((DATA / "pretix" / SHOW / "items.json").read_bytes(), type=list[PretixItem])
    raw = next(order for order in raw_orders(SHOW) if order["status"] == "p" and len(order["payments"]) == 1 and not order["refunds"])
    translator = Translator(msgspec.convert({**raw_event(SHOW), **(event or {})}, PretixEvent), items, answers())
    return translator.order(msgspec.convert({**raw, **changes}, PretixOrder, strict=False))


def paid(state: str = "confirmed", **changes: Any) -> dict[str, Any]:
    return {"local_id": 1, "state": state, "amount": "10.500", "created": "2026-09-01T00:00:00Z", "provider": "stripe", **changes}


def returned(state: str, **changes: Any) -> dict[str, Any]:
    return {"local_id": 1, "state": state, "amount": "4.250", "created": "2026-09-02T00:00:00Z", "payment": 1, **changes}


@pytest.mark.parametrize(("text", "minor"), [("10.500", 10500), ("10.5", 10500), ("0.001", 1), ("10", 10000), ("1E+1", 10000)])
def test_amounts_are_exact_in_three_decimals(text: str, minor: int) -> None:
    assert translated({"payments": [paid(amount=text)]}).payments[0].amount == minor


@pytest.mark.parametrize("text", ["0.0001", "NaN", "Infinity", "-1.000", "1E+30"])
def test_an_amount_that_is_none_of_the_currency_is_refused(text: str) -> None:
    with pytest.raises(NotTranslatable):
        translated({"payments": [paid(amount=text)]})


@pytest.mark.parametrize(
    ("state", "ours", "captured"),
    [("confirmed", "confirmed", 10500), ("refunded", "confirmed", 10500), ("created", "pending", 0), ("canceled", "cancelled", 0)],
)
def test_a_payment_in_pretix_words(state: str, ours: str, captured: int) -> None:
    payment = translated({"payments": [paid(state)]}).payments[0]
    assert (payment.status, payment.captured) == (ours, captured)


def test_a_refunded_payment_whose_refunds_do_not_add_up_is_taken_to_be_refunded_whole() -> None:
    payment = translated({"payments": [paid("refunded")], "refunds": [returned("done")]}).payments[0]
    assert sum(refund.amount for refund in payment.refunds_elsewhere) == payment.captured == 10500


@pytest.mark.parametrize(("state", "ours"), [("external", "done"), ("canceled", "failed"), ("failed", "failed"), ("transit", "transit")])
def test_a_refund_in_pretix_words(state: str, ours: str) -> None:
    payment = translated({"payments": [paid()], "refunds": [returned(state, payment=None)]}).payments[0]
    assert [refund.state for refund in payment.refunds_elsewhere] == [ours]


def test_a_refund_that_could_be_of_two_payments_is_refused() -> None:
    payments = [paid(), paid(local_id=2)]
    with pytest.raises(NotTranslatable, match="which payment"):
        translated({"payments": payments, "refunds": [returned("done", payment=None)]})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "x"},
        {"payments": [paid("paid")]},
        {"payments": [paid()], "refunds": [returned("lost")]},
        {"payments": [paid(provider="paypal")]},
    ],
)
def test_a_word_that_we_do_not_know_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NotTranslatable, match="order "):
        translated(changes)


def test_a_ticket_of_a_pending_order_admits_only_where_the_organizer_said_so() -> None:
    def status(**changes: Any) -> set[str]:
        return {position.admission.status for position in translated({"status": "n", **changes}).positions if position.admission}

    assert (status(), status(valid_if_pending=True)) == ({"void"}, {"valid"})


@pytest.mark.parametrize("event", [{"date_to": None}, {"has_subevents": True}])
def test_an_event_whose_length_is_unknown_is_refused(event: dict[str, Any]) -> None:
    translator = Translator(msgspec.convert({**raw_event(SHOW), **event}, PretixEvent), (), answers())
    with pytest.raises(NotTranslatable, match=f"event {SHOW}"):
        translator.show()


# ----------------------------------------------------------------------------------------------- the mapping


async def test_the_first_import_writes_the_questions_and_nothing_else(pool: Pool, tmp_path: Path) -> None:
    platform, mapping = await new_platform(pool), tmp_path / "mapping.yaml"
    with pytest.raises(Unanswered) as caught:
        await load_pretix(pool, platform, mapping=mapping)

    assert "items: nll26: 13 (Tour T-shirt): kind?" in caught.value.missing
    assert {"providers: banktransfer?", "providers: stripe?", "fees: service?"} <= set(caught.value.missing)
    assert "Tour T-shirt" in mapping.read_text()
    assert await pool.fetchval("SELECT count(*) FROM show WHERE platform_id = $1", platform) == 0


@pytest.mark.parametrize("line", ["    20: { kind: stream, shows: [clock26] }\n", ", manual: outside", ", service: refundable"])
async def test_one_answer_missing_stops_the_import_and_keeps_the_others(pool: Pool, tmp_path: Path, line: str) -> None:
    platform, mapping = await new_platform(pool), tmp_path / "mapping.yaml"
    assert line in MAPPING.read_text()
    mapping.write_text(MAPPING.read_text().replace(line, ""))
    with pytest.raises(Unanswered):
        await load_pretix(pool, platform, mapping=mapping)

    kept = load(mapping.read_text())
    assert kept.providers["stripe"] == "stripe"
    assert kept.items["nll26"] == load(MAPPING.read_text()).items["nll26"]
    assert mapping.read_text().count('"?"') in (1 + 1, 2 + 1)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE platform_id = $1", platform) == 0


def test_a_written_mapping_reads_as_it_was() -> None:
    exports = [read_folder(folder) for folder in FOLDERS]
    asked = [questions(export.event, export.items, export.orders) for export in exports]
    answered = load(MAPPING.read_text())
    assert load(render(answered, asked)) == answered
    assert load(render(PretixMapping(), asked)).missing(asked[0])


@pytest.mark.parametrize(
    "text", ["items: [", "items: {a: {1: {kind: vip}}}", "items: {a: {1: {sort: stream}}}", "providers: {stripe: Stripe!}"]
)
def test_a_broken_mapping_is_told(text: str) -> None:
    with pytest.raises(MappingError):
        load(text)


# ------------------------------------------------------------------------------------------------- all or nothing


def copy_of(show: str, folder: Path, **changes: Any) -> Path:
    """The show's folder with the first order changed."""
    for name in ("event", "items"):
        (folder / f"{name}.json").write_bytes((DATA / "pretix" / show / f"{name}.json").read_bytes())
    first, *others = raw_orders(show)
    (folder / "orders.json").write_bytes(msgspec.json.encode({"count": 60, "results": [{**first, **changes}, *others]}))
    return folder


async def stored(pool: Pool, platform: UUID) -> int:
    number: int = await pool.fetchval("SELECT count(*) FROM orders WHERE platform_id = $1", platform)
    return number


@pytest.mark.parametrize("changes", [{"status": "x"}, {"total": "999999.99"}, {"email": "nobody"}])
async def test_one_order_that_cannot_be_understood_stops_all(pool: Pool, tmp_path: Path, changes: dict[str, Any]) -> None:
    platform = await new_platform(pool)
    with pytest.raises(Refused, match=raw_orders("clock26")[0]["code"]) as caught:
        await load_pretix(pool, platform, folders=(FOLDERS[0], copy_of("clock26", tmp_path, **changes)))
    assert len(caught.value.lines) == 1
    assert await stored(pool, platform) == 0


async def test_orders_of_a_shop_in_test_mode_stay_out(pool: Pool, tmp_path: Path) -> None:
    platform = await new_platform(pool)
    assert await load_pretix(pool, platform, folders=(copy_of("clock26", tmp_path, testmode=True),)) == {"created": 59}


async def test_one_code_in_two_events_stops_the_import(pool: Pool, tmp_path: Path) -> None:
    platform = await new_platform(pool)
    clashing = copy_of("clock26", tmp_path, code=raw_orders("gulf26")[0]["code"])
    with pytest.raises(OrderClash, match="gulf26 and in clock26"):
        await load_pretix(pool, platform, folders=(DATA / "pretix" / "gulf26", clashing))


async def test_an_order_that_was_placed_at_another_time_is_not_the_same(pool: Pool) -> None:
    platform = await new_platform(pool)
    body = order_feed({**order_body(), "positions": [], "fees": [], "payments": [], "total": 0})
    await importer_for(pool, platform).order("A1", body, origin="one")
    later = msgspec.structs.replace(body, version=11, placed_at=body.placed_at.replace(microsecond=1))
    with pytest.raises(OrderClash, match="A1"):
        await importer_for(pool, platform).order("A1", later, origin="two")


async def test_a_corrected_mapping_is_taken_over(pool: Pool, tmp_path: Path) -> None:
    platform, mapping = await new_platform(pool), tmp_path / "mapping.yaml"
    await load_pretix(pool, platform, folders=(FOLDERS[3],))
    mapping.write_text(MAPPING.read_text().replace("stripe: stripe", "stripe: sandbox"))
    assert await load_pretix(pool, platform, folders=(FOLDERS[3],), mapping=mapping) == {"updated": 54, "unchanged": 6}
    rails = await pool.fetch("SELECT DISTINCT rail FROM payment WHERE platform_id = $1 AND rail IS NOT NULL", platform)
    assert [row["rail"] for row in rails] == ["sandbox"]


def test_a_folder_without_an_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"event\.json"):
        read_folder(tmp_path)


def test_an_export_is_a_list_or_pages_of_results(tmp_path: Path) -> None:
    plain, paged = read_folder(DATA / "pretix" / "clock26"), read_folder(copy_of("clock26", tmp_path))
    assert isinstance(plain, Export)
    assert plain == paged
