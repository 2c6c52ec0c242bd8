"""`callboard up`: everything on this machine, which is what `make run` calls."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.configured import settings
from app.ops import warm
from app.ops.processes import MARK, stop_with_parent
from app.ops.supervisor import Plan, Supervisor
from app.settings import ROOT, Settings


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the web process (else PORT, else 8000).")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder (else CALLBOARD_HOME, else .callboard).",
)
@click.option(
    "--workers",
    help="Worker processes: 4, or 1..8 for as many as the backlog asks for (else WORKERS, else WORKER_PROCESSES).",
)
@click.option(
    "--stop-with-parent",
    "with_parent",
    is_flag=True,
    help="Stop when the process that started this one ends.",
)
def up(*, port: int | None, home: Path | None, workers: str | None, with_parent: bool) -> None:
    """Start Callboard with all it needs, and keep it running until SIGTERM or Ctrl-C.

    Without DATABASE_URL or REDIS_URL an embedded Postgres or Valkey is started, with its data in
    the home. Exit codes: 0 stopped on request, 1 could not start (port taken, already running, …).
    """
    if port:
        os.environ["PORT"] = str(port)
    if home:
        os.environ["CALLBOARD_HOME"] = str(home.resolve())
    if workers:
        os.environ["WORKERS"] = workers
    if with_parent:
        stop_with_parent()
    chosen = settings()
    if warm.CAN_FORK:
        begin_marked(chosen.home)
    Supervisor(plan(chosen), say).run()


def begin_marked(home: Path) -> None:
    """Begin anew with the home's mark in our environment: who is forked from us is known by it, if we are killed."""
    if os.environ.get(MARK) != str(home):
        os.environ[MARK] = str(home)
        # Each thread of a worker would get memory of its own, which none gives back.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
        os.execv(sys.executable, (sys.executable, *sys.orig_argv[1:]))  # noqa: S606 - ourselves


def plan(chosen: Settings) -> Plan:
    """What the supervisor is to run; the children get the settings it was told by their variables."""
    told = {
        "CALLBOARD_HOME": str(chosen.home),
        "CALLBOARD_HOST": chosen.host,
        "PORT": str(chosen.port),
        "WEB_CONCURRENCY": str(chosen.web_processes),
        "WEB_THREADS": str(chosen.web_threads),
        "WORKER_PROCESSES": str(chosen.worker_bounds.smallest if chosen.workers else chosen.worker_processes),
        "WORKER_THREADS": str(chosen.worker_threads),
    }
    return Plan(
        home=chosen.home,
        root=ROOT,
        host=chosen.host,
        port=chosen.port,
        database_url=chosen.database_url,
        redis_url=chosen.redis_url,
        procfile=ROOT / "Procfile",
        environ={**os.environ, **told},
        workers=None if not chosen.workers or chosen.worker_bounds.is_fixed else chosen.worker_bounds,
        warm=warm.CAN_FORK,
    )


def say(line: str) -> None:
    """Print at once; a closed terminal is no reason to stop."""
    try:
        click.echo(line)
    except OSError:
        return
