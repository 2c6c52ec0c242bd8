"""The workers of `callboard up --workers 1..8`: one process each, more and fewer of them as is decided.

The scheduler writes what is wanted into the home (actors/scaler.py). Here it is read and obeyed: a process is started,
or the one with the least to do is asked to end. What it runs gets its grace period and is then handed back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.ops.processes import Child
from app.workers.scaling import Bounds

PLAN = "workers-wanted.json"
"""In the home's `run`: what the scheduler writes."""
STALE_SECONDS = 120.0
"""What is older was written by a scheduler that is no more: nothing changes until it is back."""
PATIENCE_SECONDS = 60.0
"""Longer than a worker's grace period and its good-byes: what is still there then is killed."""
WORKER = "worker"


@dataclass(frozen=True)
class Wish:
    """What the scheduler wrote: so many, why, and how many jobs each worker process of this host runs."""

    wanted: int
    why: str
    busy: Mapping[str, int]


def read(path: Path) -> Wish | None:
    """What is written there; None if it is nothing, too old, or not to be understood."""
    try:
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            return None
        told = json.loads(path.read_text())
        return Wish(int(told["wanted"]), str(told["why"]), dict(told["busy"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Crew:
    """The workers that come and go, among the processes of one supervisor."""

    def __init__(
        self, *, bounds: Bounds, plan: Path, begin: Callable[[str], Child], say: Callable[[str], None]
    ) -> None:
        """`begin` starts a worker under a name. Nothing runs before `start`."""
        self.bounds = bounds
        self.leaving: dict[Child, float] = {}
        """Those that were asked to end, and since when."""
        self._plan, self._begin, self._say = plan, begin, say

    def start(self, apps: dict[str, Child]) -> None:
        """The least there may be; what an earlier run had written counts no more."""
        self._plan.unlink(missing_ok=True)
        while len(self._names(apps)) < self.bounds.smallest:
            self._add(apps)

    def tend(self, apps: dict[str, Child]) -> None:
        """Forget those that have ended, and come nearer to what is wanted."""
        self._see_off()
        wish = read(self._plan)
        if wish is None:
            return
        names, wanted = self._names(apps), self.bounds.within(wish.wanted)
        if len(names) != wanted:
            self._say(f"Workers: {len(names)} -> {wanted}: {wish.why}")
        for _ in range(wanted - len(names)):
            self._add(apps)
        by_load = sorted(names, key=lambda name: _load(apps[name], wish.busy))
        for name in by_load[: max(0, len(names) - wanted)]:
            child = apps.pop(name)
            self.leaving[child] = time.monotonic()
            child.ask_to_stop()

    def _see_off(self) -> None:
        for child, since in list(self.leaving.items()):
            if not child.alive or time.monotonic() - since > PATIENCE_SECONDS:
                child.kill()
                del self.leaving[child]

    def _add(self, apps: dict[str, Child]) -> None:
        taken = {*apps, *(child.name for child in self.leaving)}
        name = next(f"{WORKER}-{n}" for n in range(1, len(taken) + 2) if f"{WORKER}-{n}" not in taken)
        apps[name] = self._begin(name)

    def _names(self, apps: Mapping[str, Child]) -> list[str]:
        return [name for name in apps if name.startswith(f"{WORKER}-")]


def _load(child: Child, busy: Mapping[str, int]) -> tuple[bool, int, float]:
    """Least first: those that are dead, then by the jobs they run, then the youngest."""
    if not child.alive or child.pid is None:
        return False, 0, 0.0
    try:
        family = [child.pid, *(each.pid for each in psutil.Process(child.pid).children(recursive=True))]
    except psutil.Error:
        return False, 0, 0.0
    return True, sum(busy.get(str(pid), 0) for pid in family), child.age
