"""Plans: the steps of a definition, what each waits for, and a run that is only told."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workflows import plan
from app.workflows.definition import Definition, read

REFERENCE: dict[str, Any] = {
    "name": "Product Launch Campaign",
    "workflow_id": "marketing_campaign_001",
    "steps": [
        {
            "step_id": "generate_blog",
            "agent_id": "copywriter",
            "parameters": {"topic": "New AI Product Launch", "word_count": 2000, "tone": "professional"},
            "retry": 3,
        },
        {
            "step_id": "parallel_assets",
            "type": "parallel",
            "tasks": [
                {
                    "step_id": "generate_image",
                    "agent_id": "visual-designer",
                    "parameters": {"prompt": "{{steps.generate_blog.output.title}}", "aspect_ratio": "16:9"},
                },
                {
                    "step_id": "generate_social",
                    "agent_id": "social-media-manager",
                    "parameters": {
                        "content": "{{steps.generate_blog.output.excerpt}}",
                        "platform": "linkedin",
                    },
                },
            ],
        },
        {
            "step_id": "send_email",
            "agent_id": "gmail-agent",
            "parameters": {
                "to": "team@example.com",
                "subject": "New Blog Post: {{steps.generate_blog.output.title}}",
                "body": "{{steps.generate_blog.output.content}}",
                "attachments": ["{{steps.parallel_assets.generate_image.output.file_path}}"],
            },
            "depends_on": ["parallel_assets"],
        },
    ],
    "on_failure": {"notify": ["manager@example.com"], "retry_workflow": False},
    "on_success": {"notify": ["team@example.com"]},
}


class Nobody:
    """Knows no agents, and one template."""

    def schema(self, agent_id: str) -> dict[str, Any] | None:
        return None

    def agent_ids(self) -> Iterable[str]:
        return []

    def template(self, name: str, version: int | None) -> Definition | None:
        return read(REFERENCE) if name == "launch" else None


def _step(step_id: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "x", **more}


def _made(*steps: Any, **more: Any) -> Definition:
    return read({"name": "n", "steps": list(steps), **more})


def _waits(definition: Definition) -> dict[str, list[str]]:
    return {each.step_id: each.depends_on for each in plan.steps(definition)}


def test_the_reference_workflow() -> None:
    planned = plan.steps(read(REFERENCE))
    assert [(p.step_id, p.position, p.kind, p.parent_step_id, p.depends_on, p.leaf) for p in planned] == [
        ("generate_blog", 0, "agent", None, [], True),
        ("parallel_assets", 1, "parallel", None, ["generate_blog"], False),
        ("generate_image", 2, "agent", "parallel_assets", [], True),
        ("generate_social", 3, "agent", "parallel_assets", [], True),
        ("send_email", 4, "agent", None, ["parallel_assets"], True),
    ]
    assert planned[1].definition == {"step_id": "parallel_assets", "type": "parallel"}
    assert planned[0].definition == REFERENCE["steps"][0]
    assert plan.total(read(REFERENCE)) == 4


def test_lists_go_in_order_and_what_is_said_wins() -> None:
    made = _made(
        _step("a"),
        _step("b"),
        _step("c", depends_on=[]),
        _step("d", depends_on=["a", "b", "a"]),
        {
            "step_id": "s",
            "type": "sequence",
            "steps": [_step("s1"), _step("s2"), _step("s3", depends_on=["a"])],
        },
        {"step_id": "p", "type": "parallel", "tasks": [_step("p1"), _step("p2", depends_on=["p1"])]},
    )
    assert _waits(made) == {
        "a": [],
        "b": ["a"],
        "c": [],
        "d": ["a", "b"],
        "s": ["d"],
        "s1": [],
        "s2": ["s1"],
        "s3": ["a"],
        "p": ["s"],
        "p1": [],
        "p2": ["p1"],
    }


def test_cases_are_numbered_and_the_default_is_minus_one() -> None:
    made = _made(
        {
            "step_id": "b",
            "type": "branch",
            "cases": [
                {"when": "1 == 1", "steps": [_step("x"), _step("y")]},
                {"when": "1 == 2", "steps": [_step("z")]},
            ],
            "default": [_step("d")],
        }
    )
    planned = plan.steps(made)
    assert [(p.step_id, p.case_index, p.depends_on) for p in planned] == [
        ("b", None, []),
        ("x", 0, []),
        ("y", 0, ["x"]),
        ("z", 1, []),
        ("d", -1, []),
    ]
    assert planned[0].definition["cases"] == [{"when": "1 == 1"}, {"when": "1 == 2"}]
    assert plan.total(made) == 4


def test_a_map_keeps_its_step_and_counts_as_one() -> None:
    repeated = {
        "step_id": "s",
        "type": "sequence",
        "steps": [_step("x"), _step("y"), _step("z", depends_on=["x", "a"])],
    }
    made = _made(_step("a"), {"step_id": "m", "type": "map", "over": [1, 2], "step": repeated})
    planned = plan.steps(made)
    assert [p.step_id for p in planned] == ["a", "m"]
    assert plan.total(made) == 2
    items = plan.item_steps(planned[1].definition["step"], "m", 3, position=7)
    assert [(p.step_id, p.position, p.parent_step_id, p.depends_on) for p in items] == [
        ("s[3]", 7, "m", []),
        ("x[3]", 8, "s[3]", []),
        ("y[3]", 9, "s[3]", ["x[3]"]),
        ("z[3]", 10, "s[3]", ["x[3]", "a"]),
    ]


def test_the_dry_run_of_the_reference_workflow() -> None:
    told = plan.dry_run(read(REFERENCE), {}, Nobody())
    assert told["total_steps"] == 4
    assert [[each["step_id"] for each in wave] for wave in told["waves"]] == [
        ["generate_blog"],
        ["generate_image", "generate_social"],
        ["send_email"],
    ]
    image = told["waves"][1][0]
    assert image == {
        "step_id": "generate_image",
        "kind": "agent",
        "inside_of": "parallel_assets",
        "waits_for": ["generate_blog"],
        "conditions": [],
        "agent_id": "visual-designer",
        "parameters": {"prompt": "{{steps.generate_blog.output.title}}", "aspect_ratio": "16:9"},
        "open": ["{{steps.generate_blog.output.title}}"],
    }
    assert len(told["waves"][2][0]["open"]) == 3


def test_a_dry_run_puts_in_what_is_known_and_says_conditions() -> None:
    made = _made(
        _step(
            "a",
            parameters={"n": "{{inputs.n}}", "m": "{{inputs.gone}} of {{workflow.name}}"},
            when="{{inputs.n}} > 3",
        ),
        {
            "step_id": "b",
            "type": "branch",
            "when": "{{steps.a.output}} != null",
            "cases": [{"when": "{{inputs.n}} > 'x'", "steps": [_step("c")]}],
            "default": [_step("d")],
        },
        {
            "step_id": "m",
            "type": "map",
            "over": "{{inputs.list}}",
            "step": _step("e", parameters={"p": "{{item}}"}),
        },
        {"step_id": "w", "type": "workflow", "template": "launch", "inputs": {"x": "{{inputs.n}}"}},
        {"step_id": "q", "type": "approval", "question": "Send {{inputs.n}}?", "approvers": ["admin"]},
    )
    told = {
        e["step_id"]: e
        for wave in plan.dry_run(made, {"n": 2, "list": [1, 2]}, Nobody())["waves"]
        for e in wave
    }
    assert told["a"]["parameters"] == {"n": 2, "m": "{{inputs.gone}} of n"}
    assert told["a"]["open"] == ["{{inputs.gone}}"]
    assert told["a"]["conditions"] == [
        {"of": "a", "when": "{{inputs.n}} > 3", "holds": False, "said": "{{inputs.n}} is 2, not > 3"}
    ]
    assert told["c"]["conditions"][0] == {"of": "b", "when": "{{steps.a.output}} != null"}
    assert "cannot be compared" in told["c"]["conditions"][1]["said"]
    assert told["d"]["conditions"][1] == {"of": "b", "when": "no case of `b` holds"}
    assert (told["m"]["items"], told["m"]["over"]) == (2, [1, 2])
    assert told["m"]["each"] == [
        {
            "step_id": "e[0]",
            "kind": "agent",
            "waits_for": [],
            "agent_id": "x",
            "parameters": {"p": "{{item}}"},
        }
    ]
    assert (told["w"]["steps_inside"], told["w"]["inputs"]) == (4, {"x": 2})
    assert told["q"]["question"] == "Send 2?"


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """Definitions of all containers, with dependencies that are allowed."""
    count = 0

    def steps(depth: int, seen: list[str]) -> list[dict[str, Any]]:
        nonlocal count
        made: list[dict[str, Any]] = []
        for _ in range(draw(st.integers(1, 3))):
            count += 1
            kinds = ["agent"] if depth > 2 else ["agent", "parallel", "sequence", "branch"]
            kind = draw(st.sampled_from(kinds))
            visible = [*seen, *(each["step_id"] for each in made)]
            step: dict[str, Any] = {"step_id": f"s{count}", "type": kind}
            if draw(st.booleans()):
                step["depends_on"] = draw(st.lists(st.sampled_from(visible), unique=True)) if visible else []
            if kind == "agent":
                step["agent_id"] = "x"
            elif kind == "branch":
                step["cases"] = [{"when": "true", "steps": steps(depth + 1, visible)}]
                step["default"] = steps(depth + 1, visible)
            else:
                step["tasks" if kind == "parallel" else "steps"] = steps(depth + 1, visible)
            made.append(step)
        return made

    return {"name": "n", "steps": steps(1, [])}


@given(trees())
def test_any_plan_is_in_order_and_whole(raw: dict[str, Any]) -> None:
    given_raw = copy.deepcopy(raw)
    planned = plan.steps(read(raw))
    place = {p.step_id: p.position for p in planned}
    assert [p.position for p in planned] == list(range(len(planned)))
    assert len(place) == len(planned)
    assert all(place[other] < p.position for p in planned for other in p.depends_on)
    assert all(place[p.parent_step_id] < p.position for p in planned if p.parent_step_id)
    assert not any({"tasks", "steps", "default"} & p.definition.keys() for p in planned)
    assert raw == given_raw


@given(trees())
def test_waves_hold_each_step_once_and_after_what_it_waits_for(raw: dict[str, Any]) -> None:
    made = read(raw)
    told = plan.dry_run(made, {}, Nobody())
    wave = {each["step_id"]: n for n, steps in enumerate(told["waves"]) for each in steps}
    planned = {p.step_id: p for p in plan.steps(made)}
    assert sorted(wave) == sorted(p.step_id for p in planned.values() if p.leaf)
    assert told["total_steps"] == len(wave)
    for step_id, n in wave.items():
        for other in planned[step_id].depends_on:
            inside = [w for s, w in wave.items() if _is_in(s, other, planned)]
            assert all(w < n for w in inside)


def _is_in(step_id: str | None, outer: str, planned: dict[str, plan.Planned]) -> bool:
    while step_id is not None:
        if step_id == outer:
            return True
        step_id = planned[step_id].parent_step_id
    return False


@pytest.mark.parametrize("count", [200])
def test_long_chains_are_no_problem(count: int) -> None:
    assert len(plan.dry_run(_made(*(_step(f"s{n}") for n in range(count))), {}, Nobody())["waves"]) == count
