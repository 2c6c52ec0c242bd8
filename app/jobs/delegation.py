"""Delegation: a running job hands out jobs of its own, in its owner's name, in bounds, out of its own allowance.

    submit_child → (the child lives its life) → settled: the parent that waits for it is woken

Whoever delegates holds the parent's row until the end of the transaction. So sums of what children may use, their
number and whether the parent was cancelled are exact whoever else delegates for the same job at that moment. The
parent's allowance pays for its children: while a child lives, what was set aside for it counts as used; once it has
ended, what it really used, and what was set aside for those of its own that still live. None of these commits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

from app.accounts.permissions import SCOPES_OF_ROLE, Principal
from app.accounts.run_tokens import Run
from app.agents import registry, secrecy
from app.agents.definition import BrokenDefinition, Definition, Delegation
from app.budgets import ledger
from app.budgets.amounts import exact, said
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.jobs.states import FINAL, Reason, Status

ANY = "*"
LONGEST_KEY = 200
SHARE = Decimal("0.5")
"""Of what the parent has left, a child that asks for nothing gets so much at most."""
SMALLEST = {"usd": Decimal("0.000001"), "tokens": Decimal(1), "minutes": Decimal("0.0001")}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far jobs may delegate, whatever their definitions say."""

    depth: int
    children: int


def bearer(run: Run) -> Principal | None:
    """Who asks with the token of an attempt; None unless the job runs in that very attempt and its owner may sign in.

    Never an admin, whoever owns the job: an agent acts in its owner's name, not with all of its owner's rights.
    """
    row = db.row(
        """SELECT u.user_id::text, u.email, u.role FROM jobs j JOIN users u ON u.user_id::text = j.submitted_by
           WHERE j.job_id = %(job)s AND j.fence = %(fence)s AND j.status || '' = 'running' AND j.submitted_by = %(user)s
             AND j.lease_expires_at > clock_timestamp() AND j.cancel_requested_at IS NULL AND u.enabled""",
        job=run.job_id,
        fence=run.fence,
        user=run.user_id,
    )
    if row is None:
        return None
    role = "viewer" if row["role"] == "viewer" else "user"
    return Principal(
        user_id=row["user_id"],
        email=row["email"],
        role=role,
        scopes=SCOPES_OF_ROLE[role],
        job_id=run.job_id,
        job_fence=run.fence,
    )


# -- handing out


def submit_child(job_id: str, fence: int, wish: Wish, limits: Limits) -> Row:
    """Submit a job as a child of the running one; answers what `lifecycle.submit` does.

    Under the wish's `child_key` a parent has one child: the same again, also from a later attempt, answers that one.
    Raises Conflict when the parent does not run in this attempt (any more), Invalid for what it may not hand out.
    """
    parent = _parent(job_id, fence)
    if before := _under_key(job_id, wish):
        return before
    rules = registry.definition_of(parent["agent_id"], parent["agent_version"])
    agent = registry.demand(wish.agent_id)
    _demand_allowed(parent, rules, agent.agent_id, limits)
    if wish.notify:
        raise _refused("/callback_url", "a delegated job tells its parent and nobody else")
    budget = (wish.budget or {}) | _carved(parent, rules, wish.budget or {}, agent.budget or {})
    order = intake.order(
        replace(
            wish,
            agent_id=agent.agent_id,
            submitted_by=parent["submitted_by"],
            session_id=parent["session_id"],
            parent_job_id=job_id,
            depth=parent["depth"] + 1,
            correlation_id=parent["correlation_id"],
            budget=budget or None,
            may_exceed_budget=False,
            may_replace_gate=False,
        )
    )
    db.run(
        "UPDATE jobs SET version = version + 1, updated_at = clock_timestamp() WHERE job_id = %(job)s",
        job=job_id,
    )
    return lifecycle.submit(order)


def _parent(job_id: str, fence: int) -> Row:
    """The parent, held until the end of the transaction, if it runs in this attempt and nobody cancelled it."""
    row = db.row(
        """SELECT job_id::text, agent_id, agent_version, status, fence, cancel_requested_at, depth, session_id,
                  submitted_by, correlation_id, options
           FROM jobs WHERE job_id = %(job)s FOR NO KEY UPDATE""",
        job=job_id,
    )
    if row is None or row["status"] != Status.RUNNING or row["fence"] != fence:
        raise Conflict("the attempt that delegates is over; only a running one hands out jobs")
    if row["cancel_requested_at"]:
        raise Conflict("the job was cancelled; it hands out no more jobs")
    return row


def _under_key(job_id: str, wish: Wish) -> Row | None:
    """The child that this key stands for already."""
    key = wish.child_key
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise _refused("/key", f"must be 1 to {LONGEST_KEY} printable characters")
    row = db.row(
        """SELECT job_id::text, pool, status, priority_rank, submitted_at, run_at, version, agent_id
           FROM jobs WHERE parent_job_id = %(job)s AND child_key = %(key)s""",
        job=job_id,
        key=key,
    )
    if row and row["agent_id"] != registry.canonical(wish.agent_id):
        raise Conflict(f"under this key a job of {row['agent_id']} was handed out already; use another key")
    return row


def _demand_allowed(parent: Row, definition: Definition, agent_id: str, limits: Limits) -> None:
    rules = definition.ours.delegation
    if rules is None:
        said_so = f"{parent['agent_id']} may not delegate: its definition has no `delegation`"
        raise _refused("/agent_id", said_so)
    allowed = {registry.canonical(each) for each in rules.to}
    if ANY not in rules.to and agent_id not in allowed:
        raise _refused(
            "/agent_id",
            f"{parent['agent_id']} may delegate to {', '.join(sorted(allowed))}, not to {agent_id}",
        )
    if parent["depth"] >= limits.depth:
        many = f"{limits.depth} {'level' if limits.depth == 1 else 'levels'}"
        raise _refused("/agent_id", f"jobs are delegated over {many} at most (DELEGATION_MAX_DEPTH)")
    children = db.value("SELECT count(*) FROM jobs WHERE parent_job_id = %(job)s", job=parent["job_id"])
    if children >= limits.children:
        said_so = (
            f"the job has delegated {children} jobs, which is as many as it may (DELEGATION_MAX_CHILDREN)"
        )
        raise _refused("/agent_id", said_so)
    if agent_id in _agents_above(parent["job_id"]) and not _may_return(agent_id):
        said_so = f"{agent_id} would work for itself: it is among those that led to this job"
        raise _refused(
            "/agent_id", f"{said_so}, and its definition does not say `delegation: {{recursive: true}}`"
        )


def may_go_to(definition: Definition) -> dict[str, str]:
    """The agents that one may hand jobs to, by id, with what they do: for a model to choose from."""
    rules = definition.ours.delegation
    allowed = {registry.canonical(each) for each in rules.to} if rules else set()
    everyone = rules is not None and ANY in rules.to
    return {
        agent.agent_id: agent.description
        for agent in registry.all_agents()
        if agent.enabled and (everyone or agent.agent_id in allowed)
    }


def _agents_above(job_id: str) -> set[str]:
    """The agents of a job and of all above it."""
    rows = db.rows(f"{_UP} SELECT DISTINCT agent_id FROM up", job=job_id)
    return {row["agent_id"] for row in rows}


_UP = """
    WITH RECURSIVE up AS (
        SELECT job_id, parent_job_id, agent_id FROM jobs WHERE job_id = %(job)s
        UNION ALL
        SELECT j.job_id, j.parent_job_id, j.agent_id FROM up JOIN jobs j ON j.job_id = up.parent_job_id)"""


def _may_return(agent_id: str) -> bool:
    rules = registry.definition_of(agent_id, registry.demand(agent_id).version).ours.delegation
    return rules is not None and rules.recursive


def _refused(pointer: str, words: str) -> Invalid:
    return Invalid(words, [(pointer, words)])


# -- what it may use


def allowance(definition: Definition, options: dict[str, Any]) -> dict[str, Decimal]:
    """What one job may use, by unit: its own wish, else what its agent's definition says; no entry is no limit."""
    agents_own = definition.ours.budget.model_dump(exclude_none=True) if definition.ours.budget else {}
    wished = {unit: amount for unit, amount in (options.get("budget") or {}).items() if amount is not None}
    return {unit: exact(amount) for unit, amount in (agents_own | wished).items()}


def _carved(
    parent: Row, definition: Definition, wished: dict[str, Any], agents_own: dict[str, Any]
) -> dict[str, Any]:
    """What the child gets in each unit that the parent has an allowance of."""
    limits = allowance(definition, parent["options"])
    if not limits:
        return {}
    used, aside = ledger.used_before(parent["job_id"], parent["fence"] + 1), set_aside(parent["job_id"])
    carved = {}
    for unit, limit in limits.items():
        left = max(Decimal(0), limit - used[unit] - aside[unit]).quantize(SMALLEST[unit], ROUND_DOWN)
        carved[unit] = _share(unit, left, wished.get(unit), agents_own.get(unit))
    return carved


def _share(unit: str, left: Decimal, wished: Any, agents_own: Any) -> float | int:
    """As much as was wished for, else as its agent has, at most half of what is left."""
    if left <= 0:
        raise _refused(f"/budget/{unit}", "the job has nothing left of its own budget to delegate with")
    if wished is None:
        half = max(SMALLEST[unit], (left * SHARE).quantize(SMALLEST[unit], ROUND_DOWN))
        amount = half if agents_own is None else min(half, exact(agents_own))
    elif isinstance(wished, bool) or not isinstance(wished, int | float):
        raise _refused(f"/budget/{unit}", "must be a number")
    elif (amount := exact(wished)) > left:
        raise _refused(f"/budget/{unit}", f"is more than the {said(unit, left)} that the job has left itself")
    return int(amount) if unit == "tokens" and amount == int(amount) else float(amount)


def set_aside(job_id: str) -> dict[str, Decimal]:
    """What a job's children count against its allowance, by unit: {usd, tokens, minutes}."""
    row = db.row(_SET_ASIDE, job=job_id) or {}
    return {unit: Decimal(row[unit]) for unit in ("usd", "tokens", "minutes")}


# A child that ended leaves to its parent what it used, and its own children.
_SET_ASIDE = """
    WITH RECURSIVE counted AS (
        SELECT job_id, finished_at IS NOT NULL AS ended, options -> 'budget' AS carved
        FROM jobs WHERE parent_job_id = %(job)s
        UNION ALL
        SELECT j.job_id, j.finished_at IS NOT NULL, j.options -> 'budget'
        FROM counted c JOIN jobs j ON j.parent_job_id = c.job_id WHERE c.ended)
    SELECT coalesce(sum(CASE WHEN ended THEN usd ELSE greatest(usd, (carved ->> 'usd')::numeric) END), 0) AS usd,
           coalesce(sum(CASE WHEN ended THEN tokens ELSE greatest(tokens, (carved ->> 'tokens')::numeric) END), 0) AS tokens,
           coalesce(sum(CASE WHEN ended THEN minutes ELSE greatest(minutes, (carved ->> 'minutes')::numeric) END), 0) AS minutes
    FROM counted c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(u.cost_usd), 0) AS usd, coalesce(sum(
            u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens), 0) AS tokens
        FROM usage_events u WHERE u.job_id = c.job_id) used
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(extract(epoch FROM coalesce(a.ended_at, clock_timestamp()) - a.started_at)), 0) / 60 AS minutes
        FROM job_attempts a WHERE a.job_id = c.job_id) lasted"""


# -- waiting for them


def outcomes(job_id: str, child_ids: list[str] | None = None) -> list[Row]:
    """Children of a job in the order they were handed out: {job_id, agent_id, task_name, status, result, error, …}.

    What their schemas call secret is masked in results. NotFound for an id that is no child of this job.
    """
    rows = db.rows(
        """SELECT job_id::text, agent_id, agent_version, task_name, status, status_reason, progress, current_step,
                  verdict, child_key AS key, result,
                  CASE WHEN error IS NOT NULL THEN
                      jsonb_build_object('type', error -> 'type', 'message', error -> 'message') END AS error
           FROM jobs WHERE parent_job_id = %(job)s
             AND (%(ids)s::uuid[] IS NULL OR job_id = ANY(%(ids)s::uuid[])) ORDER BY jobs.job_id""",
        job=job_id,
        ids=child_ids,
    )
    if missing := {*(child_ids or ())} - {row["job_id"] for row in rows}:
        raise NotFound(f"the job has delegated no job {min(missing)}")
    for row in rows:
        schema = secrecy.schemas(row["agent_id"], row.pop("agent_version"))[1]
        row["result"] = secrecy.hidden(schema, row["result"])
    return rows


def is_over(child: Row) -> bool:
    """Whether nothing more will become of it."""
    return child["status"] in FINAL


def wake_if_over(job_id: str, child_ids: list[str]) -> None:
    """A job was held until one of these ends: let it go on at once if one has ended meanwhile."""
    if db.value(
        "SELECT 1 FROM jobs WHERE job_id = ANY(%(ids)s::uuid[]) AND finished_at IS NOT NULL LIMIT 1",
        ids=child_ids,
    ):
        _wake(job_id)


def settled(job_id: str) -> None:
    """A job is finished: its parent that waits goes on, and its own children end with it where that is meant."""
    row = db.row(
        """SELECT status, status_reason, agent_id, agent_version, parent_job_id::text FROM jobs
           WHERE job_id = %(job)s AND finished_at IS NOT NULL""",
        job=job_id,
    )
    if row and row["parent_job_id"]:
        _wake(row["parent_job_id"])
    if row and row["status"] == Status.FAILED and _takes_along(job_id, row):
        lifecycle.cancel_below([job_id])


def _wake(job_id: str) -> None:
    """Let a job that was held for its children run now. Whoever holds it is waited for, so no end is missed."""
    row = db.row(
        "SELECT status, status_reason FROM jobs WHERE job_id = %(job)s FOR NO KEY UPDATE",
        job=job_id,
    )
    if row and row["status"] == Status.RETRY and row["status_reason"] == Reason.DELEGATED:
        lifecycle.run_now(job_id)


def _takes_along(job_id: str, row: Row) -> bool:
    """Whether the children of a failed job end with it: always when its budget stopped it, for theirs is part of it."""
    if not db.value("SELECT 1 FROM jobs WHERE parent_job_id = %(job)s LIMIT 1", job=job_id):
        return False
    if row["status_reason"] == Reason.STOPPED_BUDGET:
        return True
    rules = _rules_of(row["agent_id"], row["agent_version"])
    return rules is not None and rules.on_failure == "cancel"


def may_delegate(agent_id: str, version: str | None) -> bool:
    """Whether this version of an agent hands out jobs at all."""
    return _rules_of(agent_id, version) is not None


def _rules_of(agent_id: str, version: str | None) -> Delegation | None:
    """What a definition says of it; None also for one that cannot be read any more."""
    try:
        return registry.definition_of(agent_id, version or "").ours.delegation
    except (NotFound, BrokenDefinition):
        return None


# -- who is whose


def is_within(job_id: str, root_id: str) -> bool:
    """Whether a job is the other one, or was delegated by it or by one below it."""
    return bool(db.value(f"{_UP} SELECT 1 FROM up WHERE job_id = %(root)s", job=job_id, root=root_id))


def session_of(job_id: str) -> str | None:
    """The session that a job works for."""
    found: str | None = db.value("SELECT session_id FROM jobs WHERE job_id = %(job)s", job=job_id)
    return found


def cancel_tree(job_id: str) -> None:
    """Cancel what lives of a job and of all below it, also when the job itself is finished."""
    lifecycle.cancel_many([job_id])
    lifecycle.cancel_below([job_id])
