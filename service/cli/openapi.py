"""`makegood openapi`: the HTTP contract, made from the code itself; the same code gives the same bytes."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from service.api import contract


@click.command
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file instead of printing it.")
@click.option("--check", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Fail when this file differs from it.")
@click.option("--platform", "is_platforms", is_flag=True, help="The interface that a platform implements, instead of ours.")
def command(out: Path | None, check: Path | None, *, is_platforms: bool) -> None:
    """Print the HTTP contract (OpenAPI 3.1)."""
    document = contract.render(_platforms() if is_platforms else _ours())
    if check is not None:
        if check.read_bytes() != document:
            again = f"makegood openapi {'--platform ' if is_platforms else ''}--out {check}"
            raise click.ClickException(f"{check} is not what the code says; `{again}` writes it anew")
    elif out is not None:
        out.write_bytes(document)
    else:
        click.echo(document.decode(), nl=False)


def _ours() -> dict[str, object]:
    # the routes bring the whole application with them, which other commands do without
    return contract.contract(importlib.import_module("service.app").contract_app())


def _platforms() -> dict[str, object]:
    found: dict[str, object] = importlib.import_module("integrations.platform_http_contract").contract()
    return found
