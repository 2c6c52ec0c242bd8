"""How runs went, over a time: how many, how well, how long, and which step took longest."""

from __future__ import annotations

from datetime import datetime

from app.db import Row, db
from app.replica import may_lag

MOST_RUNS = 10_000
"""Figures are of the newest so many runs that ended in the time."""


@may_lag
def by_template(
    *,
    owner: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    template: str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Figures of the runs that ended in a time, by template, those without one by name; the most run first.

    {template_name, name, runs, completed, failed, cancelled, success_rate (0 to 1, of those not cancelled),
    average_seconds, p95_seconds (of the completed ones), slowest_step, slowest_seconds (its average)}
    """
    return db.rows(
        _FIGURES, owner=owner, since=since, until=until, template=template, most=MOST_RUNS, limit=limit
    )


_FIGURES = """
    WITH ended AS MATERIALIZED (
        SELECT workflow_id, template_name, coalesce(template_name, name) AS name, status,
               extract(epoch FROM finished_at - submitted_at)::float AS seconds
        FROM workflows
        WHERE parent_workflow_id IS NULL AND status IN ('completed','failed','cancelled')
          AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)
          AND (%(template)s::text IS NULL OR template_name = %(template)s)
          AND (%(since)s::timestamptz IS NULL OR finished_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR finished_at < %(until)s)
        ORDER BY workflow_id DESC LIMIT %(most)s)
    , runs AS (
        SELECT template_name, name, count(*) AS runs, count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
               avg(seconds) FILTER (WHERE status = 'completed') AS average_seconds,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status = 'completed') AS p95_seconds
        FROM ended GROUP BY template_name, name ORDER BY count(*) DESC, name LIMIT %(limit)s)
    , steps AS (
        SELECT e.template_name, e.name, split_part(s.step_id, '[', 1) AS step,
               avg(extract(epoch FROM s.finished_at - s.started_at))::float AS seconds
        FROM ended e JOIN workflow_steps s USING (workflow_id)
        WHERE s.status IN ('completed','failed') AND s.started_at IS NOT NULL AND NOT s.kept
          AND s.kind IN ('agent','workflow','approval')
        GROUP BY 1, 2, 3)
    , slow AS (
        SELECT DISTINCT ON (template_name, name) template_name, name, step, seconds
        FROM steps ORDER BY template_name, name, seconds DESC, step)
    SELECT r.*, r.completed::float / nullif(r.completed + r.failed, 0) AS success_rate, slow.step AS slowest_step,
           slow.seconds AS slowest_seconds
    FROM runs r LEFT JOIN slow ON slow.name = r.name AND slow.template_name IS NOT DISTINCT FROM r.template_name
    ORDER BY r.runs DESC, r.name"""
