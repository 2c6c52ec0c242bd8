"""The release before this one, as a folder of its own, and what of its processes is replaced by what."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.ops import procfile
from app.settings import ROOT
from tests.fleet import Fleet, Unit

SCHEMA_BEFORE = "0007"
"""The newest migration that the release before had. A release raises it (docs/releasing.md)."""
WHAT_RUNS = (
    "app",
    "actors",
    "migrations",
    "Procfile",
    "templates",
    "static",
    "docs/*.md",
    "examples",
    "tests/*.py",
    "tests/agents",
)


def release_before(folder: Path) -> Path:
    """Lay out the last commit whose newest migration is SCHEMA_BEFORE; its processes run with `folder` as their own."""
    packed = git("archive", "--format=tar", commit_before(), "--", *WHAT_RUNS)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    newest = max((folder / "migrations" / "versions").glob("0*.py")).name
    assert newest.startswith(SCHEMA_BEFORE), f"{folder} has the schema of {newest}"
    return folder


def commit_before() -> str:
    """The commit before the one that brought the next migration; the present one while that is not committed."""
    following = f"migrations/versions/{int(SCHEMA_BEFORE) + 1:04}_*.py"
    brought = git("log", "--diff-filter=A", "--format=%H", "--", following).decode().split()
    return f"{brought[-1]}^" if brought else "HEAD"


def git(*words: str) -> bytes:
    """What git answers; a clone without history cannot say what ran before, and this is no test then."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, (
        f"git {words[0]} says {done.stderr.decode().strip()!r}. This test runs the release before, which it takes "
        "from the history: a shallow clone has none (git fetch --unshallow)"
    )
    return done.stdout


def prepare(fleet: Fleet, name: str, seconds: float = 120) -> None:
    """Run the preparation of the release at `fleet.at` to its end."""
    unit = fleet.start(name, "-m", "app", "prepare")
    unit.wanted = False
    fleet.until(lambda: not unit.alive, seconds)
    assert unit.exit_code == 0, unit.log_file.read_text()


def revision(fleet: Fleet) -> str:
    """The schema that the database has now."""
    return str(fleet.value("SELECT version_num FROM alembic_version"))


def start(fleet: Fleet, role: str, name: str, **environ: str) -> Unit:
    """Start a process as the Procfile of the release at `fleet.at` says."""
    chosen = {
        **fleet.environ,
        "CALLBOARD_HOST": "127.0.0.1",
        "WEB_THREADS": "4",
        "WORKER_THREADS": "6",
        **environ,
    }
    _, *words = procfile.command(procfile.read(fleet.at / "Procfile")[role], chosen)
    return fleet.start(f"{role}-{name}", *words, **chosen)


@dataclass(frozen=True)
class Crew:
    """The processes of one release."""

    scheduler: Unit
    worker: Unit
    web: Unit
    port: int


def retire(fleet: Fleet, unit: Unit) -> None:
    """Ask a process to go as platforms do, by SIGTERM, and see that it goes well within their 30 seconds."""
    unit.wanted = False
    unit.ask_to_stop()
    fleet.until(lambda: not unit.alive, 30)
    assert unit.exit_code == 0, (
        f"{unit.name} ended with {unit.exit_code}: {unit.log_file.read_text()[-2000:]}"
    )
