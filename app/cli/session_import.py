"""`callboard sessions import FOLDER`: sessions from JSON files, verified in Postgres before the files are put away."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.agents import database
from app.cli.connected import on_behalf
from app.cli.speaking import as_json, harmless, in_json, user_id

if TYPE_CHECKING:
    from app.accounts.permissions import Principal
    from app.sessions.importing import Told

SIGNS = {"imported": "+", "known": "=", "would import": "~", "failed": "!"}


@click.command(name="import", epilog="Example: callboard sessions import sessions/ --dry-run")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only read and check; nothing is written or moved.")
@click.option(
    "--archive/--no-archive",
    default=True,
    show_default=True,
    help="Move what was imported and verified into FOLDER/archived-<date>.",
)
@on_behalf
@as_json
@click.pass_context
def import_sessions(
    context: click.Context, folder: Path, *, dry_run: bool, archive: bool, email: str | None, wants_json: bool
) -> None:
    """Import the sessions of FOLDER, one JSON file each, all of a file or nothing of it.

    What is written is read back from Postgres and compared before a file is put away; the same file again is recognised.
    Exit codes: 0 all is well, 1 some files could not be imported (they stay where they are), 2 wrong usage.
    """
    with database() as db:
        from app.sessions import importing

        who = _person(email)
        told = [_one(db, path, who, dry_run=dry_run, archive=archive) for path in importing.files(folder)]
    failed = sum(each.status == importing.FAILED for each in told)
    if wants_json:
        click.echo(in_json({"dry_run": dry_run, "failed": failed, "files": [asdict(each) for each in told]}))
    else:
        for each in told:
            click.echo(harmless(_line(each)))
        click.echo(
            f"{len(told) - failed} of {len(told)} files are fine" if told else f"No JSON files in {folder}."
        )
    context.exit(1 if failed else 0)


def _person(email: str | None) -> Principal:
    from app.errors import NotFound
    from app.sessions import processing

    found = processing.person(user_id(email))
    if found is None:
        raise NotFound("this user is disabled")
    return found


def _one(db: Any, path: Path, who: Principal, *, dry_run: bool, archive: bool) -> Told:
    """One file in a transaction of its own; what is wrong with it stops no other."""
    import psycopg2

    from app import clock
    from app.db import AWAY
    from app.errors import CallboardError
    from app.sessions import importing

    try:
        told = importing.take_in(path, who=who, dry_run=dry_run)
        if dry_run:
            db.session.rollback()
            return told
        db.session.commit()
    except AWAY:
        raise
    except (CallboardError, psycopg2.Error, OSError) as wrong:
        db.session.rollback()
        return importing.Told(file=path.name, status=importing.FAILED, why=str(wrong).strip().split("\n")[0])
    if archive:
        try:
            told.archived_to = str(importing.archive(path, clock.now().date()))
        except FileNotFoundError:  # an import beside this one has put it away
            told.archived_to = None
        except (CallboardError, OSError) as stuck:
            told.status, told.why = importing.FAILED, f"it was imported, but could not be put away: {stuck}"
    return told


def _line(told: Told) -> str:
    line = f"{SIGNS[told.status]} {told.file}: {told.status}"
    if told.session_id:
        amounts = ", ".join(_amount(number, name) for name, number in told.counts.items() if number)
        line += f" as {told.session_id}" + (f" ({amounts})" if amounts else "")
    return line + (f": {told.why}" if told.why else "")


_ONE = {"messages": "message", "memories": "memory", "artifacts": "artifact"}


def _amount(number: int, name: str) -> str:
    return f"{number} {_ONE[name] if number == 1 else name}"
