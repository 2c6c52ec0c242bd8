"""From files to agents: what an import would change (`plan`, pure), and doing it (`apply`, in the caller's transaction).

Keys count in this order: defaults of a sidecar < the file's own < the sidecar's for this agent < what an admin set.
A file with a mistake is reported with its line and leaves its agent as it was; the others are installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app import audit
from app.agents import folders, front_matter, registry, versions
from app.agents.definition import OURS, BrokenDefinition, Definition, parse, slug
from app.agents.folders import File
from app.agents.front_matter import Complaint, Unreadable
from app.db import Row, db
from app.errors import Conflict, Invalid

NEW, CHANGED, UNCHANGED, BROKEN = "new", "changed", "unchanged", "broken"


@dataclass(frozen=True, kw_only=True)
class Known:
    """An agent that is there already, with its present definition."""

    version: str
    text: str = ""
    overlay: dict[str, Any] | None = None
    team: str = "SYSTEM"
    source: str = registry.IMPORTED
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file and what becomes of it."""

    path: str
    agent_id: str | None
    action: str
    """new, changed, unchanged or broken."""
    errors: tuple[Complaint, ...] = ()
    warnings: tuple[Complaint, ...] = ()
    added: int = 0
    removed: int = 0
    diff: str = ""
    definition: Definition | None = None

    @property
    def sound(self) -> bool:
        """It can be installed."""
        return self.definition is not None

    def public(self) -> Row:
        """The item as the doors show it."""
        made = self.definition
        return {
            "path": self.path,
            "agent_id": self.agent_id,
            "action": self.action,
            "title": made.title if made else None,
            "team": made.ours.team if made else None,
            "runner": made.ours.runner if made else None,
            "version": made.version if made else None,
            "errors": [_public(complaint) for complaint in self.errors],
            "warnings": [_public(complaint) for complaint in self.warnings],
            "added": self.added,
            "removed": self.removed,
            "diff": self.diff,
        }


def _public(complaint: Complaint) -> Row:
    return {"message": complaint.message, "pointer": complaint.pointer or None, "line": complaint.line}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an import would do, file by file."""

    items: tuple[Item, ...]
    ignored: tuple[str, ...] = ()
    """Paths that define no agent."""

    @property
    def counts(self) -> dict[str, int]:
        """How many files are new, changed, unchanged and broken."""
        found = Counter(item.action for item in self.items)
        return {action: found[action] for action in (NEW, CHANGED, UNCHANGED, BROKEN)}

    @property
    def broken(self) -> list[Item]:
        """The files that are not installed."""
        return [item for item in self.items if not item.sound]

    def public(self) -> Row:
        """The plan as the doors show it."""
        return {
            "items": [item.public() for item in self.items],
            "counts": self.counts,
            "ignored": list(self.ignored),
        }


@dataclass(kw_only=True)
class _Sidecar:
    """The keys of one callboard.yaml."""

    path: str
    defaults: dict[str, Any] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[Complaint] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    def covers(self, path: str) -> bool:
        return not self.folder or path.startswith(f"{self.folder}/")


# -- what would happen


def plan(files: Sequence[File], known: Mapping[str, Known], gates: Container[str] | None = None) -> Plan:
    """What importing `files` would change of `known`; nothing is read or written.

    With the names of the gates there are, an agent that names another gets a warning.
    """
    sidecars = sorted(
        (_sidecar(file) for file in files if file.is_sidecar), key=lambda each: each.path.count("/")
    )
    by_path = set(folders.definitions(file.path for file in files if not (file.chosen or file.is_sidecar)))
    defining = [file for file in files if file.chosen or file.path in by_path]
    ids = {id(file): slug(file.name.rpartition(".")[0])[:100].strip("-") for file in defining}
    places: dict[str, list[str]] = {}
    for file in defining:
        places.setdefault(ids[id(file)], []).append(file.path)
    items = [_item(file, ids[id(file)], places, sidecars, known) for file in defining]
    items = [_with_gate(item, gates) for item in _without_collisions(items, known)]
    items += [item for sidecar in sidecars if (item := _of_sidecar(sidecar))]
    ignored = [file.path for file in files if not (file.chosen or file.path in by_path or file.is_sidecar)]
    return Plan(items=tuple(sorted(items, key=lambda item: item.path)), ignored=tuple(sorted(ignored)))


def _item(
    file: File,
    agent_id: str,
    places: Mapping[str, list[str]],
    sidecars: Sequence[_Sidecar],
    known: Mapping[str, Known],
) -> Item:
    if problem := _problem(file, agent_id, places, sidecars):
        return _broken(file.path, agent_id or None, [Complaint(message=problem)])
    try:
        made = parse(agent_id, file.text, _overlay(file, agent_id, sidecars, known.get(agent_id)))
    except BrokenDefinition as wrong:
        return _broken(file.path, agent_id, wrong.complaints)
    return _judged(file.path, made, known.get(agent_id))


def _problem(
    file: File, agent_id: str, places: Mapping[str, list[str]], sidecars: Sequence[_Sidecar]
) -> str | None:
    if file.problem:
        return file.problem
    if not agent_id:
        return "its name has no Latin letter or digit, so there is no id: rename the file"
    if others := [path for path in places[agent_id] if path != file.path] or places[agent_id][1:]:
        return f"{agent_id} is defined twice: here and in {', '.join(others)}"
    if spoiled := [each.path for each in sidecars if each.errors and each.covers(file.path)]:
        return f"its keys are in {spoiled[0]}, which cannot be read"
    return None


def _broken(path: str, agent_id: str | None, errors: Sequence[Complaint]) -> Item:
    return Item(path=path, agent_id=agent_id, action=BROKEN, errors=tuple(errors))


def _judged(path: str, made: Definition, before: Known | None) -> Item:
    after = versions.shown(made.text, made.overlay)
    item = Item(path=path, agent_id=made.agent_id, action=NEW, warnings=made.warnings, definition=made)
    if before is None:
        return replace(item, added=len(after.splitlines()))
    if before.version == made.version:
        return replace(item, action=UNCHANGED)
    change = versions.difference(
        versions.shown(before.text, before.overlay), after, (f"{made.agent_id} now", f"{made.agent_id} here")
    )
    return replace(
        item,
        action=CHANGED,
        added=change.added,
        removed=change.removed,
        diff=change.diff,
        warnings=(*_replaced(made, before), *made.warnings),
    )


def _with_gate(item: Item, gates: Container[str] | None) -> Item:
    """The same item, with a warning if nobody has saved the gate that it names."""
    named = item.definition.ours.gate if item.definition else None
    if gates is None or not isinstance(named, str) or named in gates:
        return item
    said = f"there is no gate {named}: until one is saved under this name, the agent's jobs fail"
    return replace(item, warnings=(*item.warnings, Complaint(message=said, pointer=f"/{OURS}/gate")))


def _replaced(made: Definition, before: Known) -> list[Complaint]:
    if before.team == made.ours.team and before.source != "catalog":
        return []
    whose = f"{before.team} ({'built in' if before.source == 'catalog' else before.source})"
    return [Complaint(message=f"replaces the agent {made.agent_id} of {whose}")]


def _overlay(
    file: File, agent_id: str, sidecars: Sequence[_Sidecar], before: Known | None
) -> dict[str, Any] | None:
    """What lies over the file's own keys; of the defaults, and of the team its path tells, only what it lacks.

    A path without a folder, say of one file in a browser, tells no team: what was imported stays in the team it has.
    """
    below: dict[str, Any] = {}
    above: dict[str, Any] = {}
    if team := folders.team_of(file.path) or ("/" not in file.path and _kept_team(before)):
        below["team"] = team
    for sidecar in sidecars:
        if sidecar.covers(file.path):
            below |= sidecar.defaults
            above |= sidecar.agents.get(agent_id, {})
            sidecar.used.add(agent_id)
    own = _own_keys(file.text)
    return {name: value for name, value in below.items() if name not in own} | above or None


def _kept_team(before: Known | None) -> str | None:
    imported = before and before.source == registry.IMPORTED and before.overlay
    return imported.get("team") if imported else None


def _own_keys(text: str) -> set[str]:
    try:
        own = front_matter.read(front_matter.cleaned(text)).keys.get(OURS)
    except Unreadable:
        return set()
    return {str(name) for name in own} if isinstance(own, dict) else set()


def _sidecar(file: File) -> _Sidecar:
    made = _Sidecar(path=file.path)
    if file.problem:
        made.errors.append(Complaint(message=file.problem))
        return made
    try:
        value = front_matter.load(front_matter.cleaned(file.text))
    except Unreadable as wrong:
        made.errors.append(Complaint(message=wrong.message, line=wrong.line))
        return made
    keys = value if isinstance(value, dict) else {}
    if value is not None and not isinstance(value, dict):
        made.errors.append(Complaint(message="must be a mapping with `agents` and `defaults`"))
    for name in keys:
        if name not in {"agents", "defaults"}:
            made.errors.append(
                Complaint(message="not a known key; known: agents, defaults", pointer=f"/{name}")
            )
    made.defaults = _mapping(keys, "defaults", made.errors)
    for name in (agents := _mapping(keys, "agents", made.errors)):
        made.agents[slug(name)] = _mapping(agents, name, made.errors, "/agents")
    return made


def _mapping(keys: Mapping[str, Any], name: str, errors: list[Complaint], above: str = "") -> dict[str, Any]:
    value = keys.get(name)
    if isinstance(value, dict):
        return {str(key): inner for key, inner in value.items()}
    if value is not None:
        errors.append(Complaint(message="must be a mapping", pointer=f"{above}/{name}"))
    return {}


def _of_sidecar(sidecar: _Sidecar) -> Item | None:
    """A sidecar that cannot be read, or that speaks of agents nobody has, as an item of its own."""
    if sidecar.errors:
        return _broken(sidecar.path, None, sidecar.errors)
    unused = sorted(set(sidecar.agents) - sidecar.used)
    if not unused:
        return None
    said = Complaint(message=f"speaks of {', '.join(unused)}, which are not below it", pointer="/agents")
    return Item(path=sidecar.path, agent_id=None, action=UNCHANGED, warnings=(said,))


def _without_collisions(items: list[Item], known: Mapping[str, Known]) -> list[Item]:
    """The same items; those whose id or aliases would mean two agents are broken."""
    coming = {item.agent_id: item.definition for item in items if item.definition}
    names = {name: name for name in (*known, *(agent_id for agent_id in coming if agent_id))}
    for agent_id, agent in known.items():
        if agent_id not in coming:
            names |= {alias: agent_id for alias in agent.aliases if alias not in names}
    return [_with_names(item, names) if item.definition else item for item in items]


def _with_names(item: Item, names: dict[str, str]) -> Item:
    assert item.definition is not None
    assert item.agent_id is not None
    taken = [
        (alias, names[alias])
        for alias in item.definition.ours.aliases
        if names.get(alias, item.agent_id) != item.agent_id
    ]
    if taken:
        errors = [
            Complaint(message=f"the alias {alias} means {owner} already", pointer=f"/{OURS}/aliases")
            for alias, owner in taken
        ]
        return _broken(item.path, item.agent_id, errors)
    names |= dict.fromkeys(item.definition.ours.aliases, item.agent_id)
    return item


# -- what there is, and making it so


def known() -> dict[str, Known]:
    """Every agent with its present definition."""
    rows = db.rows(
        """SELECT a.agent_id, a.version, a.team, a.source, a.aliases, v.definition, v.overlay
           FROM agents a LEFT JOIN agent_versions v ON v.agent_id = a.agent_id AND v.version = a.version"""
    )
    return {
        row["agent_id"]: Known(
            version=row["version"],
            text=row["definition"] or "",
            overlay=row["overlay"],
            team=row["team"],
            source=row["source"],
            aliases=tuple(row["aliases"]),
        )
        for row in rows
    }


def apply(made: Plan, *, source: str, by: str) -> Plan:
    """Install what is sound and new or changed; answers the plan as it came out. Does not commit.

    An agent that collides with what somebody else installed meanwhile is broken in the answer.
    """
    return replace(made, items=tuple(_install(item, source, by) for item in made.items))


def _install(item: Item, source: str, by: str) -> Item:
    if item.definition is None or item.action == UNCHANGED:
        return item
    try:
        registry.install(item.definition, source, origin=item.path)
    except Conflict as collision:
        return _broken(item.path, item.agent_id, [Complaint(message=collision.message)])
    audit.record(
        "agent.installed",
        actor=by,
        subject=item.agent_id,
        details={"version": item.definition.version, "source": source, "path": item.path},
    )
    return item


def from_upload(files: Iterable[tuple[str, bytes]]) -> list[File]:
    """The files that somebody sent, zips opened; Invalid for paths that lead elsewhere, or for too many."""
    found: list[File] = []
    for path, data in files:
        found += folders.received(folders.demand_path(path), data)
        if len(found) > folders.MOST_FILES:
            raise Invalid(f"{len(found)} files; at most {folders.MOST_FILES} are read at once")
        if sum(len(file.text) for file in found) > folders.LARGEST_TOTAL:  # several zips, each of them small
            raise Invalid(f"the files have more than {folders.LARGEST_TOTAL:,} characters together")
    return found


def note_problems(found: Iterable[tuple[str, Item]]) -> None:
    """Keep what is wrong with the folders read at start, for people to see; replaces what was kept. (source, item)."""
    db.run("DELETE FROM agent_problems")
    for source, item in found:
        for position, complaint in enumerate(item.errors):
            db.run(
                """INSERT INTO agent_problems (path, position, source, agent_id, line, pointer, message)
                   VALUES (%(path)s, %(position)s, %(source)s, %(id)s, %(line)s, %(pointer)s, %(message)s)
                   ON CONFLICT DO NOTHING""",
                path=item.path,
                position=position,
                source=source,
                id=item.agent_id,
                line=complaint.line,
                pointer=complaint.pointer,
                message=complaint.message,
            )


def problems(agent_id: str | None = None) -> list[Row]:
    """What is wrong with the folders read at start; of one agent's file, if named."""
    return db.rows(
        """SELECT path, source, agent_id, line, pointer, message, at FROM agent_problems
           WHERE %(id)s::text IS NULL OR agent_id = %(id)s ORDER BY path, position""",
        id=agent_id,
    )
