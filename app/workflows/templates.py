"""Definitions under a name: saved, numbered, shared, restored. Versions never change and are never removed.

Who may see a template: its owner and admins, everybody if it is shared. Templates without an owner are shipped with
the product and shared. Who may change it: its owner and admins; the doors say who asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal

from app.agents import registry
from app.agents.versions import difference
from app.db import Row, as_json, db, literal
from app.errors import Conflict, Invalid, NotFound
from app.workflows import check, source
from app.workflows.definition import Definition, read
from app.workflows.definition import as_json as snapshot

Visibility = Literal["private", "shared"]
JSON = dict[str, Any]

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
LONGEST_TITLE = 255
LONGEST_NOTE = 500

_COLUMNS = """t.name, t.title, t.description, t.owner, t.visibility, t.current_version, t.archived_at, t.created_at,
    t.updated_at"""
_VISIBLE = "(%(all)s OR t.visibility = 'shared' OR t.owner IS NULL OR t.owner = %(viewer)s)"


def save(
    name: str,
    *,
    by: str | None,
    text: str | None = None,
    raw: Any = None,
    title: str | None = None,
    visibility: Visibility | None = None,
    note: str | None = None,
    over_others: bool = True,
    checked: bool = True,
) -> Row:
    """Keep a definition, from `text` (YAML or JSON) or `raw` JSON, under `name`; answers the template as `get` does.

    A new version each time the text differs from the current one; title and visibility belong to all versions, None
    leaves them (private at first). Saving an archived template brings it back. `by` None: shipped with the product.
    Raises Invalid with pointers for what would not run, unless not `checked`, and Conflict for a name that
    somebody else has, unless `over_others`.
    """
    _demand_name(name)
    written = text if text is not None else json.dumps(raw, indent=2, ensure_ascii=False)
    made = read(source.parse(text)[0] if text is not None else raw)
    if checked:
        demand_sound(made, by, name)
    _demand_short("/title", title, LONGEST_TITLE)
    _demand_short("/note", note, LONGEST_NOTE)
    known = _born(name, made, by=by, title=title, visibility=visibility)
    if known["owner"] != by and not over_others:
        raise Conflict(f"there is a template {name!r} already, and it is somebody else's")
    if _differs(name, known["current_version"], written):
        _add(name, made, written, by=by, note=note)
    _describe(name, made, title=title, visibility=visibility)
    return get(name)


def get(name: str, version: int | None = None, *, archived: bool = False) -> Row:
    """One template with one of its versions, the current one unless told.

    {name, title, description, owner, visibility, current_version, archived_at, created_at, updated_at,
    version, definition, source, note, created_by, saved_at}. NotFound also for archived ones, unless `archived`.
    """
    found = db.row(
        f"""SELECT {_COLUMNS}, v.version, v.definition, v.source, v.note, v.created_by, v.created_at AS saved_at
            FROM workflow_templates t LEFT JOIN workflow_template_versions v
              ON v.name = t.name AND v.version = coalesce(%(version)s, t.current_version)
            WHERE t.name = %(name)s AND (t.archived_at IS NULL OR %(archived)s)""",
        name=name,
        version=version,
        archived=archived,
    )
    if found is None:
        raise NotFound(f"there is no template {name!r}")
    if found["version"] is None:
        raise NotFound(f"the template {name!r} has no version {version}")
    return found


def owner_of(name: str) -> Row:
    """What decides who may see it and change it, archived or not: {name, owner, visibility, archived_at}."""
    found = db.row(
        "SELECT name, owner, visibility, archived_at FROM workflow_templates WHERE name = %(name)s", name=name
    )
    if found is None:
        raise NotFound(f"there is no template {name!r}")
    return found


def is_visible(template: Row, viewer_id: str, is_admin: bool) -> bool:
    """Whether somebody may see a template (by `owner_of`, `get` or `page`) and run it."""
    return (
        is_admin
        or template["visibility"] == "shared"
        or template["owner"] is None
        or template["owner"] == viewer_id
    )


def page(
    viewer_id: str, is_admin: bool, *, q: str | None = None, limit: int = 100, offset: int = 0
) -> list[Row]:
    """The templates that somebody may see, by name, with the schema of their inputs; `q` is found in name, title or description."""
    return db.rows(
        f"""SELECT {_COLUMNS}, v.definition -> 'inputs' AS inputs
            FROM workflow_templates t JOIN workflow_template_versions v
              ON v.name = t.name AND v.version = t.current_version
            WHERE {_listed(q)} ORDER BY t.name LIMIT %(limit)s OFFSET %(offset)s""",
        viewer=viewer_id,
        all=is_admin,
        like=_like(q),
        limit=limit,
        offset=offset,
    )


def count(viewer_id: str, is_admin: bool, *, q: str | None = None) -> int:
    """How many there are on all pages."""
    return int(
        db.value(
            f"SELECT count(*) FROM workflow_templates t WHERE {_listed(q)}",
            viewer=viewer_id,
            all=is_admin,
            like=_like(q),
        )
    )


def versions(name: str, limit: int = 100) -> list[Row]:
    """The versions of a template, newest first: {version, note, created_by, created_at, current, added, removed}.

    `added` and `removed` are lines since the version before; None for the first.
    """
    rows = db.rows(
        """SELECT v.version, v.note, v.created_by, v.created_at, v.source, v.version = t.current_version AS current
           FROM workflow_template_versions v JOIN workflow_templates t USING (name)
           WHERE v.name = %(name)s ORDER BY v.version DESC LIMIT %(limit)s""",
        name=name,
        limit=limit + 1,
    )
    if not rows:
        raise NotFound(f"there is no template {name!r}")
    for row, before in zip(rows, [*rows[1:], None], strict=True):
        change = difference(before["source"], row["source"]) if before else None
        row["added"], row["removed"] = (change.added, change.removed) if change else (None, None)
    return [{key: value for key, value in row.items() if key != "source"} for row in rows[:limit]]


def restore(name: str, version: int, *, by: str) -> Row:
    """Make an old version current again, as a new version with the same text; brings an archived template back."""
    known = _locked(name)
    if known is None:
        raise NotFound(f"there is no template {name!r}")
    old = get(name, version, archived=True)
    made = read(old["definition"])
    if _differs(name, known["current_version"], old["source"]):
        _add(name, made, old["source"], by=by, note=f"version {version} again")
    _describe(name, made, title=None, visibility=None)
    return get(name)


def archive(name: str) -> None:
    """Take a template out of sight: it is listed and run no more; its runs, and its versions, stay."""
    gone = db.run(
        """UPDATE workflow_templates SET archived_at = now(), updated_at = now()
           WHERE name = %(name)s AND archived_at IS NULL""",
        name=name,
    )
    if not gone:
        raise NotFound(f"there is no template {name!r}")


def definition(name: str, version: int | None = None) -> Definition:
    """What a template does, in its current version unless told; NotFound if archived."""
    return read(get(name, version)["definition"])


def ship(name: str, text: str) -> bool:
    """Install or renew a template that comes with the product; answers whether anything changed.

    What somebody saved over it stays, and so does what somebody archived; a template whose current text is one that
    was shipped follows the product.
    """
    known = _locked(name)
    if known is None:
        save(name, text=text, by=None, visibility="shared", checked=False)
        return True
    if known["archived_at"] or known["owner"] or not _is_as_shipped(name, known["current_version"]):
        return False
    if not _differs(name, known["current_version"], text):
        return False
    made = read(source.parse(text)[0])
    save(name, text=text, by=None, title=made.name, checked=False)
    return True


class Registered:
    """What check.check must know: the agents of the registry, and the templates that a submitter may see."""

    def __init__(self, submitted_by: str | None) -> None:
        """None: all templates."""
        self._submitted_by = submitted_by

    def schema(self, agent_id: str) -> JSON | None:
        """What an agent takes; None if there is no such agent."""
        try:
            return registry.get(agent_id).schema
        except NotFound:
            return None

    def agent_ids(self) -> Iterable[str]:
        """All of them."""
        return [agent.agent_id for agent in registry.all_agents()]

    def template(self, name: str, version: int | None) -> Definition | None:
        """A template's definition; None if there is none, or none for this submitter."""
        found = self.version(name, version)
        return read(found["definition"]) if found else None

    def version(self, name: str, version: int | None) -> Row | None:
        """The same as `get` has it, with the number of the version."""
        try:
            found = get(name, version)
        except NotFound:
            return None
        return found if self._may_see(found) else None

    def _may_see(self, template: Row) -> bool:
        submitter = self._submitted_by
        return submitter is None or is_visible(template, submitter, is_admin=False) or _is_admin(submitter)


def knowledge(submitted_by: str | None = None) -> Registered:
    """What definitions are checked against; with `submitted_by` without the private templates of others."""
    return Registered(submitted_by)


def demand_sound(made: Definition, submitted_by: str | None, name: str | None = None) -> None:
    """Raise Invalid, with a pointer for each, if something in a definition would not run; `name` is its own."""
    wrong = check.check(made, knowledge(submitted_by), name)
    if wrong:
        fields = [(each.pointer, " ".join(filter(None, (each.message, each.hint)))) for each in wrong]
        raise Invalid(f"{fields[0][0]}: {fields[0][1]}", fields)


def _is_admin(user_id: str) -> bool:
    role = db.value("SELECT role FROM users WHERE user_id::text = %(id)s", id=user_id)
    return bool(role == "admin")


def _demand_name(name: str) -> None:
    if not NAME.fullmatch(name):
        said = "must be 1 to 100 small letters, digits and hyphens, and begin with a letter or digit"
        raise Invalid(f"the name of a template {said}", [("/name", said)])


def _demand_short(pointer: str, text: str | None, longest: int) -> None:
    if text is not None and not 0 < len(text) <= longest:
        raise Invalid(
            f"{pointer} must have 1 to {longest} characters", [(pointer, f"1 to {longest} characters")]
        )


def _locked(name: str) -> Row | None:
    return db.row("SELECT * FROM workflow_templates WHERE name = %(name)s FOR UPDATE", name=name)


def _born(
    name: str, made: Definition, *, by: str | None, title: str | None, visibility: Visibility | None
) -> Row:
    """The locked row of a template, made if there is none; one that was just made has no version yet (0)."""
    db.run(
        """INSERT INTO workflow_templates (name, title, description, owner, visibility, current_version)
           VALUES (%(name)s, %(title)s, %(description)s, %(owner)s, %(visibility)s, 0) ON CONFLICT DO NOTHING""",
        name=name,
        title=title or made.name,
        description=made.description,
        owner=by,
        visibility=visibility or "private",
    )
    known = _locked(name)
    assert known is not None  # templates are never deleted, only archived
    return known


def _differs(name: str, version: int, written: str) -> bool:
    kept = db.value(
        "SELECT source FROM workflow_template_versions WHERE name = %(name)s AND version = %(version)s",
        name=name,
        version=version,
    )
    return bool(kept != written)


def _add(name: str, made: Definition, written: str, *, by: str | None, note: str | None) -> None:
    """The next version, which is current from now on; the template's row is locked."""
    db.run(
        """WITH next AS (
               INSERT INTO workflow_template_versions (name, version, definition, source, note, created_by)
               SELECT %(name)s, coalesce(max(version), 0) + 1, %(definition)s, %(source)s, %(note)s, %(by)s
               FROM workflow_template_versions WHERE name = %(name)s RETURNING version)
           UPDATE workflow_templates SET current_version = next.version FROM next WHERE name = %(name)s""",
        name=name,
        definition=as_json(snapshot(made)),
        source=written,
        note=note,
        by=by,
    )


def _describe(name: str, made: Definition, *, title: str | None, visibility: Visibility | None) -> None:
    db.run(
        """UPDATE workflow_templates SET title = coalesce(%(title)s, title), description = %(description)s,
                  visibility = coalesce(%(visibility)s, visibility), archived_at = NULL, updated_at = now()
           WHERE name = %(name)s""",
        name=name,
        title=title,
        description=made.description,
        visibility=visibility,
    )


def _is_as_shipped(name: str, version: int) -> bool:
    return bool(
        db.value(
            """SELECT EXISTS (SELECT 1 FROM workflow_template_versions now JOIN workflow_template_versions shipped
                                USING (name, source)
                              WHERE name = %(name)s AND now.version = %(version)s AND shipped.created_by IS NULL)""",
            name=name,
            version=version,
        )
    )


def _listed(q: str | None) -> str:
    found = " AND (t.name ILIKE %(like)s OR t.title ILIKE %(like)s OR t.description ILIKE %(like)s)"
    return f"t.archived_at IS NULL AND {_VISIBLE}{found if q else ''}"


def _like(q: str | None) -> str:
    return f"%{literal(q or '')}%"
