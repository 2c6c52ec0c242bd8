"""`callboard secrets …`: keys for what is sealed in the database, and changing them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from app.cli.agents import database
from app.cli.speaking import as_json, in_json, record


@click.group()
def secrets() -> None:
    """Make, look at and change the keys that secrets in the database are sealed with."""


@secrets.command(name="new-key")
def new_key() -> None:
    """Print a new key; put it first in ENCRYPTION_KEYS, before the old ones."""
    from app.secrets import keys

    click.echo(keys.fresh())


@secrets.command()
@as_json
def status(*, wants_json: bool) -> None:
    """Show each key by its fingerprint: whether it is here, how old, how many values are under it.

    Exit code 1 if a key is missing under which there are values.
    """
    with database() as db:
        from app.secrets import known, rotation, sealing

        db.open(db.engine)
        with db.quick():
            seen = {row["fingerprint"]: row for row in known.listing()}
        counts = rotation.count(db.transaction)
        here = [key.fingerprint for key in sealing.in_use()]
        rows = [_told(name, seen.get(name), here, counts) for name in _names(here, seen, counts)]
    click.echo(in_json(rows) if wants_json else "\n".join(map(_line, rows)))
    if any(row["values"] and not row["here"] for row in rows):
        raise click.exceptions.Exit(1)


@secrets.command()
@as_json
def rotate(*, wants_json: bool) -> None:
    """Seal everything with the first key of ENCRYPTION_KEYS, while the product runs; it may be stopped and run again.

    Give the new key to all processes first. Exit code 1 if something could not be opened, or changed meanwhile: run it
    again.
    """
    with database() as db:
        from app.jobs import sealing_late
        from app.notify import secrets as signing
        from app.schedules import changes as schedules
        from app.secrets import rotation

        db.open(db.engine)
        with db.transaction():
            late = signing.seal_late() + schedules.seal_late()
        late += sealing_late.seal(db.transaction)
        done = rotation.rotate(
            db.transaction,
            lambda table, so_far: None if wants_json else _progress(table, so_far.resealed),
        )
        told = {
            "looked_at": done.looked_at,
            "resealed": done.resealed,
            "sealed_late": late,
            "busy": done.busy,
            "unread": dict(done.unread),
        }
        record("secrets.rotated", "encryption", by="cli", **told)
        db.session.commit()
    click.echo(in_json(told) if wants_json else _summary(told))
    if done.busy or done.unread:
        raise click.exceptions.Exit(1)


def _progress(table: str, resealed: int) -> None:
    click.echo(f"{table}: {resealed:,} sealed anew so far", err=True)


def _names(here: list[str], seen: dict[str, Any], counts: Counter[str]) -> list[str]:
    known = [*here, *(name for name in seen if name not in here)]
    return known + [key_id for key_id in counts if not any(name.startswith(key_id) for name in known)]


def _told(name: str, row: Any, here: list[str], counts: Counter[str]) -> dict[str, Any]:
    return {
        "fingerprint": name,
        "newest": name == here[0],
        "here": name in here,
        "values": counts[name[:8]],
        "first_seen_at": row["first_seen_at"] if row else None,
        "days": int(row["days"]) if row else None,
        "retired": bool(row and row["retired_at"]),
        "due": _is_due(name, row, here),
    }


def _is_due(name: str, row: Any, here: list[str]) -> bool:
    from app.secrets import known

    return bool(row and name == here[0] and row["days"] > known.OLD_DAYS)


def _line(row: dict[str, Any]) -> str:
    place = (
        "seals" if row["newest"] else "opens" if row["here"] else "retired" if row["retired"] else "MISSING"
    )
    age = "not seen yet" if row["days"] is None else f"{row['days']} days"
    return f"{row['fingerprint']}  {place:<7}  {age:>12}  {row['values']:,} values{_advice(row)}"


def _advice(row: dict[str, Any]) -> str:
    if row["due"]:
        return "  older than 90 days: make a new one (`callboard secrets new-key`)"
    if row["here"] or row["retired"]:
        return ""
    return (
        "  put it back behind the newest one"
        if row["values"]
        else "  nothing needs it: `callboard secrets rotate` forgets it"
    )


def _summary(told: dict[str, Any]) -> str:
    lines = [f"{told['resealed']:,} of {told['looked_at']:,} values were sealed anew."]
    if told["sealed_late"]:
        lines.append(f"{told['sealed_late']:,} that were stored in plain are sealed now.")
    if told["busy"]:
        lines.append(f"{told['busy']:,} changed meanwhile; run it again.")
    lines += [f"{count:,} could not be opened: {why}" for why, count in told["unread"].items()]
    return "\n".join(lines)
