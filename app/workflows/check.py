"""What of a definition would not run, found before anything runs; each with its JSON pointer and the way out."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any

from app.agents import schemas, secrecy
from app.approvals.asking import ROLES
from app.errors import Invalid
from app.notify.addresses import check_email
from app.workflows.complaints import nearest, pointer
from app.workflows.conditions import parse
from app.workflows.definition import (
    AgentStep,
    ApprovalStep,
    BranchStep,
    Definition,
    MapStep,
    WorkflowStep,
)
from app.workflows.fitting import misfits
from app.workflows.plan import Knowledge
from app.workflows.references import OF_A_STEP, Path, Reference, is_one, named, scan, written
from app.workflows.tree import Node, Tree

__all__ = ["Knowledge", "Problem", "check"]

JSON = Any
DEEPEST = 5
"""Steps inside of steps, and workflows inside of workflows."""
MOST_STEPS = 500
MOST_PROBLEMS = 100


@dataclass(frozen=True)
class Problem:
    """Something that would not run: where, what, and the way out."""

    pointer: str
    message: str
    hint: str | None = None


def check(definition: Definition, knowledge: Knowledge, name: str | None = None) -> list[Problem]:
    """Everything in a definition that would not run, at most a hundred; `name` is its own name as a template."""
    inside = _Inside(knowledge, [name] if name else [])
    found = _Checking(definition, knowledge, inside, 0).problems()
    return sorted(found, key=_in_order)[:MOST_PROBLEMS]


def _in_order(problem: Problem) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in problem.pointer.split("/")]


def _meant(name: str, known: Iterable[str]) -> str | None:
    near = nearest(name, known)
    return f"Did you mean `{near}`?" if near else None


class _Checking:
    """One definition, on its way through all checks."""

    def __init__(self, definition: Definition, knowledge: Knowledge, inside: _Inside, level: int) -> None:
        """`level` is how many definitions it is written inside of."""
        self.definition, self.knowledge, self.inside, self.level = definition, knowledge, inside, level
        self.schemas: dict[str, JSON] = {}

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.definition)

    def problems(self) -> list[Problem]:
        if len(self.tree.nodes) > MOST_STEPS:
            return [
                Problem(
                    "/steps", f"there are {len(self.tree.nodes)} steps; a workflow has at most {MOST_STEPS}"
                )
            ]
        parts = [self._ids, self._cycles, self._inputs, self._output, self._told]
        each: list[Callable[[Node], Iterator[Problem]]] = [
            self._depth,
            self._waits,
            self._placeholders,
            self._own,
        ]
        of_all = (problem for part in parts for problem in part())
        of_each = (problem for node in self.tree.nodes for part in each for problem in part(node))
        return list(islice(chain(of_all, of_each), MOST_PROBLEMS))  # looking for what was meant takes time

    # Names and order.

    def _ids(self) -> Iterator[Problem]:
        for node in self.tree.nodes:
            first = self.tree.by_id[node.step_id]
            if first is not node:
                what = f"the id `{node.step_id}` is used twice; the first stands at {first.pointer}"
                yield Problem(f"{node.pointer}/step_id", what, "Ids are unique in the whole workflow.")
            elif node.step_id in OF_A_STEP:
                what = f"`{node.step_id}` cannot be the id of a step: `steps.x.{node.step_id}` means something else"
                yield Problem(f"{node.pointer}/step_id", what)

    def _depth(self, node: Node) -> Iterator[Problem]:
        if node.depth == DEEPEST + 1:
            yield Problem(
                node.pointer,
                f"this is inside of {DEEPEST} other steps; {DEEPEST} levels are the most",
                "A step of type workflow has levels of its own.",
            )

    def _waits(self, node: Node) -> Iterator[Problem]:
        circular = {step_id for cycle in self.cycles for step_id in cycle}
        for n, step_id in enumerate(node.step.depends_on or ()):
            other = self.tree.by_id.get(step_id)
            if step_id in node.visible() or {step_id, node.step_id} <= circular:
                continue
            at = f"{node.pointer}/depends_on/{n}"
            if other is None:
                hint = _meant(step_id, node.visible())
                yield Problem(at, f"`{node.step_id}` waits for `{step_id}`, which is no step", hint)
            else:
                yield replace(_cannot_wait(node, other), pointer=at)

    @cached_property
    def cycles(self) -> list[list[str]]:
        """Circles among the dependencies that were written down, each from a step back to itself."""
        graph = {n.step_id: set(n.step.depends_on or ()) for n in reversed(self.tree.nodes)}
        found: list[list[str]] = []
        while len(found) < 10:
            try:
                graphlib.TopologicalSorter(graph).prepare()
            except graphlib.CycleError as error:
                cycle = [str(step_id) for step_id in reversed(error.args[1])]
                found.append(cycle)
                graph[cycle[0]].discard(cycle[1])
            else:
                break
        return [self._from_the_first(cycle) for cycle in found]

    def _from_the_first(self, cycle: list[str]) -> list[str]:
        """The same circle, beginning with the step that stands first in the document."""
        ring = cycle[:-1]
        first = min(range(len(ring)), key=lambda n: self.tree.by_id[ring[n]].number)
        return [*ring[first:], *ring[:first], ring[first]]

    def _cycles(self) -> Iterator[Problem]:
        for cycle in self.cycles:
            said = f"steps wait for each other: {' → '.join(cycle)}"
            yield Problem(f"{self.tree.by_id[cycle[0]].pointer}/depends_on", said)

    # Placeholders and conditions.

    def _placeholders(self, node: Node) -> Iterator[Problem]:
        for key, value in _texts(node):
            yield from self._values(value, f"{node.pointer}/{key}", node)
        for key, condition in _conditions(node):
            try:
                found = parse(condition).references
            except Invalid as error:
                yield Problem(f"{node.pointer}/{key}", f"the condition cannot be read: {error.message}")
            else:
                at = f"{node.pointer}/{key}"
                yield from self._references((replace(each, pointer=at) for each in found), node)

    def _inputs(self) -> Iterator[Problem]:
        if self.definition.inputs is not None:
            yield from _schema(self.definition.inputs, "/inputs")

    def _output(self) -> Iterator[Problem]:
        yield from self._values(self.definition.output, "/output", None)

    def _told(self) -> Iterator[Problem]:
        for key, said in (
            ("on_failure", self.definition.on_failure),
            ("on_success", self.definition.on_success),
        ):
            for n, address in enumerate(said.notify):
                if wrong := check_email(address):
                    yield Problem(f"/{key}/notify/{n}", wrong)

    def _values(self, value: JSON, at: str, node: Node | None) -> Iterator[Problem]:
        found, wrong = scan(value, at)
        yield from (Problem(place, what) for place, what in wrong)
        yield from self._references(found, node)
        for place in _keys(value, at):
            yield Problem(place, "placeholders stand in values, not in keys; this key stays as it is written")

    def _references(self, found: Iterable[Reference], node: Node | None) -> Iterator[Problem]:
        for reference in found:
            for path in reference.alternatives:
                problem = self._leads_nowhere(path, node)
                if problem:
                    said = f"{{{{{written(path)}}}}}: {problem.message}"
                    yield Problem(reference.pointer, said, problem.hint)

    def _leads_nowhere(self, path: Path, node: Node | None) -> Problem | None:
        if path[0] == "inputs":
            return self._no_input(path)
        if path[0] in {"item", "index"}:
            inside = node is not None and node.repeated_by() is not None
            return None if inside else Problem("", f"`{path[0]}` is known only inside of a step of type map")
        return self._no_step(path, node) if path[0] == "steps" else None

    def _no_input(self, path: Path) -> Problem | None:
        schema = self.definition.inputs or {}
        known = schema.get("properties")
        if len(path) < 2 or not isinstance(known, dict) or schema.get("additionalProperties"):
            return None
        name = str(path[1])
        return None if name in known else Problem("", f"there is no input `{name}`", _meant(name, known))

    def _no_step(self, path: Path, node: Node | None) -> Problem | None:
        names, _ = named(path)
        step_id = names[-1].partition("[")[0]
        other = self.tree.by_id.get(step_id)
        known = node.finished if node else self.tree.at_the_end()
        if other is None:
            return Problem("", f"there is no step `{step_id}`", _meant(step_id, known))
        around = {above.step_id for above in other.above()}
        if wrong := next((outer for outer in names[:-1] if outer.partition("[")[0] not in around), None):
            return Problem("", f"step `{step_id}` is not inside of `{wrong}`")
        return None if step_id in known and names[-1] == step_id else _not_finished(node, other)

    # What each type of step has.

    def _own(self, node: Node) -> Iterator[Problem]:
        step = node.step
        if isinstance(step, AgentStep):
            yield from self._agent(node, step)
        elif isinstance(step, MapStep):
            yield from _map(node, step)
        elif isinstance(step, WorkflowStep):
            yield from self._workflow(node, step)
        elif isinstance(step, ApprovalStep):
            yield from _approval(node, step)

    def _agent(self, node: Node, step: AgentStep) -> Iterator[Problem]:
        if "{{" in step.agent_id:
            what = "an agent cannot be a placeholder"
            yield Problem(f"{node.pointer}/agent_id", what, "Use a branch with a step for each.")
            return
        if step.agent_id not in self.schemas:
            self.schemas[step.agent_id] = self.knowledge.schema(step.agent_id)
        schema = self.schemas[step.agent_id]
        if schema is None:
            hint = _meant(step.agent_id, self._agent_ids)
            yield Problem(f"{node.pointer}/agent_id", f"there is no agent `{step.agent_id}`", hint)
            return
        for at, what in misfits(schema, step.parameters):
            yield Problem(f"{node.pointer}/parameters{at}", f"{what} (agent `{step.agent_id}`)")
        yield from _written_secrets(node, schema, step)

    @cached_property
    def _agent_ids(self) -> list[str]:
        return list(self.knowledge.agent_ids())

    def _workflow(self, node: Node, step: WorkflowStep) -> Iterator[Problem]:
        if (step.template is None) == (step.definition is None):
            yield Problem(node.pointer, "a step of type workflow has either `template` or `definition`")
        elif step.definition is not None:
            yield from self._written_inside(node, step, step.definition)
        else:
            yield from self._template(node, step, str(step.template))

    def _written_inside(self, node: Node, step: WorkflowStep, definition: Definition) -> Iterator[Problem]:
        yield from _unfit_inputs(node, step, definition)
        at = f"{node.pointer}/definition"
        if self.level + 1 > DEEPEST:
            yield Problem(at, _TOO_DEEP)
            return
        inner = _Checking(definition, self.knowledge, self.inside, self.level + 1)
        yield from (replace(each, pointer=f"{at}{each.pointer}") for each in inner.problems())

    def _template(self, node: Node, step: WorkflowStep, name: str) -> Iterator[Problem]:
        at = f"{node.pointer}/template"
        try:
            deep = self.inside.levels_of(name, step.version)
            found = self.inside.template(name, step.version)
        except Invalid as error:
            yield Problem(at, error.message)
            return
        if self.level + deep > DEEPEST:
            yield Problem(at, _TOO_DEEP)
        yield from _unfit_inputs(node, step, found)


def _written_secrets(node: Node, schema: JSON, step: AgentStep) -> Iterator[Problem]:
    """Secret parameters that stand in the definition itself, which others may read and which is kept for good."""
    found = {each.pointer for each in scan(step.parameters)[0]}
    for at in secrecy.places(schema, step.parameters):
        if not any(f"{each}/".startswith(f"{at}/") for each in found):
            hint = "Make it an input with `x-secret: true`, and write `{{inputs.NAME}}` here."
            yield Problem(f"{node.pointer}/parameters{at}", "is secret, and a definition is not", hint)


_TOO_DEEP = f"workflows inside of workflows: {DEEPEST} levels are the most"


def _unfit_inputs(node: Node, step: WorkflowStep, definition: Definition) -> Iterator[Problem]:
    for at, what in misfits(definition.inputs or {}, step.inputs, patterns=False):
        yield Problem(f"{node.pointer}/inputs{at}", what)


class _Inside:
    """Templates used in templates: each is looked at once."""

    def __init__(self, knowledge: Knowledge, around: list[str]) -> None:
        """`around` are the names one is in while looking, outermost first."""
        self.knowledge, self.around = knowledge, around
        self.found: dict[tuple[str, int | None], Definition] = {}
        self.levels: dict[tuple[str, int | None], int] = {}

    def template(self, name: str, version: int | None) -> Definition:
        """Invalid, if there is none or none that the submitter may use."""
        if (name, version) not in self.found:
            found = self.knowledge.template(name, version)
            if found is None:
                said = f"there is no template `{name}`{f' with a version {version}' if version else ''}"
                raise Invalid(f"{said} that you may use")
            self.found[name, version] = found
        return self.found[name, version]

    def levels_of(self, name: str, version: int | None) -> int:
        """How many workflows inside of each other it makes, itself one; Invalid names a circle."""
        if name in self.around:
            circle = " → ".join([*self.around[self.around.index(name) :], name])
            raise Invalid(f"the template contains itself: {circle}")
        if len(self.around) > DEEPEST:
            raise Invalid(_TOO_DEEP)
        if (name, version) not in self.levels:
            self.around.append(name)
            try:
                self.levels[name, version] = 1 + self._levels(self.template(name, version))
            finally:
                self.around.pop()
        return self.levels[name, version]

    def _levels(self, definition: Definition) -> int:
        steps = [node.step for node in Tree(definition).nodes if isinstance(node.step, WorkflowStep)]
        return max((self._levels_inside(step) for step in steps), default=0)

    def _levels_inside(self, step: WorkflowStep) -> int:
        if step.template is not None:
            return self.levels_of(step.template, step.version)
        return 1 + self._levels(step.definition) if step.definition else 0


# What is looked at in a step of each type.


def _texts(node: Node) -> Iterator[tuple[str, JSON]]:
    """The values in which placeholders are resolved, by key."""
    step = node.step
    if isinstance(step, AgentStep):
        yield "parameters", step.parameters
    elif isinstance(step, MapStep):
        yield "over", step.over
    elif isinstance(step, WorkflowStep):
        yield "inputs", step.inputs
    elif isinstance(step, ApprovalStep):
        yield "question", step.question
        yield "shown", step.shown


def _conditions(node: Node) -> Iterator[tuple[str, str]]:
    if node.step.when is not None:
        yield "when", node.step.when
    if isinstance(node.step, BranchStep):
        for n, case in enumerate(node.step.cases):
            yield f"cases/{n}/when", case.when


def _keys(value: JSON, at: str) -> Iterator[str]:
    """Where a key looks like a placeholder."""
    todo = [(value, at)]
    while todo:
        here, place = todo.pop()
        if isinstance(here, Mapping):
            yield from (f"{place}{pointer((name,))}" for name in here if "{{" in name)
            todo += [(inner, f"{place}{pointer((name,))}") for name, inner in here.items()]
        elif isinstance(here, list):
            todo += [(inner, f"{place}/{n}") for n, inner in enumerate(here) if not isinstance(inner, str)]


def _cannot_wait(node: Node, other: Node) -> Problem:
    """Why a step cannot wait for another one that is not among those it sees."""
    said = f"`{node.step_id}` cannot wait for `{other.step_id}`"
    if other in node.above():
        return Problem("", f"{said}, which it is inside of")
    seen = node.visible()
    outer = next((above for above in other.above() if above.step_id in seen), None)
    if outer:
        return Problem("", f"{said}, which is inside of `{outer.step_id}`", f"Wait for `{outer.step_id}`.")
    if other.number > node.number:
        return Problem("", f"{said}, which comes later", f"Move `{other.step_id}` up.")
    return Problem("", f"{said}, which is inside of another step")


def _not_finished(node: Node | None, other: Node) -> Problem:
    """Why the output of a step is not there yet, or not as one."""
    repeating = other.repeated_by()
    if repeating and (node is None or repeating not in node.above()):
        whole = f"steps.{repeating.step_id}.output"
        return Problem(
            "",
            f"`{other.step_id}` runs once for each item",
            f"`{whole}` is the list, `{whole}[0]` the first.",
        )
    if node is None or node is other:
        return Problem("", "a step cannot use its own output")
    if other in node.above():
        return Problem("", f"`{node.step_id}` is inside of `{other.step_id}`, which has not ended yet")
    seen = node.visible()
    nearest_seen = next((each for each in (other, *other.above()) if each.step_id in seen), None)
    if nearest_seen:
        said = f"`{node.step_id}` does not wait for `{other.step_id}`, which may still be running"
        return Problem("", said, f"Add `{nearest_seen.step_id}` to its `depends_on`.")
    if other.number > node.number:
        return Problem("", f"`{other.step_id}` comes later", f"Move `{other.step_id}` up.")
    return Problem("", f"`{other.step_id}` runs beside `{node.step_id}` and may not have ended")


def _map(node: Node, step: MapStep) -> Iterator[Problem]:
    if node.repeated_by():
        what = "a map cannot be inside of a map"
        yield Problem(node.pointer, what, "Put the inner one into a step of type workflow.")
    if isinstance(step.over, list):
        if (step.min_success or 0) > len(step.over):
            yield Problem(f"{node.pointer}/min_success", f"there are only {len(step.over)} items")
    elif not (isinstance(step.over, str) and is_one(step.over)):
        what = 'must be a list, or one placeholder that is a list, like "{{steps.split.output.parts}}"'
        yield Problem(f"{node.pointer}/over", what)


def _approval(node: Node, step: ApprovalStep) -> Iterator[Problem]:
    if step.form is not None:
        yield from _schema(step.form, f"{node.pointer}/form")
    for n, who in enumerate(step.approvers):
        if who not in ROLES and check_email(who):
            what = f"`{who}` is neither an e-mail address nor a role that answers: {', '.join(ROLES)}"
            yield Problem(f"{node.pointer}/approvers/{n}", what, _meant(who, ROLES))


def _schema(schema: JSON, at: str) -> Iterator[Problem]:
    """What is wrong with a JSON Schema that came with the definition."""
    for fault in schemas.faults(schema, at):
        yield Problem(fault.pointer, fault.message, fault.hint)
