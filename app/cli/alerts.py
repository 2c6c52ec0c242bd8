"""`callboard alerts …`: what is wrong now, who takes care of it, and what is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json, harmless

if TYPE_CHECKING:
    from app.client import Client

SEVERITIES = ("info", "warning", "critical")
FAILING = 1
MOST = 200
"""Alerts in one answer, as the server has it."""


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
@on_behalf
@as_json
@click.pass_context
def show_all(
    context: click.Context,
    *,
    state: str = "active",
    limit: int = 50,
    fail_on: str | None = None,
    email: str | None = None,
    wants_json: bool = False,
) -> None:
    """List alerts: the active ones by severity, others newest first."""
    with speaker(email) as callboard:
        rows = _listing(callboard, state, limit)
        active = _listing(callboard, "active", MOST) if fail_on else []
    if wants_json:
        telling.say_json(rows)
    elif not rows:
        click.echo("All quiet." if state == "active" else "None.")
    for row in [] if wants_json else rows:
        click.echo(harmless(f"{row['alert_id']}  {row['severity']:8}  {row['state']:12}  {row['message']}"))
    if fail_on and any(_counts(row, fail_on) for row in active):
        context.exit(FAILING)


def _listing(callboard: Client, state: str, limit: int) -> list[dict[str, Any]]:
    query = {"state": state, "limit": limit}
    found: list[dict[str, Any]] = callboard.call("GET", "/api/v1/alerts", query=query)["alerts"]
    return found


def _counts(row: dict[str, Any], least: str) -> bool:
    return row["state"] == "active" and SEVERITIES.index(row["severity"]) >= SEVERITIES.index(least)


@alerts.command()
@click.argument("alert_id", type=click.UUID)
@on_behalf
@as_json
def ack(alert_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Say that somebody takes care of ALERT_ID: it is not told again while it lasts."""
    with speaker(email) as callboard:
        row = callboard.call("POST", f"/api/v1/alerts/{alert_id}/acknowledge")
    if wants_json:
        telling.say_json(row)
    else:
        click.echo(harmless(f"acknowledged: {row['message']}"))


@alerts.command()
@on_behalf
@as_json
def rules(*, email: str | None, wants_json: bool) -> None:
    """List what is watched, with the thresholds that are in force."""
    with speaker(email) as callboard:
        rows = callboard.call("GET", "/api/v1/alert-rules")["rules"]
    if wants_json:
        telling.say_json(rows)
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
    wish: dict[str, Any] = {"threshold": threshold} if usual or threshold is not None else {}
    if enabled is not None:
        wish["enabled"] = enabled
    with speaker(email) as callboard:
        row = callboard.call("PATCH", f"/api/v1/alert-rules/{quote(rule, safe='')}", body=wish)
    if wants_json:
        telling.say_json(row)
    else:
        click.echo(_told(row))


def _told(row: dict[str, Any]) -> str:
    own = "" if row["threshold"] == row["usual_threshold"] else " (changed)"
    state = "on " if row["enabled"] else "off"
    return f"{row['rule']:18}  {state}  {row['severity']:8}  over {row['limit_words']}{own}  {row['title']}"
