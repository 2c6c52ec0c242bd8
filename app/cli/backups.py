"""`callboard backup …`: make one now, list, verify and prune them; `callboard restore` is in restoring.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.agents import database
from app.cli.configured import settings
from app.cli.speaking import as_json, harmless, in_json
from app.errors import Invalid

if TYPE_CHECKING:
    from app.ops.backups.plan import Plan

NOT_PROVED = 1
SHOWN = 30


@contextmanager
def planned() -> Iterator[Plan]:
    """The settings' plan of backups, with the database open for it."""
    from app.db import db, make_engine
    from app.observe import logs
    from app.ops.backups.plan import plan_of

    logs.configure("ERROR", "console")  # what goes wrong is said by the command itself
    with database():
        plan = plan_of(settings())
        engine = make_engine(plan.database_url, pool_size=2, max_overflow=2, name="callboard-cli")
        db.open(engine)
        try:
            yield plan
        finally:
            engine.dispose()


@click.group(invoke_without_command=True)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of this machine; such a backup is not listed and not removed by itself.",
)
@click.option("--encrypt/--no-encrypt", default=None, help="With BACKUP_KEY. Left out: if there is one.")
@click.option(
    "--with-artifacts/--without-artifacts", default=None, help="Left out: if they are not too large."
)
@as_json
@click.pass_context
def backup(
    context: click.Context,
    *,
    output: Path | None,
    encrypt: bool | None,
    with_artifacts: bool | None,
    wants_json: bool,
) -> None:
    """Make a backup now. The product may go on meanwhile.

    Exit codes: 0 it is there as a whole, 1 it could not be made and nothing is left of it.
    """
    if context.invoked_subcommand:
        return
    with planned() as found:
        plan = _wished(found, output, encrypt=encrypt)
        told = _aside(plan, with_artifacts) if output else _regular(plan, with_artifacts)
    if wants_json:
        click.echo(in_json(told))
        return
    parts = [f"{told['dump']['bytes'] / 1e6:,.1f} MB"]
    if told["artifacts"]:
        parts.append(
            f"{told['artifacts']['files']:,} artifacts in {told['artifacts']['bytes'] / 1e6:,.1f} MB"
        )
    if told["encrypted_with"]:
        parts.append(f"encrypted with {told['encrypted_with']}")
    click.echo(f"{told['location']}: {', '.join(parts)}")
    if not told["artifacts"]:
        click.echo("Artifacts are not in it.", err=True)
    if not told["encrypted_with"]:
        click.echo(
            "It is not encrypted; whoever can read it can read everything but sealed secrets.", err=True
        )


def _wished(plan: Plan, output: Path | None, *, encrypt: bool | None) -> Plan:
    from app.ops.backups.places import Place

    if encrypt and not plan.keys:
        raise Invalid(
            "BACKUP_KEY is not set: make one with `callboard secrets new-key`, and keep it elsewhere"
        )
    if encrypt is False:
        plan = replace(plan, keys=())
    return replace(plan, place=Place(f"file://{output.resolve()}")) if output else plan


def _regular(plan: Plan, with_artifacts: bool | None) -> dict[str, Any]:
    from app.ops.backups import making

    backup_id = making.begin(plan, "manual", by="cli")
    assert backup_id is not None
    written = making.make(
        plan, backup_id, "manual", actor="cli", with_artifacts=with_artifacts, also_tell=_progress()
    )
    return _told(plan, written.manifest)


def _aside(plan: Plan, with_artifacts: bool | None) -> dict[str, Any]:
    import uuid_utils.compat

    from app import audit
    from app.db import db
    from app.ops.backups import dumping

    backup_id = str(uuid_utils.compat.uuid7())
    tell = _progress()
    with dumping.Pulse(tell) as pulse:
        written = dumping.write(plan, backup_id, "manual", pulse, with_artifacts=with_artifacts)
    with db.transaction():
        audit.record("backup.made", actor="cli", subject=backup_id, details={"to": plan.place.shown})
    return _told(plan, written.manifest)


def _told(plan: Plan, manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "location": f"{plan.place.shown.rstrip('/')}/{manifest['dump']['name']}"}


def _progress() -> Any:
    """On stderr, every few seconds; a quick backup says nothing."""
    began = time.monotonic()

    def tell(stage: str, done: int) -> bool:
        click.echo(f"{time.monotonic() - began:5.0f} s  {stage}, {done / 1e6:,.0f} MB written", err=True)
        return True

    return tell


@backup.command(name="list")
@as_json
def show_all(*, wants_json: bool) -> None:
    """List the newest backups, whether they were verified, and why each is kept."""
    from app import clock
    from app.db import db
    from app.ops.backups import queries

    with planned() as plan:
        with db.quick():
            rows = queries.listing(limit=SHOWN)
            why = queries.stay(plan.keep, clock.now())["why"]
            rows = [row | {"kept_as": why.get(row["backup_id"], [])} for row in rows]
        due = plan.next_at(clock.now())
    if wants_json:
        click.echo(in_json({"backups": rows, "next_at": due}))
        return
    for row in rows:
        click.echo(harmless(_line(row)))
    if not rows:
        click.echo("There is no backup yet.")
    click.echo(
        f"The next daily one is due {due:%Y-%m-%d %H:%M} UTC." if due else "No daily backup is made: BACKUPS."
    )


def _line(row: dict[str, Any]) -> str:
    size = f"{row['bytes'] / 1e6:,.1f} MB" if row["bytes"] else "-"
    about = row["error"] or row["verify_error"] or row["stage"] or ", ".join(row["kept_as"])
    head = f"{row['backup_id']}  {row['started_at']:%Y-%m-%d %H:%M}  {row['kind']:14}  {row['status']:8}"
    return f"{head}  {size:>12}  {about}".rstrip()


@backup.command()
@click.argument("which", required=False)
@click.pass_context
def verify(context: click.Context, *, which: str | None) -> None:
    """Restore a backup (an id, a file, or the last) into a Postgres of its own, and compare.

    Needs as much disk as the database for a while. Exit codes: 0 it is whole, 1 it is not.
    """
    from app.errors import CallboardError
    from app.ops.backups import fetching, proving

    with planned() as plan:
        found = fetching.named(which or "latest", plan.place)
        known = (found.manifest or {}).get("backup_id")
        try:
            if (
                known
                and not Path(which or "").is_file()
                and (proved := proving.prove_row(plan, known, actor="cli")) is not None
            ):
                wrong = None if proved else _why_not(known)
            else:
                proving.prove(plan, found)
                wrong = None
        except CallboardError as error:
            wrong = error.message
    click.echo(f"{found.file}: {'it is whole: restored, counted and compared' if wrong is None else wrong}")
    context.exit(NOT_PROVED if wrong else 0)


def _why_not(backup_id: str) -> str:
    from app.db import db
    from app.ops.backups import queries

    with db.quick():
        return str(queries.get(backup_id)["verify_error"])


@backup.command()
@click.option("--dry-run", is_flag=True, help="Only say which.")
def prune(*, dry_run: bool) -> None:
    """Remove backups that are too old by BACKUP_KEEP; never the last good one."""
    from app.ops.backups import upkeep

    with planned() as plan:
        gone = upkeep.prune(plan, actor="cli", dry_run=dry_run)
    for backup_id in gone:
        click.echo(backup_id)
    click.echo(f"{len(gone)} {'would go' if dry_run else 'removed'}")
