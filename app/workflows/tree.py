"""The steps of a definition as a tree: where each stands, what it may name, and what has finished before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.workflows.definition import AnyStep, Definition, MapStep
from app.workflows.plan import Place, places, waits_for


@dataclass
class Node:
    """One step and its surroundings."""

    step: AnyStep
    pointer: str
    parent: Node | None
    depth: int
    earlier: list[Node]
    """Those before it in its own list."""
    waits_for: list[str]
    number: int
    """Its place in the document."""
    inside: list[Node] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    """Ids of the steps that have surely ended (or were skipped) before it starts."""

    @property
    def step_id(self) -> str:
        """As it was given."""
        return self.step.step_id

    def above(self) -> Iterator[Node]:
        """What it is in, from the inside out."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def repeated_by(self) -> Node | None:
        """The map that runs it once for each item, if it is in one."""
        return next((node for node in self.above() if isinstance(node.step, MapStep)), None)

    def visible(self) -> set[str]:
        """The ids it may wait for: earlier in its own list, or in a list around it."""
        around = [self, *self.above()]
        return {other.step_id for node in around for other in node.earlier}

    def once(self) -> Iterator[str]:
        """Its own id and those of what is inside of it, but for what a map repeats."""
        yield self.step_id
        if not isinstance(self.step, MapStep):
            for inner in self.inside:
                yield from inner.once()


class Tree:
    """All steps of a definition. Of two with the same id the first is meant."""

    def __init__(self, definition: Definition) -> None:
        """Every step is put down with what has finished before it."""
        self.nodes: list[Node] = []
        self.by_id: dict[str, Node] = {}
        self.top = self._list(Place("/steps", definition.steps), None)

    def _list(self, place: Place, parent: Node | None) -> list[Node]:
        made: list[Node] = []
        for n, step in enumerate(place.steps):
            pointer = f"{place.pointer}/{n}" if n or place.pointer[-5:] != "/step" else place.pointer
            node = Node(
                step=step,
                pointer=pointer,
                parent=parent,
                depth=parent.depth + 1 if parent else 1,
                earlier=list(made),
                waits_for=waits_for(place, n),
                number=len(self.nodes),
            )
            self.nodes.append(node)
            self.by_id.setdefault(node.step_id, node)
            self._finished_before(node)
            node.inside = [inner for each in _inside(node) for inner in self._list(each, node)]
            made.append(node)
        return made

    def _finished_before(self, node: Node) -> None:
        """What it and everything around it waited for. Those all stand earlier, so theirs is known."""
        if node.parent:
            node.finished |= node.parent.finished
        for step_id in set(node.waits_for) & node.visible():
            other = self.by_id[step_id]
            node.finished.update(other.finished, other.once())

    def at_the_end(self) -> set[str]:
        """The ids of all steps whose output the run's own output may name."""
        return {step_id for node in self.top for step_id in node.once()}


def _inside(node: Node) -> list[Place]:
    if isinstance(node.step, MapStep):
        return [Place(f"{node.pointer}/step", [node.step.step])]
    return places(node.step, node.pointer)
