"""Every state of the widget, as a customer comes to it: what the service says, and what is tapped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from playwright.async_api import Page, expect

from tests.widget_ui.stub import Answers, Json, problem

NOW: Final = datetime.now(UTC)
CASE: Final = "case_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f"


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"ticket": "ticket", "tickets": "tickets", "stream_link": "stream link", "credit": "credit", "team": "our team"},
    "de": {"ticket": "Ticket", "tickets": "Tickets", "stream_link": "Stream-Link", "credit": "Guthaben", "team": "unser Team"},
    "fr": {"ticket": "billet", "tickets": "billets", "stream_link": "lien de diffusion", "credit": "avoir", "team": "notre équipe"},
    "es": {"ticket": "entrada", "tickets": "entradas", "stream_link": "enlace de transmisión", "credit": "saldo", "team": "nuestro equipo"},
    "ja": {"ticket": "チケット", "tickets": "チケット", "stream_link": "配信リンク", "credit": "クレジット", "team": "担当チーム"},
    "ar": {"ticket": "تذكرة", "tickets": "التذاكر", "stream_link": "رابط البث", "credit": "رصيد", "team": "فريقنا"},
}
SHOW: Final[Json] = {
    "ref": "nll26",
    "name": {"en": "Northern Lights Live", "de": "Nordlichter live", "ar": "أضواء الشمال مباشرة"},
    "starts_at": at(-70),
    "ends_at": at(20),
    "zone": "Europe/Berlin",
    "status": "scheduled",
    "phase": "live",
}
HELP: Final[Json] = {
    "platform": "northern",
    "name": "Northern Lights",
    "accent": "#0b6e5f",
    "languages": ["en", "de", "fr", "es", "ja", "ar"],
    "zone": "Europe/Berlin",
    "words": WORDS,
    "contacts": {
        "support": "our team",
        "email": "help@northern.example",
        "phone": "+49 30 1234567",
        "url": "https://northern.example/help",
    },
    "desk": {"open": True, "opens_at": None},
    "codes_by_text": True,
    "show": SHOW,
    "notice": None,
}
NOTICE: Final[Json] = {
    "show": "nll26",
    "text": {"en": "The stream is down for everybody. We are working on it.", "ar": "البث متوقف لدى الجميع. نعمل على إصلاحه."},
    "since": at(-12),
    "updated_at": at(-3),
    "over": False,
    "updates": [{"at": at(-3), "text": {"en": "We have found the cause.", "ar": "وجدنا السبب."}}],
}
OUTAGE: Final[Json] = {
    "problem": "stream_outage",
    "incident": "outage-1",
    "outcome": "approve",
    "because": "The stream was down for part of the show, so you get back that part of the price.",
    "would_change": None,
    "actions": ["refund"],
    "amount": 694,
    "currency": "EUR",
    "to": "Visa ·· 4242",
    "from": at(-60),
    "until": at(-35),
}
TWICE: Final[Json] = {
    **OUTAGE,
    "problem": "charged_twice",
    "incident": None,
    "amount": 4500,
    "because": "Two charges for one order. The second goes back.",
    "from": None,
    "until": None,
}
MISSING: Final[Json] = {
    **TWICE,
    "problem": "pass_missing",
    "actions": ["resend_pass"],
    "amount": None,
    "currency": None,
    "to": None,
    "because": "Your ticket could not be delivered to your address, so we send it again.",
}
ORDER: Final[Json] = {
    "order": "M0VLU",
    "role": "buyer",
    "show": {**SHOW, "name": "Northern Lights Live"},
    "items": [{"name": "Stream ticket", "kind": "stream", "pass_id": None}],
    "total": 2500,
    "currency": "EUR",
    "likely": [OUTAGE, TWICE],
    "case": None,
}
OTHER: Final[Json] = {
    **ORDER,
    "order": "K7Q2P",
    "show": {**SHOW, "ref": "hs", "name": "Harbour Sessions", "starts_at": at(60 * 24 * 9)},
    "likely": [MISSING],
}
LINE: Final[Json] = {
    "id": CASE,
    "status": "with_people",
    "problem": "merch_wrong",
    "order": "M0VLU",
    "show_name": "Northern Lights Live",
    "created_at": at(-200),
    "ended_at": None,
}
ORDERS: Final[Json] = {"orders": [ORDER, OTHER], "cases": []}
QUIET: Final[Json] = {
    **ORDERS,
    "orders": [{**ORDER, "likely": []}],
    "cases": [LINE, {**LINE, "id": f"{CASE[:-1]}0", "status": "resolved", "problem": "pass_lost", "ended_at": at(-6000)}],
}

SENT: Final[Json] = {
    "id": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
    "action": "refund",
    "status": "sent",
    "amount": 694,
    "currency": "EUR",
    "to": "Visa ·· 4242",
    "chosen": False,
    "sent_at": at(0),
    "reference": "74537604221222132710572",
}
OPEN: Final[Json] = {
    "id": CASE,
    "state": "open",
    "status": "working",
    "problem": "stream_outage",
    "order": "M0VLU",
    "show": "nll26",
    "show_name": "Northern Lights Live",
    "identity": "verified",
    "locale": "en",
    "created_at": at(0),
    "ended_at": None,
    "version": 3,
    "answers": [{"outcome": "approve", "because": OUTAGE["because"], "would_change": None}],
    "question": None,
    "wait": None,
    "operations": [{**SENT, "status": "working", "sent_at": None, "reference": None}],
    "access": [],
    "messages": [],
    "joined_to": None,
    "can_ask_a_person": True,
    "wait_quote": None,
    "handoff": None,
    "article": None,
}
DONE: Final[Json] = {**OPEN, "state": "resolved", "status": "resolved", "version": 9, "ended_at": at(0), "operations": [SENT]}
DENIED: Final[Json] = {
    **OPEN,
    "state": "denied",
    "status": "denied",
    "problem": "wants_refund",
    "version": 9,
    "ended_at": at(0),
    "operations": [],
    "answers": [
        {
            "outcome": "deny",
            "because": "Tickets can be given back until 48 hours after buying, and this one was bought 14 days ago.",
            "would_change": "If the show is cancelled or moved, you get your money back.",
        }
    ],
}
WAITING: Final[Json] = {
    **OPEN,
    "status": "waiting",
    "operations": [],
    "answers": [
        {
            "outcome": "wait",
            "because": "We know the stream is down and are working on it. When it is back we work out what you are due and tell you.",
            "would_change": None,
        }
    ],
    "wait": {"waiting_for": "incident_end", "until": at(180)},
}
PEOPLE: Final[Json] = {
    **OPEN,
    "status": "with_people",
    "problem": "merch_wrong",
    "operations": [],
    "answers": [{"outcome": "escalate", "because": "A person on our team looks at what you received.", "would_change": None}],
    "wait_quote": {"low_seconds": 120, "high_seconds": 360},
    "handoff": {"agent": None, "since": at(-2), "desk_open": True, "opens_at": None},
    "messages": [
        {
            "id": "msg_1",
            "kind": "customer",
            "author": "customer",
            "body": "The T-shirt has a hole.",
            "created_at": at(-2),
            "attachments": [],
        }
    ],
    "can_ask_a_person": False,
}
TAKEN: Final[Json] = {
    **PEOPLE,
    "version": 8,
    "handoff": {"agent": "Mira", "since": at(-1), "desk_open": True, "opens_at": None},
    "wait_quote": None,
    "messages": [
        *PEOPLE["messages"],
        {
            "id": "msg_2",
            "kind": "reply",
            "author": "Mira",
            "body": "I am sorry about that. Please print this label and send it back; a new one is on its way to you.",
            "created_at": at(0),
            "attachments": [{"id": "att_1", "name": "return-label.pdf", "type": "application/pdf", "bytes": 48213}],
        },
    ],
}
CLOSED_DESK: Final[Json] = {
    **PEOPLE,
    "handoff": {"agent": None, "since": at(-2), "desk_open": False, "opens_at": at(60 * 14)},
    "messages": [],
}
ARTICLE: Final[Json] = {
    **OPEN,
    "status": "asked",
    "problem": "will_not_play",
    "operations": [],
    "answers": [{"outcome": "ask", "because": "This is known, and these steps help most people.", "would_change": None}],
    "article": {"url": "https://northern.example/help/player", "title": "When the player shows error 3016"},
    "question": {
        "fact": "answer.works_now",
        "prompt": "Please try the steps. Does it work now?",
        "options": [{"value": "yes", "text": "Yes, it works"}, {"value": "no", "text": "No, still not"}],
    },
}
POSTPONED: Final[Json] = {
    **ARTICLE,
    "problem": "show_postponed",
    "article": None,
    "answers": [],
    "question": {
        "fact": "answer.postponed",
        "prompt": "The show was postponed. Do you want to keep your ticket for the new date, or have your money back?",
        "options": [{"value": "keep", "text": "Keep my ticket"}, {"value": "refund", "text": "Money back"}],
    },
}
WHERE: Final[Json] = {
    **ARTICLE,
    "problem": "show_cancelled",
    "article": None,
    "answers": [],
    "operations": [{**SENT, "status": "choose", "amount": 4500, "to": None, "sent_at": None, "reference": None}],
    "question": {
        "fact": "destination",
        "prompt": "Your bank closed that card, so the money cannot go back to it. Where should it go?",
        "options": [
            {"value": "paypal", "text": "your PayPal account", "needs_address": True},
            {"value": "wallet", "text": "your sandbox account", "needs_address": True},
            {"value": "manual", "text": "your bank account, by our team", "needs_address": False},
        ],
    },
}
WHO_ASKED: Final[Json] = {
    **ARTICLE,
    "problem": "will_not_play",
    "article": None,
    "answers": [],
    "question": {
        "fact": "identity",
        "prompt": "To look at an order we need to know it is yours. We send you a code for that.",
        "options": [],
    },
}

EVENTS: Final = f"GET /v1/cases/{CASE}/progress"
USUAL: Final[Answers] = {
    "GET /v1/help": HELP,
    "GET /v1/help/live": "event: notice\ndata: null\n\n",
    "GET /v1/help/follow": {"following": False, "possible": True},
    "GET /v1/help/orders": ORDERS,
    "POST /v1/cases": (201, DONE),
    "POST /v1/sessions": (201, {"id": "sess_1", "token": "mgs_1", "level": "anonymous", "expires_at": at(60)}),
    "POST /v1/sessions/codes": (202, {"detail": "", "valid_minutes": 10}),
    "POST /v1/sessions/verify": {"level": "verified"},
    f"GET /v1/cases/{CASE}": DONE,
    EVENTS: "",
}

Steps = Callable[[Page], Awaitable[None]]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How one comes to it, and its heading."""

    name: str
    heading: str
    answers: Answers = {}
    taps: tuple[str, ...] = ()
    """names of buttons, one after the other"""
    signed_in: bool = True
    then: Steps | None = None
    case: Json | None = None
    """what the service says has become of the customer's case"""


async def writes(page: Page, name: str, text: str) -> None:
    await page.get_by_label(name, exact=True).fill(text)


async def _sends_email(page: Page) -> None:
    await writes(page, "E-mail address", "mira@example.org")
    await page.get_by_role("button", name="Send me a code").click()


async def _waits_for_code(page: Page) -> None:
    await page.clock.install()
    await _sends_email(page)
    await expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
    await page.clock.fast_forward(61_000)
    await expect(page.get_by_text("No code after a minute?")).to_be_visible()


async def _mistypes(page: Page) -> None:
    await _sends_email(page)
    await writes(page, "Six digits", "000000")
    await page.get_by_role("button", name="Confirm the code").click()
    await expect(page.get_by_label("Six digits")).to_have_attribute("aria-invalid", "true")


async def _cannot_read_mail(page: Page) -> None:
    await _waits_for_code(page)
    await page.get_by_role("button", name="I cannot read that mailbox").click()


async def _sends_there(page: Page) -> None:
    await writes(page, "E-mail address of that account", "mira@example.org")
    await page.get_by_role("button", name="Send €45.00 there").click()


async def _opens_proof(page: Page) -> None:
    await page.get_by_text("Proof").click()


async def _writes_first(page: Page) -> None:
    await writes(page, "In your words", "The picture is fine, but there is no sound in the second act.")


STREAM_DOWN: Final = "The stream was down"
SEND_BACK: Final = "Send back €6.94"
CLOSED: Final[Json] = {**DENIED, "status": "closed", "answers": []}


def _of(name: str, heading: str, case: Json, then: Steps | None = None) -> State:
    """What one tap on the first line and one to confirm it lead to."""
    answers = {"POST /v1/cases": (202 if case["status"] == "working" else 201, case)}
    return State(name=name, heading=heading, answers=answers, taps=(STREAM_DOWN, SEND_BACK), case=case, then=then)


STATES: Final = (
    State(name="home", heading="How can we help?"),
    State(
        name="home-notice",
        heading="How can we help?",
        answers={"GET /v1/help": {**HELP, "notice": NOTICE}, "GET /v1/help/orders": QUIET, "GET /v1/help/live": ""},
    ),
    State(name="home-empty", heading="How can we help?", answers={"GET /v1/help/orders": {"orders": [], "cases": []}}),
    State(name="topics", heading="What is it about?", taps=("Something else",)),
    State(name="problems", heading="The stream", taps=("Something else", "The stream")),
    State(name="which", heading="Which order is it about?", taps=("Something else", "Money", "Money back")),
    State(name="tell", heading="What happened?", taps=("Talk to a person",), then=_writes_first),
    State(name="confirm", heading=STREAM_DOWN, taps=(STREAM_DOWN,)),
    _of("working", "We are on it", OPEN),
    _of("done", "€6.94 sent back", DONE, then=_opens_proof),
    _of("ask", "One question", POSTPONED),
    _of("article", "This usually helps", ARTICLE),
    _of("where", "One question", WHERE),
    State(
        name="where-account",
        heading="Your PayPal account",
        answers={"POST /v1/cases": (201, WHERE)},
        taps=(STREAM_DOWN, SEND_BACK, "Your PayPal account"),
    ),
    State(
        name="where-strong",
        heading="Your PayPal account",
        answers={"POST /v1/cases": (201, WHERE), f"POST /v1/cases/{CASE}/payout": problem(403, "not_strong")},
        taps=(STREAM_DOWN, SEND_BACK, "Your PayPal account"),
        then=_sends_there,
    ),
    _of("wait", "We know. You need do nothing", WAITING),
    _of("denied", "We cannot do this", DENIED),
    _of("people", "Your request is with our team", PEOPLE),
    _of("people-taken", "Mira has your request", TAKEN),
    _of("people-closed", "Your request is with our team", CLOSED_DESK),
    _of("closed", "This is closed", CLOSED),
    State(
        name="moved",
        heading=STREAM_DOWN,
        answers={"POST /v1/cases": problem(409, "offer_moved"), "POST /v1/help/preview": {**OUTAGE, "amount": 500}},
        taps=(STREAM_DOWN, SEND_BACK),
    ),
    State(name="who", heading="Who are you?", signed_in=False),
    State(name="code", heading="Enter the code", signed_in=False, then=_sends_email),
    State(name="code-late", heading="Enter the code", signed_in=False, then=_waits_for_code),
    State(
        name="code-wrong",
        heading="Enter the code",
        signed_in=False,
        then=_mistypes,
        answers={"POST /v1/sessions/verify": problem(422, "code_refused", "code")},
    ),
    State(name="purchase", heading="Tell us about the purchase", signed_in=False, then=_cannot_read_mail),
    State(
        name="who-asked",
        heading="Who are you?",
        signed_in=False,
        answers={"POST /v1/cases": (201, WHO_ASKED)},
        taps=("What is it about?", "The stream", "No picture or sound"),
    ),
)


async def comes_to(page: Page, state: State) -> None:
    """Opens the widget and does what leads there."""
    await page.locator(".launcher").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading", level=2)).to_be_visible()
    for name in state.taps:
        await dialog.get_by_role("button", name=name).first.click()
    if state.then is not None:
        await state.then(page)
    await expect(dialog.get_by_role("heading", name=state.heading, level=2)).to_be_visible()
