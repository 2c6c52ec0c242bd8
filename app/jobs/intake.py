"""From what somebody asks for to an Order: the agent found, parameters checked, options read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app import clock
from app.agents import params, registry, secrecy
from app.agents.definition import BrokenDefinition
from app.agents.registry import AgentRecord
from app.budgets.amounts import exact, said
from app.db import Row
from app.errors import AgentNotFound, Conflict, Invalid, NotFound
from app.jobs import dead_letters, lifecycle, queries
from app.jobs.lifecycle import Order
from app.jobs.states import FINAL, PRIORITIES, Priority, Reason, Status
from app.quality import gates
from app.secrets import sealing

LONGEST_TIMEOUT = 86_400
BY_STAGES = "pipeline"
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
    traceparent: str | None = None
    """The span the job belongs to; None: the one at work."""
    retry_of_job_id: str | None = None
    replay_of_job_id: str | None = None
    schedule_id: str | None = None
    workflow_id: str | None = None
    step_id: str | None = None
    session_id: str | None = None
    parent_job_id: str | None = None
    depth: int = 0
    child_key: str | None = None
    budget: dict[str, Any] | None = None
    """What this job may use: {usd?, tokens?, minutes?}; what is left out is as its agent has it."""
    may_exceed_budget: bool = False
    """Whoever asks may give the job more than its agent's definition does."""
    gate: str | bool | None = None
    """The name of the quality gate for this job; False: none, whatever its agent has; None: as its agent has it."""
    may_replace_gate: bool = False
    """Whoever asks may put another gate in the place of the agent's own."""
    secret: frozenset[str] = frozenset()
    """JSON pointers of what is secret in the parameters besides what the agent's schema marks."""
    options: dict[str, Any] = field(default_factory=dict)


def order(wish: Wish, *, pin: str | None = None) -> Order:
    """Check a wish; AgentNotFound, InvalidParameters or Invalid say what is wrong. Nothing is written.

    `pin` is an earlier version of the agent: the job runs that one, and its parameters must fit that one.
    """
    agent = registry.demand(wish.agent_id)
    schema = registry.definition_of(agent.agent_id, pin).ours.parameters if pin else agent.schema
    _check_options(wish)
    parameters = params.check(schema, wish.parameters, wish.secret)
    given = {
        "timeout": wish.timeout,
        "retry_strategy": wish.retry_strategy,
        "budget": _budget(wish, agent.budget or {}),
        "gate": _gate(wish, agent),
    }
    return Order(
        agent_id=agent.agent_id,
        agent_version=pin or agent.version,
        pinned=pin is not None,
        pool=agent.pool,
        gated=agent.gated,
        parameters=parameters,
        secret=wish.secret | frozenset(secrecy.places(schema, parameters)),
        submitted_by=wish.submitted_by,
        priority=Priority.named(wish.priority),
        run_at=wish.run_at,
        max_retries=agent.max_retries if wish.max_retries is None else wish.max_retries,
        task_name=wish.task_name,
        tags=wish.tags,
        options=wish.options | {k: v for k, v in given.items() if v is not None},
        notify=wish.notify,
        correlation_id=wish.correlation_id,
        traceparent=wish.traceparent,
        retry_of_job_id=wish.retry_of_job_id,
        replay_of_job_id=wish.replay_of_job_id,
        schedule_id=wish.schedule_id,
        workflow_id=wish.workflow_id,
        step_id=wish.step_id,
        session_id=wish.session_id,
        parent_job_id=wish.parent_job_id,
        depth=wish.depth,
        child_key=wish.child_key,
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


def _gate(wish: Wish, agent: AgentRecord) -> str | bool | None:
    """The gate as it was asked for, if there is such a gate and they may put it in the place of the agent's own."""
    wanted = wish.gate
    if wanted is None:
        return None
    if wanted is True:
        raise _wrong_gate("must be the name of a quality gate, or false")
    if (
        not wish.may_replace_gate
        and registry.definition_of(agent.agent_id, agent.version).ours.gate is not None
    ):
        raise _wrong_gate("the agent has one of its own; only admins may put another in its place")
    if wanted is False and agent.runner == BY_STAGES:
        raise _wrong_gate("an agent that goes by stages needs one")
    if isinstance(wanted, str):
        try:
            gates.named(wanted)
        except NotFound as unknown:
            raise _wrong_gate(unknown.message) from unknown
    return wanted


def _wrong_gate(said: str) -> Invalid:
    return Invalid(f"gate: {said}", [("/gate", said)])


MOST = {"usd": 1_000_000, "tokens": 10**12, "minutes": 1440}


def _budget(wish: Wish, agents_own: dict[str, Any]) -> dict[str, Any] | None:
    """The job's own allowance, checked; None: it wished for none. More than the agent's is not for everybody."""
    wished = {unit: amount for unit, amount in (wish.budget or {}).items() if amount is not None}
    wrong = [
        (f"/budget/{unit}", words)
        for unit, amount in wished.items()
        if (words := _wrong_amount(unit, amount, None if wish.may_exceed_budget else agents_own.get(unit)))
    ]
    if wrong:
        raise Invalid(f"{wrong[0][0][1:].replace('/', '.')} {wrong[0][1]}", wrong)
    return wished or None


def _wrong_amount(unit: str, amount: Any, agents_own: float | None) -> str:
    if unit not in MOST:
        return f"is not one of {', '.join(MOST)}"
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount <= MOST[unit]:
        return f"must be a number over 0, at most {MOST[unit]:,}"
    if unit == "tokens" and amount != int(amount):
        return "must be a whole number"
    if agents_own is not None and amount > agents_own:
        return f"is more than the {said(unit, agents_own)} of the agent; only admins may give more"
    return ""


def allowance(old: Row) -> dict[str, Any]:
    """What a job might use, by unit: its own wish, else what its agent has now."""
    return (registry.demand(old["agent_id"]).budget or {}) | (old["options"].get("budget") or {})


def resume(
    job_id: str,
    *,
    by: str,
    raise_usd: float | None = None,
    raise_tokens: int | None = None,
    raise_minutes: float | None = None,
    may_exceed_budget: bool = False,
) -> Row:
    """Go on with a job that its budget stopped: a new job from its last checkpoint, with the old budget and more.

    The new budget is the old one plus what is given; what the old job spent does not count against it. Only jobs that
    were `stopped_budget` are resumed; a unit without a budget cannot be raised.
    """
    old = queries.get(job_id, full=True)
    if old["status_reason"] != Reason.STOPPED_BUDGET:
        raise Conflict("only a job that was stopped by its budget is resumed", allowed=["retry"])
    before, more = allowance(old), {"usd": raise_usd, "tokens": raise_tokens, "minutes": raise_minutes}
    wish = replace(
        _like(old, by, None, _given(old, None)),
        budget=_raised(before, {unit: amount for unit, amount in more.items() if amount}),
        may_exceed_budget=may_exceed_budget,
    )
    new = lifecycle.submit(replace(order(wish), checkpoint=queries.checkpoint(job_id)))
    dead_letters.settle_by_job(job_id, new_job_id=new["job_id"], by=by)
    return new


def _raised(before: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    wrong = [
        (f"/{unit}", "must be more than 0" if amount < 0 else "this job has no such budget to raise")
        for unit, amount in more.items()
        if amount < 0 or unit not in before
    ]
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]}: {wrong[0][1]}", wrong)
    # Through text: 1.1 + 2.2 is 3.3, not a little more.
    return {unit: _plain(exact(amount) + exact(more.get(unit, 0))) for unit, amount in before.items()}


def _plain(amount: Decimal) -> float | int:
    return int(amount) if amount == int(amount) else float(amount)


def again(
    job_id: str,
    *,
    by: str,
    priority: str | None = None,
    parameters: dict[str, Any] | None = None,
    may_exceed_budget: bool = False,
) -> Row:
    """Run a finished job once more, as a new job that names it; a waiting or running one is a Conflict.

    `parameters` replace the old ones as a whole; None keeps them. Its dead letter, if it has one, counts as dealt with.
    Of a budget that is larger than the agent's now, only those who may exceed it get the whole.
    """
    old = queries.get(job_id, full=True)
    if old["status"] not in FINAL:
        raise Conflict(f"the job is {old['status']}; only finished jobs are run again", allowed=["cancel"])
    wish = _like(old, by, priority, _given(old, parameters))
    new = lifecycle.submit(_going_on(old, order(_within_budget(wish, may_exceed_budget))))
    if old["status"] == Status.FAILED:
        dead_letters.settle_by_job(job_id, new_job_id=new["job_id"], by=by)
    return new


def _given(old: Row, parameters: dict[str, Any] | None) -> dict[str, Any]:
    """The parameters of a new job that is like an old one, opened; a mask in them means what was there before."""
    before = sealing.opened(old["parameters"], lifecycle.owner_of(old["job_id"]), "/parameters")
    if parameters is None:
        return dict(before)
    sealed = secrecy.restored(parameters, old["parameters"])
    given = sealing.opened(sealed, lifecycle.owner_of(old["job_id"]), "/parameters")
    if not secrecy.is_masked(before):
        secrecy.demand_known(given)
    return dict(given)


def _going_on(old: Row, wanted: Order) -> Order:
    """The same, from where a failed job stopped if it went by stages and is to do the same (CONT-12)."""
    by_stages = registry.demand(wanted.agent_id).runner == BY_STAGES
    if old["status"] != Status.FAILED or not by_stages or wanted.parameters != _given(old, None):
        return wanted
    return replace(wanted, checkpoint=queries.checkpoint(old["job_id"]))


def replay(
    job_id: str,
    *,
    by: str,
    parameters: dict[str, Any] | None = None,
    version: str = "pinned",
    may_exceed_budget: bool = False,
) -> Row:
    """Run a finished job again to compare: a new job that names it, with the same or other parameters.

    `version` is `pinned` (the definition it ran with) or `current`. Unlike a retry it settles nothing: a dead
    letter stays one.
    """
    old = queries.get(job_id, full=True)
    if old["status"] not in FINAL:
        raise Conflict(f"the job is {old['status']}; only finished jobs are replayed", allowed=["cancel"])
    wish = replace(
        _like(old, by, None, _given(old, parameters)),
        retry_of_job_id=None,
        replay_of_job_id=old["job_id"],
        notify=None,
        session_id=None,
    )
    wish = _within_budget(wish, may_exceed_budget)
    try:
        return lifecycle.submit(order(wish, pin=old["agent_version"] if version == "pinned" else None))
    except (NotFound, BrokenDefinition) as gone:
        if isinstance(gone, AgentNotFound):
            raise
        said = f"the definition it ran with cannot be used any more: {gone.message}"
        raise Conflict(said, allowed=["replay with the current version"]) from gone


def _within_budget(wish: Wish, may_exceed: bool) -> Wish:
    """The wish with no more of a budget than its agent has now, unless whoever asks may give more."""
    wished = wish.options.get("budget")
    if may_exceed or not wished:
        return wish
    most = registry.demand(wish.agent_id).budget or {}
    less = {unit: min(amount, most.get(unit, amount)) for unit, amount in wished.items()}
    return replace(wish, options=wish.options | {"budget": less})


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
        # Whoever asked to hear of the first one wants to hear of this one; nobody else's wishes are taken over.
        notify=old.get("notify") if by == old["submitted_by"] else None,
        correlation_id=old.get("correlation_id"),
        retry_of_job_id=old["job_id"],
        session_id=old.get("session_id"),
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
    letter["correlation_id"] = dead_letters.correlation_of(letter["job_id"])
    agent = registry.demand(letter["agent_id"])
    changes = dict(override_parameters or {})
    own = agent.schema.get("properties", {})
    options = {
        name: changes.pop(name) for name in ("timeout", "retry_after") if name in changes and name not in own
    }
    other = {"timeout": options["timeout"]} if "timeout" in options else {}
    if "retry_after" in options:
        other["run_at"] = clock.now() + _pause(options["retry_after"])
    wish = _like(
        letter, letter["submitted_by"], priority, _given(letter, letter["parameters"] | changes), **other
    )
    new = lifecycle.submit(_going_on(letter | {"status": Status.FAILED}, order(wish)))
    marked = dead_letters.mark_resubmitted(letter["dlq_id"], new_job_id=new["job_id"], by=by, force=force)
    return {"new_job_id": new["job_id"], "status": new["status"], "resubmitted_at": marked["resubmitted_at"]}


def _pause(seconds: Any) -> timedelta:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 30 * 86_400:
        raise Invalid(
            "retry_after must be 0 to 2592000 seconds", [("/override_parameters/retry_after", "seconds")]
        )
    return timedelta(seconds=seconds)
