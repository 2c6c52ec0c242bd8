"""Hosts whose clocks are five minutes ahead or behind: no job too early or too late, nothing twice, nobody signed out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from tests.fleet import HASTE, Unit
from tests.hosts.beacon import lives
from tests.hosts.calls import beacon, fires, health, post, seen, status, under_load
from tests.hosts.fleet import Hosts, bearer

WRONG = 300
AHEAD, BEHIND = {"worker-ahead", "web-ahead", "scheduler-ahead"}, {"worker-behind", "web-behind"}
ADMIN = {"email": "admin@callboard.local", "password": HASTE["CALLBOARD_ADMIN_PASSWORD"]}


@pytest.fixture(scope="module")
def skewed(hosts: Hosts) -> Iterator[Hosts]:
    """The hosts, and more of each kind with wrong clocks, while the schedulers with right ones are cut off."""
    for name in AHEAD | BEHIND:
        hosts.set_clock(name, WRONG if name in AHEAD else -WRONG)
    units = [hosts.worker("worker-ahead"), hosts.worker("worker-behind"), hosts.scheduler("scheduler-ahead")]
    doors = [hosts.door("web-ahead"), hosts.door("web-behind")]
    right = [hosts.host(hosts.units[name]) for name in ("scheduler-a", "scheduler-b")]
    hosts.until(lambda: hosts.registered("worker-ahead", "worker-behind"), 90)
    hosts.until(lambda: hosts.units["scheduler-ahead"].log_lines("clockwork.started"), 60)
    hosts.until(lambda: all(health(hosts, door) == "healthy" for door in doors), 60)
    for host in right:
        host.cut()
    yield hosts
    for host in right:
        host.join()
    for unit in units + doors:
        hosts.power_off(unit)


def clock_of(fleet: Hosts, door: Unit) -> datetime:
    """What a host takes the time to be."""
    told = httpx2.get(f"{fleet.address(door)}/api/health", timeout=10).json()["timestamp"]
    return datetime.fromisoformat(told)


def test_leases_hold_and_nothing_comes_early_or_twice_whatever_a_host_takes_the_time_to_be(
    skewed: Hosts, marks: Path
) -> None:
    ahead, behind = skewed.units["web-ahead"], skewed.units["web-behind"]
    assert clock_of(skewed, ahead) - datetime.now(UTC) > timedelta(seconds=WRONG - 30)
    assert datetime.now(UTC) - clock_of(skewed, behind) > timedelta(seconds=WRONG - 30)
    lost = skewed.lost()

    with under_load(skewed) as load:
        job_id = beacon(marks, 8)
        planned = [scheduled(skewed, door, in_seconds=3) for door in (ahead, behind)]
        repeated = [
            scheduled(skewed, door, cron="* * * * *", name=f"at {door.name}") for door in (ahead, behind)
        ]
        skewed.until(lambda: len(fires(skewed, planned)) == len(planned), 20)
        skewed.until(lambda: {"worker-ahead", "worker-behind"} <= {*skewed.ended_on(list(load.accepted))}, 30)
        seen(skewed, marks)
        load.accepted[job_id] = "noop"

    assert skewed.lost() == lost
    assert len(lives(marks)) == 1
    for fire in fires(skewed, planned):
        assert fire["outcome"] == "fired"
        assert 0 <= fire["late"] < 10
    rows = skewed.rows(
        """SELECT extract(epoch FROM next_fire_at - now())::float AS next, next_fire_at - created_at <= interval '60 s'
                  OR last_slot_at IS NOT NULL AS soon FROM schedules WHERE schedule_id = ANY(%(ids)s::uuid[])""",
        {"ids": repeated},
    )
    assert [row["soon"] for row in rows] == [True, True]
    assert all(0 <= row["next"] + 2 <= 62 for row in rows)
    early = skewed.rows(
        """SELECT j.job_id FROM jobs j JOIN job_attempts a USING (job_id) JOIN job_history h
           ON h.job_id = j.job_id AND h.from_status = 'pending' WHERE a.started_at < h.at"""
    )
    assert early == []


def scheduled(fleet: Hosts, door: Unit, in_seconds: float = 0, cron: str = "", name: str = "") -> str:
    """Plan a job at a door, by the right clock; answers the schedule's id."""
    when = {"cron_expression": cron} if cron else {"execute_at": str(moment(fleet, in_seconds))}
    body = {"agent_id": "test-noop", "parameters": {}, "name": name or None} | when
    body |= {} if cron else {"schedule_type": "one_time"}
    answer = httpx2.post(f"{fleet.address(door)}/api/v1/schedules", json=body, headers=bearer(), timeout=15)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["schedule_id"])


def moment(fleet: Hosts, in_seconds: float) -> datetime:
    """So many seconds from now, by Postgres."""
    at: datetime = fleet.value("SELECT now() + %(s)s * interval '1 s'", s=in_seconds)
    return at


def test_who_signed_in_at_one_host_is_signed_in_at_all_others(skewed: Hosts) -> None:
    doors = [skewed.units[name] for name in ("web-ahead", "web-a", "web-behind")]
    for home in doors:
        token = token_of(skewed, home)
        cookies = cookies_of(skewed, home)
        for door in doors:
            about = f"signed in at {home.name}, asked {door.name}"
            me = httpx2.get(
                f"{skewed.address(door)}/api/v1/auth/logins",
                headers={"Authorization": f"Bearer {token}"},
                timeout=15,
            )
            assert me.status_code == 200, f"{about}: {me.text}"
            page = httpx2.get(f"{skewed.address(door)}/jobs", cookies=cookies, timeout=15)
            assert page.status_code == 200, f"{about}: {page.status_code} {page.headers.get('location')}"


def token_of(fleet: Hosts, door: Unit) -> str:
    """An access token."""
    answer = httpx2.post(f"{fleet.address(door)}/api/v1/auth/login", json=ADMIN, timeout=15)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def cookies_of(fleet: Hosts, door: Unit) -> dict[str, str]:
    """What a browser keeps that signed in by the form."""
    with httpx2.Client(base_url=fleet.address(door), timeout=15) as browser:
        form = browser.get("/sign-in").text
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert found, form[:500]
        answer = browser.post("/sign-in", data={**ADMIN, "csrf_token": found[1]})
        assert answer.status_code in (302, 303), answer.text[:500]
        return dict(browser.cookies)


def test_a_delayed_job_of_a_door_ahead_starts_when_it_is_due(skewed: Hosts) -> None:
    for name in ("web-ahead", "web-behind"):
        door = skewed.units[name]
        due = moment(skewed, 2)
        job_id = post(skewed, door, agent_id="test-noop", parameters={}, run_at=due.isoformat())
        skewed.until(
            lambda door=door, job_id=job_id: status(skewed, door, job_id)["status"] == "completed", 20
        )  # type: ignore[misc]
        late = skewed.value(
            "SELECT extract(epoch FROM started_at - run_at)::float FROM jobs WHERE job_id = %(id)s", id=job_id
        )
        assert 0 <= late < 10
