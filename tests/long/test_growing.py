"""The benches of growth and of a day in minutes still run, with few jobs."""

from __future__ import annotations

from tests.bench.test_smoke import run


def test_the_benchmark_of_growth_measures_every_operation_at_every_size() -> None:
    found = run("tests.bench.growth", "--sizes", "500", "1000", "--waiting", "1300", "--times", "8",
                "--drained", "40")  # fmt: skip

    assert [(size["jobs"], size["waiting"]) for size in found["sizes"]] == [
        (500, 1200),
        (1000, 1200),
        (1000, 1300),
    ]
    names = set(found["ratio"]["cpu"])
    assert {"submit", "claim", "settle", "status, 304", "explain", "run and settle, real workers"} <= names
    assert {"retention, a job", "retention, nothing to do", "sweep", "watch"} <= names
    assert all(values[0] == 1 for values in found["ratio"]["cpu"].values())
    assert all(line["cpu_us"] > 0 for size in found["sizes"] for line in size["cost"].values())
    assert all(plan["pages"] > 0 for plan in found["plans"].values())
    claim = found["plans"]["claim"]["statements"][0]
    assert claim["statement"].startswith("SELECT jobs_take(")
    assert claim["nodes"] == []  # the function alone: nothing is scanned around it


def test_the_soak_ends_every_job_and_looks_at_every_figure() -> None:
    found = run("tests.bench.soak", "--jobs", "400", "--every", "0.1", "--keep", "4", "--too-short-to-judge")

    assert found["jobs"] >= 400
    assert found["wrong"] == {}
    assert found["polls"] > 0
    assert {
        "worker: memory",
        "web: files",
        "connections",
        "redis: keys",
        "jobs: size",
        "audit_log: size per job",
    } <= set(found["series"])
