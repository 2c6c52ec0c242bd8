"""Watching a job: a live bar on terminals, a line for each change elsewhere; and how its end becomes an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli import telling
from app.cli.speaking import harmless

if TYPE_CHECKING:
    from app.client import CallFailed, Client, Job, StatusDocument

CODES = {"completed": 0, "failed": 3, "cancelled": 4}
STILL_RUNNING = 5
INTERRUPTED = 130
SHELL_STEP = 48


def watched(
    callboard: Client, job_id: str, *, timeout: float | None, quiet: bool = False
) -> StatusDocument | None:
    """Show the job until it is finished, and answer its last document; None when the time was over first.

    Everything goes to stderr, so that stdout is for what the job made.
    """
    from app.client import StillRunning

    with _display(quiet=quiet) as (changed, troubled), leaving_it(job_id):
        try:
            return callboard.wait(job_id, timeout=timeout, on_change=changed, on_trouble=troubled)
        except StillRunning:
            return None


@contextmanager
def leaving_it(job_id: str) -> Iterator[None]:
    """Ctrl-C ends the watching, not the job; and says so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nThe job goes on. Watch it again: callboard jobs watch {job_id}\n"
            f"Stop it: callboard jobs cancel {job_id}",
            err=True,
        )
        sys.exit(INTERRUPTED)


def exit_code(done: Job | None) -> int:
    """0 completed, 3 failed, 4 cancelled, 5 still running."""
    return STILL_RUNNING if done is None else CODES.get(done.status, 1)


def tell_end(done: Job | None, job_id: str) -> None:
    """How it ended, in a line on stderr."""
    if done is None:
        click.echo(f"Still running; it goes on. Watch it again: callboard jobs watch {job_id}", err=True)
        return
    took = f" after {telling.lasted(done.duration_seconds)}" if done.duration_seconds else ""
    click.secho(f"{done.status}{took}", fg=_colour(done.status), err=True)
    if done.error:
        click.echo(harmless(f"  {done.error.get('type', '')}: {done.error.get('message', '')}"), err=True)
        click.echo(f"  callboard jobs logs {job_id}   callboard jobs retry {job_id}", err=True)
    elif done.headline and done.headline.get("text"):
        click.echo(harmless(f"  {done.headline['text']}"), err=True)


def said(job: Job) -> str:
    """Where a job is, in a few words."""
    if job.status == "awaiting_input" and job.approval_id:
        return f"asks a person: callboard approvals show {job.approval_id}"
    if job.cancel_requested and not job.terminal:
        return "is being cancelled"
    return job.current_step or job.stage or (job.status_reason or "").replace("_", " ")


Shown = tuple[Callable[["Job"], None], Callable[["CallFailed", float], None]]


@contextmanager
def _display(*, quiet: bool) -> Iterator[Shown]:
    if quiet:
        yield (lambda _job: None), (lambda _failure, _pause: None)
    elif sys.stderr.isatty():
        with _bar() as shown:
            yield shown
    else:
        yield _line, _trouble


@contextmanager
def _bar() -> Iterator[Shown]:
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task("waiting", total=100, step="")

        def changed(job: Job) -> None:
            step = harmless(telling.brief(said(job), SHELL_STEP))
            progress.update(
                task, completed=job.progress, description=f"{job.agent_id} {job.status}", step=step
            )

        def troubled(failure: CallFailed, pause: float) -> None:
            progress.update(task, step=harmless(_away(failure, pause)))

        yield changed, troubled


def _line(job: Job) -> None:
    words = f"{datetime.now().astimezone():%H:%M:%S}  {job.status:14}  {job.progress:3} %  {said(job)}"
    click.echo(harmless(words).rstrip(), err=True)


def _trouble(failure: CallFailed, pause: float) -> None:
    click.echo(harmless(_away(failure, pause)), err=True)


def _away(failure: CallFailed, pause: float) -> str:
    return f"{telling.brief(failure.message, 60)}; again in {pause:.0f} s"


def _colour(status: str) -> Any:
    return telling.COLOURS.get(status)
