"""`makegood agents`: who works at a platform's desk; sign one in, disable one, change what one may and can do."""

from __future__ import annotations

from typing import get_args
from uuid import UUID

import click

from service.cli.database import embedded_option
from service.cli.keys import find_platform, who_and_reason, who_and_why, with_pool
from service.desk_sessions import DeskSessions, link_address
from service.key_desk import check_agent
from service.keys import KeyRequestError, Keys, Role
from service.model import WireId, unwire, wire
from service.settings import Settings
from service.store.desk_sessions import DeskSessionStore
from service.store.keys import AgentChanged, AgentListed, Change, KeyStore, SignInTaken
from service.store.pool import Pool

_platform = click.option("--platform", "slug", required=True, help="The platform's short name.")


@click.group
def command() -> None:
    """List agents, sign them in to the console, disable and change them. `keys make agent` makes one."""


@command.command("list")
@_platform
@embedded_option
def list_agents(slug: str, *, is_embedded: bool) -> None:
    """List agents: role, name, skills."""

    async def work(pool: Pool, _: Settings) -> None:
        found = await find_platform(pool, slug)
        for agent in await KeyStore(pool).agents(found.id):
            state = f"disabled {agent.disabled_at:%Y-%m-%d}" if agent.disabled_at else "works"
            click.echo(f"{wire(WireId.AGENT, agent.id)}  {agent.role:8} {agent.name:24} {state:20} {' '.join(agent.skills)}")

    with_pool(work, is_embedded=is_embedded)


@command.command
@click.argument("agent")
@_platform
@who_and_reason
@embedded_option
def disable(agent: str, slug: str, who: str, why: str, *, is_embedded: bool) -> None:
    """End all keys of AGENT (its id or name) at once. What it holds goes back to the queue when its claim runs out."""

    async def work(pool: Pool, _: Settings) -> bool:
        found = await find_platform(pool, slug)
        named = await _agent(pool, found.id, agent)
        return await KeyStore(pool).disable_agent(found.id, named.id, Change(actor=who, why=why))

    if not with_pool(work, is_embedded=is_embedded):
        raise click.ClickException("this agent was disabled before")
    click.echo("disabled", err=True)


@command.command
@click.argument("agent")
@_platform
@click.option("--role", type=click.Choice(get_args(Role)), help="What it becomes; its keys may do what they were made for.")
@click.option("--skill", "skills", multiple=True, help="All it can do from now on; repeat for several.")
@click.option("--language", "languages", multiple=True, help="All it speaks from now on; repeat for several; `any` for every language.")
@click.option("--capacity", type=click.IntRange(1, 100), help="How many cases at a time.")
@click.option("--sign-in", help="How the platform's identity provider names it: a verified address, or sub:ID; `none` takes it away.")
@who_and_reason
@embedded_option
def change(
    agent: str,
    *,
    slug: str,
    role: Role | None,
    skills: tuple[str, ...],
    languages: tuple[str, ...],
    capacity: int | None,
    sign_in: str | None,
    who: str,
    why: str,
    is_embedded: bool,
) -> None:
    """Give AGENT (its id or name) another role, skills, languages, capacity, or way to sign in."""
    if role is None and not skills and not languages and capacity is None and sign_in is None:
        raise click.UsageError("say what changes: --role, --skill, --language, --capacity, --sign-in")
    spoken = None if not languages else () if languages == ("any",) else languages
    name = "" if sign_in == "none" else sign_in
    to = AgentChanged(role=role, skills=skills or None, languages=spoken, capacity=capacity, sign_in=name)

    async def work(pool: Pool, _: Settings) -> None:
        found = await find_platform(pool, slug)
        named = await _agent(pool, found.id, agent)
        try:
            check_agent(named, to)
            await KeyStore(pool).change_agent(found.id, named.id, to, Change(actor=who, why=why))
        except (KeyRequestError, SignInTaken) as error:
            raise click.ClickException(str(error) or "another agent signs in by that name") from None

    with_pool(work, is_embedded=is_embedded)
    click.echo("changed", err=True)


@command.command
@click.argument("agent")
@_platform
@who_and_why
@embedded_option
def link(agent: str, slug: str, who: str, why: str, *, is_embedded: bool) -> None:
    """Print a link that signs AGENT (its id or name) in to the console: once, within two minutes."""

    async def work(pool: Pool, settings: Settings) -> str:
        found = await find_platform(pool, slug)
        named = await _agent(pool, found.id, agent)
        code = await DeskSessions(DeskSessionStore(pool), Keys(KeyStore(pool))).link(found.id, named.id, Change(actor=who, why=why))
        if code is None:
            raise click.ClickException("the console is for people: this agent is a program, or is disabled")
        return link_address(settings.public_url, code)

    click.echo(with_pool(work, is_embedded=is_embedded))


async def _agent(pool: Pool, platform: UUID, text: str) -> AgentListed:
    """Raises click.ClickException."""
    wanted = unwire(WireId.AGENT, text)
    for one in await KeyStore(pool).agents(platform):
        if text == one.name or wanted == one.id:
            return one
    raise click.ClickException(f"there is no agent {text} on this platform; `makegood keys agents list` shows those there are")
