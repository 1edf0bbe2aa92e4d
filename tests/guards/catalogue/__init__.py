"""The guards of the money, each with what it keeps from happening, the patch that takes it out, and the tests that stand for it."""

from __future__ import annotations

from typing import Final

from tests.guards.catalogue.award import AWARD
from tests.guards.catalogue.news import NEWS
from tests.guards.catalogue.offers import OFFERS
from tests.guards.catalogue.others import OTHERS
from tests.guards.catalogue.people import PEOPLE
from tests.guards.catalogue.proofs import PROOFS
from tests.guards.catalogue.referrals import REFERRALS
from tests.guards.catalogue.sending import SENDING
from tests.guards.catalogue.tables import TABLES
from tests.guards.catalogue.takeover import TAKEOVER

ALL: Final = (*TABLES, *AWARD, *SENDING, *TAKEOVER, *NEWS, *PEOPLE, *OFFERS, *PROOFS, *REFERRALS, *OTHERS)
# In every `make test`: what a customer or an accountant would feel first. `make guards` breaks them all.
SAMPLE: Final = (
    "one live attempt an operation",
    "what a payment has left",
    "the lease's epoch when an answer is stored",
    "the same key for a repeat",
    "no other rail while the first may have paid",
    "Stripe's refund is read, and not taken from the body",
)
