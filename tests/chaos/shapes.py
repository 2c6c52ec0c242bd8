"""Runs of every shape, and for each how it must end whatever happens to it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.runners.base import Context, Work
from app.db import db
from app.errors import PermanentError
from tests import acting

JSON = dict[str, Any]
GRUDGING = "chaos-grudging"
HARD: JSON = {
    "step_id": "hard",
    "agent_id": "test-flaky",
    "parameters": {"failures": 99, "kind": "permanent"},
}


@dataclass(frozen=True)
class Shape:
    """A definition, and what must become of a run of it."""

    definition: JSON
    jobs: int | None = None
    """How many it takes, with those of runs inside it; None: that depends."""
    output: Any = None
    """Without the number of the attempt that made it."""
    status: str = "completed"
    culprit: str | None = None
    """The step that a failed one blames."""


def grudging(work: Work, _context: Context) -> JSON:
    """Fail every attempt of the first job that comes with this `mark` (a file), and none of a later job."""
    mark = Path(work.parameters["mark"])
    with suppress(FileExistsError):
        mark.symlink_to(work.job_id)
    if os.readlink(mark) == work.job_id:
        raise PermanentError("not at the first time")
    return {"forgiven": True}


def install() -> None:
    """The agent that only these runs have."""
    with db.quick():
        acting.agent(GRUDGING, python={"call": f"{grudging.__module__}:grudging", "isolation": "thread"})


def echo(step_id: str, n: Any = None, **more: Any) -> JSON:
    return {"step_id": step_id, "agent_id": "test-echo", "parameters": {"n": n}} | more


def nap(step_id: str, seconds: float = 0.2, **more: Any) -> JSON:
    return {"step_id": step_id, "agent_id": "test-sleeper", "parameters": {"seconds": seconds}} | more


def flow(*steps: JSON, **more: Any) -> JSON:
    return {"name": "chaos", "steps": list(steps)} | more


def parallel(step_id: str, *tasks: JSON, **more: Any) -> JSON:
    return {"step_id": step_id, "type": "parallel", "tasks": list(tasks)} | more


def in_a_row(n: int, _folder: Path) -> Shape:
    said = "{{steps.a.output.parameters.n}}"
    return Shape(
        flow(echo("a", n), nap("b"), echo("c", said), output="{{steps.c.output.parameters.n}}"), 3, n
    )


def out_and_in(n: int, _folder: Path) -> Shape:
    tasks = [nap(f"t{at}", 0.1 * at + 0.1) for at in range(4)]
    run = flow(parallel("all", *tasks, echo("own", n)), echo("sum", "{{steps.all.output}}"))
    came = {f"t{at}": {"slept": 0.1 * at + 0.1} for at in range(4)} | {"own": {"parameters": {"n": n}}}
    return Shape(run, 6, {"parameters": {"n": came}})


def mapped(n: int, _folder: Path) -> Shape:
    item = {"step_id": "item", "type": "sequence", "steps": [nap("doze", 0.1), echo("say", "{{item}}")]}
    each = {"step_id": "each", "type": "map", "over": "{{steps.list.output.parameters.n}}", "max_parallel": 2}
    items = list(range(n, n + 5))
    return Shape(
        flow(echo("list", items), each | {"step": item}), 11, [{"parameters": {"n": i}} for i in items]
    )


def branched(n: int, _folder: Path) -> Shape:
    even = n % 2 == 0
    way = {
        "step_id": "way",
        "type": "branch",
        "cases": [
            {"when": "{{steps.ask.output.parameters.n}} == 0", "steps": [nap("rest"), echo("even", n)]}
        ],
        "default": [echo("odd", -n)],
    }
    last = echo("last", "{{steps.even.output.parameters.n ?? steps.odd.output.parameters.n}}")
    run = flow(echo("ask", n % 2), way, last, output="{{steps.last.output.parameters.n}}")
    return Shape(run, 4 if even else 3, n if even else -n)


def forgiving(_n: int, _folder: Path) -> Shape:
    run = flow(nap("a"), HARD | {"continue_on_failure": True}, echo("b", "{{steps.hard.status}}"))
    return Shape(run, 3, {"parameters": {"n": "failed"}})


def failing(n: int, _folder: Path) -> Shape:
    return Shape(flow(echo("a", n), HARD, echo("never", n)), 2, status="failed", culprit="hard")


def failing_with_siblings_stopped(_n: int, _folder: Path) -> Shape:
    run = flow(parallel("all", nap("endless", 600), HARD), on_failure={"siblings": "cancel"})
    return Shape(run, 2, status="failed", culprit="hard")


def nested(n: int, _folder: Path) -> Shape:
    takes = {"inputs": {"type": "object", "properties": {"n": {}}}}
    deepest = flow(
        nap("z"), echo("deep", "{{inputs.n}}"), output="{{steps.deep.output.parameters.n}}", **takes
    )
    inner = flow(
        {"step_id": "in", "type": "workflow", "definition": deepest, "inputs": {"n": "{{inputs.n}}"}},
        output={"came": "{{steps.in.output}}"},
        **takes,
    )
    sub = {"step_id": "sub", "type": "workflow", "definition": inner, "inputs": {"n": n}}
    return Shape(
        flow(parallel("p", sub, nap("x")), echo("after", "{{steps.sub.output.came}}")),
        4,
        {"parameters": {"n": n}},
    )


def second_chance(n: int, folder: Path) -> Shape:
    again = {"step_id": "again", "agent_id": GRUDGING, "parameters": {"mark": str(folder / f"mark-{n}")}}
    run = flow(parallel("all", nap("kept", 0.3), again), echo("last", n), on_failure={"retry_workflow": True})
    return Shape(run, 4, {"parameters": {"n": n}})


def no_second_chance(n: int, _folder: Path) -> Shape:
    run = flow(echo("a", n), HARD, echo("never"), on_failure={"retry_workflow": True})
    return Shape(run, 3, status="failed", culprit="hard")


def flaky(n: int, _folder: Path) -> Shape:
    step = {"step_id": "flaky", "agent_id": "test-flaky", "parameters": {"failures": 2}}
    return Shape(flow(step, echo("b", n)), 2, {"parameters": {"n": n}})


def asking(_n: int, _folder: Path) -> Shape:
    ask = {"step_id": "ask", "type": "approval", "question": "Well?", "on_timeout": "approve"}
    run = flow(nap("a"), ask | {"deadline_minutes": 0.02}, echo("b", "{{steps.ask.output.approved}}"))
    return Shape(run, 2, {"parameters": {"n": True}})


def endless(n: int, _folder: Path) -> Shape:
    """Somebody has to cancel it."""
    ask = {"step_id": "ask", "type": "approval", "question": "Well?"}
    sub = {"step_id": "sub", "type": "workflow", "definition": flow(echo("a", n), nap("inside", 600))}
    return Shape(flow(parallel("all", nap("outside", 600), ask, sub), echo("never", n)), status="cancelled")


SHAPES: tuple[Callable[[int, Path], Shape], ...] = (
    in_a_row, out_and_in, mapped, branched, forgiving, failing, failing_with_siblings_stopped, nested,
    second_chance, no_second_chance, flaky, asking, endless,
)  # fmt: skip


def without_attempts(output: Any) -> Any:
    """What came out, whichever attempts it took."""
    if isinstance(output, list):
        return [without_attempts(each) for each in output]
    if isinstance(output, dict):
        return {name: without_attempts(part) for name, part in output.items() if name != "attempt"}
    return output
