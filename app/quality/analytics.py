"""How well drafts turn out, over a time: scores, what refining helps, which checks fail, which topics are hard."""

from __future__ import annotations

from datetime import datetime

from app.db import Row, db
from app.kept import Kept
from app.replica import may_lag

MOST_JOBS = 5_000
"""Figures are of the newest so many jobs whose first draft falls into the time,"""
MOST_CHECKED = 1_000
"""and those of single checks of the newest so many of them: reports are large."""
MOST_LINES = 20
LEAST_OF_A_TOPIC = 2
KEPT_SECONDS = 10.0
MOST_KEPT = 200

_kept = Kept(KEPT_SECONDS, MOST_KEPT)
forget = _kept.forget


@may_lag
def figures(
    since: datetime,
    *,
    window: str = "",
    owner: str | None = None,
    agent_id: str | None = None,
    with_topics: bool = True,
) -> Row:
    """Figures of the jobs whose first draft was made `since`; of `owner` or of one agent where told.

    With `window` (its name: since is another at every call) an answer is up to KEPT_SECONDS old. Times are seconds,
    scores 0 to 10, rates 0 to 1; what nothing is known of is None. {jobs, drafts, first_score, final_score,
    first_pass_rate, success_rate, reviewed, draft_seconds, job_seconds, most_jobs,
    outcomes {first, refined, person, rejected, needs_review, failed, cancelled, open: jobs},
    passed_after [{refinements, jobs}], attempts [{number, drafts, score, passed}],
    refinements [{number, drafts, gain, improved}], checks [{name, judged, failed, mended, followed, not_run, score}],
    topics [{topic, jobs, refinements, first_score, final_score, first_pass_rate}],
    agents [… and agent_id, draft_seconds, job_seconds, success_rate], models [{model, drafts, score, passed, seconds}]}

    A topic is a parameter, and so content: without `with_topics` only the jobs' titles are put together.
    """

    def make() -> Row:
        row = db.row(
            _FIGURES,
            since=since,
            owner=owner,
            agent=agent_id,
            with_topics=with_topics,
            most_jobs=MOST_JOBS,
            most_checked=MOST_CHECKED,
            lines=MOST_LINES,
            least=LEAST_OF_A_TOPIC,
        )
        found: Row = row["figures"] if row else {}
        return found | {"most_jobs": MOST_JOBS}

    if not window:
        return make()
    answer: Row = _kept.answer((window, owner, agent_id, with_topics), make)
    return answer


# Refinements are what the agent made after its first draft; what a person wrote is none. `rank` 1 is the newest job.
# OFFSET 0: one look at the primary key per job, however the planner would rather read the whole table.
_FIGURES = """
WITH begun AS MATERIALIZED (
    SELECT d.job_id, d.made_at, row_number() OVER (ORDER BY d.made_at DESC) AS rank
    FROM drafts d JOIN jobs j ON j.job_id = d.job_id
    WHERE d.number = 1 AND d.made_at >= %(since)s
      AND (%(owner)s::text IS NULL OR j.submitted_by = %(owner)s)
      AND (%(agent)s::text IS NULL OR j.agent_id = %(agent)s)
    ORDER BY d.made_at DESC LIMIT %(most_jobs)s)
, draft AS MATERIALIZED (
    SELECT d.job_id, d.number, d.source, d.model, d.seconds, d.score, d.score >= d.threshold AS reached,
           d.score - lag(d.score) OVER (PARTITION BY d.job_id ORDER BY d.number) AS gain
    FROM begun b CROSS JOIN LATERAL (SELECT * FROM drafts WHERE drafts.job_id = b.job_id OFFSET 0) d)
, summed AS MATERIALIZED (
    SELECT job_id, count(*) FILTER (WHERE source = 'agent') - 1 AS refinements,
           min(score) FILTER (WHERE number = 1) AS first_score, (array_agg(score ORDER BY number DESC)
           FILTER (WHERE score IS NOT NULL))[1] AS last_score
    FROM draft GROUP BY job_id)
, job AS MATERIALIZED (
    SELECT j.job_id, j.agent_id, greatest(s.refinements, 0) AS refinements, s.first_score,
           coalesce(j.quality_score, s.last_score) AS final_score,
           CASE WHEN j.finished_at IS NOT NULL AND j.started_at IS NOT NULL THEN
               greatest(0, extract(epoch FROM j.finished_at - j.started_at) - j.asked_seconds)::float END AS seconds,
           left(coalesce(CASE WHEN %(with_topics)s THEN nullif(j.parameters ->> 'topic', '') END,
                         nullif(j.task_name, '')), 200) AS topic,
           r.reviewed,
           CASE WHEN j.verdict = 'passed' AND r.reviewed THEN 'person'
                WHEN j.verdict = 'passed' AND s.refinements > 0 THEN 'refined'
                WHEN j.verdict = 'passed' THEN 'first'
                WHEN j.verdict IS NOT NULL THEN j.verdict
                WHEN j.status IN ('failed', 'cancelled') THEN j.status
                ELSE 'open' END AS outcome
    FROM summed s CROSS JOIN LATERAL (SELECT * FROM jobs WHERE jobs.job_id = s.job_id OFFSET 0) j
    CROSS JOIN LATERAL (SELECT EXISTS (
        SELECT 1 FROM approvals a WHERE a.job_id = s.job_id AND a.kind = 'gate' AND a.answered_by IS NOT NULL
          AND a.status IN ('approved', 'rejected', 'sent_back')) AS reviewed) r)
, ended AS MATERIALIZED (
    SELECT *, outcome IN ('first', 'refined', 'person') AS passed,
           outcome IN ('first', 'refined', 'person', 'rejected', 'needs_review', 'failed') AS counted FROM job)
, checked AS MATERIALIZED (
    SELECT c.name, c.score, c.passed, lead(c.passed) OVER (PARTITION BY d.job_id, c.name ORDER BY d.number) AS after
    FROM (SELECT job_id FROM begun ORDER BY rank LIMIT %(most_checked)s) b
    CROSS JOIN LATERAL (SELECT * FROM drafts WHERE drafts.job_id = b.job_id AND report IS NOT NULL OFFSET 0) d
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE WHEN jsonb_typeof(d.report -> 'checks') = 'array' THEN d.report -> 'checks' ELSE '[]' END
    ) AS c(name text, score float, passed boolean))
SELECT jsonb_build_object(
    'jobs', (SELECT count(*) FROM job),
    'drafts', (SELECT count(*) FROM draft),
    'first_score', (SELECT avg(first_score) FROM job),
    'final_score', (SELECT avg(final_score) FROM job),
    'first_pass_rate', (SELECT avg((outcome = 'first')::int) FILTER (WHERE counted) FROM ended),
    'success_rate', (SELECT avg(passed::int) FILTER (WHERE counted) FROM ended),
    'reviewed', (SELECT count(*) FILTER (WHERE reviewed) FROM job),
    'draft_seconds', (SELECT avg(seconds) FROM draft WHERE source = 'agent'),
    'job_seconds', (SELECT avg(seconds) FROM job),
    'outcomes', (SELECT jsonb_object_agg(name, coalesce(o.n, 0))
        FROM unnest(ARRAY['first','refined','person','rejected','needs_review','failed','cancelled','open']) AS name
        LEFT JOIN (SELECT outcome, count(*) AS n FROM job GROUP BY 1) o ON o.outcome = name),
    'passed_after', (SELECT coalesce(jsonb_agg(x ORDER BY x.refinements), '[]') FROM (
        SELECT refinements, count(*) AS jobs FROM job WHERE outcome IN ('first', 'refined') GROUP BY 1
        ORDER BY 1 LIMIT %(lines)s) x),
    'attempts', (SELECT coalesce(jsonb_agg(x ORDER BY x.number), '[]') FROM (
        SELECT number, count(*) AS drafts, avg(score) AS score, avg(reached::int) AS passed
        FROM draft WHERE score IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT 10) x),
    'refinements', (SELECT coalesce(jsonb_agg(x ORDER BY x.number), '[]') FROM (
        SELECT number - 1 AS number, count(*) AS drafts, avg(gain) AS gain, avg((gain > 0)::int) AS improved
        FROM draft WHERE gain IS NOT NULL AND source = 'agent' GROUP BY 1 ORDER BY 1 LIMIT 10) x),
    'checks', (SELECT coalesce(jsonb_agg(x ORDER BY x.failed DESC, x.name), '[]') FROM (
        SELECT name, count(*) FILTER (WHERE passed IS NOT NULL) AS judged, count(*) FILTER (WHERE NOT passed) AS failed,
               count(*) FILTER (WHERE NOT passed AND after IS NOT NULL) AS followed,
               count(*) FILTER (WHERE NOT passed AND after) AS mended,
               count(*) FILTER (WHERE passed IS NULL) AS not_run, avg(score) AS score
        FROM checked GROUP BY 1 ORDER BY failed DESC, name LIMIT 2 * %(lines)s) x),
    'topics', (SELECT coalesce(jsonb_agg(x ORDER BY x.refinements DESC, x.jobs DESC, x.topic), '[]') FROM (
        SELECT topic, count(*) AS jobs, avg(refinements) AS refinements, avg(first_score) AS first_score,
               avg(final_score) AS final_score, avg((outcome = 'first')::int) FILTER (WHERE counted) AS first_pass_rate
        FROM ended WHERE topic IS NOT NULL GROUP BY 1 HAVING count(*) >= %(least)s
        ORDER BY avg(refinements) DESC, count(*) DESC, topic LIMIT %(lines)s) x),
    'agents', (SELECT coalesce(jsonb_agg(x ORDER BY x.jobs DESC, x.agent_id), '[]') FROM (
        SELECT e.agent_id, count(*) AS jobs, avg(refinements) AS refinements, avg(first_score) AS first_score,
               avg(final_score) AS final_score, avg((outcome = 'first')::int) FILTER (WHERE counted) AS first_pass_rate,
               avg(passed::int) FILTER (WHERE counted) AS success_rate, avg(e.seconds) AS job_seconds,
               avg(t.draft_seconds) AS draft_seconds
        FROM ended e LEFT JOIN (SELECT job_id, avg(seconds) AS draft_seconds FROM draft WHERE source = 'agent'
                                GROUP BY 1) t USING (job_id)
        GROUP BY 1 ORDER BY count(*) DESC, e.agent_id LIMIT %(lines)s) x),
    'models', (SELECT coalesce(jsonb_agg(x ORDER BY x.drafts DESC, x.model), '[]') FROM (
        SELECT model, count(*) AS drafts, avg(score) AS score, avg(reached::int) AS passed, avg(seconds) AS seconds
        FROM draft WHERE source = 'agent' GROUP BY 1 ORDER BY count(*) DESC, model LIMIT %(lines)s) x)
) AS figures
"""
