"""The command that submits a job once more, for a terminal; what is secret in it is left to fill in."""

from __future__ import annotations

import json
import shlex

from app.dashboard import https, job_seen
from app.db import Row
from app.jobs.states import Priority

LONGEST = 20_000


def curl(row: Row) -> str:
    """`curl …` with the same agent, parameters, priority, title and tags; empty for more than a terminal takes."""
    told = job_seen.without_secrets(row)
    wish = {
        "agent_id": row["agent_id"],
        "parameters": told["parameters"],
        "priority": Priority(row["priority_rank"]).word,
        "task_name": row["task_name"],
        "tags": row["tags"],
    }
    body = json.dumps({name: value for name, value in wish.items() if value}, ensure_ascii=False)
    if len(body) > LONGEST:
        return ""
    address = shlex.quote(f"{https.root()}/api/v1/jobs")
    return (
        f"curl -X POST {address} \\\n"
        '  -H "Authorization: Bearer $CALLBOARD_API_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )
