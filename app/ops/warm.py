"""Processes that are forked from the supervisor, once it has imported what all of them need.

Web, worker and scheduler each imported the same two thousand modules: most of a whole product's memory, and most of
the time until it is ready. Forked, they share what they do not change, and begin at once. Only Linux: elsewhere, and
where an import fails, every process is started as any other program, as platforms do by the Procfile.

    supervisor: exec itself with the mark -> start the servers -> import -> fork web, worker, scheduler
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

# What runs as `python -m MODULE`, and which function that calls.
MODULES = {
    "app": "app.__main__:main",
    "actors": "actors.__main__:main",
    "actors.clockwork": "actors.clockwork:main",
}
SCRIPTS = {"gunicorn": "gunicorn.app.wsgiapp:run"}
NEEDED = (
    "actors.crew",
    "actors.clockwork",
    "actors.__main__",
    "app.api",
    "app.dashboard",
    "app.mcp.http",
    "app.cli.database",
    "flask_migrate",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
)
CAN_FORK = sys.platform == "linux"
_PR_SET_NAME = 15
_LONGEST_NAME = 15
_FIRST_FREE = 3  # the descriptors behind the standard three


class Forked:
    """A forked process, with as much of `Popen` as a `Child` asks for."""

    def __init__(self, pid: int) -> None:
        """It runs already."""
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it runs. Reaps it."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """Until it ended, and how."""
        code = self._look(0)
        return 0 if code is None else code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, how: int) -> int | None:
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, how)
            except ChildProcessError:  # somebody else reaped it
                self._code = 0
            else:
                self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def up() -> str | None:
    """Import what all processes need; None: they can be forked now, else why not."""
    try:
        for name in NEEDED:
            import_module(name)
    except Exception as error:  # noqa: BLE001 - each process will say in its own log what is wrong
        return f"{type(error).__name__}: {error}"
    gc.collect()
    gc.freeze()  # what is there now is not looked at again, so its pages stay shared
    return None


def entry(argv: tuple[str, ...]) -> Callable[[], object] | None:
    """The function that this command line comes to, if it is one of ours; None for every other program."""
    if argv[:1] != (sys.executable,):
        return None
    if argv[1:2] == ("-m",):
        place, rest = MODULES.get(argv[2]), argv[3:]
    else:
        script = Path(argv[1])
        place = SCRIPTS.get(script.name) if script.parent == Path(sys.executable).parent else None
        rest = argv[2:]
    if place is None:
        return None
    module, _, name = place.partition(":")

    def run() -> object:
        sys.argv = [argv[1], *rest]
        return getattr(import_module(module), name)()

    return run


def fork(
    run: Callable[[], object],
    *,
    name: str,
    environ: Mapping[str, str],
    cwd: Path,
    log_file: Path,
    before: Callable[[], None] | None,
) -> Forked:
    """Run `run` in a copy of ourselves that has its own session, log and environment, and none of our files."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    pid = os.fork()
    if pid == 0:
        _begin(run, lambda: _become(name, environ, cwd, log_file, before))
    return Forked(pid)


def _become(
    name: str, environ: Mapping[str, str], cwd: Path, log_file: Path, before: Callable[[], None] | None
) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if before:
        before()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    # The home's lock among them: it must be free as soon as the supervisor is gone.
    os.closerange(_FIRST_FREE, os.sysconf("SC_OPEN_MAX"))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    title = f"callboard-{name}"[:_LONGEST_NAME].encode()
    ctypes.CDLL(None).prctl(_PR_SET_NAME, title, 0, 0, 0)


def _begin(run: Callable[[], object], become: Callable[[], None]) -> NoReturn:
    try:
        become()
    except BaseException:  # noqa: BLE001 - nothing of ours may go on in here
        os._exit(1)
    _run(run)


def _run(run: Callable[[], object]) -> NoReturn:
    """To the end, as the interpreter would: exit codes, a traceback in the log, and what is done at exit."""
    code = 1
    try:
        run()
        code = 0
    except SystemExit as ending:
        code = _code(ending)
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
            atexit._run_exitfuncs()  # noqa: SLF001
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _code(ending: SystemExit) -> int:
    if ending.code is None or isinstance(ending.code, int):
        return ending.code or 0
    sys.stderr.write(f"{ending.code}\n")
    return 1
