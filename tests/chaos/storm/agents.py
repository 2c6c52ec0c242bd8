"""What the storm's jobs do. Each writes down in a file that it began and that it ended: the witness of what really ran."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.runners.base import Context, Work
from app.budgets.usage import Usage
from tests import acting, playing

JSON = dict[str, Any]
WITNESS = "STORM_WITNESS"
HERE = __name__
PLACES, PER_SECOND = 2, 2
KILLER = "storm-killer"


@contextmanager
def witnessed(work: Work) -> Iterator[None]:
    """One line at the beginning and one at the end; a line is written whole or not at all."""
    _write(work, "began")
    try:
        yield
    finally:
        _write(work, "ended")


def _write(work: Work, what: str) -> None:
    line = json.dumps([what, work.job_id, work.attempt, os.getpid(), time.monotonic()]) + "\n"
    descriptor = os.open(os.environ[WITNESS], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _seen(do: Callable[[Work, Context], JSON]) -> Callable[[Work, Context], JSON]:
    def run(work: Work, context: Context) -> JSON:
        with witnessed(work):
            return do(work, context)

    return run


echo, nap, stubborn = _seen(playing.echo), _seen(playing.sleeper), _seen(playing.stubborn)
flaky, killer, asker = _seen(playing.flaky), _seen(playing.killer), _seen(playing.asker)


@_seen
def maker(work: Work, context: Context) -> JSON:
    """Keep a file."""
    content = f"{work.job_id}\n".encode() * 50
    return {"artifact": context.artifact("words.txt", content, "text/plain"), "bytes": len(content)}


@_seen
def spender(work: Work, context: Context) -> JSON:
    """Spend three cents in three calls."""
    for call in range(3):
        cost = Decimal("0.01")
        context.meter(Usage(call_id=f"c{call}", provider="toy", model="toy", output_tokens=10, cost_usd=cost))
        time.sleep(0.05)
    return {"calls": 3}


@_seen
def parent(work: Work, context: Context) -> JSON:
    """Hand out two jobs and wait for them."""
    ids = [context.delegate("storm-echo", {"n": n}, key=f"child-{n}") for n in range(2)]
    return {"children": [child["status"] for child in context.await_children(ids)]}


@_seen
def huge(work: Work, context: Context) -> JSON:
    """Answer so many bytes, with whatever Postgres does not like in them, and say a lot."""
    for number in range(int(work.parameters.get("lines", 0))):
        context.log(f"line {number} \x00 \ud800 \x1b[31m")
    return {"text": "x\x00" * (int(work.parameters.get("bytes", 0)) // 2)}


# A shell with children in groups and sessions of their own, one of which does not hear SIGTERM.
_TREE = (
    "setsid sleep 307 >/dev/null 2>&1 & sleep 308 >/dev/null 2>&1 & "
    "(trap '' TERM; sleep 309) >/dev/null 2>&1 & sleep \"$0\"; echo '{\"ok\": true}'"
)
_HOG = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(20_000_000))\n    time.sleep(0.01)"
_FLOOD = "import sys\nfor n in range(400_000): sys.stdout.buffer.write(b'\\xff\\x00 flood\\n')"
_QUICK = {"retry": {"max_retries": 3, "base_seconds": 0.1}}


def _python(name: str) -> JSON:
    return {"runner": "python", "python": {"call": f"{HERE}:{name}", "isolation": "thread"}} | _QUICK


def _command(*argv: str, **more: Any) -> JSON:
    return {"runner": "command", "command": {"argv": list(argv), "parse": "auto"}} | _QUICK | more


AGENTS: dict[str, JSON] = {
    "storm-echo": _python("echo"),
    "storm-nap": _python("nap"),
    "storm-stubborn": _python("stubborn"),
    "storm-flaky": _python("flaky"),
    "storm-limited": _python("nap") | {"max_concurrent": PLACES},
    "storm-rated": _python("echo") | {"rate_limit": f"{PER_SECOND}/second"},
    "storm-asker": _python("asker"),
    "storm-maker": _python("maker") | {"retry": {"max_retries": 10, "base_seconds": 0.5}},
    "storm-spender": _python("spender") | {"effects": ["pay"]},
    "storm-parent": _python("parent") | {"delegation": {"to": ["storm-echo"]}},
    "storm-huge": _python("huge") | {"retry": {"max_retries": 0}},
    KILLER: _python("killer"),
    "storm-tree": _command("sh", "-c", _TREE, "{{parameter.seconds}}"),
    "storm-hog": _command("python3", "-c", _HOG, retry={"max_retries": 0}),
    "storm-flood": _command("python3", "-c", _FLOOD, retry={"max_retries": 0}),
}


def install() -> None:
    """Make them known; in a transaction of the caller's."""
    for agent_id, keys in AGENTS.items():
        acting.agent(agent_id, **keys)


def read_witness(path: Path) -> list[tuple[str, str, int, int, float]]:
    """What was written down, in order: (began or ended, job, attempt, process, seconds)."""
    if not path.exists():
        return []
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]  # type: ignore[misc]
