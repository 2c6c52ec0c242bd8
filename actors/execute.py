"""One attempt of one job, top to bottom: claim, run, settle. Nothing else runs a job.

What may happen is in app/jobs/lifecycle.py; here is how. A failed attempt leaves as AttemptFailed and is decided
by the middleware (retry, dead_letter); every other ending is settled here.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from actors import followups
from actors.attempt import FIRST_PAUSE, LONGEST_PAUSE, Attempt
from actors.clearance import Clearance
from actors.confidential import Confidential
from actors.desk import Desk
from actors.gatekeeper import gate_of, is_gated, result_of
from actors.post import REFUSED, Post
from actors.purse import Purse
from actors.runners import get as runner_named
from actors.runners.base import Work
from actors.spans import AttemptSpan, attempt_span
from actors.watchdog import watchdog_for
from app.accounts import queries as accounts
from app.accounts import run_tokens
from app.agents import registry
from app.agents.definition import Definition
from app.approvals import asking
from app.db import AWAY, db, dumps
from app.errors import (
    Asked,
    Cancelled,
    Held,
    Invalid,
    JobError,
    LostLease,
    PermanentError,
    Released,
    TemporaryError,
    WaitsForJobs,
)
from app.jobs import claims, delegation, lifecycle, queries, timeline
from app.jobs.claims import Claim
from app.jobs.lifecycle import Success
from app.jobs.states import Priority, Reason
from app.observe import correlation, logs, metrics
from app.settings import Settings

log = logs.get("execute")

Found = TypeVar("Found")

LARGEST_RESULT = 1_000_000
# Of a result that was stopped and is larger: characters of a text, and bytes of any part, that are kept.
LONGEST_TEXT, LONGEST_PART = 50_000, 300_000
LONGEST_TOLD = 500
"""Characters of a question in the story; the question itself has them all."""
USES_PROVIDERS = ("llm", "pipeline")
SPEAKS_HTTP = ("command", "cli")
"""Runners whose agents are programs: those that delegate get a token for the API."""
TOKEN_MARGIN = timedelta(minutes=1)


class AttemptFailed(Exception):
    """An attempt failed; carries all that the retry and dead-letter middleware need."""

    def __init__(
        self, post: Post, claim: Claim, definition: Definition | None, error: JobError, trace: str
    ) -> None:
        """`definition` is None if not even that could be read; `settled` tells the next hook to leave it alone."""
        super().__init__(error.message)
        self.partial: dict[str, Any] | None = None
        self.post, self.claim, self.definition, self.error, self.trace = post, claim, definition, error, trace
        self.settled = False

    def without(self, hide: Callable[[Any], Any]) -> None:
        """Take the secrets of the attempt out of what is written of its failure."""
        self.error.message, self.trace = hide(self.error.message), hide(self.trace)
        self.error.details = hide(self.error.details)


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, other than by failing."""

    settle: Callable[[], None]
    word: str
    reason: str | None = None
    """Why it is held."""


def run_next(post: Post) -> bool:
    """Claim the best job and see it through; False when there was nothing to claim. Raises AttemptFailed."""
    claim = _claim(post)
    if claim is None:
        return False
    correlation.bind(claim.correlation_id)  # also for what the middleware says of a failure
    with attempt_span(claim, post.worker_id) as span:
        _see_through(post, claim, span)
        followups.of(claim)
    return True


def _see_through(post: Post, claim: Claim, span: AttemptSpan) -> None:
    attempt: Attempt | None = None
    began, outcome = time.monotonic(), "failed"
    log.info("attempt.began", job_id=claim.job_id, agent_id=claim.agent_id, attempt=claim.fence)
    try:
        definition = _definition(post, claim)
        attempt = _open(post, claim, definition)
        ending = _run(post, attempt, definition)
        _write_news(attempt)
        settle(post, claim, ending.settle)
        outcome = ending.word
        span.ended(ending.word, ending.reason)
        log.info("attempt.ended", job_id=claim.job_id, agent_id=claim.agent_id, attempt=claim.fence,
                 outcome=ending.word, seconds=round(time.monotonic() - began, 3))  # fmt: skip
    except LostLease:
        outcome = "lost"
        span.ended("lost")
        log.warning("attempt.lost", job_id=claim.job_id, attempt=claim.fence)
    except AttemptFailed as failed:
        span.failed(failed.error)
        if attempt:
            failed.partial = kept_of(attempt.as_kept(attempt.partial_result))
            failed.without(attempt.hide)
            _write_news(attempt)
        raise
    finally:
        metrics.count(metrics.ATTEMPTS, claim.agent_id, outcome)
        metrics.observe(metrics.ATTEMPT_SECONDS, time.monotonic() - began, claim.agent_id)
        if attempt:
            post.leave(attempt)
            attempt.close()


def _claim(post: Post) -> Claim | None:
    began = time.monotonic()
    claim = post.claim()
    if claim is not None:
        metrics.observe(metrics.CLAIM_SECONDS, time.monotonic() - began)
        metrics.observe(metrics.WAIT_SECONDS, claim.waited_seconds, Priority(claim.priority_rank).word)
    return claim


def _definition(post: Post, claim: Claim) -> Definition:
    try:
        return hold_on(post, claim, lambda: post.definition(claim.agent_id, claim.agent_version))
    except LostLease:
        raise
    except Exception as broken:
        error = PermanentError(f"the definition of {claim.agent_id} cannot be used: {broken}")
        raise AttemptFailed(post, claim, None, error, traceback.format_exc()) from broken


def _open(post: Post, claim: Claim, definition: Definition) -> Attempt:
    s = post.settings
    hard = time_limit(s.job_time_limit_seconds, s.cli_timeout_seconds, claim, definition)
    attempt = Attempt(
        claim,
        store=post.store,
        timeout_seconds=hard,
        soft_seconds=min(s.job_soft_limit_seconds, hard * 0.92),
        max_lines=s.max_log_lines,
        drain=post.draining,
    )
    attempt.watchdog = watchdog_for(definition)
    if definition.ours.delegation:
        attempt.may_delegate(
            delegation.Limits(depth=s.delegation_max_depth, children=s.delegation_max_children)
        )
        attempt.token = token_for(s, claim, definition, life_seconds=hard)
    asks_models = definition.ours.runner in USES_PROVIDERS or is_gated(definition, claim)
    asks_models |= definition.runner_config.get("asks_models") is True
    attempt.desk = Desk(post, claim) if asks_models else None
    post.enter(attempt)
    return attempt


def time_limit(most: int, command_default: int, claim: Claim, definition: Definition) -> float:
    """Seconds an attempt may take: the job's wish, else the agent's, else the runner's; never over the hard limit."""
    own = definition.ours.timeout or (
        command_default if definition.ours.runner in ("command", "cli") else most
    )
    return float(min(most, claim.options.get("timeout") or own))


def _run(post: Post, attempt: Attempt, definition: Definition) -> Ending:
    claim = attempt.claim
    try:
        attempt.confidential = Confidential(claim, definition, post.settings, attempt.token)
        clearance = hold_on(post, claim, lambda: cleared(claim, definition))
        attempt.clearance = clearance
        whole = clearance.minds_spending
        attempt.purse = Purse.open(post, claim, definition, attempt.event, whole=whole)
        work = _work(post, attempt, definition)
        gate = hold_on(post, claim, lambda: gate_of(definition, claim, attempt))
        hold_on(post, claim, lambda: _demand_it_is_ours(post, claim))
        result = result_of(runner_named(definition.ours.runner), work, attempt, gate, demanded)
        if definition.ours.produced_by:
            result = result | {"produced_by": definition.ours.produced_by}
        kept = attempt.as_kept(result)
        return Ending(lambda: _complete(post, definition, _success(attempt, kept)), "completed")
    except LostLease:
        raise
    except Cancelled:
        if attempt.lost:
            raise LostLease from None
        return Ending(quickly(lambda: lifecycle.stop(claim)), "cancelled")
    except Released:
        return Ending(quickly(lambda: lifecycle.release(claim)), "released")
    except Held as held:
        return Ending(quickly(partial(_hold, claim, held)), "held", held.reason)
    except Asked as asked:
        attempt.event("asked", f"Asks: {str(asked)[:LONGEST_TOLD]}", by=asked.question.get("kind", "agent"))
        return Ending(partial(_ask, post, attempt, definition, asked), "asked")
    except JobError as error:
        trace = str(error.details.get("traceback") or traceback.format_exc())
        raise AttemptFailed(post, claim, definition, error, trace) from error
    except Exception as unexpected:
        kind = type(unexpected).__name__
        failure = TemporaryError(str(unexpected)[:2000] or kind, details={"type": kind})
        raise AttemptFailed(post, claim, definition, failure, traceback.format_exc()) from unexpected


def _demand_it_is_ours(post: Post, claim: Claim) -> None:
    """Raise LostLease if the claim is gone: a Postgres that crashed may have lost it, and another worker begun.

    Asks only where a connection broke within a lease: whoever prepares an attempt while Postgres is away begins late.
    """
    if time.monotonic() - db.broke_at > post.settings.lease_seconds:
        return
    with db.quick():
        heard = claims.beat([claim], lease_seconds=post.settings.lease_seconds, extend=False)
    if not heard[claim.job_id, claim.fence].held:
        raise LostLease(f"job {claim.job_id} was taken back before it began")


def _success(attempt: Attempt, result: dict[str, Any]) -> Success:
    return Success(attempt.claim, result, attempt.amounts, attempt.verdict, attempt.score)


def cleared(claim: Claim, definition: Definition) -> Clearance:
    """What the attempt may do unasked, once it may start; raises Asked, or NotPermitted."""
    clearance = Clearance(claim, definition)
    clearance.before_start()
    return clearance


def _ask(post: Post, attempt: Attempt, definition: Definition, asked: Asked) -> None:
    """The job waits, its checkpoint is kept and the question is put, or none of it."""
    claim, report = attempt.claim, attempt.take_report()
    try:
        with db.transaction():
            if not report.is_empty:
                timeline.write(report)
            if lifecycle.wait_for_answer(claim):
                asking.ask_for_job(claim, attempt.hide(asked.question))
    except AWAY:
        attempt.put_back(report)
        raise
    except (Invalid, *REFUSED) as refused:
        error = PermanentError(f"the question cannot be kept: {refused}"[:2000])
        raise AttemptFailed(post, claim, definition, error, traceback.format_exc()) from refused


def _hold(claim: Claim, held: Held) -> None:
    if held.agent_wide:
        registry.hold(claim.agent_id, held.reason, held.message, until=held.until, subject=held.subject)
    with db.transaction():
        lifecycle.hold(claim, Reason(held.reason), held.until, held.message)
        if isinstance(held, WaitsForJobs):
            delegation.wake_if_over(claim.job_id, held.job_ids)


def token_for(s: Settings, claim: Claim, definition: Definition, *, life_seconds: float) -> str | None:
    """What an agent in a program of its own asks the API with; None for others, and for owners who are no users."""
    if definition.ours.runner not in SPEAKS_HTTP or not accounts.is_id(claim.submitted_by):
        return None
    life = timedelta(seconds=life_seconds) + TOKEN_MARGIN
    return run_tokens.issue(claim.job_id, claim.fence, claim.submitted_by, key=s.token_keys[0], life=life)


def _work(post: Post, attempt: Attempt, definition: Definition) -> Work:
    s, claim = post.settings, attempt.claim
    return Work(
        job_id=claim.job_id,
        attempt=claim.fence,
        agent_id=claim.agent_id,
        parameters=attempt.confidential.parameters if attempt.confidential else claim.parameters,
        config={"model": definition.extra.get("model"), "tools": definition.extra.get("tools")}
        | definition.runner_config
        | {
            "instructions": definition.instructions,
            "description": definition.description,
            "providers": definition.ours.providers,
            "output_schema": definition.ours.output,
            "budget_usd_left": attempt.purse.usd_left if attempt.purse else None,
            "workspace_roots": [str(root) for root in s.workspace_roots],
            "execute_roots": [str(root) for root in s.execute_roots],
            "http_allow_private": s.http_allow_private,
        }
        | ({"delegates_to": _delegates_to(post, claim, definition)} if definition.ours.delegation else {})
        | ({"content": s.content_services} if definition.ours.runner == "pipeline" else {}),
        timeout_seconds=attempt.deadline - attempt.started,
        soft_seconds=attempt.soft_deadline - attempt.started,
        memory_mb=s.job_memory_mb,
        idempotency_key=claim.idempotency_key,
        access={"CALLBOARD_URL": s.public_url, "CALLBOARD_JOB_TOKEN": attempt.token} if attempt.token else {},
        root_job_id=_root(post, claim) if definition.ours.runner == "pipeline" else None,
    )


def _delegates_to(post: Post, claim: Claim, definition: Definition) -> dict[str, str]:
    def look() -> dict[str, str]:
        with db.quick():
            return delegation.may_go_to(definition)

    return hold_on(post, claim, look)


def _root(post: Post, claim: Claim) -> str:
    def look() -> str:
        with db.quick():
            return queries.root(claim.job_id)

    return hold_on(post, claim, look)


def demanded(result: Any) -> dict[str, Any]:
    """The same result; PermanentError for one that cannot be kept."""
    if not isinstance(result, dict):
        raise PermanentError(f"the agent answered {type(result).__name__}; a result must be a JSON object")
    if (size := len(dumps(result))) > LARGEST_RESULT:
        raise PermanentError(
            f"the result has {size} bytes; at most {LARGEST_RESULT} are kept: leave large output as an artifact"
        )
    return result


def kept_of(so_far: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is kept of a result that was stopped: all of it, or of one that is too large its short parts."""
    if so_far is None or (size := len(dumps(so_far))) <= LARGEST_RESULT:
        return so_far
    parts = (
        (name, value[:LONGEST_TEXT] if isinstance(value, str) else value) for name, value in so_far.items()
    )
    short = {name: value for name, value in parts if len(dumps(value)) <= LONGEST_PART}
    note = {"cut": f"the result so far had {size} bytes; at most {LARGEST_RESULT} are kept"}
    return note if len(dumps(short)) > LARGEST_RESULT else short | note


def _write_news(attempt: Attempt) -> None:
    """What the agent said last goes in before the settle, so that the log is whole when the job is final."""
    report = attempt.take_report()
    if attempt.claim.parent_job_id and attempt.purse:
        attempt.purse.look()  # what it used is its parent's to know as soon as it has ended
    if not report.is_empty and not attempt.lost:
        try:
            with db.quick():
                timeline.write(report)
        except AWAY:
            attempt.put_back(report)
        except Exception:
            log.exception("report.refused", job_id=attempt.claim.job_id, attempt=attempt.claim.fence)


def quickly(verb: Callable[[], None]) -> Callable[[], None]:
    """`verb` in a transaction of its own, with its bells rung after the commit."""

    def do() -> None:
        with db.quick():
            verb()

    return do


def _complete(post: Post, definition: Definition, success: Success) -> None:
    kept = post.completed(success)
    if isinstance(kept, Exception):  # say, a NUL in a text: no later attempt would fare better
        error = PermanentError(f"the result cannot be stored: {kept}"[:2000])
        raise AttemptFailed(post, success.claim, definition, error, "") from kept
    if not kept:
        raise LostLease


def settle(post: Post, claim: Claim, verb: Callable[[], None]) -> None:
    """Write an outcome; while Postgres is away hold it and try again. LostLease: another worker owns the job."""
    began = time.monotonic()
    hold_on(post, claim, verb)
    metrics.observe(metrics.SETTLE_SECONDS, time.monotonic() - began)


def hold_on(post: Post, claim: Claim, do: Callable[[], Found]) -> Found:
    """Do something for an attempt in hand, again and again while Postgres is away, however long that is.

    While it is away nobody can take the job over, and after that its worker has a whole lease to speak up: who
    gives up earlier throws work away, and the job is called lost though its worker lives. LostLease is raised
    when Postgres refuses for a whole lease while it hears our heartbeats.
    """
    pause, give_up = FIRST_PAUSE, time.monotonic() + post.settings.lease_seconds
    while True:
        try:
            return do()
        except AWAY as away:
            if post.lease_doubtful:
                give_up = time.monotonic() + post.settings.lease_seconds
            elif time.monotonic() > give_up:
                raise LostLease(f"Postgres does not take the outcome of job {claim.job_id}") from away
            log.warning("settle.waits", job_id=claim.job_id, error=type(away).__name__)
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
