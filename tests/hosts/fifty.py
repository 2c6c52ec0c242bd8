"""`python -m tests.hosts.fifty [PROCESSES]`: fifty worker processes behind a pgbouncer of twenty connections.

They start five hosts of ten, drain two thousand jobs, and every invariant is looked at. Needs root, 24 GiB and a minute
or two; prints what it saw, and exits with 1 if anything was not as it should be.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.hosts import fetch
from tests.hosts.calls import settled
from tests.hosts.crowd import Crowd, crowd
from tests.hosts.network import Network
from tests.hosts.servers import bridged

POOL, HOSTS, JOBS = 20, 5, 2000
PAUSE_SECONDS = 5.0


def drain(many: Crowd, processes: int) -> None:
    """Start, submit, wait, judge, and tell."""
    began = time.monotonic()
    many.fleet.scheduler("crowd-scheduler")
    many.workers(HOSTS, processes // HOSTS, PAUSE_SECONDS)
    print(f"{many.registered()} worker processes are there after {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    many.submit(JOBS)
    settled(many.fleet, many.accepted, 300)
    seconds = time.monotonic() - began
    print(f"{JOBS} jobs submitted and drained in {seconds:.1f} s, {JOBS / seconds:.0f} a second")
    print(f"all invariants hold; attempts {many.fleet.outcomes()}")
    print(
        f"Postgres saw {many.census.most} connections at most (pool {POOL}); memory {memory(many) >> 20} MB"
    )
    assert many.registered() == processes // HOSTS * HOSTS
    assert many.census.most <= POOL


def memory(many: Crowd) -> int:
    """Resident memory of all worker processes, without what they share counted twice."""
    units = [unit for name, unit in many.fleet.units.items() if name != "crowd-scheduler"]
    return sum(child.memory_full_info().pss for unit in units for child in unit.children())


def main(processes: int) -> None:
    """All of it, on servers of its own."""
    fetch.fetch()
    with (
        tempfile.TemporaryDirectory(prefix="cb-") as folder,
        Network() as network,
        bridged(network.address, network.second_address) as servers,
        crowd(network, servers, Path(folder), pool=POOL) as many,
    ):
        drain(many, processes)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
