"""The clock of a scenario: when the next blow falls. It waits for its time by restarting whoever has died."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.fleet import Fleet


def pulse(fleet: Fleet, every: float, times: int) -> Iterator[int]:
    """Count `times` blows, one each `every` seconds."""
    began = time.monotonic()
    for number in range(times):
        fleet.until(lambda due=began + number * every: time.monotonic() >= due, every + 30)  # type: ignore[misc]
        yield number
    fleet.until(lambda: time.monotonic() >= began + times * every, every + 30)
