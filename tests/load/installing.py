"""Locust in a virtual environment of its own, `.cache/locust`, from pinned requirements: python -m tests.load.installing"""

from __future__ import annotations

import fcntl
from pathlib import Path

from app.settings import ROOT
from tests.bench.peers import installing

HOME = ROOT / ".cache" / "locust"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def locust() -> Path:
    """The command; fetched from PyPI once, and again when the requirements change."""
    HOME.parent.mkdir(exist_ok=True)
    with HOME.with_name("locust.lock").open("wb") as lock:  # another run may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return installing.environment(HOME, REQUIREMENTS).with_name("locust")


if __name__ == "__main__":
    locust()
