"""Processor time and memory of trees of processes, and what everybody else used meanwhile; from /proc, Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def below(roots: Iterable[int]) -> set[int]:
    """These processes and all that run below them."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, todo = set(), [root for root in roots if _stat(root)]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return found


def processor_seconds(roots: Iterable[int]) -> float:
    """What these trees used so far, with what their children used that have ended."""
    return sum(sum(map(int, stat[11:15])) for pid in below(roots) if (stat := _stat(pid))) / TICKS


def memory_mb(roots: Iterable[int]) -> float | None:
    """Memory of these trees, shared pages divided among those who share them (PSS); None where it may not be read."""
    kilobytes = 0
    for pid in below(roots):
        try:
            text = (PROC / str(pid) / "smaps_rollup").read_text()
        except PermissionError:
            return None
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024


def machine_seconds() -> float:
    """What all processors were busy with since the start: everything but idling and waiting for the disk."""
    times = [int(part) for part in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(times) - times[3] - times[4]) / TICKS


class Meter:
    """Processor time by name between `start` and `stop`."""

    def __init__(self, roots: Mapping[str, Iterable[int]]) -> None:
        """`roots`: the first processes of each tree; this process is always left out of what others used."""
        self.roots = {name: tuple(pids) for name, pids in roots.items()}
        self._before = self._read()

    def stop(self) -> dict[str, float]:
        """Seconds of each name, the share of the whole machine that others had, and how long it was."""
        used = {name: now - self._before[name] for name, now in self._read().items()}
        seconds = used.pop("clock")
        others = used.pop("machine") - sum(used.values())
        used.pop("us")
        return used | {"others": others / seconds / (os.cpu_count() or 1), "seconds": seconds}

    def _read(self) -> dict[str, float]:
        # The clock beside the machine's own count: looking through /proc takes a while where much is going on.
        whole = {"clock": time.perf_counter(), "machine": machine_seconds()}
        mine = os.times()
        named = {name: processor_seconds(pids) for name, pids in self.roots.items()}
        return named | whole | {"us": mine.user + mine.system}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return []
