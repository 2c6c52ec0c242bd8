"""The one status document: whole for those who may see it, and never changed without its version."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import clock
from app.accounts.permissions import Principal
from app.agents import registry
from app.db import db
from app.errors import PermanentError, TemporaryError
from app.jobs import document, lifecycle, queries, timeline
from app.jobs.claims import Claim
from app.jobs.states import FINAL, Priority, Reason, Status
from app.jobs.timeline import Line, Report
from app.polling.hints import Pace
from tests import acting

pytestmark = pytest.mark.usefixtures("here")

OWNER = Principal(user_id=acting.OWNER, email=acting.OWNER, role="user")
ADMIN = Principal(user_id="root", email="root", role="admin")
VIEWER = Principal(user_id="v", email="v", role="viewer")
STRANGER = Principal(user_id="s", email="s", role="user")
PACE = Pace()


def _shown(job_id: str, who: Principal = OWNER, **wish: Any) -> dict[str, Any]:
    return document.document(queries.get(job_id, full=True), who, PACE, **wish)


def test_ids_are_the_same_under_both_names() -> None:
    job_id = acting.submitted()
    shown = _shown(job_id)
    assert shown["job_id"] == shown["task_id"] == job_id


@pytest.mark.parametrize("where", Status)
def test_what_can_be_done_is_what_the_verbs_accept(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    expected = (
        ["retry", "replay"]
        if where in FINAL
        else ["cancel"]
        if where == Status.RUNNING
        else ["cancel", "answer"]
        if where == Status.AWAITING_INPUT
        else ["cancel", "change_priority"]
    )
    assert _shown(job_id)["actions"] == _shown(job_id, ADMIN)["actions"] == expected
    assert _shown(job_id, VIEWER)["actions"] == _shown(job_id, STRANGER)["actions"] == []


@pytest.mark.parametrize("where", Status)
def test_times_reasons_and_hints_fit_the_status(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    shown = _shown(job_id)
    assert shown["poll"]["terminal"] is (where in FINAL)
    assert (shown["completed_at"] is not None) is (where in (Status.COMPLETED, Status.FAILED))
    assert (shown["cancelled_at"] is not None) is (where == Status.CANCELLED)
    assert (shown["next_retry_at"] is not None) is (where == Status.RETRY)
    assert (shown["scheduled_for"] is not None) is (where == Status.PENDING)
    assert (shown["queue_position"] is not None) is (where in (Status.PENDING, Status.QUEUED, Status.RETRY))
    assert shown["dead_lettered"] is (where == Status.FAILED)


def test_a_viewer_sees_the_state_and_none_of_the_content() -> None:
    claim = acting.claimed("test-echo", parameters={"secret": "the-content"}, task_name="Name")
    timeline.write(
        Report(
            job_id=claim.job_id, fence=1, lease_id=claim.lease_id,
            lines=[Line(at=clock.now(), kind="log", level="info", source="a", message="the-content")],
        )
    )  # fmt: skip
    lifecycle.fail(claim, PermanentError("the-content"), Reason.PERMANENT, "the-content")
    for who in (VIEWER, STRANGER):
        assert "the-content" not in str(_shown(claim.job_id, who, log_lines=10))
        assert "the-content" not in str(document.brief(queries.get(claim.job_id), who))
        assert _shown(claim.job_id, who)["error"]["type"] == "PermanentError"
    for who in (OWNER, ADMIN):
        shown = _shown(claim.job_id, who, log_lines=10)
        assert shown["parameters"] == {"secret": "the-content"}
        assert (
            shown["stack_trace"] == shown["error"]["message"] == shown["logs"][0]["message"] == "the-content"
        )


def test_logs_after_a_cursor_are_only_the_new_ones() -> None:
    claim = acting.claimed()
    for n in range(3):
        timeline.write(_said(claim, f"line {n}"))
    shown = _shown(claim.job_id, log_after=1)
    assert [line["message"] for line in shown["logs"]] == ["line 1", "line 2"]
    assert shown["log_cursor"] == 3


def test_the_tag_tells_who_may_see_content_from_who_may_not() -> None:
    row = queries.version(acting.claimed().job_id)
    assert row is not None
    assert len({document.etag(row, who) for who in (OWNER, ADMIN, VIEWER)}) == 3
    assert document.etag(row, OWNER) != document.etag(row, STRANGER)


def _said(claim: Claim, message: str, **news: Any) -> Report:
    line = Line(at=clock.now(), kind="log", level="info", source="a", message=message)
    return Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=[line], **news)


# What moves by itself, without the job changing.
_MOVING = ("timestamp", "poll", "queue_position", "estimated_wait_time_seconds", "version")

DOING = st.sampled_from(
    (
        "claim",
        "cancel",
        "priority",
        "news",
        "lines",
        "retry",
        "release",
        "lose",
        "complete",
        "fail",
        "promote",
        "due",
        "run_now",
    )
)


@settings(max_examples=60, derandomize=True, database=None)
@given(st.lists(DOING, min_size=3, max_size=12), st.booleans())
def test_the_version_changes_whenever_the_document_would(steps: list[str], later: bool) -> None:
    db.run("DELETE FROM jobs")
    job_id = acting.submitted(due_in=60 if later else 0)
    holder: list[Claim] = []
    before = _shown(job_id)
    for n, step in enumerate(steps):
        _do(step, job_id, holder, n)
        after = _shown(job_id)
        changed = [k for k in after if k not in _MOVING and after[k] != before[k]]
        assert not changed or after["version"] > before["version"], (step, changed)
        assert after["version"] >= before["version"]
        before = after


def _do(step: str, job_id: str, holder: list[Claim], n: int) -> None:
    try:
        match step:
            case "claim":
                holder += [c for c in [acting.claim()] if c]
            case "cancel":
                lifecycle.cancel(job_id)
            case "priority":
                lifecycle.change_priority(job_id, Priority(n % 4))
            case "promote":
                lifecycle.promote()
            case "run_now":
                lifecycle.run_now(job_id)
            case "due":
                db.run(
                    "UPDATE jobs SET run_at = now(), version = version + 1 WHERE status IN ('pending', 'retry')"
                )
            case _ if holder:
                _say(step, holder[-1], n)
    except Exception as refused:
        if type(refused).__name__ not in ("Conflict", "LostLease"):
            raise


def _say(step: str, claim: Claim, n: int) -> None:
    match step:
        case "news":
            timeline.write(
                Report(
                    job_id=claim.job_id,
                    fence=claim.fence,
                    lease_id=claim.lease_id,
                    progress=n,
                    usage={"n": n},
                )
            )
        case "lines":
            timeline.write(_said(claim, str(n)))
        case "retry":
            lifecycle.retry_later(claim, TemporaryError(str(n)), 0)
        case "release":
            lifecycle.release(claim)
        case "lose" if acting.status(claim.job_id) == "running":
            acting.rescue(claim, max_lost=9)
        case "complete":
            lifecycle.complete(claim, {"n": n})
        case "fail":
            lifecycle.fail(claim, PermanentError(str(n)), Reason.PERMANENT)


def _noticed(claim: Claim, **watchdog: str) -> None:
    timeline.write(Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, watchdog=watchdog))


def test_what_the_watchdog_noticed_is_shown_while_the_job_runs_its_words_only_to_its_own() -> None:
    claim = acting.claimed()
    assert _shown(claim.job_id)["watchdog"] is None
    before = queries.get(claim.job_id)["version"]
    seen = {"state": "stalled", "since": "2026-11-21T10:00:00.000Z", "last": "Bash npm test"}
    _noticed(claim, **seen)
    assert queries.get(claim.job_id)["version"] == before + 1
    assert _shown(claim.job_id)["watchdog"] == _shown(claim.job_id, ADMIN)["watchdog"] == seen
    assert _shown(claim.job_id, VIEWER)["watchdog"] == seen | {"last": None}
    lifecycle.release(claim)
    assert _shown(claim.job_id)["watchdog"] is None
    again = acting.claim()
    assert again is not None
    assert _shown(again.job_id)["watchdog"] is None


def test_a_held_job_says_what_it_waits_for_and_promises_no_time_it_does_not_know() -> None:
    claim = acting.claimed()
    until = clock.now() + timedelta(hours=2)
    lifecycle.hold(claim, Reason.PROVIDER_OPEN, until, "anthropic rests")
    shown = _shown(claim.job_id)
    assert (shown["status"], shown["status_reason"], shown["retry_count"]) == ("retry", "provider_open", 0)
    assert (shown["held"]["reason"], shown["held"]["message"]) == ("provider_open", "anthropic rests")
    assert abs(shown["held"]["until"] - until) < timedelta(milliseconds=1)
    assert (shown["next_retry_at"], shown["agent_hold"]) == (None, None)

    db.run("UPDATE jobs SET run_at = now() WHERE job_id = %(id)s", id=claim.job_id)
    again = acting.claim()
    assert again is not None
    assert _shown(again.job_id)["held"] is None
    lifecycle.hold(again, Reason.BUDGET, None, "the budget is spent")
    assert _shown(again.job_id)["held"] == {
        "reason": "budget",
        "message": "the budget is spent",
        "until": None,
    }
    assert [a["error"]["code"] for a in timeline.attempts(claim.job_id)] == ["provider_open", "budget"]


def test_what_holds_the_agent_is_shown_with_its_waiting_jobs_only() -> None:
    acting.agent("spender")
    running = acting.claimed("spender")
    waiting = acting.submitted("spender")
    registry.hold("spender", "budget", "spent", until=None)
    assert _shown(waiting)["agent_hold"] == {"reason": "budget", "message": "spent", "until": None}
    assert _shown(running.job_id)["agent_hold"] is None
