"""Plans and verdicts: who comes when, and that nothing wrong passes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.load.__main__ import arguments, plan
from tests.load.judging import verdicts
from tests.load.scenarios import Plan

KIND = {"n": 90, "failed": 0, "p50": 5, "p95": 20, "p99": 30, "max": 40}


def found(**other: Any) -> dict[str, Any]:
    """Everything as it should be, but for `other`."""
    good: dict[str, Any] = {
        "seen": {
            "requests_per_second": 10.0,
            "submit_seconds": 57.0,
            "kinds": {"submit": KIND},
            "all": KIND,
            "errors": [],
            "accepted": 90,
            "seen_ended": {"completed": 90},
        },
        "ends": {"jobs": 90, "completed": 90, "promised": 90, "seconds": 70.0, "broken": {}},
        "answers": True,
        "died": [],
        "alarms": {},
        "memory_mib": {"before": 280, "peak": 330, "after": 320},
    }
    for path, value in other.items():
        part, _, name = path.partition("__")
        if name:
            good[part] = {**good[part], name: value}
        else:
            good[part] = value
    return good


def missed(asked: Plan, load: dict[str, Any]) -> list[str]:
    return [line.name for line in verdicts(asked, load) if not line.met]


SUSTAINED = Plan(scenario=1, seconds=600, users=100, per_second=10)
SPIKE = Plan(scenario=2, seconds=420, users=500)
VOLUME = Plan(scenario=3, seconds=3600, users=100, tasks=90, submit_seconds=60)


def test_what_is_not_said_is_as_the_requirement_has_it() -> None:
    one, two, three = (plan(scenario, arguments([])) for scenario in (1, 2, 3))

    assert (one.users, one.per_second, one.seconds) == (100, 10, 600)
    assert (two.users, two.pace, two.seconds) == (500, 0, 420)
    assert (three.tasks, three.submit_seconds, three.seconds) == (10_000, 60, 3600)


def test_a_plan_survives_the_way_to_locust() -> None:
    assert Plan.loaded(VOLUME.dumped()) == VOLUME


def test_a_spike_takes_a_minute_up_five_held_and_one_down() -> None:
    assert [SPIKE.present(second) for second in (0, 30, 60, 200, 360, 390, 419.9)] == [
        10,
        255,
        500,
        500,
        500,
        255,
        11,
    ]
    assert SPIKE.present(420) is None


def test_the_others_are_all_there_from_the_start() -> None:
    assert [SUSTAINED.present(second) for second in (0, 599, 600)] == [100, 100, None]


@pytest.mark.parametrize("tasks", [10_000, 150, 90])
def test_the_senders_share_all_jobs_and_each_is_due_within_the_minute(tasks: int) -> None:
    volume = Plan(scenario=3, seconds=3600, users=100, tasks=tasks)
    shares = [volume.share(number) for number in range(100)]
    due = sorted(volume.due(number, sent) for number, share in enumerate(shares) for sent in range(share))

    assert sum(shares) == tasks == len(due)
    assert due[0] == 0
    assert due[-1] < 57.0
    gaps = [after - before for before, after in pairwise(due)]
    assert max(gaps) == pytest.approx(57.0 / tasks)


@pytest.mark.parametrize("asked", [SUSTAINED, SPIKE, VOLUME])
def test_nothing_is_missed_when_all_is_well(asked: Plan) -> None:
    assert missed(asked, found()) == []


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"seen__errors": [{"kind": "submit", "error": "500", "times": 1}]}, ["errors"]),
        ({"seen__kinds": {"submit": {**KIND, "failed": 1}}}, ["errors"]),
        ({"ends__completed": 89}, ["jobs completed"]),
        ({"ends__promised": 89}, ["accepted jobs that are there"]),
        ({"ends__jobs": 91, "ends__completed": 91}, ["jobs that nobody was promised"]),
        ({"answers": False}, ["answers afterwards"]),
        ({"ends__broken": {"settled at most once": "[…]"}}, ["invariants broken"]),
        ({"died": ["web"]}, ["processes that ended"]),
        ({"alarms": {"worker: job.lost": 2}}, ["alarms in the logs"]),
        ({"memory_mib": {"before": 280, "peak": 900, "after": 800}}, ["memory afterwards"]),
    ],
)
def test_each_thing_that_went_wrong_is_named(other: dict[str, Any], names: list[str]) -> None:
    for asked in (SUSTAINED, SPIKE, VOLUME):
        assert missed(asked, found(**other)) == names


def test_each_scenario_has_its_own_limits_of_time() -> None:
    slow = {**KIND, "p95": 101}
    assert missed(SUSTAINED, found(seen__kinds={"submit": slow})) == ["p95 of submit"]
    assert missed(SUSTAINED, found(seen__requests_per_second=8.0)) == ["requests a second"]
    assert missed(SPIKE, found(seen__kinds={"submit": slow})) == []
    assert missed(SPIKE, found(seen__kinds={"submit": {**KIND, "p95": 2000}})) == ["p95 of submit"]
    assert missed(VOLUME, found(seen__submit_seconds=61.0)) == ["accepted within"]
    assert missed(VOLUME, found(ends__seconds=3601.0)) == ["all done within"]
    assert missed(VOLUME, found(seen__seen_ended={"completed": 89})) == ["clients saw the end of"]


def test_a_callboard_elsewhere_is_judged_by_what_can_be_seen_from_here() -> None:
    load = found(ends={"jobs": 90, "completed": 90, "promised": 90})
    for inside in ("died", "alarms", "memory_mib"):
        del load[inside]

    assert missed(VOLUME, load) == []


def test_an_address_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--against", "http://127.0.0.1:1"])
    assert "--against and --key belong together" in capsys.readouterr().err
