"""`callboard budgets …`: how much may be used by whom, and what was."""

from __future__ import annotations

from typing import Any

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json

SCOPES = click.Choice(["agent", "schedule", "team", "global"])
UNITS = click.Choice(["usd", "tokens", "minutes", "runs"])
PERIODS = click.Choice(["total", "day", "month", "rolling"])
GROUPS = click.Choice(["agent", "model", "provider", "team", "day"])


@click.group(name="budgets")
def budgets() -> None:
    """See and set how much may be used by whom, and what was used."""


@budgets.command(name="list")
@on_behalf
@as_json
def show_all(*, email: str | None, wants_json: bool) -> None:
    """List budgets, the widest first, with what is spent of each."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/budgets")
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [each["budget_id"], each["name"], _whose(each), _amount(each, "limit"), each["period"],
         f"{each['spent_ratio']:.0%}", each["state"]]
        for each in found["budgets"]
    ]  # fmt: skip
    columns = ("id", "name", "of", "limit", "period", "spent", "state")
    telling.table(columns, rows, empty="No budgets. Make one: callboard budgets set --help")


@budgets.command()
@click.argument("budget_id")
@on_behalf
@as_json
def show(budget_id: str, *, email: str | None, wants_json: bool) -> None:
    """Show a budget."""
    with speaker(email) as callboard:
        found = callboard.budgets.get(budget_id).plain()
    _tell(found, wants_json=wants_json)


@budgets.command(
    name="set",
    epilog="Example: callboard budgets set --name 'All agents' --scope global --unit usd --limit 50",
)
@click.argument("budget_id", required=False)
@click.option("--name", help="For people.")
@click.option("--scope", type=SCOPES, help="Of a new one.")
@click.option("--subject", help="Of a new one: which agent, team or schedule.")
@click.option("--unit", type=UNITS, help="Of a new one.")
@click.option("--limit", type=click.FloatRange(min=0, min_open=True))
@click.option("--period", type=PERIODS, help="Left out: as it is, at first month.")
@click.option("--rolling-days", type=click.IntRange(1, 366), help="With --period rolling.")
@click.option("--warn-ratio", type=click.FloatRange(0, 1, min_open=True), help="From this share on it warns.")
@click.option("--on/--off", "enabled", default=None, help="Whether it counts.")
@on_behalf
@as_json
def set_budget(budget_id: str | None, *, email: str | None, wants_json: bool, **wish: Any) -> None:
    """Change the budget BUDGET_ID, or make a new one where none is named."""
    given = {name: value for name, value in wish.items() if value is not None}
    fixed = {"scope", "subject", "unit"} & set(given)
    if budget_id and fixed:
        raise click.UsageError(f"--{', --'.join(sorted(fixed))}: of a budget that exists these never change.")
    missing = [f"--{name}" for name in ("name", "scope", "unit", "limit") if name not in given]
    if not budget_id and missing:
        raise click.UsageError(f"A new budget needs {', '.join(missing)}.")
    with speaker(email) as callboard:
        done = (
            callboard.budgets.change(budget_id, **given) if budget_id else callboard.budgets.create(**given)
        )
    _tell(done.plain(), wants_json=wants_json)


@budgets.command()
@click.argument("budget_id")
@on_behalf
def delete(budget_id: str, *, email: str | None) -> None:
    """Take a budget away; work that it held goes on, and the ledger stays."""
    with speaker(email) as callboard:
        callboard.budgets.delete(budget_id)
    click.echo(f"{budget_id}  deleted")


@budgets.command()
@click.option("--by", "group_by", type=GROUPS, default="agent", show_default=True)
@click.option("--since", metavar="TIME", help="Left out: 30 days ago.")
@click.option("--until", metavar="TIME", help="Left out: now.")
@on_behalf
@as_json
def usage(*, email: str | None, wants_json: bool, **query: Any) -> None:
    """Sum what was used."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/usage", query=query)
    if wants_json:
        telling.say_json(found)
        return
    groups = [*found["groups"], found["total"] | {"key": "all"}] if found["groups"] else []
    rows = [
        [each["key"], each["jobs"], each["calls"], each["tokens"], _money(each["notional_usd"])]
        for each in groups
    ]
    telling.table((found["group_by"], "jobs", "calls", "tokens", "usd"), rows, empty="Nothing was used.")


def _tell(found: dict[str, Any], *, wants_json: bool) -> None:
    if wants_json:
        telling.say_json(found)
        return
    about = {
        "id": found["budget_id"],
        "of": _whose(found),
        "state": found["state"],
        "limit": f"{_amount(found, 'limit')} per {found['period']}",
        "spent": f"{_amount(found, 'spent')} ({found['spent_ratio']:.0%})",
        "reserved": _amount(found, "reserved"),
        "left": _amount(found, "left"),
        "until": telling.when(found["period_end"]),
    }
    telling.facts(found["name"], about)


def _whose(budget: dict[str, Any]) -> str:
    return "everything" if budget["scope"] == "global" else f"{budget['scope']} {budget['subject']}"


def _amount(budget: dict[str, Any], name: str) -> str:
    return f"${budget[name]:,.2f}" if budget["unit"] == "usd" else f"{budget[name]:,.10g} {budget['unit']}"


def _money(usd: float | None) -> str:
    return "" if usd is None else f"{usd:,.4f}"
