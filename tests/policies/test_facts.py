"""What may be a fact: the declared type, and nothing that only looks like it."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from policies.facts import fact_type, parse_duration, type_of_default


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "", ""),
        ("int", -(2**63), -(2**63)),
        ("bool", False, False),
        ("double", 0.25, 0.25),
        # JSON writers drop the point.
        ("double", 1, 1.0),
        ("timestamp", "2026-11-03T20:00:00Z", datetime(2026, 11, 3, 20, tzinfo=UTC)),
        ("timestamp", datetime(2026, 11, 3, 20, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 11, 3, 19, tzinfo=UTC)),
        ("duration", "90m", timedelta(minutes=90)),
        ("duration", "PT1H30M", timedelta(minutes=90)),
        ("duration", timedelta(0), timedelta(0)),
        ("list", ["a"], ["a"]),
        ("list<int>", (1, 2), [1, 2]),
        ("list<double>", [1], [1.0]),
    ],
)
def test_a_value_of_its_type_is_taken(kind: str, value: Any, expected: Any) -> None:
    got = fact_type(kind).check(value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("int", True, "must be int, and is bool"),
        ("int", 1.0, "must be int, and is float"),
        ("int", "1", "must be int, and is str"),
        ("int", 2**63, "does not fit into 64 bits"),
        ("bool", 1, "must be bool, and is int"),
        ("bool", "true", "must be bool, and is str"),
        ("double", True, "must be double, and is bool"),
        ("double", float("nan"), "is not a finite number"),
        ("double", float("inf"), "is not a finite number"),
        ("double", 2**53 + 1, "too large"),
        ("string", b"x", "must be string, and is bytes"),
        ("string", "\ud800", "surrogates not allowed"),
        ("string", "x" * 2001, "at most 2000 are allowed"),
        ("timestamp", "2026-11-03T20:00:00", "has no time zone"),
        ("timestamp", datetime(2026, 11, 3, 20), "has no time zone"),  # noqa: DTZ001 - that is the mistake
        ("timestamp", "yesterday", "must be timestamp"),
        ("timestamp", 1_700_000_000, "must be timestamp"),
        ("duration", 90, "must be duration, and is int"),
        ("duration", "", "is not a duration"),
        ("duration", "an hour", "is not a duration"),
        ("list", "abc", "must be list<string>, and is str"),
        ("list", ["a", 1], "must be string, and is int"),
        ("list<int>", [True], "must be int, and is bool"),
        ("list", ["a"] * 101, "has 101 items, at most 100"),
    ],
)
def test_a_value_that_only_looks_like_its_type_is_refused(kind: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fact_type(kind).check(value)


def test_durations_are_written_short() -> None:
    assert parse_duration("2d") == timedelta(days=2)
    assert parse_duration("1h30m") == timedelta(minutes=90)
    assert parse_duration("45s") == timedelta(seconds=45)


@pytest.mark.parametrize(
    ("default", "kind"),
    [(True, "bool"), (48, "int"), (0.1, "double"), ("x", "string"), (["x"], "list<string>"), ([1], "list<int>")],
)
def test_a_parameter_has_the_type_of_its_default(default: object, kind: str) -> None:
    assert type_of_default(default).name == kind


@pytest.mark.parametrize("default", [None, [], [[1]], {}])
def test_a_default_that_tells_no_type_is_refused(default: object) -> None:
    with pytest.raises(ValueError, match="default must be"):
        type_of_default(default)
