"""`callboard jobs …`: submit work, watch it, read what came out, and run it again."""

from __future__ import annotations

import difflib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli import completing, job_tree, job_watching, job_wish, telling
from app.cli.connected import Failed, address, on_behalf, speaker
from app.cli.speaking import as_json, harmless

if TYPE_CHECKING:
    from app.client import Accepted, Agent, Client, LogLine

PRIORITIES = click.Choice(["critical", "high", "normal", "low"])
STATUSES = click.Choice(
    ["pending", "queued", "running", "awaiting_input", "retry", "completed", "failed", "cancelled"]
)
LEVELS = click.Choice(["debug", "info", "warning", "error"])
TEXTS = ("markdown", "text", "content", "report")
"""Where results have what people read."""
LEVEL_COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red"}
the_job = click.argument("job_id", shell_complete=completing.jobs)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Watch so long at most; then exit code 5.",
)


@click.group(name="jobs")
def jobs() -> None:
    """Submit work, watch it, read what came out, and run it again.

    A job may be named by the beginning of its id, if no other begins like it.
    """


@jobs.command(epilog='Example: echo "How do tides work?" | callboard jobs submit researcher --wait')
@click.argument("agent", shell_complete=completing.agents)
@click.argument("text", required=False)
@click.option("--param", "given", multiple=True, metavar="NAME=VALUE", help="One parameter; may be repeated.")
@click.option(
    "--params", "file", metavar="FILE", help="A JSON or YAML file of parameters; - reads standard input."
)
@click.option("--priority", type=PRIORITIES, default="normal", show_default=True)
@click.option("--name", "task_name", help="A name for people.")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
@click.option("--run-at", metavar="TIME", help="Not before, like 2026-12-01T09:00:00Z.")
@click.option("--budget-usd", type=click.FloatRange(min=0, min_open=True), help="What it may cost at most.")
@click.option("--key", "idempotency_key", help="Idempotency key: the same one again makes no second job.")
@click.option("--wait", "waits", is_flag=True, help="Watch it to its end and print its result.")
@timeout_option
@on_behalf
@as_json
def submit(
    agent: str,
    text: str | None,
    *,
    given: tuple[str, ...],
    file: str | None,
    budget_usd: float | None,
    waits: bool,
    timeout: float | None,
    email: str | None,
    wants_json: bool,
    **wish: Any,
) -> None:
    """Submit a job for AGENT, and print its id.

    TEXT is for an agent that takes one text; `-` or nothing reads it from standard input. A value of --param is read
    as the agent's schema wants it: text as it is, anything else as JSON.
    """
    with speaker(email) as callboard:
        schema = _agent(callboard, agent).input_schema
        wanted = {name: value for name, value in wish.items() if value}
        if budget_usd:
            wanted["budget"] = {"usd": budget_usd}
        if "tags" in wanted:
            wanted["tags"] = list(wanted["tags"])
        values = job_wish.parameters(agent, schema, text, given, file)
        accepted = callboard.submit(agent, values, **wanted)
        if waits:
            if not wants_json:
                click.echo(f"Submitted {accepted.job_id}", err=True)
            _watch(callboard, accepted.job_id, timeout=timeout, wants_json=wants_json)
        _tell_new(accepted, wants_json=wants_json)


@jobs.command(
    name="list", epilog="Example: callboard jobs list --status failed --filter 'since:24h -tag:test'"
)
@click.option("--status", "statuses", type=STATUSES, multiple=True, help="May be repeated.")
@click.option("--agent", "agent_id", shell_complete=completing.agents, help="Only those of this agent.")
@click.option("--tag", help="Only those with this tag.")
@click.option(
    "--filter", "words", help="As in the dashboard: status:failed agent:a,b since:24h -tag:test timeout."
)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--cursor", help="next_cursor of the page before.")
@on_behalf
@as_json
def show_all(
    *, statuses: tuple[str, ...], words: str | None, email: str | None, wants_json: bool, **query: Any
) -> None:
    """List jobs, newest first."""
    with speaker(email) as callboard:
        wanted = query | {"status": ",".join(statuses) or None, "filter": words}
        found = callboard.call("GET", "/api/v1/jobs", query=wanted)
    if wants_json:
        telling.say_json(found)
        return
    columns = ("id", "status", "when", "agent", "name")
    telling.table(columns, map(_row, found["jobs"]), empty="No jobs.")
    if found["next_cursor"] and found["total"] > len(found["jobs"]):
        click.echo(f"{found['total']} in all; go on with --cursor {found['next_cursor']}", err=True)


@jobs.command()
@the_job
@on_behalf
@as_json
def show(job_id: str, *, email: str | None, wants_json: bool) -> None:
    """Show a job: where it is, what it was given, and what it said last."""
    with speaker(email) as callboard:
        found = callboard.call("GET", f"/api/v1/jobs/{_named(callboard, job_id)}")
        where = address(f"/jobs/{found['job_id']}")
    if wants_json:
        telling.say_json(found)
        return
    telling.facts(
        f"{found['task_name'] or found['agent_id']}  {found['status']}", _about(found) | {"page": where}
    )


@jobs.command(
    epilog="Exit codes: 0 completed, 3 failed, 4 cancelled, 5 still running at --timeout, 130 after Ctrl-C."
)
@the_job
@timeout_option
@on_behalf
@as_json
def watch(job_id: str, *, timeout: float | None, email: str | None, wants_json: bool) -> None:
    """Watch a job to its end: a live bar on a terminal, a line for each change elsewhere.

    Ctrl-C ends the watching; the job goes on.
    """
    with speaker(email) as callboard:
        name = _named(callboard, job_id)
        done = job_watching.watched(callboard, name, timeout=timeout, quiet=wants_json)
        if wants_json:
            telling.say_json(done.plain() if done else callboard.job(name).plain())
        else:
            job_watching.tell_end(done, name)
    sys.exit(job_watching.exit_code(done))


@jobs.command()
@the_job
@click.option("--follow", "-f", is_flag=True, help="Go on until the job is finished.")
@click.option("--after", type=click.IntRange(0), default=0, help="The last number you have.")
@click.option("--level", type=LEVELS, help="This level and worse.")
@on_behalf
@as_json
def logs(
    job_id: str, *, follow: bool, after: int, level: str | None, email: str | None, wants_json: bool
) -> None:
    """Print what a job said; as JSON, one line is one entry."""
    with speaker(email) as callboard:
        name = _named(callboard, job_id)
        with job_watching.leaving_it(name):
            for line in callboard.logs(name, after=after, level=level, follow=follow):
                _tell_line(line, wants_json=wants_json)


@jobs.command()
@the_job
@on_behalf
@as_json
def cancel(job_id: str, *, email: str | None, wants_json: bool) -> None:
    """Cancel a job: a waiting one at once, a running one within seconds."""
    with speaker(email) as callboard:
        done = callboard.cancel(_named(callboard, job_id))
    if wants_json:
        telling.say_json(done.plain())
    else:
        click.echo(f"{done.job_id}  {'cancelled' if done.status == 'cancelled' else 'will be cancelled'}")


@jobs.command()
@the_job
@click.option("--priority", type=PRIORITIES, help="Left out: as before.")
@on_behalf
@as_json
def retry(job_id: str, *, priority: str | None, email: str | None, wants_json: bool) -> None:
    """Run a finished job again, as a new one."""
    with speaker(email) as callboard:
        accepted = callboard.retry(_named(callboard, job_id), priority=priority)
        _tell_new(accepted, wants_json=wants_json)


@jobs.command()
@the_job
@click.option("--current", is_flag=True, help="By the agent's present definition, not the one it ran with.")
@click.option(
    "--params",
    "file",
    metavar="FILE",
    help="Other parameters, from a JSON or YAML file; - is standard input.",
)
@on_behalf
@as_json
def replay(job_id: str, *, current: bool, file: str | None, email: str | None, wants_json: bool) -> None:
    """Run a finished job again to compare the two."""
    with speaker(email) as callboard:
        values = job_wish.from_file(file) if file else None
        version = "current" if current else "pinned"
        accepted = callboard.replay(_named(callboard, job_id), parameters=values, version=version)
        _tell_new(accepted, wants_json=wants_json)


@jobs.command()
@the_job
@click.option("--usd", type=float, help="So much more money.")
@click.option("--tokens", type=int, help="So many more tokens.")
@click.option("--minutes", type=float, help="So many more minutes.")
@on_behalf
@as_json
def resume(job_id: str, *, email: str | None, wants_json: bool, **more: Any) -> None:
    """Go on with a job that its budget stopped, from its last checkpoint, as a new one."""
    with speaker(email) as callboard:
        accepted = callboard.resume(_named(callboard, job_id), **more)
        _tell_new(accepted, wants_json=wants_json)


@jobs.command()
@the_job
@on_behalf
@as_json
def explain(job_id: str, *, email: str | None, wants_json: bool) -> None:
    """Say why a job is not running, and what to do about it."""
    with speaker(email) as callboard:
        found = callboard.explain(_named(callboard, job_id))
    if wants_json:
        telling.say_json(found.plain())
        return
    for each in found.blockers:
        until = f" (until {telling.when(each.until)})" if each.until else ""
        telling.line(f"{each.message}{until}", "warning")
    if not found.blockers:
        place = f", number {found.queue_position} in its queue" if found.queue_position else ""
        telling.line(f"Nothing holds it: it is {found.status}{place}.", found.status)


@jobs.command()
@the_job
@on_behalf
@as_json
def tree(job_id: str, *, email: str | None, wants_json: bool) -> None:
    """Show a job with the jobs it submitted, and what they cost together."""
    with speaker(email) as callboard:
        found = callboard.call("GET", f"/api/v1/jobs/{_named(callboard, job_id)}/tree")
    if wants_json:
        telling.say_json(found)
        return
    job_tree.tell(found)


@jobs.command()
@the_job
@on_behalf
@as_json
def result(job_id: str, *, email: str | None, wants_json: bool) -> None:
    """Print what a job made: its text if it is one, else JSON. Exit code 5 while it is not finished."""
    with speaker(email) as callboard:
        found = callboard.job(_named(callboard, job_id))
    if not found.terminal:
        click.echo(f"It is {found.status}; watch it: callboard jobs watch {found.job_id}", err=True)
    elif found.result is None:
        job_watching.tell_end(found, found.job_id)
    else:
        _tell_result(found.result, wants_json=wants_json)
    sys.exit(job_watching.exit_code(found if found.terminal else None))


def _agent(callboard: Client, agent_id: str) -> Agent:
    """The agent; for one that is not there the nearest ones are named."""
    from app.client import NotFound

    try:
        return callboard.agent(agent_id)
    except NotFound as missing:
        near = difflib.get_close_matches(agent_id, [each.agent_id for each in callboard.agents()])
        way = f"did you mean {' or '.join(near)}?" if near else "`callboard agents list` shows all"
        raise Failed(f"{missing}; {way}") from missing


def _watch(callboard: Client, job_id: str, *, timeout: float | None, wants_json: bool) -> None:
    """Watch what was just submitted, print its result, and end the command."""
    done = job_watching.watched(callboard, job_id, timeout=timeout, quiet=wants_json)
    if wants_json:
        telling.say_json(done.plain() if done else callboard.job(job_id).plain())
    else:
        job_watching.tell_end(done, job_id)
        if done and done.result is not None:
            _tell_result(done.result, wants_json=False)
    sys.exit(job_watching.exit_code(done))


def _named(callboard: Client, job_id: str) -> str:
    """The whole id for the beginning of one."""
    short = job_id.lower()
    if len(short) >= 36 or len(short) < 6:
        return short
    found = callboard.jobs(q=short, limit=100)
    fitting = [job.job_id for job in found if job.job_id.startswith(short)]
    if len(fitting) > 1:
        raise click.UsageError(f"{len(fitting)} jobs begin with {job_id}; say more of the id.")
    return fitting[0] if fitting else short


def _tell_new(accepted: Accepted, *, wants_json: bool) -> None:
    if wants_json:
        telling.say_json(accepted.plain())
        return
    click.echo(accepted.job_id)
    if sys.stdout.isatty():
        due = f", due {telling.when(accepted.scheduled_for)}" if accepted.scheduled_for else ""
        click.echo(f"{accepted.status}{due}; {address(f'/jobs/{accepted.job_id}')}", err=True)


def _tell_line(line: LogLine, *, wants_json: bool) -> None:
    if wants_json:
        click.echo(json.dumps(line.plain(), ensure_ascii=False))
        return
    at = line.at.astimezone().strftime("%H:%M:%S") if line.at else ""
    words = harmless(f"{at}  {line.level:7}  {line.message}")
    click.secho(words, fg=LEVEL_COLOURS.get(line.level))


def _tell_result(result: dict[str, Any], *, wants_json: bool) -> None:
    texts = [result[name] for name in TEXTS if isinstance(result.get(name), str)]
    if wants_json or not texts:
        telling.say_json(result)
    else:
        click.echo(harmless(texts[0]))


def _row(job: dict[str, Any]) -> list[Any]:
    progress = f" {job['progress']} %" if job["status"] == "running" else ""
    name = telling.brief(job["task_name"] or (job.get("headline") or {}).get("text"), 60)
    return [job["job_id"], job["status"] + progress, telling.ago(job["submitted_at"]), job["agent_id"], name]


def _about(job: dict[str, Any]) -> dict[str, Any]:
    error = job.get("error") or {}
    usage = job.get("usage") or {}
    return {
        "id": job["job_id"],
        "agent": job["agent_id"],
        "status": job["status"],
        "why": (job["status_reason"] or "").replace("_", " "),
        "progress": f"{job['progress']} %  {job['current_step'] or ''}".strip(),
        "priority": job["priority"],
        "tags": job["tags"],
        "submitted": telling.when(job["submitted_at"]),
        "due": telling.when(job["scheduled_for"]),
        "started": telling.when(job["started_at"]),
        "took": telling.lasted(job["duration_seconds"]),
        "attempt": f"{job['attempt']} ({job['retry_count']} of {job['max_retries']} retries)"
        if job["attempt"]
        else "",
        "cost": f"${usage['cost_usd']:.4f}" if usage.get("cost_usd") else "",
        "verdict": job["verdict"],
        "error": f"{error.get('type', '')}: {error.get('message', '')}" if error else "",
        "question": job["approval_id"],
        "parent": job.get("parent_job_id"),
        "session": job.get("session_id"),
        "result": (job.get("headline") or {}).get("text"),
        "parameters": job.get("parameters"),
        "you may": job["actions"],
    }
