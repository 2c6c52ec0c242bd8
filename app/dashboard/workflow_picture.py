"""A run, or a definition nobody ran yet, as people look at it: the graph, the waterfall and the lines of the table.

Works on the steps of a run's document (app/workflows/document.py) and on those of a plan (app/workflows/plan.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from flask import Flask, url_for

from app.dashboard.words import REASONS, STATES, Look, duration, look, many, moment
from app.dashboard.workflow_drawing import Bar, Box, Drawing, Part, bars, draw
from app.workflows.plan import Planned

JSON = dict[str, Any]

RUNS = {
    "running": STATES["running"],
    "paused": Look("Paused", "pause", "amber"),
    "completed": STATES["completed"],
    "failed": STATES["failed"],
    "cancelled": STATES["cancelled"],
}
STEPS = STATES | {
    "waiting": Look("Waiting", "circle", "grey"),
    "awaiting_input": Look("Asks a person", "hand", "violet"),
    "skipped": Look("Skipped", "dash", "grey"),
}
KINDS = {
    "agent": "Agent",
    "parallel": "Parallel",
    "map": "For each",
    "branch": "Branch",
    "sequence": "Sequence",
    "workflow": "Workflow",
    "approval": "Approval",
}
MOST_ITEMS = 6
"""A map with more items than this is one box that says how many are done."""
LONGEST_TITLE, LONGEST_LINE, LONGEST_STATE = 22, 26, 23
"""Characters that fit into a step of the graph."""
GOOD, OFF = ("completed",), ("skipped", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A step in the graph."""

    step_id: str
    box: Box
    title: str
    about: str
    """What does it: the agent, the template, the question."""
    says: str
    """Where it is, in words."""
    told: str
    """All of it, not shortened."""
    look: Look | None = None
    href: str | None = None
    done: int = 0
    of: int = 0
    is_off: bool = False


class Drawn(NamedTuple):
    """A line of the graph: its path and its kind (`gone`: the way was gone; `off`: it will not be)."""

    path: str
    look: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Everything a graph shows."""

    width: float
    height: float
    nodes: list[Node]
    lines: list[Drawn]
    summary: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A step in the table: its document, how deep it stands, and what of a map is not shown below it."""

    step: JSON
    depth: int
    done: int = 0
    of: int = 0
    bar: Bar | None = None


def of_run(document: JSON) -> Picture:
    """The graph of a run, with the state of each step."""
    steps: list[JSON] = document["steps"]
    tree = _Tree(steps)
    drawing = draw([_part(step) for step in steps], tree.folded)
    known = {step["step_id"]: step for step in steps}
    nodes = [_node(document["workflow_id"], known[box.step_id], box, tree) for box in drawing.boxes]
    return _picture(drawing, nodes, {name: step["status"] for name, step in known.items()}, in_words(steps))


def of_plan(planned: Sequence[Planned]) -> Picture:
    """The graph of a definition."""
    known = {step.step_id: step for step in planned}
    drawing = draw(
        [
            Part(step_id=step.step_id, parent=step.parent_step_id, depends_on=tuple(step.depends_on))
            for step in planned
        ]
    )
    nodes = [_planned(known[box.step_id], box) for box in drawing.boxes]
    summary = f"{many(len(planned), 'step')} in {many(drawing.columns, 'stage')}: " + ", ".join(known)
    return _picture(drawing, nodes, {}, summary)


def lines(document: JSON, now: datetime) -> tuple[list[Line], float]:
    """The lines of the table with their bars of the waterfall, and how many seconds its width stands for."""
    steps: list[JSON] = document["steps"]
    tree = _Tree(steps)
    shown = [step for step in steps if not tree.is_hidden(step["step_id"])]
    begin = moment(document["submitted_at"]) or now
    drawn, whole = bars(
        [(s["step_id"], _moment_of(s, "started_at"), _moment_of(s, "completed_at")) for s in shown],
        begin,
        now,
    )
    by_step = {bar.step_id: bar for bar in drawn}
    return [
        Line(
            step=step,
            depth=min(tree.depth(step["step_id"]), 3),
            done=tree.done(step["step_id"]),
            of=len(tree.inside.get(step["step_id"], ())) if step["step_id"] in tree.folded else 0,
            bar=by_step.get(step["step_id"]),
        )
        for step in shown
    ], whole


def in_words(steps: Sequence[JSON]) -> str:
    """`5 steps: 2 completed, 1 running, 2 waiting`: those that do something themselves, a map as one."""
    tree = _Tree(steps)
    maps = {step["step_id"] for step in steps if step["kind"] == "map"}
    counted = [
        step
        for step in steps
        if step["kind"] not in ("parallel", "branch", "sequence")
        and not maps & set(tree.above(step["step_id"]))
    ]
    counts = Counter(look(step["status"], STEPS).word.lower() for step in counted)
    return f"{many(len(counted), 'step')}: " + ", ".join(f"{n} {word}" for word, n in counts.items())


def about(kind: str, definition: JSON, agent_id: str | None = None) -> str:
    """What does a step, in a few words."""
    match kind:
        case "agent":
            return agent_id or str(definition.get("agent_id", ""))
        case "map":
            inner = definition.get("step") or {}
            return f"for each: {inner.get('agent_id') or inner.get('type') or inner.get('step_id', '')}"
        case "workflow":
            return f"workflow {definition.get('template') or 'inside'}"
        case "approval":
            return str(definition.get("question") or "asks a person")
    return KINDS.get(kind, kind)


class _Tree:
    """Which steps stand in which, and which maps are too long to show."""

    def __init__(self, steps: Sequence[JSON]) -> None:
        self._status = {step["step_id"]: step["status"] for step in steps}
        self._parents = {step["step_id"]: step.get("parent_step_id") for step in steps}
        self.inside: dict[str, list[str]] = {}
        for step_id, parent in self._parents.items():
            if parent:
                self.inside.setdefault(parent, []).append(step_id)
        self.folded = {
            step["step_id"]
            for step in steps
            if step["kind"] == "map" and self._is_long(self.inside.get(step["step_id"], []))
        }

    def _is_long(self, items: list[str]) -> bool:
        return len(items) > MOST_ITEMS or any(self.inside.get(item) for item in items)

    def done(self, step_id: str) -> int:
        return sum(self._status[item] in GOOD for item in self.inside.get(step_id, ()))

    def above(self, step_id: str) -> list[str]:
        found: list[str] = []
        while (parent := self._parents.get(step_id)) and parent not in found:
            found.append(parent)
            step_id = parent
        return found

    def is_hidden(self, step_id: str) -> bool:
        return any(parent in self.folded for parent in self.above(step_id))

    def depth(self, step_id: str) -> int:
        return len(self.above(step_id))


def _part(step: JSON) -> Part:
    return Part(
        step_id=step["step_id"],
        parent=step.get("parent_step_id"),
        depends_on=tuple(step.get("depends_on") or ()),
    )


def _moment_of(step: JSON, name: str) -> datetime | None:
    return moment(step.get(name))


def _node(workflow_id: str, step: JSON, box: Box, tree: _Tree) -> Node:
    seen = look(step["status"], STEPS)
    name, title = step["step_id"], step.get("title") or step["step_id"]
    items = tree.inside.get(name, [])
    does = about(step["kind"], {}, step.get("agent_id"))
    if step["kind"] == "map":
        does = "for each"
    said = _said(step, seen)
    if box.is_container:
        said = f"{KINDS.get(step['kind'], step['kind'])} · {said}" if box.width > 300 else said
    elif items and step["kind"] == "map":
        said = f"{seen.word}, {tree.done(name)} of {len(items)}"
    return Node(
        step_id=name,
        box=box,
        title=_short(title, _room(box, said)),
        about=_short(does, LONGEST_LINE),
        says=said,
        told=f"{title}: {does}, {said}",
        look=seen,
        href=url_for("dashboard.workflow_step", workflow_id=workflow_id, step_id=name),
        done=tree.done(name) if name in tree.folded else int(step.get("progress") or 0),
        of=len(items) if name in tree.folded else 100 if _is_moving(step) else 0,
        is_off=step["status"] in OFF,
    )


def _is_moving(step: JSON) -> bool:
    return bool(step["status"] in ("running", "retry") and step.get("progress"))


def _said(step: JSON, seen: Look) -> str:
    if _is_moving(step):
        return f"{seen.word} {step['progress']} %"
    if step.get("kept"):
        return f"{seen.word}, kept"
    if step["status"] in GOOD and step.get("duration_seconds") is not None:
        return f"{seen.word}, {duration(step['duration_seconds'])}"
    return seen.word


def _planned(step: Planned, box: Box) -> Node:
    title = str(step.definition.get("title") or step.step_id)
    does = about(step.kind, step.definition)
    when = f"if {step.definition['when']}" if step.definition.get("when") else ""
    says = when or ("" if step.kind in ("agent", "map") else KINDS[step.kind])
    return Node(
        step_id=step.step_id,
        box=box,
        title=_short(title, _room(box, says)),
        about=_short(does, LONGEST_LINE),
        says=_short(says, LONGEST_STATE),
        told=", ".join(filter(None, (f"{title}: {does}", when))),
    )


def _picture(drawing: Drawing, nodes: list[Node], status: dict[str, str], summary: str) -> Picture:
    drawn = [
        Drawn(
            line.path,
            "off"
            if {status.get(line.start), status.get(line.end)} & set(OFF)
            else "gone"
            if status.get(line.start) in GOOD
            else "",
        )
        for line in drawing.lines
    ]
    return Picture(width=drawing.width, height=drawing.height, nodes=nodes, lines=drawn, summary=summary)


def _room(box: Box, beside: str) -> int:
    """How many characters of a title fit; in a container its state stands beside it."""
    return max(int((box.width - 45) / 7 - len(beside)), 6) if box.is_container else LONGEST_TITLE


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(longest - 1, 1)].rstrip() + "…"


def because(reason: str | None) -> str:
    """Why a step is where it is: a word that is kept for it, or the sentence it came with."""
    return REASONS.get(reason, reason) if reason else ""


def register(app: Flask) -> None:
    """Make the words for runs and steps known to every template."""
    app.jinja_env.globals.update(RUNS=RUNS, STEPS=STEPS, KINDS=KINDS, because=because)
