"""README, docs and CHANGELOG are true: what they name is there, what there is they name, and the requests they show work."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import click
import httpx
import pytest

from integrations.sandbox_books import Charge
from service import settings
from service.cli import main as makegood
from service.demo.night import Night, night_settings, open_night
from service.model import Money
from service.settings_reading import Reader
from tests.ports import free_port
from tests.promises.house import databases, until

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
PAGES: Final = {path: path.read_text() for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))}

# The names with which README speaks for each caller, and the variable that holds their token.
SPEAKERS: Final = {"api": "KEY", "desk": "AGENT", "fan": "SESSION"}
SLUG: Final = "northern"


def section(title: str, text: str = README) -> str:
    found = re.search(rf"^(#+) {re.escape(title)}.*?$(.*?)(?=^#{{1,3}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def first_cells(text: str) -> list[str]:
    """What stands in code in the first column of the tables of a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def blocks() -> Iterator[str]:
    for text in PAGES.values():
        yield from re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(name: str) -> Iterator[list[str]]:
    """What the pages call by this name, in words; comments left out."""
    for block in blocks():
        for line in re.findall(rf"(?:^|\$\()({name} [^\n)]*)", block, re.MULTILINE):
            yield shlex.split(line, comments=True)


# -------------------------------------------------------------------------------------------------- what is named


@pytest.mark.parametrize(("package", "title"), [("service", "`service/`"), ("integrations", "`integrations/`")])
def test_the_map_names_every_module_and_no_other(package: str, title: str) -> None:
    folder = ROOT / package
    files = {path.name for path in folder.glob("*.py") if path.name != "__init__.py"}
    packages = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert sorted(first_cells(section(title))) == sorted(files | packages)


def test_every_setting_is_in_the_table_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {"CONFIG": ""}

    class Recorder(Reader):
        def text(self, name: str) -> str | None:
            asked.setdefault(name.replace("RAIL_ANY_", "RAIL_<NAME>_"), "")
            return super().text(name)

        def integer(self, name: str, *, default: int, **limits: Any) -> int:
            asked[name] = str(default)
            return super().integer(name, default=default, **limits)

        def choice(self, name: str, words: Any, *, default: str) -> Any:
            asked[name] = default
            return super().choice(name, words, default=default)

        def address(self, name: str, *, default: str) -> tuple[str, int]:
            asked[name] = default
            return super().address(name, default=default)

        def languages(self, name: str, *, default: str) -> tuple[str, ...]:
            asked[name] = default
            return super().languages(name, default=default)

    monkeypatch.setattr(settings, "Reader", Recorder)
    settings.load({"MAKEGOOD_RAIL_ANY_KIND": "sandbox"})
    rows = dict(re.findall(r"^\| `MAKEGOOD_([^`]+)` \| (.*?) ?\| ", section("Configure"), re.MULTILINE))
    assert sorted(rows) == sorted(asked)
    wrong = {name: (default, rows[name]) for name, default in asked.items() if default and rows[name] != f"`{default}`"}
    assert wrong == {}
    assert rows["DATA"] == f"`{settings.load({}).data}`"


def test_every_library_is_a_decision_with_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {re.split(r"[\[><=]", requirement)[0] for requirement in project["dependencies"]}
    rows = re.findall(r"^\| (.+?) \| .+ \|$", section("Decisions"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)}
    assert ours - told == set()


def test_links_lead_to_files_and_headings_that_are_there() -> None:
    broken = []
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith("https://"):
                continue
            file, _, heading = link.partition("#")
            target = (page.parent / file) if file else page
            known = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if heading and target.exists() else []
            anchors = {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in known}
            if not target.exists() or (heading and heading not in anchors):
                broken.append((page.name, link))
    assert broken == []


def test_files_that_are_named_as_proof_are_there() -> None:
    named = {name for text in PAGES.values() for name in re.findall(r"`((?:tests|service|policies|openapi|docs)/[\w./-]+)`", text)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_make_has_every_target_that_is_named() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in PAGES.values() for name in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}
    assert named - targets == set()


def test_makegood_has_every_command_and_option_that_is_shown() -> None:
    wrong = []
    for words in commands("makegood"):
        command: click.Command = makegood
        rest = words[1:]
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            found = command.get_command(click.Context(command), rest.pop(0))
            if found is None:
                break
            command = found
        options = {name for one in command.params for name in one.opts} | {"--help", "--version"}
        bad = [word for word in rest if word.startswith("--") and word not in options]
        if bad or (isinstance(command, click.Group) and rest != ["--help"]):
            wrong.append(" ".join(words))
    assert wrong == []


def test_the_picture_is_whole_and_asks_nobody_else() -> None:
    text = (ROOT / "docs" / "flow.svg").read_text()
    ET.fromstring(text)  # noqa: S314 - our own file
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"!\[[^\]]*\]\(https?:", README)


# ---------------------------------------------------------------------------------------------- what is shown works


class Shell:
    """As much of a shell as README uses: words, quotes, variables; requests go out as the function's caller would send them."""

    def __init__(self, night: Night, variables: dict[str, str]) -> None:
        self._night = night
        self.variables = variables

    async def run(self, line: str) -> httpx.Response:
        speaker, *words = self._words(line)
        body, method, url = None, None, ""
        headers = {"Authorization": f"Bearer {self.variables[SPEAKERS[speaker]]}"}
        rest = iter(words)
        for word in rest:
            if word == "-d":
                body = next(rest)
            elif word == "-X":
                method = next(rest)
            elif word == "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            elif word != "-N":
                url = word
        if body is not None:
            json.loads(body)
            headers["Content-Type"] = "application/json"
        return await self._night.client.request(method or ("POST" if body else "GET"), url, content=body, headers=headers)

    def _words(self, line: str) -> list[str]:
        # Single quotes keep everything as it is, so variables are put in where they stand outside of them.
        parts = re.split(r"('[^']*')", line)
        put_in = [part if part.startswith("'") else re.sub(r"\$(\w+)", lambda name: self.variables[name[1]], part) for part in parts]
        return shlex.split("".join(put_in), comments=True)


def requests() -> list[str]:
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", section("Integrate"), re.MULTILINE | re.DOTALL))
    joined = re.findall(rf"^(?:{'|'.join(SPEAKERS)}) (?:[^'\n]|'[^']*')*", lines, re.MULTILINE)
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60)
    return [moved(line, begins) for line in joined if "()" not in line]


def moved(line: str, begins: datetime) -> str:
    """The example's evening, laid around this moment: it began an hour ago, and the trouble is over by now."""
    example = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
    return re.sub(
        r"2026-11-20T[\d:]+Z",
        lambda at: (datetime.fromisoformat(at[0]) - example + begins).isoformat().replace("+00:00", "Z"),
        line,
    )


@pytest.fixture
async def night(postgres_dsn: str, template_database: str) -> AsyncIterator[Night]:
    port = free_port()
    async with (
        databases(postgres_dsn, template_database) as (database, ledger),
        open_night(night_settings(database_url=database, sandbox_database_url=ledger, port=port), slug=SLUG) as opened,
    ):
        yield opened


async def test_the_requests_of_the_readme_work_in_their_order(night: Night) -> None:
    await night.books.load_charges([Charge(payment_ref="ch_1", amount=Money(minor=2500, currency="EUR"))])
    opened = await night.client.post("/v1/sessions", headers={"Makegood-Platform": SLUG})
    tokens = {"KEY": night.desk.platform, "AGENT": night.desk.agent, "SESSION": opened.json()["token"]}
    shell = Shell(night, {"AT": night.address, **tokens})
    seen: list[Mapping[str, Any]] = []
    lines = requests()
    assert {line.split()[0] for line in lines} == set(SPEAKERS)
    for line in lines:
        code = await _code(night) if "/v1/sessions/verify" in line else ""
        answer = await shell.run(line.replace("042917", code) if code else line)
        assert answer.is_success, (line, answer.text)
        if "contact-1" in line:
            shell.variables["CASE"] = answer.json()["id"]
            await _until(shell, "waiting")
        if '"version": 2' in line:
            await _until(shell, "resolved")
        if answer.headers["content-type"].startswith("application/json"):
            seen.append(answer.json())
    paid = [one for answer in seen for one in answer.get("operations", ()) if one["action"] == "refund"]
    # a case says status, the order's books say state
    assert {(one.get("status") or one["state"], one["amount"]) for one in paid} == {("sent", 694)}


async def _until(shell: Shell, status: str) -> None:
    """The case goes on by itself, and a busy machine answers before it has."""
    await until(lambda: shell.run("api $AT/v1/cases/$CASE"), lambda answer: answer.json()["status"] == status)


async def _code(night: Night) -> str:
    def holds_code(mail: Any) -> bool:
        return re.search(r"\b\d{6}\b", mail.text) is not None

    mail = await night.mails.until("mira@example.org", holds_code)
    found = re.search(r"\b\d{6}\b", mail.text)
    assert found is not None
    return found[0]
