"""`callboard agents …`: import definitions from folders and archives, list, show and export what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.configured import settings
from app.cli.connected import is_here, is_remote, speaker
from app.errors import Unavailable

if TYPE_CHECKING:
    from app.agents.importing import Item, Plan

SIGNS = {"new": "+", "changed": "~", "unchanged": "=", "broken": "!"}


@click.group(name="agents")
def agents() -> None:
    """Import, list, show and export agents."""


@agents.command(name="import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Answer the plan as JSON.")
@click.option("--diff", "with_diff", is_flag=True, help="Show what changes, line by line.")
@click.pass_context
def take(context: click.Context, path: Path, *, dry_run: bool, as_json: bool, with_diff: bool) -> None:
    """Import the agents of PATH: a folder, a repository, a .zip or one .md file.

    Finds `<team>/.claude/agents/*.md` wherever they lie below PATH, else the markdown files that lie
    highest, and `callboard.yaml` beside or above them. Exit codes: 0 all is well, 1 some files are
    broken (the others are imported), 2 wrong usage.
    """
    with database() as db:
        from app.agents import importing, registry
        from app.quality import gates

        made = importing.plan(_files(path), importing.known(), gates.names())
        if not dry_run:
            made = importing.apply(made, source=registry.IMPORTED, by="cli")
            db.session.commit()
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **made.public()}, indent=2, default=str))
    else:
        for line in _told(made, dry_run=dry_run, with_diff=with_diff):
            click.echo(line)
    context.exit(1 if made.broken else 0)


@agents.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Answer everything as JSON.")
def show_all(*, as_json: bool) -> None:
    """List the agents there are: id, team, runner, source."""
    found = _all()
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for agent in found:
        click.echo(f"{agent['agent_id']:32} {agent['team']:20} {agent['runner']:8} {agent['source']}")


@agents.command()
@click.argument("agent_id")
def show(agent_id: str) -> None:
    """Show an agent as JSON, with its versions."""
    if is_remote():
        with speaker() as callboard:
            there = callboard.agent(agent_id).plain()
            kept = callboard.call("GET", f"/api/v1/agents/{there['agent_id']}/versions")
        click.echo(json.dumps(there | {"versions": kept["versions"]}, indent=2))
        return
    with database():
        from app.agents import registry, versions

        agent = registry.get(agent_id)
        shown = registry.public(agent) | {"versions": versions.listing(agent.agent_id)}
    click.echo(json.dumps(shown, indent=2, default=str))


@agents.command()
@click.argument("agent_id")
@click.option("--version", help="Its number (7 or v7) or hash; left out: the present one.")
def export(agent_id: str, version: str | None) -> None:
    """Print the definition of an agent; what a sidecar said of it becomes part of the file."""
    with database():
        from app.agents import registry, versions

        agent = registry.get(agent_id)
        kept = versions.get(agent.agent_id, version or agent.version)
        text = versions.whole(kept["definition"], kept["overlay"])
    click.echo(text, nl=not text.endswith("\n"))


def _all() -> list[dict[str, Any]]:
    """All agents, from the server if one is named."""
    if is_remote():
        with speaker() as callboard:
            return [agent.plain() for agent in callboard.agents()]
    with database():
        from app.agents import registry

        return [registry.public(agent) for agent in registry.all_agents()]


@contextmanager
def database() -> Iterator[Any]:
    """The settings' database, else the embedded one that runs; raises Unavailable if it does not answer.

    Also where CALLBOARD_URL names a server elsewhere and DATABASE_URL no database: nobody means that server's commands
    to change what happens to run here.
    """
    from app import bare_app
    from app.cli.database import connect
    from app.db import db
    from app.ops import embedded

    chosen = settings()
    if is_remote() and not chosen.database_url and not is_here(chosen.port, chosen.public_url):
        raise Unavailable(
            "this command needs the database: run it on the server, or set DATABASE_URL (CALLBOARD_URL does not help it)"
        )
    url = chosen.database_url or embedded.url_of(chosen.home)
    if not url:
        raise Unavailable(
            f"no Callboard runs in {chosen.home}: start it (`make run`), or set CALLBOARD_HOME or DATABASE_URL"
        )
    connect(url).close()
    chosen = chosen.model_copy(update={"database_url": url})
    with bare_app(chosen).app_context():
        yield db
        db.session.rollback()


def _files(path: Path) -> Any:
    from app.agents import folders

    if path.suffix.lower() == ".zip":
        return folders.unpacked(path.name, path.read_bytes())
    return folders.read(path)


def _told(made: Plan, *, dry_run: bool, with_diff: bool) -> Iterator[str]:
    for item in made.items:
        yield from _line(item, with_diff=with_diff)
    counts = ", ".join(f"{count} {action}" for action, count in made.counts.items() if count)
    yield f"{counts or 'no agents found'}{' (dry run: nothing was written)' if dry_run else ''}"


def _line(item: Item, *, with_diff: bool) -> Iterator[str]:
    size = f" (+{item.added} -{item.removed})" if item.action == "changed" else ""
    yield f"{SIGNS[item.action]} {item.agent_id or '-'}{size}  {item.path}"
    for said in item.errors:
        yield f"    {item.path}{f':{said.line}' if said.line else ''}: {' '.join(filter(None, (said.pointer, said.message)))}"
    for said in item.warnings:
        where = f"line {said.line}: " if said.line else ""
        yield f"    warning: {where}{' '.join(filter(None, (said.pointer, said.message)))}"
    if with_diff and item.diff:
        yield from (f"    {line}" for line in item.diff.splitlines())
