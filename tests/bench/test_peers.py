"""What the benchmark beside others makes of its figures: statistics, tables, chart, the section of the docs.

How fast anybody is, is not asked here; nothing is measured.
"""

from __future__ import annotations

import ast
import copy
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.bench import peers
from tests.bench.peers import chart, figures, installing, meter, page, table
from tests.bench.peers.catalogue import NAMES, PEERS, named

HERE = Path(peers.__file__).parent


def one_round(drained: float, **more: Any) -> dict[str, Any]:
    return {
        "submitted": 900.0, "bulk": None, "drained": drained, "memory_mb": 50.0, "others": 0.02,
        "us": {"worker": 500, "postgres": 0, "redis": 90}, "idle_ms": [9.0, 1.0, 2.0, 3.0],
    } | more  # fmt: skip


def peer(*drained: float, **more: Any) -> dict[str, Any]:
    return {"version": "1.2", "python": "3.11.7", "failures": [], "redis_lost": {},
            "rounds": [one_round(rate, **more) | {"round": place} for place, rate in enumerate(drained, 1)]}  # fmt: skip


FOUND: dict[str, Any] = {
    "taken": "2026-01-02T03:04+00:00",
    "machine": {"processors": 2, "memory_gib": 24, "system": "Linux", "servers": {"PostgreSQL": "18.6"}},
    "asked": {"jobs": 2000, "rounds": 3, "samples": 4},
    "redis_lost": "",
    "peers": {
        "callboard": peer(
            1200, 1800, 1500, bulk=9000.0, http_ms=[12.0], rest_mb={"web": 180.0, "scheduler": 80.0}
        ),
        "dramatiq": peer(2000, 4000, 2000),
        "oban": {"absent": "needs Python 3.12 or later; none was found"},
    },
}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [5.0, 1.0, 2.0, 4.0, 3.0]

    found = [figures.quantile(values, share) for share in (0.0, 0.2, 0.5, 0.95, 1.0)]

    assert found == [1.0, 1.0, 3.0, 5.0, 5.0]
    assert figures.quantile([], 0.5) is None


def test_ratios_are_taken_within_a_round_and_their_median_is_what_is_judged() -> None:
    assert figures.ratios(FOUND, "dramatiq") == [0.6, 0.45, 0.75]
    assert figures.ratios(FOUND, "oban") == []


def test_a_round_that_failed_shifts_nobody_elses() -> None:
    found = copy.deepcopy(FOUND)
    del found["peers"]["dramatiq"]["rounds"][0]

    assert figures.ratios(found, "dramatiq") == [0.45, 0.75]


def test_goals_say_what_was_met_what_was_not_and_what_could_not_be_measured() -> None:
    met = {goal.what: goal.met for goal in figures.goals(FOUND)}

    assert met == {
        "drained, over oban": None,
        "drained, over dramatiq": True,
        "drained, over procrastinate": None,
        "drained, over dbos": None,
        "drained, over celery": None,
        "bulk a second": True,
        "submit → body, p50": True,
        "POST → body, p50": False,
    }


def test_the_table_goes_from_the_fastest_to_the_slowest_and_shows_the_range() -> None:
    head, first, second = table.rates(FOUND)

    assert [len(first), len(second)] == [len(head)] * 2
    assert (first[0], first[3], first[4]) == ("Dramatiq alone 1.2", "2,000 [2,000..4,000]", "0.60")
    assert (second[0], second[4], second[7]) == ("Callboard 1.2", "", "50 + 260 web, scheduler")


def test_a_figure_that_is_missing_is_a_dash() -> None:
    found = copy.deepcopy(FOUND)
    found["peers"]["dramatiq"]["rounds"] = [one_round(2000, memory_mb=None, idle_ms=[]) | {"round": 1}]

    row = next(row for row in table.rates(found) if row[0].startswith("Dramatiq"))

    assert (row[2], row[5], row[7]) == ("–", "– / –", "–")


def test_who_could_not_be_installed_or_failed_is_named_with_the_reason() -> None:
    found = copy.deepcopy(FOUND)
    found["peers"]["dramatiq"]["failures"] = ["nothing happened for 60 s"]

    said = table.for_people(found)

    assert "Oban for Python: not installed: needs Python 3.12 or later; none was found" in said
    assert "Dramatiq alone: failed: nothing happened for 60 s" in said
    assert "RQ, SimpleWorker: not asked for in this run" in said


def test_what_survived_redis_is_a_row_for_each_who_was_tried() -> None:
    found = copy.deepcopy(FOUND)
    found["peers"]["dramatiq"]["redis_lost"] = {
        "waiting": {"ran": 0, "twice": 0, "never": 200, "before": 0, "restarts": 1},
        "half_way": {"ran": 112, "twice": 3, "never": 88, "before": 100, "restarts": 1},
    }

    assert table.losses(found)[1:] == [["Dramatiq alone", "0 / 0 / 200", "112 / 3 / 88", "2"]]


def test_the_chart_is_svg_with_a_title_a_description_and_a_bar_for_each() -> None:
    drawn = ET.fromstring(chart.svg(FOUND))

    names = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    wide = [float(element.get("width", 0)) for element in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert {"title", "desc", "style"} <= names
    assert wide == sorted(wide, reverse=True)
    assert len(wide) == 2
    assert "prefers-color-scheme: dark" in chart.svg(FOUND)


def test_a_bar_never_leaves_the_picture() -> None:
    widest = max(bar.high for bar in chart.bars(FOUND))

    ends = [
        float(element.get("x2", 0))
        for element in ET.fromstring(chart.svg(FOUND)).iter("{http://www.w3.org/2000/svg}line")
    ]

    assert widest == 4000
    assert max(ends) <= chart.WIDTH - chart.VALUE


def test_the_section_is_put_in_once_and_replaced_the_second_time() -> None:
    text = "# Performance\n\n## Figures\n\nold\n\n## Watching\n\nrest\n"

    once = page.placed(text, page.section(FOUND))
    twice = page.placed(once, "## Beside others\n\nnew")

    assert once.index("old") < once.index("## Beside others") < once.index("## Watching")
    assert once.count(page.BEGIN) == once.count(page.END) == 1
    assert (
        twice
        == f"# Performance\n\n## Figures\n\nold\n\n{page.BEGIN}\n## Beside others\n\nnew\n{page.END}\n\n## Watching\n\nrest\n"
    )


def test_a_run_beside_others_work_says_so() -> None:
    busy = copy.deepcopy(FOUND)
    for each in busy["peers"]["dramatiq"]["rounds"] + busy["peers"]["callboard"]["rounds"]:
        each["others"] = 0.4

    assert "Others used 40% of the machine" in page.section(busy)
    assert "Others used" not in page.section(FOUND)


def test_names_are_known_or_refused() -> None:
    assert [one.name for one in named("oban, callboard")] == ["callboard", "oban"]
    assert tuple(one.name for one in named("")) == NAMES
    with pytest.raises(SystemExit, match="unknown: sidekiq"):
        named("sidekiq")


@pytest.mark.parametrize("one", [peer for peer in PEERS if peer.package], ids=lambda one: one.name)
def test_a_peer_imports_nothing_of_the_project(one: Any) -> None:
    """It lives in an environment where Callboard's own requirements are not installed."""
    tree = ast.parse((HERE / "sides" / f"{one.module}.py").read_text())

    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not {name for name in imported if name.split(".")[0] in ("app", "actors")}
    assert {name for name in imported if name.startswith("tests.")} <= {
        "tests.bench.peers.sides.ledger",
        "tests.bench.raw_dramatiq",
    }


@pytest.mark.parametrize("one", [peer for peer in PEERS if peer.package], ids=lambda one: one.name)
def test_every_requirement_is_pinned_and_has_hashes(one: Any) -> None:
    text = (installing.REQUIREMENTS / f"{one.name}.txt").read_text().replace("\\\n", " ")

    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert any(line.startswith(f"{one.package}==") for line in lines)
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    assert "://" not in text


def test_a_peer_whose_python_is_nowhere_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "_candidates", lambda _version: [Path("/bin/false")])

    with pytest.raises(installing.NotInstalled, match=r"needs Python 3\.12 or later"):
        installing.python_of("oban", "3.12")


def test_processor_time_and_memory_are_those_of_the_whole_tree() -> None:
    # The child of a child burns a twentieth of a second and stays until it is told to go.
    burner = "import time\nwhile time.process_time() < 0.2: pass\nprint(1, flush=True)\ninput()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tree:
        assert tree.stdout
        tree.stdout.readline()

        processes, used, size = (
            meter.below([tree.pid]),
            meter.processor_seconds([tree.pid]),
            meter.memory_mb([tree.pid]),
        )

        tree.communicate(b"\n")
    assert len(processes) == 2
    assert used >= 0.18
    assert size
    assert size > 3
    assert meter.below([tree.pid]) == set()


def test_what_others_use_is_neither_ours_nor_that_of_those_who_are_measured() -> None:
    watch = meter.Meter({"worker": [os.getpid()]})

    used = watch.stop()

    assert set(used) == {"worker", "others", "seconds"}
