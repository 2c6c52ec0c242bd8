"""`callboard workflows …`: run, check, watch and steer workflows, and keep their templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.agents import database
from app.cli.speaking import as_json, in_json, record, user_id
from app.errors import Invalid, NotFound

if TYPE_CHECKING:
    from app.db import Row
    from app.workflows.definition import Definition
    from app.workflows.review import Complaint, Review

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

on_behalf = click.option(
    "--as", "email", help="On whose behalf, by e-mail. Left out: the first admin (ADMIN_EMAIL)."
)
PRIORITIES = click.Choice(["critical", "high", "normal", "low"])


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
    with database() as db:
        from app.workflows import runs, templates

        user = user_id(email)
        template = None if _is_file(target) else templates.get(target, version)
        wanted = (
            templates.definition(target, template["version"]) if template else _demanded(Path(target), user)
        )
        wish = runs.RunWish(
            definition=wanted,
            submitted_by=user,
            inputs=_inputs(given, inputs_file, wanted),
            priority=priority,
            tags=tags,
            external_key=None if template else wanted.workflow_id,
            template_name=target if template else None,
            template_version=template["version"] if template else None,
        )
        row = runs.start(wish)
        record(
            "workflow.submitted",
            str(row["workflow_id"]),
            by=user,
            name=wanted.name,
            template=wish.template_name,
        )
        db.session.commit()
    if wants_json:
        click.echo(in_json(row))
        return
    click.echo(f"{row['workflow_id']}  {row['status']}  {row['total_steps']} steps  {wanted.name}")
    click.echo(
        f"Watch it: /workflows/{row['workflow_id']}, or `callboard workflows show {row['workflow_id']}`."
    )


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
    with database():
        found = _review(file, given, inputs_file, user_id(email) if email else None)
    if wants_json:
        click.echo(
            in_json(
                {
                    "valid": not found.complaints,
                    "problems": [vars(c) for c in found.complaints],
                    "plan": found.plan,
                }
            )
        )
    else:
        for line in _told(file, found):
            click.echo(line)
    context.exit(1 if found.complaints else 0)


@workflows.command(name="list")
@click.option("--status", type=click.Choice(["running", "paused", "completed", "failed", "cancelled"]))
@click.option("--template", help="Only runs of this template.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json
def show_all(*, status: str | None, template: str | None, limit: int, wants_json: bool) -> None:
    """List runs, newest first."""
    with database():
        from app.workflows import queries

        rows = queries.page(status=status, template=template, limit=limit)
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        steps = f"{row['completed_steps']}/{row['total_steps']}"
        click.echo(
            f"{row['workflow_id']}  {row['status']:10} {steps:>7}  {row['submitted_at']:%Y-%m-%d %H:%M}  {row['name']}"
        )


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@as_json
def show(workflow_id: Any, *, wants_json: bool) -> None:
    """Show a run and its steps."""
    with database():
        from app.workflows import document

        shown = document.of(str(workflow_id), content=True)
    if wants_json:
        click.echo(in_json(shown))
        return
    click.echo(
        f"{shown['name']}: {shown['status']}, {shown['completed_steps']} of {shown['total_steps']} steps"
    )
    if shown["error"]:
        click.echo(f"  {shown['error'].get('message', '')}")
    for step in shown["steps"]:
        click.echo(_step_line(step))


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@as_json
def cancel(workflow_id: Any, *, wants_json: bool) -> None:
    """Cancel a run with all its jobs, questions and inner runs."""
    _steer("cancel", str(workflow_id), wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@as_json
def pause(workflow_id: Any, *, wants_json: bool) -> None:
    """Pause a run: what runs goes on, nothing new is started."""
    _steer("pause", str(workflow_id), wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@as_json
def resume(workflow_id: Any, *, wants_json: bool) -> None:
    """Let a paused run go on."""
    _steer("resume", str(workflow_id), wants_json=wants_json)


@workflows.command()
@click.argument("workflow_id", type=click.UUID)
@click.option("--from-step", help="Run this step and what follows it again. Left out: what did not complete.")
@on_behalf
@as_json
def retry(workflow_id: Any, *, from_step: str | None, email: str | None, wants_json: bool) -> None:
    """Run a finished run again, as a new one that keeps the steps that completed."""
    user = None
    with database() as db:
        from app.workflows import runs

        user = user_id(email)
        row = runs.retry(str(workflow_id), by=user, from_step=from_step)
        record("workflow.retried", str(workflow_id), by=user, new_workflow_id=str(row["workflow_id"]))
        db.session.commit()
    click.echo(in_json(row) if wants_json else f"{row['workflow_id']}  {row['status']}")


@workflows.group()
def templates() -> None:
    """Keep workflows under a name, with versions."""


@templates.command(name="list")
@click.option("--q", help="In the name, title or description.")
@as_json
def list_templates(*, q: str | None, wants_json: bool) -> None:
    """List templates: name, version, visibility, title."""
    with database():
        from app.workflows import templates as room

        rows = room.page("", is_admin=True, q=q, limit=1000)
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        click.echo(f"{row['name']:32} v{row['current_version']:<4} {row['visibility']:8} {row['title']}")


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
    with database() as db:
        from app.workflows import templates as room

        user = user_id(email)
        found = _review(file, (), None, user)
        if found.complaints:
            for line in _told(file, found):
                click.echo(line, err=True)
            context.exit(1)
        visibility: Any = None if shared is None else "shared" if shared else "private"
        row = room.save(name, by=user, text=_text(file), title=title, visibility=visibility, note=note)
        record("workflow_template.saved", name, by=user, version=row["version"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else f"{name} v{row['version']}, {row['visibility']}")


@templates.command(name="show")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Left out: the current one.")
@as_json
def show_template(name: str, *, version: int | None, wants_json: bool) -> None:
    """Print the definition of the template NAME as it was saved; with --json everything about it."""
    with database():
        from app.workflows import templates as room

        row = room.get(name, version)
    if wants_json:
        click.echo(in_json(row))
    else:
        click.echo(row["source"], nl=not row["source"].endswith("\n"))


@templates.command()
@click.argument("name")
@as_json
def versions(name: str, *, wants_json: bool) -> None:
    """List the versions of the template NAME, newest first."""
    with database():
        from app.workflows import templates as room

        rows = room.versions(name)
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        change = "" if row["added"] is None else f"+{row['added']} -{row['removed']}"
        sign = "*" if row["current"] else " "
        click.echo(
            f"{sign} v{row['version']:<4} {row['created_at']:%Y-%m-%d %H:%M}  {change:12} {row['note'] or ''}"
        )


@templates.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@on_behalf
@as_json
def restore(name: str, version: int, *, email: str | None, wants_json: bool) -> None:
    """Make VERSION of the template NAME current again, as a new version."""
    with database() as db:
        from app.workflows import templates as room

        user = user_id(email)
        row = room.restore(name, version, by=user)
        record("workflow_template.restored", name, by=user, restored=version, version=row["version"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else f"{name} v{row['version']}, as v{version}")


def _steer(verb: str, workflow_id: str, *, wants_json: bool) -> None:
    with database() as db:
        from app.workflows import runs

        row = {"cancel": runs.cancel, "pause": runs.pause, "resume": runs.resume}[verb](workflow_id)
        done = {"cancel": "cancelled", "pause": "paused", "resume": "resumed"}[verb]
        record(f"workflow.{done}", workflow_id, by="cli")
        db.session.commit()
    click.echo(in_json(row) if wants_json else f"{workflow_id}  {row['status']}")


def _is_file(target: str) -> bool:
    path = Path(target)
    return path.is_file() or path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1


def _demanded(file: Path, user: str) -> Definition:
    """The definition in a file; raises Invalid with all that is wrong, each at its line."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    found = _review(file, (), None, user)
    if found.definition is None or found.complaints:
        raise Invalid("\n".join(_told(file, found)))
    return found.definition


def _review(file: Path, given: tuple[str, ...], inputs_file: Path | None, user: str | None) -> Review:
    from app.workflows import review, templates as room  # noqa: I001 - one line each would hide what is imported late

    found = review.of_text(_text(file), room.knowledge(user))
    if found.definition is None or not (given or inputs_file):
        return found
    return review.of_text(_text(file), room.knowledge(user), _inputs(given, inputs_file, found.definition))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{file} cannot be read: {wrong}") from wrong


def _inputs(given: tuple[str, ...], file: Path | None, definition: Definition) -> dict[str, Any]:
    inputs = _of_file(file) if file else {}
    rules = (definition.inputs or {}).get("properties", {})
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--input {each}: write NAME=VALUE")
        inputs[name] = _value(value, rules.get(name))
    return inputs


def _of_file(file: Path) -> dict[str, Any]:
    from app.workflows import source

    try:
        read = source.parse(_text(file))[0]
    except Invalid as wrong:
        raise Invalid(f"{file}: {wrong.message}") from wrong
    if not isinstance(read, dict):
        raise Invalid(f"{file} must hold names and values")
    return read


def _value(text: str, rule: Any) -> Any:
    """What was typed, as the schema wants it; JSON where it says nothing and JSON is what it looks like."""
    if isinstance(rule, dict) and rule.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _told(file: Path, found: Review) -> Iterator[str]:
    for complaint in found.complaints:
        yield _complaint_line(file, complaint)
    if found.plan is not None and found.definition is not None:
        from app.workflows import plan

        yield f"{file}: it would run, {plan.total(found.definition)} steps"
        for number, wave in enumerate(found.plan["waves"], 1):
            yield f"  {number}. " + ", ".join(_planned(step) for step in wave)


def _complaint_line(file: Path, complaint: Complaint) -> str:
    words = " ".join(filter(None, (complaint.message, complaint.hint)))
    place = f"{file}:{complaint.line}" if complaint.line else str(file)
    return f"{place}: {complaint.pointer}: {words}" if complaint.pointer else f"{place}: {words}"


def _planned(step: Row) -> str:
    what = step.get("agent_id") or step.get("kind")
    return f"{step['step_id']} ({what})"


def _step_line(step: Row) -> str:
    why = (step["error"] or {}).get("message") or step["status_reason"] or ""
    return f"  {step['step_id']:24} {step['status']:14} {step['agent_id'] or step['kind']:24} {why}".rstrip()
