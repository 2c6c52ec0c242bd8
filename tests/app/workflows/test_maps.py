"""One step for each item of a list."""

from __future__ import annotations

from typing import Any

import pytest

from app.workflows import progress
from tests.app.workflows.playing import (
    breaks,
    ends,
    halts,
    jobs_of,
    parallel,
    row,
    run,
    sequence,
    started,
    statuses,
    step,
    taken,
)

pytestmark = pytest.mark.usefixtures("here")


def a_map(inner: Any = None, **keys: Any) -> dict[str, Any]:
    repeated = inner or step("resize", parameters={"file": "{{item.file}}", "n": "{{index}}"})
    return {"step_id": "all", "type": "map", "over": "{{inputs.files}}", "step": repeated} | keys


def files(*names: str) -> dict[str, Any]:
    return {"files": [{"file": name} for name in names]}


def test_each_item_is_a_step_and_the_output_their_list() -> None:
    run_id = started(
        a_map(), step("z", parameters={"all": "{{steps.all.output}}", "b": "{{steps.all.output[1].n}}"}),
        inputs=files("a", "b"),
    )  # fmt: skip
    assert statuses(run_id) == {
        "all": "running",
        "resize[0]": "running",
        "resize[1]": "running",
        "z": "waiting",
    }
    assert [job["parameters"] for job in jobs_of(run_id)] == [{"file": "a", "n": 0}, {"file": "b", "n": 1}]

    ends(run_id, "resize[1]", {"n": 2})
    ends(run_id, "resize[0]", {"n": 1})

    assert jobs_of(run_id, "z")[0]["parameters"] == {"all": [{"n": 1}, {"n": 2}], "b": 2}
    assert (run(run_id)["completed_steps"], run(run_id)["total_steps"]) == (1, 2)


def test_a_list_from_an_earlier_step_is_known_only_then() -> None:
    run_id = started(
        step("find"),
        a_map(over="{{steps.find.output.found}}", inner=step("do", parameters={"x": "{{item}}"})),
    )

    ends(run_id, "find", {"found": [1, None, "c"]})

    assert [job["parameters"]["x"] for job in jobs_of(run_id)[1:]] == [1, None, "c"]


def test_nothing_to_do_is_done() -> None:
    run_id = started(a_map(), step("z", parameters={"all": "{{steps.all.output}}"}), inputs={"files": []})

    assert statuses(run_id) == {"all": "completed", "z": "running"}
    assert jobs_of(run_id, "z")[0]["parameters"] == {"all": []}


@pytest.mark.parametrize(("over", "said"), [("text", "must be a list"), (list(range(1001)), "at most 1,000")])
def test_what_is_no_list_or_too_long_a_list_fails_the_step(over: Any, said: str) -> None:
    run_id = started(a_map(), inputs={"files": over})

    assert run(run_id)["status"] == "failed"
    assert said in row(run_id, "all")["error"]["message"]


def test_so_many_at_once() -> None:
    run_id = started(a_map(max_parallel=2), inputs=files("a", "b", "c", "d"))

    assert [name for name, status in statuses(run_id).items() if status == "running"] == [
        "all",
        "resize[0]",
        "resize[1]",
    ]
    ends(run_id, "resize[1]")
    assert statuses(run_id)["resize[2]"] == "running"
    assert statuses(run_id)["resize[3]"] == "waiting"


def test_enough_of_them_are_enough() -> None:
    run_id = started(
        a_map(min_success=2),
        step("z", parameters={"all": "{{steps.all.output}}"}),
        inputs=files("a", "b", "c"),
    )

    breaks(run_id, "resize[0]")
    ends(run_id, "resize[1]", {"n": 1})
    assert statuses(run_id)["all"] == "running"
    ends(run_id, "resize[2]", {"n": 2})

    assert statuses(run_id)["all"] == "completed"
    assert jobs_of(run_id, "z")[0]["parameters"] == {"all": [None, {"n": 1}, {"n": 2}]}


def test_once_too_many_failed_the_rest_is_cancelled() -> None:
    run_id = started(a_map(min_success=3, max_parallel=3), inputs=files("a", "b", "c", "d"))
    taken(run_id, "resize[2]")

    breaks(run_id, "resize[0]", "no such file")
    assert statuses(run_id)["resize[3]"] == "running"
    breaks(run_id, "resize[1]")

    assert statuses(run_id) == {
        "all": "running", "resize[0]": "failed", "resize[1]": "failed", "resize[2]": "running", "resize[3]": "cancelled",
    }  # fmt: skip
    halts(run_id, "resize[2]")
    assert run(run_id)["status"] == "failed"
    assert row(run_id, "all")["error"]["message"].startswith(
        "0 of 4 items succeeded, 3 had to; step resize[0] failed"
    )
    assert run(run_id)["error"] == {
        "step_id": "resize[0]",
        "type": "PermanentError",
        "message": "no such file",
    }


def test_steps_of_an_item_see_their_own_item() -> None:
    inner = sequence(
        "work",
        step("fetch", parameters={"file": "{{item.file}}"}),
        parallel(
            "both", step("x", parameters={"got": "{{steps.fetch.output.n}}", "i": "{{index}}"}), step("y")
        ),
    )
    run_id = started(step("before"), a_map(inner), inputs=files("a", "b"))
    ends(run_id, "before")
    assert statuses(run_id)["work[1]"] == "running"

    ends(run_id, "fetch[1]", {"n": "second"})

    assert [job["step_id"] for job in jobs_of(run_id)] == ["before", "fetch[0]", "fetch[1]", "x[1]", "y[1]"]
    assert jobs_of(run_id, "x[1]")[0]["parameters"] == {"got": "second", "i": 1}
    ends(run_id, "x[1]", {"n": "x"})
    ends(run_id, "y[1]", {"n": "y"})
    assert (statuses(run_id)["work[1]"], statuses(run_id)["work[0]"]) == ("completed", "running")
    ends(run_id, "fetch[0]", {"n": "first"})
    ends(run_id, "x[0]")
    ends(run_id, "y[0]")
    assert run(run_id)["output"] == [
        {"x": {"ok": True}, "y": {"ok": True}},
        {"x": {"n": "x"}, "y": {"n": "y"}},
    ]


def test_a_second_round_repeats_the_items_that_failed_and_no_others() -> None:
    run_id = started(a_map(), inputs=files("a", "b"), on_failure={"retry_workflow": True})
    ends(run_id, "resize[0]", {"n": 0})

    breaks(run_id, "resize[1]")

    assert statuses(run_id) == {"all": "running", "resize[0]": "completed", "resize[1]": "running"}
    ends(run_id, "resize[1]", {"n": 1})
    assert run(run_id)["output"] == [{"n": 0}, {"n": 1}]
    assert not progress.advance(run_id)


def test_an_item_can_be_skipped_by_what_it_is_and_by_what_its_own_steps_found() -> None:
    inner = sequence(
        "work", step("look"), step("mend", when="{{steps.look.output.bad}} and {{item.file}} != 'b'")
    )
    run_id = started(a_map(inner), inputs=files("a", "b", "c"))

    for n, bad in enumerate((True, True, False)):
        ends(run_id, f"look[{n}]", {"bad": bad})

    found = statuses(run_id)
    assert [found[f"mend[{n}]"] for n in range(3)] == ["running", "skipped", "skipped"]
    ends(run_id, "mend[0]", {"n": 0})
    assert run(run_id)["output"] == [{"n": 0}, {"bad": True}, {"bad": False}]
