"""Agents that only the browser tests have."""

from __future__ import annotations

import threading
from typing import Any

from actors.runners.base import Context, Work
from app.budgets.usage import Usage


def chatty(work: Work, context: Context) -> dict[str, Any]:
    """Say `lines` lines in `seconds`."""
    pause, lines = threading.Event(), int(work.parameters["lines"])
    for n in range(1, lines + 1):
        context.checkpoint_due()
        context.log(f"line {n} of the long talk", level="warning" if n % 50 == 0 else "info")
        pause.wait(float(work.parameters["seconds"]) / lines)
    return {"report": f"# Said\n\n{lines} lines."}


def teller(work: Work, context: Context) -> dict[str, Any]:
    """Tell a story: a turn, a call of `tool_seconds`, `tokens` metered, a silence of `quiet_seconds`, the end."""
    pause, told = threading.Event(), work.parameters
    context.pin(provider="house", model="plain-1")
    context.partial({"report": "# Half of it"})
    context.event("turn", "I will run the tests <b>now</b>.")
    context.tool_started("t1", "Bash", {"command": "npm test"}, "npm test")
    pause.wait(float(told["tool_seconds"]))
    context.tool_ended("t1", summary="42 passed, none failed")
    context.meter(
        Usage(call_id="c1", provider="house", model="plain-1", output_tokens=told["tokens"], final=True)
    )
    context.event("provider", "Switched from One to Two: overloaded", level="warning")
    for _ in range(int(float(told["quiet_seconds"]) / 0.05)):
        context.checkpoint_due()
        pause.wait(0.05)
    context.checkpoint_due()
    context.event("turn", "All is well.")
    return {"report": "# Told", "demo": True}
