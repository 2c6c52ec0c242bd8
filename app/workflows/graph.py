"""What a run does next, from where its steps are: pure, without clock, database or conditions.

    waiting ──► running | awaiting_input ──► completed | failed | cancelled
       └──────► skipped | cancelled

`decide` looks once; whoever carries it out looks again, until nothing moves. A step is ready when what contains it
runs and all it waits for is done: completed, skipped, or failed and allowed to. A failure closes what it is in, up to
the first container that may fail, a map that can spare the item, or the run itself: where it is closed nothing new
starts. Containers end when all their steps have ended; nothing ends twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

CONTAINERS = ("parallel", "map", "branch", "sequence")
DONE = ("completed", "skipped")
BAD = ("failed", "cancelled")
FINAL = DONE + BAD


@dataclass(frozen=True, kw_only=True, slots=True)
class StepState:
    """What deciding needs to know of a step."""

    step_id: str
    kind: str = "agent"
    status: str = "waiting"
    parent: str | None = None
    position: int = 0
    case_index: int | None = None
    item_index: int | None = None
    depends_on: tuple[str, ...] = ()
    may_fail: bool = False
    """`continue_on_failure`."""
    max_parallel: int | None = None
    min_success: int | None = None
    started: bool = False
    stopping: bool = False
    """The run told its work to stop (and it may have stopped since)."""
    finished_at: datetime | None = None

    @property
    def is_container(self) -> bool:
        """It has steps inside and no work of its own."""
        return self.kind in CONTAINERS

    @property
    def is_final(self) -> bool:
        """It will not move any more (in this round)."""
        return self.status in FINAL

    @property
    def is_bad(self) -> bool:
        """It ended without being done."""
        return self.status in BAD

    @property
    def is_active(self) -> bool:
        """Something works on it, or somebody is asked."""
        return self.status in ("running", "awaiting_input")


@dataclass(frozen=True)
class Settled:
    """A step that has ended: a container that is over, or a step that will never start."""

    step_id: str
    status: str
    because: str | None = None
    """The step that is to blame."""


@dataclass(frozen=True)
class Decision:
    """What to do now."""

    start: tuple[str, ...] = ()
    settle: tuple[Settled, ...] = ()
    stop: tuple[str, ...] = ()
    """Active steps whose work is not wanted any more."""
    outcome: str | None = None
    """completed, failed or cancelled, once nothing of the run is left to do."""


def decide(
    steps: Iterable[StepState] | Tree,
    *,
    paused: bool = False,
    cancelling: bool = False,
    stop_siblings: bool = False,
) -> Decision:
    """The next moves of a run.

    `paused`: nothing starts. `cancelling`: nothing starts and all that runs is stopped. `stop_siblings`: the same as
    soon as the run has failed; otherwise what runs may finish.
    """
    tree = steps if isinstance(steps, Tree) else Tree(steps)
    look = _Look(tree, cancelling=cancelling, stop_siblings=stop_siblings)
    settle = tuple(look.settled())
    stop = tuple(step.step_id for step in tree if look.is_to_stop(step))
    start = () if paused else tuple(look.ready())
    over = not (settle or stop or start) and all(step.is_final for step in tree.inside(None))
    return Decision(start, settle, stop, look.outcome if over else None)


class Tree:
    """Steps by id and by what contains them, in the order of the definition."""

    def __init__(self, steps: Iterable[StepState]) -> None:
        """Order them once."""
        self._inside: dict[str | None, list[StepState]] = defaultdict(list)
        for step in sorted(steps, key=lambda s: (s.position, s.item_index or 0, s.step_id)):
            self._inside[step.parent].append(step)
        self._in_order = list(self.below(None))
        self.by_id = {step.step_id: step for step in self._in_order}

    def __iter__(self) -> Iterator[StepState]:
        return iter(self._in_order)

    def inside(self, scope: str | None) -> list[StepState]:
        """The steps directly in a container; None: in the run."""
        return self._inside.get(scope, [])

    def below(self, scope: str | None) -> Iterator[StepState]:
        """All steps in a container, at any depth, each before what is in it."""
        for step in self.inside(scope):
            yield step
            yield from self.below(step.step_id)

    def around(self, step: StepState) -> Iterator[StepState]:
        """The containers a step is in, innermost first."""
        while step.parent is not None:
            step = self.by_id[step.parent]
            yield step

    def not_chosen(self, step: StepState) -> bool:
        """It, or what it is in, belongs to a case of a branch that was not taken."""
        return any(self._case_is_skipped(s) for s in (step, *self.around(step)))

    def _case_is_skipped(self, step: StepState) -> bool:
        if step.parent is None or step.case_index is None:
            return False
        same = [s for s in self.inside(step.parent) if s.case_index == step.case_index]
        return all(s.status == "skipped" for s in same)

    @cached_property
    def doomed(self) -> dict[str | None, bool]:
        """Whether what contains steps can still complete, for each container and None for the run."""
        verdicts: dict[str | None, bool] = {}
        for scope in reversed([None, *(s.step_id for s in self if s.is_container)]):
            lost = [s for s in self.inside(scope) if s.is_bad or (s.is_active and verdicts.get(s.step_id))]
            verdicts[scope] = self._is_lost(self.by_id[scope] if scope else None, lost)
        return verdicts

    def _is_lost(self, container: StepState | None, lost: list[StepState]) -> bool:
        if container is None or container.kind != "map":
            return any(not step.may_fail for step in lost)
        if container.min_success is None:
            return any(not step.may_fail for step in lost)
        return len(self.inside(container.step_id)) - len(lost) < container.min_success

    def culprit(self, scope: str | None = None) -> StepState | None:
        """The step that brought a doomed container (None: the run) down: the first to fail, innermost."""
        found: StepState | None = None
        while True:
            spares = scope is not None and self.by_id[scope].min_success is not None
            lost = [s for s in self.inside(scope) if s.is_bad or (s.is_active and self.doomed.get(s.step_id))]
            bad = [s for s in lost if spares or not s.may_fail]
            if not bad:
                return found
            found = min(bad, key=_blame)
            scope = found.step_id


def _blame(step: StepState) -> tuple[bool, bool, float, int]:
    when = step.finished_at.timestamp() if step.finished_at else float("inf")
    return step.status == "cancelled", not step.started, when, step.position


class _Look:
    """One look at a tree."""

    def __init__(self, tree: Tree, *, cancelling: bool, stop_siblings: bool) -> None:
        self.tree = tree
        self.cancelling = cancelling
        self.stops_all = cancelling or (stop_siblings and tree.doomed[None])
        self._closed: dict[str | None, bool] = {None: cancelling or tree.doomed[None]}
        self._stopped: dict[str | None, bool] = {None: self.stops_all}
        for step in tree:
            if step.is_container:
                doomed = tree.doomed[step.step_id]
                self._closed[step.step_id] = doomed or self._closed[step.parent]
                spared = doomed and step.min_success is not None
                self._stopped[step.step_id] = self._stopped[step.parent] or spared

    @property
    def outcome(self) -> str:
        if self.cancelling:
            return "cancelled"
        return "failed" if self.tree.doomed[None] else "completed"

    def settled(self) -> Iterator[Settled]:
        """Containers that are over, and waiting steps that will never start."""
        for step in self.tree:
            end = self._never(step) if step.status == "waiting" else self._over(step)
            if end:
                yield end

    def _never(self, step: StepState) -> Settled | None:
        parent = self.tree.by_id[step.parent] if step.parent else None
        if skipped := next((s for s in self.tree.around(step) if s.status == "skipped"), None):
            return Settled(step.step_id, "skipped", skipped.step_id)
        if self._closed[step.parent] or (parent and parent.is_final):
            return Settled(step.step_id, "cancelled", self._to_blame(step))
        bad = next((d for d in self._awaited(step) if d.is_bad and not d.may_fail), None)
        return Settled(step.step_id, "cancelled", bad.step_id) if bad else None

    def _to_blame(self, step: StepState) -> str | None:
        for scope in (*(s.step_id for s in self.tree.around(step)), None):
            if self.tree.doomed[scope] and (culprit := self.tree.culprit(scope)):
                return culprit.step_id
        return None

    def _over(self, step: StepState) -> Settled | None:
        inside = self.tree.inside(step.step_id)
        if step.status != "running" or not step.is_container or not all(s.is_final for s in inside):
            return None
        if not self.tree.doomed[step.step_id]:
            cut = any(s.status == "cancelled" and not _ended_by_itself(s) for s in inside)
            return Settled(
                step.step_id, "cancelled" if cut else "completed", self._to_blame(step) if cut else None
            )
        culprit = self.tree.culprit(step.step_id)
        bad = [s for s in inside if s.is_bad and (step.min_success is not None or not s.may_fail)]
        failed = not bad or any(s.status == "failed" for s in bad)
        return Settled(
            step.step_id, "failed" if failed else "cancelled", culprit.step_id if culprit else None
        )

    def is_to_stop(self, step: StepState) -> bool:
        """Its work is not wanted any more, and was not told yet. Whoever is asked where it is closed, is not."""
        if step.is_container or not step.is_active or step.stopping:
            return False
        return self._stopped[step.parent] or (step.status == "awaiting_input" and self._closed[step.parent])

    def ready(self) -> Iterator[str]:
        """Steps that may start now, in the order of the definition."""
        room = {s.step_id: self._room(s) for s in self.tree if s.max_parallel is not None}
        for step in self.tree:
            if not self._is_ready(step):
                continue
            if step.parent in room:
                if room[step.parent] <= 0:
                    continue
                room[step.parent] -= 1
            yield step.step_id

    def _room(self, container: StepState) -> int:
        busy = sum(s.is_active for s in self.tree.inside(container.step_id))
        return (container.max_parallel or 0) - busy

    def _is_ready(self, step: StepState) -> bool:
        if step.status != "waiting" or self._closed[step.parent]:
            return False
        if step.parent is not None and self.tree.by_id[step.parent].status != "running":
            return False
        return all(d.status in DONE or (d.is_bad and d.may_fail) for d in self._awaited(step))

    def _awaited(self, step: StepState) -> list[StepState]:
        return [self.tree.by_id[name] for name in step.depends_on if name in self.tree.by_id]


@dataclass
class Again:
    """Which steps are done again, and how."""

    redo: set[str] = field(default_factory=set)
    """As if they had never run."""
    reopen: set[str] = field(default_factory=set)
    """Containers that go on, with what is done in them."""
    forget: set[str] = field(default_factory=set)
    """Steps that a map made of its items, which it will make anew."""


def again(tree: Tree, from_step: str | None = None) -> Again:
    """What is to be done again of a run that has ended; what is done stays, unless it came after what is done again.

    `from_step`: that step is done again too, whether it is done or not.
    """
    plan = Again()
    _repair(tree, None, plan)
    if from_step is not None:
        _redo(tree, tree.by_id[from_step], plan)
    _follow(tree, plan)
    return plan


def _repair(tree: Tree, scope: str | None, plan: Again) -> None:
    for step in tree.inside(scope):
        if step.status in DONE or (step.may_fail and step.is_bad and _ended_by_itself(step)):
            continue
        if step.is_container and step.started:
            plan.reopen.add(step.step_id)
            _repair(tree, step.step_id, plan)
        else:
            _redo(tree, step, plan)


def _ended_by_itself(step: StepState) -> bool:
    """It failed, or a person cancelled its job; not: the run ended it."""
    return step.status == "failed" or (step.started and not step.is_container and not step.stopping)


def _redo(tree: Tree, step: StepState, plan: Again) -> None:
    plan.reopen.discard(step.step_id)
    plan.redo.add(step.step_id)
    for inner in tree.inside(step.step_id):
        if step.kind == "map":
            gone = {inner.step_id, *(s.step_id for s in tree.below(inner.step_id))}
            plan.forget |= gone
            plan.redo -= gone
            plan.reopen -= gone
        else:
            _redo(tree, inner, plan)


def _follow(tree: Tree, plan: Again) -> None:
    """Do again all that waits for what is done again, and reopen what that is in."""
    followers: dict[str, list[StepState]] = defaultdict(list)
    for step in tree:
        for name in step.depends_on:
            followers[name].append(step)
    todo = [tree.by_id[name] for name in sorted(plan.redo | plan.reopen)]
    while todo:
        step = todo.pop()
        around = [s for s in tree.around(step) if s.step_id not in plan.redo | plan.reopen]
        plan.reopen |= {s.step_id for s in around}
        after = [f for f in followers[step.step_id] if _is_to_follow(tree, f, plan)]
        for follower in after:
            _redo(tree, follower, plan)
            todo += [follower, *tree.below(follower.step_id)]
        todo += around


def _is_to_follow(tree: Tree, step: StepState, plan: Again) -> bool:
    return step.step_id not in plan.redo | plan.forget and not tree.not_chosen(step)
