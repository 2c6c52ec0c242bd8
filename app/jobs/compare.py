"""Two jobs side by side: what went in, by which definition, what came out, and what it took."""

from __future__ import annotations

import json
from typing import Any

from app.agents import secrecy, versions
from app.agents.versions import Difference, difference
from app.budgets import ledger
from app.db import Row, db
from app.errors import NotFound
from app.jobs import queries, timeline

MOST_TOOLS = 500
LONGEST_TEXT = 400_000


def compare(first: str, second: str, *, whole_definitions: bool) -> Row:
    """What two jobs have in common and what not; nobody is asked here who may see them.

    Answers {a, b: facts of each; input, definition, output, tools: {same, added, removed, diff}}. Without
    `whole_definitions` values that may be secret are left out of the definitions.
    """
    a, b = (_open(queries.get(job_id, full=True)) for job_id in (first, second))
    tools = [_tools(row["job_id"]) for row in (a, b)]
    return {
        "a": _facts(a, tools[0]),
        "b": _facts(b, tools[1]),
        "input": _texts(_pretty(a["parameters"]), _pretty(b["parameters"])),
        "definition": _texts(*(_definition(row, whole_definitions) for row in (a, b))),
        "output": _texts(_outcome(a), _outcome(b)),
        "tools": _texts("\n".join(tools[0]), "\n".join(tools[1])),
    }


def _open(row: Row) -> Row:
    """The row without what the schemas of its agent call secret."""
    parameters, result = secrecy.schemas(row["agent_id"], row["agent_version"])
    return row | {
        "parameters": secrecy.hidden(parameters, row["parameters"]),
        "result": secrecy.hidden(result, row["result"]),
    }


def _facts(row: Row, tools: list[str]) -> Row:
    attempts = timeline.attempts(row["job_id"])
    used = ledger.of_job(row["job_id"]) or row["usage"] or {}
    pins: Row = next((each["pins"] for each in reversed(attempts) if each["pins"]), {})
    return {
        "job_id": row["job_id"],
        "agent_id": row["agent_id"],
        "task_name": row["task_name"],
        "agent_version": row["agent_version"],
        "agent_version_number": row["agent_version_number"],
        "status": row["status"],
        "submitted_at": row["submitted_at"],
        "duration_seconds": _seconds(row),
        "attempts": len(attempts),
        "input_tokens": _whole(used.get("input_tokens")),
        "output_tokens": _whole(used.get("output_tokens")),
        "cost_usd": used.get("cost_usd"),
        "provider": pins.get("provider"),
        "model": pins.get("model"),
        "tools": tools,
        "replay_of_job_id": row["replay_of_job_id"],
    }


def _seconds(row: Row) -> float | None:
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    return max(0.0, float(round((row["finished_at"] - row["started_at"]).total_seconds(), 3)))


def _whole(amount: Any) -> int | None:
    return None if amount is None else int(amount)


def _tools(job_id: str) -> list[str]:
    """The names of the tools a job called, in order."""
    rows = db.rows(
        """SELECT coalesce(data ->> 'name', message) AS name FROM job_events
           WHERE job_id = %(job)s AND kind = 'tool' ORDER BY seq LIMIT %(limit)s""",
        job=job_id,
        limit=MOST_TOOLS,
    )
    return [row["name"] for row in rows]


def _definition(row: Row, whole: bool) -> str:
    try:
        kept = versions.get(row["agent_id"], row["agent_version"] or "")
    except NotFound:
        return ""
    kept = kept if whole else versions.hidden(kept)
    return versions.shown(kept["definition"], kept["overlay"])


def _outcome(row: Row) -> str:
    """What came out, as text: the report as it reads, the rest as JSON; of a failure, the error."""
    result = row["result"]
    if result is None:
        return _pretty(row["error"]) if row["error"] else ""
    report = result.get("report")
    if not isinstance(report, str):
        return _pretty(result)
    rest = {name: value for name, value in result.items() if name != "report"}
    return f"{report.rstrip()}\n\n{_pretty(rest)}" if rest else report


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)


def _texts(a: str, b: str) -> Row:
    made = (
        Difference(added=0, removed=0, diff="")
        if a == b
        else difference(a[:LONGEST_TEXT], b[:LONGEST_TEXT], ("a", "b"))
    )
    return {"same": a == b, "added": made.added, "removed": made.removed, "diff": made.diff}
