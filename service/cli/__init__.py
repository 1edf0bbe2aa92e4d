"""`makegood`: one command each for the people who install, run and change it. A command's module is imported when it is called."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Mapping
from typing import Final

import click

from service.settings import SettingsError

# Command, its module in this package (each has a click command called `command`), and its line in `makegood --help`.
_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo", "Play a live show's problems and watch them being resolved."),
    "serve": ("serve", "Answer customers, agents and processors over HTTP."),
    "worker": ("worker", "Finish what is due, beside the processes that serve."),
    "migrate": ("database", "Bring the database to this release's tables."),
    "import": ("importing", "Take over orders from elsewhere."),
    "policy": ("policy", "Check, test, ask and explain policies."),
    "platform": ("platform", "Add and list platforms."),
    "keys": ("keys", "Issue, list and revoke keys of platforms and agents."),
    "agents": ("agents", "Look after the people and programs at a platform's desk; sign one in."),
    "widget": ("widget", "Print the line that puts the help widget into a page."),
    "money": ("money", "Stop money and let it go; compare the books; recover after a restored backup."),
    "doctor": ("doctor", "Say what is wrong with this installation, and how to mend it."),
    "check-platform": ("check_platform", "Try a platform's integration from outside, and say what is missing."),
    "mcp": ("mcp", "Speak MCP for a machine agent, over standard input and output."),
    "sandbox": ("sandbox", "Make charges in the sandbox's ledger, so that they can be refunded."),
    "openapi": ("openapi", "Print the HTTP contract."),
}


class _Commands(click.Group):
    """Knows its commands without importing them: `makegood --help` is quick, and one that cannot be imported does not break the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{_COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a module of this package, checked by a test
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """What an operator can mend is told in words, without a traceback."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
        except (ConnectionError, socket.gaierror) as error:
            message = "The database does not answer: look at MAKEGOOD_DATABASE_URL, or add --embedded where the command has it."
            raise click.ClickException(message) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="makegood")
def main() -> None:
    """Self-service resolution for live and streamed shows.

    Settings come from MAKEGOOD_* variables and, if MAKEGOOD_CONFIG names one, a TOML file.
    """
