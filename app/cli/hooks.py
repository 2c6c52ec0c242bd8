"""`callboard hooks …`: make webhooks that come in, write their rules, look at what came, and run it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.agents import database
from app.cli.speaking import as_json, harmless, in_json, record, user_id
from app.cli.workflows import FILE, on_behalf

LAST = 20


@click.group(name="hooks")
def hooks() -> None:
    """Make webhooks that come in, write their rules, look at what came, and run it again."""


@hooks.command(name="list")
@as_json
def show_all(*, wants_json: bool) -> None:
    """List hooks: where they are called, by whom, and what came within a day."""
    with database():
        from app.hooks import queries

        found = queries.page()
    if wants_json:
        click.echo(in_json(found))
        return
    for each in found:
        state = "on " if each["enabled"] else "off"
        click.echo(
            f"/hooks/{each['slug']}  {each['provider']}  {state}  {each['rules']} rules  {each['day']} in a day"
        )


@hooks.command()
@click.argument("slug")
@click.option(
    "--provider", type=click.Choice(["github", "standard", "session"]), default="github", show_default=True
)
@click.option("--name", default="", help="For people.")
@click.option(
    "--allow",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Who may call it, like 192.0.2.0/24; may be repeated.",
)
@on_behalf
@as_json
def create(
    slug: str, *, provider: str, name: str, networks: tuple[str, ...], email: str | None, wants_json: bool
) -> None:
    """Make the hook /hooks/SLUG and print its secret, this once."""
    with database() as db:
        from app.hooks import actions, changes

        who = actions.owner(user_id(email))
        row = changes.create(slug, who=who, provider=provider, name=name, ip_allowlist=networks)
        record("hook.created", row["hook_id"], by=who.user_id, slug=slug, provider=provider)
        db.session.commit()
    _say_secret(row, wants_json=wants_json)


@hooks.command()
@click.argument("slug")
@as_json
def rotate(slug: str, *, wants_json: bool) -> None:
    """Give a hook a new secret, printed this once; the old one counts for 24 hours more."""
    with database() as db:
        from app.hooks import changes, queries

        row = changes.rotate(queries.by_slug(slug)["hook_id"])
        record("hook.rotated", row["hook_id"], by="cli")
        db.session.commit()
    _say_secret(row, wants_json=wants_json)


@hooks.command()
@click.argument("slug")
@click.option(
    "--add", "file", type=FILE, help="A YAML or JSON file of a rule: name, events, conditions, action."
)
@click.option("--remove", "rule_id", type=click.UUID, help="The rule with this id.")
@as_json
def rules(slug: str, *, file: Path | None, rule_id: Any, wants_json: bool) -> None:
    """List the rules of a hook, in their order; or add one, or remove one."""
    with database() as db:
        from app.hooks import queries

        hook = queries.by_slug(slug)
        if file:
            _add(hook, file)
        if rule_id:
            _remove(hook, str(rule_id))
        db.session.commit()
        found = queries.rules(hook["hook_id"])
    if wants_json:
        click.echo(in_json(found))
        return
    for each in found:
        state = "on " if each["enabled"] else "off"
        click.echo(
            f"{each['rule_id']}  {state}  {each['name']}: {', '.join(each['events'])} -> {_said(each['action'])}"
        )


@hooks.command()
@click.argument("slug")
@click.option("--status", type=click.Choice(["done", "ignored", "failed"]))
@click.option("--limit", type=click.IntRange(1, 1000), default=LAST, show_default=True)
@as_json
def deliveries(slug: str, *, status: str | None, limit: int, wants_json: bool) -> None:
    """List what came to a hook, newest first, and what became of it."""
    with database():
        from app.hooks import queries

        found = queries.deliveries(queries.by_slug(slug)["hook_id"], status=status, limit=limit)
    if wants_json:
        click.echo(in_json(found))
        return
    for each in found:
        at = each["received_at"].isoformat(timespec="seconds")
        click.echo(
            harmless(
                f"{each['delivery_id']}  {at}  {each['status']:7}  {each['event']}  {_results(each)}"
            ).rstrip()
        )


@hooks.command()
@click.argument("delivery_id", type=click.UUID)
@on_behalf
@as_json
@click.pass_context
def replay(context: click.Context, delivery_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Run the rules, as they are now, for a delivery once more; exit code 1 if one of them failed."""
    with database() as db:
        from app.hooks import replaying

        who = user_id(email)
        row = replaying.replay(str(delivery_id), by=who)
        record("hook.replayed", row["hook_id"], by=who, delivery_id=str(delivery_id), new=row["delivery_id"])
        db.session.commit()
    click.echo(
        in_json(row)
        if wants_json
        else harmless(f"{row['delivery_id']}  {row['status']}  {_results(row)}").rstrip()
    )
    context.exit(1 if row["status"] == "failed" else 0)


def _add(hook: dict[str, Any], file: Path) -> None:
    from app.errors import Invalid
    from app.hooks import actions, changes

    said = _rule_in(file)
    if unknown := sorted(said.keys() - {"name", "events", "conditions", "action", "enabled"}):
        raise Invalid(f"{file}: {', '.join(unknown)} is nothing of a rule")
    wish = {"name": file.stem, "events": ["*"], "action": {}} | said
    row = changes.add_rule(hook["hook_id"], who=actions.owner(hook["owner"]), **wish)
    record("hook.rule_added", hook["hook_id"], by="cli", rule_id=row["rule_id"], name=row["name"])


def _rule_in(file: Path) -> dict[str, Any]:
    from app.errors import Invalid
    from app.workflows import source

    try:
        said = source.parse(file.read_text(encoding="utf-8"))[0]
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{file} cannot be read: {wrong}") from wrong
    if not isinstance(said, dict):
        raise Invalid(f"{file} must hold name, events, conditions and action")
    return said


def _remove(hook: dict[str, Any], rule_id: str) -> None:
    from app.hooks import changes

    changes.delete_rule(hook["hook_id"], rule_id)
    record("hook.rule_deleted", hook["hook_id"], by="cli", rule_id=rule_id)


def _say_secret(row: dict[str, Any], *, wants_json: bool) -> None:
    if wants_json:
        click.echo(in_json(row))
        return
    from app.cli.configured import settings

    click.echo(f"{settings().public_url}/hooks/{row['slug']}\nsecret: {row['secret']}")


def _said(action: dict[str, Any]) -> str:
    return f"{action['kind']} {action.get('agent_id') or action.get('template') or action.get('command')}"


def _results(row: dict[str, Any]) -> str:
    said = (
        each.get("error") or each.get("job_id") or each.get("workflow_id") or each.get("session_id")
        for each in row["results"]
    )
    return "; ".join(str(each) for each in said if each)
