"""Run a tool as a child process: argument list, minimal environment, deadline and cancellation heard.

Children stay in our process group, so whatever supervises this process can end the whole tree.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
import psutil

from actors.runners.base import Context, Health
from app.errors import AttemptTimeout, PermanentError, TemporaryError

MAX_OUTPUT_BYTES = 64_000_000
LOOK_SECONDS = 0.2
TERM_SECONDS = 3


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A tool that ran to its end; `code` is negative when a signal ended it."""

    tool: str
    code: int
    stdout: bytes
    stderr: str

    @property
    def words(self) -> str:
        """The end of what the tool said, for people."""
        said = self.stderr.strip() or self.stdout.decode(errors="replace").strip()
        return said[-1500:]

    def json(self) -> Any:
        """The tool's output as JSON; raises PermanentError with its last words if it is none."""
        try:
            return orjson.loads(self.stdout)
        except orjson.JSONDecodeError as error:
            message = f"{self.tool} ended with code {self.code} and no readable report: {self.words}"
            raise PermanentError(message) from error


def module(name: str, *arguments: str) -> list[str]:
    """The argument list that runs an installed Python tool, deaf to the current folder and PYTHON*.

    Raises PermanentError if it is not installed.
    """
    if not installed(name):
        message = f"{name} is not installed where the worker runs; install it with `pip install {name}`."
        raise PermanentError(message)
    return [sys.executable, "-I", "-m", name, *arguments]


def program(name: str) -> str:
    """The path of a program such as `git`; raises PermanentError if there is none."""
    if path := shutil.which(name):
        return path
    way_out = "install it with the system's package manager"
    raise PermanentError(f"{name} is not installed where the worker runs; {way_out}.")


def installed(name: str) -> bool:
    """Whether a Python tool can be run here."""
    return importlib.util.find_spec(name) is not None


def health(*, modules: Sequence[str] = (), programs: Sequence[str] = ()) -> Health:
    """`ready`, or `unavailable` with the names of the tools that are missing."""
    missing = [name for name in modules if not installed(name)]
    missing += [name for name in programs if not shutil.which(name)]
    if missing:
        return Health("unavailable", f"needs {', '.join(missing)}, not installed where the worker runs")
    return Health()


def environment(workspace: Path, **more: str) -> dict[str, str]:
    """What a tool gets to know: a path, a home and a temporary folder of its own, and `more`."""
    for folder in ("home", "tmp"):
        (workspace / folder).mkdir(exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(workspace / "home"),
        "TMPDIR": str(workspace / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def run(
    argv: Sequence[str],
    context: Context,
    *,
    tool: str,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    fine: Sequence[int] | None = (0,),
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run `argv` to its end and answer what it said.

    Exit codes outside `fine` (None: all are fine) raise PermanentError, a signal TemporaryError.
    `on_line` hears each line of standard output while the tool runs. Cancelled, Released and
    AttemptTimeout come through, after the tool and its children were ended.
    """
    cwd = cwd or context.workspace
    out, err = _spool(context.workspace, "stdout"), _spool(context.workspace, "stderr")
    with out, err:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=env if env is not None else environment(context.workspace),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if on_line else out,
            stderr=err,
        )
        try:
            _follow(process, context, out, on_line)
        finally:
            _end(process)
        finished = _finished(tool, process.returncode, out, err)
    return _judged(finished, fine)


def _judged(finished: Finished, fine: Sequence[int] | None) -> Finished:
    if fine is None or finished.code in fine:
        return finished
    if finished.code < 0:
        what = f"{finished.tool} was ended by signal {-finished.code} (the memory limit?)."
        raise TemporaryError(f"{what} {finished.words}")
    raise PermanentError(f"{finished.tool} ended with code {finished.code}: {finished.words}")


def _follow(
    process: subprocess.Popen[bytes], context: Context, out: IO[bytes], on_line: Callable[[str], None] | None
) -> None:
    lines = _lines_of(process) if on_line else None
    at_end = False
    while True:
        context.checkpoint_due()
        if context.remaining_seconds <= 0:
            raise AttemptTimeout("The time limit of the job was over before the tool ended.")
        if lines is not None and on_line is not None and not at_end:
            at_end = _hand_over(lines, out, on_line)
        if process.poll() is not None:
            break
        if lines is None or at_end:
            _wait(process)
    if lines is not None and on_line is not None and not at_end:
        _drain(lines, out, on_line)


def _wait(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(LOOK_SECONDS)


def _lines_of(process: subprocess.Popen[bytes]) -> queue.Queue[bytes | None]:
    """Lines of the tool's output as they come; None at its end. Read in a thread: a pipe blocks."""
    lines: queue.Queue[bytes | None] = queue.Queue(maxsize=10_000)
    pipe = process.stdout
    assert pipe is not None

    def read() -> None:
        while line := pipe.readline(65_536):
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="tool-output").start()
    return lines


def _hand_over(lines: queue.Queue[bytes | None], out: IO[bytes], on_line: Callable[[str], None]) -> bool:
    """Pass on one line if one comes soon; answers whether the output is at its end."""
    try:
        line = lines.get(timeout=LOOK_SECONDS)
    except queue.Empty:
        return False
    if line is None:
        return True
    if out.tell() < MAX_OUTPUT_BYTES:
        out.write(line)
    on_line(line.decode(errors="replace").rstrip("\r\n"))
    return False


def _drain(lines: queue.Queue[bytes | None], out: IO[bytes], on_line: Callable[[str], None]) -> None:
    """Take the rest; a grandchild that keeps the pipe open is not waited for longer than a second."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 1:
        before = out.tell()
        if _hand_over(lines, out, on_line):
            return
        if out.tell() > before:
            quiet_since = time.monotonic()


def _spool(workspace: Path, name: str) -> IO[bytes]:
    return (workspace / f".{name}-{time.monotonic_ns()}").open("w+b")


def _finished(tool: str, code: int, out: IO[bytes], err: IO[bytes]) -> Finished:
    if os.fstat(out.fileno()).st_size > MAX_OUTPUT_BYTES:
        limit = f"{MAX_OUTPUT_BYTES // 1_000_000} MB"
        raise PermanentError(f"{tool} wrote more than {limit}; choose a smaller folder.")
    out.seek(0)
    err.seek(max(0, os.fstat(err.fileno()).st_size - 20_000))
    stdout, stderr = out.read(), err.read().decode(errors="replace")
    for spool in (out, err):
        Path(str(spool.name)).unlink(missing_ok=True)
    return Finished(tool=tool, code=code, stdout=stdout, stderr=stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and what it started, if it still runs: TERM, then KILL."""
    if process.poll() is not None:
        return
    try:
        child = psutil.Process(process.pid)
        tree = [*child.children(recursive=True), child]
    except psutil.NoSuchProcess:
        return
    for signal in ("terminate", "kill"):
        for member in tree:
            try:
                getattr(member, signal)()
            except psutil.NoSuchProcess:
                continue
        _, tree = psutil.wait_procs(tree, timeout=TERM_SECONDS)
    process.wait()
