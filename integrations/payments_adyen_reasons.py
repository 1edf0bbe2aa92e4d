"""Why a refund failed at Adyen, in our words: whether another way may be tried hangs on the word, so doubt goes to people."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Word = Literal[
    "expired_or_canceled_card",
    "lost_or_stolen_card",
    "declined",
    "insufficient_funds",
    "charge_for_pending_refund_disputed",
    "merchant_request",
    "unknown",
]
Kind = Literal["REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: what stands in the reason, in lower case, and our word for it."""

    says: tuple[str, ...]
    word: Word
    source: str

    def applies(self, reason: str) -> bool:
        return any(part in reason for part in self.says)


# The first row that applies decides. After `declined`, `unknown` and the two of cards another rail may pay (DESIGN 4.6), after the
# others none: so those come first.
REASON_TABLE: Final[tuple[Row, ...]] = (
    Row(
        # more was asked than is left: paying that out by another way would pay twice
        says=("insufficient balance on payment",),
        word="insufficient_funds",
        source="Adyen's SDK for .NET, mocks/notification/refund-false",
    ),
    Row(says=("insufficient balance", "insufficient funds"), word="insufficient_funds", source="Adyen, 'Refund', available funds"),
    Row(
        says=("chargeback", "charged back", "dispute"),
        word="charge_for_pending_refund_disputed",
        source="Adyen, 'Refund': a payment that was charged back has nothing left to refund",
    ),
    Row(
        # Adyen sends it again by itself, for ten days
        says=("technical issue",),
        word="merchant_request",
        source="Adyen, 'CAPTURE_FAILED and REFUND_FAILED reasons', technical issue",
    ),
    Row(
        says=("incorrect request", "configuration", "contract"),
        word="merchant_request",
        source="the same page, incorrect request and account configuration error: for people at the merchant and at Adyen",
    ),
    Row(says=("lost card", "stolen card", "lost or stolen"), word="lost_or_stolen_card", source="Adyen, 'Raw responses'"),
    Row(
        says=("expired card", "card expired", "closed account", "account closed", "invalid card"),
        word="expired_or_canceled_card",
        source="Adyen, 'Raw responses'",
    ),
    Row(says=("refused", "declined", "do not honor"), word="declined", source="Adyen, 'Raw responses'"),
)

# What is in no row. A REFUND that failed never left Adyen, and a reversed one came back: proof that nothing moved. A REFUND_FAILED may be
# sent again by Adyen ("Payments lifecycle": RefundFailed, then SentForRefund), and nobody can ask whether it was: for people.
_ELSE: Final[dict[Kind, Word]] = {"REFUND": "unknown", "REFUNDED_REVERSED": "unknown", "REFUND_FAILED": "merchant_request"}


def failure_word(kind: Kind, reason: str) -> Word:
    """Our word for a reason in Adyen's prose, which itself is kept nowhere."""
    text = reason.lower()
    return next((row.word for row in REASON_TABLE if row.applies(text)), _ELSE[kind])
