"""What each error of a platform's own interface means: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from integrations import http_errors as shared
from integrations.http_errors import Failure, Row, Trouble, declined, on_code
from integrations.outside_http import NotOutside
from integrations.platform_http_wire import Refusal
from service.ports import Declined, OutcomeUnknown, Unavailable

_CONTRACT: Final = "our interface, openapi/platform.json"

# The words of the interface, which alone are repeated: another word may quote whatever the request was about.
CODES: Final[Mapping[str, str]] = {
    "not_found": "no such order, or no such position of it",
    "declined": "it is not done, for reasons of the platform's own: the position is cancelled, the show is over",
    "unsupported": "the platform never does this for such a position",
    "in_progress": "an earlier request with this key is still running",
    "idempotency_misuse": "this key came before with another order or position",
    "unauthorized": "the token is missing or wrong",
    "forbidden": "the token may not do this",
    "rate_limited": "too much at once; `Retry-After` says when to come back",
    "invalid": "the request cannot be read",
}

# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row[Trouble], ...]] = (
    Row(
        name="not outside",
        applies=lambda t: isinstance(t.cause, NotOutside),
        failure=lambda _: Unavailable("the address is not on the public network", never_sent=True, configuration=True),
        source="integrations/outside_http.py: no connection was made",
    ),
    shared.NEVER_CONNECTED,
    shared.NO_ANSWER,
    shared.server_error("RFC 9110, 15.6: the server failed; it does not say how far it got"),
    shared.NO_REFUSAL,
    shared.key_in_use("draft-ietf-httpapi-idempotency-key-header, 2.7: an earlier request with the key is still running", "in_progress"),
    shared.too_many_requests("RFC 6585, 4: limited before it is carried out"),
    shared.not_allowed("RFC 9110, 15.5.2 and 15.5.4: the token is missing, wrong or not allowed to do this"),
    shared.not_their_words(f"{_CONTRACT}: refusals are objects with a code, so something in between answered"),
    on_code("not_found", declined("not_found"), f"{_CONTRACT}: no such order or position"),
    on_code("declined", declined("declined"), f"{_CONTRACT}: it does not want to, for reasons of its own"),
    on_code("unsupported", declined("unsupported"), f"{_CONTRACT}: it never does this"),
    on_code("idempotency_misuse", declined("idempotency_misuse"), f"{_CONTRACT}: the key was used for something else"),
    shared.unreadable(f"{_CONTRACT}: any other 4xx was validated and not carried out"),
)


def failure_of(trouble: Trouble) -> Failure:
    """What it means for something that was to be done; see `http_errors.failure_by`."""
    return shared.failure_by(ERROR_TABLE, trouble)


def read_failure_of(trouble: Trouble) -> Unavailable:
    """What it means for a read, which changes nothing: it can be asked again. No such address is a matter of settings."""
    failure = failure_of(trouble)
    if isinstance(failure, Unavailable):
        return failure
    is_ours = isinstance(failure, Declined) or trouble.status in {404, 405}
    return Unavailable(_said(failure, trouble), retry_after_seconds=trouble.retry_after_seconds, configuration=is_ours)


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is no success."""
    said = shared.told(body, Refusal)
    code = said.code if said is not None and said.code in CODES else ""
    return Trouble(status=status, theirs=said is not None, code=code, retry_after_seconds=shared.retry_after(headers))


def _said(failure: Declined | OutcomeUnknown, trouble: Trouble) -> str:
    return str(failure) if isinstance(failure, Declined) else trouble.detail
