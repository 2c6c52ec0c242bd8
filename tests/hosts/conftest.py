"""One Callboard on seven hosts, shared by the tests of this folder, which leave it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import db
from tests import acting
from tests.chaos.load import at_the_door
from tests.fleet import prepare
from tests.hosts import fetch
from tests.hosts.calls import BEACON, WORKERS
from tests.hosts.fleet import PATIENCE, Hosts
from tests.hosts.network import Network
from tests.hosts.servers import bridged
from tests.services import Pair


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The bridge; its hosts come when they are asked for."""
    fetch.fetch()
    with Network() as made:
        yield made


@pytest.fixture(scope="session")
def servers(network: Network) -> Iterator[Pair]:
    """The one Postgres and the one broker of all hosts."""
    with bridged(network.address, network.second_address) as started:
        yield started


@pytest.fixture(scope="session")
def prepared(servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The servers with schema and agents."""
    prepare(servers.postgres.url, servers.redis.url, tmp_path_factory.mktemp("prepare"), **PATIENCE)
    return servers


@pytest.fixture(scope="session")
def hosts(network: Network, prepared: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Two web hosts, three worker hosts and two scheduler hosts, all at work."""
    home = tmp_path_factory.mktemp("hosts")
    with Hosts(network, prepared, prepared.postgres.url, home) as fleet, at_the_door(fleet):
        with db.quick():
            acting.agent(
                BEACON,
                python={"call": "tests.hosts.beacon:shine", "isolation": "process"},
                parameters={"type": "object"},
            )
        for name in ("scheduler-a", "scheduler-b"):
            fleet.scheduler(name)
        for name in WORKERS:
            fleet.worker(name)
        for name in ("web-a", "web-b"):
            fleet.door(name)
        fleet.until(lambda: fleet.registered(*WORKERS), 90)
        yield fleet


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where beacons write."""
    return tmp_path / "marks"
