"""The steps of `makegood check-platform`: one small journey through everything that a platform relies on."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import httpx
import msgspec

from service.store.supplied import TRIAL

# Signing a token takes milliseconds; starting somebody's runtime takes seconds.
_COMMAND_SECONDS_MAX: Final = 30
# Events are numbered within a second of their commit; each look waits up to 5 s for more.
_LOOKS_MAX: Final = 6
_LOOK_SECONDS: Final = 5
_PAGE: Final = 500
# As many as anybody reads; the JSON has them all.
_RULES_SHOWN_MAX: Final = 50
_EFFECTS: Final = {
    "never_applies": "can never decide",
    "assumes": "decides as if there never were any",
    "hands_over": "leaves it to people",
}

State = Literal["well", "missing", "note"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `note`: not needed, or nothing to be sure of."""

    part: str
    state: State
    said: str
    mend: str = ""


class Missing(Exception):  # noqa: N818 - says what happened
    """A step does not work: what was seen, and how to mend it."""

    def __init__(self, said: str, mend: str) -> None:
        super().__init__(said)
        self.said = said
        self.mend = mend


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the service, and how this platform signs its customers in. `name` marks everything that the trial feeds."""

    http: httpx.Client
    slug: str | None
    token_command: Sequence[str]
    name: str = msgspec.field(default_factory=lambda: f"{TRIAL}-{secrets.token_hex(6)}")
    began: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


def run(trial: Trial) -> Iterator[Step]:
    """Every step as it is done. Ends early where nothing further could work; the test order is cancelled whatever happens."""
    first = [_tried("service", lambda: _service(trial)), _tried("key", lambda: _key(trial))]
    yield from first
    if any(step.state == "missing" for step in first):
        return
    yield _tried("rails", lambda: _rails(trial))
    fed = _tried("order", lambda: _order(trial))
    yield fed
    if fed.state == "missing":
        return
    try:
        yield _tried("order read back", lambda: _read_back(trial))
        yield _tried("customer's token", lambda: _token(trial))
        yield _tried("case", lambda: _case(trial))
        yield _tried("events", lambda: _events(trial))
        yield from _endpoints(trial)
    finally:
        ended = _tried("cancelled", lambda: _cancel(trial))
    yield ended
    yield from _readiness(trial)


def _tried(part: str, check: Callable[[], str | Step]) -> Step:
    try:
        said = check()
    except Missing as missing:
        return Step(part=part, state="missing", said=missing.said, mend=missing.mend)
    except httpx.HTTPError as error:
        return Step(part=part, state="missing", said=f"no answer: {type(error).__name__}", mend="look at URL, proxy, TLS and firewall")
    except (ValueError, KeyError, TypeError):
        return Step(part=part, state="missing", said="the answer is not Makegood's", mend="look at URL: is there a proxy in between?")
    return said if isinstance(said, Step) else Step(part=part, state="well", said=said)


def _ask(trial: Trial, method: str, path: str, mend: str, **more: Any) -> Any:
    """What was answered. Raises Missing with the service's own words where it says no."""
    response = trial.http.request(method, path, **more)
    if response.is_success:
        return response.json()
    problem = response.json() if "json" in response.headers.get("content-type", "") else {}
    fields = "; ".join(f"{one['field']} {one['message']}" for one in problem.get("errors", []))
    said = " ".join(part for part in (str(response.status_code), problem.get("title", ""), problem.get("detail", ""), fields) if part)
    if response.status_code == httpx.codes.FORBIDDEN:
        mend = "give the key the scope that the route's page in /docs names: `makegood keys make platform --scope …`"
    raise Missing(said, mend)


def _service(trial: Trial) -> str:
    response = trial.http.get("/readyz")
    if not response.is_success:
        raise Missing(f"/readyz answers {response.status_code}", "look at URL; on the server, `makegood doctor` says more")
    return "up, with its database"


def _key(trial: Trial) -> str:
    _ask(trial, "GET", "/v1/rails", "make a key: `makegood keys make platform --platform … --name …`, and pass its token (mgk_…)")
    return "known"


def _rails(trial: Trial) -> str | Step:
    rails = _ask(trial, "GET", "/v1/rails", "")["rails"]
    if not rails:
        # A rail that only other platforms have payments on is not shown to this one.
        mend = "name the rail in `payments` of your orders; `makegood doctor` lists those of the installation"
        return Step(part="rails", state="note", said="none with a payment of yours", mend=mend)
    usable = [one["name"] for one in rails if one["take_new_payments"]]
    if not usable:
        seen = ", ".join(f"{one['name']}: {one['reason']}" for one in rails)
        raise Missing(f"none to refund on now ({seen})", "`makegood doctor` on the server says what is wrong with them (docs/rails.md)")
    return f"new payments can be refunded on {', '.join(usable)}"


def _order(trial: Trial) -> str:
    starts = trial.began + timedelta(days=30)
    show = {
        # One show for all trials, so that they do not pile up.
        "version": int(trial.began.timestamp() * 1_000_000),
        "name": {"en": "Test of makegood check-platform"},
        "zone": "UTC",
        "starts_at": starts.isoformat(),
        "ends_at": (starts + timedelta(hours=1)).isoformat(),
    }
    mend = "the answer names the field; the key needs the scope orders:write"
    _ask(trial, "PUT", f"/v1/shows/{TRIAL}", mend, json=show)
    _ask(trial, "PUT", f"/v1/orders/{trial.name}", mend, json=_document(trial, version=1, status="paid"))
    return f"{trial.name} fed, marked as a test, for nothing"


def _read_back(trial: Trial) -> str:
    kept = _ask(trial, "GET", f"/v1/orders/{trial.name}", "the key needs the scope orders:read")
    return f"{kept['ref']} is there, {kept['status']}"


def _document(trial: Trial, *, version: int, status: str) -> Mapping[str, Any]:
    position = {"ref": "1", "kind": "other", "name": "Test of makegood check-platform", "price": 0, "shows": [TRIAL]}
    return {
        "version": version,
        "status": status,
        "currency": "EUR",
        "total": 0,
        "buyer": {"name": "Test", "customer_ref": trial.name},
        "placed_at": trial.began.isoformat(),
        "cancelled_at": trial.began.isoformat() if status == "cancelled" else None,
        "positions": [{**position, "canceled": status == "cancelled"}],
    }


def _token(trial: Trial) -> str | Step:
    if not trial.token_command or trial.slug is None:
        mend = "pass --platform and --token-command, such as 'node sign.js' (docs/integrate.md)"
        return Step(part="customer's token", state="note", said="not tried: nothing was named that signs one", mend=mend)
    try:
        made = subprocess.run(  # noqa: S603 - the caller's own command
            [*trial.token_command, trial.name], capture_output=True, text=True, timeout=_COMMAND_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"the command does not run: {type(error).__name__}", "try --token-command in a shell") from error
    token = made.stdout.strip()
    if made.returncode or not token:
        raise Missing(f"the command ended with {made.returncode} and no token", "try --token-command in a shell")
    headers = {"Authorization": f"Bearer {token}", "Makegood-Platform": trial.slug}
    mend = (
        "compare `proof` of the platform's settings with the token: issuer, audience, algorithm and secret or key set; "
        "`iat` of this moment, `exp`, and as `sub` the id that the command was given"
    )
    session = _ask(trial, "GET", "/v1/session", mend, headers=headers)
    if session["level"] not in {"verified", "strong"}:
        raise Missing(f"it only proves the level {session['level']}", mend)
    answer = trial.http.get(f"/v1/orders/{trial.name}/money", headers=headers)
    if not answer.is_success:
        raise Missing("it opens no order of its customer", "`sub` has to be what orders carry as `buyer.customer_ref`")
    return f"believed ({session['level']}), and opens its customer's order and no more"


def _case(trial: Trial) -> str:
    body = {"order": trial.name, "show": TRIAL, "problem": "show_cancelled", "channel": "api", "message": "Test of check-platform"}
    headers = {"Idempotency-Key": trial.name}
    mend = "the key needs the scopes cases:write and cases:read"
    case = _ask(trial, "POST", "/v1/cases", mend, json=body, headers=headers)
    again = _ask(trial, "POST", "/v1/cases", mend, json=body, headers=headers)
    if again["id"] != case["id"]:
        raise Missing("the same Idempotency-Key made two cases", "is there a proxy that drops headers?")
    entries = _ask(trial, "GET", f"/v1/cases/{case['id']}/timeline", mend)["entries"]
    rules = ", ".join(one["rule"] for one in case["answers"] if one.get("rule"))
    return f"{case['id']} is {case['status']}" + (f" by {rules}" if rules else "") + f", with {len(entries)} entries on its timeline"


def _events(trial: Trial) -> str:
    """Reads from the end: the position of the newest is looked for first, by doubling."""
    mend = "the key needs the scope events:read; if there are none, `makegood doctor` on the server"
    after = _near_the_end(trial, mend)
    for _ in range(_LOOKS_MAX):
        asked = {"after": after, "limit": _PAGE, "wait_seconds": _LOOK_SECONDS}
        page = _ask(trial, "GET", "/v1/events", mend, params=asked)
        mine = [one["type"] for one in page["events"] if one["data"].get("order") == trial.name]
        if mine:
            return f"readable at /v1/events: {', '.join(dict.fromkeys(mine))}"
        after = page["next_after"]
    raise Missing("what just happened is not told", mend)


def _near_the_end(trial: Trial, mend: str) -> int:
    """A position before what just happened, with less than a page behind it."""
    low, high = 0, 1
    while high < 2**62 and _ask(trial, "GET", "/v1/events", mend, params={"after": high, "limit": 1})["events"]:
        low, high = high, high * 2
    while high - low > _PAGE // 2:
        middle = (low + high) // 2
        if _ask(trial, "GET", "/v1/events", mend, params={"after": middle, "limit": 1})["events"]:
            low = middle
        else:
            high = middle
    return max(0, low - _PAGE // 2)


def _endpoints(trial: Trial) -> Iterator[Step]:
    part = "endpoint"
    mend = "POST /v1/endpoints with your receiver's address (docs/integrate.md), or read /v1/events yourself"
    try:
        found = _ask(trial, "GET", "/v1/endpoints", "the key needs the scope events:read")["endpoints"]
    except Missing as missing:
        yield Step(part=part, state="missing", said=missing.said, mend=missing.mend)
        return
    hooks = [one for one in found if one["kind"] == "webhook"]
    if not hooks:
        yield Step(part=part, state="missing", said="none: nobody is told what was refunded", mend=mend)
    for one in hooks:
        yield _tried(f"{part} {one['name']}", lambda one=one: _endpoint(trial, one))  # type: ignore[misc]


def _endpoint(trial: Trial, endpoint: Mapping[str, Any]) -> str:
    if endpoint["state"] != "active":
        raise Missing(f"{endpoint['state']}: {endpoint['why']}", f"POST /v1/endpoints/{endpoint['id']}/enable when it is well again")
    began = time.monotonic()
    result = _ask(trial, "POST", f"/v1/endpoints/{endpoint['id']}/test", "the key needs the scope endpoints:write")
    if not result["delivered"]:
        said = f"a ping did not arrive: {result['detail'] or result['status']} after {time.monotonic() - began:.1f} s"
        raise Missing(said, "it has to verify the signature and answer 2xx within 15 s (docs/samples)")
    return f"took a ping in {result['milliseconds']} ms"


def _cancel(trial: Trial) -> str:
    _ask(trial, "PUT", f"/v1/orders/{trial.name}", "cancel it by hand", json=_document(trial, version=2, status="cancelled"))
    return f"{trial.name} is cancelled"


def _readiness(trial: Trial) -> Iterator[Step]:
    try:
        found = _ask(trial, "GET", "/v1/platform/readiness", "the key needs the scope orders:read")
    except (Missing, httpx.HTTPError) as error:
        yield Step(part="facts", state="missing", said=str(error), mend="the key needs the scope orders:read")
        return
    for one in found["fed"]:
        if not one["fed"]:
            state: State = "missing" if one["needed"] else "note"
            yield Step(part=f"fed {one['name']}", state=state, said="never so far", mend=one["mend"])
    for one in found["rules"][:_RULES_SHOWN_MAX]:
        said = f"{_EFFECTS[one['effect']]}, for want of {', '.join(one['facts'])}"
        yield Step(part=f"rule {one['pack']}/{one['rule']}", state="note", said=said)
    if not found["rules"]:
        yield Step(part="rules", state="well", said="each has the facts that it looks at")
