"""Workers that come and go: real processes, grown and shrunk by what the scheduler wrote."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ops.growing import PLAN, STALE_SECONDS, Crew
from app.ops.processes import Child, Program
from app.workers.scaling import Bounds
from tests.waiting import until

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def apps() -> Iterator[dict[str, Child]]:
    apps: dict[str, Child] = {}
    yield apps
    for child in apps.values():
        child.kill()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def crew(tmp_path: Path, said: list[str]) -> Iterator[Crew]:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()

    def begin(name: str) -> Child:
        argv = (sys.executable, "-I", "-c", SLEEP)
        child = Child(Program(name=name, argv=argv, environ=dict(os.environ), cwd=tmp_path), tmp_path)
        child.start()
        return child

    made = Crew(bounds=Bounds(1, 3), plan=tmp_path / "run" / PLAN, begin=begin, say=said.append)
    yield made
    for child in made.leaving:
        child.kill()


def wish(tmp_path: Path, wanted: int, **busy: int) -> Path:
    plan = tmp_path / "run" / PLAN
    plan.write_text(json.dumps({"wanted": wanted, "why": "so it is", "busy": busy}))
    return plan


def test_it_begins_with_the_least_and_grows_to_what_is_wanted(
    crew: Crew, apps: dict[str, Child], tmp_path: Path, said: list[str]
) -> None:
    wish(tmp_path, 3)  # of an earlier run: it counts no more
    crew.start(apps)
    crew.tend(apps)
    assert list(apps) == ["worker-1"]

    wish(tmp_path, 9)
    crew.tend(apps)
    crew.tend(apps)
    assert list(apps) == ["worker-1", "worker-2", "worker-3"]
    assert all(child.alive for child in apps.values())
    assert said == ["Workers: 1 -> 3: so it is"]


def test_the_one_with_the_least_to_do_goes_and_its_name_comes_free(
    crew: Crew, apps: dict[str, Child], tmp_path: Path
) -> None:
    crew.start(apps)
    wish(tmp_path, 3)
    crew.tend(apps)
    wish(
        tmp_path,
        2,
        **{str(apps["worker-1"].pid): 2, str(apps["worker-2"].pid): 1, str(apps["worker-3"].pid): 4},
    )
    crew.tend(apps)
    assert list(apps) == ["worker-1", "worker-3"]
    (gone,) = crew.leaving
    until(lambda: not gone.alive, 10)

    wish(tmp_path, 3)
    crew.tend(apps)
    assert not crew.leaving
    assert not gone.pid_file.exists() or gone.pid != int(gone.pid_file.read_text())
    assert sorted(apps) == ["worker-1", "worker-2", "worker-3"]


def test_never_fewer_than_the_least_and_nothing_by_an_old_or_broken_plan(
    crew: Crew, apps: dict[str, Child], tmp_path: Path
) -> None:
    crew.start(apps)
    plan = wish(tmp_path, 0)
    crew.tend(apps)
    assert list(apps) == ["worker-1"]

    wish(tmp_path, 3)
    old = time.time() - STALE_SECONDS - 1
    os.utime(plan, (old, old))
    crew.tend(apps)
    plan.write_text('{"wanted": ')
    crew.tend(apps)
    assert list(apps) == ["worker-1"]
