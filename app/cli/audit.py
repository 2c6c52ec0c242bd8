"""`callboard audit …`: who did what, whether the log is as it was written, and days as files to keep elsewhere."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from app.cli.agents import database
from app.cli.configured import settings
from app.cli.speaking import as_json, harmless, in_json
from app.errors import Invalid

TAMPERED = 1


MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"])


def _in_utc(_context: click.Context, _option: click.Parameter, moment: datetime | None) -> datetime | None:
    """A time without a zone is one of UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@click.group(name="audit")
def audit() -> None:
    """Look at the audit log, verify it, and export whole days of it."""


@audit.command(name="list")
@click.option("--actor", help="A user's id or e-mail.")
@click.option("--action", help="As it is written, or its beginning with a star: 'job.*'.")
@click.option("--subject", help="The id of what it was done to.")
@click.option("--since", type=MOMENT, callback=_in_utc)
@click.option("--until", type=MOMENT, callback=_in_utc)
@click.option("--correlation", "correlation_id", help="A correlation id.")
@click.option("-q", "q", help="Words anywhere in it.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@as_json
def show_all(*, limit: int, wants_json: bool, **wanted: Any) -> None:
    """List who did what, newest first."""
    with database():
        from app.accounts import queries as people
        from app.audit import queries

        found = people.user_by_email(wanted["actor"]) if "@" in (wanted["actor"] or "") else None
        if found:
            wanted |= {"actor": str(found["user_id"]), "also": found["email"]}
        rows = queries.page(queries.Filter(**wanted), limit=limit)
        names = people.emails([row["actor"] for row in rows])
        told = [queries.told(row) | {"user": names.get(row["actor"])} for row in rows]
    if wants_json:
        click.echo(in_json(told))
        return
    for each in told:
        who = each["user"] or each["user_id"] or "callboard"
        where = each["ip_address"] or each["details"].get("via") or ""
        line = f"{each['timestamp']:%Y-%m-%d %H:%M:%S}  {who:28}  {each['event_type']:28}  {each['subject'] or '':36}  {where}"
        click.echo(harmless(line.rstrip()).replace("\n", " "))
    if not told:
        click.echo("Nothing like that is in the audit log.")


@audit.command()
@click.option("--since", type=MOMENT, callback=_in_utc, help="Only what was sealed since then.")
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="POSITION:HEX",
    help="A link as it was noted before; may be repeated.",
)
@as_json
@click.pass_context
def verify(
    context: click.Context, *, since: datetime | None, anchors: tuple[str, ...], wants_json: bool
) -> None:
    """Compute the chain of the log anew and name the first broken link.

    Prints the newest link as an anchor: note it where nobody who can write to the database can, and give it with
    --anchor later. Exit codes: 0 it is as it was written, 1 it was tampered with or cannot be read, 2 wrong usage.
    """
    from app.audit import verify as chain

    try:
        noted = [chain.read_anchor(text) for text in anchors]
        with database() as db:
            db.session.rollback()
            chain.hold_still()
            found = chain.verify(since=since, anchors=noted, tell=None if wants_json else _progress)
            if since is None:
                _note_news(found)
    except Invalid as wrong:
        raise click.UsageError(wrong.message) from wrong
    if wants_json:
        click.echo(
            in_json(
                {
                    "ok": found.ok,
                    "checked": found.checked,
                    "first": found.first,
                    "anchor": str(found.head),
                    "breaks": [each._asdict() for each in found.breaks],
                }
            )
        )
    else:
        for line in _said(found):
            click.echo(line)
    context.exit(0 if found.ok else TAMPERED)


def _note_news(found: Any) -> None:
    """Write down a verification that found something else than the last, so that pages and alerts know it too."""
    from sqlalchemy.exc import DBAPIError

    from app.audit import verify as chain
    from app.db import db

    breaks = tuple(
        each for each in found.breaks if each.kind != "anchor"
    )  # of the anchor only the caller can judge
    last = chain.last_noted()
    if (last is None or last["ok"]) == (not breaks):
        return
    try:
        db.session.rollback()
        chain.note(found._replace(breaks=breaks), actor="cli")
        db.session.commit()
    except DBAPIError:  # a copy that can only be read is verified all the same
        db.session.rollback()


def _progress(done: int, of: int) -> None:
    """On stderr, and only where there is much to do."""
    if of > 20_000:
        click.echo(f"\r{done:,} of {of:,} links", nl=done >= of, err=True)


def _said(found: Any) -> list[str]:
    if not found.ok:
        return ["NOT as it was written:", *(f"  {each.kind}: {each.words}" for each in found.breaks)]
    if not found.head.position:
        return ["Nothing is sealed yet."]
    return [
        f"The audit log is as it was written: {found.checked:,} links, up to {found.head.position:,}.",
        f"Anchor to note elsewhere: {found.head}",
    ]


@audit.command()
@click.option("--day", required=True, metavar="YYYY-MM-DD", help="Which day (UTC).")
@click.option("--to", "url", metavar="URL", help="Folder or fsspec URL; without it AUDIT_EXPORT_URL.")
@click.option("--again", is_flag=True, help="Write it anew if it is there.")
@as_json
def export(*, day: str, url: str | None, again: bool, wants_json: bool) -> None:
    """Write one day as a file of JSON lines (gzip); the last line is a manifest with counts and the chain's head."""
    from app.audit import export as days
    from app.audit.verify import hold_still

    try:
        chosen = date.fromisoformat(day)
    except ValueError as wrong:
        raise click.BadParameter("write it as 2026-01-31", param_hint="--day") from wrong
    place = url or settings().audit_export_url
    if not place:
        raise click.UsageError("Say where to with --to, or set AUDIT_EXPORT_URL.")
    with tempfile.TemporaryDirectory(prefix="callboard-audit-") as folder, database() as db:
        if not again:
            days.demand_room(chosen, place)
        db.session.rollback()
        hold_still()
        collected = days.collect(chosen, Path(folder))
        db.session.rollback()
        where = days.put(collected, place)
        days.note(collected, where, actor="cli", via="cli")
        db.session.commit()
    click.echo(
        in_json({"to": where, **collected.manifest}) if wants_json else _exported(where, collected.manifest)
    )


def _exported(where: str, manifest: dict[str, Any]) -> str:
    return (
        f"{where}: {manifest['entries']:,} entries, {manifest['status_changes']:,} status changes, "
        f"{manifest['access_minutes']:,} minutes of access. Head of the chain: {manifest['head']}"
    )
