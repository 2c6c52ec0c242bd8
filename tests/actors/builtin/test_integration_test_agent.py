from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "integration-test-agent"


def _package(desk: Desk, **modules: str) -> dict[str, object]:
    files = {f"a/pkg/{name}.py": text for name, text in modules.items()}
    desk.write({"a/setup.py": "", "a/pkg/__init__.py": "", **files})
    return desk.run(AGENT, module="pkg", path="a")


def test_the_example_calls_every_chain_that_needs_nothing(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["passed"]
    outcomes = {chain["function"]: chain["outcome"] for chain in result["chains"]}
    assert outcomes == {
        "ferry.desk.sell": "passed",
        "ferry.desk.day_ticket": "passed",
        "ferry.desk.window_seats": "not_called",
        "ferry.fares.cheapest": "passed",
    }
    assert result["counts"]["total"] == 5 + 3
    graph = json.loads(desk.context.artifacts["graph.json"])
    assert {"from": "ferry.desk", "to": "ferry.seats"} in graph["imports"]
    assert {"from": "ferry.desk.day_ticket", "to": "ferry.fares.cheapest"} in graph["calls"]


def test_the_file_it_leaves_runs_with_plain_pytest(desk: Desk, tmp_path: Path) -> None:
    desk.run(AGENT, module="ferry/desk.py", path="examples/ferry")
    (tmp_path / "test_integration.py").write_bytes(desk.context.artifacts["test_integration.py"])

    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_integration.py"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(EXAMPLES / "ferry"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert "8 passed" in done.stdout


def test_a_circle_that_breaks_in_one_order_only_is_found(desk: Desk) -> None:
    result = _package(
        desk,
        a="from pkg import b\n\nLIMIT = 3\n",
        b="from pkg.a import LIMIT\n\ndef f():\n    return LIMIT\n",
    )

    assert not result["passed"]
    assert result["cycles"] == [["pkg.a", "pkg.b"]]
    assert [each["test"].rsplit("::")[-1] for each in result["failures"]] == [  # type: ignore[attr-defined]
        "test_can_be_imported_first[pkg.a]"
    ]


def test_a_chain_that_breaks_across_modules_is_told_with_its_way(desk: Desk) -> None:
    result = _package(
        desk,
        store="def read(key, kind):\n    return key, kind\n",
        middle="from . import store\n\ndef fetch():\n    return store.read('k')\n",
        top="import pkg.middle as m\n\nasync def page(number=1):\n    return m.fetch()\n",
    )

    told = {chain["function"]: chain for chain in result["chains"]}  # type: ignore[attr-defined]
    assert told["pkg.top.page"]["outcome"] == "failed"
    assert told["pkg.top.page"]["through"] == ["pkg.middle.fetch", "pkg.store.read"]
    assert "TypeError: read() missing 1 required positional argument" in told["pkg.middle.fetch"]["reason"]


def test_effects_are_refused_and_do_not_count_as_failure(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "left-behind"
    result = _package(
        desk,
        disk=f"def save(text='x'):\n    open({str(target)!r}, 'w').write(text)\n",
        top="from pkg.disk import save\n\ndef close():\n    save()\n",
    )

    assert not target.exists()
    assert result["passed"]
    [chain] = result["chains"]  # type: ignore[misc]
    assert chain["outcome"] == "not_called"
    assert "reach outside its box" in chain["reason"]


def test_an_unreadable_module_is_left_out_and_named(desk: Desk) -> None:
    result = _package(desk, good="x = 1\n", broken="def (\n")
    assert list(result["unreadable"]) == ["pkg/broken.py"]  # type: ignore[call-overload]
    assert result["modules"] == 2

    with pytest.raises(PermanentError, match="There is no Python module"):
        desk.run(AGENT, module="nothing_here")
