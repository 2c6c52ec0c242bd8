"""`callboard policies …`: the rules by which jobs ask a person before they go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import click

from app.cli.agents import database
from app.cli.connected import on_behalf
from app.cli.speaking import as_json, in_json, record, user_id
from app.errors import NotFound

Command = TypeVar("Command", bound=Callable[..., Any])
CLEARED = ("agents", "teams", "effects", "over_usd", "question", "deadline_minutes", "escalation")

_RULES = (
    click.option(
        "--agent", "agents", multiple=True, help="Covers its jobs; may be repeated. None: any agent's."
    ),
    click.option("--team", "teams", multiple=True, help="And of this team; may be repeated. None: any."),
    click.option("--effect", "effects", multiple=True, help="Asks before it, like publish; may be repeated."),
    click.option("--over-usd", type=float, help="Asks once a job has spent more than this."),
    click.option(
        "--question", help="What they are asked. Left out: worded from what the job is about to do."
    ),
    click.option(
        "--approver", "approvers", multiple=True, help="E-mail address or role; may be repeated. None: admin."
    ),
    click.option("--deadline-minutes", type=int, help="How long they have. Left out: as long as they like."),
    click.option(
        "--on-timeout", type=click.Choice(["approve", "reject"]), help="What silence means: reject."
    ),
    click.option("--escalate-minutes", type=int, help="After that --escalate-to are asked as well."),
    click.option("--escalate-to", multiple=True, help="E-mail address or role; may be repeated."),
    click.option("--enabled/--disabled", "enabled", default=None, help="Whether it is in force."),
)


def ruled(command: Command) -> Command:
    """The options that say what a policy is."""
    for option in reversed(_RULES):
        command = option(command)
    return command


@click.group(name="policies")
def policies() -> None:
    """Make, look at, change and delete approval policies.

    With neither --effect nor --over-usd a policy asks before each start of the jobs it covers.
    """


@policies.command(name="list")
@as_json
def show_all(*, wants_json: bool) -> None:
    """List the policies by name."""
    with database():
        from app.approvals import policies as room

        rows = room.listing()
    if wants_json:
        click.echo(in_json(rows))
        return
    if not rows:
        click.echo("No policies. Make one: callboard policies create --help", err=True)
    for row in rows:
        click.echo(f"{row['policy_id']}  {'on ' if row['enabled'] else 'off'}  {row['name']}: {_moment(row)}")


@policies.command()
@click.argument("policy")
@as_json
def show(policy: str, *, wants_json: bool) -> None:
    """Show POLICY, given by its id or its name."""
    with database():
        row = _found(policy)
    click.echo(in_json(row) if wants_json else _told(row))


@policies.command()
@click.argument("name")
@ruled
@on_behalf
@as_json
def create(name: str, *, email: str | None, wants_json: bool, **rules: Any) -> None:
    """Make a policy called NAME; workers mind it within five seconds, also for jobs that wait already."""
    with database() as db:
        from app.approvals import policies as room

        by = user_id(email)
        row = room.create(by=by, name=name, **_given(rules))
        record("policy.created", row["policy_id"], by=by, name=row["name"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else _told(row))


@policies.command()
@click.argument("policy")
@click.option("--name", help="A new name.")
@click.option(
    "--clear", "cleared", multiple=True, type=click.Choice(CLEARED), help="Take a rule away; may be repeated."
)
@ruled
@on_behalf
@as_json
def edit(
    policy: str,
    *,
    name: str | None,
    cleared: tuple[str, ...],
    email: str | None,
    wants_json: bool,
    **rules: Any,
) -> None:
    """Change POLICY, given by its id or its name; what is left out stays as it is."""
    with database() as db:
        from app.approvals import policies as room

        before = _found(policy)
        wish = _cleared(cleared) | _given(rules) | ({"name": name} if name else {})
        row = room.change(before["policy_id"], **wish)
        changed = [part for part in room.FIELDS if row[part] != before[part]]
        record("policy.changed", row["policy_id"], by=user_id(email), name=row["name"], changed=changed)
        db.session.commit()
    click.echo(in_json(row) if wants_json else _told(row))


@policies.command()
@click.argument("policy")
@on_behalf
@as_json
def delete(policy: str, *, email: str | None, wants_json: bool) -> None:
    """Delete POLICY, given by its id or its name; what it has asked already can still be answered."""
    with database() as db:
        from app.approvals import policies as room

        row = room.remove(_found(policy)["policy_id"])
        record("policy.deleted", row["policy_id"], by=user_id(email), name=row["name"])
        db.session.commit()
    click.echo(
        in_json({"policy_id": row["policy_id"], "deleted": True}) if wants_json else f"{row['name']}  deleted"
    )


def _given(rules: dict[str, Any]) -> dict[str, Any]:
    """What was said on the command line."""
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in rules.items() if value not in (None, ())}  # fmt: skip


def _cleared(names: tuple[str, ...]) -> dict[str, Any]:
    wish: dict[str, Any] = {}
    for name in names:
        if name == "escalation":
            wish |= {"escalate_minutes": None, "escalate_to": []}
        else:
            wish[name] = [] if name in ("agents", "teams", "effects") else None
    return wish


def _found(policy: str) -> dict[str, Any]:
    from app.approvals import policies as room

    try:
        return room.get(str(UUID(policy)))
    except ValueError:
        named = [row for row in room.listing() if row["name"] == policy]
        if not named:
            raise NotFound(f"there is no approval policy {policy!r}") from None
        return named[0]


def _moment(row: dict[str, Any]) -> str:
    moments = [f"before {' or '.join(row['effects'])}"] if row["effects"] else []
    moments += [f"over ${row['over_usd']:g}"] if row["over_usd"] is not None else []
    return ", ".join(moments) or "before each start"


def _told(row: dict[str, Any]) -> str:
    whose = ", ".join([*row["agents"], *(f"team {team}" for team in row["teams"])]) or "any agent"
    lines = [
        f"{row['policy_id']}  {row['name']}{'' if row['enabled'] else ' (off)'}",
        f"  asks      {_moment(row)}",
        f"  jobs of   {whose}",
        f"  whom      {', '.join(row['approvers'])}",
        f"  silence   {_silence(row)}",
    ]
    if row["escalate_minutes"]:
        lines.append(f"  and then  {', '.join(row['escalate_to'])}, after {row['escalate_minutes']} min")
    return "\n".join(lines + ([f"  question  {row['question']}"] if row["question"] else []))


def _silence(row: dict[str, Any]) -> str:
    if row["deadline_minutes"] is None:
        return "waits"
    return f"{row['on_timeout']}s after {row['deadline_minutes']} min"
