"""The rails' file: what may be offered when the first rail cannot, and which mistakes stop the start."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from policies import RailsError, bundled_folder, load_rails, pack_files
from service.cli.policy import command

TEXT = (bundled_folder() / "rails.yaml").read_text(encoding="utf-8")
ALL = ("manual", "store_credit", "paypal_payout", "sandbox_payout", "stripe", "adyen")
PROOFS = ("expired_or_canceled_card", "lost_or_stolen_card", "declined", "unknown")


@pytest.mark.parametrize("reason", PROOFS)
def test_what_is_offered_comes_in_the_order_of_the_file(reason: str) -> None:
    rails = load_rails(TEXT)
    assert rails.offers(reason, "EUR", ALL) == ("paypal_payout", "sandbox_payout", "store_credit", "manual")
    assert rails.offers(reason, "KWD", ALL) == ("sandbox_payout", "store_credit", "manual")


def test_only_what_is_there_is_offered() -> None:
    rails = load_rails(TEXT)
    assert rails.offers("declined", "EUR", {"manual", "paypal_payout"}) == ("paypal_payout", "manual")
    assert rails.offers("declined", "EUR", ()) == ()


def test_store_credit_is_never_the_only_choice() -> None:
    rails = load_rails(TEXT)
    assert rails.offers("declined", "EUR", {"store_credit"}) == ()
    assert rails.offers("declined", "EUR", {"store_credit", "manual"}) == ("store_credit", "manual")


@pytest.mark.parametrize("reason", ["insufficient_funds", "charge_for_pending_refund_disputed", "merchant_request", "unclaimed", ""])
def test_nothing_is_offered_without_a_proof(reason: str) -> None:
    assert load_rails(TEXT).offers(reason, "EUR", ALL) == ()


def test_the_first_row_that_fits_decides() -> None:
    first = "backups:\n  - { reasons: [declined], currencies: [EUR], offer: [manual] }\n"
    rails = load_rails(TEXT.replace("backups:\n", first, 1))
    assert rails.offers("declined", "EUR", ALL) == ("manual",)
    assert rails.offers("unknown", "EUR", ALL) == ("paypal_payout", "sandbox_payout", "store_credit", "manual")


def test_a_person_approves_every_payment_that_leaves_a_rail_out_of_reach_unless_the_file_says_otherwise() -> None:
    assert load_rails(TEXT).auto_max("EUR") == 0
    allowed = load_rails(TEXT.replace("auto_max: { EUR: 0", "auto_max: { EUR: 5000", 1))
    assert (allowed.auto_max("EUR"), allowed.auto_max("XAU")) == (5000, 0)


@pytest.mark.parametrize(
    ("amount", "currency", "people"), [(10000, "EUR", 0), (10001, "EUR", 1), (30000, "EUR", 1), (30001, "EUR", 2), (1, "XAU", 2)]
)
def test_large_pay_outs_need_people(amount: int, currency: str, people: int) -> None:
    assert load_rails(TEXT).approvals(amount, currency) == people


def test_times_are_read_as_in_the_packs() -> None:
    rails = load_rails(TEXT)
    assert rails.unreachable.failover_after == timedelta(hours=6)
    assert rails.rollback.after == timedelta(minutes=15)
    assert rails.accepted_seconds_max("adyen", 1.0) == 72 * 3600
    assert rails.accepted_seconds_max("stripe", 1.0) == 1.0
    assert load_rails(TEXT.replace("failover_after: 6h", "failover_after: null")).unreachable.failover_after is None


def test_the_text_is_kept_by_its_hash() -> None:
    rails = load_rails(TEXT)
    assert load_rails(rails.text).hash == rails.hash
    assert load_rails(TEXT.replace("failover_after: 6h", "failover_after: 7h")).hash != rails.hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[unreachable]", "[unreachable, insufficient_funds]", r"insufficient_funds never sends money another way.*backups\[2\]"),
        ("declined, unknown]", "declined, merchant_request]", r"merchant_request never sends money another way.*backups\[0\]"),
        ("[unreachable]", "[charge_for_pending_refund_disputed]", "charge_for_pending_refund_disputed never sends money another way"),
        ("[unreachable]", "[unclaimed]", r"unclaimed.*backups\[2\]\.reasons"),
        ("[unreachable]", "[]", "length >= 1.*reasons"),
        ("offer: [paypal_payout, ", "offer: [adyen, ", r"adyen.*offer"),
        ("offer: [sandbox_payout, store_credit, manual]", "offer: [store_credit]", "only ever offered beside a way to get money"),
        ("offer: [sandbox_payout, store_credit, manual]", "offer: [manual, manual]", "a kind stands twice"),
        ("currencies: any", "currencies: all", "currencies"),
        ("failover_after: 6h", "failover_after: 6", r"6 is not a duration.*failover_after"),
        ("failover_after: 6h", "failover_after: soon", r"'soon' is not a duration.*failover_after"),
        ("failover_after: 6h", "failover_after: 0h", r"above zero.*failover_after"),
        ("read_within: 1h", "read_within: 2h", "`read_within` is at most 1h"),
        ("  read_within: 1h\n", "", "missing required field `read_within`"),
        ("person_over: { EUR: 10000", "person_over: { EUR: 40000", "`second_person_over` has to be at least `person_over` for EUR"),
        ("person_over: { EUR: 10000", "person_over: { EUR: 100.00", "person_over"),
        ("accepted_within: { adyen", "accepted_within: { adien", "adien"),
        ("after: 15m", "after: 10m", "`after` is at least 15m"),
        ("confirm_first: 20", "confirm_first: -1", "confirm_first"),
        ("confirm_first: 20", "confirm_first: 20\n  tea: 1", "unknown field `tea`"),
        ("rollback:", "roll_back:", "roll_?back"),
    ],
)
def test_a_mistake_in_the_file_is_named(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(RailsError, match=message):
        load_rails(TEXT.replace(old, new, 1))


def test_the_file_is_checked_with_the_packs_and_is_none_of_them(tmp_path: Path) -> None:
    assert "rails.yaml" not in {path.name for path in pack_files(bundled_folder())}
    (tmp_path / "rails.yaml").write_text(TEXT.replace("read_within: 1h", "read_within: 3h"), encoding="utf-8")
    result = CliRunner().invoke(command, ["check", str(tmp_path)])
    assert result.exit_code == 1
    assert "rails.yaml: rails: `read_within` is at most 1h" in result.stderr
