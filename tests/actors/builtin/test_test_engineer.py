from __future__ import annotations

import ast

import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "test-engineer"
KNOT = """\
def knot(a, b):
    if a > 1:
        return 1
    if b == 2:
        raise LookupError(b)
    while a:
        a -= 1
    return b


def plain(x):
    return x


def half(x):
    if x:
        return 1
    return 2
"""


def test_the_example_puts_the_complex_function_the_task_speaks_of_first(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    first = result["functions"][0]
    assert (first["function"], first["path"], first["complexity"]) == ("quote", "harbor/prices.py", 20)
    assert "the task speaks of it" in first["why"]
    assert result["passed"]
    scores = [each["score"] for each in result["functions"]]
    assert scores == sorted(scores, reverse=True)


def test_complexity_and_coverage_decide_together_and_the_task_doubles(desk: Desk) -> None:
    desk.write(
        {
            "a/setup.py": "",
            "a/knots.py": KNOT,
            "a/test_knots.py": "import knots\n\ndef test_half():\n    assert knots.half(1) == 1\n",
        }
    )

    plan = desk.run(AGENT, task="Cover it", repo="a")
    scored = {each["function"]: (each["score"], each["percent"]) for each in plan["functions"]}
    assert scored == {
        "knot": (4.0, 0.0),
        "half": (pytest.approx(0.7, abs=0.3), pytest.approx(66.7)),
        "plain": (1.0, 0.0),
    }
    assert (plan["wanting"], plan["untested"]) == (3, 2)

    spoken = desk.run(AGENT, task="Is plain plain enough?", repo="a")
    assert {each["function"]: each["score"] for each in spoken["functions"]}["plain"] == 2.0


def test_the_tests_to_write_come_from_what_the_code_decides_and_raises(desk: Desk) -> None:
    desk.write({"a/setup.py": "", "a/knots.py": KNOT})
    result = desk.run(AGENT, task="t", repo="a", most=1)

    assert [test["name"] for test in result["functions"][0]["tests"]] == [
        "test_knot", "test_knot_raises_lookuperror", "test_knot_a_above_1", "test_knot_b_is_2", "test_knot_a",
    ]  # fmt: skip
    assert result["files"] == ["test_knots.py"]
    scaffold = ast.parse(desk.context.artifacts["test_knots.py"])
    assert [node.name for node in scaffold.body if isinstance(node, ast.FunctionDef)] == ["test_knot"]


def test_a_project_without_tests_gets_a_plan_and_a_broken_suite_is_told(desk: Desk) -> None:
    desk.write({"a/setup.py": "", "a/knots.py": KNOT})
    result = desk.run(AGENT, task="t", repo="a")
    assert not result["passed"]
    assert "There are no tests in a." in result["summary"]

    desk.write({"a/test_x.py": "import not_there\n"})
    broken = desk.run(AGENT, task="t", repo="a")
    assert "No module named 'not_there'" in broken["collection_errors"][0]["message"]
    assert broken["wanting"] == 3


def test_a_part_of_a_project_is_planned_alone(desk: Desk) -> None:
    desk.write({"a/setup.py": "", "a/one/m.py": KNOT, "a/two/n.py": KNOT})
    assert {each["path"] for each in desk.run(AGENT, task="t", repo="a/two")["functions"]} == {"two/n.py"}


def test_what_cannot_be_measured_is_refused(desk: Desk) -> None:
    desk.write({"web/index.js": "x"})
    with pytest.raises(PermanentError, match="no Python in `web`") as refused:
        desk.run(AGENT, task="t", repo="web")
    assert refused.value.user_error
    with pytest.raises(PermanentError, match="agents may execute"):
        desk.run(AGENT, task="t", repo="/etc")
