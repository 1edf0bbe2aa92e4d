"""Every text that a customer may read is there in every language, is really in it, and says the same facts."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import pytest

import service
from policies import bundled_folder, load_macros, load_packs
from policies.playbooks import load_playbooks
from service.letters.model import Letter
from service.letters.render import OUR_WORDS, TEMPLATES, Letters, letter_name
from service.texts import LANGUAGES, TEXTS, TextsError, load_texts
from tests.mail.samples import LETTERS, LOOK

CODE: Final = Path(service.__file__).parent
OTHERS: Final = tuple(language for language in LANGUAGES if language != "en")
PLACE: Final = re.compile(r"\{([a-z_.]+)\}")
ARABIC: Final = re.compile(r"[\u0620-\u064a]")
JAPANESE: Final = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]")
TAG: Final = re.compile(r"\{[{%#].*?[%#}]\}")
LATIN_WORD: Final = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")
# Makers' names, which no language translates.
NAMES: Final = frozenset({"PayPal", "Chrome", "Edge", "Firefox", "Safari", "JavaScript"})
letters: Final = Letters()

Found = tuple[str, Mapping[str, str]]


def of_packs() -> Iterator[Found]:
    for name, pack in load_packs(bundled_folder(), LANGUAGES).by_name.items():
        for rule in pack.rules:
            yield f"{name}/{rule.id} because", rule.answer.because
            if rule.answer.would_change:
                yield f"{name}/{rule.id} would_change", rule.answer.would_change
        for fact, question in pack.questions.items():
            yield f"{name} {fact}", question.prompt
            yield from ((f"{name} {fact} {option.value}", option.text) for option in question.options)


def of_people() -> Iterator[Found]:
    """What people send or say to customers."""
    for macro in load_macros((bundled_folder() / "macros.yaml").read_text(encoding="utf-8")).all:
        yield f"macro {macro.id} title", macro.title
        yield f"macro {macro.id}", macro.body
    for playbook in load_playbooks((bundled_folder() / "playbooks.yaml").read_text(encoding="utf-8")).by_id.values():
        yield from ((f"playbook {playbook.id} script {at}", texts) for at, texts in enumerate(playbook.spoken()))


def of_the_service() -> Iterator[Found]:
    for section in TEXTS.sections():
        yield from ((f"{section}.{name}", texts) for name, texts in TEXTS.by_name(section).items())


def of_the_feedback_page() -> Iterator[Found]:
    words = json.loads((CODE / "ui/src/pages/feedback-words.json").read_text(encoding="utf-8"))
    flat = {language: dict(_flat(said)) for language, said in words.items()}
    for name in flat["en"]:
        yield f"feedback.{name}", {language: said[name] for language, said in flat.items() if name in said}


def _flat(words: Mapping[str, str | list[str]]) -> Iterator[tuple[str, str]]:
    for name, said in words.items():
        if isinstance(said, str):
            yield name, said
        else:
            yield from ((f"{name}.{at}", one) for at, one in enumerate(said))


PACKS: Final = tuple(of_packs())
PEOPLE: Final = tuple(of_people())
SERVICE: Final = tuple(of_the_service())
FEEDBACK: Final = tuple(of_the_feedback_page())
ALL: Final = (*PACKS, *PEOPLE, *SERVICE, *FEEDBACK)


def test_there_are_texts_of_every_kind() -> None:
    assert len(PACKS) > 140
    assert len(PEOPLE) > 25
    assert len(SERVICE) > 70
    assert len(FEEDBACK) > 12


def test_every_text_is_there_in_every_language_with_the_same_places() -> None:
    lacking = [(where, sorted(set(LANGUAGES) ^ set(texts))) for where, texts in ALL if set(texts) != set(LANGUAGES)]
    assert not lacking
    assert not [(where, language) for where, texts in ALL for language, text in texts.items() if not text.strip()]
    assert not [
        (where, language)
        for where, texts in ALL
        for language, text in texts.items()
        if set(PLACE.findall(text)) != set(PLACE.findall(texts["en"]))
    ]


def test_no_text_was_left_in_english() -> None:
    assert not [(where, language, texts[language]) for where, texts in ALL for language in OTHERS if texts[language] == texts["en"]]


def test_each_text_is_written_in_the_script_of_its_language() -> None:
    wrong = []
    for where, texts in ALL:
        said = {language: PLACE.sub("", text) for language, text in texts.items()}
        wrong += [(where, "ar")] if not ARABIC.search(said["ar"]) else []
        wrong += [(where, "ja")] if not JAPANESE.search(said["ja"]) else []
        wrong += [
            (where, language) for language in ("en", "de", "fr", "es") if ARABIC.search(said[language]) or JAPANESE.search(said[language])
        ]
        wrong += [(where, language) for language in ("ar", "ja") if set(LATIN_WORD.findall(said[language])) - NAMES]
    assert not wrong


def test_the_numbers_of_a_policy_are_said_in_every_language() -> None:
    """`10 days` is ten days to everybody; a language may write one more in figures than English does."""
    assert not [
        (where, language)
        for where, texts in PACKS
        for language in OTHERS
        if not set(re.findall(r"\d+", PLACE.sub("", texts["en"]))) <= set(re.findall(r"\d+", PLACE.sub("", texts[language])))
    ]


def test_french_keeps_its_marks_on_the_line_of_their_word() -> None:
    assert not [where for where, texts in ALL if re.search(r" [:;?\u00bb]|\u00ab ", texts["fr"])]


QUOTED: Final = {
    "en": re.compile(r'"([^"]+)"'),
    "de": re.compile("\u201e([^\u201c]+)\u201c"),
    "fr": re.compile("\u00ab\u00a0([^\u00bb]+)\u00a0\u00bb"),
    "es": re.compile("\u00ab([^\u00bb]+)\u00bb"),
    "ja": re.compile("\u300c([^\u300d]+)\u300d"),
    "ar": re.compile("\u00ab([^\u00bb]+)\u00bb"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_button_that_a_policy_names_is_on_the_widget_by_that_name(language: str) -> None:
    words = msgspec.structs.asdict(OUR_WORDS[language])
    messages = json.loads((CODE / f"ui/widget/messages/{language}.json").read_text(encoding="utf-8"))
    buttons = {text for section in messages.values() for name, text in section.items() if name.startswith("p_")}
    shown = {PLACE.sub(lambda place: words[place[1]], text).casefold() for text in buttons}
    named = {name for _, texts in PACKS for name in QUOTED[language].findall(texts[language])}
    assert len(named) == 5
    assert not {name for name in named if name.casefold() not in shown}


def test_customers_are_addressed_formally() -> None:
    familiar = {"de": r"\b(du|dich|dir|dein\w*)\b", "fr": r"\b(tu|toi|ton|tes)\b", "es": r"\b(t\u00fa|tus?|contigo|vosotros)\b"}
    assert not [
        (where, language)
        for where, texts in ALL
        for language, words in familiar.items()
        if re.search(words, texts[language], re.IGNORECASE)
    ]


def _dicts(path: Path) -> Iterator[tuple[int, set[str]]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            yield node.lineno, {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def test_whatever_the_code_says_in_two_languages_it_says_in_all() -> None:
    """Apart from examples of the contract, and the demo, whose shows have the names they have."""
    apart = ("api", "demo", "cli", "ui")
    for path in CODE.rglob("*.py"):
        if path.relative_to(CODE).parts[0] not in apart:
            for line, keys in _dicts(path):
                assert not {"en", "de"} <= keys or keys >= set(LANGUAGES), f"{path.name}:{line} lacks {sorted(set(LANGUAGES) - keys)}"


# ------------------------------------------------------------------------------------------------------------- letters


def test_letters_are_written_in_every_language() -> None:
    assert set(OUR_WORDS) == set(LANGUAGES)


@pytest.mark.parametrize("letter", LETTERS, ids=letter_name)
def test_a_letter_says_the_same_facts_in_every_language(letter: Letter) -> None:
    said = {language: letters.render(letter, LOOK, language) for language in LANGUAGES}
    facts = {language: _facts(rendered.text) for language, rendered in said.items()}
    assert all(found == facts["en"] for found in facts.values()), facts
    assert len({rendered.subject for rendered in said.values()}) == len(LANGUAGES)
    assert ARABIC.search(said["ar"].subject)
    assert JAPANESE.search(said["ja"].subject)


@pytest.mark.parametrize("language", OTHERS)
def test_no_line_of_a_letter_was_left_in_english(language: str) -> None:
    for path in (TEMPLATES / "en").iterdir():
        own, english = _own_lines(TEMPLATES / language / path.name), _own_lines(path)
        assert own
        assert not own & english, path.name
        script = {"ar": ARABIC, "ja": JAPANESE}.get(language)
        assert script is None or all(script.search(line) for line in own), path.name


def _own_lines(path: Path) -> set[str]:
    """What the template itself says, line by line, without what is put in."""
    said = (TAG.sub("", line).strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {line for line in said if re.search(r"\w", line)}


def _facts(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Links, and whatever has two digits or more beside dates and hours, which each language writes in its own way."""
    links = frozenset(re.findall(r"https://\S+", text))
    return links, frozenset(re.findall(r"\d{3,}|\d+[.,]\d\d", re.sub(r"https://\S+", "", text).replace(",", ".")))


# ------------------------------------------------------------------------------------------------------------- loading


def test_texts_that_are_not_whole_do_not_load_and_every_mistake_is_told(tmp_path: Path) -> None:
    for language in LANGUAGES:
        shutil.copy(CODE / "texts" / f"{language}.yaml", tmp_path)
    fr = tmp_path / "fr.yaml"
    text = fr.read_text(encoding="utf-8")
    text = (
        text.replace("  ticket: billet\n", '  ticket: ""\n')
        .replace("  credit: avoir\n", "  praise: avoir\n")
        .replace("{high} heures", "{haut} heures", 1)
    )
    fr.write_text(text.replace("notre \u00e9quipe\n", "notre {\u00e9quipe\n", 1), encoding="utf-8")
    with pytest.raises(TextsError) as caught:
        load_texts(tmp_path)
    told = " ".join(caught.value.errors)
    for mistake in (
        "words.ticket says nothing",
        "words.credit is missing",
        "words.praise is not in English",
        "other places",
        "words.team has a brace",
    ):
        assert mistake in told
    assert all(one.startswith("fr: ") for one in caught.value.errors)


def test_a_language_that_cannot_be_read_does_not_load(tmp_path: Path) -> None:
    for language in LANGUAGES:
        shutil.copy(CODE / "texts" / f"{language}.yaml", tmp_path)
    (tmp_path / "ar.yaml").unlink()
    (tmp_path / "ja.yaml").write_text("words: [", encoding="utf-8")
    with pytest.raises(TextsError, match=r"ja: .*ar: cannot be read"):
        load_texts(tmp_path)
