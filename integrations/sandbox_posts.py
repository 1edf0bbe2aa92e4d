"""What the sandbox posts: one change of one refund or charge, signed as Standard Webhooks has it."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec

NOTIFICATION_COLUMNS: Final = "id, account, kind, item::text AS item, made_at"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The body of one post. `item`: the refund, the dispute or the warning as it was when it changed."""

    id: int
    account: str
    kind: str
    item: dict[str, str | int]
    made_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A row of `sandbox.notification`."""
        item: dict[str, Any] = msgspec.json.decode(row["item"])
        return cls(id=row["id"], account=row["account"], kind=row["kind"], item=item, made_at=row["made_at"].astimezone(UTC))


class SignedPost(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, ready to be posted."""

    id: int
    body: bytes
    headers: Mapping[str, str]


def signed_post(told: Told, secret: str, now: datetime) -> SignedPost:
    body = msgspec.json.encode(told)
    stamp = str(int(now.timestamp()))
    headers = {
        "content-type": "application/json",
        "webhook-id": f"sandbox_{told.id}",
        "webhook-timestamp": stamp,
        "webhook-signature": signature(secret, f"sandbox_{told.id}", stamp, body),
    }
    return SignedPost(id=told.id, body=body, headers=headers)


def signature(secret: str, message_id: str, stamp: str, body: bytes) -> str:
    """Standard Webhooks, "Signature scheme": HMAC-SHA256 over `id.timestamp.body`, with the secret as it is and not decoded."""
    signed = f"{message_id}.{stamp}.".encode() + body
    return "v1," + b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
