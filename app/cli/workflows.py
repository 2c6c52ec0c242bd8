"""`callboard workflows …`: run, check, watch and steer workflows, and keep their templates."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli import telling
from app.cli.connected import Failed, on_behalf, rows, speaker
from app.cli.naming import named
from app.cli.speaking import as_json, harmless
from app.errors import Invalid, NotFound

if TYPE_CHECKING:
    from app.client import Client, WorkflowRun

Command = TypeVar("Command", bound=Callable[..., Any])
JSON = dict[str, Any]
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PRIORITIES = click.Choice(["critical", "high", "normal", "low"])
CODES = {"completed": 0, "failed": 3, "cancelled": 4}
STILL_RUNNING = 5
INTERRUPTED = 130
BUSY = ("queued", "retry", "running", "awaiting_input")
MOST = 1000
"""Templates in a list."""


def with_inputs(command: Command) -> Command:
    """`--input` and `--inputs`."""
    one = click.option(
        "--input", "given", multiple=True, metavar="NAME=VALUE", help="One input; may be repeated."
    )
    file = click.option("--inputs", "inputs_file", type=FILE, help="A YAML or JSON file of inputs.")
    return one(file(command))


@click.group(name="workflows")
def workflows() -> None:
    """Run, check, watch and steer workflows, and keep their templates."""


@workflows.command()
@click.argument("target")
@with_inputs
@click.option("--version", type=click.IntRange(1), help="Of the template. Left out: the current one.")
@click.option("--priority", type=PRIORITIES, default="normal", show_default=True)
@click.option("--tag", "tags", multiple=True, help="Of the run and its jobs; may be repeated.")
@on_behalf
@as_json
def run(
    target: str,
    *,
    given: tuple[str, ...],
    inputs_file: Path | None,
    version: int | None,
    priority: str,
    tags: tuple[str, ...],
    email: str | None,
    wants_json: bool,
) -> None:
    """Run TARGET, a file or the name of a template.

    A value of --input is read as the schema of the inputs wants it: text as it is, anything else as JSON
    (--input 'ideas=["one", "two"]').
    """
    more: JSON = {"priority": priority, "tags": list(tags)}
    with speaker(email) as callboard:
        if _is_file(target):
            text = _demanded(callboard, Path(target))
            inputs = _inputs(given, inputs_file, _schema(text))
            made = callboard.workflows.run(text, inputs, **more)
        else:
            schema = callboard.workflows.template(target, version).plain()["inputs"]
            inputs = _inputs(given, inputs_file, schema)
            made = callboard.workflows.run_template(target, inputs, version=version, **more)
        shown = callboard.workflows.get(made.workflow_id)
    if wants_json:
        telling.say_json(shown.plain() | made.plain())
        return
    click.echo(harmless(f"{made.workflow_id}  {made.status}  {shown.total_steps} steps  {shown.name}"))
    click.echo(f"Watch it: /workflows/{made.workflow_id}, or `callboard workflows watch {made.workflow_id}`.")


@workflows.command()
@click.argument("file", type=FILE)
@with_inputs
@on_behalf
@as_json
@click.pass_context
def validate(
    context: click.Context,
    file: Path,
    *,
    given: tuple[str, ...],
    inputs_file: Path | None,
    email: str | None,
    wants_json: bool,
) -> None:
    """Check the workflow in FILE without running it, and say what a run would do.

    Each mistake stands at its line. Inputs are looked at if you give some. Exit codes: 0 it would run, 1 it would
    not, 2 wrong usage.
    """
    text = _text(file)
    with speaker(email) as callboard:
        inputs = _inputs(given, inputs_file, _schema(text)) if given or inputs_file else None
        found = callboard.workflows.validate(text, inputs).plain()
    if wants_json:
        telling.say_json(found)
    else:
        for line in _told(file, found):
            click.echo(line)
    context.exit(0 if found["valid"] else 1)


@workflows.command(name="list")
@click.option("--status", type=click.Choice(["running", "paused", "completed", "failed", "cancelled"]))
@click.option("--template", help="Only runs of this template.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@on_behalf
@as_json
def show_all(
    *, status: str | None, template: str | None, limit: int, email: str | None, wants_json: bool
) -> None:
    """List runs, newest first."""
    chosen = {"status": status, "template": template}
    with speaker(email) as callboard:
        found = rows(callboard, "/api/v1/workflows", "workflows", most=limit, **chosen)
    if wants_json:
        telling.say_json(found)
        return
    if not found:
        click.echo("No runs. Start one: callboard workflows run --help", err=True)
    for row in map(telling.timed, found):
        steps = f"{row['completed_steps']}/{row['total_steps']}"
        line = f"{row['workflow_id']}  {row['status']:10} {steps:>7}  {row['submitted_at']:%Y-%m-%d %H:%M}  {row['name']}"
        click.echo(harmless(line))


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@on_behalf
@as_json
def show(workflow_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Show a run and its steps."""
    with speaker(email) as callboard:
        shown = callboard.workflows.get(str(workflow_id)).plain()
    if wants_json:
        telling.say_json(shown)
        return
    click.echo(
        harmless(
            f"{shown['name']}: {shown['status']}, {shown['completed_steps']} of {shown['total_steps']} steps"
        )
    )
    if shown["error"]:
        click.echo(harmless(f"  {shown['error'].get('message', '')}"))
    for step in shown["steps"]:
        click.echo(_step_line(step))


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="Stop watching after so long; the run goes on."
)
@on_behalf
@as_json
def watch(workflow_id: Any, *, timeout: float | None, email: str | None, wants_json: bool) -> None:
    """Watch a run until it ends, a line for each change. Exit codes as for `jobs watch`."""
    from app.client import StillRunning

    name = str(workflow_id)
    with speaker(email) as callboard:
        try:
            done = callboard.workflows.wait(
                name, timeout=timeout, on_change=None if wants_json else _tell_change
            )
        except StillRunning:
            done = None
        except KeyboardInterrupt:
            click.echo(f"\nThe run goes on. Watch it again: callboard workflows watch {name}", err=True)
            sys.exit(INTERRUPTED)
        if wants_json:
            telling.say_json((done or callboard.workflows.get(name)).plain())
    if done is None:
        click.echo(f"Still running; it goes on. Watch it again: callboard workflows watch {name}", err=True)
    sys.exit(STILL_RUNNING if done is None else CODES.get(done.status, 1))


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@on_behalf
@as_json
def cancel(workflow_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Cancel a run with all its jobs, questions and inner runs."""
    _steer("cancel", str(workflow_id), email, wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@on_behalf
@as_json
def pause(workflow_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Pause a run: what runs goes on, nothing new is started."""
    _steer("pause", str(workflow_id), email, wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@on_behalf
@as_json
def resume(workflow_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Let a paused run go on."""
    _steer("resume", str(workflow_id), email, wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@click.option("--from-step", help="Run this step and what follows it again. Left out: what did not complete.")
@on_behalf
@as_json
def retry(workflow_id: Any, *, from_step: str | None, email: str | None, wants_json: bool) -> None:
    """Run a finished run again, as a new one that keeps the steps that completed."""
    with speaker(email) as callboard:
        made = callboard.workflows.retry(str(workflow_id), from_step=from_step)
    if wants_json:
        telling.say_json(made.plain())
    else:
        click.echo(f"{made.workflow_id}  {made.status}")


@workflows.group()
def templates() -> None:
    """Keep workflows under a name, with versions."""


@templates.command(name="list")
@click.option("--q", help="In the name, title or description.")
@on_behalf
@as_json
def list_templates(*, q: str | None, email: str | None, wants_json: bool) -> None:
    """List templates: name, version, visibility, title."""
    with speaker(email) as callboard:
        found = rows(callboard, "/api/v1/workflow-templates", "templates", most=MOST, q=q)
    if wants_json:
        telling.say_json(found)
        return
    for row in found:
        line = f"{row['name']:32} v{row['current_version']:<4} {row['visibility']:8} {row['title']}"
        click.echo(harmless(line))


@templates.command()
@click.argument("name")
@click.argument("file", type=FILE)
@click.option("--title", help="For people. Left out: as it is, at first the workflow's name.")
@click.option(
    "--shared/--private", default=None, help="Who may see and run it. Left out: as it is, at first private."
)
@click.option("--note", help="What is new in this version.")
@on_behalf
@as_json
@click.pass_context
def save(
    context: click.Context,
    name: str,
    file: Path,
    *,
    title: str | None,
    shared: bool | None,
    note: str | None,
    email: str | None,
    wants_json: bool,
) -> None:
    """Save the workflow in FILE as the template NAME; a new version if something differs."""
    visibility = None if shared is None else "shared" if shared else "private"
    text = _text(file)
    with speaker(email) as callboard:
        found = callboard.workflows.validate(text).plain()
        if not found["valid"]:
            for line in _told(file, found):
                click.echo(line, err=True)
            context.exit(1)
        kept = callboard.workflows.save(name, text, title=title, visibility=visibility, note=note).plain()
    if wants_json:
        telling.say_json(kept)
    else:
        click.echo(f"{name} v{kept['version']}, {kept['visibility']}")


@templates.command(name="show")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Left out: the current one.")
@on_behalf
@as_json
def show_template(name: str, *, version: int | None, email: str | None, wants_json: bool) -> None:
    """Print the definition of the template NAME as it was saved; with --json everything about it."""
    with speaker(email) as callboard:
        found = callboard.workflows.template(name, version).plain()
    if wants_json:
        telling.say_json(found)
    else:
        click.echo(found["source"], nl=not found["source"].endswith("\n"))


@templates.command()
@click.argument("name")
@on_behalf
@as_json
def versions(name: str, *, email: str | None, wants_json: bool) -> None:
    """List the versions of the template NAME, newest first."""
    with speaker(email) as callboard:
        found = callboard.workflows.versions(name)
    if wants_json:
        telling.say_json(found)
        return
    for row in map(telling.timed, found):
        change = "" if row["added"] is None else f"+{row['added']} -{row['removed']}"
        sign = "*" if row["current"] else " "
        line = (
            f"{sign} v{row['version']:<4} {row['created_at']:%Y-%m-%d %H:%M}  {change:12} {row['note'] or ''}"
        )
        click.echo(harmless(line))


@templates.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@on_behalf
@as_json
def restore(name: str, version: int, *, email: str | None, wants_json: bool) -> None:
    """Make VERSION of the template NAME current again, as a new version."""
    with speaker(email) as callboard:
        kept = callboard.workflows.restore(name, version).plain()
    if wants_json:
        telling.say_json(kept)
    else:
        click.echo(f"{name} v{kept['version']}, as v{version}")


def _steer(verb: str, workflow_id: str, email: str | None, *, wants_json: bool) -> None:
    with speaker(email) as callboard:
        now = callboard.workflows.steer(workflow_id, verb)
    if wants_json:
        telling.say_json(now.plain())
    else:
        click.echo(f"{workflow_id}  {now.status}")


def _tell_change(run: WorkflowRun) -> None:
    busy = [step["step_id"] for step in run.steps if step["status"] in BUSY]
    line = f"{datetime.now().astimezone():%H:%M:%S}  {run.status:10} {run.completed_steps}/{run.total_steps}  {', '.join(busy)}"
    click.echo(harmless(line).rstrip(), err=True)


def _is_file(target: str) -> bool:
    path = Path(target)
    return path.is_file() or path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1


def _demanded(callboard: Client, file: Path) -> str:
    """The text of a file that would run; raises with all that is wrong, each at its line."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    text = _text(file)
    found = callboard.workflows.validate(text).plain()
    if not found["valid"]:
        raise Failed("\n".join(_told(file, found)))
    return text


def _schema(text: str) -> JSON | None:
    """The schema of the inputs of a workflow, if it can be read; what is wrong with it the server says."""
    from app.workflows import source

    try:
        read = source.parse(text)[0]
    except Invalid:
        return None
    return read.get("inputs") if isinstance(read, dict) else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{file} cannot be read: {wrong}") from wrong


def _inputs(given: tuple[str, ...], file: Path | None, schema: Any) -> JSON:
    rules = schema.get("properties") if isinstance(schema, dict) else None
    return (of_file(file) if file else {}) | named(
        "--input", given, rules if isinstance(rules, dict) else None
    )


def of_file(file: Path) -> JSON:
    """The names and values in a YAML or JSON file."""
    from app.workflows import source

    try:
        read = source.parse(_text(file))[0]
    except Invalid as wrong:
        raise Invalid(f"{file}: {wrong.message}") from wrong
    if not isinstance(read, dict):
        raise Invalid(f"{file} must hold names and values")
    return read


def _told(file: Path, found: JSON) -> Iterator[str]:
    for problem in found["problems"]:
        yield harmless(_problem_line(file, problem))
    if found["plan"] is not None:
        yield f"{file}: it would run, {found['plan']['total_steps']} steps"
        for number, wave in enumerate(found["plan"]["waves"], 1):
            yield harmless(f"  {number}. " + ", ".join(_planned(step) for step in wave))


def _problem_line(file: Path, problem: JSON) -> str:
    words = " ".join(filter(None, (problem["message"], problem["hint"])))
    place = f"{file}:{problem['line']}" if problem["line"] else str(file)
    return f"{place}: {problem['pointer']}: {words}" if problem["pointer"] else f"{place}: {words}"


def _planned(step: JSON) -> str:
    what = step.get("agent_id") or step.get("kind")
    return f"{step['step_id']} ({what})"


def _step_line(step: JSON) -> str:
    why = (step["error"] or {}).get("message") or step["status_reason"] or ""
    what = step["agent_id"] or step["kind"]
    return harmless(f"  {step['step_id']:24} {step['status']:14} {what:24} {why}").rstrip()
