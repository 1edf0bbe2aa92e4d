"""`makegood openapi`: the HTTP contract, made from the routes themselves; the same routes give the same bytes."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from service.api import contract


@click.command
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file instead of printing it.")
@click.option("--check", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Fail when this file differs from it.")
def command(out: Path | None, check: Path | None) -> None:
    """Print the HTTP contract (OpenAPI 3.1)."""
    # the routes bring the whole application with them, which other commands do without
    document = contract.render(contract.contract(importlib.import_module("service.app").contract_app()))
    if check is not None:
        if check.read_bytes() != document:
            raise click.ClickException(f"{check} is not what the code says; `makegood openapi --out {check}` writes it anew")
    elif out is not None:
        out.write_bytes(document)
    else:
        click.echo(document.decode(), nl=False)
