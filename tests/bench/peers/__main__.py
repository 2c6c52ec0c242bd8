"""Measure Callboard beside others and print a table; the package says what, docs/performance.md how to read it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import peers
from tests.bench.peers import page, phases, table
from tests.bench.peers.catalogue import Peer, named
from tests.bench.peers.installing import NotInstalled
from tests.bench.peers.servers import Servers, servers
from tests.bench.peers.side import Failed, Side


def main() -> int:
    """Measure, or read what was measured; print it, and write it down where it is asked for."""
    chosen = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders are cleared up
    if chosen.source:
        found = json.loads(Path(chosen.source).read_text())
    else:
        with tempfile.TemporaryDirectory(prefix="cb-peers-") as home, servers(Path(home)) as ours:
            found = measured(ours, named(chosen.only), chosen)
    _keep(found, chosen)
    print(table.for_people(found))
    if chosen.write:
        page.write(found)
    return 0


def _arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(
        prog="python -m tests.bench.peers",
        description=peers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked.add_argument("--jobs", type=int, default=2000, help="drained in each round, by each")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--samples", type=int, default=20, help="of idle latency, in each round")
    asked.add_argument("--only", default="", help="names, comma-separated")
    asked.add_argument("--json", help="a file for the figures")
    asked.add_argument("--write", action="store_true", help="into docs/performance.md and its chart")
    asked.add_argument("--from", dest="source", help="a file of figures: nothing is measured")
    asked.add_argument("--no-loss", action="store_true", help="leave Redis alone")
    asked.add_argument("--seed", type=int, default=1, help="of the rests between samples")
    return asked.parse_args()


def measured(ours: Servers, chosen: Sequence[Peer], how: argparse.Namespace) -> dict[str, Any]:
    """All rounds of all peers, interleaved; then the loss of Redis, one after the other."""
    found = _conditions(ours, how)
    sides = [side for peer in chosen if (side := _installed(peer, ours, found["peers"]))]
    chance = random.Random(how.seed)
    for number in range(1, how.rounds + 1):
        for side in sides:
            _told(f"round {number}: {side.peer.title}")
            mine = found["peers"][side.peer.name]
            jobs = max(2, int(how.jobs * side.peer.share))
            _try(side, mine, number, lambda side=side, jobs=jobs: _round(side, jobs, how.samples, chance))
            _keep(found, how)
    if not found["redis_lost"]:
        for side in sides:
            for key, half_way in (("waiting", False), ("half_way", True)):
                _told(f"Redis lost, {key}: {side.peer.title}")
                _lose(side, found["peers"][side.peer.name], key, half_way)
                _keep(found, how)
    return found


def _conditions(ours: Servers, how: argparse.Namespace) -> dict[str, Any]:
    loss = "not asked for" if how.no_loss else "not tried: it is not ours to kill"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "taken": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": {
            "processors": os.cpu_count(),
            "memory_gib": round(memory / 2**30),
            "system": f"{platform.system()} {platform.release()}",
            "servers": ours.versions(),
        },
        "asked": {"jobs": how.jobs, "rounds": how.rounds, "samples": how.samples},
        "redis_lost": "" if ours.pair and not how.no_loss else loss,
        "peers": {},
    }


def _installed(peer: Peer, ours: Servers, all_of_them: dict[str, Any]) -> Side | None:
    _told(f"installing: {peer.title}")
    try:
        side = Side(peer, ours)
    except NotInstalled as why:
        all_of_them[peer.name] = {"absent": str(why)}
        _told(f"NOT MEASURED: {peer.title}: {why}")
        return None
    all_of_them[peer.name] = {"version": side.version(), "rounds": [], "redis_lost": {}, "failures": []}
    return side


def _opened(side: Side, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Each time with a new feeder and a new database: nothing of an earlier round is in the way."""
    try:
        side.open()
        return do()
    finally:
        side.close()


def _round(side: Side, jobs: int, samples: int, chance: random.Random) -> dict[str, Any]:
    return phases.drained(side, jobs) | phases.at_rest(side, samples, chance)


def _try(side: Side, mine: dict[str, Any], number: int, do: Callable[[], dict[str, Any]]) -> None:
    try:
        mine["rounds"].append({"round": number} | _opened(side, do))
        mine["python"] = side.about["python"]
    except Failed as why:
        mine["failures"].append(f"round {number}: {why}")
        _told(f"FAILED: {side.peer.title}: {why}")


def _lose(side: Side, mine: dict[str, Any], key: str, half_way: bool) -> None:
    try:
        mine["redis_lost"][key] = _opened(side, lambda: phases.redis_lost(side, half_way=half_way))
    except Failed as why:
        mine["failures"].append(f"Redis lost, {key}: {why}")
        _told(f"FAILED: {side.peer.title}: {why}")


def _keep(found: dict[str, Any], how: argparse.Namespace) -> None:
    """Also after each step: what was measured is there even if the run is broken off."""
    if how.json:
        Path(how.json).write_text(json.dumps(found, indent=1) + "\n")


def _told(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
