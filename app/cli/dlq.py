"""`callboard dlq …`: jobs that ended failed: look, group by cause, send in again."""

from __future__ import annotations

from typing import Any

import click

from app.cli import completing, telling
from app.cli.connected import on_behalf, speaker
from app.cli.job_wish import from_file
from app.cli.speaking import as_json

WINDOWS = click.Choice(["1h", "3h", "24h", "3d", "7d", "30d"])
PRIORITIES = click.Choice(["critical", "high", "normal", "low"])


@click.group(name="dlq")
def dlq() -> None:
    """Look at jobs that ended failed, group them by cause, and send them in again. For admins."""


@dlq.command(name="list")
@click.option("--agent", "agent_id", shell_complete=completing.agents, help="Only those of this agent.")
@click.option("--since", metavar="TIME", help="Failed at or after, like 2026-12-01T09:00:00Z.")
@click.option("--group", "group_key", help="Only those of this group.")
@click.option("--all", "with_sent", is_flag=True, help="Also those that were sent in again.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@on_behalf
@as_json
def show_all(*, with_sent: bool, email: str | None, wants_json: bool, **query: Any) -> None:
    """List dead letters, newest first."""
    wanted = query | {"resubmitted": None if with_sent else "false"}
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/dlq/tasks", query=wanted)
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [each["dlq_id"], each["agent_id"], telling.when(each["failed_at"]), each["reason"],
         telling.brief(f"{each['error_type']}: {each['error_message']}")]
        for each in found["tasks"]
    ]  # fmt: skip
    telling.table(("id", "agent", "failed", "reason", "error"), rows, empty="No dead letters.")


@dlq.command()
@click.argument("dlq_id")
@on_behalf
@as_json
def show(dlq_id: str, *, email: str | None, wants_json: bool) -> None:
    """Show a dead letter, by its own id or its job's."""
    with speaker(email) as callboard:
        found = callboard.dlq.get(dlq_id).plain()
    if wants_json:
        telling.say_json(found)
        return
    told = (
        "agent_id",
        "job_id",
        "reason",
        "retry_count",
        "group_key",
        "parameters",
        "new_job_id",
        "stack_trace",
    )
    about = {"failed": telling.when(found["failed_at"])} | {
        name.replace("_", " "): found.get(name) for name in told
    }
    telling.facts(f"{found['error_type']}: {found['error_message']}", about)


@dlq.command()
@click.argument("dlq_id", required=False)
@click.option("--group", "group_key", help="A whole group instead of one letter.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="Of a group.")
@click.option("--priority", type=PRIORITIES, help="Left out: as before.")
@click.option(
    "--params", "file", metavar="FILE", help="Parameters to change, from a JSON or YAML file; - is stdin."
)
@click.option("--force", is_flag=True, help="Once more, although it was sent in already.")
@on_behalf
@as_json
def resubmit(
    dlq_id: str | None,
    *,
    group_key: str | None,
    limit: int,
    priority: str | None,
    file: str | None,
    force: bool,
    email: str | None,
    wants_json: bool,
) -> None:
    """Send a dead letter in again as a new job, or a whole group."""
    if (dlq_id is None) == (group_key is None):
        raise click.UsageError("Name one dead letter, or a group with --group.")
    changes: dict[str, Any] = {"priority": priority} if priority else {}
    with speaker(email) as callboard:
        if group_key is not None:
            done = callboard.dlq.resubmit_group(group_key, limit=limit, **changes).plain()
        else:
            merged = {"override_parameters": from_file(file)} if file else {}
            done = callboard.dlq.resubmit(str(dlq_id), force=force, **merged, **changes).plain()
    if wants_json:
        telling.say_json(done)
    elif group_key is not None:
        click.echo(f"{done['resubmitted']} sent in again, {done['refused']} refused")
    else:
        click.echo(done["new_job_id"])


@dlq.command()
@click.option("--window", type=WINDOWS, help="Failures of so long ago at most.")
@click.option(
    "--status", type=click.Choice(["open", "resolved", "ignored", "any"]), default="open", show_default=True
)
@on_behalf
@as_json
def groups(*, window: str | None, status: str, email: str | None, wants_json: bool) -> None:
    """Group dead letters by cause, the most frequent first."""
    with speaker(email) as callboard:
        found = callboard.call("GET", "/api/v1/dlq/groups", query={"window": window, "status": status})
    if wants_json:
        telling.say_json(found)
        return
    rows = [
        [each["group_key"], each["count"], each["agent_id"], telling.when(each["last_at"]),
         telling.brief(f"{each['error_type']}: {each['error_message']}", 60)]
        for each in found["groups"]
    ]  # fmt: skip
    telling.table(("group id", "count", "agent", "last", "error"), rows, empty="No groups.")


@dlq.command()
@click.argument("group_key")
@click.option("--note", help="Why.")
@click.option("--as-ignored", "ignored", is_flag=True, help="Nobody needs to look at it, now or later.")
@click.option("--reopen", is_flag=True, help="Take back what was said of it.")
@on_behalf
@as_json
def resolve(
    group_key: str, *, note: str | None, ignored: bool, reopen: bool, email: str | None, wants_json: bool
) -> None:
    """Say that the cause of a group is dealt with; it is open again by itself when it comes back."""
    if ignored and reopen:
        raise click.UsageError("--as-ignored and --reopen contradict each other.")
    what = "ignore" if ignored else "reopen" if reopen else "resolve"
    with speaker(email) as callboard:
        done = callboard.dlq.say(group_key, what, note=note).plain()
    if wants_json:
        telling.say_json(done)
    else:
        telling.line(f"{done['group_key']}  {done['status']}", done["status"])
