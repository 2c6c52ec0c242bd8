"""Servers that the chaos suite may break, a fleet for each scenario, and the figures at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.load import Load, Watch, at_the_door, wrong_endings
from tests.fleet import Fleet, prepare
from tests.services import Pair, cloned, pair

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A Postgres and a broker that keep what they committed, also when they are killed; schema and agents are in."""
    with pair(expendable=False) as started:
        prepare(started.postgres.url, started.redis.url, tmp_path_factory.mktemp("prepare"))
        yield started


@pytest.fixture
def make_fleet(servers: Pair, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes this scenario's fleet, on a database of its own and an empty broker; settings by keyword."""
    with ExitStack() as stack:

        def make(**environ: str) -> Fleet:
            url = stack.enter_context(cloned(servers.postgres.url))
            with redis.Redis.from_url(servers.redis.url) as client:
                client.flushall()
            fleet = stack.enter_context(Fleet(servers, url, tmp_path, **environ))
            stack.enter_context(at_the_door(fleet))
            return fleet

        yield make


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    """This scenario's fleet with the usual hasty settings."""
    return make_fleet()


@dataclass
class Storm:
    """A scenario under way: the load, the watch, and the judgement at the end."""

    fleet: Fleet
    load: Load
    watch: Watch
    began: float

    def calm(self, seconds: float = 60) -> None:
        """Stop the load, let everything end, and demand that all invariants hold and nobody was disappointed."""
        self.load.stop()
        self.fleet.until(lambda: self.fleet.unfinished() + self.fleet.to_follow_up() == 0, seconds)
        accepted = self.load.accepted

        assert self.load.deepest >= 500, f"only {self.load.deepest} jobs were in flight"
        assert self.watch.looks > 0
        assert self.watch.seen == {}, "seen in the middle of it"
        assert self.fleet.broken(at_rest=True, promised=accepted) == {}
        assert self.fleet.contradictions() == []
        assert wrong_endings(self.fleet, accepted) == []


@pytest.fixture
def storm(request: pytest.FixtureRequest) -> Iterator[Callable[..., Storm]]:
    """Starts load and watch over a fleet; writes down the scenario's figures when it is over."""
    with ExitStack() as stack:
        started: list[Storm] = []

        def start(fleet: Fleet, **load: int) -> Storm:
            began = time.monotonic()
            watch = stack.enter_context(Watch(fleet))
            under = stack.enter_context(Load(fleet, **load))
            fleet.until(lambda: under.deepest >= 500, 30)
            started.append(Storm(fleet, under, watch, began))
            return started[-1]

        yield start
        FIGURES.extend(_figures(request.node.name, each) for each in started)


def _figures(name: str, storm: Storm) -> str:
    fleet = storm.fleet
    seconds = time.monotonic() - storm.began
    lost = len(fleet.broken(at_rest=True, promised=storm.load.accepted))
    jobs = fleet.value("SELECT count(*) FROM jobs")
    deadlocks = fleet.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return (
        f"{name:62} {seconds:6.1f} s {jobs:6} jobs, {storm.load.deepest} in flight, {fleet.restarts} restarts, "
        f"attempts {fleet.outcomes()}, deadlocks {deadlocks}, broken invariants {lost}"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several (-n 2) hands its figures to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["chaos"] = FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what such a process hands over; one that died has nothing."""
    FIGURES.extend(getattr(node, "workeroutput", {}).get("chaos", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each scenario did."""
    if FIGURES:
        terminalreporter.section("chaos")
        for line in FIGURES:
            terminalreporter.write_line(line)
