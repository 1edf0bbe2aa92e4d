"""The words a pack may use for what exists outside it: problems, actions, causes, waits, skills."""

from typing import get_args

from policies.verdict import ActionName

ACTIONS: tuple[str, ...] = get_args(ActionName)
MONEY_ACTIONS = ("refund", "goodwill_credit")

SUBJECTS = ("position", "pass", "payment", "case")

PROBLEMS = (
    "pass_missing",
    "pass_lost",
    "pass_leaked",
    "link_dead",
    "wrong_device",
    "too_many_devices",
    "cannot_sign_in",
    "will_not_play",
    "buffering",
    "device_unsupported",
    "stream_outage",
    "show_cancelled",
    "show_postponed",
    "charged_twice",
    "charged_no_pass",
    "payment_pending",
    "charged_after_cancelling",
    "wants_refund",
    "merch_wrong",
    "merch_missing",
    "accessibility",
    "abuse",
    "fraud",
    "other",
)

# Why money is owed. A rule writes `incident`; the service adds which one.
CAUSES = ("incident", "show_cancelled", "show_postponed", "duplicate_charge", "no_pass", "remorse")

# What the service can wake a case for. A rule that waits for anything else would only ever end by its deadline.
WAITS = ("incident_end", "dispute_closed", "order_arrives", "payment_settles", "show_date")

# Who reads a queue. A skill nobody has is a case nobody sees.
# Three levels: `core` takes what comes, `escalation` what core could not finish in time (leads have it without being given it), specialists
# what only they can judge.
SPECIALISTS = ("payments", "access", "merchandise", "trust", "accessibility", "operations")
# Words from before there were levels, which packs and agents may go on using: whoever has one has the other.
OLD_SKILLS = {"support": "core", "playback": "access"}
SKILLS = ("core", "escalation", *SPECIALISTS, *OLD_SKILLS)


def skills_like(skill: str) -> tuple[str, ...]:
    """The words for one skill, this one first."""
    new = OLD_SKILLS.get(skill, skill)
    return (skill, *(word for word in (new, *(old for old, as_new in OLD_SKILLS.items() if as_new == new)) if word != skill))


# What a person can be advised to do: an action, or an answer in words.
SUGGESTIONS = (*ACTIONS, "reply")
