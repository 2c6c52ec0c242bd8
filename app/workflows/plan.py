"""A definition as the list of its steps, each with what it waits for; and what a run of it would do, undone.

A step without `depends_on` waits for the step before it in its own list; tasks of a `parallel` wait for nothing, and
so does the first of any list. Whatever is inside of a container starts no sooner than the container does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.workflows.conditions import CannotCompare, parse
from app.workflows.definition import (
    AnyStep,
    BranchStep,
    Definition,
    MapStep,
    ParallelStep,
    SequenceStep,
    Shape,
    read,
)
from app.workflows.references import TooLarge, Values, resolve_known

JSON = dict[str, Any]
DEFAULT_CASE = -1
_INSIDE = {"tasks", "steps", "default"}


@dataclass(frozen=True)
class Planned:
    """One step as a run will keep it."""

    step_id: str
    position: int
    kind: str
    parent_step_id: str | None = None
    case_index: int | None = None
    """Which case of the branch it is in; -1 is the default."""
    depends_on: list[str] = field(default_factory=list)
    definition: JSON = field(default_factory=dict)
    """Its own keys, without its inner steps; a map keeps its `step`, a branch the `when` of its cases."""
    leaf: bool = True
    """It is counted in `total_steps`; a map counts as one, however many items it has."""


@dataclass(frozen=True)
class Place:
    """One list of steps inside a container (or the definition's own), and how it is reached."""

    pointer: str
    steps: Sequence[AnyStep]
    case_index: int | None = None
    in_order: bool = True


class Knowledge(Protocol):
    """What is known of agents and templates besides the definition."""

    def schema(self, agent_id: str) -> JSON | None:
        """The JSON Schema of an agent's parameters; None if there is no such agent."""

    def agent_ids(self) -> Iterable[str]:
        """The ids of all agents."""

    def template(self, name: str, version: int | None) -> Definition | None:
        """A template's definition, the current one for None; None if there is none that may be used."""


def places(step: AnyStep, pointer: str = "") -> list[Place]:
    """The lists of steps inside of `step`, apart from what a map repeats."""
    if isinstance(step, ParallelStep):
        return [Place(f"{pointer}/tasks", step.tasks, in_order=False)]
    if isinstance(step, SequenceStep):
        return [Place(f"{pointer}/steps", step.steps)]
    if isinstance(step, BranchStep):
        cases = [Place(f"{pointer}/cases/{n}/steps", case.steps, n) for n, case in enumerate(step.cases)]
        return [*cases, Place(f"{pointer}/default", step.default, DEFAULT_CASE)]
    return []


def waits_for(place: Place, n: int) -> list[str]:
    """What the nth step of a list waits for."""
    said = place.steps[n].depends_on
    if said is not None:
        return list(dict.fromkeys(said))
    return [place.steps[n - 1].step_id] if n and place.in_order else []


def steps(definition: Definition) -> list[Planned]:
    """Every step, in the order of the definition and depth first; what a map repeats stays inside of it."""
    return list(_planned(Place("/steps", definition.steps), None, 0))


def item_steps(repeated: JSON | AnyStep, map_step_id: str, index: int, position: int = 0) -> list[Planned]:
    """The steps of one item of a map: ids end in `[index]`, and what they wait for inside of the item does too."""
    step = MapStep.model_validate({"step_id": "_", "type": "map", "over": [], "step": repeated}).step
    planned = list(_planned(Place("/step", [step]), None, position))
    own = {each.step_id for each in planned}

    def here(step_id: str) -> str:
        return f"{step_id}[{index}]" if step_id in own else step_id

    return [
        Planned(
            step_id=here(each.step_id),
            position=each.position,
            kind=each.kind,
            parent_step_id=here(each.parent_step_id) if each.parent_step_id else map_step_id,
            case_index=each.case_index,
            depends_on=[here(name) for name in each.depends_on],
            definition=each.definition,
            leaf=each.leaf,
        )
        for each in planned
    ]


def total(definition: Definition) -> int:
    """How many steps do something themselves; a container only holds others, a map counts as one."""
    return sum(planned.leaf for planned in steps(definition))


def dry_run(definition: Definition, inputs: JSON, knowledge: Knowledge) -> JSON:
    """What a run would do, as far as that can be known: {total_steps, waves: [[step, …], …]}.

    Steps of one wave may run at the same time. Each has what it waits for, under which conditions it runs, and its
    parameters, in which `open` placeholders stay as written. The definition must be one that passes the checks.
    """
    planned = steps(definition)
    rehearsal = _Rehearsal({each.step_id: each for each in planned}, inputs, definition.name, knowledge)
    waves: dict[int, list[JSON]] = {}
    for each, wave in _waves(planned):
        waves.setdefault(wave, []).append(rehearsal.step(each))
    return {"total_steps": total(definition), "waves": [waves[wave] for wave in sorted(waves)]}


def _waves(planned: Sequence[Planned]) -> Iterator[tuple[Planned, int]]:
    """Each step that does something itself, and how many others must have ended before it at least."""
    parents = {each.step_id: each.parent_step_id for each in planned}
    start: dict[str, int] = {}
    end: dict[str, int] = {}
    for each in planned:
        before = [end.get(step_id, 0) for step_id in each.depends_on]
        start[each.step_id] = wave = max([start.get(each.parent_step_id or "", 0), *before])
        end[each.step_id] = wave + each.leaf
        outer = each.parent_step_id
        while outer is not None:
            end[outer] = max(end[outer], end[each.step_id])
            outer = parents[outer]
        if each.leaf:
            yield each, wave


@dataclass(frozen=True)
class _Rehearsal:
    planned: dict[str, Planned]
    inputs: JSON
    name: str
    knowledge: Knowledge

    def step(self, planned: Planned) -> JSON:
        said = planned.definition
        known = {
            "step_id": planned.step_id,
            "kind": planned.kind,
            "title": said.get("title"),
            "inside_of": planned.parent_step_id,
            "waits_for": self._waits_for(planned),
            "conditions": list(self._conditions(planned)),
            **self._own(planned.kind, said),
        }
        return {key: value for key, value in known.items() if value is not None}

    def _waits_for(self, planned: Planned) -> list[str]:
        """What it waits for itself, else what the step around it waits for."""
        if planned.depends_on or planned.parent_step_id is None:
            return planned.depends_on
        return self._waits_for(self.planned[planned.parent_step_id])

    def _own(self, kind: str, said: JSON) -> JSON:
        if kind == "map":
            return self._map(said)
        if kind == "workflow":
            return self._workflow(said)
        if kind == "approval":
            known, still = self._known({"question": said["question"], "shown": said.get("shown")})
            return {**known, "approvers": said.get("approvers", []), "open": still}
        parameters, still = self._known(said.get("parameters", {}))
        return {"agent_id": said["agent_id"], "parameters": parameters, "open": still}

    def _map(self, said: JSON) -> JSON:
        over, still = self._known(said["over"])
        first = item_steps(said["step"], str(said["step_id"]), 0)
        repeated = [
            {"step_id": each.step_id, "kind": each.kind, "waits_for": each.depends_on, **_shown_inside(each)}
            for each in first
        ]
        count = len(over) if isinstance(over, list) else None
        return {"over": over, "items": count, "each": repeated, "open": still}

    def _workflow(self, said: JSON) -> JSON:
        inputs, still = self._known(said.get("inputs", {}))
        template, version = said.get("template"), said.get("version")
        inside = self.knowledge.template(template, version) if template else read(said["definition"])
        count = total(inside) if inside else None
        return {
            "template": template,
            "version": version,
            "inputs": inputs,
            "steps_inside": count,
            "open": still,
        }

    def _known(self, value: Any) -> tuple[Any, list[str]]:
        try:
            return resolve_known(value, Values({}, self.inputs, {"name": self.name}))
        except TooLarge as error:
            return value, [error.message]

    def _conditions(self, planned: Planned) -> Iterator[JSON]:
        """Its own `when` and those of what it is in, outermost first, each said if it is known already."""
        if planned.parent_step_id is not None:
            outer = self.planned[planned.parent_step_id]
            yield from self._conditions(outer)
            if planned.case_index == DEFAULT_CASE:
                yield {"of": outer.step_id, "when": f"no case of `{outer.step_id}` holds"}
            elif planned.case_index is not None:
                yield self._condition(outer.step_id, outer.definition["cases"][planned.case_index]["when"])
        if "when" in planned.definition:
            yield self._condition(planned.step_id, planned.definition["when"])

    def _condition(self, step_id: str, text: str) -> JSON:
        condition = parse(text)
        if self._known([f"{{{{{each.text}}}}}" for each in condition.references])[1]:
            return {"of": step_id, "when": text}
        scope = Values({}, self.inputs, {"name": self.name})
        try:
            return {
                "of": step_id,
                "when": text,
                "holds": condition.holds(scope),
                "said": condition.said(scope),
            }
        except CannotCompare as error:
            return {"of": step_id, "when": text, "said": error.message}


def _shown_inside(planned: Planned) -> JSON:
    keys = ("agent_id", "parameters", "template", "when", "question")
    return {key: planned.definition[key] for key in keys if key in planned.definition}


def _planned(place: Place, parent: str | None, position: int) -> Iterator[Planned]:
    for n, step in enumerate(place.steps):
        inside = places(step)
        yield Planned(
            step_id=step.step_id,
            position=position,
            kind=step.type,
            parent_step_id=parent,
            case_index=place.case_index,
            depends_on=waits_for(place, n),
            definition=own_keys(step),
            leaf=not inside,
        )
        position += 1
        for inner in inside:
            for each in _planned(inner, step.step_id, position):
                yield each
                position += 1


def own_keys(step: Shape) -> JSON:
    """What a step says of itself: only what was said, and none of its inner steps (but for those of a map)."""
    said = step.model_dump(mode="json", exclude_defaults=True, exclude=_INSIDE)
    if "cases" in said:
        said["cases"] = [{"when": case["when"]} for case in said["cases"]]
    return said
