"""Drafts as they are kept: each at once, its report when it was judged. Only the attempt that has the job may write.

A worker that lost its lease finds another fence in the job's row, and writes nothing: no draft is kept twice.
"""

from __future__ import annotations

from typing import Any, Literal

from app.db import Row, db, dumps

Source = Literal["agent", "person"]
Verdict = Literal["passed", "revise", "needs_review", "rejected"]

LIGHT = "number, fence, source, model, seconds, made_at, score, threshold, verdict, report, judged_at"
# Locked until the draft is written: who takes the job over comes before it, and it is refused, or after it, and sees it.
_MINE = """mine AS (SELECT job_id FROM jobs WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s
                    AND status = 'running' FOR SHARE)"""


def keep(
    job_id: str,
    number: int,
    *,
    fence: int,
    lease_id: str,
    content: dict[str, Any],
    source: Source = "agent",
    model: str | None = None,
    seconds: float | None = None,
) -> bool:
    """Keep a draft that is still to be judged; False if the attempt has lost the job, or the number is taken.

    The same attempt may say it twice, for when it never heard that the first time was written.
    """
    written = db.row(
        f"""WITH {_MINE}
            INSERT INTO drafts (job_id, number, fence, source, content, model, seconds)
            SELECT job_id, %(number)s, %(fence)s, %(source)s, %(content)s::jsonb, %(model)s, %(seconds)s FROM mine
            ON CONFLICT (job_id, number) DO UPDATE SET content = excluded.content
                WHERE drafts.fence = excluded.fence AND drafts.report IS NULL
            RETURNING number""",
        job=job_id,
        number=number,
        fence=fence,
        lease=lease_id,
        source=source,
        content=dumps(content),
        model=model,
        seconds=seconds,
    )
    return written is not None


def judged(job_id: str, number: int, *, fence: int, lease_id: str, report: dict[str, Any]) -> bool:
    """Keep what the gate said of a draft, `verdict`, `score` and `threshold` among it; False as with `keep`."""
    written = db.row(
        f"""WITH {_MINE}
            UPDATE drafts d SET report = %(report)s::jsonb, score = %(score)s, threshold = %(threshold)s,
                   verdict = %(verdict)s, judged_at = clock_timestamp()
            FROM mine WHERE d.job_id = mine.job_id AND d.number = %(number)s RETURNING d.number""",
        job=job_id,
        number=number,
        fence=fence,
        lease=lease_id,
        report=dumps(report),
        score=report.get("score"),
        threshold=report.get("threshold"),
        verdict=report.get("verdict"),
    )
    return written is not None


def outline(job_id: str) -> list[Row]:
    """All drafts of a job, oldest first, without what is in them; what is not judged has None from `score` on."""
    return db.rows(f"SELECT {LIGHT} FROM drafts WHERE job_id = %(job)s ORDER BY number", job=job_id)


def one(job_id: str, number: int) -> Row | None:
    """One draft with its content; None: the job has no such draft."""
    return db.row(
        f"SELECT {LIGHT}, content FROM drafts WHERE job_id = %(job)s AND number = %(number)s",
        job=job_id,
        number=number,
    )


def glance(job_id: str) -> str:
    """A few letters that are others whenever a draft was made or judged since; "" while there is none."""
    row = db.row(
        """SELECT count(*) AS made, count(judged_at) AS judged, max(judged_at) AS at
           FROM drafts WHERE job_id = %(job)s""",
        job=job_id,
    )
    if not row or not row["made"]:
        return ""
    return f"{row['made']}.{row['judged']}.{row['at'].timestamp() if row['at'] else 0:.6f}"
