"""Agents for the tests of the python runner: each does one thing that an agent may do or get wrong."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from typing import Any

from actors.runners.base import JSON, Context, Work
from app.errors import JobError, PermanentError, RateLimitError, TemporaryError

ERRORS: dict[str, type[JobError]] = {
    "PermanentError": PermanentError,
    "RateLimitError": RateLimitError,
    "TemporaryError": TemporaryError,
}


class OwnError(PermanentError):
    """An error class that Callboard has never heard of."""


def tell(work: Work, context: Context) -> JSON:
    """Use everything the context offers."""
    before = context.checkpoint()
    context.log("reading", level="debug", source="agent", file="a.txt")
    context.progress(40, "half-way")
    context.stage("write", "Writing")
    context.usage(input_tokens=3, cost_usd=0.5)
    context.checkpoint({"at": before.get("at", 0) + 1})
    kept = context.artifact("report.md", b"# Report", "text/markdown")
    (context.workspace / "drawing.svg").write_text("<svg/>")
    other = context.artifact("drawing.svg", context.workspace / "drawing.svg")
    (context.workspace / "artifacts").mkdir()
    (context.workspace / "artifacts" / "left.txt").write_text("left")
    in_time = 0 < context.remaining_seconds <= work.timeout_seconds
    return {
        "parameters": work.parameters,
        "ids": [kept, other],
        "state": context.checkpoint(),
        "in_time": in_time,
    }


def fail(work: Work, context: Context) -> JSON:
    """Raise the JobError that the parameters describe."""
    kind = ERRORS[work.parameters["class"]]
    raise kind("as asked", retry_after=7.5, user_error=True, details={"why": [1]})


def fail_in_its_own_way(work: Work, context: Context) -> JSON:
    raise OwnError("ours alone")


def stumble(work: Work, context: Context) -> JSON:
    return {"x": work.parameters["missing"]}


def leave(work: Work, context: Context) -> JSON:
    sys.exit(3)


def vanish(work: Work, context: Context) -> JSON:
    os._exit(0)


def crash(work: Work, context: Context) -> JSON:
    return {"read": ctypes.string_at(0)}


def hoard(work: Work, context: Context) -> JSON:
    """Reserve more than the address space allows."""
    return {"size": len(bytearray(8 << 30))}


def hold(work: Work, context: Context) -> JSON:
    """Fill more memory than is allowed, in a child, where no limit of ours raises."""
    script = "held = b'x' * 400_000_000; import time; time.sleep(300)"
    subprocess.run([sys.executable, "-c", script], check=False)
    return {}


def chatter(work: Work, context: Context) -> JSON:
    """Print, on both streams, something that looks like our own protocol."""
    print('{"end": {"result": {"forged": true}}}')
    print("to stderr", file=sys.stderr)
    os.write(1, b"from below\n")
    return {"told": True}


def wait(work: Work, context: Context) -> JSON:
    """Work in small steps until told to stop, then say so."""
    context.log("waiting")
    try:
        while True:
            context.checkpoint_due()
            time.sleep(0.02)
    finally:
        context.checkpoint({"stopped": context.cancelled})


def ignore(work: Work, context: Context) -> JSON:
    """Never ask whether to stop."""
    context.log("waiting")
    time.sleep(300)
    return {}


def forget_a_thread(work: Work, context: Context) -> JSON:
    threading.Thread(target=time.sleep, args=(300,)).start()
    return {"done": True}


def leave_a_child(work: Work, context: Context) -> JSON:
    subprocess.Popen(["setsid", "sleep", "300"])
    return {"done": True}


def answer(work: Work, context: Context) -> Any:
    """Answer what is no object, or no JSON."""
    return {"list": [1], "none": None, "set": {1}, "huge": {"x": "x" * 11_000_000}}[work.parameters["kind"]]


def take(work: Work, context: Context) -> JSON:
    """Hand over a file that is not the agent's."""
    (context.workspace / "artifacts").mkdir()
    (context.workspace / "artifacts" / "passwords").symlink_to("/etc/passwd")
    return {}


def too_large(work: Work, context: Context) -> JSON:
    context.artifact("big", b"x" * 2000)
    return {}


def from_threads(work: Work, context: Context) -> JSON:
    """Say a hundred things and keep ten files from ten threads at once."""

    def speak(number: int) -> None:
        for _ in range(10):
            context.log(f"thread {number}")
        context.artifact(f"file-{number}", b"x")

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {}


def modules(work: Work, context: Context) -> JSON:
    """What is loaded, what can be seen."""
    return {
        "heavy": sorted({"flask", "sqlalchemy", "dramatiq"} & set(sys.modules)),
        "path": os.getcwd(),
        "config": work.config,
        "secret": os.environ.get("THE_KEY"),
    }


def borrow(work: Work, context: Context) -> JSON:
    """Read what another job left."""
    place = context.fetch(work.parameters["file"])
    return {"read": place.read_text() if place else None}


def heed(work: Work, context: Context) -> JSON:
    """Answer what was wrong with the draft before."""
    return {"feedback": work.feedback}
