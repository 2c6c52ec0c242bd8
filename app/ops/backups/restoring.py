"""The way back: a backup into a database, after everything that speaks against it was looked at.

    find -> fetch, decrypt, hash -> schema known? -> target empty and nobody in it? -> safety backup
         -> empty the target -> pg_restore in one transaction -> compare -> migrate -> set right (aftermath.py)

Up to the safety backup nothing is changed. pg_restore keeps all or nothing, so a restore that fails leaves an empty
database and the safety backup.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import uuid_utils.compat
from psycopg2 import sql

from app.errors import Conflict, Invalid, Unavailable
from app.ops.backups import dumping, fetching, files, programs, proving, sums
from app.ops.backups.dumping import Pulse
from app.ops.backups.fetching import Found
from app.ops.backups.plan import Plan

LIVING_SECONDS = 60
_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r','p') AND NOT EXISTS (
        SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"""
_OTHERS = """
    SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name) FROM (
        SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS name, p.oid FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        UNION ALL SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END,
                         c.oid::regclass::text, c.oid
                  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('S','v','m')
        UNION ALL SELECT 'TYPE', t.oid::regtype::text, t.oid FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                  WHERE t.typnamespace = 'public'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c') AS things
    WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = things.oid AND d.deptype = 'e')"""


@dataclass(kw_only=True)
class Restored:
    """What was done, for whoever tells of it."""

    file: str
    about: dict[str, Any] | None
    revision: str
    rows: int
    compared: bool
    safety: str | None = None
    """The name of what was there before."""
    artifacts: int = 0
    said: list[str] = field(default_factory=list)


def restore(
    plan: Plan,
    found: Found,
    *,
    known: Collection[str],
    newest: str,
    over_data: bool = False,
    over_users: bool = False,
    safety: bool = True,
    say: Callable[[str], None] = lambda _line: None,
) -> Restored:
    """Put a backup into the database of `plan`; raises Conflict, Invalid, Unavailable before anything is changed.

    `known` are the revisions that this version of Callboard can migrate from, `newest` is its own. `over_data` takes
    a database that has data, `over_users` one that somebody is connected to.
    """
    with proving.workshop(plan.scratch) as folder:
        say(f"reading {found.file}")
        dump, about = fetching.fetch(found, folder, plan.keys)
        artifacts = fetching.fetch_artifacts(found, folder, plan.keys)
        revision = fetching.revision_of(dump, programs.newest())
        if revision not in known:
            raise Invalid(
                f"this backup was made by a newer Callboard (schema {revision}, this one knows up to {newest}): "
                "install that version, or a later one, and restore with it"
            )
        tool = _look_at_target(plan, about, over_data=over_data, over_users=over_users)
        done = Restored(file=found.file, about=about, revision=revision, rows=0, compared=about is not None)
        if safety and _has_tables(plan):
            say("backing up what is there now")
            done.safety = _saved(plan)
        say("restoring")
        empty(plan.database_url)
        proving.restore_into(plan.database_url, dump, tool)
        done.rows = _compared(plan, about)
        store = files.folder_of(plan.artifact_store) or _new_store(plan)
        if artifacts and store:
            with artifacts.open("rb") as source:
                done.artifacts = files.unpack(source, store)
    return done


def _new_store(plan: Plan) -> Path | None:
    """The artifacts' folder of a new home."""
    if plan.artifact_store.startswith("file://"):
        folder = Path(plan.artifact_store.removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return None


def _look_at_target(
    plan: Plan, about: dict[str, Any] | None, *, over_data: bool, over_users: bool
) -> programs.Programs:
    with closing(_connect(plan.database_url)) as connection, connection.cursor() as cursor:
        major = connection.server_version // 10_000
        if not over_users:
            _demand_nobody(cursor)
        if not over_data:
            _demand_empty(cursor)
        return programs.fitting(
            max(major, (about or {}).get("pg_dump", major)), tls=bool(connection.info.ssl_in_use)
        )


def _demand_nobody(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute(
        """SELECT application_name, count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
             AND application_name LIKE 'callboard%' GROUP BY 1 ORDER BY 1"""
    )
    if there := cursor.fetchall():
        who = ", ".join(f"{name} ({count})" for name, count in there)
        raise Conflict(
            f"Callboard runs on this database: {who}. Stop web, workers and scheduler first, or say --force"
        )


def _demand_empty(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute(_TABLES)
    tables = {name for (name,) in cursor.fetchall()}
    if tables - {"alembic_version", "jobs", "users"} and not {"jobs", "users"} <= tables:
        raise Conflict("this database belongs to something else than Callboard; say --into another one")
    for name in ("jobs", "users") if {"jobs", "users"} <= tables else ():
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", name)))
        (count,) = cursor.fetchone() or (0,)
        if count > (1 if name == "users" else 0):  # the first admin is there from the start
            raise Conflict(f"this database has {count:,} {name}: say --yes to put the backup in their place")


def _has_tables(plan: Plan) -> bool:
    with closing(_connect(plan.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
        (there,) = cursor.fetchone() or (False,)
        return bool(there)


def _saved(plan: Plan) -> str:
    """A backup of what will be replaced; it has no row, because the rows are replaced as well."""
    with Pulse() as pulse:
        backup_id = str(uuid_utils.compat.uuid7())
        return dumping.write(plan, backup_id, "before_restore", pulse, with_artifacts=False).name


def empty(url: str) -> None:
    """Drop everything of ours, in one transaction: tables, and what is left without them. Extensions stay."""
    with closing(_connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '15s'; SET LOCAL statement_timeout = 0")
        cursor.execute(_TABLES)
        tables = [sql.Identifier("public", name) for (name,) in cursor.fetchall()]
        if tables:
            try:
                cursor.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.SQL(", ").join(tables)))
            except psycopg2.errors.LockNotAvailable as held:
                raise Conflict(
                    "somebody works in this database; stop Callboard first. Nothing was changed"
                ) from held
        cursor.execute(_OTHERS)
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)


def _compared(plan: Plan, about: dict[str, Any] | None) -> int:
    there = proving.counted(plan.database_url)
    if about and (wrong := sums.differences(about["tables"], there)):
        raise Unavailable(f"what was restored is not what was backed up: {'; '.join(wrong[:5])}")
    return sum(each["rows"] for each in there.values())


def _connect(url: str) -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect(programs.dsn(url), connect_timeout=5, application_name="restore")
    except psycopg2.OperationalError as away:
        raise Unavailable(f"Postgres does not answer: {str(away).strip()}") from away
