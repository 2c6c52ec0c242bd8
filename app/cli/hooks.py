"""`callboard hooks …`: make webhooks that come in, write their rules, look at what came, and run it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import telling
from app.cli.connected import on_behalf, speaker
from app.cli.speaking import as_json, harmless
from app.cli.workflows import FILE
from app.errors import Invalid, NotFound

if TYPE_CHECKING:
    from app.client import Client

LAST = 20
AT_ONCE = 100
PATH = "/api/v1/hooks"


@click.group(name="hooks")
def hooks() -> None:
    """Make webhooks that come in, write their rules, look at what came, and run it again."""


@hooks.command(name="list")
@on_behalf
@as_json
def show_all(*, email: str | None, wants_json: bool) -> None:
    """List hooks: where they are called, by whom, and what came within a day."""
    with speaker(email) as callboard:
        found = _all(callboard)
    if wants_json:
        telling.say_json(found)
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
    wish = {"slug": slug, "provider": provider, "name": name, "ip_allowlist": list(networks)}
    with speaker(email) as callboard:
        made = callboard.call("POST", PATH, body=wish)
    _say_secret(made, wants_json=wants_json)


@hooks.command()
@click.argument("slug")
@on_behalf
@as_json
def rotate(slug: str, *, email: str | None, wants_json: bool) -> None:
    """Give a hook a new secret, printed this once; the old one counts for 24 hours more."""
    with speaker(email) as callboard:
        fresh = callboard.call("POST", f"{_path(callboard, slug)}/rotate", body={})
    _say_secret(fresh, wants_json=wants_json)


@hooks.command()
@click.argument("slug")
@click.option(
    "--add", "file", type=FILE, help="A YAML or JSON file of a rule: name, events, conditions, action."
)
@click.option("--remove", "rule_id", type=click.UUID, help="The rule with this id.")
@on_behalf
@as_json
def rules(slug: str, *, file: Path | None, rule_id: Any, email: str | None, wants_json: bool) -> None:
    """List the rules of a hook, in their order; or add one, or remove one."""
    rule = _rule_in(file) if file else None
    with speaker(email) as callboard:
        path = f"{_path(callboard, slug)}/rules"
        if rule:
            callboard.call("POST", path, body=rule)
        if rule_id:
            callboard.call("DELETE", f"{path}/{rule_id}")
        found = callboard.call("GET", path)["rules"]
    if wants_json:
        telling.say_json(found)
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
@on_behalf
@as_json
def deliveries(slug: str, *, status: str | None, limit: int, email: str | None, wants_json: bool) -> None:
    """List what came to a hook, newest first, and what became of it."""
    with speaker(email) as callboard:
        found = _deliveries(callboard, _path(callboard, slug), status, limit)
    if wants_json:
        telling.say_json(found)
        return
    for each in map(telling.timed, found):
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
    with speaker(email) as callboard:
        row = _replayed(callboard, str(delivery_id))
    if wants_json:
        telling.say_json(row)
    else:
        click.echo(harmless(f"{row['delivery_id']}  {row['status']}  {_results(row)}").rstrip())
    context.exit(1 if row["status"] == "failed" else 0)


def _all(callboard: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = callboard.call("GET", PATH)["hooks"]
    return found


def _path(callboard: Client, slug: str) -> str:
    """Where the API has the hook of this name."""
    for each in _all(callboard):
        if each["slug"] == slug:
            return f"{PATH}/{each['hook_id']}"
    raise NotFound(f"there is no hook {slug}; `callboard hooks list` shows all")


def _deliveries(callboard: Client, path: str, status: str | None, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: int | None = None
    while len(found) < limit:
        query = {"status": status, "limit": min(AT_ONCE, limit - len(found)), "cursor": cursor}
        said = callboard.call("GET", f"{path}/deliveries", query=query)
        found += said["deliveries"]
        cursor = said["next_cursor"]
        if cursor is None:
            break
    return found


def _replayed(callboard: Client, delivery_id: str) -> dict[str, Any]:
    """The delivery that a replay made; which hook the old one came to is found by looking."""
    from app.client import NotFound as Missing

    for each in _all(callboard):
        path = f"{PATH}/{each['hook_id']}/deliveries/{delivery_id}"
        try:
            callboard.call("GET", path)
        except Missing:
            continue
        made: dict[str, Any] = callboard.create(f"{path}/replay")
        return made
    raise NotFound(f"there is no delivery {delivery_id}")


def _rule_in(file: Path) -> dict[str, Any]:
    from app.workflows import source

    try:
        said = source.parse(file.read_text(encoding="utf-8"))[0]
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{file} cannot be read: {wrong}") from wrong
    if not isinstance(said, dict):
        raise Invalid(f"{file} must hold name, events, conditions and action")
    if unknown := sorted(said.keys() - {"name", "events", "conditions", "action", "enabled"}):
        raise Invalid(f"{file}: {', '.join(unknown)} is nothing of a rule")
    return {"name": file.stem, "events": ["*"], "action": {}} | said


def _say_secret(row: dict[str, Any], *, wants_json: bool) -> None:
    if wants_json:
        telling.say_json(row)
        return
    click.echo(f"{row['url']}\nsecret: {row['secret']}")


def _said(action: dict[str, Any]) -> str:
    return f"{action['kind']} {action.get('agent_id') or action.get('template') or action.get('command')}"


def _results(row: dict[str, Any]) -> str:
    said = (
        each.get("error") or each.get("job_id") or each.get("workflow_id") or each.get("session_id")
        for each in row["results"]
    )
    return "; ".join(str(each) for each in said if each)
