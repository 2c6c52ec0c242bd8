from __future__ import annotations

import ast

import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "unit-test-agent"


def test_the_example_passes_and_names_what_is_untested(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["passed"]
    assert result["test_files"] == ["tests/test_prices.py"]
    assert result["counts"]["total"] == 5
    assert [gap["function"] for gap in result["gaps"]] == ["old_quote", "quote"]
    assert result["gaps"][0]["percent"] == 0
    assert "1 of 3 functions are never run" in result["summary"]


def test_the_scaffold_is_python_with_a_test_for_each_gap(desk: Desk) -> None:
    desk.run(AGENT, module="harbor.prices", path="examples/sample-repo")

    scaffold = desk.context.artifacts["suggested_tests.py"].decode()
    names = [node.name for node in ast.parse(scaffold).body if isinstance(node, ast.FunctionDef)]
    assert names == ["test_old_quote", "test_quote"]
    assert "raises ValueError" in scaffold
    assert "both sides of: nights <= 0" in scaffold


@pytest.mark.parametrize("module", ["prices", "harbor.prices", "harbor/prices.py", "prices.py"])
def test_a_module_is_found_by_any_of_its_names_in_all_roots(desk: Desk, module: str) -> None:
    assert desk.run(AGENT, module=module)["module"] == "harbor.prices"


def test_a_module_without_tests_did_not_pass_and_every_function_is_a_gap(desk: Desk) -> None:
    result = desk.run(AGENT, module="office", path="examples/sample-repo")

    assert not result["passed"]
    assert "No test imports harbor.office" in result["summary"]
    assert len(result["gaps"]) == result["functions"] == 6


def test_a_module_with_all_functions_tested_has_no_gap(desk: Desk) -> None:
    desk.write(
        {
            "a/pyproject.toml": "",
            "a/src/pkg/__init__.py": "",
            "a/src/pkg/twice.py": "def twice(x):\n    return 2 * x\n",
            "a/tests/test_it.py": "from pkg.twice import twice\n\ndef test_twice():\n    assert twice(2) == 4\n",
        }
    )

    result = desk.run(AGENT, module="pkg.twice", path="a", min_coverage=100)

    assert result["passed"]
    assert (result["coverage_percent"], result["gaps"]) == (100.0, [])
    assert "suggested_tests.py" not in desk.context.artifacts


def test_failing_tests_are_named(desk: Desk) -> None:
    desk.write(
        {
            "a/setup.py": "",
            "a/one.py": "x = 1\n",
            "a/test_one.py": "import one\n\ndef test_x():\n    assert one.x == 2\n",
        }
    )

    result = desk.run(AGENT, module="one", path="a")

    assert not result["passed"]
    assert result["failures"][0]["test"] == "test_one::test_x"


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"module": "no_such_module"}, "There is no Python module"),
        ({"module": "same"}, "could be"),
        ({"module": "broken"}, "not readable as Python"),
        ({"module": "same", "path": "../outside"}, "outside the folders that agents may execute"),
        ({"module": "linked"}, "There is no Python module"),
    ],
)
def test_modules_that_cannot_be_tested_are_the_submitters_error(
    desk: Desk, parameters: dict[str, str], told: str
) -> None:
    desk.write({"a/same.py": "", "b/same.py": "", "c/broken.py": "def (\n"})
    (desk.root / "c" / "linked.py").symlink_to("/etc/passwd")

    with pytest.raises(PermanentError, match=told) as refused:
        desk.run(AGENT, **parameters)

    assert refused.value.user_error
