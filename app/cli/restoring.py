"""`callboard restore`: a backup into a database, with everything that has to be refused before and set right after.

Where DATABASE_URL is not set, Callboard must not run: the embedded Postgres is started for the restore alone, and made
first on a new machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from app.cli.configured import settings
from app.cli.database import connect
from app.cli.speaking import as_json, in_json
from app.errors import CallboardError, Unavailable
from app.ops import prepared
from app.settings import Settings

if TYPE_CHECKING:
    from app.ops.backups.plan import Plan
    from app.ops.backups.restoring import Restored


@click.command()
@click.argument("which", metavar="FILE|ID|latest")
@click.option("--into", "url", metavar="URL", help="Another database than that of DATABASE_URL.")
@click.option("--yes", is_flag=True, help="Also into a database that has data; it is backed up first.")
@click.option("--force", is_flag=True, help="As --yes, also while somebody is connected.")
@click.option("--paused", is_flag=True, help="Leave all queues paused, to look around before anything runs.")
@click.option(
    "--no-safety", is_flag=True, help="Do not back up what is there, say because it cannot be read."
)
@as_json
def restore(
    *, which: str, url: str | None, yes: bool, force: bool, paused: bool, no_safety: bool, wants_json: bool
) -> None:
    """Put a backup into the place of what is there now. Stop Callboard before.

    Refuses an altered or foreign file, one of a newer version, and a database that has data or is in use. An older
    schema is migrated. Exit codes: 0 restored, compared and ready to start, 1 it was refused or failed.
    """
    began = time.monotonic()
    chosen = settings()
    with _target(chosen, url) as place:
        plan = _plan(place)
        done, said = _restored(
            place,
            plan,
            which,
            data=yes or force,
            users=force,
            paused=paused,
            safety=not no_safety,
            quiet=wants_json,
        )
    seconds = time.monotonic() - began
    if wants_json:
        told = {"file": done.file, "revision": done.revision, "rows": done.rows, "compared": done.compared}
        click.echo(
            in_json(
                {**told, "safety": done.safety, "artifacts": done.artifacts, "said": said, "seconds": seconds}
            )
        )
        return
    for line in _lines(done, said):
        click.echo(line)
    click.echo(f"Done in {seconds:.1f} s. Start Callboard now.")


def _lines(done: Restored, said: list[str]) -> Iterator[str]:
    compared = (
        "the same as when it was made" if done.compared else "not compared: the JSON beside it is missing"
    )
    yield f"{done.file}: {done.rows:,} rows restored, {compared}"
    if done.artifacts:
        yield f"{done.artifacts:,} artifacts put back"
    if done.safety:
        yield f"What was there before is in {done.safety}"
    yield from said


@contextmanager
def _target(chosen: Settings, url: str | None) -> Iterator[Settings]:
    """The settings with the database that is restored into; an embedded one runs as long as the block."""
    if url or chosen.database_url:
        named = chosen.model_copy(update={"database_url": url or chosen.database_url})
        connect(named.database_url).close()
        yield named
        return
    from app.ops.backups.proving import running
    from app.ops.embedded import Postgres
    from app.ops.ground import lay_out
    from app.ops.instance import only_one
    from app.ops.leftovers import stop_leftovers

    with only_one(chosen.home):
        stop_leftovers(chosen.home)
        postgres = Postgres(lay_out(chosen.home))
        with running(postgres, chosen.home):
            yield chosen.model_copy(update={"database_url": postgres.url})


def _plan(chosen: Settings) -> Plan:
    from app.observe import logs
    from app.ops.backups.plan import plan_of

    logs.configure("ERROR", "console")
    return plan_of(chosen)


def _restored(
    chosen: Settings,
    plan: Plan,
    which: str,
    *,
    data: bool,
    users: bool,
    paused: bool,
    safety: bool,
    quiet: bool,
) -> tuple[Restored, list[str]]:
    from app.ops.backups import fetching, restoring

    known = prepared.known_revisions()
    done = restoring.restore(
        plan,
        fetching.named(which, plan.place),
        known=known,
        newest=max(known),
        over_data=data,
        over_users=users,
        safety=safety,
        say=lambda line: None if quiet else click.echo(line, err=True),
    )
    try:
        return done, _settled(chosen, plan, done, paused=paused)
    except CallboardError:
        raise
    except Exception as error:
        raise Unavailable(
            f"the data is back, but what must be set right after it is not ({type(error).__name__}: {error}): "
            "do not start Callboard, and say the same command again with --yes"
        ) from error


def _settled(chosen: Settings, plan: Plan, done: Restored, *, paused: bool) -> list[str]:
    from app.cli.database import migrate
    from app.db import db, make_engine
    from app.ops.backups import aftermath

    migrate(chosen)
    engine = make_engine(
        plan.database_url, pool_size=1, name="callboard-restore", statement_timeout_ms=3_600_000
    )
    db.open(engine)
    try:
        with db.transaction():
            return aftermath.settle(
                file=done.file, about=done.about, by="cli", place=plan.place, paused=paused
            )
    finally:
        engine.dispose()


def back_up_first(chosen: Settings) -> Any:
    """Before a migration of the embedded Postgres: a backup, if there is something to lose; answers its manifest.

    Raises Unavailable if that cannot be made: better no upgrade than one without a way back.
    """
    import uuid_utils.compat

    from app.ops.backups import dumping
    from app.ops.backups.plan import plan_of

    plan = plan_of(chosen)
    if not (plan.embedded and plan.before_upgrade and chosen.backups != "off"):
        return None
    with closing(connect(plan.database_url)) as connection:
        before = prepared.stands(connection)
    if before <= {max(prepared.known_revisions())}:  # as it should be, or nothing there
        return None
    backup_id = str(uuid_utils.compat.uuid7())
    try:
        with dumping.Pulse() as pulse:
            written = dumping.write(plan, backup_id, "before_upgrade", pulse, with_artifacts=False)
    except Unavailable as error:
        raise Unavailable(
            f"no backup could be made before the schema is changed, so it was not changed: {error.message}\n"
            "BACKUP_BEFORE_UPGRADE=false goes on without one"
        ) from error
    click.echo(f"Backed up before the upgrade: {written.name} in {plan.place.shown}")
    return written.manifest


def note_first(chosen: Settings, manifest: Any) -> None:
    """Write down the backup that was made before the schema knew of backups; inside a transaction of the caller."""
    from app.ops.backups import records
    from app.ops.backups.plan import plan_of

    if manifest:
        records.adopt(plan_of(chosen).place, manifest)
