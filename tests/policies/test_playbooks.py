"""What leads an agent: playbooks are checked whole when they are loaded, and every case has one that fits."""

from __future__ import annotations

from typing import Any, Final

import pytest

from policies import PROBLEMS, SKILLS, PlaybooksError, bundled_folder, load_macros, load_packs, load_playbooks, skills_like
from service.guide import guide, next_in_chain
from service.store.claims import GuideRecord
from service.store.pool import Pool

TEXT: Final = (bundled_folder() / "playbooks.yaml").read_text(encoding="utf-8")
MACROS: Final = [one.id for one in load_macros((bundled_folder() / "macros.yaml").read_text(encoding="utf-8")).all]
PLAYBOOKS: Final = load_playbooks(TEXT, languages=("en", "de"), macros=MACROS, rules=load_packs(bundled_folder(), ("en",)).rules)


@pytest.mark.parametrize(
    ("problem", "rules", "skill", "fits"),
    [
        ("charged_twice", (), "payments", "double-charge"),
        ("other", ("charges/overpaid-in-part",), "payments", "double-charge"),
        ("link_dead", (), "support", "token-failures"),
        ("stream_outage", ("refund/outage-only-here",), "playback", "token-failures"),
        ("pass_leaked", (), "trust", "access-passes"),
        ("merch_wrong", (), "merchandise", "misordered-merchandise"),
        ("other", (), "merchandise", "misordered-merchandise"),
        ("other", (), "support", "any-case"),
    ],
)
def test_the_playbook_of_a_case_is_the_first_whose_trigger_fits(problem: str, rules: tuple[str, ...], skill: str, fits: str) -> None:
    assert PLAYBOOKS.fitting(problem, rules, skill).id == fits


def test_every_case_has_a_playbook_with_somebody_further_on() -> None:
    for problem in PROBLEMS:
        for skill in SKILLS:
            one = PLAYBOOKS.fitting(problem, (), skill)
            assert next_in_chain(one, "core", frozenset({"escalation"})) == "escalation"


def test_a_chain_goes_on_from_where_the_case_is_and_passes_over_who_is_not_there() -> None:
    one = PLAYBOOKS.by_id["token-failures"]
    assert next_in_chain(one, "support", frozenset({"access", "escalation"})) == "access"
    assert next_in_chain(one, "playback", frozenset({"access", "escalation"})) == "escalation"
    assert next_in_chain(one, "core", frozenset({"escalation"})) == "escalation"
    assert next_in_chain(one, "escalation", frozenset(SKILLS)) is None


def test_steps_are_in_the_agents_language_and_scripts_in_the_customers() -> None:
    record = GuideRecord(
        problem="charged_twice", skill="payments", locale="de-AT", playbook=None, rules=(), had=frozenset({"escalation"}), clocks=()
    )
    shown = guide(PLAYBOOKS, record, "en")
    assert (shown.playbook.id, shown.playbook.title, shown.escalates_to) == ("double-charge", "Charged twice", "escalation")
    assert {"action": "refund", "cause": "duplicate_charge"} in [step.action for step in shown.steps]
    assert shown.steps[0].text.startswith("Look at")
    assert "Abbuchung" in shown.scripts[0].text


async def test_the_database_widens_skills_by_the_same_words(pool: Pool) -> None:
    for skill in SKILLS:
        assert set(await pool.fetchval("SELECT skills_widened($1, 'agent')", [skill])) == set(skills_like(skill))


_ONE: Final = """
playbooks:
  - id: any
    title: { en: Any }
    why: { en: Because. }
    on: [{}]
    chain: [core, escalation]
    steps:
      - text: { en: Look. }
        action: { action: refund, cause: remorse }
        macro: hello
"""


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("[core, escalation]", "[core, wizards]", "nobody has the skill 'wizards'"),
        ("[core, escalation]", "[core, core]", "`chain` names a skill twice"),
        ("on: [{}]", "on: [{ problem: weather }, {}]", "'weather' is not a problem"),
        ("on: [{}]", "on: [{ rule: charges/nothing }, {}]", "there is no rule 'charges/nothing'"),
        ("on: [{}]", "on: [{ skill: trust }]", "the last one fits every case"),
        ("action: refund, cause: remorse", "action: pay", "'pay' is not an action"),
        ("action: refund, cause: remorse", "action: refund", "a refund names its `cause`"),
        ("action: refund, cause: remorse", "action: resend_pass, cause: remorse", "nothing else has one"),
        ("cause: remorse", "cause: pity", "'pity' is not a cause"),
        ("macro: hello", "macro: goodbye", "there is no macro 'goodbye'"),
        ("{ en: Look. }", "{ de: Sieh. }", "lacks the language en"),
        ("why:", "wy:", "unknown field `wy`"),
    ],
)
def test_a_mistake_is_named_when_the_file_is_loaded(was: str, becomes: str, said: str) -> None:
    known: dict[str, Any] = {"macros": ["hello"], "rules": ["charges/duplicate"]}
    assert load_playbooks(_ONE, **known).by_id["any"].chain == ["core", "escalation"]
    assert was in _ONE
    with pytest.raises(PlaybooksError) as refused:
        load_playbooks(_ONE.replace(was, becomes), **known)
    assert said in str(refused.value)
