"""Definitions: both spellings, and complaints that people can use."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import Invalid
from app.workflows.complaints import LONGEST_POINTER
from app.workflows.definition import AgentStep, ParallelStep, as_json, read

STEP = {"step_id": "a", "agent_id": "x"}


def _fields(raw: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as wrong:
        read(raw)
    place, said = wrong.value.fields[0]
    assert wrong.value.message == f"{place or 'the workflow'}: {said}"
    return dict(wrong.value.fields)


def _with(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"name": "n", "steps": list(steps), **more}


def test_both_spellings_are_read_and_one_is_kept() -> None:
    made = read(_with({"id": "a", "agent_id": "x", "params": {"p": 1}, "retry": 3}, workflow_id="mine"))
    [step] = made.steps
    assert isinstance(step, AgentStep)
    assert (step.step_id, step.parameters, step.retry, made.workflow_id) == ("a", {"p": 1}, 3, "mine")
    assert as_json(made) == {
        "name": "n",
        "workflow_id": "mine",
        "steps": [{"step_id": "a", "agent_id": "x", "parameters": {"p": 1}, "retry": 3}],
    }


def test_a_snapshot_reads_back_as_the_same_definition() -> None:
    inner = _with(STEP, on_failure={"siblings": "cancel"}, output={"x": None})
    steps = [
        {"step_id": "p", "type": "parallel", "tasks": [STEP]},
        {"step_id": "s", "type": "sequence", "steps": [STEP], "depends_on": []},
        {"step_id": "m", "type": "map", "over": [1], "step": STEP, "min_success": 0},
        {"step_id": "b", "type": "branch", "cases": [{"when": "true", "steps": [STEP]}], "default": [STEP]},
        {"step_id": "w", "type": "workflow", "definition": inner},
        {
            "step_id": "q",
            "type": "approval",
            "question": "?",
            "shown": {"a": [None]},
            "on_reject": "continue",
        },
    ]
    made = read(_with(*steps))
    assert read(as_json(made)) == made
    assert isinstance(made.steps[0], ParallelStep)


@pytest.mark.parametrize(
    ("step", "place", "said"),
    [
        ({"agent_id": "x"}, "/step_id", "is required"),
        ({"id": "a b", "agent_id": "x"}, "/id", "must be letters, digits, _ or -"),
        ({"step_id": "1", "agent_id": "x"}, "/step_id", "beginning with a letter or _"),
        ({"step_id": "a\n", "agent_id": "x"}, "/step_id", "must be letters"),
        ({**STEP, "agent": "y"}, "/agent", "is no key of an agent step; did you mean `agent_id`?"),
        ({**STEP, "zzz": 1}, "/zzz", "is no key of an agent step; known: step_id, title, depends_on"),
        (
            {**STEP, "type": "paralel"},
            "/type",
            "`paralel` is no type of step; there are agent, parallel, sequence, map",
        ),
        ({**STEP, "type": "paralel"}, "/type", "did you mean `parallel`?"),
        ({**STEP, "params": 1}, "/params", "must be an object"),
        ({**STEP, "retry": 11}, "/retry", "must be at most 10"),
        ({**STEP, "retry": 1.5}, "/retry", "must be a whole number"),
        ({**STEP, "timeout": "soon"}, "/timeout", "must be a whole number"),
        ({**STEP, "agent_id": 7}, "/agent_id", "must be text"),
        ({**STEP, "agent_id": ""}, "/agent_id", "must not be empty"),
        ({**STEP, "budget": {"us": 1}}, "/budget/us", "is no key of a budget; did you mean `usd`?"),
        ({**STEP, "budget": {"usd": 0}}, "/budget/usd", "must be more than 0"),
        ({**STEP, "priority": "urgent"}, "/priority", "must be 'critical', 'high', 'normal' or 'low'"),
        ({**STEP, "continue_on_failure": "perhaps"}, "/continue_on_failure", "must be true or false"),
        ({**STEP, "depends_on": "b"}, "/depends_on", "must be a list"),
        ({"id": "p", "type": "parallel", "tasks": []}, "/tasks", "must not be empty"),
        ({"id": "p", "type": "parallel", "tasks": [STEP, {"id": "q"}]}, "/tasks/1/agent_id", "is required"),
        (
            {"id": "m", "type": "map", "over": 1, "step": {"id": "b", "agnt_id": "x"}},
            "/step/agnt_id",
            "`agent_id`?",
        ),
        (
            {"id": "m", "type": "map", "over": 1, "step": {"id": "m2", "type": "map", "over": 1}},
            "/step/step",
            "is required",
        ),
        (
            {"id": "b", "type": "branch", "cases": [{"wen": "1", "steps": [STEP]}]},
            "/cases/0/wen",
            "a case; did you mean `when`?",
        ),
        (
            {
                "id": "b",
                "type": "branch",
                "cases": [{"when": "1", "steps": [STEP]}],
                "default": [{"agent_id": "x"}],
            },
            "/default/0/step_id",
            "is required",
        ),
        (
            {"id": "w", "type": "workflow", "definition": {"name": "x", "steps": [1]}},
            "/definition/steps/0",
            "must be an object",
        ),
        (
            {"id": "w", "type": "workflow", "definition": _with(STEP, stepz=1)},
            "/definition/stepz",
            "a workflow; did you mean `steps`?",
        ),
        (7, "", "must be an object"),
    ],
)
def test_each_mistake_has_its_place_and_plain_words(step: Any, place: str, said: str) -> None:
    fields = _fields(_with(STEP, step))
    assert said in fields[f"/steps/1{place}"]
    assert not any("/agent/" in each or "/map/" in each or "tagged" in what for each, what in fields.items())


@pytest.mark.parametrize(
    ("raw", "place", "said"),
    [
        (None, "", "must be an object"),
        ([], "", "must be an object"),
        ({"steps": [STEP]}, "/name", "is required"),
        ({"name": "n", "steps": []}, "/steps", "must not be empty"),
        (_with(STEP, on_fail={}), "/on_fail", "did you mean `on_failure`?"),
        (
            _with(STEP, on_failure={"notfy": []}),
            "/on_failure/notfy",
            "is no key of `on_failure`; did you mean `notify`?",
        ),
        (_with(STEP, inputs={"a": "\x00"}), "/inputs/a", "contains the character NUL"),
        (_with(STEP, output="\ud800"), "/output", "is not valid Unicode"),
        (_with(STEP, output={"\x00": 1}), "/output", "has a key that contains the character NUL"),
        (_with(STEP, output=[2**63]), "/output/0", "must fit into 64 bits"),
        (_with(STEP, output=float("nan")), "/output", "must be a finite number"),
        (
            _with(STEP, output={"k" * LONGEST_POINTER: [1]}),
            f"/output/{'k' * (LONGEST_POINTER - 8)}",
            "keys above it",
        ),
    ],
)
def test_mistakes_of_the_whole(raw: Any, place: str, said: str) -> None:
    assert said in _fields(raw)[place]


def test_endless_nesting_is_refused_and_not_followed() -> None:
    steps: Any = STEP
    for n in range(50_000):
        steps = {"step_id": f"s{n}", "type": "sequence", "steps": [steps]}
    assert "nested too deep" in next(iter(_fields(_with(steps)).values()))


def test_of_many_mistakes_some_are_enough() -> None:
    assert len(_fields(_with(*({"id": "a", "x": n} for n in range(200))))) == 50
