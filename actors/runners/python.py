"""Run a Python function as an agent: in a process of its own (default), or for quick ones of ours in place.

call: "actors.builtin.seo:run"     isolation: process | thread
"""

from __future__ import annotations

import importlib
import json
import signal
import socket
import sys
import traceback
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from actors.runners import entry
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.box import Ending, OutOfMemory, run_boxed
from actors.runners.child import as_result
from actors.runners.collect import collecting, read_inside
from actors.runners.environment import asked_for, environment, search_path
from actors.runners.order import Limits, find_program
from actors.runners.told import described, rebuilt
from app.budgets.usage import Usage
from app.errors import (
    Asked,
    Cancelled,
    JobError,
    NotFound,
    PermanentError,
    Released,
    TemporaryError,
    WaitsForJobs,
)
from app.observe import correlation

ROOT = Path(__file__).resolve().parents[2]

CHILD = [sys.executable, "-P", "-u", "-m", "actors.runners.child"]
OURS = "actors.builtin."
ADDRESS_SPACE_MARGIN_MB = 1024  # libraries, stacks and arenas reserve more than they use
MAX_MESSAGE_BYTES = 32_000_000
REPLY_SECONDS = 5.0

VERBS = frozenset(
    {
        "log", "progress", "stage", "usage", "checkpoint", "process_started", "event", "tool_started", "tool_ended",
        "pin", "partial",
    }
)  # fmt: skip

QUESTION_PARTS = frozenset(
    {
        "key", "shown", "form", "options", "editable", "approvers", "deadline_seconds", "on_timeout",
        "escalate_seconds", "escalate_to",
    }
)  # fmt: skip


class PythonRunner:
    """Calls `function(work, context)`.

    `config`: call or entry (entry.py), isolation (`process`, `thread`), env, secrets, programs (names that
    must be on PATH), limit_address_space (true; false for agents that start node or a browser).
    """

    name = "python"

    def run(self, work: Work, context: Context) -> JSON:
        """Answer what the function answered, as a JSON object."""
        if work.config.get("isolation", "process") == "thread":
            return in_place(work, context)  # no folder is made or searched: it has context.artifact
        with collecting(context), closing(Wire(context)) as wire:
            ending = run_boxed(
                CHILD,
                context=context,
                cwd=context.workspace,
                env=environment(work, context.workspace) | {"PYTHONPATH": str(ROOT)},
                limits=limits_of(work),
                stdin=order_for_child(work, context, wire),
                channel=wire,
            )
            return answer(wire.end, ending, wire.asked or wire.held)

    def health(self, config: JSON) -> Health:
        """`ready` if the module and the programs are there; our own agents are asked themselves."""
        try:
            module_name, _ = entry.target(config)
            for name in config.get("programs", ()):
                find_program(name, search_path())
            asked_for(config, "env")
            asked_for(config, "secrets")
        except PermanentError as error:
            return Health("unavailable", error.message)
        if not entry.exists(module_name):
            return Health("unavailable", f"The module `{module_name}` is not installed on this worker.")
        if module_name.startswith(OURS):
            return own_health(module_name)
        return Health()


def own_health(module_name: str) -> Health:
    """What a built-in agent says of the tools it needs."""
    asked = getattr(importlib.import_module(module_name), "health", Health)
    said = asked()
    return said if isinstance(said, Health) else Health()


def in_place(work: Work, context: Context) -> JSON:
    """Call the function in this thread: it is trusted, and stops only at its own checkpoints."""
    try:
        return as_result(entry.load(work.config)(work, context))
    except (JobError, Asked, WaitsForJobs, Cancelled, Released):
        raise
    except Exception as error:  # the edge of somebody else's code
        details: JSON = {"type": type(error).__name__, "traceback": traceback.format_exc()[-8000:]}
        raise TemporaryError(described(error)["message"], details=details) from error


def limits_of(work: Work) -> Limits:
    """What the function's process and its children may use."""
    bounded = work.memory_mb and work.config.get("limit_address_space", True)
    return Limits(
        timeout_seconds=work.timeout_seconds,
        memory_mb=work.memory_mb,
        address_space_mb=work.memory_mb + ADDRESS_SPACE_MARGIN_MB if bounded else 0,
    )


def order_for_child(work: Work, context: Context, wire: Wire) -> bytes:
    """What the child reads from its stdin; secrets come by its environment only."""
    public = {key: value for key, value in work.config.items() if key not in ("env", "secrets")}
    order = {
        "work": asdict(replace(work, config=public)),
        "fd": wire.child_fd,
        "workspace": context.workspace,
        "checkpoint": context.checkpoint(),
        "carried": correlation.current(),
        "remaining_seconds": min(work.timeout_seconds, context.remaining_seconds),
    }
    return json.dumps(order, default=str).encode()


def answer(end: JSON | None, ending: Ending, waits: Asked | WaitsForJobs | None) -> JSON:
    """The result, or the exception, that the child told; without either, what its death means.

    `waits` is the question it was refused an answer to, or the jobs it waits for: it counts if the child ended so.
    """
    if end and "result" in end:
        result: JSON = end["result"]
        return result
    if end and "error" in end:
        raise rebuilt(end["error"], (OutOfMemory,))
    if end and "asked" in end:
        raise waits or PermanentError("The agent ended to wait, but asked nobody and waits for nothing.")
    details: dict[str, object] = {"exit_code": ending.exit_code, "stderr": ending.stderr}
    if end:
        raise TemporaryError("The agent stopped for a signal that Callboard did not send.", details=details)
    raise TemporaryError(f"The agent {how_it_died(ending.exit_code)} without an answer.", details=details)


def how_it_died(exit_code: int) -> str:
    """The end of a process, in words."""
    if exit_code == -signal.SIGKILL:
        return "was killed (perhaps the machine ran out of memory)"
    if exit_code < 0:
        return f"crashed with {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


class Wire:
    """The worker's end of the socket to the child: carries what it says into the real context."""

    def __init__(self, context: Context) -> None:
        """Open the pair; the child's end is closed here once it has it."""
        self.context = context
        self.ours, self.theirs = socket.socketpair()
        self.child_fd = self.theirs.fileno()
        self.end: JSON | None = None
        self.asked: Asked | None = None
        self.held: WaitsForJobs | None = None
        self._heard = bytearray()

    def fileno(self) -> int:
        """Our end."""
        return self.ours.fileno()

    def started(self) -> None:
        """Close the child's end here, so that its death is seen."""
        self.theirs.close()

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.theirs.close()

    def receive(self) -> bool:
        """Read what is there and pass it on; False when nothing can follow."""
        try:
            data = self.ours.recv(262_144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._heard += data
        if b"\n" in data:
            *lines, rest = bytes(self._heard).split(b"\n")
            self._heard = bytearray(rest)
            for line in lines:
                self._take(line)
        return bool(data) and len(self._heard) < MAX_MESSAGE_BYTES

    def _take(self, line: bytes) -> None:
        try:
            message: JSON = json.loads(line)
            if "end" in message:
                self.end = message["end"]
            elif message["do"] == "artifact":
                self._reply(self._artifact(*message["args"]))
            elif message["do"] == "fetch":
                self._reply(self._fetched(str(message["args"][0])))
            elif message["do"] in ("ask", "permit", "due"):
                self._reply(self._ask(message["do"], message["args"], message["kwargs"]))
            elif message["do"] in ("delegate", "look_at_children"):
                self._reply(self._delegation(message["do"], message["args"], message["kwargs"]))
            elif message["do"] == "meter":
                self.context.meter(Usage.read(*message["args"]))
            elif message["do"] in VERBS:
                getattr(self.context, message["do"])(*message["args"], **message["kwargs"])
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            complaint = f"The agent said something unreadable: {error}"
            self.context.log(complaint, level="warning", source="runner")

    def _artifact(self, name: str, relative: str, media_type: str | None) -> JSON:
        content = read_inside(self.context.workspace, relative)
        if content is None:
            return {"refused": f"{name} is no regular file of the workspace, or too large."}
        try:
            return {"answer": self.context.artifact(name, content, media_type)}
        except PermanentError as error:
            return {"refused": error.message}

    def _fetched(self, reference: str) -> JSON:
        try:
            place = self.context.fetch(reference)
        except (JobError, NotFound) as error:
            return {"refused": error.message}
        return {"answer": str(place.relative_to(self.context.workspace)) if place else None}

    def _delegation(self, verb: str, args: list[Any], given: JSON) -> JSON:
        try:
            return {"answer": getattr(self.context, verb)(*args, **given)}
        except WaitsForJobs as held:
            self.held = held
            return {"held": held.message}
        except JobError as error:
            return {"error": described(error)}
        except (TypeError, ValueError, AttributeError) as wrong:
            return {"error": described(PermanentError(f"This cannot be delegated: {wrong}"))}
        except (Cancelled, Released):  # the box hears of it as well, and says so in its own way
            return {"stopped": True}

    def _ask(self, verb: str, args: list[Any], given: JSON) -> JSON:
        """Only what an agent may say of its question is passed on."""
        try:
            if verb == "due":
                self.context.checkpoint_due()
                return {"answer": {}}
            if verb == "permit":
                self.context.permit(*args, shown=given.get("shown"))
                return {"answer": {}}
            if unknown := sorted(set(given) - QUESTION_PARTS):
                raise PermanentError(f"This cannot be asked: ask() takes no {unknown[0]}")
            return {"answer": asdict(self.context.ask(*args, **given))}
        except Asked as asked:
            self.asked = asked
            return {"asked": True}
        except JobError as error:
            return {"error": described(error)}
        except (Cancelled, Released):  # the box hears of it as well, and says so in its own way
            return {"answer": {}}

    def _reply(self, reply: dict[str, Any]) -> None:
        """Whoever asked waits for it; one that does not listen has a few seconds."""
        try:
            self.ours.settimeout(REPLY_SECONDS)
            self.ours.sendall(json.dumps(reply).encode() + b"\n")
            self.ours.settimeout(None)
        except OSError:
            pass  # it is gone, or does not listen
