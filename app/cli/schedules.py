"""`callboard schedules …`: make, look at, pause, run and remove what is submitted by itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app import clock
from app.cli import telling
from app.cli.connected import on_behalf, rows, speaker
from app.cli.naming import named
from app.cli.speaking import as_json, harmless, in_json
from app.cli.workflows import FILE, PRIORITIES, of_file

AHEAD = 5
LAST = 10


@click.group(name="schedules")
def schedules() -> None:
    """Make, look at, pause, run and remove what is submitted by itself."""


@schedules.command(name="list")
@click.option("--status", type=click.Choice(["scheduled", "disabled", "fired", "missed"]))
@click.option("--agent", help="Only those of this agent.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@on_behalf
@as_json
def show_all(
    *, status: str | None, agent: str | None, limit: int, email: str | None, wants_json: bool
) -> None:
    """List schedules, those that come next first."""
    chosen = {"status": status, "agent_id": agent}
    with speaker(email) as callboard:
        found = rows(callboard, "/api/v1/schedules", "schedules", most=limit, **chosen)
    if wants_json:
        telling.say_json(found)
        return
    if not found:
        click.echo("No schedules. Make one: callboard schedules add --help", err=True)
    for each in found:
        comes = each["next_execution_local"] or "-"
        line = f"{each['schedule_id']}  {each['status']:9}  {comes:25}  {each['name']}: {each['description']}"
        click.echo(harmless(line))


@schedules.command()
@click.argument("agent", required=False)
@click.option("--template", help="Instead of an agent: a workflow by its template.")
@click.option(
    "--version", type=click.IntRange(1), help="Of the template. Left out: the current one each time."
)
@click.option(
    "--workflow", "workflow_file", type=FILE, help="Instead of an agent: a workflow in a YAML or JSON file."
)
@click.option("--cron", help="Again and again: `0 2 * * *`, `0 9 * * mon`, @daily.")
@click.option("--at", help="Once: 2026-12-01T09:00, in --timezone unless it says another.")
@click.option("--timezone", default="UTC", show_default=True, help="IANA name, like Europe/Berlin.")
@click.option(
    "--param", "given", multiple=True, metavar="NAME=VALUE", help="JSON, else text; may be repeated."
)
@click.option("--params", "params_file", type=FILE, help="A YAML or JSON file of parameters or inputs.")
@click.option("--name", help="For people. Left out: as what it runs.")
@click.option(
    "--misfire", type=click.Choice(["run_once", "skip", "all"]), default="run_once", show_default=True
)
@click.option("--grace", type=click.IntRange(0, 86_400), default=60, show_default=True, help="Seconds.")
@click.option("--overlap", type=click.Choice(["allow", "skip", "queue"]), default="allow", show_default=True)
@click.option("--jitter", type=click.IntRange(0, 86_400), default=0, show_default=True, help="Seconds.")
@click.option("--priority", type=PRIORITIES, default="normal", show_default=True)
@click.option("--disabled", is_flag=True, help="Do not let it run yet.")
@on_behalf
@as_json
def add(
    agent: str | None,
    *,
    template: str | None,
    version: int | None,
    workflow_file: Path | None,
    cron: str | None,
    at: str | None,
    timezone: str,
    given: tuple[str, ...],
    params_file: Path | None,
    email: str | None,
    disabled: bool,
    grace: int,
    jitter: int,
    wants_json: bool,
    **rest: Any,
) -> None:
    """Make a schedule of AGENT, of a template, or of a workflow in a file."""
    wish = {
        "agent_id": agent,
        "workflow_template": template,
        "workflow_version": version,
        "workflow": of_file(workflow_file) if workflow_file else None,
        "parameters": _parameters(given, params_file),
        "cron_expression": cron,
        "execute_at": _moment(at, timezone).isoformat() if at else None,
        "timezone": timezone,
        "grace_seconds": grace,
        "jitter_seconds": jitter,
        "enabled": not disabled,
    } | rest
    with speaker(email) as callboard:
        told = {name: value for name, value in wish.items() if value is not None}
        made = callboard.schedules.create(**told).plain()
    if wants_json:
        telling.say_json(made)
    else:
        click.echo(f"{made['schedule_id']}  {made['status']}  {made['description']}")


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@on_behalf
@as_json
def show(schedule_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Show a schedule, when it comes next, and what became of its last times."""
    with speaker(email) as callboard:
        shown = callboard.schedules.get(str(schedule_id)).plain()
        fires = callboard.schedules.fires(str(schedule_id), limit=LAST)
    shown |= {"upcoming": _upcoming(shown), "fires": fires}
    if wants_json:
        telling.say_json(shown)
        return
    click.echo(harmless(f"{shown['name']}: {shown['status']}. {shown['description']}"))
    for moment in shown["upcoming"]:
        click.echo(f"  comes   {moment}")
    for fire in map(telling.timed, fires):
        said = fire["run_status"] or fire["reason"] or ""
        run = fire["job_id"] or fire["workflow_id"] or ""
        line = f"  {fire['outcome']:7} {fire['slot_at'].isoformat(timespec='seconds')}  {said}  {run}"
        click.echo(harmless(line).rstrip())


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@on_behalf
@as_json
def pause(schedule_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Let a schedule submit nothing more until it is resumed."""
    _switch(str(schedule_id), "pause", email, wants_json=wants_json)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@on_behalf
@as_json
def resume(schedule_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Let a paused schedule go on from now."""
    _switch(str(schedule_id), "resume", email, wants_json=wants_json)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@on_behalf
@as_json
@click.pass_context
def run(context: click.Context, schedule_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Run a schedule once more now; exit code 1 if its last run has not ended and it may not overlap."""
    with speaker(email) as callboard:
        ran = callboard.schedules.run(str(schedule_id)).plain()
    if wants_json:
        telling.say_json(ran)
    else:
        click.echo(harmless(f"{ran['outcome']}  {ran['job_id'] or ran['workflow_id'] or ran['reason']}"))
    context.exit(1 if ran["outcome"] == "skipped" else 0)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@on_behalf
@as_json
def delete(schedule_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Remove a schedule; what it submitted stays and goes on."""
    with speaker(email) as callboard:
        gone = callboard.schedules.delete(str(schedule_id)).plain()
    if wants_json:
        telling.say_json(gone)
    else:
        click.echo(f"{schedule_id}  removed")


@schedules.command()
@click.argument("cron")
@click.option("--timezone", default="UTC", show_default=True, help="IANA name, like Europe/Berlin.")
@click.option(
    "-n", "count", type=click.IntRange(1, 100), default=AHEAD, show_default=True, help="How many times."
)
@as_json
def preview(cron: str, *, timezone: str, count: int, wants_json: bool) -> None:
    """Say what the expression CRON means and when it comes next; needs no Callboard."""
    from app.schedules import cron as room, queries  # noqa: I001 - one line each would hide what is imported late

    expression = room.normal(cron)
    moments = room.upcoming(expression, timezone, clock.now(), count)
    words = room.explain(expression, timezone)
    times = [{"utc": clock.iso(moment), "local": queries.local(moment, timezone)} for moment in moments]
    if wants_json:
        click.echo(
            in_json(
                {"cron_expression": expression, "timezone": timezone, "description": words, "next": times}
            )
        )
        return
    click.echo(words)
    for time in times:
        click.echo(f"  {time['local']}  {time['utc']}")


def _switch(schedule_id: str, what: str, email: str | None, *, wants_json: bool) -> None:
    with speaker(email) as callboard:
        now = callboard.schedules.steer(schedule_id, what).plain()
    if wants_json:
        telling.say_json(now)
    else:
        click.echo(f"{schedule_id}  {now['status']}")


def _upcoming(shown: dict[str, Any]) -> list[str]:
    """The next times, by the clock of its zone."""
    from app.schedules import cron, queries

    first = telling.parsed(shown["next_execution"])
    if shown["status"] != "scheduled" or first is None:
        return []
    expression, zone = shown["cron_expression"], shown["timezone"]
    more = cron.upcoming(expression, zone, first, AHEAD - 1) if expression else []
    return [str(queries.local(moment, zone)) for moment in [first, *more]]


def _moment(text: str, timezone: str) -> datetime:
    from app.schedules import cron

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise click.UsageError(f"--at {text}: write it like 2026-12-01T09:00") from wrong
    return moment if moment.tzinfo else moment.replace(tzinfo=cron.zone(timezone))


def _parameters(given: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    return (of_file(file) if file else {}) | named("--param", given)
