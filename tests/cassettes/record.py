"""Records every conversation of the contract with the peer anew: `python -m tests.cassettes.record`."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

from tests.cassettes.recorder import FOLDER, PORT, RECORDING_VARIABLE
from tests.peers import stateful_mock

_README = """# Recorded against a stand-in, not against Stripe

| | |
|---|---|
| peer | npm `stripe-stateful-mock` {version}, started by `tests/peers/stateful_mock.py` |
| recorded | {date} |
| command | `python -m tests.cassettes.record` |
| replayed by | `tests/contracts/rails/test_stripe_recorded.py`, `record_mode="none"` |

They show that the adapter still writes and reads what the peer answered on that day. They say nothing about the real processor,
about idempotency or about timeouts: for those see `test_stripe_peer.py`, `test_stripe_lost_answers.py` and `test_stripe_errors.py`.
No key is in them.
"""


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.yaml"):
        old.unlink()
    with stateful_mock.running(PORT):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/contracts/rails/test_stripe_recorded.py"],
            env={**os.environ, RECORDING_VARIABLE: "1"},
            check=False,
        )
    (FOLDER / "README.md").write_text(_README.format(version=stateful_mock.VERSION, date=datetime.now(UTC).date()), encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
