"""`callboard alerts …`: what is wrong now, who takes care of it, and what is watched."""

from __future__ import annotations

from typing import Any

import click

from app.cli.agents import database
from app.cli.speaking import as_json, harmless, in_json, record, user_id
from app.cli.workflows import on_behalf

SEVERITIES = ("info", "warning", "critical")
FAILING = 1


@click.group(name="alerts", invoke_without_command=True)
@click.pass_context
def alerts(context: click.Context) -> None:
    """Look at what is wrong, take care of it, and say what is watched. Alone it lists what is active."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@alerts.command(name="list")
@click.option(
    "--state", type=click.Choice(["active", "resolved", "all"]), default="active", show_default=True
)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with 1 if one of this severity, or a worse one, is active and not acknowledged.",
)
@as_json
@click.pass_context
def show_all(
    context: click.Context,
    *,
    state: str = "active",
    limit: int = 50,
    fail_on: str | None = None,
    wants_json: bool = False,
) -> None:
    """List alerts: the active ones by severity, others newest first."""
    with database():
        from app.alerts import queries

        rows = queries.listing(state, limit)  # type: ignore[arg-type]
        active = rows if state == "active" else queries.listing("active")
    if wants_json:
        click.echo(in_json(rows))
    elif not rows:
        click.echo("All quiet." if state == "active" else "None.")
    for row in [] if wants_json else rows:
        click.echo(harmless(f"{row['alert_id']}  {row['severity']:8}  {row['state']:12}  {row['message']}"))
    if fail_on and any(_counts(row, fail_on) for row in active):
        context.exit(FAILING)


def _counts(row: dict[str, Any], least: str) -> bool:
    return row["state"] == "active" and SEVERITIES.index(row["severity"]) >= SEVERITIES.index(least)


@alerts.command()
@click.argument("alert_id", type=click.UUID)
@on_behalf
@as_json
def ack(alert_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Say that somebody takes care of ALERT_ID: it is not told again while it lasts."""
    with database() as db:
        from app.alerts import changes

        by = user_id(email)
        row = changes.acknowledge(str(alert_id), by=by)
        record("alert.acknowledged", row["alert_id"], by=by, rule=row["rule"], of=row["subject"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else harmless(f"acknowledged: {row['message']}"))


@alerts.command()
@as_json
def rules(*, wants_json: bool) -> None:
    """List what is watched, with the thresholds that are in force."""
    with database():
        from app.alerts import queries

        rows = queries.rules()
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        click.echo(_told(row))


@alerts.command(name="set")
@click.argument("rule")
@click.option("--on/--off", "enabled", default=None, help="Whether it is watched.")
@click.option("--threshold", type=float, help="It is wrong above this, in the unit of the rule.")
@click.option("--usual", is_flag=True, help="The threshold it comes with.")
@on_behalf
@as_json
def change(
    rule: str,
    *,
    enabled: bool | None,
    threshold: float | None,
    usual: bool,
    email: str | None,
    wants_json: bool,
) -> None:
    """Switch RULE on or off, or change its threshold; what is left out stays."""
    if usual and threshold is not None:
        raise click.UsageError("--threshold and --usual contradict each other.")
    with database() as db:
        from app.alerts import changes

        by = user_id(email)
        wish: dict[str, Any] = {"threshold": threshold} if usual or threshold is not None else {}
        row = changes.set_rule(rule, by=by, enabled=enabled, **wish)
        record("alert_rule.changed", rule, by=by, enabled=row["enabled"], threshold=row["threshold"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else _told(row))


def _told(row: dict[str, Any]) -> str:
    own = "" if row["threshold"] == row["usual_threshold"] else " (changed)"
    state = "on " if row["enabled"] else "off"
    return f"{row['rule']:18}  {state}  {row['severity']:8}  over {row['limit_words']}{own}  {row['title']}"
