"""What leads an agent through a case: its playbook's steps and scripts, the clocks that run, and who gets it next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from policies import Playbook, Playbooks, skills_like
from service.callers import Caller
from service.shown import in_language
from service.store.claims import ClaimStore, ClockShown, GuideRecord


class PlaybookShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    why: str


class StepShown(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    action: dict[str, Any] | None
    """as POST /v1/cases/{id}/previews takes it; the agent names the ticket or the charge"""
    macro: str | None


class ScriptShown(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    text: str
    """in the customer's language"""


class GuideShown(msgspec.Struct, frozen=True, kw_only=True):
    playbook: PlaybookShown
    steps: tuple[StepShown, ...]
    scripts: tuple[ScriptShown, ...]
    clocks: tuple[ClockShown, ...]
    """oldest first; those that have ended too"""
    escalates_to: str | None
    """the skill that gets the case when a promise of time is broken; null: there is nobody further on"""


class Guide:
    def __init__(self, store: ClaimStore, playbooks: Playbooks) -> None:
        self._store = store
        self._playbooks = playbooks

    async def of(self, caller: Caller, case: UUID, language: str) -> GuideShown | None:
        """Steps in `language` where the playbook has it, else English; None: no such case."""
        record = await self._store.guide(caller.platform_id, case)
        return None if record is None else guide(self._playbooks, record, language)


def guide(playbooks: Playbooks, record: GuideRecord, language: str) -> GuideShown:
    named = playbooks.by_id.get(record.playbook or "")
    one = named or playbooks.fitting(record.problem, record.rules, record.skill or "")
    return GuideShown(
        playbook=PlaybookShown(id=one.id, title=in_language(one.title, language), why=in_language(one.why, language)),
        steps=tuple(StepShown(text=in_language(step.text, language), action=_body(step.action), macro=step.macro) for step in one.steps),
        scripts=tuple(
            ScriptShown(title=in_language(script.title, language), text=in_language(script.text, record.locale)) for script in one.scripts
        ),
        clocks=record.clocks,
        escalates_to=next_in_chain(one, record.skill, record.had),
    )


def next_in_chain(playbook: Playbook, skill: str | None, had: frozenset[str]) -> str | None:
    """As case_escalates of functions/queue.sql has it: the first further on than the case's skill whom somebody can be."""
    same = skills_like(skill) if skill else ()
    places = [place for place, step in enumerate(playbook.chain) if step in same]
    return next((step for step in playbook.chain[places[-1] + 1 if places else 0 :] if step not in same and step in had), None)


def _body(action: Any) -> dict[str, Any] | None:
    if action is None:
        return None
    found: Mapping[str, Any] = msgspec.to_builtins(action)
    return dict(found)
