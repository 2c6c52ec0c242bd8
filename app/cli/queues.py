"""`callboard queues …`: what waits and runs in each pool, and letting one rest."""

from __future__ import annotations

from typing import Any

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json

POOLS = click.Choice(["marketing", "testing", "engineering", "general"])


@click.group(name="queues")
def queues() -> None:
    """See what waits and runs in each pool; pause one, and let it go on."""


@queues.command(name="list")
@on_behalf
@as_json
def show_all(*, email: str | None, wants_json: bool) -> None:
    """List the pools."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/queues")
    if wants_json:
        telling.say_json(found)
        return
    telling.table(COLUMNS, map(row, found["queues"]))


@queues.command()
@click.argument("pool", type=POOLS)
@click.option("--reason", help="Why; everybody sees it.")
@click.option(
    "--for", "for_seconds", type=click.IntRange(1), metavar="SECONDS", help="Left out: until it is resumed."
)
@on_behalf
@as_json
def pause(
    pool: str, *, reason: str | None, for_seconds: int | None, email: str | None, wants_json: bool
) -> None:
    """Take nothing more from POOL; what runs goes on."""
    with speaker(email) as callboard:
        _tell(
            callboard.queues.pause(pool, reason=reason, for_seconds=for_seconds).plain(),
            wants_json=wants_json,
        )


@queues.command()
@click.argument("pool", type=POOLS)
@on_behalf
@as_json
def resume(pool: str, *, email: str | None, wants_json: bool) -> None:
    """Let POOL go on at once."""
    with speaker(email) as callboard:
        _tell(callboard.queues.resume(pool).plain(), wants_json=wants_json)


COLUMNS = ("pool", "waiting", "running", "workers", "busy", "oldest", "status")


def row(pool: dict[str, Any]) -> list[Any]:
    """A pool as a line of a table."""
    until = f" until {telling.when(pool['paused_until'])}" if pool["paused_until"] else ""
    state = f"paused{until}" if pool["paused"] else "works" if pool["workers"] else "no worker"
    busy = f"{pool['busy']}/{pool['threads']}"
    oldest = telling.ago(pool["oldest_waiting_since"])
    return [pool["pool"], pool["waiting"], pool["running"], pool["workers"], busy, oldest, state]


def _tell(pool: dict[str, Any], *, wants_json: bool) -> None:
    if wants_json:
        telling.say_json(pool)
    else:
        telling.line(
            f"{pool['pool']}  {'paused' if pool['paused'] else 'works'}", "paused" if pool["paused"] else ""
        )
