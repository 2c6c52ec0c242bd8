"""The process in which one Python agent runs, started by python.py.

The order comes on stdin, everything the agent says goes over a socket of its own as JSON lines:

    {"do": "log", "args": ["reading"], "kwargs": {"level": "info"}}
    {"do": "artifact", "args": ["report.md", "tmp/a1", null], "reply": true}   ◄── {"answer": "id"}
    {"do": "look_at_children", "args": [], "reply": true}                  ◄── {"answer": [...]} or {"held": "waits"}
    {"do": "ask", "args": ["May I?"], "kwargs": {}, "reply": true}         ◄── {"answer": {...}} or {"asked": true}
    {"end": {"result": {...}}}                             or {"end": {"error": {...}}} or {"end": {"asked": true}}

so that printing, crashing or `os._exit` in the agent can disturb nothing. It ends with `os._exit`:
threads the agent forgot do not keep it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from actors.runners import entry
from actors.runners.base import JSON, Answer, ProviderDesk, Work
from actors.runners.told import described, rebuilt
from actors.runners.ungated import Ungated
from app.budgets.usage import Usage
from app.errors import Asked, AttemptTimeout, Cancelled, PermanentError, Released, WaitsForJobs
from app.jobs.states import FINAL
from app.observe import correlation

MAX_RESULT_BYTES = 10_000_000
BETWEEN_LOOKS = 0.5
STOPPED = 143  # what a shell says of a program that ended because of SIGTERM


def main() -> None:
    """Do the work that stdin describes."""
    faulthandler.enable()
    order = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    correlation.adopt(**order["carried"])
    context = ChildContext(Wire(order["fd"]), order)
    signal.signal(signal.SIGTERM, context.stop)
    end, code = perform(Work(**order["work"]), context)
    context.wire.send({"end": end})
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def perform(work: Work, context: ChildContext) -> tuple[JSON, int]:
    """Call the agent's function; answers how it ended and the exit code for that."""
    try:
        return {"result": as_result(entry.load(work.config)(work, context))}, 0
    except (Cancelled, Released):
        return {"stopped": True}, STOPPED
    except (Asked, WaitsForJobs):
        return {"asked": True}, 0
    except BaseException as error:  # noqa: BLE001 - the edge of the process: everything must be told
        return {"error": described(error)}, 1


def as_result(value: object) -> JSON:
    """A JSON object of what the function answered; raises PermanentError if it is not JSON or too much."""
    result = {} if value is None else value if isinstance(value, dict) else {"result": value}
    try:
        size = len(json.dumps(result))
    except (TypeError, ValueError, RecursionError) as error:
        raise PermanentError(f"The agent answered something that is not JSON: {error}.") from error
    if size > MAX_RESULT_BYTES:
        raise PermanentError(f"The agent answered {size >> 20} MB; large things belong into artifacts.")
    return result


class Wire:
    """The socket to the worker; any thread may use it."""

    def __init__(self, fd: int) -> None:
        """Take over the inherited descriptor; the agent's own children do not get it."""
        os.set_inheritable(fd, False)
        self.socket = socket.socket(fileno=fd)
        self.replies = self.socket.makefile("rb")
        self.lock = threading.Lock()

    def send(self, message: JSON) -> None:
        """Say one thing."""
        line = json.dumps(message, default=str).encode() + b"\n"
        with self.lock:
            self.socket.sendall(line)

    def ask(self, message: JSON) -> JSON:
        """Say one thing and wait for the worker's answer to it."""
        line = json.dumps(message | {"reply": True}, default=str).encode() + b"\n"
        with self.lock:
            self.socket.sendall(line)
            reply: JSON = json.loads(self.replies.readline())
        return reply


class ChildContext(Ungated):
    """The Context of this process: tells the worker everything, hears of a stop by SIGTERM."""

    releasing = False

    def __init__(self, wire: Wire, order: JSON) -> None:
        """Begin with what the worker's own context knew."""
        self.wire = wire
        self.workspace = Path(order["workspace"])
        self.cancelled = False
        self._state: JSON = order["checkpoint"]
        self._deadline: float = time.monotonic() + order["remaining_seconds"]
        self._files = 0
        self._metered = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM: only remember it; the agent stops at its next checkpoint, or is killed."""
        self.cancelled = True

    def log(self, message: str, *, level: str = "info", source: str = "agent", **data: Any) -> None:
        """Add a line to the job's log."""
        self._say("log", str(message), level=level, source=source, **data)

    def progress(self, percent: float, step: str | None = None) -> None:
        """Say how far the work is."""
        self._say("progress", percent, step)

    def stage(self, name: str, step: str | None = None) -> None:
        """Enter a named stage."""
        self._say("stage", name, step)

    def usage(self, **amounts: float) -> None:
        """Add to what the attempt used."""
        self._say("usage", **amounts)
        self._metered = True

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        """Add an entry to the job's story."""
        self._say("event", kind, message, level=level, **data)

    def tool_started(self, call_id: str, name: str, arguments: JSON | str, summary: str = "") -> None:
        """A tool call is in flight."""
        self._say("tool_started", call_id, name, arguments, summary)

    def tool_ended(self, call_id: str, *, ok: bool = True, summary: str = "") -> None:
        """A tool call is over."""
        self._say("tool_ended", call_id, ok=ok, summary=summary)

    def meter(self, usage: Usage) -> None:
        """Say what one model call used until now."""
        self._say("meter", asdict(usage))
        self._metered = True

    def pin(self, **ran_with: str) -> None:
        """Keep with the attempt what it runs with."""
        self._say("pin", **ran_with)

    def partial(self, result: JSON) -> None:
        """The result so far."""
        self._say("partial", result)

    @property
    def providers(self) -> ProviderDesk:
        """Only the worker itself has a desk."""
        raise PermanentError("an agent in a process of its own has no access to providers")

    def process_started(self, pid: int) -> None:
        """Record a child of the agent."""
        self._say("process_started", pid)

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        """Hand a file over; answers its id. It goes by way of the workspace, so no size fills the socket."""
        self._files += 1
        spool = self.workspace / "tmp" / f"artifact-{os.getpid()}-{self._files}"
        spool.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        try:
            relative = str(spool.relative_to(self.workspace))
            reply = self.wire.ask({"do": "artifact", "args": [name, relative, media_type], "kwargs": {}})
        finally:
            spool.unlink(missing_ok=True)
        if "refused" in reply:
            raise PermanentError(reply["refused"])
        return str(reply["answer"])

    def fetch(self, reference: str) -> Path | None:
        """A copy of another job's file; the worker puts it into the workspace."""
        reply = self.wire.ask({"do": "fetch", "args": [reference], "kwargs": {}})
        if "refused" in reply:
            raise PermanentError(reply["refused"])
        return self.workspace / reply["answer"] if reply["answer"] else None

    def checkpoint(self, state: JSON | None = None) -> JSON:
        """Keep `state`, or answer what was kept."""
        if state is not None:
            self._state = json.loads(json.dumps(state))
            self._say("checkpoint", self._state)
        return self._state

    def ask(self, question: str, **more: Any) -> Answer:
        """The answer, if there is one; else Asked: the process ends, and a later one comes to the same place."""
        return Answer(**self._asked({"do": "ask", "args": [question], "kwargs": more}, question))

    def delegate(self, agent_id: str, parameters: JSON, *, key: str = "", **given: Any) -> str:
        """Hand out a job; the worker submits it."""
        told = {"do": "delegate", "args": [agent_id, parameters], "kwargs": given | {"key": key}}
        return str(self._answered(told))

    def look_at_children(self, job_ids: list[str] | None = None) -> list[JSON]:
        """How they stand; when they are waited for in vain, the process ends and a later one comes to the same place."""
        self.stop_due()
        found: list[JSON] = self._answered({"do": "look_at_children", "args": [job_ids], "kwargs": {}})
        return found

    def await_children(self, job_ids: list[str] | None = None, *, seconds: float | None = None) -> list[JSON]:
        """How they stand when they are over; this process looks, so that its worker can hear of other things."""
        give_up = None if seconds is None else time.monotonic() + seconds
        while True:
            found = self.look_at_children(job_ids)
            if all(child["status"] in FINAL for child in found):
                return found
            if give_up is not None and time.monotonic() >= give_up:
                return found
            time.sleep(BETWEEN_LOOKS)

    def _answered(self, message: JSON) -> Any:
        try:
            json.dumps(message)
        except (TypeError, ValueError, RecursionError) as error:
            raise PermanentError(f"This cannot be delegated: it is not JSON: {error}") from error
        reply = self.wire.ask(message)
        if "held" in reply:
            raise WaitsForJobs(reply["held"], [])
        if "error" in reply:
            raise rebuilt(reply["error"])
        if "stopped" in reply:
            raise Cancelled
        return reply["answer"]

    def permit(self, effect: str, question: str, *, shown: Any = None) -> None:
        """Go on, if nobody needs to be asked or they said yes."""
        self._asked({"do": "permit", "args": [effect, question], "kwargs": {"shown": shown}}, question)

    def _asked(self, message: JSON, question: str) -> JSON:
        try:
            json.dumps(message)
        except (TypeError, ValueError, RecursionError) as error:
            raise PermanentError(f"This cannot be asked: it is not JSON: {error}") from error
        reply = self.wire.ask(message)
        if reply.get("asked"):
            raise Asked({"question": question})
        if "error" in reply:
            raise rebuilt(reply["error"])
        found: JSON = reply["answer"]
        return found

    def checkpoint_due(self) -> None:
        """Like stop_due; whether people must be asked about what was spent since, the worker says."""
        self.stop_due()
        if self._metered:
            self._metered = False
            self._asked({"do": "due", "args": [], "kwargs": {}}, "")

    def stop_due(self) -> None:
        """Raise Cancelled after a SIGTERM (the worker knows why), AttemptTimeout after the deadline."""
        if self.cancelled:
            raise Cancelled
        if self.remaining_seconds <= 0:
            raise AttemptTimeout

    @property
    def draining(self) -> bool:
        """The worker's business: a child hears of its end by SIGTERM."""
        return False

    @property
    def remaining_seconds(self) -> float:
        """Seconds to the hard time limit."""
        return self._deadline - time.monotonic()

    def _say(self, verb: str, *args: object, **kwargs: object) -> None:
        self.wire.send({"do": verb, "args": args, "kwargs": kwargs})


if __name__ == "__main__":
    main()
