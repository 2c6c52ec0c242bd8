"""The load scenarios, each for some seconds by real Locust: right and wrong are asked here, not how fast."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from app.client import Client
from tests.journeys.product import API_KEY, Product
from tests.load import running
from tests.load.__main__ import arguments, plan
from tests.load.aftermath import Watch
from tests.load.judging import verdicts
from tests.load.scenarios import Plan


@pytest.fixture(scope="module")
def there() -> Iterator[Product]:
    with running.product() as made:
        yield made


def short(scenario: int, *words: str) -> Plan:
    return plan(scenario, arguments(["--scenario", str(scenario), *words]))


def wrong(asked: Plan, load: dict[str, Any]) -> list[str]:
    """What was missed that is no matter of time."""
    return [str(line) for line in verdicts(asked, load) if not line.met and not line.timed]


def test_sustained_load_a_spike_and_a_flood_lose_nothing(there: Product) -> None:
    sustained = short(1, "--minutes", "0.07", "--users", "20", "--per-second", "20")
    spike = short(2, "--minutes", "0.07", "--users", "60")
    flood = short(3, "--minutes", "3", "--tasks", "200", "--users", "30")
    found = {asked.scenario: running.watched(asked, there) for asked in (sustained, spike, flood)}

    assert [wrong(asked, found[asked.scenario]) for asked in (sustained, spike, flood)] == [[], [], []]
    assert set(found[1]["seen"]["kinds"]) == {"submit", "status", "list"}
    assert all(load["ends"]["completed"] == load["seen"]["accepted"] > 20 for load in found.values())
    assert found[2]["seen"]["all"]["n"] > 60
    assert found[3]["seen"]["seen_ended"] == {"completed": 200}


def test_from_outside_the_ends_of_jobs_are_seen_and_refusals_are_errors(there: Product) -> None:
    asked = short(3, "--minutes", "1", "--tasks", "20", "--users", "4")
    load = running.against(asked, there.url, API_KEY)
    refused = running.against(asked, there.url, "cb_nobody0000_" + "x" * 43)

    assert wrong(asked, load) == []
    assert load["ends"] == {"jobs": 20, "promised": 20, "completed": 20}
    assert refused["seen"]["accepted"] == 0
    assert sum(each["times"] for each in refused["seen"]["errors"]) == 20
    assert len(wrong(asked, refused)) == 3  # accepted, seen to end, errors


def test_a_process_that_ends_an_alarm_and_a_job_that_is_gone_are_found(there: Product) -> None:
    watch = Watch(there)
    assert (watch.died(), watch.alarms()) == ([], {})

    with Client(there.url, key=API_KEY) as callboard:
        job = callboard.submit("test-noop", {}, tags=["lost"]).job_id
    assert watch.settled("lost", [job], 20)["completed"] == 1
    there.sql(f"DELETE FROM jobs WHERE job_id = '{job}'")
    there.end("worker", signal.SIGKILL)
    with (there.home / "log" / "web.log").open("a") as log:
        log.write('{"level": "error", "event": "job.odd"}\n')

    ends = watch.settled("lost", [job], 10)
    assert ends["promised"] == 0
    assert "everything accepted is there" in ends["broken"], ends
    assert "worker" in watch.died()
    assert watch.alarms()["web: job.odd"] == 1
