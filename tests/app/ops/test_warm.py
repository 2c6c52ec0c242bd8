"""Forked from the supervisor: a session, a log and an environment of its own, and nothing of the supervisor's files."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.ops import warm
from app.settings import ROOT
from tests.waiting import until

PARENT = """
import fcntl, os, signal, sys, time
from pathlib import Path
from app.ops import warm
from app.ops.processes import Child, Program, told_when_parent_dies

home = Path(sys.argv[1])
lock = (home / "lock").open("w")
fcntl.flock(lock, fcntl.LOCK_EX)

def inside():
    print(os.getsid(0) == os.getpid(), sorted(os.environ), os.getcwd(), len(os.listdir("/proc/self/fd")), flush=True)
    WHAT

child = Child(Program(name="web", argv=("x",), environ={"ONLY": "1"}, cwd=Path("/"), inside=inside), home)
child.start()
print(child.pid, flush=True)
WAIT
"""


def parent(tmp_path: Path, what: str, wait: str) -> subprocess.Popen[str]:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    text = PARENT.replace("WHAT", what).replace("WAIT", wait)
    return subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("return", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no such thing')", 1, "no such thing"),
        ("raise ValueError('broken')", 1, "ValueError: broken"),
        ("import atexit; atexit.register(print, 'at the end')", 0, "at the end"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -signal.SIGTERM, ""),
    ],
)
def test_it_ends_as_a_program_would(tmp_path: Path, what: str, code: int, said: str) -> None:
    wait = "\nwhile child.exit_code is None: time.sleep(0.01)\nprint(child.exit_code)"
    running = parent(tmp_path, what, wait)
    out, _ = running.communicate(timeout=60)
    log = (tmp_path / "log" / "web.log").read_text()

    assert out.splitlines()[1] == str(code)
    assert log.startswith("True ['ONLY'] / 4\n")  # the standard three, and the listing's own
    assert said in log


def test_it_is_told_when_the_supervisor_dies_and_does_not_hold_its_lock(tmp_path: Path) -> None:
    running = parent(
        tmp_path,
        "signal.signal(signal.SIGTERM, lambda *_: None); signal.pause(); time.sleep(0.5)",
        "time.sleep(60)",
    )
    assert running.stdout
    pid = int(running.stdout.readline())
    log = tmp_path / "log" / "web.log"
    until(lambda: log.exists() and "True" in log.read_text(), 30)
    running.kill()
    running.wait()

    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 10)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_only_our_own_commands_are_forked() -> None:
    beside = str(Path(sys.executable).parent / "gunicorn")
    assert warm.entry((sys.executable, "-m", "actors.clockwork"))
    assert warm.entry((sys.executable, beside, "app:create_app()"))
    assert warm.entry((sys.executable, "-m", "http.server")) is None
    assert warm.entry(("/usr/bin/true",)) is None
    assert warm.entry((sys.executable, "/elsewhere/gunicorn")) is None


def test_what_is_imported_before_the_fork_has_no_thread_and_no_connection() -> None:
    text = (
        "import os, threading; from app.ops import warm; assert warm.up() is None; import app; app.create_app(forks=True);"
        "print(threading.active_count(), sum(os.readlink(f'/proc/self/fd/{f}').startswith('socket') "
        "for f in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{f}')))"
    )
    environ = {
        **os.environ,
        "CALLBOARD_ENV": "test",
        "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["1 0"], done.stderr
