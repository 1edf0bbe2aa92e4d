from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.logs import configure
from service.settings import Secret


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    configure(format="json", level="info", stream=stream)
    yield stream
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_ids(lines: io.StringIO) -> None:
    structlog.get_logger("service.operations").info("refund_accepted", case_id="case_1", minor=694)
    (line,) = read(lines)
    assert (line["event"], line["level"], line["logger"], line["case_id"], line["minor"]) == (
        "refund_accepted",
        "info",
        "service.operations",
        "case_1",
        694,
    )
    assert line["at"].endswith("Z")


def test_what_must_not_be_logged_is_hidden(lines: io.StringIO) -> None:
    structlog.get_logger().info("code_sent", email="eve@example.com", token="tok_1", key=Secret("s3cret"), channel="email")
    assert "eve@" not in lines.getvalue()
    assert "tok_1" not in lines.getvalue()
    assert "s3cret" not in lines.getvalue()
    assert read(lines)[0]["channel"] == "email"


def test_the_lines_of_libraries_have_the_same_shape(lines: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("slow by %d ms", 12)
    (line,) = read(lines)
    assert (line["event"], line["level"], line["logger"]) == ("slow by 12 ms", "warning", "somebody.else")


def test_an_exception_is_told_whole_on_one_line(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("no")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("operation_crashed", operation_id="op_1")
    (line,) = read(lines)
    assert "ValueError: no" in line["exception"]


def test_debug_is_left_out_at_level_info(lines: io.StringIO) -> None:
    structlog.get_logger().debug("looked")
    assert lines.getvalue() == ""


def test_a_line_has_an_end(lines: io.StringIO) -> None:
    structlog.get_logger().info("answer_read", body="x" * 1_000_000)
    assert len(lines.getvalue()) < 5000
