"""A worker that dies at once, after it has settled a step whose name is a point on the way to what follows it.

    before    nothing is done yet
    within    the next step is submitted, and not committed
    between   the next step is committed; nobody is told
    telling   somebody is told, and that is not committed

Run as `dramatiq tests.chaos.abrupt_worker` by test_workflows.py, never by anybody else.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from actors import followups
from app.jobs import followups as rows
from app.jobs.claims import Claim
from app.observe import logs

_here = threading.local()
_of, _take, _done = followups.of, rows.take, rows.done
_settled = followups.GOES_ON["job"]


def _at(point: str) -> None:
    if getattr(_here, "step_id", None) == point:
        logs.get("abrupt").warning("abrupt", point=point)
        os.kill(os.getpid(), signal.SIGKILL)


def _following(claim: Claim) -> None:
    _here.step_id = claim.step_id
    try:
        _at("before")
        _of(claim)
    finally:
        _here.step_id = None


def _then(point: str, do: Callable[..., object]) -> Callable[..., object]:
    def done(*subject: str) -> object:
        answer = do(*subject)
        _at(point)
        return answer

    return done


followups.of = _following
followups.GOES_ON["job"] = _then("within", _settled)
rows.take = _then("between", _take)  # type: ignore[assignment]
rows.done = _then("telling", _done)  # type: ignore[assignment]

from actors.worker import broker  # noqa: E402 - the product, tampered with

__all__ = ["broker"]
