"""Every definition an agent had: listed, shown, and compared line by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import yaml

from app.agents import front_matter
from app.agents.definition import OURS
from app.db import Row, db
from app.errors import NotFound

MOST_LINES = 5000
HIDDEN = "…"
# Under these keys of a runner, and of the servers it names, stand values that may be secret, though they should not.
PRIVATE = ("env", "headers", "secrets")
# Of ours, these describe the agent to everybody; what is called env in a schema is none of that kind.
PUBLIC = ("parameters", "output", "example")
_PUBLIC_PATHS = tuple((name,) for name in PUBLIC)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed from one text to another."""

    added: int
    removed: int
    diff: str
    """Unified diff; empty when they are the same."""


def difference(before: str, after: str, names: tuple[str, str] = ("before", "after")) -> Difference:
    """Compare two texts by lines, the first MOST_LINES of each."""
    old, new = (text.splitlines()[:MOST_LINES] for text in (before, after))
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    changed = lines[2:]
    return Difference(
        added=sum(line.startswith("+") for line in changed),
        removed=sum(line.startswith("-") for line in changed),
        diff="\n".join(lines),
    )


def shown(text: str, overlay: dict[str, Any] | None) -> str:
    """A definition as people compare it: the file, and below it the keys of a sidecar."""
    if not overlay:
        return text
    over = yaml.safe_dump(overlay, sort_keys=True, allow_unicode=True)
    return f"{text.rstrip()}\n\n# callboard.yaml\n{over}"


def whole(text: str, overlay: dict[str, Any] | None) -> str:
    """A definition as one file that means the same by itself: the keys of a sidecar written into it."""
    if not overlay:
        return text
    page = front_matter.read(text)
    own = page.keys.get(OURS)
    keys = page.keys | {OURS: (own if isinstance(own, dict) else {}) | overlay}
    front = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{front}---{page.body}"


def redacted(text: str) -> str:
    """The file without the values under `env`, `headers` and `secrets`, for those who may not configure agents."""
    try:
        page = front_matter.read(text)
    except front_matter.Unreadable:
        return HIDDEN
    node = yaml.compose(page.front, Loader=yaml.SafeLoader)
    spans = sorted(_private(node, ()), reverse=True)
    front = page.front
    for begin, end in spans:
        front = front[:begin] + HIDDEN + front[end:]
    head = text[: text.index("---") + 3]
    return f"{head}{front}---{page.body}"


def _private(node: yaml.Node | None, path: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where in the text the private values stand: of `x-callboard: {runner: {…: {env: {NAME: value}}}}`."""
    if not isinstance(node, yaml.MappingNode) or path[:1] not in ((), (OURS,)) or path[1:2] in _PUBLIC_PATHS:
        return []
    if len(path) > 2 and path[-1] in PRIVATE:
        return [(value.start_mark.index, value.end_mark.index) for _, value in node.value]
    return [span for key, value in node.value for span in _private(value, (*path, str(key.value)))]


def redacted_overlay(overlay: dict[str, Any] | None) -> dict[str, Any] | None:
    """The keys of a sidecar without the same values."""
    if not overlay:
        return overlay
    return {name: value if name in PUBLIC else _without_values(value) for name, value in overlay.items()}


def _without_values(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: dict.fromkeys(inner, HIDDEN)
        if key in PRIVATE and isinstance(inner, dict)
        else _without_values(inner)
        for key, inner in value.items()
    }


_SELECT = """
    SELECT v.agent_id, v.version, v.number, v.definition, v.overlay, v.origin, v.created_at,
           v.version = a.version AS current
    FROM agent_versions v JOIN agents a ON a.agent_id = v.agent_id"""


def listing(agent_id: str, limit: int = 100) -> list[Row]:
    """The versions of an agent, newest first, each with the lines it added and removed since the one before."""
    rows = db.rows(
        f"{_SELECT} WHERE v.agent_id = %(id)s ORDER BY v.number DESC LIMIT %(limit)s",
        id=agent_id,
        limit=limit + 1,
    )
    for row, before in zip(rows, [*rows[1:], None], strict=True):
        change = _compared(before, row) if before else None
        row["added"], row["removed"] = (change.added, change.removed) if change else (None, None)
    return [
        {name: value for name, value in row.items() if name not in {"definition", "overlay"}}
        for row in rows[:limit]
    ]


def numbers() -> dict[str, int]:
    """Which version of each agent is in use, by its number."""
    rows = db.rows(
        "SELECT v.agent_id, v.number FROM agent_versions v JOIN agents a ON a.agent_id = v.agent_id AND a.version = v.version"
    )
    return {row["agent_id"]: row["number"] for row in rows}


def get(agent_id: str, version: str) -> Row:
    """One version, by its hash or its number (`7` or `v7`), with the definition; NotFound if there is none."""
    number = version.removeprefix("v")
    by_number = number.isdecimal() and len(number) < 10
    found = db.row(
        f"""{_SELECT} WHERE v.agent_id = %(id)s
            AND (v.version = %(version)s OR v.number = %(number)s) ORDER BY v.version = %(version)s DESC LIMIT 1""",
        id=agent_id,
        version=version,
        number=int(number) if by_number else None,
    )
    if found is None:
        raise NotFound(f"agent {agent_id} has no version {version}")
    return found


def hidden(row: Row) -> Row:
    """The same version for those who may not configure agents."""
    return row | {"definition": redacted(row["definition"]), "overlay": redacted_overlay(row["overlay"])}


def compared(before: Row, after: Row) -> Difference:
    """What changed between two versions as `get` or `hidden` answers them."""
    return _compared(before, after)


def _compared(before: Row, after: Row) -> Difference:
    return difference(
        shown(before["definition"], before["overlay"]),
        shown(after["definition"], after["overlay"]),
        (f"v{before['number']}", f"v{after['number']}"),
    )


def since(agent_id: str, version: str | None) -> Row | None:
    """What became of the version a job ran with: {number, version, current_number, current_version, added, removed}.

    `added` and `removed` are None where it still is the current one; None if the version is not known.
    """
    rows = db.rows(
        f"""{_SELECT} WHERE v.agent_id = %(id)s AND (v.version = %(version)s OR v.version = a.version)""",
        id=agent_id,
        version=version,
    )
    then = next((row for row in rows if row["version"] == version), None)
    now = next((row for row in rows if row["current"]), None)
    if then is None or now is None:
        return None
    change = None if then["current"] else _compared(then, now)
    return {
        "number": then["number"],
        "version": then["version"],
        "current_number": now["number"],
        "current_version": now["version"],
        "added": change.added if change else None,
        "removed": change.removed if change else None,
    }
