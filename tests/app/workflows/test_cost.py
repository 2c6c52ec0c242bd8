"""What one step forward costs: statements, and time where there are many steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.db import Database, db
from app.jobs import lifecycle
from app.workflows import document, progress, rows, runs
from tests.app.workflows.playing import claim_of, jobs_of, parallel, row, run, started, step

pytestmark = pytest.mark.usefixtures("here")


@contextmanager
def counting() -> Iterator[list[str]]:
    """The statements sent meanwhile, those about registries that are kept for seconds left out."""
    sent: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rows", "row", "value", "run"):
            plain = getattr(Database, name)

            def noted(self: Database, statement: str, _plain: Any = plain, **values: object) -> Any:
                if "FROM agents" not in statement:
                    sent.append(" ".join(statement.split())[:90])
                return _plain(self, statement, **values)

            patch.setattr(Database, name, noted)
        yield sent


def _settled(run_id: str, step_id: str) -> str:
    claim = claim_of(run_id, step_id)
    lifecycle.complete(claim, {"n": step_id})
    return claim.job_id


def test_one_step_forward_is_ten_statements_however_wide() -> None:
    wide = [step(f"w{n}", parameters={"n": "{{steps.a.output.n}}"}) for n in range(50)]
    narrow_run, wide_run = (
        started(step("a"), step("b", parameters={"n": "{{steps.a.output.n}}"})),
        started(step("a"), parallel("p", *wide)),
    )
    costs = []
    for run_id in (narrow_run, wide_run):
        job_id = _settled(run_id, "a")
        with counting() as sent:
            progress.job_settled(job_id)
        costs.append(len(sent))
        assert len(sent) <= 12, sent
    assert costs[1] - costs[0] <= 2, "a container and what is in it are one more look"
    assert len(jobs_of(wide_run)) == 51


def test_hearing_of_a_settled_step_again_is_one_statement() -> None:
    run_id = started(step("a"), step("b"))
    progress.job_settled(job_id := _settled(run_id, "a"))

    with counting() as sent:
        progress.job_settled(job_id)
    assert len(sent) == 1


def test_outputs_that_nobody_names_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[set[str]] = []
    outputs = rows.outputs
    monkeypatch.setattr(
        rows, "outputs", lambda run_id, names: read.append(set(names)) or outputs(run_id, names)
    )
    run_id = started(
        step("a"),
        step("b"),
        step("c", parameters={"a": "{{steps.a.output.n}}", "s": "{{steps.b.status}}"}),
        output="x",
    )
    for name in ("a", "b", "c"):
        progress.job_settled(_settled(run_id, name))

    assert read == [{"a"}]


def test_references_to_more_than_a_step_can_hold_fail_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.workflows.values.LARGEST", 5000)
    run_id = started(step("a"), parallel("p", step("b", parameters={"a": "{{steps.a.output}}"}), step("c")))
    claim = claim_of(run_id, "a")
    lifecycle.complete(claim, {"text": "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(4000))})
    progress.job_settled(claim.job_id)

    assert row(run_id, "b")["error"]["code"] == "too_large"
    assert row(run_id, "c")["status"] == "running"


def test_a_map_over_a_thousand_items_starts_and_moves_on_in_a_moment() -> None:
    begun = time.monotonic()
    with counting() as sent:
        run_id = started(
            {
                "step_id": "m",
                "type": "map",
                "over": "{{inputs.l}}",
                "step": step("i", parameters={"n": "{{item}}"}),
            },
            inputs={"l": list(range(1000))},
        )
    started_in = time.monotonic() - begun
    assert len(jobs_of(run_id)) == 1000
    assert len(sent) < 60, f"{len(sent)} statements"
    job_id = _settled(run_id, "i[500]")

    begun = time.monotonic()
    progress.job_settled(job_id)
    moved_in = time.monotonic() - begun

    assert started_in < 20
    assert moved_in < 2
    assert document.of(run_id, content=True)["steps"][501]["output"] == {"n": "i[500]"}
    begun = time.monotonic()
    with counting() as sent:
        runs.cancel(run_id)
    assert len(sent) < 40, f"{len(sent)} statements"
    assert run(run_id)["status"] == "cancelled"
    assert time.monotonic() - begun < 20
    assert db.value("SELECT count(*) FROM jobs WHERE status = 'cancelled'") == 999


def test_a_run_of_five_hundred_steps_moves_on_in_a_moment() -> None:
    run_id = started(*(parallel(f"p{n}", *(step(f"s{n}_{m}") for m in range(4))) for n in range(99)))
    for m in range(4):
        job_id = _settled(run_id, f"s0_{m}")

    begun = time.monotonic()
    progress.job_settled(job_id)

    assert row(run_id, "s1_3")["status"] == "running"
    assert time.monotonic() - begun < 2


def test_items_that_end_together_cost_one_look_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settle at once: the second waits for the run, and finds that the first has taken its job too."""
    run_id = started(parallel("p", step("a"), step("b")), step("z"))
    first, second = _settled(run_id, "a"), _settled(run_id, "b")
    looks: list[str] = []
    going, locked = progress.go_on, rows.locked
    monkeypatch.setattr(progress, "go_on", lambda held: looks.append(held["workflow_id"]) or going(held))

    def held_by_another(workflow_id: str) -> Any:
        monkeypatch.setattr(rows, "locked", locked)
        progress.job_settled(first)
        return locked(workflow_id)

    monkeypatch.setattr(rows, "locked", held_by_another)
    assert progress.job_settled(second) is False
    assert looks == [run_id]
    assert [job["status"] for job in jobs_of(run_id, "z")] == ["queued"]


def test_outputs_are_as_large_as_what_they_say_and_not_as_they_are_kept() -> None:
    run_id = started(_map(step("x"), over="{{inputs.list}}"), inputs={"list": list(range(40))})
    db.run(
        """UPDATE workflow_steps SET status = 'completed', finished_at = now(),
                  output = jsonb_build_object('t', repeat('a', 900000))
           WHERE workflow_id = %(id)s AND item_index IS NOT NULL""",
        id=run_id,
    )
    assert row(run_id, "x[0]")["output"] == {"t": "a" * 900_000}
    packed = db.value(
        "SELECT sum(pg_column_size(output)) FROM workflow_steps WHERE workflow_id = %(id)s", id=run_id
    )
    assert packed < 1_000_000

    progress.advance(run_id)
    ended = run(run_id)
    assert (ended["status"], ended["output"]) == ("completed", None)
    assert "36,000" in ended["status_reason"]

    shown = {step["step_id"]: step for step in document.of(run_id, content=True)["steps"]}
    assert shown["x[0]"]["output"] is None
    assert 900_000 < shown["x[0]"]["output_bytes"] < 901_000


def test_what_starts_together_is_cut_where_it_gets_too_much_for_one_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submitted: list[int] = []
    submit = lifecycle.submit_many
    monkeypatch.setattr(
        lifecycle, "submit_many", lambda orders: submitted.append(len(orders)) or submit(orders)
    )
    run_id = started(
        _map(step("x", parameters={"t": "{{inputs.text}}"}), over="{{inputs.list}}"),
        inputs={"list": list(range(30)), "text": "y" * 1_500_000},
    )
    assert len(jobs_of(run_id)) == 30
    assert submitted == [14, 14, 2]


def test_a_long_step_for_many_items_fails_its_map() -> None:
    run_id = started(
        _map(step("x", parameters={"t": "y" * 200_000}), over="{{inputs.list}}"),
        inputs={"list": list(range(300))},
    )
    assert run(run_id)["status"] == "failed"
    assert "once for each item" in run(run_id)["error"]["message"]


def _map(inner: Any, **keys: Any) -> dict[str, Any]:
    return {"step_id": "m", "type": "map", "step": inner} | keys
