"""`callboard status`, `search` and `open`: what is going on now, where something is, and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli import completing, queues, telling
from app.cli.connected import address, on_behalf, speaker
from app.cli.speaking import as_json

if TYPE_CHECKING:
    from app.client import Client

SHOWN = 8
KINDS = click.Choice(
    ["jobs", "workflows", "schedules", "agents", "templates", "sessions", "memories", "messages", "artifacts"]
)
by_meaning = click.option(
    "--semantic", is_flag=True, help="What is in sessions also by its meaning, where EMBEDDING_MODEL is set."
)


def note(found: dict[str, Any]) -> None:
    """Say why a search went by words alone, if it was to go by meaning."""
    if found.get("note"):
        click.echo(telling.brief(found["note"], 300), err=True)


@click.command()
@on_behalf
@as_json
def status(*, email: str | None, wants_json: bool) -> None:
    """Show on one screen what waits and runs, what needs you, and what failed in the last day."""
    with speaker(email) as callboard:
        found = _now(callboard)
    if wants_json:
        telling.say_json(found)
        return
    _tell(found)


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--kind", "kinds", type=KINDS, multiple=True, help="May be repeated. Left out: everything.")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Of each kind.")
@by_meaning
@on_behalf
@as_json
def search(
    words: tuple[str, ...],
    *,
    kinds: tuple[str, ...],
    limit: int,
    semantic: bool,
    email: str | None,
    wants_json: bool,
) -> None:
    """Find jobs, runs, schedules, agents, templates, and what is in sessions, by words or the beginning of an id."""
    query = {"q": " ".join(words), "type": list(kinds) or None, "limit": limit, "semantic": semantic or None}
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/search", query=query)
    note(found)
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [kind, each["id"], each.get("status"), telling.brief(each["title"], 60)]
        for kind, hits in found["results"].items()
        for each in hits
    ]
    telling.table(("kind", "id", "status", "title"), rows, empty="Nothing was found.")


@click.command(name="open")
@click.argument("job_id", required=False, shell_complete=completing.jobs)
@click.option("--browser", is_flag=True, help="Open it in the browser of this machine, too.")
def open_page(job_id: str | None, *, browser: bool) -> None:
    """Print the address of the dashboard, or of a job's page."""
    url = address(f"/jobs/{job_id}" if job_id else "/")
    click.echo(url)
    if browser:
        click.launch(url)


def _now(callboard: Client) -> dict[str, Any]:
    recent = {"filter": "status:failed since:24h", "limit": SHOWN}
    return {
        "health": callboard.health().plain(),
        "queues": callboard.call("GET", "/api/v1/queues")["queues"],
        "running": callboard.call("GET", "/api/v1/jobs", query={"status": "running", "limit": SHOWN}),
        "approvals": callboard.call("GET", "/api/v1/approvals", query={"limit": SHOWN}),
        "failed": callboard.call("GET", "/api/v1/jobs", query=recent),
    }


def _tell(found: dict[str, Any]) -> None:
    health = found["health"]
    reasons = [f"{name}: {each['reason']}" for name, each in health["checks"].items() if each.get("reason")]
    telling.line("; ".join([health["status"], *reasons]), health["status"])
    telling.table(queues.COLUMNS, map(queues.row, found["queues"]))
    _part("Running", found["running"]["total"])
    for job in found["running"]["jobs"]:
        step = telling.brief(job["current_step"], 50)
        telling.line(f"  {job['job_id']}  {job['agent_id']:24}  {job['progress']:3} %  {step}", "running")
    _part("Needs you", found["approvals"]["total"])
    for each in found["approvals"]["approvals"]:
        telling.line(f"  {each['approval_id']}  {telling.brief(each['question'], 60)}", "open")
    _part("Failed in the last day", found["failed"]["total"])
    for job in found["failed"]["jobs"]:
        error = telling.brief((job.get("error") or {}).get("message"), 60)
        telling.line(f"  {job['job_id']}  {job['agent_id']:24}  {error}", "failed")


def _part(title: str, total: int) -> None:
    telling.line("")
    telling.line(f"{title}: {total}" if total else f"{title}: nothing")
