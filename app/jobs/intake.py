"""From what somebody asks for to an Order: the agent found, parameters checked, options read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.agents import params, registry
from app.db import Row
from app.errors import Conflict, Invalid
from app.jobs import dead_letters, lifecycle, queries
from app.jobs.lifecycle import Order
from app.jobs.states import FINAL, PRIORITIES, Priority, Status

LONGEST_TIMEOUT = 86_400
STRATEGIES = ("exponential", "linear", "fixed")
FURTHEST = timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A submission as a person or program says it; nothing in it is trusted yet."""

    agent_id: str
    parameters: dict[str, Any]
    submitted_by: str
    priority: str = "normal"
    task_name: str | None = None
    tags: tuple[str, ...] = ()
    run_at: datetime | None = None
    timeout: int | None = None
    """Seconds; None: the agent's own."""
    max_retries: int | None = None
    retry_strategy: str | None = None
    notify: dict[str, Any] | None = None
    correlation_id: str | None = None
    retry_of_job_id: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def order(wish: Wish) -> Order:
    """Check a wish; AgentNotFound, InvalidParameters or Invalid say what is wrong. Nothing is written."""
    agent = registry.demand(wish.agent_id)
    _check_options(wish)
    given = {"timeout": wish.timeout, "retry_strategy": wish.retry_strategy}
    return Order(
        agent_id=agent.agent_id,
        agent_version=agent.version,
        pool=agent.pool,
        gated=agent.gated,
        parameters=params.check(agent.schema, wish.parameters),
        submitted_by=wish.submitted_by,
        priority=Priority.named(wish.priority),
        run_at=wish.run_at,
        max_retries=agent.max_retries if wish.max_retries is None else wish.max_retries,
        task_name=wish.task_name,
        tags=wish.tags,
        options=wish.options | {k: v for k, v in given.items() if v is not None},
        notify=wish.notify,
        correlation_id=wish.correlation_id,
        retry_of_job_id=wish.retry_of_job_id,
    )


def _check_options(wish: Wish) -> None:
    wrong: list[tuple[str, str]] = []
    if wish.priority not in PRIORITIES:
        wrong.append(("/priority", f"must be one of {', '.join(PRIORITIES)}"))
    if wish.timeout is not None and not 1 <= wish.timeout <= LONGEST_TIMEOUT:
        wrong.append(("/timeout", f"must be 1 to {LONGEST_TIMEOUT} seconds"))
    if wish.max_retries is not None and not 0 <= wish.max_retries <= 10:
        wrong.append(("/max_retries", "must be 0 to 10"))
    if wish.retry_strategy is not None and wish.retry_strategy not in STRATEGIES:
        wrong.append(("/retry_strategy", f"must be one of {', '.join(STRATEGIES)}"))
    if wish.run_at is not None and (wish.run_at.tzinfo is None or wish.run_at > clock.now() + FURTHEST):
        wrong.append(("/run_at", "must be a time with a zone, at most a year ahead"))
    if len(wish.tags) > 20 or any(not 1 <= len(tag) <= 100 or "\x00" in tag for tag in wish.tags):
        wrong.append(("/tags", "at most 20 tags of 1 to 100 characters"))
    if wish.task_name is not None and (len(wish.task_name) > 255 or "\x00" in wish.task_name):
        wrong.append(("/task_name", "at most 255 characters, without NUL"))
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)


def again(
    job_id: str, *, by: str, priority: str | None = None, parameters: dict[str, Any] | None = None
) -> Row:
    """Run a finished job once more, as a new job that names it; a waiting or running one is a Conflict.

    `parameters` replace the old ones as a whole; None keeps them. Its dead letter, if it has one, counts as dealt with.
    """
    old = queries.get(job_id, full=True)
    if old["status"] not in FINAL:
        raise Conflict(f"the job is {old['status']}; only finished jobs are run again", allowed=["cancel"])
    new = lifecycle.submit(
        order(_like(old, by, priority, old["parameters"] if parameters is None else parameters))
    )
    if old["status"] == Status.FAILED:
        dead_letters.settle_by_job(job_id, new_job_id=new["job_id"], by=by)
    return new


def _like(old: Row, by: str, priority: str | None, parameters: dict[str, Any], **other: Any) -> Wish:
    options = dict(old["options"])
    return Wish(
        agent_id=old["agent_id"],
        parameters=parameters,
        submitted_by=by,
        priority=priority or Priority(old["priority_rank"]).word,
        task_name=old["task_name"],
        tags=tuple(old.get("tags") or ()),
        max_retries=old["max_retries"],
        timeout=other.get("timeout", options.pop("timeout", None)),
        retry_strategy=options.pop("retry_strategy", None),
        run_at=other.get("run_at"),
        retry_of_job_id=old["job_id"],
        options=options,
    )


def resubmit(
    dlq_id: str,
    *,
    by: str,
    priority: str | None = None,
    override_parameters: dict[str, Any] | None = None,
    force: bool = False,
) -> Row:
    """Send a dead letter in again as a new job; answers {new_job_id, status, resubmitted_at}.

    Of `override_parameters`, `timeout` (seconds) and `retry_after` (seconds to wait first) are options of the job
    unless the agent has parameters of that name (C27); the rest is merged into the parameters, which are checked
    again. A second time is a Conflict unless `force`.
    """
    letter = dead_letters.get(dlq_id)
    letter["max_retries"] = dead_letters.retry_limit(letter["job_id"])
    agent = registry.demand(letter["agent_id"])
    changes = dict(override_parameters or {})
    own = agent.schema.get("properties", {})
    options = {
        name: changes.pop(name) for name in ("timeout", "retry_after") if name in changes and name not in own
    }
    other = {"timeout": options["timeout"]} if "timeout" in options else {}
    if "retry_after" in options:
        other["run_at"] = clock.now() + _pause(options["retry_after"])
    wish = _like(letter, letter["submitted_by"], priority, letter["parameters"] | changes, **other)
    new = lifecycle.submit(order(wish))
    marked = dead_letters.mark_resubmitted(letter["dlq_id"], new_job_id=new["job_id"], by=by, force=force)
    return {"new_job_id": new["job_id"], "status": new["status"], "resubmitted_at": marked["resubmitted_at"]}


def _pause(seconds: Any) -> timedelta:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 30 * 86_400:
        raise Invalid(
            "retry_after must be 0 to 2592000 seconds", [("/override_parameters/retry_after", "seconds")]
        )
    return timedelta(seconds=seconds)
