"""The other end of `side.py`: inside a peer's environment, does what it is told by lines of JSON.

{"do": "submit", "count": 500}   ->   {"answer": 0.41}        seconds
{"do": "done"}                   ->   {"answer": 500}
{"do": "note", "number": 7}      ->   {"answer": null}
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from types import ModuleType
from typing import Any

BATCH = 100


def about(side: ModuleType) -> dict[str, Any]:
    """What must be known to start its workers."""
    return {
        "workers": side.WORKERS,
        "rest": getattr(side, "REST", {}),
        "python": platform.python_version(),
        "bulk": side.submit_many is not None,
    }


def submit(side: ModuleType, count: int) -> float:
    """Seconds for `count` jobs, one by one."""
    began = time.perf_counter()
    for _ in range(count):
        side.submit()
    return time.perf_counter() - began


def bulk(side: ModuleType, count: int) -> float:
    """Seconds for `count` jobs, a hundred by one call."""
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        side.submit_many(min(BATCH, count - start))
    return time.perf_counter() - began


def note(side: ModuleType, number: int, pause: float = 0.0) -> None:
    """Send in one job that writes down that it ran."""
    side.submit_note(number, pause)


def plain(name: str) -> Any:
    """The side's own verb, as it is."""
    return lambda side: getattr(side, name)()


DO = {
    "about": about,
    "submit": submit,
    "bulk": bulk,
    "note": note,
    **{name: plain(name) for name in ("prepare", "clear", "done")},
}


def main() -> None:
    """Answer until the other end hangs up."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    side = importlib.import_module(f"tests.bench.peers.sides.{sys.argv[1]}")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": DO[asked.pop("do")](side, **asked)}
        except Exception as error:  # noqa: BLE001 - told to the other end, which decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
