"""The storm on trial: with the fence taken out of the workers' settles it must say that something is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import ROOT


@pytest.mark.timeout(900)
def test_without_the_fence_a_storm_breaks_and_says_what(tmp_path: Path) -> None:
    told, logs = tmp_path / "storm.json", tmp_path / "logs"
    logs.mkdir()
    words = (
        "--minutes",
        "0.5",
        "--seed",
        "1",
        "--only",
        "worker-freeze",
        "--without",
        "fence",
        "--json",
        str(told),
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.storm", *words],
        cwd=ROOT,
        env={**os.environ, "STORM_LOGS": str(logs)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    broken = json.loads(told.read_text())["broken"]
    assert broken.keys() & {
        "workers and database agree on how attempts ended",
        "completed means that the last attempt completed, and no other",
        "a completed job says so once",
    }, broken
    assert list(logs.glob("worker-*.log"))
    assert done.stdout.splitlines()[0].startswith("seed 1,")
    assert done.stdout.splitlines()[-1] == "seed 1: BROKEN"
