"""An agent that says when and where it lives, and does not listen when it is asked to end."""

from __future__ import annotations

import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from actors.runners.base import Context, Work

PULSE = 0.05


def shine(work: Work, _context: Context) -> dict[str, object]:
    """Write a line each twentieth of a second, for `seconds` (later attempts for one); ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end = time.monotonic() + (float(work.parameters["seconds"]) if work.attempt == 1 else 1)
    with Path(work.parameters["file"]).open("a", buffering=1) as said:
        while time.monotonic() < end:
            # The monotonic clock is the machine's, whatever a host believes the time to be.
            said.write(f"{work.attempt} {socket.gethostname()} {time.monotonic()}\n")
            time.sleep(PULSE)
    return {"shone": work.parameters["seconds"]}


@dataclass(frozen=True)
class Life:
    """One attempt as it was seen from outside."""

    attempt: int
    host: str
    first: float
    last: float


def lives(file: Path) -> list[Life]:
    """The attempts that wrote into `file`, by their first line."""
    seen: dict[tuple[int, str], list[float]] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        words = line.split()
        if len(words) == 3:
            seen.setdefault((int(words[0]), words[1]), []).append(float(words[2]))
    found = [Life(attempt, host, min(times), max(times)) for (attempt, host), times in seen.items()]
    return sorted(found, key=lambda life: life.first)
