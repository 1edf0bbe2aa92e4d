"""Texts at hand: what is filled in is whole or says what is missing, and what is wrong with a macro is told before anybody can send it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import MACROS_FILE, Macro, MacrosError, bundled_folder, fill, fitting, load_macros, macro_mistakes, unfilled
from policies.macros import VARIABLES
from service.platform_checks import read_settings
from service.settings_reading import SettingsError
from service.texts import LANGUAGES

_NAMES = st.sampled_from(VARIABLES)
_WORDS = st.text(alphabet=st.characters(blacklist_characters="{}[]?", blacklist_categories=["Cs"]), max_size=20)
_TEXT = st.lists(st.one_of(_WORDS, _NAMES.map(lambda name: f"{{{name}}}")), max_size=12).map("".join)
_VALUES = st.dictionaries(
    _NAMES, st.one_of(st.none(), st.text(max_size=300), st.sampled_from(["", " ", "{order}", "[amount?]", "[ Amount ?]", "a\nb"]))
)


@given(text=_TEXT, values=_VALUES)
def test_what_is_filled_in_has_no_brace_and_tells_everything_that_is_missing(text: str, values: Mapping[str, str | None]) -> None:
    filled = fill(text, values)
    assert "{" not in filled.text
    assert "}" not in filled.text
    asked = set(re.findall(r"\{([a-z]+)\}", text))
    empty = {name for name in asked if not re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]", "", values.get(name) or "")}
    assert set(filled.missing) == empty
    # Whoever sends it as it is would be told: each gap can be seen, and nothing else looks like one.
    assert set(unfilled(filled.text)) == empty


@given(text=st.text(max_size=200), values=_VALUES)
def test_whatever_the_text_no_brace_is_left(text: str, values: Mapping[str, str | None]) -> None:
    assert not set(fill(text, values).text) & set("{}")


@pytest.mark.parametrize(
    "text",
    [
        "[amount?]",
        "[Amount?]",
        "[AMOUNT?]",
        "[ amount?]",
        "[amount ? ]",
        "[\u00a0amount?]",
        "{amount}",
        "{Amount}",
        "{{amount}}",
        "{ amount }",
    ],
)
def test_a_gap_is_one_however_it_is_written(text: str) -> None:
    assert unfilled(f"We send you {text} today, {text}.") == ("amount",)


@pytest.mark.parametrize("text", ["[sic]", "Is it the amount?", "{name}", "[the amount?]", "(order)", "amount}", "[order 5]", "[]{}"])
def test_what_is_no_variables_place_is_no_gap(text: str) -> None:
    assert unfilled(text) == ()


def test_the_macros_that_come_with_the_product_load_and_say_the_same_in_each_language() -> None:
    macros = load_macros((bundled_folder() / MACROS_FILE).read_text(encoding="utf-8"))
    assert len(macros.all) >= 8
    for macro in macros.all:
        assert set(macro.body) == set(macro.title) == set(LANGUAGES), macro.id
        assert not any(fill(body, dict.fromkeys(VARIABLES, "x")).missing for body in macro.body.values())


_GOOD = {"id": "hello", "title": {"en": "Hello"}, "body": {"en": "Hello from {agent}"}}


def _file(**changes: Any) -> str:
    macro = {**_GOOD, **changes}
    lines = [f"  - id: {macro['id']}"]
    if "problems" in macro:
        lines.append(f"    problems: {macro['problems']}")
    for field in ("title", "body"):
        lines += [f"    {field}:", *(f'      {language}: "{text}"' for language, text in macro[field].items())]
    return "macros:\n" + "\n".join([*lines, *(f"    {name}: x" for name in macro if name not in {"id", "problems", "title", "body"})])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"body": {"en": "to {orders}"}}, "{orders} is not known"),
        ({"body": {"en": "to {order"}}, "a brace that is not a variable's"),
        ({"body": {"en": "to {ORDER}"}}, "a brace that is not a variable's"),
        ({"body": {"en": "to [amount?]"}}, "is how a variable without a value is shown"),
        ({"body": {"en": "to [Amount ?]"}}, "is how a variable without a value is shown"),
        ({"body": {"en": "{order}", "de": "{show}"}, "title": {"en": "a", "de": "b"}}, "do not use the same variables"),
        ({"body": {"en": "a", "de": "b"}}, "title and body are in different languages"),
        ({"body": {"de": "a"}, "title": {"de": "a"}}, "has no text in en"),
        ({"body": {"en": "x" * 4001}}, "Expected `str` of length <= 4000"),
        ({"problems": "[nothing_of_ours]"}, "nothing_of_ours is no problem"),
        ({"id": "Hello"}, "matching regex"),
        ({"boby": "x"}, "unknown field `boby`"),
    ],
)
def test_a_mistake_is_told_when_the_file_is_loaded(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MacrosError) as told:
        load_macros(_file(**changes))
    assert any(said in one for one in told.value.errors), told.value.errors


def test_the_file_without_a_mistake_loads() -> None:
    assert [one.id for one in load_macros(_file()).all] == ["hello"]


def test_a_name_that_stands_twice_is_told() -> None:
    macro = Macro(id="hello", title={"en": "a"}, body={"en": "b"})
    assert list(macro_mistakes([macro, macro], needed="en")) == ["hello: stands twice"]


def test_those_for_the_problem_come_first_and_those_for_another_not_at_all() -> None:
    any_problem, ours, theirs = (
        Macro(id=name, problems=problems, title={"en": "a"}, body={"en": "b"})
        for name, problems in (("any", ()), ("ours", ("fraud",)), ("theirs", ("abuse",)))
    )
    assert [one.id for one in fitting([any_problem, ours, theirs], "fraud")] == ["ours", "any"]


@pytest.mark.parametrize(
    ("macro", "said"),
    [
        ({**_GOOD, "body": {"en": "to {orders}"}}, "macros: hello: en: {orders} is not known"),
        ({**_GOOD, "problem": ["fraud"]}, "macros: Object contains unknown field `problem`"),
        ({"id": "hallo", "title": {"de": "Hallo"}, "body": {"de": "Hallo"}}, "macros: hallo: has no text in en"),
        ({"id": "hello"}, "macros"),
    ],
)
def test_a_platform_is_told_what_is_wrong_with_its_own(macro: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings({"name": "Moonlight", "macros": [macro]}, rails={})
    assert any(one.startswith(said) for one in told.value.mistakes), told.value.mistakes


def test_a_platform_may_write_its_own_in_its_first_language_alone() -> None:
    own = {"id": "hallo", "title": {"de": "Hallo"}, "body": {"de": "Hallo von {agent}"}}
    settings = read_settings({"name": "Mondlicht", "languages": ["de"], "macros": [own]}, rails={})
    assert settings.macros[0].body == {"de": "Hallo von {agent}"}
