"""`makegood mcp`: the desk's tools for a machine agent, over MCP on standard input and output."""

from __future__ import annotations

import asyncio
from importlib import metadata

import click
import httpx

from service import mcp_tools


@click.command()
@click.option("--url", envvar="MAKEGOOD_URL", required=True, help="Where the service answers, such as https://help.example.org.")
@click.option("--token", envvar="MAKEGOOD_TOKEN", required=True, help="A machine agent's token; better given as MAKEGOOD_TOKEN.")
def command(url: str, token: str) -> None:
    """Speak MCP on standard input and output, for one machine agent: find, see, explain, preview, confirm, note, hand over.

    It stands between a model and the public API alone: what the token may not do, no tool does.
    """
    asyncio.run(_serve(url, token))


async def _serve(url: str, token: str) -> None:
    async with mcp_tools.client(url, token) as http:
        await _check(http)
        await mcp_tools.server(http, version=metadata.version("makegood")).run_stdio_async()


async def _check(http: httpx.AsyncClient) -> None:
    """A person's token in a program's hands would make its yes a person's. Raises ClickException."""
    try:
        answer = await http.get("/v1/desk/session")
    except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
        raise click.ClickException("The service does not answer there: look at MAKEGOOD_URL.") from error
    if answer.status_code != httpx.codes.OK:
        raise click.ClickException(f"The service does not take this token ({answer.status_code}): look at MAKEGOOD_TOKEN.")
    if answer.json()["agent"]["role"] != "machine":
        raise click.ClickException("This is a person's token. Make one of a machine agent: makegood keys make agent --role machine.")
