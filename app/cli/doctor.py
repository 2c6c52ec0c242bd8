"""`callboard doctor`: what is wrong with this installation, and the way out of each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli.configured import settings
from app.cli.connected import is_remote, speaker
from app.cli.speaking import as_json, harmless, in_json

if TYPE_CHECKING:
    from app.settings import Settings

CODES = {"ok": 0, "warning": 1, "error": 2}
PATIENCE = 60.0
MARKS = {"error": "ERROR", "warning": "WARN ", "info": "note "}
SMALL_POOL = 4


@click.command()
@as_json
@click.option("--all", "wants_all", is_flag=True, help="Tell of each check, also where nothing is wrong.")
def doctor(*, wants_json: bool, wants_all: bool) -> None:
    """Look at everything that Callboard stands on; takes at most five seconds and changes nothing.

    Looks at the server of CALLBOARD_URL (with an admin's key), else at what the settings name, else at the Callboard that runs in CALLBOARD_HOME. Also works while Postgres or
    Redis is away. Exit codes: 0 nothing is wrong, 1 there are warnings, 2 there are errors.
    """
    report = _there() if is_remote() else _here()
    if wants_json:
        click.echo(in_json(report))
    else:
        _tell(report, wants_all=wants_all)
    sys.exit(CODES[report["status"]])


def _there() -> dict[str, Any]:
    with speaker(timeout=PATIENCE) as callboard:
        report: dict[str, Any] = callboard.call("GET", "/api/v1/doctor")
    return report


def _here() -> dict[str, Any]:
    from app import __version__
    from app.ops.doctor import Place, examine

    chosen = _found(settings())
    _open(chosen)
    return examine(Place(chosen, __version__)).as_dict()


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


def _about(check: dict[str, Any], findings: list[dict[str, Any]]) -> str:
    if check["skipped"]:
        return f"not looked at: {check['skipped']}"
    found = [each["what"] for each in findings if each["check"] == check["check"]]
    return "; ".join(check["facts"] or found or ["as it should be"])


def _tell(report: dict[str, Any], *, wants_all: bool) -> None:
    findings = report["findings"]
    if wants_all:
        for check in report["checks"]:
            click.echo(harmless(f"{check['state']:8} {check['title']}: {_about(check, findings)}"))
        click.echo()
    for each in findings:
        click.echo(harmless(f"{MARKS[each['severity']]}  {each['what']}"))
        click.echo(harmless(f"       {each['why']}"))
        click.echo(harmless(f"       -> {each['fix']}   [{each['check']}]\n"))
    words = {
        "ok": "nothing is wrong",
        "warning": "it works, with warnings",
        "error": "something is broken or stands open",
    }
    skipped = sum(1 for each in report["checks"] if each["skipped"])
    about = f"; {skipped} checks could not be made" if skipped else ""
    click.echo(f"{report['score']} of 100: {words[report['status']]}{about} ({report['seconds']:.1f} s)")
