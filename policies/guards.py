"""The numbers that hold whatever the rules say: ceilings, caps, limits of roles and of patience."""

from typing import Annotated

import msgspec

from policies.reading import ReadingError, read

# Minor units (cents, yen, fils) by currency code. A currency that is not listed has the limit 0.
Code = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
Minor = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Limits = dict[Code, Minor]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)]


class GuardsError(ValueError):
    """The guards file does not load; the message names the field."""


class Caps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that is paid in all, counted over everything: what would go above goes to people."""

    per_customer_and_day: Limits
    per_rail_and_day: Limits
    per_show_and_hour: Limits


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one person may confirm alone, per action."""

    refund_max: Limits
    goodwill_max: Limits


class Patience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how often the service asks, waits and hands over before it does something else."""

    questions_per_case_max: Count
    answer_within_seconds: Seconds
    wait_seconds_max: Seconds
    platform_answers_within_seconds: Seconds = 86400
    first_look_within_seconds: dict[str, Seconds]


class Guards(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All guards of one installation; a platform can set tighter numbers, never looser ones."""

    auto_refund_max: Limits
    second_person_over: Limits
    caps: Caps
    roles: dict[str, Role]
    patience: Patience


def limit(limits: Limits, currency: str) -> int:
    """The limit in minor units; 0 for a currency nobody has thought about, so that people look at it."""
    return limits.get(currency, 0)


def load_guards(text: str) -> Guards:
    """Returns the guards in `text`. Raises GuardsError for a missing, unknown or impossible value."""
    try:
        return msgspec.convert(read(text).plain(), Guards)
    except ReadingError as error:
        raise GuardsError(f"guards: {error}") from error
    except msgspec.ValidationError as error:
        raise GuardsError(f"guards: {error}") from error
