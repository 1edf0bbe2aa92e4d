"""Groups of commands, some of which live in modules of their own and are imported when called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Group(click.Group):
    """`elsewhere`: name -> module of this package and the click command in it, `keys` or `platform_history:diff` (else `command`)."""

    def __init__(self, *arguments: Any, elsewhere: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._elsewhere[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"service.cli.{module}"), name or "command")
        assert isinstance(command, click.Command)  # noqa: S101 - a module of this package, checked by a test
        return command
