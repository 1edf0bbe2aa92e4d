"""Writes the OpenAPI document of the interface that platforms implement, from the structs and the codes that its adapter reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from integrations.platform_http_errors import CODES
from integrations.platform_http_wire import ORDERS_MAX, ChangedOrders, Cursor, OrderHint, PlatformOrder, Refusal, ReplacedPass
from service.feed import Ref

_REF_TEMPLATE: Final = "#/components/schemas/{name}"
_STRUCTS: Final = (PlatformOrder, ChangedOrders, ReplacedPass, Refusal, OrderHint)

SHOW: Final[Mapping[str, Any]] = {
    "version": 3,
    "name": {"en": "Northern Lights Live", "de": "Nordlicht live"},
    "zone": "Europe/Berlin",
    "starts_at": "2026-11-20T19:00:00Z",
    "ends_at": "2026-11-20T20:30:00Z",
    "status": "scheduled",
}
ORDER: Final[Mapping[str, Any]] = {
    "version": 1790000000000000,
    "status": "paid",
    "currency": "EUR",
    "total": 2500,
    "buyer": {"name": "Mira Example", "email": "mira@example.org", "customer_ref": "c-1007"},
    "locale": "de",
    "placed_at": "2026-10-01T10:00:00Z",
    "positions": [
        {
            "ref": "1",
            "kind": "stream",
            "name": "Stream pass",
            "shows": ["nll26"],
            "price": 2500,
            "tax": 399,
            "pass": {"issuer": "platform", "barcode": "k3v9q2m8x7", "status": "valid"},
        }
    ],
    "payments": [
        {
            "ref": "P-1",
            "rail": "stripe",
            "provider_ref": "pi_3Q0000000001",
            "status": "confirmed",
            "amount": 2500,
            "captured": 2500,
            "method": "Visa 4242",
            "created_at": "2026-10-01T10:00:00Z",
            "paid_at": "2026-10-01T10:00:09Z",
        }
    ],
}
PLATFORM_ORDER: Final[Mapping[str, Any]] = {"ref": "M0VLU", "order": ORDER, "shows": {"nll26": SHOW}}
CHANGED: Final[Mapping[str, Any]] = {"orders": [PLATFORM_ORDER], "cursor": "1841", "more": False}
REPLACED: Final[Mapping[str, Any]] = {"barcode": "q7d2m4x9k1", "issuer_ref": "ticket-88213"}
HINT: Final[Mapping[str, Any]] = {"order": "M0VLU"}

_INTRODUCTION: Final = """What a platform implements so that Makegood reads its orders when it needs them, and has new tickets made there.

Every request carries `Authorization: Bearer <token>`: the token that stands in the platform's settings. Redirects are not followed, nothing
is unpacked. A refusal is a JSON object with a `code`; an answer without one is taken for something in between, which knows nothing.
Whatever changes something is sent once under its key, and again under the same key where no answer came: the same key is answered the same,
for at least a day. What happened at Makegood is told by signed webhooks to the platform's endpoints (`/v1/endpoints` of Makegood's own
contract)."""


def contract() -> dict[str, Any]:
    """The whole document; the same code gives the same document."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REF_TEMPLATE)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Makegood's interface for platforms", "version": "1", "description": _INTRODUCTION},
        "servers": [{"url": "https://shop.example/makegood", "description": "`source.url` of the platform's settings"}],
        "security": [{"token": []}],
        "paths": {
            "/orders/{ref}": {"get": _read_order()},
            "/orders": {"get": _changed_orders()},
            "/orders/{ref}/positions/{position}/pass/replace": {"post": _replace()},
            "/orders/{ref}/positions/{position}/pass/void": {"post": _void()},
        },
        "webhooks": {"order_changed": {"post": _hint()}},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
            "responses": {"Refused": _refused()},
        },
    }


def _read_order() -> dict[str, Any]:
    return {
        "operationId": "readOrder",
        "summary": "One order as it is now",
        "description": "Within seven seconds, and four megabytes. 404 with `not_found`: there is no such order; one that was cancelled is"
        " there, and says so. Where capitals are not told apart, `ref` in the answer is the order's own name.",
        "parameters": [_path("ref", "The order's reference, as a customer has it.")],
        "responses": {"200": _answer("The order, whole.", PlatformOrder, PLATFORM_ORDER), "4XX": _REFUSED},
    }


def _changed_orders() -> dict[str, Any]:
    return {
        "operationId": "readChangedOrders",
        "summary": "What changed since",
        "description": "Asked twice a minute, page by page while there is `more`; within thirty seconds, and sixteen megabytes.",
        "parameters": [
            _query("changed_since", "The `cursor` of the page before; left out: from the beginning.", _schema(Cursor)),
            _query("limit", "The most orders that are taken in one answer.", {"type": "integer", "minimum": 1, "maximum": ORDERS_MAX}),
        ],
        "responses": {"200": _answer("The changes, oldest first.", ChangedOrders, CHANGED), "4XX": _REFUSED},
    }


def _replace() -> dict[str, Any]:
    return {
        "operationId": "replacePass",
        "summary": "A new ticket for a position",
        "description": "The gate refuses the old barcode once this is answered, and takes the new one. Within nine seconds.",
        "parameters": [*_position(), _KEY],
        "responses": {"200": _answer("The new ticket.", ReplacedPass, REPLACED), "4XX": _REFUSED},
    }


def _void() -> dict[str, Any]:
    return {
        "operationId": "voidPass",
        "summary": "A ticket admits nobody any more",
        "description": "It was paid back. One that is void already is answered the same. Within nine seconds.",
        "parameters": [*_position(), _KEY],
        "responses": {"204": {"description": "It admits nobody."}, "4XX": _REFUSED},
    }


def _hint() -> dict[str, Any]:
    return {
        "operationId": "orderChanged",
        "summary": "Posted by the platform to Makegood: an order changed",
        "description": "To `/webhooks/http/<platform>/<source.webhook_token>` of Makegood, if the platform likes to be read within seconds."
        " The body is believed in nothing but the reference.",
        "security": [],
        "requestBody": {"required": True, "content": _json(OrderHint, HINT)},
        "responses": {
            "204": {"description": "It is read as soon as possible."},
            "429": {"description": "Too many at once; what was not said is found by looking."},
        },
    }


def _refused() -> dict[str, Any]:
    meanings = "\n".join(f"* `{code}`: {meaning}" for code, meaning in CODES.items())
    return {
        "description": f"Nothing was done.\n\n{meanings}",
        "content": _json(Refusal, {"code": "not_found"}),
        "headers": {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}},
    }


_REFUSED: Final[Mapping[str, Any]] = {"$ref": "#/components/responses/Refused"}


def _schema(kind: Any) -> dict[str, Any]:
    return msgspec.json.schema(kind)


_KEY: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same again is answered with what it made the first time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "op_0199a1b2c3d47e5f8a9b0c1d2e3f4a5e-1",
}


def _path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": _schema(Ref)}


def _query(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _position() -> list[dict[str, Any]]:
    return [_path("ref", "The order's reference."), _path("position", "The position's `ref` in the order.")]


def _json(kind: type[msgspec.Struct], example: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF_TEMPLATE.format(name=kind.__name__)}, "example": example}}


def _answer(description: str, kind: type[msgspec.Struct], example: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": _json(kind, example)}
