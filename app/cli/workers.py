"""`callboard workers …`: who works, what on, and letting one rest or end."""

from __future__ import annotations

from typing import Any

import click

from app.cli.agents import database
from app.cli.speaking import as_json, harmless, in_json, record

LAST = 10


@click.group(name="workers")
def workers() -> None:
    """See who works and on what; let one take nothing more, work again, or end."""


@workers.command(name="list")
@as_json
def show_all(*, wants_json: bool) -> None:
    """List the worker processes, newest first."""
    with database():
        from app.workers import fleet

        rows, summary = fleet.listing(), fleet.capacity()
    if wants_json:
        click.echo(in_json({"workers": rows, "summary": summary}))
        return
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("No worker runs. Start one: dramatiq actors.worker, or make run.", err=True)


@workers.command()
@click.argument("worker_id")
@as_json
def show(worker_id: str, *, wants_json: bool) -> None:
    """Show a worker, what it runs, and how its last jobs went."""
    with database():
        from app.workers import fleet, history

        row = fleet.get(worker_id)
        totals, attempts = history.totals(worker_id), history.attempts(worker_id)
    if wants_json:
        click.echo(in_json(row | {"totals": totals, "attempts": attempts}))
        return
    click.echo(_line(row))
    for job in row["jobs"]:
        click.echo(f"  runs {job['progress']:3} %  {job['job_id']}  {job['agent_id']}  {harmless(job['current_step'] or '')}".rstrip())  # fmt: skip
    click.echo(f"  {totals['attempts']} attempts: {totals['completed']} completed, {totals['failed']} failed, "
               f"{totals['released']} handed back, {totals['lost']} lost")  # fmt: skip
    for each in attempts[:LAST]:
        began = each["started_at"].isoformat(timespec="seconds")
        click.echo(f"  {each['outcome'] or 'running':9} {began}  {each['job_id']}  {each['agent_id']}")


@workers.command()
@click.argument("worker_id")
@as_json
def drain(worker_id: str, *, wants_json: bool) -> None:
    """Let a worker take nothing more; what it runs goes on to its end."""
    _want("drain", "worker.drained", worker_id, wants_json=wants_json)


@workers.command()
@click.argument("worker_id")
@as_json
def resume(worker_id: str, *, wants_json: bool) -> None:
    """Let a drained worker take work again."""
    _want("resume", "worker.resumed", worker_id, wants_json=wants_json)


@workers.command()
@click.argument("worker_id")
@as_json
def stop(worker_id: str, *, wants_json: bool) -> None:
    """Let a worker end, and hand back what does not end in time; what keeps it running starts it anew."""
    _want("stop", "worker.stopped", worker_id, wants_json=wants_json)


def _want(verb: str, action: str, worker_id: str, *, wants_json: bool) -> None:
    with database() as db:
        from app.workers import fleet

        row: dict[str, Any] = getattr(fleet, verb)(worker_id, by="cli")
        record(action, worker_id, by="cli")
        db.session.commit()
    click.echo(in_json(row) if wants_json else _line(row))


def _line(row: dict[str, Any]) -> str:
    pools = ",".join(row["pools"])
    return f"{row['worker_id']}  {row['state']:8}  {row['busy']}/{row['threads']} busy  {pools}  {row['release']}"
