"""The storm's arithmetic: the plan by the seed, what its checks notice, and what it writes down."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.storm import agents, checks, orders, plan, report
from tests.chaos.storm.__main__ import GUIDE, main
from tests.chaos.storm.catalogue import KINDS
from tests.chaos.storm.faults import all_faults
from tests.chaos.storm.gauge import Gauge
from tests.chaos.storm.report import Report
from tests.chaos.storm.wires import Wire

REPORT = Report(
    seed=7,
    minutes=10,
    rate=6,
    commit="abc",
    seconds=700,
    restarts=9,
    jobs={"completed": 1234, "failed": 2},
    attempts={"completed": 1234, "lost": 3},
    orders=1300,
    sent_again={"503": 4, "cut off": 1},
    faults=[
        ("redis-freeze", 5.0, {"job": 0.5, "api": 0.1, "backlog": 2.0}),
        ("redis-freeze", 5.0, {"job": 1.5, "api": 0.1, "backlog": 0.1}),
        ("worker-kill", 0.0, {"job": 3.0, "api": 0.1, "backlog": 4.0}),
    ],
    not_possible={"disk-full": "no disk"},
    lost=0,
    doubled=0,
    checked=50,
    broken={},
)


def test_the_same_seed_is_the_same_storm_and_another_is_another() -> None:
    once, again, other = plan.plan(7, 10), plan.plan(7, 10), plan.plan(8, 10)
    assert once == again != other


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_ends_in_time_and_never_breaks_one_thing_twice_at_once(seed: int) -> None:
    blows = plan.plan(seed, 10)
    assert [blow.at for blow in blows] == sorted(blow.at for blow in blows)
    assert max(blow.until for blow in blows) <= 600
    for number, one in enumerate(blows):
        together = [other for other in blows[:number] if other.until > one.at]
        assert len(together) < plan.AT_ONCE
        assert not [other for other in together if KINDS[other.kind].touches & KINDS[one.kind].touches]


def test_every_kind_comes_within_an_hour_and_none_twice_before_all_came() -> None:
    kinds = [blow.kind for blow in plan.plan(3, 60)]
    assert set(kinds[: len(KINDS)]) == set(KINDS)


def test_some_faults_overlap_and_most_do_not() -> None:
    blows = plan.plan(7, 60)
    together = sum(one.at < before.until for before, one in itertools.pairwise(blows))
    assert 0 < together < len(blows) / 2


def test_only_some_kinds() -> None:
    assert {blow.kind for blow in plan.plan(1, 5, ("freeze",))} == {
        name for name in KINDS if "-freeze" in name
    }
    assert {kind.name for kind in plan.chosen(("web",))} == {
        name for name in KINDS if name.startswith("web-")
    }
    with pytest.raises(ValueError, match="no fault is called"):
        plan.chosen(("earthquake",))


def test_every_kind_can_be_done_and_no_other() -> None:
    assert all_faults().keys() == KINDS.keys()


def test_the_list_is_printed_and_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "2", "--seed", "7", "--list"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("seed 7, 2 minutes")
    assert len(said.splitlines()) == len(plan.plan(7, 2)) + 1
    assert main(["--only", "earthquake"]) == 2


def test_orders_speak_of_agents_that_there_are_and_may_be_sent_again_word_by_word() -> None:
    import random

    for name, sort in orders.SORTS.items():
        order = sort.make("k", random.Random(1), "http://127.0.0.1:1")
        assert orders.signed(order)[0] == orders.signed(order)[0]
        if agent_id := order.body.get("agent_id"):
            assert agent_id in agents.AGENTS or agent_id == "test-noop", name
        assert name in orders.ENDS


# -- what the checks notice


@pytest.mark.parametrize(
    ("answered", "job_id", "made", "wrong"),
    [
        (True, "a", ["a"], None),
        (False, None, [], None),
        (False, None, ["a"], None),
        (True, None, ["a"], None),
        (True, "a", [], "was accepted and is not there"),
        (True, "a", ["b"], "answered with a and is b"),
        (False, None, ["a", "b"], "made 2 times"),
        (True, "a", ["a", "b"], "made 2 times"),
    ],
)
def test_what_a_client_may_complain_of(
    answered: bool, job_id: str | None, made: list[str], wrong: str | None
) -> None:
    said = checks.disappointed("key", answered, job_id, made)
    assert (said is None) == (wrong is None)
    assert (wrong or "") in (said or "")


def test_a_job_ends_as_its_kind_may_or_as_poison_after_enough_losses() -> None:
    row: dict[str, Any] = {"agent_id": "x", "kind": "nap", "status": "completed", "child": False}
    row |= {"status_reason": None, "lost_count": 0}
    failed = row | {"status": "failed", "status_reason": "exhausted"}
    poison = row | {"status": "failed", "status_reason": "poison"}
    assert checks.wrong_ends([row, row | {"kind": "cancelled", "status": "cancelled"}]) == []
    assert checks.wrong_ends([failed]) == [failed]
    assert checks.wrong_ends([poison | {"lost_count": checks.MAX_LOST}]) == []
    assert checks.wrong_ends([poison | {"lost_count": 1}]) != []


def test_attempts_side_by_side_are_noticed_and_one_that_was_killed_is_none() -> None:
    def line(what: str, fence: int, at: float) -> tuple[str, str, int, int, float]:
        return what, "j", fence, 1, at

    behind = [line("began", 1, 1), line("ended", 1, 2), line("began", 2, 3), line("ended", 2, 4)]
    killed = [line("began", 1, 1), line("began", 2, 3), line("ended", 2, 4)]
    beside = [line("began", 1, 1), line("began", 2, 3), line("ended", 1, 4), line("ended", 2, 5)]
    assert checks.overlaps(behind) == checks.overlaps(killed) == []
    assert checks.overlaps(beside) == [("j", 1, 2, 3)]


def test_a_rate_that_is_kept_and_one_that_is_not() -> None:
    kept = [0.0, 0.0, 0.5, 1.0, 1.5, 5.0, 5.0]
    assert checks.too_fast(kept, 2, slack=0) == []
    assert checks.too_fast([*kept, 5.1], 2, slack=0) == [(5.1, 0.8)]
    assert checks.too_fast([], 2) == []


def test_recovery_is_the_first_time_after_the_end() -> None:
    gauge = Gauge(None)  # type: ignore[arg-type]
    gauge.ended = [1.0, 9.0, 12.5]
    gauge.answers = [(9.5, True), (10.2, False), (11.0, True)]
    gauge.waits = [(10.1, 7.0), (14.0, 0.0)]
    assert gauge.recovery(10.0) == {"job": 2.5, "api": 1.0, "backlog": 4.0}
    assert gauge.recovered(10.0)
    assert gauge.recovery(13.0) == {"job": None, "api": None, "backlog": 1.0}
    assert not gauge.recovered(13.0)


# -- what is written down


def test_the_report_says_what_was_lost_and_how_soon_all_went_on() -> None:
    text = report.markdown(REPORT)
    assert "| **jobs lost** | **0** |" in text
    assert "half of the times within 2.0 s, at worst 4.0 s" in text
    frozen = next(line for line in text.splitlines() if "Redis stopped" in line)
    assert frozen.endswith("| 1.0 s, 1.5 s | 0.1 s, 0.1 s | 1.1 s, 2.0 s |")
    assert "not possible here: disk-full: no disk" in text
    assert json.loads(REPORT.as_json())["good"] is True


def test_what_never_went_on_and_what_is_broken_stands_there() -> None:
    from dataclasses import replace

    never = ("web-kill", 0.0, {"job": 1.0, "api": None, "backlog": 1.0})
    bad = replace(REPORT, faults=[*REPORT.faults, never], broken={"nothing is stuck": ["job 1"]})
    text = report.markdown(bad)
    assert "at worst never" in text
    assert "**broken: nothing is stuck**" in text
    assert not bad.good


def test_the_guide_takes_a_report_between_its_marks(tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(GUIDE.read_text())
    report.write_guide(guide, REPORT)
    once = guide.read_text()
    report.write_guide(guide, REPORT)
    assert guide.read_text() == once
    assert "1,234 completed" in once
    before, _, _ = GUIDE.read_text().partition(report.BEGIN)
    assert once.startswith(before)
    with pytest.raises(ValueError, match="no place"):
        report.into_guide("nothing", REPORT)


# -- wires


def test_a_wire_passes_on_is_cut_and_loses_answers(tmp_path: Path) -> None:
    import socket
    import threading

    path = str(tmp_path / "s")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def echo() -> None:
        while True:
            try:
                end, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=lambda end=end: end.sendall(end.recv(10)), daemon=True).start()  # type: ignore[misc]

    threading.Thread(target=echo, daemon=True).start()
    with Wire(path) as wire:

        def said() -> bytes:
            with socket.create_connection(("127.0.0.1", wire.port), timeout=5) as end:
                end.sendall(b"hello")
                try:
                    return end.recv(10)
                except ConnectionError:
                    return b""

        assert said() == b"hello"
        wire.feel("cut")
        assert said() == b""
        wire.feel("reply")
        assert said() == b""
        wire.feel("slow")
        began = time.monotonic()
        assert said() == b"hello"
        assert time.monotonic() - began >= wire.delay
        wire.feel("well")
        assert said() == b"hello"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
