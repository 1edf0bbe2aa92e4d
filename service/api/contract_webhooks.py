"""The `webhooks` section of the contract: every event that a platform's endpoints are sent, with its schema and an example."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from service.events import TYPES, EventType, PlatformEvent, example_of

_REF: Final = "#/components/schemas/{name}"


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}, "example": example}


# Standard Webhooks 1.0.0, "Webhook Headers" and "Signature scheme".
_HEADERS: Final = [
    _header("webhook-id", "The event's id, the same at each try: what was seen before need not be done again.", example_of("ping").id),
    _header("webhook-timestamp", "When this try was sent, in seconds since 1970: refuse what is older than five minutes.", "1795206600"),
    _header(
        "webhook-signature",
        "`v1,` and the HMAC-SHA256 of `id.timestamp.body` under the endpoint's secret, in base64; while secrets change, one for each,"
        " by spaces.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
]


def webhooks() -> dict[str, Any]:
    """Type -> path item (OpenAPI 3.1, section 4.8.1)."""
    return {name: {"post": _operation(name, kind)} for name, kind in TYPES.items()}


def schemas() -> dict[str, Any]:
    """The schemas that `webhooks` names."""
    kinds = [PlatformEvent, *dict.fromkeys(kind.data for kind in TYPES.values())]
    return msgspec.json.schema_components(kinds, ref_template=_REF)[1]


def _operation(name: str, kind: EventType) -> dict[str, Any]:
    narrowed = {
        "type": "object",
        "properties": {"type": {"const": name}, "data": {"$ref": _REF.format(name=kind.data.__name__)}},
    }
    return {
        "operationId": "event_" + name.replace(".", "_"),
        "tags": ["webhooks"],
        "summary": name,
        "description": kind.meaning,
        "security": [],
        "parameters": _HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"allOf": [{"$ref": _REF.format(name=PlatformEvent.__name__)}, narrowed]},
                    "example": msgspec.to_builtins(example_of(name)),
                }
            },
        },
        "responses": {
            "2XX": {"description": "Taken. Answer within 15 seconds, and do the work afterwards."},
            "410": {"description": "The endpoint is gone: nothing more is sent to it."},
            "default": {"description": "Anything else is tried again, for three days."},
        },
    }
