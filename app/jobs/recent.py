"""What has been said of jobs of late: tags, errors. For completion, so of the newest jobs alone and never dear."""

from __future__ import annotations

from app.db import db

LOOKED_AT = 2000
MOST = 200


def tags(owner: str | None) -> dict[str, int]:
    """The tags of the newest jobs and how often they are there, the most frequent first."""
    rows = db.rows(
        f"""SELECT tag, count(*) AS n FROM (
               SELECT tags FROM jobs WHERE %(owner)s::text IS NULL OR submitted_by = %(owner)s
               ORDER BY jobs.job_id DESC LIMIT {LOOKED_AT}) j, unnest(j.tags) AS tag
           GROUP BY 1 ORDER BY n DESC, tag LIMIT {MOST}""",
        owner=owner,
    )
    return {row["tag"]: row["n"] for row in rows}


def errors(owner: str | None) -> dict[str, int]:
    """The types of error of those that failed last and how often they came, the most frequent first."""
    of_all, of_one = (
        "status = 'failed'",
        "submitted_by = %(owner)s",
    )  # each has an index that ends with the id
    rows = db.rows(
        f"""SELECT error->>'type' AS type, count(*) AS n FROM (
               SELECT status, error FROM jobs WHERE {of_all if owner is None else of_one}
               ORDER BY jobs.job_id DESC LIMIT {LOOKED_AT}) j
           WHERE status = 'failed' AND error->>'type' IS NOT NULL GROUP BY 1 ORDER BY n DESC, type LIMIT {MOST}""",
        owner=owner,
    )
    return {row["type"]: row["n"] for row in rows}


def pools() -> list[str]:
    """The pools there are."""
    return [row["pool"] for row in db.rows("SELECT pool FROM queues ORDER BY pool")]
