"""A release while work goes on: the old one on the new schema, handed over process by process, and back again."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from app.ops.instance import answers_health
from app.settings import ROOT
from tests.chaos.releases import Crew, prepare, release_before, retire, revision, start
from tests.fleet import API_KEY, Fleet
from tests.services import Pair, execute, free_port, sql, with_database

pytestmark = pytest.mark.timeout(600)

PATIENCE = 120  # seconds, on a machine that has much else to do


@pytest.fixture
def fleet(servers: Pair, tmp_path: Path) -> Iterator[Fleet]:
    """One on a new, empty database."""
    name = f"u_{uuid.uuid4().hex[:12]}"
    execute(servers.postgres.url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with Fleet(servers, with_database(servers.postgres.url, name), tmp_path / "home") as made:
        yield made


def test_an_upgrade_and_the_way_back_lose_no_request_and_no_job(fleet: Fleet, tmp_path: Path) -> None:
    fleet.at = old = release_before(tmp_path / "old")
    prepare(fleet, "release-old")
    before = revision(fleet)
    crew = hire(fleet, "old")

    with customers(crew.port) as front:
        goes_on(fleet, front)

        fleet.at = ROOT
        done = front.answered
        prepare(fleet, "release-new")
        assert revision(fleet) > before
        assert front.answered > done, "nothing was asked while the schema changed"
        goes_on(fleet, front)  # the old code on the new schema

        crew = hand_over(fleet, front, crew, "new")
        goes_on(fleet, front)
        assert front.cut_off == 0  # the router knew who would go

        fleet.at = old
        crew = hand_over(fleet, front, crew, "back", warned=False)
        goes_on(fleet, front)

    fleet.until(lambda: fleet.unfinished() + fleet.to_follow_up() == 0, PATIENCE)
    assert front.wrong == []
    assert fleet.broken(at_rest=True, promised=front.accepted) == {}
    assert fleet.contradictions() == []
    assert fleet.count("completed") == fleet.value("SELECT count(*) FROM jobs") == len(front.accepted)
    assert fleet.outcomes().keys() <= {"completed", "released"}
    for name in ("worker-old", "worker-new", "worker-back"):
        assert fleet.units[name].log_lines("attempt.ended"), name
    assert [line for unit in fleet.units.values() for line in unit.surprises()] == []


def hire(fleet: Fleet, name: str) -> Crew:
    """Start all processes of the release at `fleet.at`."""
    port = free_port()
    scheduler, worker = start(fleet, "scheduler", name), start(fleet, "worker", name)
    crew = Crew(scheduler, worker, start(fleet, "web", name, PORT=str(port)), port)
    fleet.until(lambda: answers_health("127.0.0.1", port), PATIENCE)
    return crew


def hand_over(fleet: Fleet, front: Front, stale: Crew, name: str, *, warned: bool = True) -> Crew:
    """Replace a crew in the order of the runbook: scheduler, web, worker; each new one beside the old one first.

    `warned`: the router sends nobody to a web process that is told to stop. Platforms do it at the same moment.
    """
    scheduler = start(fleet, "scheduler", name)
    retire(fleet, stale.scheduler)

    port = free_port()
    web = start(fleet, "web", name, PORT=str(port))
    fleet.until(lambda: answers_health("127.0.0.1", port), PATIENCE)
    front.ports.append(port)
    if warned:
        front.ports.remove(stale.port)
        everybody_again(fleet, front)
    retire(fleet, stale.web)
    if not warned:
        everybody_again(fleet, front)
        front.ports.remove(stale.port)

    worker = start(fleet, "worker", name)
    fleet.until(lambda: worker.log_lines("attempt.ended"), PATIENCE)
    retire(fleet, stale.worker)
    return Crew(scheduler, worker, web, port)


def goes_on(fleet: Fleet, front: Front) -> None:
    """Wait until so many more were taken, and done."""
    taken, done = len(front.accepted), fleet.count("completed")
    fleet.until(lambda: len(front.accepted) >= taken + 30 and fleet.count("completed") >= done + 30, PATIENCE)


def everybody_again(fleet: Fleet, front: Front) -> None:
    """Wait until nobody is in the middle of a request that began before."""
    rounds = dict(front.rounds)
    fleet.until(lambda: all(front.rounds[who] > number + 1 for who, number in rounds.items()), PATIENCE)


class Front:
    """The router, and what its customers were told."""

    def __init__(self, port: int) -> None:
        """All requests go to `ports`."""
        self.ports = [port]
        self.accepted: dict[str, str] = {}
        self.wrong: list[str] = []
        self.cut_off = 0
        self.answered = 0
        self.rounds: dict[str, int] = {}
        self.over = threading.Event()
        self.lock = threading.Lock()

    def ask(
        self, http: httpx2.Client, chance: random.Random, method: str, path: str, **rest: object
    ) -> httpx2.Response:
        """Ask one of the web processes; who is cut off asks again, whoever is there then."""
        while True:
            try:
                answer = http.request(method, f"http://127.0.0.1:{chance.choice(self.ports)}{path}", **rest)
            except httpx2.TransportError:
                if self.over.is_set():  # the test is over, and so are the servers
                    raise
                with self.lock:
                    self.cut_off += 1
                self.over.wait(0.05)
                continue
            with self.lock:
                self.answered += 1
                if answer.status_code not in {200, 201, 304}:
                    self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return answer

    def serve(self, name: str, ask: Callable[..., httpx2.Response]) -> None:
        """A customer's day: hand in a job under a key of its own, look at it, at the list and at health."""
        while not self.over.is_set():
            seconds = 0.2 if self.rounds[name] % 4 == 0 else 0
            agent, parameters = ("test-sleeper", {"seconds": seconds}) if seconds else ("test-noop", {})
            answer = ask(
                "POST",
                "/api/v1/jobs",
                json={"agent_id": agent, "parameters": parameters},
                headers={"Idempotency-Key": str(uuid.uuid4())},
            )
            job_id = answer.json().get("job_id") if answer.is_success else None
            if job_id:
                self.accepted[job_id] = agent
                ask("GET", f"/api/v1/jobs/{job_id}/status")
            ask("GET", "/api/v1/jobs?limit=5")
            ask("GET", "/api/health")
            self.rounds[name] += 1
            self.over.wait(0.1)


@contextmanager
def customers(port: int, count: int = 3) -> Iterator[Front]:
    """Some who ask all the time, each with connections of its own."""
    front = Front(port)

    def live(name: str) -> None:
        chance = random.Random(name)
        with (
            suppress(httpx2.TransportError),
            httpx2.Client(timeout=15, headers={"Authorization": f"Bearer {API_KEY}"}) as http,
        ):
            front.serve(name, lambda *words, **rest: front.ask(http, chance, *words, **rest))

    threads = [
        threading.Thread(target=live, args=(f"customer-{n}",), name=f"customer-{n}") for n in range(count)
    ]
    front.rounds = {thread.name: 0 for thread in threads}
    for thread in threads:
        thread.start()
    try:
        yield front
    finally:
        front.over.set()
        for thread in threads:
            thread.join()
