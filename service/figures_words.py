"""What each figure of the desk means: said in the answer itself; the README says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEFINITIONS: Final[Mapping[str, str]] = {
    "cases": "Problems that were brought in this time: opened by a customer, or by the platform or an agent for one. What joined a"
    " case that was open already is a contact of that case.",
    "contacts": "Times that somebody wrote, answered or asked for a person on those cases, the first time included.",
    "resolved": "Of those cases, what has ended with a yes or a no, as it stands now.",
    "fcr": "First-contact resolution: of the cases that have ended, the share whose first end was a yes or a no and which did not"
    " come back within 72 hours, neither opened again, for whatever reason, nor as a new case of the same order and problem."
    " `automated`: no person had a part in it before its first end; `human`: a person had. A case counts as soon as it"
    " ends, and a return takes it back.",
    "acknowledge_seconds": "From when a case first came to people until one of them, or a program of theirs, first took it.",
    "handle_seconds": "Of ended cases that a person had: how long agents had them in all, every stretch added up.",
    "backlog": "Cases that are with people now, waiting, taken or put aside, whenever they were opened.",
    "sla": "Clocks of those cases (to be acknowledged, to be answered, to be resolved) that ended or ran out: the share that ended"
    " in time. Time in which a clock stood still does not count.",
    "satisfaction": "The mean of one to five, from the tap after a resolution and the one 24 hours after the show. `of_asked`: ended cases"
    " of the widget, mail and chat, whose page asks, and letters sent after shows.",
    "answered_without_person": "Of the contacts whose case has ended, or which a person had: the share whose case ended before any person"
    " had a part in it.",
    "money_sent": "Refunds of those cases that a processor accepted, or people recorded as sent, in minor units by currency.",
    "hours_saved": "Cases that first ended without a person, times the median handle time of the others; with fewer than five of those,"
    " times six minutes, which is a guess (`hours_saved_basis.measured` is false).",
}
