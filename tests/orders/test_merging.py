"""Two hands write an order: the platform's feed and we. Neither takes back what the other did."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from service.feed_rules import FeedInvalid
from service.orders import OrderState, PassState
from service.store.pool import Pool
from tests.orders.loading import incident_feed, order_body, order_feed, orders_of, payment_body, show_feed, shows_of


class Fed:
    """One order that the platform feeds again and again, each time with the next version."""

    def __init__(self, pool: Pool, platform: UUID) -> None:
        self.pool = pool
        self.platform = platform
        self.body: dict[str, Any] = order_body()

    async def feed(self, **changes: Any) -> OrderState:
        self.body = {**self.body, "version": self.body["version"] + 1, **changes}
        await orders_of(self.pool).put(self.platform, "A1", order_feed(self.body), source="key:shop")
        return await self.now()

    async def feed_pass(self, **changes: Any) -> OrderState:
        first, *others = self.body["positions"]
        return await self.feed(positions=[{**first, "pass": {**first["pass"], **changes}}, *others])

    async def feed_payment(self, **changes: Any) -> OrderState:
        return await self.feed(payments=[{**self.body["payments"][0], **changes}])

    async def now(self) -> OrderState:
        found = await orders_of(self.pool).get(self.platform, "A1")
        assert found is not None
        return found

    async def facts(self) -> list[str]:
        rows = await self.pool.fetch("SELECT kind FROM order_fact WHERE platform_id = $1 ORDER BY seq", self.platform)
        return [row["kind"] for row in rows]

    async def we_replaced_the_pass(self) -> None:
        """As our own operation does it: the old one is void, a new one holds."""
        await self.pool.execute(
            """
            WITH old AS (UPDATE pass SET status = 'void' WHERE platform_id = $1 AND status = 'valid' RETURNING *)
            INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)
            SELECT $1, $2, order_id, line_id, 'makegood', 'void', 'ours', id, app_now() FROM old
            """,
            self.platform,
            uuid4(),
        )
        await self.pool.execute("UPDATE pass SET status = 'valid' WHERE platform_id = $1 AND barcode = 'ours'", self.platform)

    async def holds(self) -> list[str]:
        rows = await self.pool.fetch("SELECT barcode FROM pass WHERE platform_id = $1 AND status = 'valid'", self.platform)
        return [row["barcode"] for row in rows]

    async def we(self, column: str, amount: int) -> None:
        await self.pool.execute(f"UPDATE payment SET {column} = $2 WHERE platform_id = $1", self.platform, amount)


@pytest.fixture
async def fed(pool: Pool, platform_id: UUID) -> Fed:
    made = Fed(pool, platform_id)
    await made.feed()
    return made


def passes(order: OrderState) -> tuple[PassState, ...]:
    return order.lines[0].passes


# ------------------------------------------------------------------------------------------------ passes


async def test_a_feed_that_has_not_heard_of_our_new_pass_leaves_it(fed: Fed) -> None:
    await fed.we_replaced_the_pass()
    await fed.feed(locale="fr")
    assert await fed.holds() == ["ours"]


async def test_a_feed_that_tells_our_new_pass_back_leaves_it(fed: Fed) -> None:
    await fed.we_replaced_the_pass()
    await fed.feed_pass(barcode="ours")
    assert await fed.holds() == ["ours"]


async def test_a_stale_copy_cannot_bring_a_dead_pass_back(fed: Fed) -> None:
    old = fed.body["positions"][0]["pass"]["barcode"]
    await fed.we_replaced_the_pass()
    await fed.feed_pass(barcode="ours")
    await fed.feed_pass(barcode=old)
    assert await fed.holds() == ["ours"]
    assert (await fed.facts())[-1] == "pass_disagrees"


async def test_the_platform_marking_the_old_pass_void_leaves_ours(fed: Fed) -> None:
    await fed.we_replaced_the_pass()
    await fed.feed_pass(status="void")
    assert await fed.holds() == ["ours"]


async def test_a_new_barcode_of_the_platform_ends_the_old_pass_and_its_tokens(fed: Fed) -> None:
    await fed.pool.execute(
        "INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at) "
        "SELECT p.platform_id, $2, p.id, s.id, 'active', app_now(), app_now() FROM pass p JOIN show s ON s.platform_id = p.platform_id "
        "WHERE p.platform_id = $1",
        fed.platform,
        uuid4(),
    )
    order = await fed.feed_pass(barcode="fresh-" + uuid4().hex)
    assert [one.status for one in passes(order)] == ["void", "valid"]
    assert passes(order)[1].replaces == passes(order)[0].id
    assert await fed.pool.fetchval("SELECT state FROM access_token WHERE platform_id = $1", fed.platform) == "revoked"


async def test_a_position_that_is_gone_is_cancelled_and_admits_nobody(fed: Fed) -> None:
    order = await fed.feed(positions=fed.body["positions"][1:], total=3250)
    assert [(line.ref, line.canceled) for line in order.lines if line.kind != "fee"] == [("1", True), ("2", False)]
    assert await fed.holds() == []
    assert (await fed.facts())[-2:] == ["position_canceled", "pass_voided"]


async def test_a_position_that_comes_back_admits_again(fed: Fed) -> None:
    positions = fed.body["positions"]
    await fed.feed(positions=positions[1:], total=3250)
    await fed.feed(positions=positions, total=5750)
    assert await fed.holds() == [positions[0]["pass"]["barcode"]]


async def test_a_position_that_was_paid_back_does_not_admit_again(fed: Fed) -> None:
    await fed.pool.execute("UPDATE line SET awarded = price WHERE platform_id = $1", fed.platform)
    await fed.feed(status="cancelled")
    await fed.feed(status="paid")
    assert await fed.holds() == []


async def test_a_cancelled_order_admits_nobody_whatever_it_says_of_its_passes(fed: Fed) -> None:
    await fed.we_replaced_the_pass()
    await fed.feed(status="cancelled", cancelled_at="2026-10-02T10:00:00Z")
    assert await fed.holds() == []
    assert "order_cancelled" in await fed.facts()


async def test_a_check_in_is_a_fact_once(fed: Fed) -> None:
    for _ in range(2):
        order = await fed.feed_pass(checked_in_at="2026-11-20T18:50:00Z")
    assert passes(order)[0].checked_in_at is not None
    assert (await fed.facts()).count("pass_checked_in") == 1


# ------------------------------------------------------------------------------------------------- money


async def test_the_feed_never_touches_what_is_ours(fed: Fed) -> None:
    await fed.we("refunded", 694)
    await fed.we("reserved", 100)
    await fed.pool.execute("UPDATE line SET awarded = 694 WHERE platform_id = $1 AND kind = 'stream'", fed.platform)
    order = await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "created"}])
    assert [(one.refunded, one.reserved, one.refunded_elsewhere) for one in order.payments] == [(694, 100, 1000)]
    assert order.lines[0].awarded == 694


@pytest.mark.parametrize(("state", "counted"), [("created", 1000), ("transit", 1000), ("done", 1000), ("failed", 0)])
async def test_a_refund_made_elsewhere_counts_until_it_failed(fed: Fed, state: str, counted: int) -> None:
    await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "created"}])
    order = await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": state}])
    assert order.payments[0].refunded_elsewhere == counted


async def test_a_refund_told_under_two_names_counts_once(fed: Fed) -> None:
    refunds = [{"ref": ref, "amount": 1000, "state": "done", "provider_ref": "re_1"} for ref in ("R-1", "dashboard")]
    order = await fed.feed_payment(refunds_elsewhere=refunds)
    assert order.payments[0].refunded_elsewhere == 1000


async def test_less_captured_than_we_refunded_is_a_fact_and_no_failure(fed: Fed) -> None:
    await fed.we("refunded", 3000)
    order = await fed.feed_payment(captured=2000)
    assert order.payments[0].captured == 3000
    assert (await fed.facts())[-1] == "books_disagree"


async def test_more_refunded_than_captured_is_a_fact(fed: Fed) -> None:
    await fed.we("refunded", 5000)
    order = await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "done"}])
    assert order.payments[0].refunded_elsewhere == 1000
    assert "excess" in await fed.facts()


async def test_a_price_below_what_was_promised_is_a_fact_and_no_failure(fed: Fed) -> None:
    await fed.pool.execute("UPDATE line SET awarded = price WHERE platform_id = $1 AND kind = 'stream'", fed.platform)
    cheaper = [{**fed.body["positions"][0], "price": 1000}, fed.body["positions"][1]]
    order = await fed.feed(positions=cheaper, total=4250)
    assert order.lines[0].price == 2500
    assert "books_disagree" in await fed.facts()


async def test_a_charge_that_is_gone_from_the_feed_is_kept(fed: Fed) -> None:
    order = await fed.feed(payments=[])
    assert [one.captured for one in order.payments] == [5750]
    assert (await fed.facts())[-1] == "books_disagree"


async def test_a_pending_charge_that_is_gone_is_called_off(fed: Fed) -> None:
    pending = payment_body(ref="P-2", provider_ref="pi_2", status="pending", captured=0)
    await fed.feed(payments=[*fed.body["payments"], pending])
    order = await fed.feed(payments=fed.body["payments"][:1])
    assert [one.status for one in order.payments] == ["confirmed", "cancelled"]


async def test_a_dispute_that_we_learnt_of_ourselves_stays_open(fed: Fed) -> None:
    await fed.pool.execute("UPDATE payment SET dispute = 'open' WHERE platform_id = $1", fed.platform)
    order = await fed.feed(locale="fr")
    assert order.payments[0].dispute == "open"


async def test_a_dispute_opens_and_closes_as_facts_and_a_lost_one_took_the_money(fed: Fed) -> None:
    await fed.feed_payment(dispute="open")
    order = await fed.feed_payment(dispute="lost", disputed_amount=2500)
    assert [kind for kind in await fed.facts() if kind.startswith("dispute")] == ["dispute_opened", "dispute_closed"]
    assert order.payments[0].refunded_elsewhere == 2500


async def test_a_lost_dispute_without_an_amount_took_all_that_was_left(fed: Fed) -> None:
    await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "done"}])
    order = await fed.feed_payment(dispute="lost")
    assert order.payments[0].refunded_elsewhere == order.payments[0].captured


# ------------------------------------------------------------------------------------- our refund, told back


async def our_refund(fed: Fed, *, state: str, provider_ref: str | None) -> None:
    """A refund of 1000 that we made today, as the platform will see it in its own books."""
    case, operation, attempt = uuid4(), uuid4(), uuid4()
    payment = await fed.pool.fetchrow("SELECT id, order_id FROM payment WHERE platform_id = $1", fed.platform)
    assert payment is not None
    await insert_case(fed.pool, fed.platform, case, order=payment["order_id"], owner=None, wait_for=None)
    await fed.pool.execute(
        "INSERT INTO operation (platform_id, id, case_id, order_id, action, state, payment_id, amount, currency, due_at, created_at) "
        "VALUES ($1, $2, $3, $4, 'refund', $5, $6, 1000, 'EUR', app_now(), app_now())",
        fed.platform,
        operation,
        case,
        payment["order_id"],
        state,
        payment["id"],
    )
    await fed.pool.execute(
        "INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, provider_ref) "
        "VALUES ($1, $2, $3, 1, 'stripe', $4, '{}', 'SUCCEEDED', $5)",
        fed.platform,
        attempt,
        operation,
        attempt.hex,
        provider_ref,
    )


async def insert_case(pool: Pool, platform: UUID, case: UUID, *, order: UUID | None, owner: str | None, wait_for: str | None) -> None:
    await pool.execute(
        """
        INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, requester, identity, channel, locale, owner, due_at,
                           wait_for, created_at)
        SELECT $1, $2, CASE WHEN $4::text IS NULL THEN 'resolved' ELSE 'open' END, 'other', id, $3, 'buyer', 'verified', 'api', 'en', $4,
               CASE WHEN $4 IS NOT NULL THEN app_now() + interval '1 day' END, $5, app_now()
        FROM show WHERE platform_id = $1
        """,
        platform,
        case,
        order,
        owner,
        wait_for,
    )


@pytest.mark.parametrize(("sent", "told"), [("re_ours", {"provider_ref": "re_ours"}), (None, {"created_at": "today"})])
async def test_our_own_refund_told_back_is_not_counted_twice(fed: Fed, sent: str | None, told: dict[str, str]) -> None:
    await our_refund(fed, state="DONE", provider_ref=sent)
    if told.get("created_at"):
        told = {"created_at": (await fed.pool.fetchval("SELECT app_now()")).isoformat()}
    order = await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "done", **told}])
    assert order.payments[0].refunded_elsewhere == 0
    assert "refund_seen_elsewhere" not in await fed.facts()


async def test_a_second_refund_like_ours_is_somebody_elses(fed: Fed) -> None:
    await our_refund(fed, state="DONE", provider_ref=None)
    today = (await fed.pool.fetchval("SELECT app_now()")).isoformat()
    refunds = [{"ref": ref, "amount": 1000, "state": "done", "created_at": today} for ref in ("R-1", "R-2")]
    order = await fed.feed_payment(refunds_elsewhere=refunds)
    assert order.payments[0].refunded_elsewhere == 1000


async def test_a_refund_like_one_of_ours_that_failed_is_somebody_elses(fed: Fed) -> None:
    await our_refund(fed, state="FAILED", provider_ref="re_ours")
    order = await fed.feed_payment(refunds_elsewhere=[{"ref": "R-1", "amount": 1000, "state": "done", "provider_ref": "re_ours"}])
    assert order.payments[0].refunded_elsewhere == 1000


# ----------------------------------------------------------------------------------------- people and shows


async def test_a_holder_who_becomes_the_buyer_leaves_no_person_behind(fed: Fed) -> None:
    first, *others = fed.body["positions"]
    await fed.feed(positions=[{**first, "holder": {"name": "Grace", "email": "grace@example.org"}}, *others])
    assert await fed.pool.fetchval("SELECT count(*) FROM person WHERE platform_id = $1", fed.platform) == 2
    await fed.feed(positions=[{**first, "holder": {"name": "A. L.", "email": "ADA@example.org"}}, *others])
    assert await fed.pool.fetchval("SELECT count(*) FROM person WHERE platform_id = $1", fed.platform) == 1


async def test_a_position_moves_to_another_show(fed: Fed) -> None:
    await shows_of(fed.pool).put(fed.platform, "encore", show_feed())
    order = await fed.feed(positions=[{**fed.body["positions"][0], "shows": ["encore"]}, fed.body["positions"][1]])
    assert order.lines[0].shows == ("encore",)


async def test_a_show_nobody_knows_leaves_the_order_as_it_was(fed: Fed) -> None:
    before = await fed.now()
    with pytest.raises(FeedInvalid, match="/positions/0/shows/0"):
        await fed.feed(positions=[{**fed.body["positions"][0], "shows": ["never"]}, fed.body["positions"][1]])
    assert await fed.now() == before


async def owner_of(pool: Pool, platform: UUID, case: UUID) -> str:
    owner: str = await pool.fetchval("SELECT owner FROM cases WHERE platform_id = $1 AND id = $2", platform, case)
    return owner


async def test_an_incident_that_ends_wakes_who_waits_for_it_and_nobody_else(pool: Pool, platform_id: UUID) -> None:
    shows, waiting, other = shows_of(pool), uuid4(), uuid4()
    await shows.put_incident(platform_id, "show", "one", incident_feed())
    await insert_case(pool, platform_id, waiting, order=None, owner="timer", wait_for="incident_end")
    await insert_case(pool, platform_id, other, order=None, owner="timer", wait_for="payment_settles")

    still = await shows.put_incident(platform_id, "show", "one", incident_feed(version=2))
    ended = await shows.put_incident(platform_id, "show", "one", incident_feed(version=3, to="2026-11-20T19:45:00Z"))
    again = await shows.put_incident(platform_id, "show", "one", incident_feed(version=3, to="2026-11-20T19:45:00Z"))

    assert (still.woken, ended.woken, again.woken) == (0, 1, 0)
    assert [await owner_of(pool, platform_id, case) for case in (waiting, other)] == ["process", "timer"]


@pytest.mark.parametrize("change", [{"status": "cancelled"}, {"starts_at": "2026-11-20T19:10:00Z"}])
async def test_a_show_that_is_cancelled_or_moved_wakes_who_waits_for_its_date(
    pool: Pool, platform_id: UUID, change: dict[str, str]
) -> None:
    shows, waiting = shows_of(pool), uuid4()
    await insert_case(pool, platform_id, waiting, order=None, owner="timer", wait_for="show_date")

    renamed = await shows.put(platform_id, "show", show_feed(version=2, name={"en": "Encore"}))
    changed = await shows.put(platform_id, "show", show_feed(version=3, name={"en": "Encore"}, **change))

    assert (renamed.woken, changed.woken) == (0, 1)
    assert await owner_of(pool, platform_id, waiting) == "process"
