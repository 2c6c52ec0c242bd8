"""Agents that only tests have: quick, slow, flaky, greedy, murderous. Their definitions are in tests/agents."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from actors.runners.base import Context, Work
from app.errors import PermanentError, RateLimitError, TemporaryError


def noop(work: Work, context: Context) -> dict[str, Any]:
    """Do nothing, at once, in the worker's own thread."""
    return {"ok": True}


def echo(work: Work, context: Context) -> dict[str, Any]:
    """Answer the parameters, saying something on the way."""
    context.stage("echoing", "Echoing")
    context.log("echo", n=1)
    context.progress(50, "Half way")
    return {"parameters": work.parameters, "attempt": work.attempt}


def sleeper(work: Work, context: Context) -> dict[str, Any]:
    """Take `seconds`, stopping at once when asked to."""
    pause, until = threading.Event(), float(work.parameters["seconds"])
    steps = max(1, int(until / 0.05))
    for step in range(steps):
        context.checkpoint_due()
        context.progress(100 * step / steps, f"step {step} of {steps}")
        pause.wait(until / steps)
    return {"slept": until}


def stubborn(work: Work, context: Context) -> dict[str, Any]:
    """Take `seconds` and listen to nobody."""
    threading.Event().wait(float(work.parameters["seconds"]))
    return {"slept": work.parameters["seconds"]}


def flaky(work: Work, context: Context) -> dict[str, Any]:
    """Fail until the attempt is later than `failures`; `kind` says how."""
    if work.attempt <= int(work.parameters.get("failures", 0)):
        message = str(work.parameters.get("message", "flaky on purpose"))
        match work.parameters.get("kind", "temporary"):
            case "permanent":
                raise PermanentError(message)
            case "rate_limit":
                raise RateLimitError(message, retry_after=work.parameters.get("retry_after"))
            case "crash":
                raise ZeroDivisionError(message)
            case _:
                raise TemporaryError(message)
    return {"attempts": work.attempt}


def killer(work: Work, context: Context) -> dict[str, Any]:
    """Kill the worker process it runs in."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}
