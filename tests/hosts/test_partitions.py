"""Hosts that work together, lose each other, and find each other again; under load, and with every invariant after it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.fleet import Unit
from tests.hosts.beacon import lives
from tests.hosts.calls import (
    WORKERS,
    beacon,
    fires,
    health,
    once,
    post,
    seen,
    status,
    stubborn,
    under_load,
)
from tests.hosts.fleet import LEASE_SECONDS, Hosts


def test_seven_hosts_share_the_work_and_two_doors_say_the_same(hosts: Hosts) -> None:
    doors = [hosts.units["web-a"], hosts.units["web-b"]]
    hosts.until(lambda: [health(hosts, door) for door in doors] == ["healthy"] * 2, 60)

    with under_load(hosts) as load:
        ids = [post(hosts, doors[n % 2], agent_id="test-echo", parameters={"n": n}) for n in range(20)]
        planned = once(40, within=3)
        hosts.until(lambda: len(fires(hosts, planned)) == len(planned), 30)
        hosts.until(lambda: len(hosts.ended_on(list(load.accepted))) == len(WORKERS), 30)
        assert {*hosts.ended_on(list(load.accepted))} == {*WORKERS}

    assert {fire["outcome"] for fire in fires(hosts, planned)} == {"fired"}
    for job_id in ids:
        said = [status(hosts, door, job_id) for door in doors]
        assert said[0] == said[1]
        assert said[0]["status"] == "completed"


def test_a_worker_host_cut_off_for_longer_than_its_lease_ends_its_runners_before_others_begin(
    hosts: Hosts, marks: Path
) -> None:
    with under_load(hosts) as load:
        job_id = beacon(marks, 60)
        first = seen(hosts, marks)[0]
        unit = hosts.units[first.host]
        held = stubborn(9, 6)
        hosts.until(lambda: holds(hosts, unit, held), 20)
        late = holds(hosts, unit, held)
        lost = len(unit.log_lines("attempt.lost"))

        hosts.host(unit).cut()
        cut_at = time.monotonic()
        first, second = seen(hosts, marks, 2, 3 * LEASE_SECONDS)[:2]
        fenced = hosts.lines(unit, "attempt.fenced")
        hosts.host(unit).join()

        assert first.last < second.first, "two attempts lived at once"
        assert second.first - cut_at > LEASE_SECONDS - 5, "the lease was not waited for"
        assert second.host != first.host
        assert job_id in {line["job_id"] for line in fenced}
        hosts.until(lambda: {each["job_id"] for each in hosts.lines(unit, "attempt.lost", lost)} & late, 30)
        hosts.until(lambda: hosts.registered(unit.name), 30)
        came_back = len(load.accepted)
        hosts.until(lambda: unit.name in hosts.ended_on(list(load.accepted)[came_back:]), 30)
        load.accepted |= dict.fromkeys([job_id, *held], "noop")


def holds(hosts: Hosts, unit: Unit, job_ids: list[str]) -> set[str]:
    """Those of the jobs that run on the host of `unit`."""
    return {row["job_id"] for row in hosts.running_on(unit)} & {*job_ids}


def test_a_worker_host_cut_off_for_a_moment_loses_nothing_and_nothing_runs_twice(
    hosts: Hosts, marks: Path
) -> None:
    lost = hosts.lost()
    with under_load(hosts) as load:
        job_id = beacon(marks, 7)
        unit = hosts.units[seen(hosts, marks)[0].host]
        held = stubborn(9, 4)
        hosts.until(lambda: holds(hosts, unit, held), 20)

        hosts.host(unit).cut()
        time.sleep(3)
        hosts.host(unit).join()
        load.accepted |= dict.fromkeys([job_id, *held], "noop")

    assert len(lives(marks)) == 1
    assert hosts.lost() == lost
    again = hosts.rows(
        "SELECT job_id FROM jobs WHERE fence <> 1 AND job_id = ANY(%(ids)s::uuid[])", {"ids": [job_id, *held]}
    )
    assert again == []


def test_a_door_without_redis_and_a_scheduler_without_anything_stop_nobody(hosts: Hosts) -> None:
    door, scheduler = hosts.units["web-a"], hosts.units["scheduler-a"]
    other = hosts.units["web-b"]
    redis_address = hosts.network.second_address
    hosts.until(lambda: health(hosts, door) == health(hosts, other) == "healthy", 30)

    with under_load(hosts) as load:
        hosts.host(door).lose(redis_address)
        hosts.host(scheduler).cut()
        ids = [post(hosts, door, agent_id="test-echo", parameters={"n": n}) for n in range(10)]
        planned = once(30, within=6)
        hosts.until(lambda: health(hosts, door) == "degraded", 20)
        hosts.until(lambda: len(fires(hosts, planned)) == len(planned), 30)
        hosts.until(lambda: all(status(hosts, door, job_id)["status"] == "completed" for job_id in ids), 30)
        assert health(hosts, other) == "healthy"
        hosts.host(door).find(redis_address)
        hosts.host(scheduler).join()
        load.accepted |= dict.fromkeys(ids, "noop")
        hosts.until(lambda: health(hosts, door) == "healthy", 30)

    late = fires(hosts, planned)
    assert {fire["outcome"] for fire in late} == {"fired"}
    assert all(fire["late"] >= 0 for fire in late)
    assert len(late) == len(planned)


def test_a_worker_host_on_a_long_thin_wire_works_and_keeps_its_leases(hosts: Hosts, marks: Path) -> None:
    near, far = hosts.network.address, hosts.network.second_address
    wires = (f"{near}:15432={near}:5432", f"{far}:16379={far}:6379")
    relay = hosts.here("relay", "-m", "tests.hosts.relay", "0.1", *wires)
    lost = hosts.lost()
    unit = hosts.worker(
        "worker-far",
        DATABASE_URL=hosts.database_url.replace(":5432/", ":15432/"),
        REDIS_URL=hosts.pair.redis.url.replace(":6379/", ":16379/"),
    )
    hosts.host(unit).narrow("512kbit")
    try:
        with under_load(hosts) as load:
            hosts.until(lambda: hosts.registered("worker-far"), 60)
            hosts.until(lambda: hosts.ended_on(list(load.accepted)).get("worker-far", 0) >= 20, 60)
        assert hosts.lost() == lost
        assert unit.log_lines("attempt.fenced") == []
    finally:
        hosts.power_off(unit)
        relay.wanted = False
        relay.kill()


def test_a_host_that_dies_is_replaced_by_another(hosts: Hosts, marks: Path) -> None:
    unit = hosts.worker("worker-old", LEASE_SECONDS="6", HEARTBEAT_SECONDS="2")
    hosts.until(lambda: hosts.registered("worker-old"), 60)
    with under_load(hosts) as load:
        files = [marks.with_name(f"mark-{n}") for n in range(16)]
        jobs = [beacon(file, 8) for file in files]
        hosts.until(lambda: any(life.host == "worker-old" for file in files for life in lives(file)), 30)

        hosts.power_off(unit)
        new = hosts.worker("worker-new")
        load.accepted |= dict.fromkeys(jobs, "noop")
        hosts.until(lambda: "worker-new" in hosts.ended_on(list(load.accepted)), 60)

    both = [found for file in files if len(found := lives(file)) > 1]
    assert both
    for old, again in both:
        assert old.host == "worker-old"
        assert old.last < again.first
    assert new.alive
    hosts.power_off(new)
