"""`makegood check-platform`: tries a platform's integration over HTTP, as an outsider would, and says what is missing."""

from __future__ import annotations

import shlex
from typing import Final

import click
import httpx
import msgspec

from service.cli.platform_trial import Step, Trial, run

# Longer than the longest wait of the service (25 s); what takes longer is down.
_REQUEST_SECONDS_MAX: Final = 40.0
_WORDS: Final = {"well": "ok     ", "missing": "wrong  ", "note": "note   "}


@click.command("check-platform")
@click.argument("url")
@click.option("--key", required=True, envvar="CHECK_KEY", help="A key of the platform; better in the variable CHECK_KEY than on the line.")
@click.option("--platform", "slug", help="The platform's short name; needed to try a customer's token.")
@click.option(
    "--token-command",
    help="Your own code that signs a customer in: called with a customer's id as the last argument, it prints a JWT.",
)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON document.")
def command(url: str, key: str, slug: str | None, token_command: str | None, *, is_json: bool) -> None:
    """Send a test order, a customer's token, an event and a case through everything, and say what is missing.

    URL is where Makegood answers. The order is marked as a test, costs nothing and is cancelled afterwards. Ends with 1 if anything that is
    needed is missing.
    """
    with httpx.Client(base_url=url.rstrip("/"), timeout=_REQUEST_SECONDS_MAX, headers={"Authorization": f"Bearer {key}"}) as http:
        trial = Trial(http=http, slug=slug, token_command=tuple(shlex.split(token_command or "")))
        steps: list[Step] = []
        for step in run(trial):
            steps.append(step)
            if not is_json:
                click.echo(line(step))
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"url": url, "steps": steps}), indent=2))
    if any(step.state == "missing" for step in steps):
        raise click.exceptions.Exit(1)


def line(step: Step) -> str:
    said = f"{_WORDS[step.state]}{step.part}: {step.said}"
    return f"{said}\n       mend it: {step.mend}" if step.mend else said
