"""The sandbox issuer of passes: answers like a platform's own, remembers nothing, and gives the same key the same answer."""

from __future__ import annotations

import hashlib
from collections import deque

from service.ports import NewPass


class SandboxIssuer:
    """New barcodes are derived from the key, so a repeat after a crash is the same pass. `fail_next` scripts what goes wrong."""

    def __init__(self) -> None:
        self._failures: deque[Exception] = deque()

    def fail_next(self, *failures: Exception) -> None:
        self._failures.extend(failures)

    async def replace(self, *, order_ref: str, position_ref: str, key: str) -> NewPass:
        self._fail()
        digest = hashlib.sha256(f"{order_ref}\0{position_ref}\0{key}".encode()).hexdigest()
        return NewPass(barcode=digest[:32], issuer_ref=f"sandbox-{digest[32:44]}")

    async def void(self, *, order_ref: str, position_ref: str, key: str) -> None:
        del order_ref, position_ref, key
        self._fail()

    def _fail(self) -> None:
        if self._failures:
            raise self._failures.popleft()
