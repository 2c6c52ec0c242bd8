"""Callboard's own noted job: what `agents/bench-noted.md` calls in a worker."""

from __future__ import annotations

import time
from typing import Any

from actors.runners.base import Context, Work
from tests.bench.peers.sides.ledger import note


def noted(work: Work, context: Context) -> dict[str, Any]:
    """Take `pause` seconds and say so."""
    time.sleep(float(work.parameters["pause"]))
    note(int(work.parameters["number"]), float(work.parameters["sent"]))
    return {"ok": True}
