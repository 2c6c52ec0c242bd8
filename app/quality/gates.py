"""Gates under a name: saved, numbered, archived. Versions never change and are never removed; the newest holds.

An archived gate is not listed any more; agents that name it keep it, because a result that nobody looks at would be
worse than one that an old gate looks at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from app.db import Row, as_json, db, literal
from app.errors import Invalid, NotFound
from app.quality.definition import NAME, Gate

LIBRARY = Path(__file__).resolve().parent / "library"
LONGEST_NOTE = 500
MOST_VERSIONS = 100

_COLUMNS = "name, version, title, definition, note, created_by, created_at, archived_at"


def named(name: str, version: int | None = None, *, archived: bool = False) -> Row:
    """One version of a gate, the newest unless told.

    {name, version, title, definition, note, created_by, created_at, archived_at, current_version}. NotFound also for
    archived ones, unless `archived`.
    """
    found = db.row(
        f"""SELECT {_COLUMNS}, newest AS current_version FROM quality_gates
            JOIN (SELECT max(version) AS newest FROM quality_gates WHERE name = %(name)s) last ON true
            WHERE name = %(name)s AND version = coalesce(%(version)s, newest)
              AND (archived_at IS NULL OR %(archived)s)""",
        name=name,
        version=version,
        archived=archived,
    )
    if found is None:
        raise NotFound(_no_such(name, version))
    return found


def gate(wanted: str | dict[str, Any], version: int | None = None) -> Gate:
    """The gate that an agent means: one with a name, archived or not, or one written into its definition."""
    if isinstance(wanted, dict):
        return Gate.read(wanted)
    found = named(wanted, version, archived=True)
    return Gate.read(found["definition"], name=found["name"], version=found["version"])


def save(name: str, raw: Any, *, by: str | None, title: str | None = None, note: str | None = None) -> Row:
    """Keep a gate under `name`; a new version each time it differs from the newest, which it answers.

    `by` None: it comes with the product. Saving an archived gate brings it back. Raises Invalid with a pointer for
    each mistake.
    """
    _demand_name(name)
    if note is not None and not 0 < len(note) <= LONGEST_NOTE:
        raise Invalid(
            f"/note must have 1 to {LONGEST_NOTE} characters", [("/note", f"1 to {LONGEST_NOTE} characters")]
        )
    made = Gate.read(raw if title is None or not isinstance(raw, dict) else raw | {"title": title})
    definition = made.document()
    newest = _locked(name)
    if newest is None or newest["definition"] != definition:
        db.run(
            """INSERT INTO quality_gates (name, version, title, definition, note, created_by)
               VALUES (%(name)s, %(version)s, %(title)s, %(definition)s, %(note)s, %(by)s)""",
            name=name,
            version=newest["version"] + 1 if newest else 1,
            title=made.title,
            definition=as_json(definition),
            note=note,
            by=by,
        )
    db.run(
        "UPDATE quality_gates SET archived_at = NULL WHERE name = %(name)s AND archived_at IS NOT NULL",
        name=name,
    )
    return named(name)


def page(*, q: str | None = None, limit: int = 100, offset: int = 0) -> list[Row]:
    """The newest version of each gate that is not archived, by name; `q` is found in name or title."""
    return db.rows(
        f"""SELECT *, version AS current_version FROM (
                SELECT DISTINCT ON (name) {_COLUMNS} FROM quality_gates WHERE {_listed(q)}
                ORDER BY name, version DESC) newest
            ORDER BY name LIMIT %(limit)s OFFSET %(offset)s""",
        like=_like(q),
        limit=limit,
        offset=offset,
    )


def count(*, q: str | None = None) -> int:
    """How many there are on all pages."""
    return int(db.value(f"SELECT count(DISTINCT name) FROM quality_gates WHERE {_listed(q)}", like=_like(q)))


def names() -> set[str]:
    """The names of all gates that are not archived."""
    rows = db.rows("SELECT DISTINCT name FROM quality_gates WHERE archived_at IS NULL")
    return {row["name"] for row in rows}


def versions(name: str) -> list[Row]:
    """The newest hundred versions of a gate, newest first, archived or not: {version, title, note, created_by, created_at, current}."""
    rows = db.rows(
        """SELECT version, title, note, created_by, created_at, version = max(version) OVER () AS current
           FROM quality_gates WHERE name = %(name)s ORDER BY version DESC LIMIT %(limit)s""",
        name=name,
        limit=MOST_VERSIONS,
    )
    if not rows:
        raise NotFound(_no_such(name, None))
    return rows


def archive(name: str) -> None:
    """Take a gate out of the list; agents that name it keep it, saving it brings it back."""
    gone = db.run(
        "UPDATE quality_gates SET archived_at = now() WHERE name = %(name)s AND archived_at IS NULL",
        name=name,
    )
    if not gone:
        raise NotFound(_no_such(name, None))


def seed_builtin(library: Path = LIBRARY) -> list[str]:
    """Install or renew the gates that come with the product, by file name; answers those that are new or changed.

    What somebody saved over one stays, and so does what somebody archived. Does not commit.
    """
    files = sorted(library.glob("*.yaml"), key=lambda path: path.stem)
    return [path.stem for path in files if _ship(path.stem, read_yaml(path.read_text()))]


def read_yaml(text: str) -> Any:
    """The value of a gate's YAML or JSON text; Invalid with the line if it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise Invalid(f"{where}not YAML: {getattr(wrong, 'problem', None) or wrong}") from wrong


def _ship(name: str, raw: Any) -> bool:
    newest = _locked(name)
    if newest is not None and (newest["archived_at"] or newest["created_by"]):
        return False
    return bool(save(name, raw, by=None)["version"] != (newest["version"] if newest else 0))


def _locked(name: str) -> Row | None:
    """The newest version; nobody else saves under this name until the transaction ends."""
    db.run("SELECT pg_advisory_xact_lock(hashtext('quality_gate'), hashtext(%(name)s))", name=name)
    return db.row(
        f"SELECT {_COLUMNS} FROM quality_gates WHERE name = %(name)s ORDER BY version DESC LIMIT 1", name=name
    )


def _demand_name(name: str) -> None:
    if not NAME.fullmatch(name):
        said = "must be 1 to 100 small letters, digits and hyphens, and begin with a letter or digit"
        raise Invalid(f"the name of a gate {said}", [("/name", said)])


def _no_such(name: str, version: int | None) -> str:
    return f"there is no gate {name!r}" if version is None else f"the gate {name!r} has no version {version}"


def _listed(q: str | None) -> str:
    return "archived_at IS NULL" + (" AND (name ILIKE %(like)s OR title ILIKE %(like)s)" if q else "")


def _like(q: str | None) -> str:
    return f"%{literal(q or '')}%"
