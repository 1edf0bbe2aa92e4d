"""How the value of a fact reads stands beside it: no screen guesses by its name."""

from __future__ import annotations

from tests.desk.acting import at_desk, refund
from tests.promises.house import House


async def test_each_fact_says_how_its_value_reads(house: House) -> None:
    at = await at_desk(house, charges=2)
    ticket = await house.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order)
    kinds: dict[str, str] = {}
    for action in (refund(), {"action": "replace_pass", "pass_id": f"pass_{ticket.hex}"}):
        seen = await at.preview(action)
        assert seen["currency"] == "EUR", "sums are shown, whether money moves or not"
        for one in seen["facts"]:
            kinds[one["name"].rpartition(".")[2]] = one["kind"]
            fits = {"money": int, "count": int, "text": str, "state": str, "yes_no": bool}[one["kind"]]
            assert type(one["value"]) is fits, one
    assert {name: kinds[name] for name in ("captured", "refunded", "given", "total")} == dict.fromkeys(
        ("captured", "refunded", "given", "total"), "money"
    )
    assert (kinds["replacements"], kinds["checked_in"], kinds["dispute"], kinds["status"]) == ("count", "yes_no", "state", "state")
