"""What the placeholders of a run's steps stand for; outputs are loaded when something names them, and not before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.workflows import conditions, rows
from app.workflows.graph import Tree
from app.workflows.references import JSON, Path, StepValue, TooLarge, Values, named, references
from app.workflows.rows import Kept

LARGEST = 16_000_000
"""Bytes of outputs that one step may refer to together."""
DENSEST = 300
"""So many bytes of text the database may keep in one byte, at the very most."""
# Which keys of each kind of step have placeholders.
OPEN_KEYS = {
    "agent": ("parameters",),
    "approval": ("question", "shown"),
    "workflow": ("inputs",),
    "map": ("over",),
    "branch": (),
    "parallel": (),
    "sequence": (),
}


def own_id(step_id: str) -> str:
    """The id as the definition has it: `resize` for `resize[3]`."""
    return step_id.partition("[")[0]


class Outputs(Mapping[str, StepValue]):
    """What became of each step of a run; what came out of containers is put together from what is in them.

    Whoever wants outputs loads them first: a step that is only asked how it ended costs nothing.
    """

    def __init__(self, workflow_id: str, tree: Tree) -> None:
        """Nothing is loaded yet."""
        self._workflow_id = workflow_id
        self.tree = tree
        self._loaded: dict[str, JSON] = {}
        self._sizes: dict[str, int] = {}
        self._wanted: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tree.by_id)

    def __len__(self) -> int:
        return len(self.tree.by_id)

    def __contains__(self, step_id: object) -> bool:
        return step_id in self.tree.by_id

    def __getitem__(self, step_id: str) -> StepValue:
        step = self._kept(step_id)
        output = self._output(step) if step_id in self._wanted else None
        return StepValue(step.status, output, step.job_id)

    def _kept(self, step_id: str) -> Kept:
        step = self.tree.by_id[step_id]
        assert isinstance(step, Kept)
        return step

    def needed(self, step_ids: Iterable[str]) -> set[str]:
        """The steps with outputs of their own that the outputs of some are made of."""
        found: set[str] = set()
        for step_id in step_ids:
            step = self._kept(step_id)
            inner = self.tree.below(step_id) if step.is_container else [step]
            found |= {s.step_id for s in inner if not s.is_container}
        return {each for each in found if self._kept(each).size}

    def demand_room(self, step_ids: Iterable[str]) -> None:
        """Raise TooLarge if the outputs of some steps together are more than one step may refer to."""
        if (size := self.size(step_ids)) > LARGEST:
            raise TooLarge(f"the outputs it refers to are {size:,} bytes together; at most {LARGEST:,}")

    def size(self, step_ids: Iterable[str]) -> int:
        """How large the outputs of some steps are together; exact only where they may be more than LARGEST."""
        needed = self.needed(step_ids)
        kept = sum(self._kept(each).size for each in needed)
        if kept > LARGEST or kept * DENSEST <= LARGEST:
            return kept
        if missing := needed - self._sizes.keys():
            self._sizes |= rows.sizes(self._workflow_id, missing)
        return sum(self._sizes.get(each, 0) for each in needed)

    def load(self, step_ids: Iterable[str]) -> None:
        """Read what is needed for the outputs of some steps, by one statement."""
        wanted = set(step_ids)
        self._wanted |= wanted
        if missing := self.needed(wanted) - self._loaded.keys():
            self._loaded |= rows.outputs(self._workflow_id, missing)

    def _output(self, step: Kept) -> JSON:
        if not step.is_container:
            return self._loaded.get(step.step_id)
        inside = [self._kept(s.step_id) for s in self.tree.inside(step.step_id)]
        if step.kind == "parallel" and step.status in ("completed", "failed"):
            return {own_id(s.step_id): self._output(s) for s in inside}
        if step.kind == "map" and step.status in ("completed", "failed"):
            return [self._output(s) for s in inside]
        done = [s for s in inside if s.status == "completed"]
        return self._output(done[-1]) if done and step.status == "completed" else None


class Sight:
    """What one step can see."""

    def __init__(self, run: Mapping[str, Any], outputs: Outputs, told: Mapping[str, Any]) -> None:
        """`told` are the definitions and items of the steps that start, by id (rows.definitions)."""
        self._run, self.outputs, self._told = run, outputs, told
        self._nesting = {step.step_id: step.parent for step in outputs.tree}

    def item_of(self, step_id: str) -> str | None:
        """The step of a map's item that a step is, or is in."""
        return item_of(self.outputs.tree, step_id)

    def of_run(self) -> Values:
        """The scope of what the run itself says."""
        about = {"id": self._run["workflow_id"], "name": self._run["name"]}
        return Values(outputs=self.outputs, inputs=self._run["inputs"], workflow=about, nesting=self._nesting)

    def values(self, step_id: str) -> Values:
        """The scope of a step's placeholders."""
        root = self.item_of(step_id)
        if root is None:
            return self.of_run()
        index = self.outputs.tree.by_id[root].item_index
        return replace(self.of_run(), item=self._told[root]["item"], index=index)

    def named(self, step_id: str, kind: str) -> set[str]:
        """The steps that its placeholders name, as far as there are such."""
        return steps_named(
            _paths(kind, self._told[step_id]["definition"]), self.outputs, self.item_of(step_id)
        )


def item_of(tree: Tree, step_id: str) -> str | None:
    """The step of a map's item that a step is, or is in."""
    step = tree.by_id[step_id]
    return next((s.step_id for s in (step, *tree.around(step)) if s.item_index is not None), None)


def steps_named(paths: Iterable[Path], outputs: Outputs, item: str | None = None) -> set[str]:
    """The steps whose outputs some paths lead into; inside of a map's item its own go first."""
    suffix = item[item.index("[") :] if item else ""
    names = [
        named(path)[0][-1] for path in paths if path[0] == "steps" and len(path) > 1 and "output" in path
    ]
    found = (f"{name}{suffix}" if f"{name}{suffix}" in outputs else name for name in names)
    return {name for name in found if name in outputs}


def paths_of(value: Any) -> list[Path]:
    """Every path that the placeholders of some JSON try."""
    return [path for reference in references(value) for path in reference.alternatives]


def _paths(kind: str, definition: Mapping[str, Any]) -> list[Path]:
    said = [definition[key] for key in OPEN_KEYS[kind] if key in definition]
    whens = [definition.get("when"), *(case["when"] for case in definition.get("cases", ()))]
    found = [r for when in whens if when for r in conditions.parse(when).references]
    return [*paths_of(said), *(path for reference in found for path in reference.alternatives)]
