"""Checks: what would not run is found before anything runs, with its place and the way out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from app.workflows import check as checks
from app.workflows.check import DEEPEST, MOST_PROBLEMS, MOST_STEPS, Problem, check
from app.workflows.conditions import parse as read_condition
from app.workflows.definition import Definition, read
from app.workflows.source import parse
from tests.app.workflows.test_plan import REFERENCE

WRITER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["topic", "tone"],
    "properties": {
        "topic": {"type": "string", "minLength": 5, "pattern": "^[A-Z]"},
        "words": {"type": "integer", "minimum": 100},
        "tone": {"enum": ["dry", "warm"], "default": "dry"},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
        "mail": {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}},
    },
}
ANYTHING: dict[str, Any] = {"type": "object"}


class Known:
    """An agent with a strict schema, those of the reference workflow, and templates."""

    def __init__(self, agents: Iterable[str] = (), **templates: Any) -> None:
        self.agents = agents
        self.templates = {name.replace("_", "-"): raw for name, raw in templates.items()}

    def schema(self, agent_id: str) -> dict[str, Any] | None:
        agents = {"writer": WRITER, "any": ANYTHING, "broken": {"$ref": "#/nowhere"}}
        reference = ("copywriter", "visual-designer", "social-media-manager", "gmail-agent")
        return agents.get(agent_id, ANYTHING if agent_id in (*reference, *self.agents) else None)

    def agent_ids(self) -> Iterable[str]:
        return ["writer", "any"]

    def template(self, name: str, version: int | None) -> Definition | None:
        raw = self.templates.get(name)
        return read(raw) if raw is not None and version in {None, 1} else None


def _any(step_id: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "any", **more}


def _says(step_id: str, text: Any, **more: Any) -> dict[str, Any]:
    return _any(step_id, parameters={"p": text}, **more)


def _map(step_id: str, step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "type": "map", "over": [1], "step": step, **more}


def _all(step_id: str, kind: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "type": kind, "tasks" if kind == "parallel" else "steps": list(steps), **more}


def _use(step_id: str, template: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "type": "workflow", "template": template, **more}


def _flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "n", "steps": list(steps), **more}


def _wrong(*steps: dict[str, Any], known: Known | None = None, **more: Any) -> list[Problem]:
    return check(read(_flow(*steps, **more)), known or Known())


def _only(found: list[Problem]) -> tuple[str, str, str | None]:
    [problem] = found
    return problem.pointer, problem.message, problem.hint


def test_the_reference_workflow_has_no_problems() -> None:
    assert check(read(REFERENCE), Known()) == []


def test_the_guide_shows_what_can_be_run() -> None:
    guide = (Path(__file__).parents[3] / "docs/workflows.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    assert [parse(text)[0] for kind, text in blocks if kind == "json"] == [REFERENCE]

    pieces = [step for kind, text in blocks if kind == "yaml" for step in parse(text)[0]]
    assert len(pieces) == 3
    assert _wrong(_any("write"), _any("review"), *pieces, known=Known(agents=["editor"])) == []

    conditions = [line for kind, text in blocks if not kind for line in text.splitlines()]
    assert [read_condition(line).text for line in conditions] == conditions
    assert len(conditions) == 3


def test_what_is_allowed() -> None:
    found = _wrong(
        _any("a"),
        _all(
            "p",
            "parallel",
            _says("p1", "{{steps.a.output.x}}"),
            _says("p2", "{{steps.p1.output}}", depends_on=["p1"]),
        ),
        _says("b", "{{steps.p.p1.output}} {{steps.p1.output}} {{steps.p.output.p2}} {{steps.a.job_id}}"),
        {
            "step_id": "c",
            "type": "branch",
            "cases": [
                {
                    "when": "{{steps.b.output.n}} > 3",
                    "steps": [_any("c1"), _says("c2", "{{steps.c1.output}}")],
                }
            ],
            "default": [_says("d1", "{{steps.p1.output}}")],
        },
        _says("e", "{{steps.c2.output ?? steps.d1.output}}", when="{{steps.c.status}} == 'completed'"),
        _map(
            "m",
            _all(
                "s",
                "sequence",
                _says("m1", "{{item.x}} {{index}}"),
                _says("m2", "{{steps.m1.output}} {{steps.a.output}}"),
            ),
            over="{{steps.a.output.list}}",
        ),
        _says("f", "{{steps.m.output[0]}} {{inputs.free}} {{workflow.id}}", depends_on=["m", "e"]),
        output={"x": "{{steps.f.output}}", "y": "{{steps.m.output}}"},
    )
    assert found == []


def test_unknown_agents_are_named_with_the_nearest() -> None:
    assert _only(_wrong({"step_id": "a", "agent_id": "writter"})) == (
        "/steps/0/agent_id",
        "there is no agent `writter`",
        "Did you mean `writer`?",
    )
    assert _only(_wrong({"step_id": "a", "agent_id": "zzzzz"}))[2] is None
    assert "cannot be a placeholder" in _only(_wrong({"step_id": "a", "agent_id": "{{item}}"}))[1]


def test_ids_are_unique_in_the_whole_tree() -> None:
    place, said, _ = _only(_wrong(_any("a"), _map("m", _all("s", "sequence", _any("a")))))
    assert place == "/steps/1/step/steps/0/step_id"
    assert said == "the id `a` is used twice; the first stands at /steps/0"


@pytest.mark.parametrize("step_id", ["output", "status", "job_id"])
def test_ids_that_mean_something_else_are_refused(step_id: str) -> None:
    assert _only(_wrong(_any(step_id)))[0] == "/steps/0/step_id"


@pytest.mark.parametrize(
    ("steps", "place", "said", "hint"),
    [
        (
            [_any("alpha"), _any("b", depends_on=["alpa"])],
            "/steps/1/depends_on/0",
            "which is no step",
            "Did you mean `alpha`?",
        ),
        (
            [_any("a", depends_on=["b"]), _any("b", depends_on=[])],
            "/steps/0/depends_on/0",
            "`a` cannot wait for `b`, which comes later",
            "Move `b` up.",
        ),
        (
            [_any("a", depends_on=["b"]), _any("b")],
            "/steps/0/depends_on/0",
            "which comes later",
            "Move `b` up.",
        ),
        ([_any("a", depends_on=["a"])], "/steps/0/depends_on", "steps wait for each other: a → a", None),
        (
            [_any("a", depends_on=["b"]), _any("b", depends_on=["a"])],
            "/steps/0/depends_on",
            "steps wait for each other: a → b → a",
            None,
        ),
        (
            [_any("a", depends_on=["c"]), _any("b", depends_on=["a"]), _any("c", depends_on=["b"])],
            "/steps/0/depends_on",
            "steps wait for each other: a → c → b → a",
            None,
        ),
        (
            [_all("p", "parallel", _any("x")), _any("b", depends_on=["x"])],
            "/steps/1/depends_on/0",
            "which is inside of `p`",
            "Wait for `p`.",
        ),
        (
            [_all("s", "sequence", _any("x", depends_on=["s"]))],
            "/steps/0/steps/0/depends_on/0",
            "`x` cannot wait for `s`, which it is inside of",
            None,
        ),
        (
            [
                {
                    "step_id": "b",
                    "type": "branch",
                    "cases": [{"when": "true", "steps": [_any("x")]}],
                    "default": [_any("y", depends_on=["x"])],
                }
            ],
            "/steps/0/default/0/depends_on/0",
            "which is inside of another step",
            None,
        ),
    ],
)
def test_dependencies_that_cannot_be(
    steps: list[dict[str, Any]], place: str, said: str, hint: str | None
) -> None:
    found = _only(_wrong(*steps))
    assert found[0] == place
    assert said in found[1]
    assert found[2] == hint


@pytest.mark.parametrize(
    ("steps", "place", "said", "hint"),
    [
        (
            [_any("alpha"), _says("b", ["x {{steps.alpa.output}}"])],
            "/steps/1/parameters/p/0",
            "there is no step `alpa`",
            "Did you mean `alpha`?",
        ),
        (
            [_says("a", "{{steps.b.output}}"), _any("b")],
            "/steps/0/parameters/p",
            "`b` comes later",
            "Move `b` up.",
        ),
        ([_says("a", "{{steps.a.output}}")], "/steps/0/parameters/p", "cannot use its own output", None),
        (
            [_any("a"), _says("b", "{{steps.a.output}}", depends_on=[])],
            "/steps/1/parameters/p",
            "`b` does not wait for `a`, which may still be running",
            "Add `a` to its `depends_on`.",
        ),
        (
            [_any("z"), _all("p", "parallel", _any("x")), _says("b", "{{steps.x.output}}", depends_on=["z"])],
            "/steps/2/parameters/p",
            "does not wait for `x`",
            "Add `p` to its `depends_on`.",
        ),
        (
            [_all("p", "parallel", _any("x"), _says("y", "{{steps.x.output}}"))],
            "/steps/0/tasks/1/parameters/p",
            "does not wait for `x`",
            "Add `x` to its `depends_on`.",
        ),
        (
            [_all("s", "sequence", _says("x", "{{steps.s.output}}"))],
            "/steps/0/steps/0/parameters/p",
            "which has not ended yet",
            None,
        ),
        (
            [_any("a"), _any("c"), _says("b", "{{steps.a.c.output}}")],
            "/steps/2/parameters/p",
            "step `c` is not inside of `a`",
            None,
        ),
        (
            [_map("m", _any("x")), _says("b", "{{steps.x.output}}")],
            "/steps/1/parameters/p",
            "`x` runs once for each item",
            "`steps.m.output` is the list, `steps.m.output[0]` the first.",
        ),
        (
            [_says("b", "{{item}}")],
            "/steps/0/parameters/p",
            "`item` is known only inside of a step of type map",
            None,
        ),
        ([_map("m", _any("x"), over="{{item}}")], "/steps/0/over", "`item` is known only inside", None),
        (
            [_any("a", when="{{steps.b.output}} > 3"), _any("b")],
            "/steps/0/when",
            "`b` comes later",
            "Move `b` up.",
        ),
        (
            [_any("a", when="{{inputs.x}} => 3")],
            "/steps/0/when",
            "the condition cannot be read: column 14:",
            None,
        ),
        ([_says("a", "{{inputs.x")], "/steps/0/parameters/p", "never closed", None),
        (
            [_says("a", {"{{inputs.x}}": 1})],
            "/steps/0/parameters/p/{{inputs.x}}",
            "placeholders stand in values, not in keys",
            None,
        ),
        (
            [_says("a", "{{inputs.x ?? steps.q.output}}")],
            "/steps/0/parameters/p",
            "{{steps.q.output}}: there is no step `q`",
            None,
        ),
    ],
)
def test_placeholders_that_lead_nowhere(
    steps: list[dict[str, Any]], place: str, said: str, hint: str | None
) -> None:
    found = _only(_wrong(*steps))
    assert found[0] == place
    assert said in found[1]
    assert found[2] == hint


def test_conditions_of_cases_and_the_output_are_looked_at() -> None:
    case = {"when": "{{steps.gone.output}}", "steps": [_any("x")]}
    found = _wrong({"step_id": "b", "type": "branch", "cases": [case]}, output="{{item}} {{steps.b.output}}")
    assert [each.pointer for each in found] == ["/output", "/steps/0/cases/0/when"]


def test_inputs_are_known_by_their_schema() -> None:
    schema = {"type": "object", "properties": {"topic": {"type": "string"}}}
    step = _says("a", "{{inputs.topik}} {{inputs.topic}} {{inputs}}")
    assert _only(_wrong(step, inputs=schema))[1:] == (
        "{{inputs.topik}}: there is no input `topik`",
        "Did you mean `topic`?",
    )
    assert _wrong(step, inputs={**schema, "additionalProperties": True}) == []


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "objct"}, "/inputs/type"),
        ({"type": "array"}, "/inputs/type"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1/x"}}}, "/inputs/properties/a/$ref"),
        ({"$defs": {"b": {}}, "properties": {"a": {"$ref": "#/$defs/b"}}}, "/inputs/properties/a/$ref"),
        ({"properties": {"a": {"uniqueItems": True}}}, "/inputs/properties/a/uniqueItems"),
        ({"patternProperties": {"(a+)+$": {}}}, "/inputs/patternProperties"),
        ({"properties": {"a": {"pattern": "^(?=(a+)+$)"}}}, "/inputs/properties/a/pattern"),
    ],
)
def test_schemas_of_inputs_and_forms_are_looked_at(schema: dict[str, Any], place: str) -> None:
    assert place in [each.pointer for each in _wrong(_any("a"), inputs=schema)]
    ask = {"step_id": "q", "type": "approval", "question": "?", "form": schema}
    assert place.replace("/inputs", "/steps/0/form") in [each.pointer for each in _wrong(ask)]


@pytest.mark.parametrize(
    ("parameters", "place", "said"),
    [
        ({}, "/topic", "is required"),
        ({"topic": "A night", "topik": "x"}, "/topik", "there is no `topik` here; did you mean `topic`?"),
        ({"topic": "A night", "words": "many"}, "/words", "is not of type 'integer'"),
        ({"topic": "A night", "words": "{{inputs.x}} words"}, "/words", "is not of type 'integer'"),
        ({"topic": "A night", "words": 7}, "/words", "less than the minimum"),
        ({"topic": "A night", "tone": "loud"}, "/tone", "is not one of"),
        ({"topic": "A night", "tags": ["{{inputs.x}}", "toolong"]}, "/tags/1", "is too long"),
        ({"topic": "A night", "tags": ["{{inputs.x}}"] * 3}, "/tags", "is too long"),
        ({"topic": "A night", "mail": {"cc": "{{inputs.x}}"}}, "/mail/to", "is required"),
        ({"topic": "A night", "mail": "x {{inputs.x}}"}, "/mail", "is not of type 'object'"),
    ],
)
def test_parameters_are_held_against_the_schema(parameters: dict[str, Any], place: str, said: str) -> None:
    found = _only(_wrong({"step_id": "a", "agent_id": "writer", "parameters": parameters}))
    assert found[0] == f"/steps/0/parameters{place}"
    assert said in found[1]
    assert "agent `writer`" in found[1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"topic": "A night"},
        {
            "topic": "{{inputs.x}}",
            "words": "{{inputs.x}}",
            "tone": "{{inputs.x}}",
            "tags": "{{inputs.x}}",
            "mail": "{{inputs.x}}",
        },
        {"topic": "on {{inputs.x}}"},
        {"topic": "A night", "tags": ["a", "much longer {{inputs.x}}"], "mail": {"to": "{{inputs.x}}"}},
    ],
)
def test_what_a_placeholder_may_still_make_right_is_let_pass(parameters: dict[str, Any]) -> None:
    assert _wrong({"step_id": "a", "agent_id": "writer", "parameters": parameters}) == []


def test_an_agent_whose_own_schema_is_broken_is_no_crash() -> None:
    assert _wrong({"step_id": "a", "agent_id": "broken", "parameters": {"x": 1}}) == []


def test_maps() -> None:
    assert "cannot be inside of a map" in _only(_wrong(_map("m", _map("n", _any("x")))))[1]
    assert (
        "must be a list, or one placeholder" in _only(_wrong(_map("m", _any("x"), over="a {{inputs.x}}")))[1]
    )
    assert "must be a list" in _only(_wrong(_map("m", _any("x"), over={"a": 1})))[1]
    assert _only(_wrong(_map("m", _any("x"), min_success=2)))[:2] == (
        "/steps/0/min_success",
        "there are only 1 items",
    )
    inner = {"step_id": "w", "type": "workflow", "definition": _flow(_map("n", _any("x")))}
    assert _wrong(_map("m", inner)) == []


def test_people_who_approve_are_roles_or_addresses() -> None:
    ask = {
        "step_id": "q",
        "type": "approval",
        "question": "?",
        "approvers": ["admin", "a@b.example", "admni"],
    }
    assert _only(_wrong(ask))[0::2] == ("/steps/0/approvers/2", "Did you mean `admin`?")
    for nobody in ("viewer", "@", "a b@c.example", "x@"):  # viewers only look
        assert _only(_wrong(ask | {"approvers": [nobody]}))[0] == "/steps/0/approvers/0", nobody


def test_whom_to_tell_are_addresses() -> None:
    told = {
        "on_failure": {"notify": ["a@b.example", "nonsense"]},
        "on_success": {"notify": ["a@b.c\nBcc: x@y.z"]},
    }
    assert [each.pointer for each in _wrong(_any("a"), **told)] == [
        "/on_failure/notify/1",
        "/on_success/notify/0",
    ]


def test_workflows_inside() -> None:
    inputs = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": False,
    }
    known = Known(launch=_flow(_any("x"), inputs=inputs))
    assert _wrong(_use("w", "launch", inputs={"a": "{{inputs.q}}"}, version=1), known=known) == []
    assert _only(_wrong(_use("w", "launch"), known=known))[:2] == ("/steps/0/inputs/a", "is required")
    assert _only(_wrong(_use("w", "lunch"), known=known))[:2] == (
        "/steps/0/template",
        "there is no template `lunch` that you may use",
    )
    assert (
        "with a version 7" in _only(_wrong(_use("w", "launch", version=7, inputs={"a": 1}), known=known))[1]
    )
    both = {**_use("w", "launch"), "definition": _flow(_any("x"))}
    assert "either `template` or `definition`" in _only(_wrong(both, known=known))[1]
    assert "either `template` or `definition`" in _only(_wrong({"step_id": "w", "type": "workflow"}))[1]


def test_a_definition_inside_has_names_of_its_own() -> None:
    inner = _flow(_any("a"), _says("b", "{{steps.a.output}} {{steps.outer.output}}"))
    found = _wrong(_any("outer"), _any("a"), {"step_id": "w", "type": "workflow", "definition": inner})
    assert _only(found)[:2] == (
        "/steps/2/definition/steps/1/parameters/p",
        "{{steps.outer.output}}: there is no step `outer`",
    )


def test_hostile_patterns_in_the_inputs_of_a_workflow_inside_are_not_tried() -> None:
    inputs = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    inner = {
        "step_id": "w",
        "type": "workflow",
        "definition": _flow(_any("x"), inputs=inputs),
        "inputs": {"a": "a" * 60 + "!"},
    }
    began = time.process_time()
    assert _wrong(inner) == []
    assert time.process_time() - began < 5


def test_templates_that_contain_themselves_are_refused_and_the_circle_is_named() -> None:
    known = Known(
        a=_flow(_use("w", "b")),
        b=_flow({"step_id": "v", "type": "workflow", "definition": _flow(_use("u", "a"))}),
    )
    assert (
        _only(check(read(_flow(_use("w", "b"))), known, "a"))[1] == "the template contains itself: a → b → a"
    )
    assert _only(_wrong(_use("w", "a"), known=known))[1] == "the template contains itself: a → b → a"
    assert (
        _only(check(read(_flow(_use("w", "new"))), known, "new"))[1]
        == "the template contains itself: new → new"
    )


def test_levels_are_counted() -> None:
    deep = _any("x")
    for n in range(DEEPEST):
        deep = _all(f"s{n}", "sequence", deep)
    assert "levels are the most" in _only(_wrong(deep))[1]
    assert _wrong(deep["steps"][0]) == []

    flow = _flow(_any("x"))
    for _ in range(DEEPEST):
        flow = _flow({"step_id": "w", "type": "workflow", "definition": flow})
    assert check(read(flow), Known()) == []
    assert "levels are the most" in _only(_wrong({"step_id": "w", "type": "workflow", "definition": flow}))[1]

    chain = {f"t{n}": _flow(_use("w", f"t{n + 1}")) for n in range(1, DEEPEST)} | {
        f"t{DEEPEST}": _flow(_any("x"))
    }
    assert _wrong(_use("w", "t1"), known=Known(**chain)) == []
    assert (
        "levels are the most"
        in _only(_wrong(_use("w", "t0"), known=Known(**chain, t0=_flow(_use("w", "t1")))))[1]
    )


def test_templates_used_many_times_are_looked_at_once() -> None:
    asked: list[str] = []

    class Counting(Known):
        def template(self, name: str, version: int | None) -> Definition | None:
            asked.append(name)
            return super().template(name, version)

    many = {f"t{n}": _flow(*(_use(f"w{m}", f"t{n + 1}") for m in range(60))) for n in range(1, DEEPEST)}
    known = Counting(**many, **{f"t{DEEPEST}": _flow(_any("x"))})
    assert _wrong(_use("w", "t1"), known=known) == []
    assert sorted(asked) == [f"t{n}" for n in range(1, DEEPEST + 1)]


def test_the_largest_workflow_is_checked_quickly_and_a_larger_one_refused() -> None:
    chain = [_says(f"s{n}", f"{{{{steps.s{n - 1}.output}}}}" if n else "x") for n in range(99)]
    lists = [
        _all(
            f"p{k}",
            "sequence",
            *({**step, "step_id": f"{step['step_id']}_{k}", "parameters": {}} for step in chain),
        )
        for k in range(5)
    ]
    began = time.process_time()
    assert _wrong(*lists) == []
    assert time.process_time() - began < 5
    place, said, _ = _only(_wrong(*lists, _any("more")))
    assert (place, said) == (
        "/steps",
        f"there are {MOST_STEPS + 1} steps; a workflow has at most {MOST_STEPS}",
    )


def test_of_many_problems_a_hundred_are_enough_in_the_order_of_the_document() -> None:
    found = _wrong(*({"step_id": f"s{n}", "agent_id": "nobody"} for n in range(150)))
    assert [each.pointer for each in found] == [f"/steps/{n}/agent_id" for n in range(MOST_PROBLEMS)]


def test_looking_for_what_was_meant_ends_with_the_hundredth_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []
    monkeypatch.setattr(checks, "nearest", lambda name, _known: looked_for.append(name))
    tasks = [[_says(f"s{n}-{m}", ["{{steps.s9-9.output}}"] * 20) for m in range(95)] for n in range(5)]
    wide = [{"step_id": f"p{n}", "type": "parallel", "tasks": each} for n, each in enumerate(tasks)]

    assert len(_wrong(*wide)) == MOST_PROBLEMS
    assert len(looked_for) == MOST_PROBLEMS
