"""`callboard relay`: hand webhooks that reached the server on to a program here, as they came and in order."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import click

from app.cli.connected import speaker
from app.cli.speaking import harmless

_WORDS = {
    "delivered": "{event}  {hook}  taken in {ms} ms",
    "not_taken": "{event}  {hook}  not taken ({why}); again in {again_in} s",
    "set_aside": "{event}  {hook}  set aside ({why}): {file}",
    "server_away": "{why}; again in {again_in} s",
    "server_back": "the server is back",
    "ahead": "the server knows nothing as new as the place of this relay ({cursor}, newest {newest}); was it restored? "
    "Begin anew with --from start or --from now.",
    "begins": "hands on to {target}, from {cursor} on; its place is kept in {file}",
    "ends": "ended; {handed} handed on",
}
_TROUBLE = ("not_taken", "set_aside", "server_away", "ahead")


@click.command()
@click.option(
    "--forward",
    "target",
    required=True,
    metavar="URL",
    help="Where to send them, like http://127.0.0.1:3000/hook.",
)
@click.option("--hook", help="Only what comes to this hook, by its slug. Left out: all that you may see.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for its place. Left out: one for server, hook and URL.",
)
@click.option(
    "--from",
    "where",
    type=click.Choice(["start", "now"]),
    help="Begin there. Left out: where it ended, else now.",
)
@click.option("--once", is_flag=True, help="Hand on what is there, and end.")
@click.option(
    "--skip-after",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Set an event aside that was not taken N times. Left out: never.",
)
@click.option("--json", "wants_json", is_flag=True, help="Say each step as a line of JSON.")
def relay(
    *,
    target: str,
    hook: str | None,
    state: Path | None,
    where: str | None,
    once: bool,
    skip_after: int | None,
    wants_json: bool,
) -> None:
    """Hand on webhooks that came to the server of CALLBOARD_URL, with the very headers and bytes that came.

    At least once and in order; what is not taken (2xx) is tried again until it is, and 410 ends it. It waits while
    the server or the receiver is away, and goes on where it ended.
    """
    from app.cli.relaying import Place, Relay, usual_place

    if not target.startswith(("http://", "https://")):
        raise click.UsageError(f"--forward {target}: write it like http://127.0.0.1:3000/hook")
    teller = _Teller(wants_json=wants_json)
    with speaker() as callboard, _until_signal() as stop:
        file = state or usual_place(callboard.url, hook, target)
        with Place(file.absolute(), callboard.url, hook) as place:
            work = Relay(
                callboard=callboard,
                target=target,
                place=place,
                tell=teller.tell,
                stop=stop,
                once=once,
                skip_after=skip_after,
            )
            if where or place.cursor is None:
                work.begin(where or "now")
            teller.tell("begins", {"target": target, "cursor": place.cursor, "file": str(place.path)})
            teller.tell("ends", {"handed": work.run()})


class _Teller:
    """What happens, a line each: trouble on stderr, unless everything is JSON."""

    def __init__(self, *, wants_json: bool) -> None:
        self._wants_json = wants_json

    def tell(self, what: str, about: dict[str, Any]) -> None:
        """Say it."""
        now = datetime.now().astimezone()
        if self._wants_json:
            click.echo(json.dumps({"at": now.isoformat(timespec="milliseconds"), "what": what, **about}))
            return
        said = harmless(_WORDS[what].format(**about)).replace("\n", " ")
        click.echo(f"{now:%H:%M:%S}  {said}", err=what in _TROUBLE)


@contextmanager
def _until_signal() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set; a second one ends the process as usual."""
    stop = Event()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for each in before:
        signal.signal(each, end)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
