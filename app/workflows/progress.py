"""What happens when something of a run has ended: it is noted, and what it makes possible starts, in one transaction.

Every function here may be called by anybody, in any order, any number of times: it locks the run, looks at what is
so, and does what is to be done. Two that come at once take their turns, and the second finds the work of the first
done. None of them commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app import clock
from app.approvals import asking
from app.db import Row, db
from app.errors import CallboardError
from app.jobs import lifecycle
from app.workflows import graph, rows, starting
from app.workflows.graph import BAD, DONE, Decision, Tree
from app.workflows.references import resolve
from app.workflows.rows import CANCELLING, Change
from app.workflows.values import LARGEST, Outputs, Sight, paths_of, steps_named

BATCH = 200
"""Steps that start by one statement; more of them take several."""


def advance(workflow_id: str) -> bool:
    """Bring a run as far as it goes now; answers whether anything moved. One that has ended does not move."""
    run = rows.locked(workflow_id)
    return go_on(run) if run else False


def job_settled(job_id: str) -> bool:
    """A job has ended: if a step waits for just this one, its run goes on. Answers whether anything moved."""
    return _wake(_WAITS_FOR_JOB, job_id)


def child_settled(child_workflow_id: str) -> bool:
    """A run inside another has ended: the outer one goes on. Answers whether anything moved."""
    return _wake(_WAITS_FOR_RUN, child_workflow_id)


_WAITS_FOR_JOB = """
    SELECT s.workflow_id::text FROM jobs j JOIN workflow_steps s
      ON s.workflow_id = j.workflow_id AND s.step_id = j.step_id AND s.job_id = j.job_id
    WHERE j.job_id = %(id)s AND s.status = 'running' AND j.status || '' IN ('completed','failed','cancelled')"""
_WAITS_FOR_RUN = """
    SELECT s.workflow_id::text FROM workflows w JOIN workflow_steps s
      ON s.workflow_id = w.parent_workflow_id AND s.step_id = w.parent_step_id AND s.child_workflow_id = w.workflow_id
    WHERE w.workflow_id = %(id)s AND s.status = 'running' AND w.finished_at IS NOT NULL"""


def _wake(waiting: str, ended_id: str) -> bool:
    """Let a run go on in which a step waits for what has ended.

    Whoever held the run before us took everything that had ended by then; if that was all, a look at each of a
    thousand items is spared, and items that end together cost one look together.
    """
    workflow_id = db.value(waiting, id=ended_id)
    run = rows.locked(workflow_id) if workflow_id else None
    return go_on(run) if run and db.value(waiting, id=ended_id) else False


def cancel(run: Row) -> None:
    """End a locked run: nothing starts any more, what runs is told to stop; asking twice is no error."""
    if run["cancel_requested_at"] is None:
        run["cancel_requested_at"] = db.value(
            """UPDATE workflows SET cancel_requested_at = clock_timestamp(), status_reason = %(why)s
               WHERE workflow_id = %(id)s RETURNING cancel_requested_at""",
            id=run["workflow_id"],
            why=CANCELLING,
        )
    go_on(run)


def go_on(run: Row) -> bool:
    """`advance` for a run that is locked already."""
    if run["finished_at"] is not None:
        return False
    going = _Going(run)
    going.on()
    return going.moved


class _Going:
    """A locked run on its way, from one look to the next until nothing moves."""

    def __init__(self, run: Row) -> None:
        self.run = run
        self.id: str = run["workflow_id"]
        self.steps = rows.states(self.id)
        self.on_failure = run["definition"].get("on_failure") or {}
        self.moved = False

    def on(self) -> None:
        self.take()
        while True:
            tree = Tree(self.steps.values())
            look = graph.decide(
                tree,
                paused=self.run["status"] == "paused",
                cancelling=self.run["cancel_requested_at"] is not None,
                stop_siblings=self.on_failure.get("siblings") == "cancel",
            )
            if look.outcome and not self.tries_again(tree, look.outcome):
                self.finish(tree, look.outcome)
                return
            if not look.outcome and not self.carry_out(tree, look):
                break
        if self.moved:
            rows.go_on(self.id, completed=self.completed(), reason=self.reason(tree))

    def carry_out(self, tree: Tree, look: Decision) -> bool:
        """Do what was decided; answers whether that was anything."""
        if look.settle:
            self.settle(tree, look)
        if look.stop:
            self.stop(look.stop)
        if look.start:
            self.start(tree, look.start[:BATCH])
        did = bool(look.settle or look.stop or look.start)
        self.moved |= did
        return did

    # What has ended elsewhere.

    def take(self) -> None:
        """Note what became of jobs, runs inside and questions that steps wait for."""
        waits = {(step.kind, step.status) for step in self.steps.values()}
        taken: list[Row] = []
        if ("agent", "running") in waits:
            taken += rows.take_jobs(self.id)
        if ("workflow", "running") in waits:
            taken += rows.take_runs(self.id)
        if ("approval", "awaiting_input") in waits:
            taken += rows.take_answers(self.id)
        for row in taken:
            self.steps[row["step_id"]] = replace(
                self.steps[row["step_id"]],
                status=row["status"],
                finished_at=row["finished_at"],
                size=row["size"],
            )
        self.moved |= bool(taken)

    # What was decided.

    def settle(self, tree: Tree, look: Decision) -> None:
        blamed = rows.errors(
            self.id, {end.because for end in look.settle if end.because and end.status == "failed"}
        )
        changes = [
            Change(
                step_id=end.step_id,
                status=end.status,
                reason=self.why(end.because) if end.status != "completed" else None,
                error=_of_container(tree, end.step_id, end.because, blamed)
                if end.status == "failed"
                else None,
            )
            for end in look.settle
        ]
        rows.write(self.id, changes)
        self.note(changes)

    def why(self, because: str | None) -> str | None:
        """Why a step did not run, or not to its end."""
        if self.run["cancel_requested_at"] is not None:
            return "the run was cancelled"
        if because is None:
            return None
        return f"step {because} {'was skipped' if self.steps[because].status == 'skipped' else _ended(self.steps[because])}"

    def stop(self, step_ids: Iterable[str]) -> None:
        steps = [self.steps[step_id] for step_id in step_ids]
        rows.say_stopping(self.id, [step.step_id for step in steps])
        for step in steps:
            self.steps[step.step_id] = replace(step, stopping=True)
            if step.child_workflow_id and (inside := rows.locked(step.child_workflow_id)):
                cancel(inside)
        asking.cancel([step.approval_id for step in steps if step.approval_id])
        lifecycle.cancel_many([step.job_id for step in steps if step.job_id])
        self.take()

    def start(self, tree: Tree, step_ids: tuple[str, ...]) -> None:
        begun = starting.start(self.run, tree, step_ids)
        for planned in begun.planned:
            index = begun.items.get(planned.step_id, (None,))[0]
            self.steps[planned.step_id] = starting.as_kept(planned, index)
        self.note(begun.write(self.id))
        for child in begun.runs.values():
            advance(child)
        if begun.runs:
            self.take()

    def note(self, changes: Iterable[Change]) -> None:
        now = clock.now()
        for change in changes:
            step = self.steps[change.step_id]
            self.steps[change.step_id] = replace(
                step,
                status=change.status,
                started=step.started or change.status in ("running", "awaiting_input"),
                finished_at=now if change.status in graph.FINAL else None,
                job_id=change.job_id or step.job_id,
                child_workflow_id=change.child_workflow_id or step.child_workflow_id,
                approval_id=change.approval_id or step.approval_id,
            )

    # How it ends.

    def tries_again(self, tree: Tree, outcome: str) -> bool:
        """Whether what failed runs a second time. What a person cancelled does not."""
        culprit = tree.culprit()
        if outcome != "failed" or self.run["round"] > 1 or not self.on_failure.get("retry_workflow"):
            return False
        if culprit is None or culprit.status != "failed":
            return False
        self.run["round"] = 2
        rows.do_again(self.id, graph.again(tree), round_=2)
        self.steps = rows.states(self.id)
        self.moved = True
        return True

    def finish(self, tree: Tree, outcome: str) -> None:
        error: Row | None = None
        output: object = None
        reason: str | None = None
        if outcome == "failed":
            error = self.error(tree)
        elif outcome == "completed":
            try:
                output, reason = self.output(tree)
            except CallboardError as wrong:
                told = _short(starting.described(wrong))
                outcome, error = (
                    "failed",
                    told | {"step_id": None, "message": f"the run's output: {told['message']}"},
                )
        rows.finish(self.id, outcome, completed=self.completed(), error=error, output=output, reason=reason)
        self.run["finished_at"] = clock.now()
        self.moved = True

    def error(self, tree: Tree) -> Row:
        culprit = tree.culprit()
        assert culprit is not None  # it failed, so something did
        told = rows.errors(self.id, [culprit.step_id]).get(culprit.step_id)
        if told is None:
            told = {"type": "Cancelled", "message": f"step {culprit.step_id} was cancelled"}
        return {"step_id": culprit.step_id} | _short(told)

    def output(self, tree: Tree) -> tuple[object, str | None]:
        """What came out of the run, and why nothing did if it is too much."""
        outputs = Outputs(self.id, tree)
        said = self.run["definition"].get("output")
        if said is not None:
            outputs.demand_room(named := steps_named(paths_of(said), outputs))
            outputs.load(named)
            return resolve(said, Sight(self.run, outputs, {}).of_run()), None
        done = [step for step in tree.inside(None) if step.status == "completed"]
        if not done:
            return None, None
        if (size := outputs.size([done[-1].step_id])) > LARGEST:
            return None, f"the output of {done[-1].step_id} is {size:,} bytes; see the step"
        outputs.load([done[-1].step_id])
        return outputs[done[-1].step_id].output, None

    def completed(self) -> int:
        """How many steps are done that count: those with work of their own; a map is one."""
        tree = Tree(self.steps.values())
        counted = (s for s in tree if s.kind in ("agent", "workflow", "approval", "map") and s.status in DONE)
        return sum(all(s.item_index is None for s in (step, *tree.around(step))) for step in counted)

    def reason(self, tree: Tree) -> str | None:
        """What people are told of a run that goes on."""
        if self.run["cancel_requested_at"] is not None:
            return CANCELLING
        if self.run["status"] == "paused":
            return self.run["status_reason"]  # type: ignore[no-any-return]
        culprit = tree.culprit() if tree.doomed[None] else None
        return f"failing: step {culprit.step_id} {_ended(culprit)}" if culprit else None


def _ended(step: graph.StepState) -> str:
    return "failed" if step.status == "failed" else "was cancelled" if step.status in BAD else step.status


def _short(error: Row) -> Row:
    return {"type": error.get("type"), "message": error.get("message")}


def _of_container(tree: Tree, step_id: str, because: str | None, blamed: dict[str, Row]) -> Row:
    """Why a container failed."""
    shown: Row = {"type": "StepFailed", "class": "permanent", "code": "step_failed"}
    said = [_spared(tree, step_id)]
    if because:
        why = blamed.get(because, {}).get("message")
        said.append(f"step {because} {_ended(tree.by_id[because])}{': ' if why else ''}{why or ''}")
    return shown | {"message": "; ".join(filter(None, said))}


def _spared(tree: Tree, step_id: str) -> str | None:
    step, items = tree.by_id[step_id], tree.inside(step_id)
    if step.min_success is None:
        return None
    done = sum(each.status in DONE for each in items)
    return f"{done} of {len(items)} items succeeded, {step.min_success} had to"
