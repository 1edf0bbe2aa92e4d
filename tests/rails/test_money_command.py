"""`makegood money stop` and `go` as an operator types them: everywhere in one go, by name, and nothing for a name that is not there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import pytest
from click.testing import CliRunner, Result

from service.cli import main
from tests.rails.seeding import Seeded, platform, refund

WHY = "refunds look too high since 20:10"
_Result = TypeVar("_Result")


def money(database_url: str, *arguments: str) -> Result:
    env = {
        "MAKEGOOD_DATABASE_URL": database_url,
        "MAKEGOOD_SECRET": secrets.token_hex(32),
        "MAKEGOOD_RAIL_MAIN_KIND": "sandbox",
        "MAKEGOOD_RAIL_SECOND_KIND": "sandbox",
        "MAKEGOOD_SANDBOX_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    return CliRunner(env=env).invoke(main, ["money", *arguments])


def in_database(database_url: str, work: Callable[[Any], Awaitable[_Result]]) -> _Result:
    async def run() -> _Result:
        connection = await asyncpg.connect(database_url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def rows(database_url: str, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    async def read(connection: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]

    return in_database(database_url, read)


def is_held(database_url: str, of: Seeded, *, rail: str = "main", show: str = "nll26") -> bool:
    """What every sending asks before it leaves."""
    sql = "SELECT braked($1, 'refund', $2, (SELECT id FROM show WHERE platform_id = $1 AND ref = $3))"
    ((held,),) = rows(database_url, sql, of.id, rail, show)
    return bool(held)


@pytest.fixture
def two(fresh_database_url: str) -> tuple[Seeded, Seeded]:
    """The first has a refund on each rail, and one on another show; the second has one that was accepted, which waits for nobody here."""

    async def seed(connection: Any) -> tuple[Seeded, Seeded]:
        # What waits half a minute does not become due while the commands start.
        await connection.execute("UPDATE app_clock SET stopped_at = clock_timestamp()")
        first, second = await platform(connection), await platform(connection)
        await refund(connection, first)
        await refund(connection, first, rail="second")
        await refund(connection, first, show="off26")
        await refund(connection, second)
        await refund(connection, second, state="SENT", accepted=True)
        return first, second

    return in_database(fresh_database_url, seed)


def test_everything_stops_on_every_platform_and_goes_again(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    stopped = money(fresh_database_url, "stop", "--reason", WHY)
    assert stopped.exit_code == 0, stopped.output
    assert all(is_held(fresh_database_url, one) for one in two)
    assert "stopped: everything (2 platforms)" in stopped.output
    lines = {line.split()[0]: line for line in stopped.output.splitlines() if line.startswith("  ")}
    assert {
        slug: line.endswith(f"by operator: {WHY} ({waiting} waiting)")
        for slug, line, waiting in (
            (two[0].slug, lines[two[0].slug], "3 operations"),
            (two[1].slug, lines[two[1].slug], "1 operation"),
        )
    } == {two[0].slug: True, two[1].slug: True}
    gone = money(fresh_database_url, "go", "--reason", "the numbers were right")
    assert gone.output == "goes again: everything, 4 operations\nnothing is stopped\n"
    assert not any(is_held(fresh_database_url, one) for one in two)
    assert rows(fresh_database_url, "SELECT count(*) FROM operation WHERE due_at <= app_now()") == [(4,)]
    audit = rows(
        fresh_database_url, "SELECT actor, what, why, count(*), count(DISTINCT platform_id) FROM audit GROUP BY 1, 2, 3 ORDER BY 2"
    )
    assert audit == [("operator", "paused", WHY, 2, 2), ("operator", "resumed", "the numbers were right", 2, 2)]


def test_a_rail_stops_on_every_platform_and_others_go_on(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    done = money(fresh_database_url, "stop", "--rail", "main", "--reason", WHY)
    assert done.exit_code == 0
    assert all(is_held(fresh_database_url, one) for one in two)
    assert not any(is_held(fresh_database_url, one, rail="second") for one in two)
    assert "goes again: rail main, 3 operations" in money(fresh_database_url, "go", "--rail", "main", "--reason", WHY).output


def test_one_platform_stops_alone(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    first, second = two
    assert money(fresh_database_url, "stop", "--platform", first.slug, "--reason", WHY).exit_code == 0
    assert (is_held(fresh_database_url, first), is_held(fresh_database_url, second)) == (True, False)
    gone = money(fresh_database_url, "go", "--platform", first.slug, "--reason", WHY)
    assert gone.output.startswith(f"goes again: everything of {first.slug}, 3 operations")


def test_one_show_stops_alone(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    first, second = two
    done = money(fresh_database_url, "stop", "--show", f"{first.slug}/off26", "--reason", WHY)
    assert "show off26" in done.output
    assert "(1 operation waiting)" in done.output
    assert is_held(fresh_database_url, first, show="off26")
    assert not is_held(fresh_database_url, first)
    assert not is_held(fresh_database_url, second)
    assert "1 operation\n" in money(fresh_database_url, "go", "--show", f"{first.slug}/off26", "--reason", WHY).output


def test_what_something_else_holds_is_said_and_stays(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    money(fresh_database_url, "stop", "--rail", "main", "--reason", WHY)
    money(fresh_database_url, "stop", "--reason", WHY)
    gone = money(fresh_database_url, "go", "--reason", WHY)
    assert gone.output.startswith("goes again: everything, 1 operation\n")
    assert gone.output.count("rail main") == 2
    assert is_held(fresh_database_url, two[0])


def test_letting_go_what_is_not_stopped_changes_nothing(fresh_database_url: str, two: tuple[Seeded, Seeded]) -> None:
    del two
    gone = money(fresh_database_url, "go", "--rail", "second", "--reason", WHY)
    assert (gone.exit_code, gone.output) == (0, "nothing was stopped by that name: rail second\nnothing is stopped\n")
    assert rows(fresh_database_url, "SELECT count(*) FROM audit") == [(0,)]


@pytest.mark.parametrize("verb", ["stop", "go"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rail", "mian"], "there is no rail mian; there are main, second"),
        (["--platform", "nowhere"], "there is no platform nowhere"),
        (["--show", "nowhere/nll26"], "there is no platform nowhere"),
        (["--show", "{first}/nowhere"], "has no show nowhere"),
        (["--show", "nll26"], "a show is named by its platform and its reference"),
        (["--rail", "main", "--platform", "{first}"], "name one of them"),
        (["--reason", " "], "one line of 1 to 500 characters"),
    ],
)
def test_a_name_that_is_not_there_stops_nothing_and_says_so(
    fresh_database_url: str, two: tuple[Seeded, Seeded], verb: str, arguments: list[str], told: str
) -> None:
    done = money(fresh_database_url, verb, "--reason", WHY, *(one.replace("{first}", two[0].slug) for one in arguments))
    assert done.exit_code != 0
    assert told in done.output
    assert rows(fresh_database_url, "SELECT count(*) FROM brake") == [(0,)]


def test_a_reason_is_needed(fresh_database_url: str) -> None:
    done = money(fresh_database_url, "stop")
    assert done.exit_code != 0
    assert "--reason" in done.output
