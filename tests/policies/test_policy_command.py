"""`makegood policy` in a shell: what it prints, and the code it ends with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from policies import StoredDecision, bundled_folder, encode, load_pack
from service.cli.policy import command
from tests.policies.small import GOOD_PACK, deny, text_of


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def pack_file(tmp_path: Path) -> Path:
    path = tmp_path / "more.yaml"
    path.write_text(GOOD_PACK, encoding="utf-8")
    return path


def facts(folder: Path, text: str, name: str = "facts.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_check_finds_nothing_wrong_with_the_bundled_packs() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "each problem is decided by one" in result.output


def test_check_lists_every_mistake_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text_of(deny("x", "{ a: true }")), encoding="utf-8")
    (tmp_path / "guards.yaml").write_text("auto_refund_max: 3\n", encoding="utf-8")
    result = run("check", tmp_path)
    assert result.exit_code == 1
    assert "guards.yaml: guards: " in result.stderr
    assert "a.yaml: small, rule no, line" in result.stderr


def test_check_can_ask_for_a_language() -> None:
    result = run("check", "-l", "en", "-l", "it")
    assert result.exit_code == 1
    assert "lacks the language it" in result.stderr


def test_test_counts_the_examples_of_each_pack(pack_file: Path) -> None:
    result = run("test", pack_file.parent)
    assert result.exit_code == 0
    assert "more           4 rules    4 examples hold" in result.output
    assert "refund" in run("test").output


def test_test_ends_with_1_when_an_example_does_not_hold(pack_file: Path) -> None:
    pack_file.write_text(GOOD_PACK.replace("amount: 5", "amount: 6"), encoding="utf-8")
    result = run("test", pack_file.parent)
    assert result.exit_code == 1
    assert "the example expects amount 6 and gets [5]" in result.stderr


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"a": true, "b": false, "n": 0}', "facts.json"),
        ("a: true\nb: false\nn: 0\n", "facts.yaml"),
    ],
)
def test_decide_prints_the_decision_of_any_pack_as_json(pack_file: Path, text: str, name: str) -> None:
    result = run("decide", pack_file, "--facts", facts(pack_file.parent, text, name))
    assert result.exit_code == 0
    verdict = json.loads(result.stdout)
    assert (verdict["outcome"], verdict["rule"]) == ("approve", "money")
    assert verdict["actions"] == [{"action": "refund", "amount": 5, "cause": "incident"}]


def test_facts_may_be_nested(tmp_path: Path) -> None:
    pack = facts(tmp_path, text_of(deny('answer.left == "yes"', '{ answer.left: "yes" }')), "small.yaml")
    result = run("decide", pack, "--facts", facts(tmp_path, '{"answer": {"left": "yes"}}'))
    assert json.loads(result.stdout)["outcome"] == "deny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"z": 1}', "facts.json: z: pack more declares no such fact"),
        ('{"a": 1}', "facts.json: a: must be bool, and is int"),
        ('{"d": NaN}', "facts.json: d: is not a finite number"),
        ('{"a": ', "facts.json: cannot be read"),
        ("[1]", "facts.json: must hold `name: value` for each fact, and holds list"),
    ],
)
def test_facts_that_cannot_be_used_are_named_and_end_with_2(pack_file: Path, text: str, message: str) -> None:
    result = run("decide", pack_file, "--facts", facts(pack_file.parent, text))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_pack_that_does_not_load_ends_decide_with_2(tmp_path: Path) -> None:
    pack = facts(tmp_path, "pack: x\n", "x.yaml")
    result = run("decide", pack, "--facts", facts(tmp_path, "{}"))
    assert result.exit_code == 2
    assert "x.yaml: x, line 1: the pack needs `rules`" in result.stderr


def stored_decision(**changes: object) -> str:
    pack = load_pack((bundled_folder() / "support.yaml").read_text(encoding="utf-8"), languages=["en"])
    given = {"problem": "abuse"}
    verdict = json.loads(encode(pack.decide(given)))
    return json.dumps({"pack_hash": pack.hash, "pack_text": pack.text, "facts": given, "verdict": verdict, **changes})


def test_explain_makes_a_stored_decision_again(tmp_path: Path) -> None:
    result = run("explain", "--decision", facts(tmp_path, stored_decision()))
    assert result.exit_code == 0
    assert "escalate by rule abuse of pack support" in result.output
    assert "byte for byte" in result.output


def test_explain_ends_with_1_when_the_decision_is_another(tmp_path: Path) -> None:
    result = run("explain", "--decision", facts(tmp_path, stored_decision(facts={"problem": "fraud"})))
    assert result.exit_code == 1
    assert "NOT the same decision" in result.output


def test_explain_says_what_is_missing_and_ends_with_2(tmp_path: Path) -> None:
    result = run("explain", "--decision", facts(tmp_path, stored_decision(pack_text=None)))
    assert result.exit_code == 2
    assert "name the pack's file with --pack" in result.stderr
    result = run("explain", "--decision", facts(tmp_path, "{}"))
    assert result.exit_code == 2
    assert "missing required field" in result.stderr
    assert StoredDecision.__struct_fields__ == ("pack_hash", "facts", "parameters", "verdict")
