"""The benchmarks still run: figures come out and no request failed. How good they are is not asked here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.settings import ROOT
from tests.services import pair


def run(*arguments: str, **environ: str) -> dict[str, Any]:
    """What `python -m ...` prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))


def test_the_http_benchmark_measures_every_kind_of_request_and_none_fails() -> None:
    found = run("tests.bench.http", "--seconds", "3", "--submits", "300", "--requests", "900",
                "--backlogs", "100", "300", "--samples", "5")  # fmt: skip

    load = found["load"]
    assert set(load["ms"]) == {"submit", "status_200", "status_304", "stats", "list"}
    assert sum(line["n"] for line in load["ms"].values()) == 60
    assert all(0 < line["p50"] <= line["p95"] <= line["max"] for line in load["ms"].values())
    assert load["wrong"] == {}
    assert 0 < found["at_rest_ms"]["p50"] <= found["at_rest_ms"]["max"]
    assert (found["bulk"]["bulks"], found["bulk"]["jobs_per_second"] > 0) == (5, True)
    assert [line["waiting"] for line in found["backlogs"]] == [100, 300]
    assert all(line["claim"]["buffers"] > 0 < line["claim"]["ms"] for line in found["backlogs"])


def test_the_drain_benchmark_measures_both_sides_and_idle_latency_and_that_of_callbacks_and_sessions(
    tmp_path: Path,
) -> None:
    with pair() as servers:
        environ = {
            "DATABASE_URL": servers.postgres.url,
            "REDIS_URL": servers.redis.url,
            "CALLBOARD_HOME": str(tmp_path),
            "AGENT_FOLDERS": str(ROOT / "tests" / "agents"),
        }
        subprocess.run(
            [sys.executable, "-m", "app", "prepare"],
            cwd=ROOT,
            env={**os.environ, **environ},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found = run("tests.bench.drain", "--jobs", "60", "--rounds", "1", "--latency", "3", **environ)

        told = run("tests.bench.callbacks", "--samples", "3", "--burst", "10", **environ)

        sessions = run("tests.bench.sessions", "--sessions", "10", "--messages", "10", "--seconds", "1",
                       "--threads", "4", "--samples", "2", **environ)  # fmt: skip

    assert (sessions["lost"], sessions["gaps"]) == (0, 0)
    assert {"conversation_batch", "query_memories", "document", "list"} <= set(sessions["ms"])
    assert all(0 < line["p50"] <= line["p95"] <= line["max"] for line in sessions["ms"].values())
    assert 0 < sessions["callback_ms"]["p50"] <= sessions["callback_ms"]["max"]
    assert (told["got"], told["genuine"]) == (13, 13)
    assert all(
        0 < part["p50"] <= part["p95"] <= part["max"] for part in (told["at_rest_ms"], told["burst_ms"])
    )
    assert all(speed > 0 for side in found["drained_per_second"].values() for speed in side)
    assert set(found["drained_per_second"]) == {"ours", "raw"}
    assert found["ratio_median"] > 0
    assert 0 < found["idle_ms"]["p50"] <= found["idle_ms"]["p95"]


def test_the_benchmark_of_watchers_counts_what_they_cost() -> None:
    found = run("tests.bench.watching", "--watchers", "20", "--people", "2", "--running", "5", "--lively", "2",
                "--seconds", "3", "--every", "0.2")  # fmt: skip

    for kind in ("pages", "programs"):
        seen = found[kind]
        assert (seen["first_wrong"], seen["broken"], seen["wrong"]) == ("", {}, 0)
        assert set(seen["answers"]) == {"200", "304"}
        assert seen["requests"] > 60
        assert seen["unchanged"] > 0.5
        assert 0 < seen["ms"]["p50"] <= seen["ms"]["p95"] <= seen["ms"]["max"]
        assert 0 < seen["processors_used"]["web"] < seen["server_used"] < 2


def test_the_benchmark_of_lists_asks_for_every_one(tmp_path: Path) -> None:
    found = run("tests.bench.lists", "--jobs", "500", "--times", "1", CALLBOARD_HOME=str(tmp_path))

    assert found["wrong"] == {}
    assert {
        "page: everything",
        "tabs: failed",
        "api: a rare word",
        "page: of one person",
        "page: menu",
    } <= set(found["ms"])
    assert all(one["first"] > 0 for one in found["ms"].values())


def test_the_schedules_benchmark_sees_each_of_them(tmp_path: Path) -> None:
    found = run("tests.bench.schedules", "--schedules", "40", "--once", CALLBOARD_HOME=str(tmp_path))

    (moment,) = found["moments"]
    for late in (moment["submitted_ms"], moment["visible_ms"]):
        assert late["n"] == 40
        assert 0 < late["p50"] <= late["p95"] <= late["max"] < 5000


def test_the_paint_benchmark_sees_every_page() -> None:
    found = run("tests.bench.paint", "--visits", "1")

    assert set(found["ms"]) >= {"/", "/jobs", "/jobs/{job}"}
    assert all(0 < each["best"] <= each["median"] <= each["worst"] for each in found["ms"].values())
