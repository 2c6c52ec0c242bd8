"""Whether a database was prepared by just this version: one query instead of Alembic, SQLAlchemy and the seed.

The mark of a preparation is a fingerprint of everything it depends on, kept as the comment of Alembic's own
table: it is there before any migration, changes in the transaction of the seed, and goes along into dumps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import psycopg2.extensions

from app.agents import folders, plugins
from app.errors import Invalid

PROGRAM = Path(__file__).resolve().parent.parent
MIGRATIONS = PROGRAM.parent / "migrations"

_LOOK = """
    SELECT obj_description('alembic_version'::regclass, 'pg_class') AS mark,
           (SELECT string_agg(version_num, ' ' ORDER BY version_num) FROM alembic_version) AS revision,
           EXISTS (SELECT 1 FROM users WHERE email = lower(%(admin)s)) AS has_admin"""

# psycopg2 fills in values itself, so that a statement that takes no parameters can have some.
NOTE = """COMMENT ON TABLE alembic_version IS %(mark)s"""
REVISION = "SELECT string_agg(version_num, ' ' ORDER BY version_num) FROM alembic_version"


def fingerprint(wanted: Iterable[Path], *wishes: str) -> str:
    """What a preparation depends on: our code, the migrations, the definitions in `wanted` and of plugins, the `wishes`."""
    found = hashlib.sha256()
    for file in (*_files(PROGRAM, "*"), *_files(MIGRATIONS, "*"), *_definitions(wanted)):
        content = _content(file)
        found.update(f"{file}\0{len(content)}\0".encode())
        found.update(content)
    for wish in wishes:
        found.update(f"{len(wish)}\0{wish}".encode())
    return found.hexdigest()[:32]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as wrong:  # the seed tells of it
        return repr(wrong).encode()


def mark(revision: str | None, digest: str) -> str:
    """How it is written down that the schema at `revision` was prepared by what has that fingerprint."""
    return f"Callboard: prepared at {revision} by {digest}"


def is_prepared(connection: psycopg2.extensions.connection, digest: str, admin_email: str) -> bool:
    """True when there is nothing to do: same fingerprint, same schema, and the first admin is there."""
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute(_LOOK, {"admin": admin_email})
        except psycopg2.errors.UndefinedTable:  # a new database
            return False
        kept, revision, has_admin = cursor.fetchone() or (None, None, False)
    return bool(has_admin) and kept == mark(revision, digest)


def made_by_newer(connection: psycopg2.extensions.connection) -> str | None:
    """The revision of a schema that none of our migrations makes: a newer release was here, and we came back."""
    return min(stands(connection) - known_revisions(), default=None)


def stands(connection: psycopg2.extensions.connection) -> set[str]:
    """The revisions at which the schema is; empty if there is none."""
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute("SELECT version_num FROM alembic_version")
        except psycopg2.errors.UndefinedTable:
            return set()
        return {str(row[0]) for row in cursor.fetchall()}


def known_revisions() -> set[str]:
    """The revisions that our migrations make: what their files' names begin with."""
    return {file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("*_*.py")}


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for path in sorted(folder.rglob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _definitions(wanted: Iterable[Path]) -> Iterator[Path]:
    for plugin in plugins.found():
        yield from plugin.paths()
    for folder in wanted:
        with suppress(Invalid):  # the seed says what is wrong with it
            yield from (path for path in folders.files_of(folder) if path.is_file())
