from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.errors import Cancelled, PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "test-orchestrator"
CODE = "def half(number):\n    if number % 2:\n        return None\n    return number // 2\n"


def project(desk: Desk, test: str, **more: str) -> None:
    desk.write({"a/pyproject.toml": "", "a/halves.py": CODE, "a/tests/test_halves.py": test, **more})


def test_the_example_passes_with_coverage(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["passed"]
    assert result["counts"] == {
        "total": 9,
        "passed": 9,
        "failed": 0,
        "errors": 0,
        "skipped": 0,
        "collection_errors": 0,
    }
    assert 40 < result["coverage_percent"] < 60
    assert set(desk.context.artifacts) == {"junit.xml", "coverage.json", "report.md"}
    assert len(list(ElementTree.fromstring(desk.context.artifacts["junit.xml"]).iter("testcase"))) == 9
    assert "harbor/prices.py" in json.loads(desk.context.artifacts["coverage.json"])["files"]


def test_progress_is_tests_done_of_tests_collected(desk: Desk) -> None:
    desk.run(AGENT, scan_path="examples/sample-repo")

    words = [step for _, step in desk.context.steps]
    assert [f"{number} of 9 tests" for number in range(1, 10)] == words[2:-1]
    assert desk.context.percents == sorted(desk.context.percents)
    assert ("test", "Running 9 tests") in desk.context.stages


def test_nothing_is_written_into_the_project(desk: Desk) -> None:
    before = {path: path.stat().st_mtime_ns for path in EXAMPLES.rglob("*")}

    desk.run(AGENT, scan_path="examples/sample-repo")

    assert {path: path.stat().st_mtime_ns for path in EXAMPLES.rglob("*")} == before


def test_a_failing_suite_is_a_result_that_names_the_tests(desk: Desk) -> None:
    project(
        desk,
        "from halves import half\n\ndef test_even():\n    assert half(4) == 2\n\ndef test_odd():\n    assert half(3) == 1\n"
        "\ndef test_needs(nobody):\n    pass\n",
    )

    result = desk.run(AGENT, scan_path="a")

    assert not result["passed"]
    assert (result["counts"]["passed"], result["counts"]["failed"], result["counts"]["errors"]) == (1, 1, 1)
    assert result["failures"][0]["test"] == "tests.test_halves::test_odd"
    assert "assert None == 1" in result["failures"][0]["message"]
    assert "### tests.test\\_halves::test\\_odd" in result["report"]
    assert any(step and step.endswith("1 failed") for _, step in desk.context.steps)


def test_coverage_below_the_wanted_is_not_passed(desk: Desk) -> None:
    project(desk, "from halves import half\n\ndef test_even():\n    assert half(4) == 2\n")

    assert desk.run(AGENT, scan_path="a")["passed"]
    assert not desk.run(AGENT, scan_path="a", min_coverage=100)["passed"]


def test_files_that_cannot_be_collected_are_told_with_the_missing_package(desk: Desk) -> None:
    project(desk, "import no_such_package_at_all\n")

    result = desk.run(AGENT, scan_path="a")

    assert not result["passed"]
    assert result["missing_modules"] == ["no_such_package_at_all"]
    assert "No module named 'no_such_package_at_all'" in result["summary"]


def test_a_broken_conftest_is_a_collection_error(desk: Desk) -> None:
    project(desk, "def test_x():\n    pass\n", **{"a/conftest.py": "import no_such_package_at_all\n"})

    result = desk.run(AGENT, scan_path="a")

    assert not result["passed"]
    assert result["collection_errors"][0]["test"] == "conftest.py"


def test_a_project_without_tests_did_not_pass(desk: Desk) -> None:
    desk.write({"a/halves.py": CODE})

    result = desk.run(AGENT, scan_path="a")

    assert not result["passed"]
    assert "There are no tests" in result["summary"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os._exit(0)", "ended early with code 0"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os._exit(7)", "ended early with code 7"),
    ],
)
def test_a_suite_that_kills_pytest_did_not_pass(desk: Desk, code: str, told: str) -> None:
    project(desk, f"import os\n\ndef test_x():\n    {code}\n")

    result = desk.run(AGENT, scan_path="a")

    assert not result["passed"]
    assert told in result["summary"]


def test_a_part_of_the_suite_can_be_chosen(desk: Desk) -> None:
    assert (
        desk.run(AGENT, scan_path="examples/sample-repo", keyword="members or deposit")["counts"]["total"]
        == 2
    )
    assert (
        desk.run(AGENT, scan_path="examples/sample-repo", test_path="tests/test_berths.py")["counts"]["total"]
        == 4
    )


def test_a_package_is_tested_from_its_project(desk: Desk) -> None:
    result = desk.run(AGENT, scan_path="examples/sample-repo/harbor")

    assert result["counts"]["total"] == 9
    assert all(row["path"].startswith("harbor/") for row in result["least_covered"])


def test_an_expression_pytest_refuses_is_the_submitters_error(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="could not be started") as refused:
        desk.run(AGENT, scan_path="examples/sample-repo", keyword="and and")

    assert refused.value.user_error


@pytest.mark.parametrize("path", ["../workspace", "nowhere", "tests/../../.."])
def test_tests_outside_the_project_are_refused(desk: Desk, path: str) -> None:
    project(desk, "def test_x():\n    pass\n")

    with pytest.raises(PermanentError, match="There is no"):
        desk.run(AGENT, scan_path="a", test_path=path)


def test_the_suite_sees_nothing_of_our_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "canary")
    project(desk, "import os\n\ndef test_x():\n    assert 'canary' not in os.environ.values()\n")

    assert desk.run(AGENT, scan_path="a")["passed"]


def test_options_that_lie_above_the_jobs_folder_are_not_the_projects(desk: Desk) -> None:
    above = desk.context.workspace.parent / "pyproject.toml"
    above.write_text('[tool.pytest.ini_options]\npython_files = "never_*.py"\n')
    project(desk, "def test_x():\n    pass\n")

    assert desk.run(AGENT, scan_path="a")["counts"]["passed"] == 1


def test_a_link_out_of_the_project_is_not_followed_by_its_tests(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("canary")
    project(desk, "import pathlib\n\ndef test_x():\n    assert not pathlib.Path('link.txt').exists()\n")
    (desk.root / "a" / "link.txt").symlink_to(tmp_path / "private.txt")

    assert desk.run(AGENT, scan_path="a")["passed"]


def test_cancelling_ends_a_suite_that_hangs(desk: Desk) -> None:
    project(
        desk,
        "import subprocess\n\ndef test_a():\n    pass\n\ndef test_b():\n    subprocess.run(['sleep', '60'])\n",
    )
    desk.context.cancel_at_progress = 20

    with pytest.raises(Cancelled):
        desk.run(AGENT, scan_path="a")

    assert desk.context.remaining_seconds > 100
