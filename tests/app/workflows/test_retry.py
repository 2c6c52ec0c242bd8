"""A finished run again: what is done is kept, the rest is a new run's."""

from __future__ import annotations

import pytest

from app.errors import Conflict, Invalid
from app.workflows import progress, runs
from tests.acting import OWNER
from tests.app.workflows.playing import (
    breaks,
    ends,
    jobs_of,
    parallel,
    row,
    run,
    sequence,
    started,
    statuses,
    step,
)

pytestmark = pytest.mark.usefixtures("here")


def test_a_failed_run_goes_on_from_where_it_failed() -> None:
    old = started(
        step("a"), parallel("p", step("b"), step("c")), step("d", parameters={"c": "{{steps.p.output.c.n}}"})
    )
    kept = ends(old, "a", {"n": 1})
    ends(old, "c", {"n": 3})
    breaks(old, "b")
    assert run(old)["status"] == "failed"

    new = runs.retry(old, by="grace@example.com")

    run_id = new["workflow_id"]
    assert {
        "status": "running",
        "retry_of_workflow_id": old,
        "completed_steps": 2,
        "total_steps": 4,
    }.items() <= new.items()
    assert new["submitted_by"] == "grace@example.com"
    assert statuses(run_id) == {
        "a": "completed",
        "p": "running",
        "b": "running",
        "c": "completed",
        "d": "waiting",
    }
    assert (row(run_id, "a")["kept"], row(run_id, "b")["kept"], row(run_id, "p")["kept"]) == (
        True,
        False,
        False,
    )
    assert (row(run_id, "a")["job_id"], row(run_id, "a")["output"]) == (kept, {"n": 1})
    assert [job["step_id"] for job in jobs_of(run_id)] == ["b"]

    ends(run_id, "b")
    assert jobs_of(run_id, "d")[0]["parameters"] == {"c": 3}
    ends(run_id, "d")
    assert (run(run_id)["status"], run(old)["status"]) == ("completed", "failed")
    assert not progress.job_settled(kept)


def test_from_a_step_on_all_that_follows_is_done_again() -> None:
    old = started(step("a"), parallel("p", step("b"), sequence("s", step("c"), step("d"))), step("e"))
    for name in ("a", "b", "c", "d", "e"):
        ends(old, name)

    run_id = runs.retry(old, by=OWNER, from_step="c")["workflow_id"]

    assert statuses(run_id) == {
        "a": "completed", "p": "running", "b": "completed", "s": "running", "c": "running", "d": "waiting", "e": "waiting",
    }  # fmt: skip
    for name in ("c", "d", "e"):
        ends(run_id, name)
    assert run(run_id)["status"] == "completed"


def test_a_map_that_is_done_again_is_made_anew_and_an_item_alone() -> None:
    a_map = {"step_id": "m", "type": "map", "over": "{{steps.a.output.l}}", "step": step("i")}
    old = started(step("a"), a_map)
    ends(old, "a", {"l": [1, 2]})
    ends(old, "i[0]")
    ends(old, "i[1]")

    whole = runs.retry(old, by=OWNER, from_step="a")["workflow_id"]
    assert statuses(whole) == {"a": "running", "m": "waiting"}
    ends(whole, "a", {"l": [1, 2, 3]})
    assert statuses(whole)["i[2]"] == "running"

    one = runs.retry(old, by=OWNER, from_step="i[1]")["workflow_id"]
    assert statuses(one) == {"a": "completed", "m": "running", "i[0]": "completed", "i[1]": "running"}


def test_a_cancelled_run_goes_on_with_what_was_cancelled() -> None:
    old = started(step("a"), step("b"), step("c", continue_on_failure=True))
    ends(old, "a")
    runs.cancel(old)

    run_id = runs.retry(old, by=OWNER)["workflow_id"]

    assert statuses(run_id) == {"a": "completed", "b": "running", "c": "waiting"}


def test_what_is_not_over_or_has_nothing_left_to_do_is_refused() -> None:
    run_id = started(step("a"))
    with pytest.raises(Conflict, match="only finished runs"):
        runs.retry(run_id, by=OWNER)
    ends(run_id, "a")
    with pytest.raises(Conflict, match="name the step"):
        runs.retry(run_id, by=OWNER)
    with pytest.raises(Invalid):
        runs.retry(run_id, by=OWNER, from_step="zz")


def test_a_step_of_a_case_that_was_not_taken_cannot_be_the_first() -> None:
    branch = {
        "step_id": "b", "type": "branch", "cases": [{"when": "1 == 2", "steps": [step("no")]}], "default": [step("yes")],
    }  # fmt: skip
    old = started(branch)
    ends(old, "yes")

    with pytest.raises(Invalid, match="was skipped"):
        runs.retry(old, by=OWNER, from_step="no")
    assert statuses(runs.retry(old, by=OWNER, from_step="b")["workflow_id"])["yes"] == "running"


def test_only_ones_own_wish_to_be_told_is_taken_over() -> None:
    told = {"notify": {"callback_url": "https://ada.example/hook", "emails": ["ada@example.com"]}}
    old = started(step("a"), told=told)
    breaks(old, "a")

    assert run(runs.retry(old, by=OWNER)["workflow_id"])["notify"] == told["notify"]
    assert run(runs.retry(old, by="grace@example.com")["workflow_id"])["notify"] is None
