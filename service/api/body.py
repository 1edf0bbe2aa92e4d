"""Reads request bodies: JSON, decoded once and strictly into the handler's own struct, with every mistake named by its place."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import cache
from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection, Request
from litestar.dto import AbstractDTO
from litestar.dto.config import DTOConfig
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from service.api import problems

# What most routes get: a case with a long message is a hundredth of it. Bulk routes set `request_max_body_size` of their own.
BODY_BYTES_MAX: Final = 1024 * 1024

# PostgreSQL's bigint, which is where our integers go.
_BIGINT_MIN: Final = -(2**63)
_BIGINT_MAX: Final = 2**63 - 1

# Shorter runs of digits cannot leave a bigint.
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")


class JsonBody(AbstractDTO[Any]):
    """How Litestar gets a handler's `data`. Its own way converts leniently ("5" passes as 5); this one is strict, and twice as fast."""

    config = DTOConfig()
    model_type = object

    def decode_bytes(self, value: bytes) -> Any:
        connection: ASGIConnection[Any, Any, Any, Any] = self.asgi_connection
        if isinstance(connection, Request):
            _check_media_type(connection)
        field = getattr(connection.route_handler, "parsed_data_field", None)
        return decode(value, field.annotation if field else Any)

    def decode_builtins(self, value: dict[str, Any]) -> Any:  # noqa: ARG002 - forms, which we take nowhere
        raise problems.Problem(status=415, code="unsupported_media_type")

    @classmethod
    def create_for_field_definition(cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None) -> None:
        """Nothing to prepare: decoders are made on first use and kept."""

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:  # noqa: ARG003 - the signature is Litestar's
        """False: this is for what comes in, never for what goes out."""
        return False

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Reference | Schema:  # noqa: ARG003
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:  # noqa: ARG003
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:  # noqa: ARG003
        return False


def decode(body: bytes, kind: Any) -> Any:
    """The body as that type. Raises Problem 400 naming the place: not JSON, not this shape, text or numbers no database can hold."""
    try:
        decoded = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise problems.from_validation(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # msgspec says what and at which byte, and quotes nothing of the body
        said = str(error) if isinstance(error, msgspec.DecodeError) else "not UTF-8"
        raise problems.invalid("", f"not JSON: {said}", code="malformed_json") from None
    except RecursionError:
        raise problems.invalid("", "nested too deeply", code="malformed_json") from None
    if b"\\u0000" in body or _LONG_NUMBER.search(body):
        for place, said in _unfit(msgspec.json.decode(body), ""):
            raise problems.invalid(place, said)
    return decoded


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _check_media_type(request: Request[Any, Any, Any]) -> None:
    """JSON in UTF-8 it is (RFC 8259, section 8.1); `application/merge-patch+json` and its like are JSON too."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said == "application/json" or (said.startswith("application/") and said.endswith("+json")):
        return
    raise problems.Problem(
        status=415,
        code="unsupported_media_type",
        errors=[problems.FieldError(field="Content-Type", message="has to be application/json")],
    )


def _unfit(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Places of text with NUL and of integers beyond bigint. The recursion is as deep as msgspec let the body be."""
    if isinstance(value, str) and "\x00" in value:
        yield place, "holds the character NUL"
    elif isinstance(value, int) and not _BIGINT_MIN <= value <= _BIGINT_MAX:
        yield place, "is beyond a 64-bit integer"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unfit(item, f"{place}/{index}")
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\x00" in name:
                yield place, "has a field whose name holds the character NUL"
            yield from _unfit(item, f"{place}/{name}")
