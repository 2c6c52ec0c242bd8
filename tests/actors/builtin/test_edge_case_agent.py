from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.runners.base import JSON
from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition
from tests.doubles import RecordingContext

AGENT = "edge-case-agent"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[JSON, dict[str, bytes]]:
    """(result, files) of the example of its definition."""
    root, workspace = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("workspace")
    desk = Desk(root=root, context=RecordingContext(workspace=workspace))
    return desk.run(AGENT, **definition(AGENT).ours.example or {}), desk.context.artifacts


def test_the_example_finds_the_call_the_module_does_not_stand(
    example: tuple[JSON, dict[str, bytes]],
) -> None:
    result, _ = example

    assert not result["passed"]
    [found] = result["counterexamples"]
    assert (found["call"], found["error"]) == ("row_of(seat='')", "IndexError")
    assert found["where"] == "ferry/seats.py:12"
    assert result["stood"] == ["is_window", "label"]


def test_the_file_it_leaves_shows_the_same_with_plain_pytest(
    example: tuple[JSON, dict[str, bytes]], tmp_path: Path
) -> None:
    _, files = example
    (tmp_path / "test_edge_cases.py").write_bytes(files["test_edge_cases.py"])

    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_edge_cases.py"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(EXAMPLES / "ferry"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert "1 failed, 2 passed" in done.stdout


def _tried(desk: Desk, source: str, **more: object) -> dict[str, object]:
    desk.write({"a/setup.py": "", "a/one.py": source})
    return desk.run(AGENT, module="one", path="a", **more)


def test_a_boundary_of_the_code_itself_is_tried(desk: Desk) -> None:
    """One value of four billion: only somebody who read the code tries it."""
    result = _tried(
        desk, "def f(n: int) -> int:\n    if n > 73914:\n        return n // (n - 73915)\n    return n\n"
    )

    [found] = result["counterexamples"]
    assert (found["call"], found["error"]) == ("f(n=73915)", "ZeroDivisionError")


def test_an_error_that_is_raised_by_name_is_expected_also_from_a_function_called(desk: Desk) -> None:
    source = (
        "class Odd(Exception):\n    pass\n\n"
        "def _check(n):\n    if n % 2:\n        raise Odd(n)\n\n"
        "def even(n: int) -> int:\n    _check(n)\n    return n\n"
    )

    assert _tried(desk, source)["passed"]


def test_a_wrong_kind_of_answer_is_a_counterexample(desk: Desk) -> None:
    result = _tried(desk, "def first(items: list[int]) -> int:\n    return items[0] if items else None\n")

    assert result["counterexamples"][0]["call"] == "first(items=[])"
    assert result["counterexamples"][0]["error"] == "AssertionError"


def test_methods_async_functions_and_generators_are_tried(desk: Desk) -> None:
    source = (
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Box:\n    size: int\n\n    def half(self, by: int) -> int:\n        return self.size // by\n\n"
        "async def later(n: int) -> int:\n    return 1 // (n - 7) if n > 6 else 0\n\n"
        "def count(n: int):\n    yield 1\n    yield 1 // n\n"
    )

    result = _tried(desk, source)

    assert [found["function"] for found in result["counterexamples"]] == ["Box.half", "later", "count"]
    assert {found["error"] for found in result["counterexamples"]} == {"ZeroDivisionError"}


def test_types_are_guessed_from_use_and_it_is_said(desk: Desk) -> None:
    result = _tried(desk, "def shout(text):\n    return text.upper()[0]\n\ndef unknown(x):\n    return x\n")

    assert result["counterexamples"][0]["call"] == "shout(text='')"
    assert result["counterexamples"][0]["types_guessed"]
    assert result["not_tried"] == [
        {"function": "unknown", "line": 4, "reason": "nothing says what `x` may be; annotate it"}
    ]


def test_what_has_effects_is_never_called(desk: Desk, tmp_path: Path) -> None:
    """Seen in the source, or, where the source hides it, refused while the test runs."""
    victim = tmp_path / "victim"
    victim.write_text("still here")
    source = (
        "import os, subprocess\n\n"
        "def shell(n: int):\n    _go(n)\n\n"
        "def _go(n):\n    subprocess.call(['touch', 'x'])\n\n"
        f"def hidden(n: int):\n    getattr(os, 're' + 'move')({str(victim)!r})\n\n"
        f"def overwrite(n: int, mode='w'):\n    open({str(victim)!r}, mode)\n\n"
        "def spawned(n: int):\n    getattr(subprocess, 'call')(['true'])\n"
    )

    result = _tried(desk, source, functions=["shell", "hidden", "overwrite", "spawned"])

    assert victim.read_text() == "still here"
    reasons = {each["function"]: each["reason"] for each in result["not_tried"]}
    assert reasons["shell"] == "it has effects: it calls `subprocess.call`"
    assert "os.remove" in reasons["hidden"]
    assert "subprocess.Popen" in reasons["spawned"]
    assert not result["passed"]


def test_a_call_that_never_ends_is_ended_and_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = desk.root / "call_watch.py"
    from actors.builtin import boxed_tests

    watch.write_text(boxed_tests.PLUGIN.read_text().replace("TEST_SECONDS = 20", "TEST_SECONDS = 1"))
    monkeypatch.setattr(boxed_tests, "PLUGIN", watch)

    result = _tried(desk, "def f(n: int):\n    while n > 3:\n        pass\n")

    [found] = result["counterexamples"]
    assert found["error"] == "TooSlow"


def test_only_the_functions_asked_for_are_tried(desk: Desk) -> None:
    result = desk.run(AGENT, module="ferry.seats", path="examples/ferry", functions=["label"])
    assert (result["passed"], result["stood"]) == (True, ["label"])

    with pytest.raises(PermanentError, match="has no public `nothing`; it has is_window, label, row_of"):
        desk.run(AGENT, module="ferry.seats", path="examples/ferry", functions=["nothing"])


def test_a_module_that_cannot_be_imported_is_said(desk: Desk) -> None:
    result = _tried(desk, "import not_installed_anywhere\n\ndef f(n: int):\n    return n\n")

    assert not result["passed"]
    assert "No module named 'not_installed_anywhere'" in result["summary"]


def test_nothing_is_written_into_the_project(desk: Desk) -> None:
    _tried(desk, "def f(n: int):\n    return n\n")
    assert sorted(path.name for path in (desk.root / "a").iterdir()) == ["one.py", "setup.py"]
