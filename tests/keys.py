"""Keys of requests for tests that come in beneath HTTP."""

from __future__ import annotations

from uuid import UUID, uuid4

from service.store.idempotency import IdempotencyKey


def fresh_key(platform: UUID) -> IdempotencyKey:
    """As a client has one for each thing it wants done."""
    return IdempotencyKey(platform_id=platform, caller="test", method="POST", path="/v1/test", key=uuid4().hex, body_hash=b"")
