"""The play on a terminal: one short paragraph a scenario, as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.demo.journal import Journal, Kind, Line
from service.demo.play import Summary
from service.demo.scenarios import Scenario
from service.ports import Mail
from service.ports import Text as ShortText

# Where the output goes to a file or a pipe, nobody has a width; this fits a page.
_WIDTH: Final = 120
_WHO_WIDTH: Final = 33
_MS_WIDTH: Final = 8

_STYLES: Final[Mapping[Kind, str]] = {
    "asked": "bold",
    "decided": "cyan",
    "done": "green",
    "people": "magenta",
    "mail": "yellow",
    "text": "yellow",
    "platform": "blue",
    "seen": "dim",
}
_LABELS: Final[Mapping[Kind, str]] = {"decided": "", "done": "", "mail": "mail", "text": "text", "seen": "✓"}


class Screen:
    """Prints what a journal and a play say. Names which scenarios failed, and why, as they do."""

    def __init__(self, console: Console | None = None) -> None:
        found = console or Console(highlight=False)
        self._console = found if found.is_terminal else Console(file=found.file, width=_WIDTH, highlight=False)
        self.failures: list[str] = []
        self._is_hushed = False

    def hush(self) -> None:
        """From now on only lines of its own: what goes on by itself would push the addresses out of sight."""
        self._is_hushed = True

    def says(self, line: Line) -> None:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=_WHO_WIDTH, justify="right")
        row.add_column(ratio=1)
        row.add_column(width=_MS_WIDTH, justify="right")
        who = " ".join(part for part in (_LABELS.get(line.kind, ""), line.who) if part)
        words = Text(line.words, style="dim" if line.kind == "seen" else "")
        row.add_row(Text(who, style=_STYLES[line.kind]), words, Text("" if line.ms is None else f"{line.ms:.0f} ms", style="bold"))
        self._console.print(row)

    def begins(self, number: int, scenario: Scenario) -> None:
        self._console.print(Text(f"\n{number:>2}  {scenario.title}", style="bold reverse"))

    def ended(self, scenario: Scenario) -> None:
        self._console.print(Text(f"    {_ENDINGS[scenario.ends]}", style="green"))

    def failed(self, scenario: Scenario, why: str) -> None:
        self.failures.append(f"{scenario.name}: {why}")
        self._console.print(Text(f"    NOT AS IT SHOULD BE: {why}", style="bold red"))

    def mails(self, journal: Journal, mail: Mail) -> None:
        """A mail that the sandbox took instead of a mail server."""
        if self._is_hushed:
            return
        journal.say("mail", "(sandbox)", f"to {mail.to}: {mail.subject}")

    def texts(self, journal: Journal, text: ShortText) -> None:
        """A text that the sandbox took: whoever plays the customer reads the code here."""
        if not self._is_hushed:
            journal.say("text", "(sandbox)", f"to {text.to}: {text.body.splitlines()[0]}")

    def line(self, words: str, style: str = "") -> None:
        self._console.print(Text(words, style=style))

    def sums(self, summary: Summary, seconds: float) -> None:
        self.line("")
        self.line(
            f"{summary.scenarios} scenarios in {seconds:.1f} s: {summary.resolved} resolved, {summary.handed_over} with people,"
            f" {summary.denied} denied with a reason, {summary.waiting} waiting, {summary.failed} not as they should be.",
            "bold",
        )
        self.line(f"Customers waited {summary.p50_ms:.0f} ms for an answer (median), {summary.p99_ms:.0f} ms at the 99th percentile.")
        self.line("All money moved in the sandbox, and its own books agree with ours. No card, no mailbox and no phone was touched.")
        for failure in self.failures:
            self.line(f"NOT AS IT SHOULD BE: {failure}", "bold red")


_ENDINGS: Final[Mapping[str, str]] = {
    "resolved": "resolved",
    "handed_over": "with people, who know all of it",
    "denied": "denied, with what would change it",
    "waiting": "waiting for a named thing, by itself",
}
