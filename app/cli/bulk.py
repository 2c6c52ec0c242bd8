"""`callboard bulk …`: do one thing to many jobs or dead letters; look first, watch it, stop it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.agents import database
from app.cli.connected import on_behalf
from app.cli.speaking import as_json, harmless, in_json, user_id
from app.cli.workflows import PRIORITIES
from app.errors import Conflict, NotFound

if TYPE_CHECKING:
    from app.accounts.permissions import Principal
    from app.db import Row
    from app.jobs.bulk import Wish

Command = TypeVar("Command", bound=Callable[..., Any])

LOOK_SECONDS = 0.5
# After so long without a step it is worth saying that perhaps nobody is there to do it.
SILENT_SECONDS = 10.0
REFUSED = 1


def of_jobs(command: Command) -> Command:
    """Which jobs, and how."""
    for option in reversed(
        (
            click.argument("words", nargs=-1, metavar="[FILTER]..."),
            click.option("--id", "ids", multiple=True, type=click.UUID, help="A job; may be repeated."),
            click.option("--agent", help="Of this agent."),
            click.option("--status", multiple=True, help="In this state; may be repeated."),
            click.option("--tag", help="With this tag."),
            click.option("--since", help="Submitted at or after: 24h, 7d, 2026-11-30."),
            click.option("--until", help="Submitted before."),
            click.option("--everything", is_flag=True, help="All jobs: needed where nothing else is said."),
        )
    ):
        command = option(command)
    return how(command)


def how(command: Command) -> Command:
    """Whether to look, to ask, to wait, and on whose behalf."""
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Only say what it would touch."),
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option("--wait", is_flag=True, help="Stay until it is over and show how far it is."),
            on_behalf,
            as_json,
        )
    ):
        command = option(command)
    return command


@click.group(name="bulk")
def bulk() -> None:
    """Do one thing to many jobs or dead letters.

    FILTER is written as in the filter bar of the Jobs page: `status:failed agent:writer since:24h timeout`. What an
    action may touch is fixed when it is started: jobs that come later are never a part of it.

    Exit codes: 0 started, or with --wait all done; 1 not started, or with --wait something was refused or it was
    stopped; 2 wrong usage.
    """


@bulk.command()
@of_jobs
def cancel(**given: Any) -> None:
    """Cancel jobs: waiting ones at once, running ones within seconds."""
    _run("cancel", {}, given)


@bulk.command()
@of_jobs
def retry(**given: Any) -> None:
    """Run jobs that failed or were cancelled again, each as a new job; completed ones only by --id."""
    _run("retry", {}, given)


@bulk.command()
@click.option("--to", "to", type=PRIORITIES, required=True, help="The new priority.")
@of_jobs
def priority(to: str, **given: Any) -> None:
    """Make waiting jobs more or less urgent."""
    _run("priority", {"priority": to}, given)


@bulk.command()
@click.option("--group", "group_key", help="Of one kind of failure, by its key.")
@click.option("--agent", help="Of this agent.")
@click.option("--id", "ids", multiple=True, type=click.UUID, help="A dead letter; may be repeated.")
@click.option("--priority", type=PRIORITIES, help="Left out: as before.")
@click.option("--everything", is_flag=True, help="All dead letters: needed where nothing else is said.")
@how
def resubmit(
    *,
    group_key: str | None,
    agent: str | None,
    ids: tuple[Any, ...],
    priority: str | None,
    everything: bool,
    **given: Any,
) -> None:
    """Send dead letters in again, each as a new job of its submitter."""
    _demand_some([group_key, agent, ids, everything])

    def wish(_who: Principal) -> Wish:
        from app.jobs import bulk as room, dead_letters  # noqa: I001 - one line each would hide what is imported late
        from app.jobs.bulk_choice import Choice

        only = None if ids else dead_letters.Filter(group_key=group_key, agent_id=agent)
        said = {"group": group_key, "agent": agent}
        words = " ".join(f"{name}:{value}" for name, value in said.items() if value)
        choice = Choice(
            subject="dead_letters", verb="resubmit", ids=tuple(str(each) for each in ids), only=only
        )
        return room.Wish(
            choice=choice,
            options={"priority": priority} if priority else {},
            words=f"{len(ids)} by id" if ids else words or "all dead letters",
        )

    _start(wish, given)


@bulk.command(name="list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json
def show_all(*, limit: int, wants_json: bool) -> None:
    """List bulk actions, newest first."""
    with database():
        from app.jobs import bulk as room

        rows = [room.shown(row) for row in room.page(limit=limit)]
    if wants_json:
        click.echo(in_json(rows))
        return
    for row in rows:
        click.echo(harmless(f"{_line(row)}  {row['created_at']:%Y-%m-%d %H:%M}  {row['words']}"))


@bulk.command()
@click.argument("bulk_id", type=click.UUID)
@as_json
def show(bulk_id: Any, *, wants_json: bool) -> None:
    """Show how far an action is, and what it refused."""
    with database():
        from app.jobs import bulk as room

        row = room.shown(room.get(str(bulk_id)))
    _tell(row, wants_json=wants_json)


@bulk.command()
@click.argument("bulk_id", type=click.UUID)
@on_behalf
@as_json
def abort(bulk_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Stop an action before its next step; what is done stays done."""
    with database() as db:
        from app.jobs import bulk as room

        row = room.shown(room.abort(str(bulk_id), by=user_id(email)))
        db.session.commit()
    _tell(row, wants_json=wants_json)


def _run(verb: str, options: dict[str, Any], given: dict[str, Any]) -> None:
    words, ids = given.pop("words"), given.pop("ids")
    names = ("agent", "status", "tag", "since", "until")
    said = {name: given.pop(name) for name in names}
    everything = given.pop("everything")
    _demand_some([words, ids, *said.values(), everything])
    if ids and (words or any(said.values())):
        raise click.UsageError("Give --id, or a filter.")

    def wish(who: Principal) -> Wish:
        from app.jobs import bulk as room
        from app.jobs import chosen
        from app.jobs import words as language
        from app.jobs.bulk_choice import Choice

        asked = language.parse(" ".join([*words, *_terms(said)]))
        choice = Choice(
            subject="jobs",
            verb=verb,
            ids=tuple(str(each) for each in ids),
            only=None if ids else chosen.which(asked, who),
        )
        return room.Wish(
            choice=choice, options=options, words=f"{len(ids)} by id" if ids else str(asked) or "all jobs"
        )

    _start(wish, given)


def _terms(said: dict[str, Any]) -> list[str]:
    """What the options say, in the language of filters."""
    from app.jobs.words import quoted

    terms = []
    for name, value in said.items():
        values = value if isinstance(value, tuple) else (value,) if value else ()
        if values:
            terms.append(f"{name}:{','.join(quoted(each) for each in values)}")
    return terms


def _demand_some(said: list[Any]) -> None:
    if not any(said):
        raise click.UsageError("Say which: by --id, by a filter, or --everything.")


def _start(make: Callable[[Principal], Wish], given: dict[str, Any]) -> None:
    wants_json: bool = given["wants_json"]
    with database() as db:
        from app.jobs import bulk as room

        who = _person(given["email"])
        wish = make(who)
        found = room.look(wish, who)
        if given["dry_run"]:
            _say_look(wish, found, wants_json=wants_json)
            return
        _ask(wish, found, given)
        row = room.create(_up_to(wish, found), who, at_most=None if wish.choice.ids else found.count)
        db.session.commit()
        if given["wait"]:
            row = _watched(db, str(row["bulk_id"]), quiet=wants_json)
    _tell(room.shown(row), wants_json=wants_json)
    if given["wait"] and (row["status"] != "completed" or row["refused"]):
        click.get_current_context().exit(REFUSED)


def _up_to(wish: Wish, found: Any) -> Wish:
    from dataclasses import replace

    return replace(wish, choice=replace(wish.choice, upto=found.upto))


def _ask(wish: Wish, found: Any, given: dict[str, Any]) -> None:
    if given["yes"]:
        return
    if given["wants_json"] or not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: say --yes, or look by --dry-run.")
    _say_look(wish, found, wants_json=False)
    if not click.confirm("Go on?"):
        raise Conflict("nothing was done")


def _person(email: str | None) -> Principal:
    from app.accounts import queries
    from app.accounts.permissions import Principal

    row = queries.user(user_id(email))
    if row is None or not row["enabled"]:
        raise NotFound("there is no such user, or they are disabled")
    return Principal(user_id=str(row["user_id"]), email=row["email"], role=row["role"])


def _say_look(wish: Wish, found: Any, *, wants_json: bool) -> None:
    if wants_json:
        shown = {name: getattr(found, name) for name in ("count", "more", "left_alone", "upto")}
        click.echo(in_json({"dry_run": True, "words": wish.words} | shown))
        return
    what = "jobs" if wish.choice.subject == "jobs" else "dead letters"
    click.echo(harmless(f"{wish.choice.verb} would be done to {found.count:,} {what}: {wish.words}"))
    if found.more:
        click.echo("  more fit than one action takes: it takes the oldest")
    for state, count in found.left_alone.items():
        click.echo(f"  {count:,} left alone: {'not in a state for this' if state == 'state' else state}")
    for row in found.sample:
        state = row.get("status", "failed")
        click.echo(harmless(f"  {row['job_id']}  {state:14} {row['task_name'] or row['agent_id']}"))


def _watched(db: Any, bulk_id: str, *, quiet: bool) -> Row:
    """The action when it is over; until then how far it is, on stderr."""
    from app.jobs import bulk as room

    shown, since = "", time.monotonic()
    while True:
        row = room.shown(room.get(bulk_id))
        db.session.rollback()  # else this would look at the same moment for ever
        line = f"{row['percent']:3} %  {row['done']:,} done, {row['refused']:,} refused, {row['left']:,} left"
        if line != shown:
            shown, since = line, time.monotonic()
            if not quiet:
                click.echo(line, err=True)
        if row["finished_at"]:
            return room.get(bulk_id)
        if time.monotonic() - since > SILENT_SECONDS:
            click.echo("Nothing moves: does a scheduler or a worker run?", err=True)
            since = time.monotonic()
        time.sleep(LOOK_SECONDS)


def _tell(row: Row, *, wants_json: bool) -> None:
    if wants_json:
        click.echo(in_json(row))
        return
    click.echo(harmless(f"{_line(row)}  {row['words']}"))
    if row["error"]:
        click.echo(harmless(f"  {row['error']}"))
    for each in row["refusals"]:
        click.echo(harmless(f"  {each['id']}  {each['reason']}"))


def _line(row: Row) -> str:
    counts = f"{row['done']}/{row['matched']}" + (f" ({row['refused']} refused)" if row["refused"] else "")
    return f"{row['bulk_id']}  {row['verb']:8} {row['state']:9} {counts:>11}"
