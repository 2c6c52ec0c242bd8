"""What a run does next: the laws, over any workflow and any fate of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.workflows import graph
from app.workflows.graph import DONE, StepState, Tree, decide

ENDS = ("completed", "completed", "completed", "failed", "cancelled")


@dataclass
class Play:
    """A run whose steps end as fate has it; it refuses whatever the laws forbid."""

    steps: dict[str, StepState]
    fate: Any
    stop_siblings: bool = False
    paused: bool = False
    cancelling: bool = False
    starts: dict[str, int] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    outcome: str | None = None

    def to_the_end(self) -> str:
        for _ in range(40 * (len(self.steps) + 20)):
            if self.look():
                continue
            if self.outcome:
                return self.outcome
            self.meet_fate()
        raise AssertionError(f"it never ends: { {s.step_id: s.status for s in self.steps.values()} }")

    def look(self) -> bool:
        """One look and what follows from it; whether there was anything."""
        look = decide(
            self.steps.values(),
            paused=self.paused,
            cancelling=self.cancelling,
            stop_siblings=self.stop_siblings,
        )
        for end in look.settle:
            self.move(end.step_id, end.status)
        for step_id in look.stop:
            assert self.steps[step_id].is_active
            assert not self.steps[step_id].stopping
            self.steps[step_id] = replace(self.steps[step_id], stopping=True)
        for step_id in look.start:
            self.start(step_id)
        self.outcome = look.outcome
        return bool(look.settle or look.stop or look.start)

    def start(self, step_id: str) -> None:
        step = self.steps[step_id]
        assert not self.paused
        assert not self.cancelling
        assert step.status == "waiting"
        self.starts[step_id] = self.starts.get(step_id, 0) + 1
        assert self.starts[step_id] == 1, f"{step_id} started twice"
        if step.parent is not None:
            around = self.steps[step.parent]
            assert around.status == "running"
            if around.max_parallel is not None:
                busy = sum(s.is_active for s in self.steps.values() if s.parent == step.parent)
                assert busy < around.max_parallel
        for name in step.depends_on:
            other = self.steps[name]
            assert other.status in DONE or (other.is_final and other.may_fail), f"{step_id} before {name}"
        if self.fate.draw(st.integers(0, 9)) == 0:
            self.move(step_id, self.fate.draw(st.sampled_from(["skipped", "failed"])))  # its condition
            return
        self.move(step_id, "awaiting_input" if step.kind == "approval" else "running")
        if step.kind == "map":
            for n in range(self.fate.draw(st.integers(0, 4))):
                item = StepState(
                    step_id=f"{step_id}_item[{n}]", parent=step_id, position=step.position + 1, item_index=n
                )
                self.steps[item.step_id] = item
        if step.kind == "branch":
            cases = sorted({s.case_index or 0 for s in self.steps.values() if s.parent == step_id})
            taken = self.fate.draw(st.sampled_from(cases))
            for inner in [s for s in self.steps.values() if s.parent == step_id and s.case_index != taken]:
                self.move(inner.step_id, "skipped")

    def move(self, step_id: str, status: str) -> None:
        step = self.steps[step_id]
        assert not step.is_final, f"{step_id} ended twice"
        started = step.started or status in ("running", "awaiting_input")
        self.steps[step_id] = replace(step, status=status, started=started)

    def meet_fate(self) -> None:
        """Some work ends, or a person does something."""
        active = [s.step_id for s in self.steps.values() if s.is_active and not s.is_container]
        if self.paused and (not active or self.fate.draw(st.booleans())):
            self.paused = False
            return
        assert active, f"it stands still: { {s.step_id: s.status for s in self.steps.values()} }"
        event = self.fate.draw(st.integers(0, 19))
        if event == 0 and not self.cancelling:
            self.paused = True
        elif event == 1:
            self.cancelling = True
        else:
            step_id = self.fate.draw(st.sampled_from(active))
            self.move(step_id, self.fate.draw(st.sampled_from(ENDS)))


@st.composite
def workflows(draw: Any, depth: int = 3) -> dict[str, StepState]:
    """Steps of any workflow that passes the check: trees of containers, forward dependencies."""
    steps: dict[str, StepState] = {}

    def several(parent: str | None, level: int, *, in_order: bool, case_index: int | None = None) -> None:
        mine: list[str] = []
        for _ in range(draw(st.integers(1, 3))):
            kinds = ["agent", "agent", "approval", *(graph.CONTAINERS if level < depth else ())]
            kind = draw(st.sampled_from(kinds))
            step_id = f"s{len(steps)}"
            usual = mine[-1:] if in_order else []
            waits = draw(
                st.one_of(
                    st.just(usual), st.lists(st.sampled_from(mine), unique=True) if mine else st.just([])
                )
            )
            steps[step_id] = StepState(
                step_id=step_id,
                kind=kind,
                parent=parent,
                position=len(steps),
                case_index=case_index,
                depends_on=tuple(waits),
                may_fail=draw(st.integers(0, 3)) == 0,
                max_parallel=draw(st.none() | st.integers(1, 2)) if kind == "map" else None,
                min_success=draw(st.none() | st.integers(0, 3)) if kind == "map" else None,
            )
            mine.append(step_id)
            if kind == "branch":
                for n in range(draw(st.integers(1, 2))):
                    several(step_id, level + 1, in_order=True, case_index=n)
            elif kind in ("parallel", "sequence"):
                several(step_id, level + 1, in_order=kind == "sequence")

    several(None, 0, in_order=True)
    return steps


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(workflows(), st.data(), st.booleans())
def test_every_run_ends_by_the_laws(
    steps: dict[str, StepState], fate: st.DataObject, stop_siblings: bool
) -> None:
    play = Play(dict(steps), fate, stop_siblings=stop_siblings)

    outcome = play.to_the_end()

    assert all(step.is_final for step in play.steps.values()), "something is left open"
    top = [step for step in play.steps.values() if step.parent is None]
    if play.cancelling:
        assert outcome == "cancelled"
    else:
        failed = any(step.is_bad and not step.may_fail for step in top)
        assert outcome == ("failed" if failed else "completed")
    for step in play.steps.values():
        _ended_rightly(play, step)


def _ended_rightly(play: Play, step: StepState) -> None:
    inside = [s for s in play.steps.values() if s.parent == step.step_id]
    if step.status == "skipped":
        assert all(s.status == "skipped" for s in inside)
    if step.kind == "map" and step.status == "completed":
        done = sum(s.status in DONE for s in inside)
        assert done >= (len(inside) if step.min_success is None else step.min_success)
    elif step.is_container and step.status == "completed":
        assert not any(s.is_bad and not s.may_fail for s in inside)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(workflows(), st.data())
def test_what_is_done_again_ends_too_and_what_is_kept_is_not_touched(
    steps: dict[str, StepState], fate: st.DataObject
) -> None:
    first = Play(dict(steps), fate)
    first.to_the_end()
    tree = Tree(first.steps.values())
    free = [
        s.step_id
        for s in tree
        if not tree.not_chosen(s) and not any(a.status == "skipped" for a in tree.around(s))
    ]
    from_step = fate.draw(st.none() | st.sampled_from(free))

    plan = graph.again(tree, from_step)

    assert not plan.redo & plan.reopen
    assert not plan.forget & (plan.redo | plan.reopen)
    # An item of a map that is done again as a whole is made anew with it.
    assert from_step is None or from_step in plan.redo | plan.forget
    again = Play({s.step_id: _afresh(s, plan) for s in tree if s.step_id not in plan.forget}, fate)
    kept = {name: s for name, s in again.steps.items() if s.is_final}
    for step in again.steps.values():
        if step.is_final:
            late = [n for n in step.depends_on if not again.steps[n].is_final and step.status != "skipped"]
            assert not late, f"{step.step_id} is kept, but what it came after is done again: {late}"
            assert step.parent is None or again.steps[step.parent].status != "waiting"
    again.to_the_end()
    assert {name: again.steps[name] for name in kept} == kept


def _afresh(step: StepState, plan: graph.Again) -> StepState:
    if step.step_id in plan.redo:
        return replace(step, status="waiting", started=False, stopping=False)
    if step.step_id in plan.reopen:
        return replace(step, status="running", stopping=False)
    return step


def _state(step_id: str, **facts: Any) -> StepState:
    return StepState(step_id=step_id, **facts)


def test_a_failure_ends_what_waits_and_lets_what_runs_finish() -> None:
    steps = [_state("a", status="failed"), _state("b", status="running"), _state("c", depends_on=("b",))]

    look = decide(steps)

    assert [(end.step_id, end.status, end.because) for end in look.settle] == [("c", "cancelled", "a")]
    assert look.stop == ()
    assert look.outcome is None
    assert decide(steps, stop_siblings=True).stop == ("b",)


def test_a_question_nobody_needs_any_more_is_withdrawn() -> None:
    steps = [_state("a", status="failed"), _state("q", kind="approval", status="awaiting_input")]

    assert decide(steps).stop == ("q",)


def test_a_failure_that_may_be_goes_no_further_than_its_container() -> None:
    steps = [
        _state("p", kind="parallel", status="running", started=True, may_fail=True),
        _state("x", parent="p", status="failed"),
        _state("y", parent="p", status="completed"),
        _state("z", depends_on=("p",), position=5),
    ]

    (end,) = decide(steps).settle

    assert (end.step_id, end.status, end.because) == ("p", "failed", "x")
    steps[0] = replace(steps[0], status="failed")
    assert decide(steps).start == ("z",)


def _map(need: int | None, *items: str, **facts: Any) -> list[StepState]:
    whole = _state("m", kind="map", status="running", started=True, min_success=need, **facts)
    inside = [_state(f"i[{n}]", parent="m", item_index=n, status=status) for n, status in enumerate(items)]
    return [whole, *inside]


def test_a_map_can_spare_items_until_too_many_failed() -> None:
    assert decide(_map(2, "failed", "running", "waiting")).start == ("i[2]",)

    look = decide(_map(2, "failed", "failed", "running", "waiting"))
    assert [end.step_id for end in look.settle] == []  # two of four may still succeed
    look = decide(_map(3, "failed", "failed", "running", "waiting"))
    assert [(end.step_id, end.status) for end in look.settle] == [("i[3]", "cancelled")]
    assert look.stop == ("i[2]",)


def test_a_map_over_nothing_is_done() -> None:
    assert decide(_map(None)).settle[0].status == "completed"
    assert decide(_map(1)).settle[0].status == "failed"


def test_a_map_runs_so_many_at_once() -> None:
    assert decide(_map(None, "running", "waiting", "waiting", "waiting", max_parallel=3)).start == (
        "i[1]",
        "i[2]",
    )
