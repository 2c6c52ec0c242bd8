"""`callboard doctor`: what is wrong with this installation, and the way out of each."""

from __future__ import annotations

import sys

import click

from app import __version__
from app.cli.configured import settings
from app.cli.speaking import as_json, harmless, in_json
from app.ops.doctor import Place, Report, Result, examine
from app.settings import Settings

MARKS = {"error": "ERROR", "warning": "WARN ", "info": "note "}
SMALL_POOL = 4


@click.command()
@as_json
@click.option("--all", "wants_all", is_flag=True, help="Tell of each check, also where nothing is wrong.")
def doctor(*, wants_json: bool, wants_all: bool) -> None:
    """Look at everything that Callboard stands on; takes at most five seconds and changes nothing.

    Looks at what the settings name, else at the Callboard that runs in CALLBOARD_HOME. Also works while Postgres or
    Redis is away. Exit codes: 0 nothing is wrong, 1 there are warnings, 2 there are errors.
    """
    chosen = _found(settings())
    _open(chosen)
    report = examine(Place(chosen, __version__))
    if wants_json:
        click.echo(in_json(report.as_dict()))
    else:
        _tell(report, wants_all=wants_all)
    sys.exit(report.exit_code)


def _found(chosen: Settings) -> Settings:
    """The settings, with the addresses of the embedded servers that run, where none are named."""
    from app.ops import embedded

    return chosen.model_copy(
        update={
            "database_url": chosen.database_url or embedded.url_of(chosen.home),
            "redis_url": chosen.redis_url or embedded.broker_url_of(chosen.home),
        }
    )


def _open(chosen: Settings) -> None:
    from app.db import db, make_engine
    from app.observe import logs

    logs.configure("ERROR", "console")  # what a check says stands in the report
    if chosen.database_url:
        db.open(
            make_engine(
                chosen.database_url,
                pool_size=SMALL_POOL,
                max_overflow=2,
                name="callboard-doctor",
                pre_ping=False,
            )
        )


def _about(result: Result) -> str:
    if result.skipped:
        return f"not looked at: {result.skipped}"
    return "; ".join(result.facts or [finding.what for finding in result.findings] or ["as it should be"])


def _tell(report: Report, *, wants_all: bool) -> None:
    if wants_all:
        for result in report.results:
            click.echo(harmless(f"{result.state:8} {result.title}: {_about(result)}"))
        click.echo()
    for result, finding in report.findings:
        click.echo(harmless(f"{MARKS[finding.severity]}  {finding.what}"))
        click.echo(harmless(f"       {finding.why}"))
        click.echo(harmless(f"       -> {finding.fix}   [{result.check}]\n"))
    words = {0: "nothing is wrong", 1: "it works, with warnings", 2: "something is broken or stands open"}
    skipped = sum(1 for result in report.results if result.skipped)
    about = f"; {skipped} checks could not be made" if skipped else ""
    click.echo(f"{report.score} of 100: {words[report.exit_code]}{about} ({report.seconds:.1f} s)")
