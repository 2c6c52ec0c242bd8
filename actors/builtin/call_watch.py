"""A pytest plugin that is copied beside tests made by an agent: what failed with which arguments, and no effects.

While a test runs, starting programs, network connections and changes to files outside the box are refused,
and a test that takes too long is ended. It runs in the box and must import nothing of Callboard.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

BOX = Path(__file__).resolve().parents[1]
"""The attempt's workspace: this file is copied to the top of the project's copy in it."""
TOLD = BOX / "out" / "watched.jsonl"
TEST_SECONDS = 20
SHOWN_CHARACTERS = 300

ALWAYS = frozenset(
    """subprocess.Popen os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty os.kill os.killpg
    socket.connect socket.bind socket.sendto socket.getaddrinfo""".split()  # noqa: SIM905
)
FILES = frozenset(
    """os.remove os.rename os.rmdir os.mkdir os.chmod os.chown os.link os.symlink os.truncate
    shutil.rmtree shutil.move shutil.copyfile""".split()  # noqa: SIM905
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_watching = False


class EffectRefused(Exception):
    """The code under test tried to change something outside its box."""


class TooSlow(BaseException):
    """A test ran longer than it may; not an Exception, so that nobody takes it for the code's own."""


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in ALWAYS or (event in FILES and _outside(arguments[0])):
        raise EffectRefused(event)
    if event == "open" and (arguments[2] or 0) & WRITING and _outside(arguments[0]):
        raise EffectRefused(f"open {arguments[0]} for writing")


def _outside(path: object) -> bool:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False  # an open descriptor: it was opened under this watch
    return not os.path.realpath(os.fsdecode(path)).startswith(os.path.realpath(BOX) + os.sep)


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"the call did not end within {TEST_SECONDS} s")


sys.addaudithook(_hear)
signal.signal(signal.SIGALRM, _too_slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Watch while a test runs."""
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken away, only told to be quiet
    signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS)
    _watching = True
    try:
        return (yield)
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Write down what a failing test had in hand."""
    if call.excinfo is None or call.when != "call":
        return
    error = call.excinfo.value
    frames = [(entry.frame, entry.lineno + 1) for entry in call.excinfo.traceback]
    own = next((frame for frame, _ in reversed(frames) if frame.code.name == item.name), None)
    last, line = frames[-1]
    names = own.code.raw.co_varnames[: own.code.raw.co_argcount] if own else ()
    told = {
        "test": item.name,
        "arguments": {name: _shown(own.f_locals[name]) for name in names if own and name in own.f_locals},
        "error": type(error).__name__,
        "of": type(error).__module__,
        "message": str(error)[:SHOWN_CHARACTERS],
        "where": f"{os.path.relpath(last.code.path, item.config.rootpath)}:{line}",
    }
    with TOLD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except Exception as error:  # noqa: BLE001 - a foreign __repr__
        shown = f"<{type(value).__name__}: {type(error).__name__} in repr>"
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + "…"
