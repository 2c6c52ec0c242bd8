"""The one document of a run: API, pages and callbacks show this and nothing else (requirements E7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app import clock
from app.agents import secrecy
from app.db import Row, db
from app.errors import NotFound
from app.jobs.states import Priority
from app.polling import hints
from app.workflows import queries, rows
from app.workflows.graph import DONE, Tree
from app.workflows.rows import Kept
from app.workflows.values import Outputs

LARGEST_SHOWN = 200_000
"""Bytes of one step's output that the document shows; the job itself has larger ones."""
LARGEST_TOGETHER = 2_000_000
_LIVE = ("running", "awaiting_input")


def of(workflow_id: str, *, content: bool, pace: hints.Pace | None = None) -> Row:
    """The document of a run; NotFound if there is none.

    `content`: with inputs, outputs, questions and error messages, for those who may see them.
    """
    run, seen = queries.get(workflow_id, full=content), queries.version(workflow_id)
    assert seen is not None
    steps = queries.steps(workflow_id)
    shown = _facts(run) | {"version": seen["version"] + int(seen["work"])}
    shown["poll"] = poll(run | {"updated_at": seen["updated_at"]}, pace)
    shown["error"] = _error(run["error"], content=content)
    shown["steps"] = _steps(run, steps, content=content)
    if content:
        schema = run["definition"].get("inputs")
        shown |= {
            "inputs": secrecy.hidden(schema, run["inputs"]),
            "output": secrecy.hidden(None, run["output"]),
        }
        _add_outputs(workflow_id, steps, shown["steps"])
    return shown


def etag(workflow_id: str) -> str:
    """What changes whenever the document does; NotFound if there is no such run."""
    seen = queries.version(workflow_id)
    if seen is None:
        raise NotFound(f"there is no workflow {workflow_id}")
    return f'"{seen["version"]}.{seen["work"]}"'


def poll(row: Mapping[str, Any], pace: hints.Pace | None = None) -> Row:
    """{next_after_ms, terminal}: when to ask for a run again; it needs its status and updated_at only."""
    quiet = max(0.0, (clock.now() - row["updated_at"]).total_seconds())
    like = {"running": "running", "paused": "retry"}.get(row["status"], row["status"])
    after = hints.next_after_ms(like, quiet, pace or hints.Pace())
    return {"next_after_ms": after, "terminal": after is None}


def brief(run: Row, *, content: bool) -> Row:
    """One line of a list (of queries.page): the same names, without the steps."""
    return _facts(run) | {"version": run["version"], "error": _error(run["error"], content=content)}


def _facts(run: Row) -> Row:
    finished, status = run["finished_at"], run["status"]
    template = (
        {"name": run["template_name"], "version": run["template_version"]} if run["template_name"] else None
    )
    around = run["parent_workflow_id"]
    return {
        "workflow_id": run["workflow_id"],
        "name": run["name"],
        "description": run["description"],
        "external_key": run["external_key"],
        "status": status,
        "status_reason": run["status_reason"],
        "priority": Priority(run["priority_rank"]).word,
        "tags": run["tags"],
        "template": template,
        "submitted_by": run["submitted_by"],
        "schedule_id": run["schedule_id"],
        "correlation_id": run["correlation_id"],
        "parent": {"workflow_id": around, "step_id": run["parent_step_id"]} if around else None,
        "retry_of": run["retry_of_workflow_id"],
        "round": run["round"],
        "submitted_at": run["submitted_at"],
        "completed_at": finished if status != "cancelled" else None,
        "cancelled_at": finished if status == "cancelled" else None,
        "finished_at": finished,
        "paused_at": run["paused_at"],
        "cancel_requested": run["cancel_requested_at"] is not None,
        "updated_at": run["updated_at"],
        "duration_seconds": _seconds(run["submitted_at"], finished),
        "total_steps": run["total_steps"],
        "completed_steps": run["completed_steps"],
    }


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return max(0.0, round((end - start).total_seconds(), 3))


def _error(error: Row | None, *, content: bool) -> Row | None:
    if error is None or content:
        return error
    return {name: error[name] for name in ("step_id", "type", "class", "code") if name in error}


def _steps(run: Row, steps: list[Row], *, content: bool) -> list[Row]:
    jobs = _live_jobs([step["job_id"] for step in steps if step["status"] == "running" and step["job_id"]])
    by_id = {step["step_id"]: step for step in steps}
    return [_step(run, step, jobs.get(step["job_id"]), by_id, content=content) for step in steps]


def _live_jobs(job_ids: list[str]) -> dict[str, Row]:
    if not job_ids:
        return {}
    rows = db.rows(
        """SELECT job_id::text, status, status_reason, progress, current_step, started_at FROM jobs
           WHERE job_id = ANY(%(ids)s::uuid[]) AND finished_at IS NULL""",
        ids=job_ids,
    )
    return {row["job_id"]: row for row in rows}


def _step(run: Row, step: Row, job: Row | None, by_id: dict[str, Row], *, content: bool) -> Row:
    said, status = step["definition"], step["status"]
    started = job["started_at"] if job else step["started_at"]
    ended = step["finished_at"] if status != "skipped" else None
    shown = {
        "step_id": step["step_id"],
        "title": said.get("title"),
        "kind": step["kind"],
        "parent_step_id": step["parent_step_id"],
        "case_index": step["case_index"],
        "item_index": step["item_index"],
        "depends_on": step["depends_on"],
        "task_id": step["job_id"],
        "job_id": step["job_id"],
        "agent_id": said.get("agent_id"),
        "template": said.get("template"),
        "approval_id": step["approval_id"],
        "child_workflow_id": step["child_workflow_id"],
        "status": job["status"] if job else status,
        "status_reason": _reason(step, job, content=content),
        "progress": job["progress"] if job else 100 if status == "completed" else 0,
        "current_step": job["current_step"] if job else None,
        "started_at": started,
        "completed_at": ended,
        "duration_seconds": _seconds(started, ended),
        "waiting_for": _waits(run, step, by_id) if status == "waiting" else None,
        "kept": step["kept"],
        "round": step["round"],
        "error": _error(step["error"], content=content),
    }
    if content and step["kind"] == "approval":
        shown["question"] = said.get("question")
    return shown


def _reason(step: Row, job: Row | None, *, content: bool) -> str | None:
    """Why a step is where it is; the words of a condition show what other steps answered, which is content."""
    if job and job["status_reason"]:
        return str(job["status_reason"])
    of_condition = step["status"] == "skipped" or step["kind"] == "branch"
    return None if of_condition and not content else step["status_reason"]


def _waits(run: Row, step: Row, by_id: dict[str, Row]) -> str | None:
    """What a waiting step waits for, in words."""
    blocking = [name for name in step["depends_on"] if name in by_id and not _is_done(by_id[name])]
    if blocking:
        return f"blocked by {', '.join(blocking)}"
    around = by_id.get(step["parent_step_id"])
    if around and around["status"] == "waiting":
        return f"blocked by {around['step_id']}, which it is in"
    if run["status"] == "paused":
        return "the run is paused"
    most = around["definition"].get("max_parallel") if around else None
    return f"its turn: {most} at once" if most else None


def _is_done(step: Row) -> bool:
    return step["status"] in DONE or (
        step["status"] in ("failed", "cancelled") and bool(step["definition"].get("continue_on_failure"))
    )


def _add_outputs(workflow_id: str, steps: list[Row], shown: list[Row]) -> None:
    """Put outputs to the steps, each as far as it is small; `output_bytes` where it is left out."""
    outputs = Outputs(workflow_id, Tree(_kept(step) for step in steps))
    over = [step for step in shown if step["status"] not in _LIVE]
    kept = {step["step_id"]: step["size"] for step in steps}
    likely = _that_fit(over, outputs, kept)  # they are at least so large
    exact = kept | rows.sizes(workflow_id, outputs.needed(step["step_id"] for step in likely))
    fits = _that_fit(over, outputs, exact)
    outputs.load(step["step_id"] for step in fits)
    shown_whole = {step["step_id"] for step in fits}
    for step in shown:
        if step["step_id"] in shown_whole:
            step["output"] = secrecy.hidden(None, outputs[step["step_id"]].output)
        else:
            size = sum(exact[each] for each in outputs.needed([step["step_id"]]))
            step |= {"output": None, "output_bytes": size}


def _that_fit(steps: list[Row], outputs: Outputs, sizes: Mapping[str, int]) -> list[Row]:
    """The first steps whose outputs are shown, each small and all together not too much."""
    room, fits = LARGEST_TOGETHER, []
    for step in steps:
        size = sum(sizes[each] for each in outputs.needed([step["step_id"]]))
        if size <= min(LARGEST_SHOWN, room):
            room -= size
            fits.append(step)
    return fits


def _kept(step: Row) -> Kept:
    return Kept(
        step_id=step["step_id"],
        kind=step["kind"],
        status=step["status"],
        parent=step["parent_step_id"],
        position=step["position"],
        item_index=step["item_index"],
        job_id=step["job_id"],
        size=step["size"],
    )
