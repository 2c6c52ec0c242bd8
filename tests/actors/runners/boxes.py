"""What the runners' tests share: a work, a boxed shell, and who of an attempt is still alive."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import psutil

from actors.runners.base import JSON, Work
from actors.runners.box import Ending, run_boxed
from actors.runners.environment import environment
from actors.runners.order import Limits
from app.errors import Cancelled
from tests.doubles import RecordingContext

# A child in its own session, a daemon made by a double fork, one that ignores TERM, a patient parent.
TREE = """
setsid sleep 300 &
(setsid sh -c 'sleep 300 & exit 0' &)
(trap '' TERM; sleep 300; sleep 300) &
echo planted
wait
sleep 300
"""


def work_for(config: JSON, parameters: JSON | None = None, **more: Any) -> Work:
    """A work with an idempotency key of its own."""
    usual: dict[str, Any] = {
        "job_id": str(uuid.uuid4()),
        "attempt": 1,
        "agent_id": "sample",
        "parameters": parameters or {},
        "config": config,
        "timeout_seconds": 30.0,
        "soft_seconds": 25.0,
        "memory_mb": 512,
        "idempotency_key": f"{uuid.uuid4()}:1",
    }
    return Work(**usual | more)


def shell(script: str, context: RecordingContext, work: Work | None = None, **more: Any) -> Ending:
    """Run a shell script in a box; `more` goes to `Limits`, apart from on_line and stdin."""
    work = work or work_for({})
    passed = {name: more.pop(name) for name in ("on_line", "stdin") if name in more}
    return run_boxed(
        ["sh", "-c", script],
        context=context,
        cwd=context.workspace,
        env=environment(work, context.workspace),
        limits=Limits(**{"timeout_seconds": 20.0} | more),
        **passed,
    )


def alive(work: Work) -> list[str]:
    """The command lines of all processes that carry this attempt's key."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CALLBOARD_IDEMPOTENCY_KEY") == work.idempotency_key:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


class LeaseLost(RecordingContext):
    """The worker's own context says of a lost lease only by `checkpoint_due`; here once `lost` is set."""

    lost = False

    def checkpoint_due(self) -> None:
        if self.lost:
            raise Cancelled
        super().checkpoint_due()


def context_in(folder: Path, **more: Any) -> RecordingContext:
    """A context whose workspace is `folder/workspace`."""
    workspace = folder / "workspace"
    workspace.mkdir()
    return RecordingContext(workspace=workspace, **more)
