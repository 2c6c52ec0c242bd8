"""Agents that only the browser tests have."""

from __future__ import annotations

import threading
from typing import Any

from actors.runners.base import Context, Work


def chatty(work: Work, context: Context) -> dict[str, Any]:
    """Say `lines` lines in `seconds`."""
    pause, lines = threading.Event(), int(work.parameters["lines"])
    for n in range(1, lines + 1):
        context.checkpoint_due()
        context.log(f"line {n} of the long talk", level="warning" if n % 50 == 0 else "info")
        pause.wait(float(work.parameters["seconds"]) / lines)
    return {"report": f"# Said\n\n{lines} lines."}
