"""The route of the one step in which a customer says where a refund should go that cannot go back: `/v1/cases/{id}/payout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to
from service.api.cases import CASE_EXAMPLE, Ref, found, id_of
from service.api.contract import examples
from service.api.headers import Wait, repeatable
from service.callers import Caller
from service.cases import Cases
from service.choices import Chosen
from service.model import WireId, unwire
from service.shown import CaseShown
from service.store.idempotency import IdempotencyKey, IdempotencyStore


class Payout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a refund goes that cannot go back where it came from."""

    operation: Annotated[str, Meta(pattern=r"^op_[0-9a-f]{32}$(?!\n)")]
    to: Ref
    """one of the question's options"""
    address: Annotated[str, Meta(max_length=254, pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\"]+$(?!\n)")] | None = None
    """the mail address of the account, where the way has one"""
    checked: Annotated[str, Meta(min_length=3, max_length=500)] | None = None
    """agents: how you made sure who is asking; a second person has to agree"""


_PAYOUT: Final = {"operation": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60", "to": "paypal", "address": "mia@example.org"}

# What stood in the way of a choice -> how it reads on the wire.
_NOT_CHOSEN: Final[Mapping[str, Callable[[], problems.Problem]]] = {
    "not_strong": lambda: problems.not_allowed(
        "not_strong",
        "A pay-out needs a fresh sign-in with a second factor, or codes by mail and by text to the order's buyer; or a person helps.",
    ),
    "not_offered": lambda: problems.conflict("not_offered", "This way is not open", "The case's question names the ways."),
    "disputed": lambda: problems.conflict("disputed", "The payment is disputed", "Nothing goes out while the bank decides."),
    "excess": lambda: problems.conflict("excess", "This was refunded elsewhere", "A person looks at the order."),
    "under_way": lambda: problems.conflict("under_way", "The refund is being sent right now", "Look again in a minute."),
    "address_needed": lambda: problems.invalid("/address", "is needed for this way"),
    "no_address_needed": lambda: problems.invalid("/address", "is not for this way"),
}


class PayoutRoutes(Controller):
    tags = ("cases",)

    @post(
        "/v1/cases/{case_id:str}/payout",
        status_code=200,
        opt={**opens_to("customer", "agent", scope="actions:write"), **examples(request=_PAYOUT, answer=CASE_EXAMPLE)},
    )
    async def choose_destination(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[Payout],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Says where a refund should go that cannot go back where it came from. A customer needs a strong proof for it (a second factor,
        or codes by mail and by text); what an agent passes on waits for a second person.
        """
        case = id_of(case_id)
        found(await cases.get(caller, case))
        if caller.kind == "agent" and data.checked is None:
            raise problems.invalid("/checked", "is needed: say how you made sure who is asking")
        operation = unwire(WireId.OPERATION, data.operation)
        assert operation is not None  # noqa: S101 - the pattern says so
        chosen = Chosen(operation=operation, rail=data.to, address=data.address, checked=data.checked)
        async with repeatable(repeats, idempotency):
            refusal = _NOT_CHOSEN.get(await cases.choose(caller, idempotency, case, chosen, wait.seconds_max))
            if refusal is not None:
                raise refusal()
        return found(await cases.get(caller, case))
