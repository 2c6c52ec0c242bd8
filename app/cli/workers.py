"""`callboard workers …`: who works, what on, and letting one rest or end."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json, harmless

LAST = 10
PATH = "/api/v1/workers"


@click.group(name="workers")
def workers() -> None:
    """See who works and on what; let one take nothing more, work again, or end."""


@workers.command(name="list")
@on_behalf
@as_json
def show_all(*, email: str | None, wants_json: bool) -> None:
    """List the worker processes, newest first."""
    with speaker(email) as callboard:
        found = callboard.call("GET", PATH)
    rows = found["workers"]
    if wants_json:
        telling.say_json(found)
        return
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("No worker runs. Start one: dramatiq actors.worker, or make run.", err=True)


@workers.command()
@click.argument("worker_id")
@on_behalf
@as_json
def show(worker_id: str, *, email: str | None, wants_json: bool) -> None:
    """Show a worker, what it runs, and how its last jobs went."""
    with speaker(email) as callboard:
        row = callboard.call("GET", f"{PATH}/{quote(worker_id, safe='')}")
    totals, attempts = row["totals"], row["attempts"]
    if wants_json:
        telling.say_json(row)
        return
    click.echo(_line(row))
    for job in row["jobs"]:
        click.echo(f"  runs {job['progress']:3} %  {job['job_id']}  {job['agent_id']}  {harmless(job['current_step'] or '')}".rstrip())  # fmt: skip
    click.echo(f"  {totals['attempts']} attempts: {totals['completed']} completed, {totals['failed']} failed, "
               f"{totals['released']} handed back, {totals['lost']} lost")  # fmt: skip
    for each in map(telling.timed, attempts[:LAST]):
        began = each["started_at"].isoformat(timespec="seconds")
        click.echo(f"  {each['outcome'] or 'running':9} {began}  {each['job_id']}  {each['agent_id']}")


@workers.command()
@on_behalf
@as_json
def scaling(*, email: str | None, wants_json: bool) -> None:
    """Show how many workers are wanted, of each pool and in all, and why."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/scaling")
    if wants_json:
        telling.say_json(found)
        return
    click.echo(
        f"{found['wanted']} wanted ({found['min']} to {found['max']}), {found['current']} work: {found['why']}"
    )
    for each in found["pools"]:
        click.echo(
            f"  {each['pool']:12} {each['wanted_workers']:3} wanted  {each['waiting']:6,} to claim  "
            f"{each['running']}/{each['capacity']} busy  {each['drained_per_minute']:g}/min"
        )
    for each in found["history"]:
        click.echo(f"  {each['at']}  {each['before'] or '-'} -> {each['wanted']}  {each['why']}")


@workers.command()
@click.argument("worker_id")
@on_behalf
@as_json
def drain(worker_id: str, *, email: str | None, wants_json: bool) -> None:
    """Let a worker take nothing more; what it runs goes on to its end."""
    _want("drain", worker_id, email, wants_json=wants_json)


@workers.command()
@click.argument("worker_id")
@on_behalf
@as_json
def resume(worker_id: str, *, email: str | None, wants_json: bool) -> None:
    """Let a drained worker take work again."""
    _want("resume", worker_id, email, wants_json=wants_json)


@workers.command()
@click.argument("worker_id")
@on_behalf
@as_json
def stop(worker_id: str, *, email: str | None, wants_json: bool) -> None:
    """Let a worker end, and hand back what does not end in time; what keeps it running starts it anew."""
    _want("stop", worker_id, email, wants_json=wants_json)


def _want(verb: str, worker_id: str, email: str | None, *, wants_json: bool) -> None:
    with speaker(email) as callboard:
        row: dict[str, Any] = callboard.workers.steer(quote(worker_id, safe=""), verb).plain()
    if wants_json:
        telling.say_json(row)
    else:
        click.echo(_line(row))


def _line(row: dict[str, Any]) -> str:
    pools = ",".join(row["pools"])
    return harmless(
        f"{row['worker_id']}  {row['state']:8}  {row['busy']}/{row['threads']} busy  {pools}  {row['release']}"
    )
