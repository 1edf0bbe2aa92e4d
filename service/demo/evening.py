"""The evening goes on once the play is over: customers keep coming, two at the desk keep working, and the queue never grows too long."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

import httpx
import msgspec
import structlog

from service.demo.contacts import CONTACTS, NAMES, SOON, Contact
from service.demo.night import AUDIENCE, ISSUER, REQUEST_SECONDS_MAX, Night
from service.demo.people import Client, Json, Refused, signed_in
from service.demo.stage import set_shows
from service.demo.world import bearer
from service.keys import Keys
from service.store.keys import Change, KeyStore

log: Final = structlog.get_logger()

# So many come at once, so that there is a queue to look at from the first moment on.
CROWD: Final = 24
# Then one at a time: slow enough to follow with one's eyes, and half the work of a quiet laptop at most.
CUSTOMER_SECONDS: Final = 6.0
# After an evening's worth of them it gets quiet: a demo that is forgotten over night does not fill the disk.
CUSTOMERS_MAX: Final = 3000
# More than so many never wait: whoever waited longest is seen to first. Below the calm, the two leave the cases to the visitor.
WAITING_MAX: Final = 40
WAITING_CALM: Final = 30
STAFF_SECONDS: Final = 5.0
# How long a customer takes to write back, and how many such answers are kept in mind.
ANSWER_SECONDS: Final = 20.0
_KNOWN_MAX: Final = 200
# The live show begins 40 minutes before and lasts 90; the next one opens in 25 minutes: both are told anew before that is untrue.
_SHOWS_SECONDS: Final = 900.0
_SOON: Final = timedelta(minutes=25)
_STAFF: Final = ("Noor", "Tomas")
_SKILLS: Final = ("support", "payments", "playback", "merchandise", "trust", "accessibility")
_CHANGE: Final = Change(actor="demo", why="works at the demo's desk")
# Whatever a visitor does meanwhile (takes the case, pauses everything), the evening goes on.
_SHRUGS: Final = (Refused, httpx.HTTPError, TimeoutError)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who may write back."""

    client: Client
    contact: Contact


class Evening:
    """Set by `open_evening`."""

    def __init__(self, night: Night, http: httpx.AsyncClient, staff: Sequence[Client]) -> None:
        self._night = night
        self._http = http
        self._staff = staff
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._numbers = count()

    async def goes_on(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._shows())
            tasks.create_task(self._customers())
            tasks.create_task(self._shift(tasks))

    async def _shows(self) -> None:
        while True:
            await asyncio.sleep(_SHOWS_SECONDS)
            await set_shows(self._night)
            await self.opens_soon()

    async def opens_soon(self) -> None:
        await self._night.shop.show(SOON, starts_in=_SOON, minutes=75, name={"en": "Midnight Set", "de": "Mitternacht"})

    # ------------------------------------------------------------------------------------------------ who comes

    async def crowd(self, size: int = CROWD) -> None:
        """So many at once."""
        places = asyncio.Semaphore(4)

        async def one() -> None:
            async with places:
                await self.comes()

        await asyncio.gather(*(one() for _ in range(size)))

    async def _customers(self) -> None:
        for _ in range(CUSTOMERS_MAX):
            await asyncio.sleep(CUSTOMER_SECONDS)
            await self.comes()

    async def comes(self) -> Json | None:
        """The next customer, up to their first answer. None when it came to nothing."""
        number = next(self._numbers)
        contact, name = CONTACTS[number % len(CONTACTS)], NAMES[number % len(NAMES)]
        try:
            return await self._asks(contact, name)
        except _SHRUGS as error:
            log.info("demo_customer_left", problem=contact.problem, error=type(error).__name__)
            return None

    async def _asks(self, contact: Contact, name: str) -> Json:
        ref = secrets.token_hex(4).upper()
        subject = f"customer-{ref.lower()}"
        await self._night.shop.order(contact.show, contact.items, ref=ref, name=name, customer_ref=subject, **contact.more(ref))
        client = Client(self._http, lambda: self._signed_in(subject))
        body = {"problem": contact.problem, "order": ref, "show": contact.show, "channel": "widget"}
        case = await client.post("/v1/cases", {**body, "message": contact.says, "locale": contact.locale}, wait_seconds=5)
        if contact.insists:
            case = await client.post(f"/v1/cases/{case['id']}/person", {"message": contact.insists})
        self._known[case["id"]] = _Known(client=client, contact=contact)
        while len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return case

    def _signed_in(self, subject: str) -> Mapping[str, str]:
        token = signed_in(self._night.signing_secret, subject=subject, issuer=ISSUER, audience=AUDIENCE)
        return {**bearer(token), "Makegood-Platform": self._night.desk.slug}

    async def _writes_back(self, case: str, known: _Known) -> None:
        await asyncio.sleep(ANSWER_SECONDS)
        try:
            await known.client.post(f"/v1/cases/{case}/messages", {"message": known.contact.answers, "channel": "widget"})
        except _SHRUGS as error:
            log.info("demo_answer_lost", error=type(error).__name__)

    # ---------------------------------------------------------------------------------------------- who is at work

    async def _shift(self, tasks: asyncio.TaskGroup) -> None:
        for turn in count():
            await asyncio.sleep(STAFF_SECONDS)
            try:
                asked = await self.works(turn)
            except _SHRUGS as error:
                log.info("demo_desk_shrugged", error=type(error).__name__)
                continue
            if asked is not None and (known := self._known.pop(asked, None)) is not None:
                tasks.create_task(self._writes_back(asked, known))

    async def works(self, turn: int = 0) -> str | None:
        """One round of the desk. Returns the case whose customer was asked something, if one was."""
        me = self._staff[turn % len(self._staff)]
        waiting = [one for one in (await me.get("/v1/queue?state=waiting&limit=200"))["cases"] if one["agent"] is None]
        for one in sorted(waiting, key=lambda one: str(one["queued_at"]))[: max(0, len(waiting) - WAITING_MAX)]:
            await self._sees_to(me, one["id"])
        if not WAITING_CALM < len(waiting) <= WAITING_MAX:
            return None
        best: str = waiting[0]["id"]
        known = self._known.get(best)
        if known is not None and known.contact.answers:
            await self._asks_back(me, best)
            return best
        await self._sees_to(me, best)
        return None

    async def _asks_back(self, me: Client, case: str) -> None:
        await me.post("/v1/queue/take", {"case": case})
        await me.post(f"/v1/cases/{case}/replies", {"body": "I am looking at it now. Can you tell me a little more?"})
        parked = {"for": "customer", "seconds": 3600, "reason": "asked the customer for more"}
        await me.post(f"/v1/cases/{case}/park", parked)

    async def _sees_to(self, me: Client, case: str) -> None:
        """Takes it, answers, agrees to what is held or does what is suggested, and ends it; gives it back where it cannot end."""
        taken = await me.post("/v1/queue/take", {"case": case})
        for one in taken["operations"]:
            if one["status"] == "held":
                await self._all_agree(me, one["id"])
        await self._does_what_is_suggested(me, case)
        await me.post(
            f"/v1/cases/{case}/replies", {"body": "I have looked at everything you sent us, and put it right. Write here if it is not."}
        )
        try:
            await me.post(f"/v1/cases/{case}/resolve", {"outcome": "resolved", "reason": "put right, and said so"})
        except Refused:
            await self._gives_back(me, case)

    async def _does_what_is_suggested(self, me: Client, case: str) -> None:
        """The first thing that one person may do alone, as the preview shows it."""
        for one in (await me.get(f"/v1/cases/{case}/suggestions"))["suggestions"]:
            if one["action"] is None or one["people_needed"] > 1:
                continue
            preview = await me.post(
                f"/v1/cases/{case}/previews", {name: value for name, value in one["action"].items() if value is not None}
            )
            if preview["can_confirm"]:
                await me.post(f"/v1/cases/{case}/actions", {"preview": preview["id"], "reason": "as the order shows"})
            return

    async def _gives_back(self, me: Client, case: str) -> None:
        """It has ended by itself meanwhile, or what was agreed to is still on its way."""
        try:
            await me.post(f"/v1/cases/{case}/give-back", {"reason": "waits for what was agreed to"})
        except Refused as refused:
            log.info("demo_case_ended", code=refused.code)

    async def _all_agree(self, me: Client, operation: str) -> None:
        """As many as it takes, each with what they were shown; who has the case first."""
        for one in (me, *(other for other in self._staff if other is not me)):
            now = (await one.get(f"/v1/operations/{operation}/preview"))["now"]
            agreed = {"reason": "looked at the order", "facts_hash": now["facts_hash"]}
            if (await one.post(f"/v1/operations/{operation}/approve", agreed))["status"] == "released":
                return


@asynccontextmanager
async def open_evening(night: Night) -> AsyncIterator[Evening]:
    """A desk with two at work beside the visitor's own, on the shows of the play."""
    keys = Keys(KeyStore(night.pool))
    made = [
        await keys.make_agent_key(night.desk.platform_id, name=name, role="agent", skills=_SKILLS, scopes=(), days=30, change=_CHANGE)
        for name in _STAFF
    ]
    async with httpx.AsyncClient(base_url=night.address, timeout=REQUEST_SECONDS_MAX, trust_env=False) as http:
        staff = [Client(http, partial(bearer, one.token)) for one in made]
        evening = Evening(night, http, staff)
        await evening.opens_soon()
        yield evening
