"""`callboard quality …`: the gates there are, saving one, and judging a text by one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.agents import database
from app.cli.speaking import as_json, in_json, record, user_id

if TYPE_CHECKING:
    from app.quality.definition import Gate
    from app.quality.report import Finding, Report

TEXT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="quality")
def quality() -> None:
    """Quality gates: list, show and save them, and judge a text by one."""


@quality.command(name="gates")
@as_json
def show_all(*, wants_json: bool) -> None:
    """List the gates by name."""
    with database():
        from app.quality import gates

        rows = gates.page(limit=1000)
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        named = ", ".join(each.get("name") or each["check"] for each in row["definition"]["checks"])
        click.echo(f"{row['name']:24} v{row['version']:<3} {row['title']}: {named}")


@quality.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Left out: the newest.")
@as_json
def show(name: str, *, version: int | None, wants_json: bool) -> None:
    """Show the gate NAME as YAML, as `save` takes it."""
    with database():
        from app.quality import gates

        row = gates.named(name, version, archived=True)
    if wants_json:
        click.echo(in_json(row))
        return
    import yaml

    gone = ", archived" if row["archived_at"] else ""
    click.echo(f"# {row['name']}, version {row['version']} of {row['current_version']}{gone}")
    click.echo(yaml.safe_dump(row["definition"], sort_keys=False, allow_unicode=True, width=110), nl=False)


@quality.command()
@click.argument("file", type=FILE)
@click.option("--name", help="Left out: the name of the file.")
@click.option("--note", help="What is new in this version.")
@click.option("--as", "email", help="On whose behalf, by e-mail. Left out: the first admin (ADMIN_EMAIL).")
@as_json
def save(file: Path, *, name: str | None, note: str | None, email: str | None, wants_json: bool) -> None:
    """Keep the gate in FILE, YAML or JSON, under a name; a new version, unless it is as it was."""
    with database() as db:
        from app.quality import gates

        user = user_id(email)
        with _with_places():
            row = gates.save(name or file.stem, _read(file), by=user, note=note)
        record("quality_gate.saved", row["name"], by=user, version=row["version"])
        db.session.commit()
    click.echo(in_json(row) if wants_json else f"{row['name']} v{row['version']}  {row['title']}")


@quality.command()
@click.argument("name")
@click.option("--as", "email", help="On whose behalf, by e-mail. Left out: the first admin (ADMIN_EMAIL).")
def archive(name: str, *, email: str | None) -> None:
    """Take the gate NAME out of the list; agents that name it keep it."""
    with database() as db:
        from app.quality import gates

        user = user_id(email)
        gates.archive(name)
        record("quality_gate.archived", name, by=user)
        db.session.commit()


@quality.command()
@click.argument("file", type=TEXT)
@click.option("--gate", "wanted", required=True, help="The name of a gate, or a file with one.")
@click.option("--topic", help="What the text is to be about.")
@click.option("--target-length", type=click.IntRange(1, 1_000_000), help="So many words are wanted.")
@click.option("--tone", help="professional, casual or technical.")
@click.option("--keyword", "keyword", help="A phrase that must be there.")
@as_json
@click.pass_context
def check(
    context: click.Context,
    file: Path,
    *,
    wanted: str,
    topic: str | None,
    target_length: int | None,
    tone: str | None,
    keyword: str | None,
    wants_json: bool,
) -> None:
    """Judge the text in FILE, or `-` for standard input; a JSON object is judged as the result of an agent.

    Checks that need a worker are not made. Exit codes: 0 passed, 1 not passed, 2 wrong usage.
    """
    brief = {"topic": topic, "target_length": target_length, "tone": tone, "primary_keyword": keyword}
    report = _judged(_gate(wanted), _text(file), {name: value for name, value in brief.items() if value})
    if wants_json:
        click.echo(in_json(report.document()))
    else:
        for finding in report.findings:
            click.echo(_line(finding))
        click.echo(report.feedback)
    context.exit(0 if report.passed else 1)


@contextmanager
def _with_places() -> Iterator[None]:
    """Tell each mistake of a gate with its place; that is wrong usage of the command."""
    from app.errors import Invalid

    try:
        yield
    except Invalid as wrong:
        places = [f"  {pointer or '/'}: {said}" for pointer, said in wrong.fields]
        raise click.UsageError("\n".join([f"the gate cannot be used: {wrong.message}", *places])) from wrong


def _text(file: Path) -> str:
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    return raw.decode("utf-8", "replace")


def _judged(gate: Gate, text: str, brief: dict[str, Any]) -> Report:
    import orjson

    from app.quality.checks import Subject, judge

    try:
        result = orjson.loads(text)
    except orjson.JSONDecodeError:
        result = None
    if isinstance(result, dict):
        return judge(gate, Subject.of(gate, result, brief))
    return judge(gate, Subject(text, {"content": text}, brief))


def _gate(wanted: str) -> Gate:
    """The gate in a file, or one with a name; wrong usage if there is neither."""
    from app.errors import NotFound
    from app.quality import gates
    from app.quality.definition import Gate

    file = Path(wanted)
    if file.suffix in {".yaml", ".yml", ".json"} and file.is_file():
        with _with_places():
            return Gate.read(_read(file))
    try:
        with database():
            return gates.gate(gates.named(wanted)["name"])
    except NotFound as unknown:
        raise click.UsageError(unknown.message) from unknown


def _read(file: Path) -> Any:
    from app.quality import gates

    return gates.read_yaml(file.read_text(encoding="utf-8", errors="replace"))


def _line(finding: Finding) -> str:
    if finding.score is None:
        return f"  –  {finding.name}: {finding.error or finding.evidence}"
    mark = "✓" if finding.passed else "✗"
    said = f"{finding.issue} ({finding.evidence})" if finding.issue else finding.evidence
    advice = f"\n          {finding.suggestion}" if finding.issue and finding.suggestion else ""
    return f"{mark} {finding.score:4.1f} {finding.name}: {said}{advice}"
