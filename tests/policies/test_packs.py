"""The packs that come with the product: complete, each problem decided once, in words customers read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies import PROBLEMS, Pack, PackError, bundled_folder, load_guards, load_pack, load_packs, pack_files
from tests.policies.small import GOOD_PACK, deny, text_of

LANGUAGES = ("en", "de", "fr", "es", "ja", "ar")
PACKS = load_packs(bundled_folder(), LANGUAGES)
ALL = list(PACKS.by_name.values())

# Words of ours that customers do not read, and tones they should not hear.
NOT_SAID = re.compile(
    r"\b(pass(es)?|reissue\w*|handoff|case|receipt|rail|oops|unfortunately|leider|sorry"
    r"|malheureusement|désolée?s?|lamentablemente|desgraciadamente|por desgracia|lo sentimos)\b"
    r"|残念|申し訳|恐れ入り|للأسف|عذر|نعتذر|[!\u00a1\uff01]",
    re.IGNORECASE,
)


def sentences(pack: Pack) -> Iterator[tuple[str, str, str]]:
    for rule in pack.rules:
        for texts in (rule.answer.because, rule.answer.would_change):
            for language, sentence in texts.items():
                yield rule.id, language, sentence
    for question in pack.questions.values():
        for texts in (question.prompt, *(option.text for option in question.options)):
            for language, sentence in texts.items():
                yield question.fact, language, sentence


def test_every_problem_is_decided_by_exactly_one_pack() -> None:
    assert sorted(problem for pack in ALL for problem in pack.problems) == sorted(PROBLEMS)
    for problem in PROBLEMS:
        assert problem in PACKS.for_problem(problem).problems
    with pytest.raises(KeyError):
        PACKS.for_problem("weather")


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
def test_customers_read_their_own_words(pack: Pack) -> None:
    wrong = [(rule, sentence) for rule, _, sentence in sentences(pack) if NOT_SAID.search(sentence)]
    assert not wrong


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
def test_every_sentence_is_there_in_every_language(pack: Pack) -> None:
    assert pack.languages == tuple(sorted(LANGUAGES))
    assert {language for _, language, _ in sentences(pack)} == set(LANGUAGES)


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
def test_every_declared_fact_is_looked_at_by_a_rule(pack: Pack) -> None:
    assert set(pack.facts) == {name for rule in pack.rules for name in rule.mentions}


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
def test_every_denial_says_what_would_change_it(pack: Pack) -> None:
    assert all(rule.answer.would_change for rule in pack.rules if rule.answer.outcome == "deny")


def test_money_of_merchandise_is_never_decided_without_a_person() -> None:
    pack = PACKS.for_problem("wants_refund")
    for rule in pack.rules:
        assert not rule.steps or "merchandise" not in rule.when_text


def test_a_folder_with_two_packs_for_one_problem_does_not_load(tmp_path: Path) -> None:
    for path in pack_files(bundled_folder()):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "more.yaml").write_text(GOOD_PACK, encoding="utf-8")
    with pytest.raises(PackError, match="problem other is decided by more and support; it must be one pack"):
        load_packs(tmp_path, ["en"])


def test_a_folder_that_leaves_a_problem_out_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(GOOD_PACK, encoding="utf-8")
    with pytest.raises(PackError, match="problem abuse is decided by no pack"):
        load_packs(tmp_path, ["en"])


def test_a_folder_without_packs_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no pack"):
        load_packs(tmp_path, ["en"])


def test_all_files_tell_their_mistakes_together(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("pack: one\n", encoding="utf-8")
    (tmp_path / "two.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "three.yaml").write_text(text_of(deny("x", "{ a: true }")), encoding="utf-8")
    with pytest.raises(PackError) as caught:
        load_packs(tmp_path, ["en"])
    for name in ("one.yaml: ", "two.yaml: is not UTF-8", "three.yaml: small, rule no"):
        assert any(error.startswith(name) for error in caught.value.errors)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("for: incident_end", "for: rain", "nothing ends a wait for 'rain'"),
        ("skill: support", "skill: magic", "nobody has the skill 'magic'"),
        ("suggest: [reply]", "suggest: [dance]", "'dance' cannot be suggested"),
        ("deny: { would_change: { en: Something else. } }", "deny: true", "a denial says what would change it"),
        ("cause: incident, ", "", "a refund needs its `cause`"),
        ("problems: [other]", "problems: [weather]", "'weather' is not a problem"),
    ],
)
def test_a_word_the_service_does_not_know_does_not_load_in_a_folder(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD_PACK
    changed = GOOD_PACK.replace(old, new)
    # By itself, such a pack may be tried.
    load_pack(changed, languages=["en"])
    (tmp_path / "more.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(PackError, match=message):
        load_packs(tmp_path, ["en"])


def test_the_pack_in_the_readme_loads() -> None:
    readme = (bundled_folder() / "README.md").read_text(encoding="utf-8")
    pack = load_pack(readme.split("```yaml\n")[1].split("```")[0], languages=["en"])
    verdict = pack.decide({"barrier.open": True, "parked.minutes": 30, "ticket.price": 1000, "answer.left": "yes"})
    assert [action.amount for action in verdict.actions] == [500]


def test_the_numbers_of_the_guards_load_and_stop_a_large_order() -> None:
    guards = load_guards((bundled_folder() / "guards.yaml").read_text(encoding="utf-8"))
    assert guards.auto_refund_max["EUR"] < 48000
    assert guards.second_person_over["EUR"] < 48000 <= guards.roles["lead"].refund_max["EUR"]
    assert guards.caps.per_customer_and_day["EUR"] >= 48000
    assert set(guards.auto_refund_max) == set(guards.second_person_over) == set(guards.caps.per_rail_and_day)
