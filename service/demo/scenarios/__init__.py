"""Real problems on a night with a live show, each played over HTTP by those who would have them: start reading here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec

from service.demo.people import Json
from service.demo.scenarios import desk, money, once, platform, rails, tickets
from service.demo.stage import NotAsItShould, Stage

Ending = Literal["resolved", "handed_over", "denied", "waiting"]

_ENDINGS: Final[dict[str, Ending]] = {
    "resolved": "resolved",
    "with_people": "handed_over",
    "denied": "denied",
    "waiting": "waiting",
}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`play` asks, checks what came of it, and gives back the case as it was last seen."""

    name: str
    title: str
    ends: Ending
    play: Callable[[Stage], Awaitable[Json]]


SCENARIOS: Final = (
    Scenario(name="pass-missing", title="The ticket never arrived", ends="resolved", play=tickets.pass_never_arrived),
    Scenario(name="link-dead", title="The link to the stream is dead", ends="resolved", play=tickets.link_dead),
    Scenario(name="guest", title="A guest with nothing but an e-mail address", ends="resolved", play=tickets.guest_with_an_address),
    Scenario(name="charged-twice", title="Charged twice", ends="resolved", play=money.charged_twice),
    Scenario(name="charged-once", title="Thinks it was charged twice, and it was not", ends="denied", play=money.charged_once),
    Scenario(name="payment-pending", title="A payment that has not arrived yet", ends="waiting", play=money.payment_pending),
    Scenario(name="outage", title="The stream is down, and comes back", ends="resolved", play=money.outage),
    Scenario(name="show-cancelled", title="The show was cancelled", ends="resolved", play=money.show_cancelled),
    Scenario(name="just-bought", title="Bought two minutes ago", ends="resolved", play=platform.bought_two_minutes_ago),
    Scenario(name="card-closed", title="The card is closed, the customer chooses another way", ends="resolved", play=rails.card_closed),
    Scenario(name="unreachable", title="The first processor is away, a backup may pay", ends="resolved", play=rails.primary_unreachable),
    Scenario(name="answer-lost", title="An answer is lost, found again, and paid once", ends="resolved", play=rails.answer_lost),
    Scenario(name="look-again", title="A denial, and a person looks again", ends="resolved", play=desk.a_person_looks_again),
    Scenario(name="disputed", title="The bank is asked as well", ends="handed_over", play=desk.disputed),
    Scenario(name="two-people", title="480.00, which two people must agree to", ends="resolved", play=desk.two_people_agree),
    Scenario(name="twenty-at-once", title="The same request twenty times at once", ends="resolved", play=once.twenty_at_once),
    Scenario(name="widget-and-agent", title="The same outage by widget and by telephone", ends="resolved", play=once.widget_and_agent),
    Scenario(name="paused", title="Everything is paused for a moment", ends="resolved", play=once.paused_and_resumed),
)


async def perform(stage: Stage, scenario: Scenario) -> Ending:
    """Plays it. Raises NotAsItShould when it ends otherwise than it should, or when the books differ."""
    case = await scenario.play(stage)
    ended = _ENDINGS.get(case["status"])
    if ended != scenario.ends:
        raise NotAsItShould(f"it ended as {case['status']} and should have been {scenario.ends}")
    await stage.check_books()
    return ended
