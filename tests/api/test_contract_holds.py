"""The running application against its own contract: generated requests with each kind of token, no 5xx, and answers as declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.demo.world import bearer
from service.keys import Keys, allowed_scopes
from service.store.keys import Change, KeyStore
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import FULL, House, broken_sums, databases, open_house, serving_process, settings_for, stream

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES: Final = 300 if FULL else 15
# A request waits at most 25 s for its outcome.
_DOCUMENT: Final = msgspec.json.decode((Path(__file__).parents[2] / "openapi" / "openapi.json").read_bytes())
CONTRACT: Final = schemathesis.openapi.from_dict(_DOCUMENT)
# Streams that go on for 25 s whatever happens: who may not hear them is tried here, what is heard where they have tests of their own.
ENDLESS: Final[Mapping[str, Sequence[str]]] = {"GET /v1/desk/live": ("nobody", "platform", "session"), "GET /v1/help/live": ()}
OPERATIONS: Final = {f"{method.upper()} {path}": (path, method) for path, methods in _DOCUMENT["paths"].items() for method in methods}


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: Any, value: Any) -> bytes:
    return str(value).encode(errors="surrogatepass")


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    tokens: Mapping[str, str]
    real: Mapping[str, str]
    """path parameter -> something that is there"""
    ended: str
    """a case whose stream ends at once"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(postgres_dsn: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A process of its own, since a generated request blocks; with a case, an order, a held refund to ask about."""
    async with (
        databases(postgres_dsn, template_database) as (ours, theirs),
        open_house(settings_for(ours, theirs)) as house,
        serving_process(house.settings, tmp_path_factory.mktemp("contract")) as process,
    ):
        yield await _stage(house, process.address)
        assert await broken_sums(house) == {}


async def _stage(house: House, address: str) -> Stage:
    now = datetime.now(UTC)
    over = await house.shop.show("over", starts_in=timedelta(minutes=-60))
    await house.shop.incident(over, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    ended = await house.report("stream_outage", await house.shop.order(over, [stream()]))
    off = await house.shop.show("off", starts_in=timedelta(days=20), status="cancelled")
    order = await house.shop.order(off, [stream(48000)], ref="A1")
    reported = await house.report("show_cancelled", order)
    held = await house.until_case(reported["id"], lambda one: one["status"] == "with_people")
    await house.until_case(ended["id"], lambda one: one["ended_at"] is not None)
    session = await house.client.post("/v1/sessions", headers={"Makegood-Platform": "demo"})
    machine = await Keys(KeyStore(house.pool)).make_agent_key(
        house.desk.platform_id,
        name="Bot",
        role="machine",
        skills=("support",),
        scopes=sorted(allowed_scopes("machine")),
        days=1,
        change=Change(actor="test", why="a test"),
    )
    return Stage(
        address=address,
        tokens={
            "platform": house.desk.platform,
            "agent": house.desk.agent,
            "lead": house.desk.lead,
            "machine": machine.token,
            "session": session.json()["token"],
            "nobody": "",
        },
        real={"case_id": held["id"], "operation_id": held["operations"][0]["id"], "incident": "out1", "kind": "rail"},
        ended=ended["id"],
    )


@pytest.mark.parametrize("name", sorted(name for name in OPERATIONS if ENDLESS.get(name) != ()))
def test_answers_are_as_the_contract_says(name: str, stage: Stage) -> None:
    path, method = OPERATIONS[name]
    callers = ENDLESS.get(name) or sorted(stage.tokens)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=CONTRACT[path][method].as_strategy(), caller=st.sampled_from(callers))
    def answers(case: Any, caller: str) -> None:
        _point_at_something(case, stage)
        if "wait_seconds" in (case.query or {}) and str(case.query["wait_seconds"]).isdigit():
            case.query = {**case.query, "wait_seconds": min(int(case.query["wait_seconds"]), 1)}  # nobody has to wait here
        token = stage.tokens[caller]
        headers: dict[str, Any] = {"Makegood-Platform": "demo"} if path == "/v1/sessions" else {}
        case.call_and_validate(
            base_url=stage.address,
            headers=headers | (bearer(token) if token else {}),
            checks=CHECKS,
            timeout=PATIENCE_SECONDS,
        )

    answers()


def _point_at_something(case: Any, stage: Stage) -> None:
    """Most ids that are made up are nobody's: every second request asks for what is there. A session goes on for the others."""
    found = dict(case.path_parameters or {})
    if sum(map(len, map(str, found.values()))) % 2 == 0:
        return
    for name in found:
        if name == "ref":
            found[name] = {"/v1/orders/{ref}": "A1", "/v1/brakes/{kind}/{ref}": "sandbox"}.get(case.path, "over")
        elif name in stage.real:
            found[name] = stage.ended if case.path.endswith("/progress") else stage.real[name]
    case.path_parameters = found
