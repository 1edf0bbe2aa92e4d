"""What a sandbox does beyond refunds of charges: pay-outs, holds on cards, waiting refunds, errors for good, its list, its upgrade."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_books import Fault, SandboxBooks, SandboxPool, Script
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundRequest, Unavailable
from tests.contracts.rails.benches import SandboxBench, beside, request_for

EUROS = Money(minor=5000, currency="EUR")
LONG_AGO, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def pays_out(sandbox: SandboxBench, sandbox_pool: SandboxPool) -> SandboxRail:
    return SandboxRail(sandbox.rail.name, sandbox_pool, pays="out")


def pay_out(sandbox: SandboxBench, payment_ref: str, destination: str = "jane@example.org") -> RefundRequest:
    return msgspec.structs.replace(request_for(sandbox, payment_ref, 700), destination=destination)


# --------------------------------------------------------------------------------------------------- pay-outs


async def test_a_pay_out_needs_no_charge_and_keeps_only_the_hash_of_where_it_went(
    sandbox: SandboxBench, pays_out: SandboxRail, sandbox_pool: SandboxPool
) -> None:
    request = pay_out(sandbox, "pi_elsewhere")
    paid = await pays_out.refund(request, key="key-1")

    row = await sandbox_pool.fetchrow("SELECT * FROM sandbox.refund WHERE ref = $1", paid.provider_ref)
    assert row is not None
    assert row["destination"] == hashlib.sha256(b"jane@example.org").hexdigest()
    assert "jane" not in repr(row)
    assert await pays_out.find(request) == paid
    line = await sandbox.books.line("pi_elsewhere")
    assert (line.captured_minor, line.refunded_minor, line.refunds, line.currency) == (0, 700, 1, "EUR")


async def test_the_same_key_for_another_destination_is_refused(sandbox: SandboxBench, pays_out: SandboxRail) -> None:
    request = pay_out(sandbox, "pi_elsewhere")
    await pays_out.refund(request, key="key-1")

    with pytest.raises(Declined) as refused:
        await pays_out.refund(msgspec.structs.replace(request, destination="joe@example.org"), key="key-1")

    assert refused.value.code == "idempotency_misuse"
    assert (await sandbox.books.line("pi_elsewhere")).refunds == 1


async def test_a_pay_out_to_nowhere_is_a_mistake_of_ours_and_a_payment_is_not_its_to_read(
    sandbox: SandboxBench, pays_out: SandboxRail
) -> None:
    with pytest.raises(Declined, match="bug"):
        await pays_out.refund(pay_out(sandbox, "pi_elsewhere", ""), key="key-1")
    with pytest.raises(Declined, match="unsupported"):
        await pays_out.payment("pi_elsewhere", "EUR")


async def test_a_pay_out_that_nobody_claims_comes_back(sandbox: SandboxBench, pays_out: SandboxRail) -> None:
    await sandbox.books.script(Script(fault=Fault.ACCEPTED, detail="customer"))
    request = pay_out(sandbox, "pi_elsewhere")
    paid = await pays_out.refund(request, key="key-1")
    assert (paid.state, paid.waiting) == ("ACCEPTED", "customer")

    assert await sandbox.books.fail_late(paid.provider_ref, "unclaimed")

    found = await pays_out.find(request)
    assert found is not None
    assert (found.state, found.failure, found.waiting) == ("FAILED", "unclaimed", "")
    assert (await sandbox.books.line("pi_elsewhere")).refunded_minor == 0


async def test_a_pay_out_still_on_its_way_arrives_where_it_was_sent(sandbox: SandboxBench, pays_out: SandboxRail) -> None:
    await sandbox.books.script(Script(fault=Fault.IN_FLIGHT))
    request = pay_out(sandbox, "pi_elsewhere")
    with pytest.raises(OutcomeUnknown):
        await pays_out.refund(request, key="key-1")

    assert await sandbox.books.deliver() == 1

    assert await pays_out.refund(request, key="key-1") == await pays_out.find(request)
    assert (await sandbox.books.line("pi_elsewhere")).refunds == 1


# ----------------------------------------------------------------------------------- money that is not there


async def test_an_empty_balance_is_a_refusal_or_a_wait_as_the_script_says(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(
        Script(fault=Fault.DECLINED, detail="insufficient_funds"), Script(fault=Fault.ACCEPTED, detail="insufficient_funds")
    )
    request = request_for(sandbox, payment, 700)

    with pytest.raises(Declined, match="insufficient_funds"):
        await sandbox.rail.refund(request, key="key-1")
    waiting = await sandbox.rail.refund(request, key="key-2")
    assert (waiting.state, waiting.waiting) == ("ACCEPTED", "insufficient_funds")

    assert await sandbox.books.settle(waiting.provider_ref)
    found = await sandbox.rail.find(request)
    assert found is not None
    assert (found.state, found.waiting) == ("SUCCEEDED", "")


@pytest.mark.parametrize(("detail", "refunds"), [("", 0), ("carried_out", 1)])
async def test_a_server_error_is_told_to_its_key_for_ever_whatever_came_of_it(sandbox: SandboxBench, detail: str, refunds: int) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.BROKEN_FOR_GOOD, detail=detail))
    request = request_for(sandbox, payment, 700)

    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await sandbox.rail.refund(request, key="key-1")

    assert (await sandbox.books.line(payment)).refunds == refunds
    assert (await sandbox.rail.find(request) is not None) == bool(refunds)
    assert (await sandbox.rail.refund(request_for(sandbox, payment, 700), key="key-2")).state == "SUCCEEDED"


# ------------------------------------------------------------------------------------------------------ holds


async def test_a_hold_is_let_go_of_once_and_nothing_was_taken(sandbox: SandboxBench) -> None:
    await sandbox.books.authorise("pi_held", EUROS)
    seen = await sandbox.rail.payment("pi_held", "EUR")
    assert (seen.captured.minor, seen.authorised_minor) == (0, 5000)

    for key in ("key-1", "key-1", "key-2"):
        await sandbox.rail.cancel("pi_held", key=key)

    seen = await sandbox.rail.payment("pi_held", "EUR")
    assert (seen.captured.minor, seen.authorised_minor, seen.refunds) == (0, 0, ())
    assert not await sandbox.books.capture("pi_held")


async def test_what_was_captured_in_the_meantime_is_not_cancelled_and_can_be_refunded(sandbox: SandboxBench) -> None:
    await sandbox.books.authorise("pi_held", EUROS)
    with pytest.raises(Declined, match="unsupported"):
        await sandbox.rail.refund(request_for(sandbox, "pi_held", 700), key="key-1")
    assert await sandbox.books.capture("pi_held")

    with pytest.raises(Declined, match="unsupported"):
        await sandbox.rail.cancel("pi_held", key="key-2")

    assert (await sandbox.rail.refund(request_for(sandbox, "pi_held", 5000), key="key-3")).state == "SUCCEEDED"


async def test_a_hold_nobody_knows_is_not_found(sandbox: SandboxBench) -> None:
    with pytest.raises(Declined, match="not_found"):
        await sandbox.rail.cancel("pi_nobody", key="key-1")


async def test_a_cancellation_can_fail_in_every_way_that_a_refund_can(sandbox: SandboxBench) -> None:
    await sandbox.books.authorise("pi_held", EUROS)
    scripted = (Fault.UNREACHABLE, Fault.RATE_LIMITED, Fault.UNAUTHORISED, Fault.NO_ANSWER, Fault.DECLINED, Fault.LOST_ANSWER)
    await sandbox.books.script(*(Script(fault=fault, call="cancel") for fault in scripted), Script(fault=Fault.ACCEPTED, call="any"))

    told, held = [], []
    for _ in scripted:
        with pytest.raises((Declined, OutcomeUnknown, Unavailable)) as failed:
            await sandbox.rail.cancel("pi_held", key="key-1")
        told.append(type(failed.value))
        held.append((await sandbox.rail.payment("pi_held", "EUR")).authorised_minor)
    await sandbox.rail.cancel("pi_held", key="key-1")

    assert told == [Unavailable, Unavailable, Unavailable, OutcomeUnknown, Declined, OutcomeUnknown]
    assert held == [5000] * 5 + [0]


# --------------------------------------------------------------------------------------------------- its list


async def test_the_list_tells_every_refund_of_its_time_whoever_made_it(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(500_000)
    requests = [request_for(sandbox, payment, 1) for _ in range(205)]
    refs = {(await sandbox.rail.refund(request, key=str(request.attempt_id))).provider_ref for request in requests}
    dashboard = await sandbox.books.refund_elsewhere(payment, Money(minor=7, currency="EUR"))

    listed = [one async for one in sandbox.rail.listed(LONG_AGO, LATER)]

    assert len(listed) == 206
    assert {one.refund.provider_ref for one in listed} == refs | {dashboard}
    assert {one.refund.attempt_id for one in listed} == {request.attempt_id for request in requests} | {None}
    assert {one.payment_ref for one in listed} == {payment}
    first = listed[0].refund.at
    assert first is not None
    assert [one async for one in sandbox.rail.listed(LONG_AGO, first)] == []
    assert len([one async for one in sandbox.rail.listed(first, LATER)]) == 206
    assert [one async for one in sandbox.rail.listed(LATER, LATER + timedelta(days=1))] == []


async def test_a_sandbox_that_cannot_be_asked_has_no_list(sandbox: SandboxBench, sandbox_pool: SandboxPool) -> None:
    silent = SandboxRail(sandbox.rail.name, sandbox_pool, reads=False)

    with pytest.raises(Declined, match="unsupported"):
        [one async for one in silent.listed(LONG_AGO, LATER)]


async def test_refunds_of_others_count_against_the_charge_and_not_as_ours(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    assert await sandbox.books.refund_elsewhere(payment, Money(minor=4000, currency="EUR"))
    assert not await sandbox.books.refund_elsewhere(payment, Money(minor=4000, currency="EUR"))

    line = await sandbox.books.line(payment)
    assert (line.loaded_minor, line.refunded_minor, line.refunds) == (4000, 0, 0)
    with pytest.raises(Declined, match="amount_too_large"):
        await sandbox.rail.refund(request_for(sandbox, payment, 1001), key="key-1")


async def test_a_lost_dispute_lets_no_refund_through(sandbox: SandboxBench) -> None:
    payment = await sandbox.disputed_charge(5000)
    await sandbox.books.lose_dispute(payment)

    with pytest.raises(Declined, match="disputed"):
        await sandbox.rail.refund(request_for(sandbox, payment, 700), key="key-1")


# ------------------------------------------------------------------------------------------------ its upgrade

_AS_IT_WAS = """
    CREATE SCHEMA sandbox;
    CREATE TABLE sandbox.version (hash text PRIMARY KEY);
    INSERT INTO sandbox.version VALUES ('an older one');
    CREATE TABLE sandbox.charge (
        account text NOT NULL, payment_ref text NOT NULL, currency text NOT NULL, captured bigint NOT NULL CHECK (captured >= 0),
        refunded bigint NOT NULL DEFAULT 0, disputed boolean NOT NULL DEFAULT false,
        PRIMARY KEY (account, payment_ref), CHECK (refunded BETWEEN 0 AND captured));
    CREATE TABLE sandbox.refund (
        account text NOT NULL, key text NOT NULL, ref text NOT NULL DEFAULT 're_sandbox_' || replace(gen_random_uuid()::text, '-', ''),
        payment_ref text NOT NULL, amount bigint NOT NULL, currency text NOT NULL, operation_id uuid, attempt_id uuid, reason text NOT NULL,
        state text NOT NULL, failure text NOT NULL DEFAULT '', made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (account, key), UNIQUE (account, ref), FOREIGN KEY (account, payment_ref) REFERENCES sandbox.charge);
    CREATE TABLE sandbox.in_flight (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, key text NOT NULL, payment_ref text NOT NULL,
        amount bigint NOT NULL, currency text NOT NULL, operation_id uuid, attempt_id uuid, reason text NOT NULL);
    CREATE TABLE sandbox.script (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, payment_ref text NOT NULL DEFAULT '',
        call text NOT NULL CHECK (call IN ('refund', 'read', 'any')), fault text NOT NULL, detail text NOT NULL DEFAULT '',
        retry_after_seconds double precision, times integer CHECK (times > 0));
    CREATE FUNCTION sandbox.execute(text, text, text, bigint, text, uuid, uuid, text, text, text, OUT declined text, OUT ref text)
        LANGUAGE sql AS 'SELECT '''', ''''';
    CREATE FUNCTION sandbox.refund_once(text, text, text, bigint, text, uuid, uuid, text, OUT fault text, OUT declined text)
        LANGUAGE sql AS 'SELECT '''', ''''';
    CREATE FUNCTION sandbox.load(text, text, text, bigint, bigint, boolean) RETURNS void LANGUAGE sql AS '';
    INSERT INTO sandbox.charge VALUES ('old', 'ch_old', 'EUR', 5000, 700, false);
    INSERT INTO sandbox.refund (account, key, payment_ref, amount, currency, reason, state)
        VALUES ('old', 'key-1', 'ch_old', 700, 'EUR', 'requested_by_customer', 'SUCCEEDED');
"""


async def test_a_sandbox_of_before_keeps_its_books_and_learns_the_rest(sandbox: SandboxBench, postgres_dsn: str) -> None:
    dsn = beside(postgres_dsn, f"sandbox_{uuid4().hex[:12]}")
    await (await open_sandbox(dsn)).close()
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA sandbox CASCADE; {_AS_IT_WAS}")
    await connection.close()

    async with await open_sandbox(dsn) as pool:
        books, rail = SandboxBooks("old", pool), SandboxRail("old", pool)
        with pytest.raises(Declined, match="amount_too_large"):
            await rail.refund(request_for(sandbox, "ch_old", 4301), key="key-2")
        await books.script(Script(fault=Fault.LOST_ANSWER, call="cancel"))
        await books.authorise("pi_held", EUROS)
        with pytest.raises(OutcomeUnknown):
            await rail.cancel("pi_held", key="key-3")
        paid = await SandboxRail("old", pool, pays="out").refund(pay_out(sandbox, "pi_elsewhere"), key="key-4")

        assert paid.state == "SUCCEEDED"
        assert [(line.payment_ref, line.refunded_minor) for line in await books.ledger()] == [
            ("ch_old", 700),
            ("pi_elsewhere", 700),
            ("pi_held", 0),
        ]
