"""How conversations are recorded and met again: the same for the script that records and the tests that replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vcr  # type: ignore[import-untyped]

from tests.peers.stateful_mock import VERSION

FOLDER = Path(__file__).parent / f"stripe_stateful_mock_{VERSION}"
# Set by the recording script alone; tests never reach out.
RECORDING_VARIABLE = "MAKEGOOD_RECORD_CASSETTES"
# Part of every recorded address, so it has to be the same each time it is recorded.
PORT = 12111
BASE_URL = f"http://127.0.0.1:{PORT}"


def _same_key(asked: Any, recorded: Any) -> None:
    """A request under another idempotency key is another request, whatever else is the same."""
    assert _key(asked) == _key(recorded)


def _key(request: Any) -> str | None:
    found = {name.lower(): value for name, value in request.headers.items()}.get("idempotency-key")
    value: str | None = found[0] if isinstance(found, list) else found
    return value


def recorder(record_mode: str) -> vcr.VCR:
    """`none` replays and refuses what was not recorded; `all` records."""
    machine = vcr.VCR(
        record_mode=record_mode,
        match_on=["method", "scheme", "host", "port", "path", "query", "body", "same_key"],
        # no key ever lands in a file, nor what the machine that recorded looked like
        filter_headers=[("authorization", "Bearer sk_test_X"), "user-agent", "accept", "accept-encoding", "connection"],
    )
    machine.register_matcher("same_key", _same_key)
    return machine
