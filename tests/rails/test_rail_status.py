"""A platform sees how its rails do, and whether to take new payments there; of other platforms it sees nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
import msgspec
import pytest

from integrations.sandbox_memory import MemorySandboxRail
from service.api.frame import build_app
from service.api.rails import RailRoutes
from service.keys import Keys
from service.ports import RefundRail
from service.rail_status import Rails
from service.rails import LIMITS
from service.store.brakes import BrakeStore
from service.store.keys import Change, KeyStore
from service.store.pool import Pool
from service.store.rails import RailStore
from tests.identity.world import World, calling
from tests.rails.seeding import Seeded, platform, refund

BACK: Final = "main"
OUT: Final = "payout"
WELL: Final = {"state": "closed", "since": None, "why": "", "take_new_payments": True, "reason": "well", "last_failure": None}


class PaysOut(MemorySandboxRail):
    """Money goes to where a customer says."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.traits = msgspec.structs.replace(self.traits, pays="out")


class Desk:
    """One platform, looking at its rails."""

    def __init__(self, http: httpx.AsyncClient, world: World, of: Seeded, token: str) -> None:
        self._http = http
        self.pool = world.pool
        self.of = of
        self._token = token
        self.store = RailStore(world.pool)

    async def rails(self) -> dict[str, Any]:
        answer = await self._http.get("/v1/rails", headers={"Authorization": f"Bearer {self._token}"})
        assert answer.status_code == 200, answer.text
        return {one["name"]: one for one in answer.json()["rails"]}

    async def main(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.rails())[BACK]
        return found

    async def breaks(self) -> None:
        for _ in range(LIMITS.failures):
            await self.store.failed(BACK, "unreachable", LIMITS, probe=False)


@pytest.fixture
async def desk(still_pool: Pool) -> AsyncIterator[Desk]:
    world = World(still_pool)
    of = await platform(still_pool)
    rails: Mapping[str, RefundRail] = {name: MemorySandboxRail(name) for name in (BACK, "second")} | {OUT: PaysOut(OUT)}
    kinds = dict.fromkeys((BACK, "second"), "sandbox") | {OUT: "sandbox_payout"}
    status = Rails(RailStore(still_pool), rails=rails, kinds=kinds, paces={BACK: 25.0, "second": None})
    made = await Keys(KeyStore(still_pool)).make_platform_key(
        of.id, name="shop", scopes=(), days=1, change=Change(actor="test", why="a test says so")
    )
    parts = msgspec.structs.replace(world.parts(), domain={**world.parts().domain, "rails": status})
    async with calling(build_app(parts, (RailRoutes,), version="test")) as http:
        yield Desk(http, world, of, made.token)


def picked(shown: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: shown[name] for name in names}


async def test_a_new_platform_sees_the_rails_that_refund_and_that_all_is_well(desk: Desk) -> None:
    shown = await desk.rails()
    assert set(shown) == {BACK, "second"}
    assert picked(shown[BACK], *WELL) == WELL
    assert picked(shown[BACK], "kind", "pays", "pace_per_second", "waits_until") == {
        "kind": "sandbox",
        "pays": "back",
        "pace_per_second": 25.0,
        "waits_until": None,
    }
    assert shown["second"]["pace_per_second"] is None


async def test_the_backlog_is_what_waits_and_nothing_else_and_nobody_elses(desk: Desk) -> None:
    assert (await desk.main())["backlog"] == {"operations": 0, "oldest_seconds": 0}
    await refund(desk.pool, desk.of, age=600)
    await refund(desk.pool, desk.of, age=60)
    await refund(desk.pool, desk.of, state="HELD", age=9000)
    await refund(desk.pool, desk.of, state="SENT", accepted=True, age=9000)
    await refund(desk.pool, await platform(desk.pool), age=9000)
    backlog = (await desk.main())["backlog"]
    assert backlog["operations"] == 2
    assert 600 <= backlog["oldest_seconds"] < 9000


async def test_a_rail_that_does_not_answer_takes_no_new_payments_until_a_call_got_through(desk: Desk) -> None:
    await desk.breaks()
    shown = await desk.main()
    assert picked(shown, "state", "why", "take_new_payments", "reason") == {
        "state": "open",
        "why": "unreachable",
        "take_new_payments": False,
        "reason": "unreachable",
    }
    assert shown["since"] == shown["last_failure"]["at"]
    assert shown["last_failure"]["word"] == "unreachable"
    await desk.pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", LIMITS.open_seconds_first)
    shown = await desk.main()
    assert picked(shown, "state", "take_new_payments", "reason") == {
        "state": "half_open",
        "take_new_payments": False,
        "reason": "being_tried",
    }
    assert (await desk.store.probe(BACK, 15.0)).changed
    await desk.store.reached(BACK, probe=True)
    shown = await desk.main()
    assert picked(shown, "state", "since", "why", "take_new_payments") == {
        "state": "closed",
        "since": None,
        "why": "",
        "take_new_payments": True,
    }
    assert shown["last_failure"]["word"] == "unreachable"


@pytest.mark.parametrize(("scope", "ref", "stopped"), [("all", "", {BACK, "second"}), ("rail", BACK, {BACK}), ("action", "refund", set())])
async def test_a_brake_on_the_rail_or_on_everything_stops_it(desk: Desk, scope: str, ref: str, stopped: set[str]) -> None:
    await BrakeStore(desk.pool).put(desk.of.id, scope, ref, reason="while we look", actor="agent:Mira")
    other = await platform(desk.pool)
    await BrakeStore(desk.pool).put(other.id, "rail", "second", reason="not yours", actor="agent:Leo")
    shown = await desk.rails()
    assert {name for name, one in shown.items() if one["state"] == "stopped"} == stopped
    for name in stopped:
        assert picked(shown[name], "why", "take_new_payments", "reason") == {
            "why": "while we look",
            "take_new_payments": False,
            "reason": "stopped",
        }
        assert shown[name]["since"] is not None


async def test_a_wish_to_wait_is_shown_and_no_reason_to_turn_payments_away(desk: Desk) -> None:
    await desk.store.let_go(BACK, 30.0, probe=False)
    shown = await desk.main()
    assert (shown["waits_until"] is not None, shown["state"], shown["take_new_payments"]) == (True, "closed", True)
    await desk.pool.execute("UPDATE app_clock SET ahead = ahead + $1", timedelta(seconds=30))
    assert (await desk.main())["waits_until"] is None


async def test_a_rail_that_others_alone_use_is_not_shown(desk: Desk) -> None:
    await refund(desk.pool, await platform(desk.pool))
    assert set(await desk.rails()) == {"second"}
    await refund(desk.pool, desk.of)
    assert set(await desk.rails()) == {BACK, "second"}


async def test_a_rail_that_pays_out_is_shown_where_allowed_and_takes_no_payments(desk: Desk) -> None:
    await desk.pool.execute("UPDATE platform SET settings = $2 WHERE id = $1", desk.of.id, {"payouts": {"rails": [OUT]}})
    shown = await desk.rails()
    assert picked(shown[OUT], "pays", "state", "take_new_payments", "reason") == {
        "pays": "out",
        "state": "closed",
        "take_new_payments": False,
        "reason": "pays_out_only",
    }
