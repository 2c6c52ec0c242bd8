"""`callboard schedules …`: make, look at, pause, run and remove what is submitted by itself."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app import clock
from app.cli.agents import database
from app.cli.speaking import as_json, in_json, record, user_id
from app.cli.workflows import FILE, PRIORITIES, on_behalf
from app.errors import Invalid

AHEAD = 5
LAST = 10


@click.group(name="schedules")
def schedules() -> None:
    """Make, look at, pause, run and remove what is submitted by itself."""


@schedules.command(name="list")
@click.option("--status", type=click.Choice(["scheduled", "disabled", "fired", "missed"]))
@click.option("--agent", help="Only those of this agent.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@as_json
def show_all(*, status: str | None, agent: str | None, limit: int, wants_json: bool) -> None:
    """List schedules, those that come next first."""
    with database():
        from app.schedules import queries

        rows = queries.page(queries.Filter(status=status, agent_id=agent), limit=limit)
        found = [queries.public(row) for row in rows]
    if wants_json:
        click.echo(in_json(found))
        return
    for each in found:
        comes = each["next_execution_local"] or "-"
        click.echo(
            f"{each['schedule_id']}  {each['status']:9}  {comes:25}  {each['name']}: {each['description']}"
        )


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
    with database() as db:
        from app.schedules import changes, queries

        wish = changes.Wish(
            submitted_by=user_id(email),
            agent_id=agent,
            template_name=template,
            template_version=version,
            definition=_read(workflow_file) if workflow_file else None,
            parameters=_parameters(given, params_file),
            cron_expression=cron,
            execute_at=_moment(at, timezone) if at else None,
            timezone=timezone,
            grace_seconds=grace,
            jitter_seconds=jitter,
            enabled=not disabled,
            **rest,
        )
        row = changes.create(wish)
        record("schedule.created", row["schedule_id"], by=wish.submitted_by)
        db.session.commit()
        shown = queries.public(row)
    click.echo(
        in_json(shown) if wants_json else f"{shown['schedule_id']}  {shown['status']}  {shown['description']}"
    )


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@as_json
def show(schedule_id: Any, *, wants_json: bool) -> None:
    """Show a schedule, when it comes next, and what became of its last times."""
    with database():
        from app.schedules import cron, queries

        row = queries.get(str(schedule_id))
        fires = queries.fires(row["schedule_id"], limit=LAST)
        coming = [row["next_fire_at"]] if row["status"] == "scheduled" and row["next_fire_at"] else []
        if coming and row["cron_expression"]:
            coming += cron.upcoming(row["cron_expression"], row["timezone"], coming[0], AHEAD - 1)
        shown = queries.public(row) | {
            "upcoming": [queries.local(moment, row["timezone"]) for moment in coming],
            "fires": fires,
        }
    if wants_json:
        click.echo(in_json(shown))
        return
    click.echo(f"{shown['name']}: {shown['status']}. {shown['description']}")
    for moment in shown["upcoming"]:
        click.echo(f"  comes   {moment}")
    for fire in fires:
        said = fire["run_status"] or fire["reason"] or ""
        run = fire["job_id"] or fire["workflow_id"] or ""
        click.echo(
            f"  {fire['outcome']:7} {fire['slot_at'].isoformat(timespec='seconds')}  {said}  {run}".rstrip()
        )


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@as_json
def pause(schedule_id: Any, *, wants_json: bool) -> None:
    """Let a schedule submit nothing more until it is resumed."""
    _switch(str(schedule_id), enabled=False, wants_json=wants_json)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@as_json
def resume(schedule_id: Any, *, wants_json: bool) -> None:
    """Let a paused schedule go on from now."""
    _switch(str(schedule_id), enabled=True, wants_json=wants_json)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@as_json
@click.pass_context
def run(context: click.Context, schedule_id: Any, *, wants_json: bool) -> None:
    """Run a schedule once more now; exit code 1 if its last run has not ended and it may not overlap."""
    with database() as db:
        from app.schedules import changes

        ran = changes.run_now(str(schedule_id))
        record("schedule.run", ran["schedule_id"], by="cli")
        db.session.commit()
    said = ran["job_id"] or ran["workflow_id"] or ran["reason"]
    click.echo(in_json(ran) if wants_json else f"{ran['outcome']}  {said}")
    context.exit(1 if ran["outcome"] == "skipped" else 0)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
@as_json
def delete(schedule_id: Any, *, wants_json: bool) -> None:
    """Remove a schedule; what it submitted stays and goes on."""
    with database() as db:
        from app.schedules import changes

        changes.delete(str(schedule_id))
        record("schedule.deleted", str(schedule_id), by="cli")
        db.session.commit()
    gone = {"schedule_id": str(schedule_id), "status": "cancelled"}
    click.echo(in_json(gone) if wants_json else f"{schedule_id}  removed")


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


def _switch(schedule_id: str, *, enabled: bool, wants_json: bool) -> None:
    with database() as db:
        from app.schedules import changes, queries

        shown = queries.public(changes.enable(schedule_id, enabled=enabled))
        record("schedule.resumed" if enabled else "schedule.paused", schedule_id, by="cli")
        db.session.commit()
    click.echo(in_json(shown) if wants_json else f"{schedule_id}  {shown['status']}")


def _moment(text: str, timezone: str) -> datetime:
    from app.schedules import cron

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise click.UsageError(f"--at {text}: write it like 2026-12-01T09:00") from wrong
    return moment if moment.tzinfo else moment.replace(tzinfo=cron.zone(timezone))


def _parameters(given: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    parameters = _read(file) if file else {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--param {each}: write NAME=VALUE")
        parameters[name] = _value(value)
    return parameters


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(file: Path) -> dict[str, Any]:
    from app.workflows import source

    try:
        read = source.parse(file.read_text(encoding="utf-8"))[0]
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{file} cannot be read: {wrong}") from wrong
    except Invalid as wrong:
        raise Invalid(f"{file}: {wrong.message}") from wrong
    if not isinstance(read, dict):
        raise Invalid(f"{file} must hold names and values")
    return read
