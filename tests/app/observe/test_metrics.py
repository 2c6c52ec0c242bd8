"""What several processes count is summed, whatever becomes of them. Each process here is a real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.ops import counting
from app.settings import ROOT

BEGIN = """
import json, os, sys
from pathlib import Path
from app.observe import metrics
from app.ops import counting
counting.begin(Path(sys.argv[1]), "worker")
"""
WORK = """
for _ in range(5):
    metrics.count(metrics.ATTEMPTS, "echo", "completed")
    metrics.observe(metrics.CLAIM_SECONDS, 0.004)
"""
TELL = """
print(json.dumps({sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
                  for metric in metrics.collected() for sample in metric.samples}))
"""
ATTEMPTS = 'callboard_attempts_total{"agent": "echo", "outcome": "completed"}'


def process(home: Path, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + script, str(home)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(home: Path) -> dict[str, float]:
    out, _ = process(home, TELL).communicate(timeout=60)
    return dict(json.loads(out))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_figures_of_processes_are_summed_and_one_that_was_killed_takes_nothing_with_it(home: Path) -> None:
    works_on = process(home, WORK + "metrics.write(); print('done', flush=True); sys.stdin.read()")
    killed = process(home, WORK + "metrics.write(); print('done', flush=True); sys.stdin.read()")
    assert [each.stdout and each.stdout.readline() for each in (works_on, killed)] == ["done\n", "done\n"]
    before = told(home)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    folder = counting.folder(home)
    (folder / "counter_999999.db").touch()  # somebody was killed in just the moment of beginning
    (folder / "histogram_999998.db").write_bytes(b"\xff" * 100)
    after, once_more = told(home), told(home)
    works_on.communicate("")

    for figures in (before, after, once_more, told(home)):
        assert figures[ATTEMPTS] == 10
        assert figures["callboard_claim_seconds_count{}"] == 10
        assert figures['callboard_claim_seconds_bucket{"le": "0.002"}'] == 0
        assert figures['callboard_claim_seconds_bucket{"le": "0.005"}'] == 10
    assert len([*folder.glob("counter_*.db")]) <= 2  # the common one, and that of whoever asked last


def test_a_start_of_everything_begins_at_nothing(home: Path) -> None:
    process(home, WORK).communicate(timeout=60)
    counting.begin_anew(home)
    assert ATTEMPTS not in told(home)


def test_labels_are_bounded(home: Path) -> None:
    script = (
        """
metrics.MOST_CELLS = 3
for n in range(50):
    metrics.count(metrics.AUTH_FAILURES, f"kind {n}")
"""
        + TELL
    )
    out, _ = process(home, script).communicate(timeout=60)
    counted = {k: v for k, v in json.loads(out).items() if k.startswith("callboard_auth_failures_total")}
    assert len(counted) == 4
    assert counted['callboard_auth_failures_total{"kind": "other"}'] == 47


def test_a_figure_that_this_version_does_not_know_is_forgotten(home: Path) -> None:
    older = 'metrics.count(metrics.Figure(name="callboard_of_old_total", kind="counter", text="Gone."))'
    process(home, WORK + older).communicate(timeout=60)
    figures = told(home)
    assert figures[ATTEMPTS] == 5
    assert "callboard_of_old_total{}" not in figures


def test_a_child_does_not_count_as_its_parent(home: Path) -> None:
    script = """
import os
if not os.fork():
    metrics.count(metrics.ATTEMPTS, "echo", "completed")
    os._exit(0)
os.wait()
metrics.count(metrics.ATTEMPTS, "echo", "completed")
"""
    process(home, script).communicate(timeout=60)
    assert told(home)[ATTEMPTS] == 1


def test_whoever_did_not_begin_counts_nothing_and_needs_no_prometheus(home: Path) -> None:
    script = """
import sys
from app.observe import metrics
metrics.count(metrics.ATTEMPTS, "echo", "completed")
metrics.observe(metrics.CLAIM_SECONDS, 1.0)
assert "prometheus_client" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_process_that_cannot_keep_figures_works_without_them(home: Path) -> None:
    (home / "run").write_text("a file where the folder should be")
    works = process(home, WORK + "print('works')")
    said = works.communicate(timeout=60)[0].splitlines()
    assert "metrics.not_kept" in said[0]
    assert said[-1] == "works"
