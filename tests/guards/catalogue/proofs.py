"""What a proof opens: `functions/addresses.sql`, `proofs.sql` and `texts.sql`, `service/callers.py`, `service/store/identity.py`."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_ADDRESSES: Final = "service/store/functions/addresses.sql"
_PROOFS: Final = "service/store/functions/proofs.sql"
_TEXTS: Final = "service/store/functions/texts.sql"
_CALLER: Final = "service/callers.py"
_SESSIONS: Final = "service/store/identity.py"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/identity/test_texts.py::test_{name}" for name in names)


PROOFS: Final = (
    Guard(
        name="letters beyond ASCII are not folded",
        why="whoever has a mailbox that is written with U+212A for k would have the orders and the codes of the one with k",
        edits=(
            Edit(
                _ADDRESSES,
                "translate(p_email, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')",
                "lower(p_email)",
            ),
        ),
        tests=(
            "tests/identity/test_addresses.py::test_who_bought_under_an_address_that_looks_like_anothers_opens_nothing_of_theirs",
            "tests/identity/test_addresses.py::test_the_database_folds_every_letter_as_we_do",
        ),
    ),
    Guard(
        name="a proof by text counts together with its phone",
        why="whoever orders with a customer's address and a phone of their own would have that customer's orders refunded and reissued",
        edits=(
            Edit(
                _PROOFS,
                "address_folded(p_email) = p_proofs[2] AND phone_e164(p_phone) = p_proofs[3]",
                "address_folded(p_email) = p_proofs[2]",
            ),
        ),
        tests=_tests(
            "an_order_of_ones_own_with_somebodys_address_opens_nothing_of_theirs",
            "what_is_another_buyers_from_now_on_closes_at_once[phone]",
        ),
    ),
    Guard(
        name="a proof by text is none of the address",
        why="the same, by another way: the named address would count as if its mail had been read",
        edits=(
            Edit(
                _CALLER,
                "folded(self.email) if self.email else None, *by_text",
                "folded(self.email) if self.email else by_text[0], *by_text",
            ),
        ),
        tests=_tests("an_order_of_ones_own_with_somebodys_address_opens_nothing_of_theirs"),
    ),
    Guard(
        name="two proofs are strong for the orders that fit both",
        why="whoever reads a customer's mail would order with a phone of their own and have that customer's money paid out to themselves",
        edits=(Edit(_CALLER, 'proven == "both" and self.text', "proven and self.text"),),
        tests=_tests("with_the_mailbox_and_a_phone_of_ones_own_only_the_order_with_that_phone_is_strong"),
    ),
    Guard(
        name="two proofs are strong for ten minutes",
        why="a phone that was left lying about would pay out for half an hour",
        edits=(Edit(_SESSIONS, "text_holds AND s.both_until > now AND", "text_holds AND"),),
        tests=_tests("both_proofs_of_one_buyer_are_strong_for_ten_minutes_in_either_order[mail]"),
    ),
    Guard(
        name="a proof by text is looked at again when its code comes back",
        why="a phone that the customer has given up meanwhile would prove who they are",
        edits=(Edit(_TEXTS, "IF v_phone IS NULL OR NOT EXISTS (", "IF v_phone IS NULL OR false AND NOT EXISTS ("),),
        tests=_tests("a_phone_that_changed_before_the_code_came_back_proves_nothing"),
    ),
    Guard(
        name="a proof by text is used up by its first use",
        why="a code that somebody has seen on a screen would work again",
        edits=(
            Edit(_TEXTS, "AND id = p_code AND used_at IS NULL AND text_phone IS NOT NULL", "AND id = p_code AND text_phone IS NOT NULL"),
        ),
        tests=_tests("of_two_requests_that_took_a_try_at_once_one_alone_proves"),
    ),
)
