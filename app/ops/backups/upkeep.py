"""What the scheduler does: bury what died, make what is due or asked for, prove it, remove what is too old.

Any number of schedulers may tick. A daily backup is made by whoever writes its row first, one that somebody asked for
by whoever takes it; nobody holds a lock meanwhile.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from app import clock
from app.db import db
from app.errors import CallboardError
from app.observe import logs
from app.ops.backups import fetching, making, proving, queries, records
from app.ops.backups.places import PART, Place
from app.ops.backups.plan import Plan

log = logs.get("backups")

AGAIN_AFTER = timedelta(minutes=15)
MOST_TRIES = 3
OLD_ROWS_DAYS = 400
ENDINGS = (".dump", ".dump.sealed", ".artifacts.tar", ".artifacts.tar.sealed", ".json")


def tick(plan: Plan) -> None:
    """Do one thing after the other; a backup that fails is written down and tried again later."""
    bury(plan)
    made = asked_for(plan) or daily(plan)
    if plan.verify:
        with suppress(CallboardError):
            while proving.prove_row(plan) is not None:
                pass
    if made:
        prune(plan)


def bury(plan: Plan) -> list[str]:
    """Give up those whose maker died, and remove what they left half written."""
    with db.transaction():
        dead = records.bury()
    for backup_id in dead:
        log.warning("backup.failed", backup_id=backup_id, why="its process ended in the middle")
        with suppress(CallboardError):
            _sweep(plan.place, backup_id)
    return dead


def _sweep(place: Place, backup_id: str) -> None:
    """Whatever lies there of a backup that was never finished."""
    names = [each.name.removeprefix(PART) for each in place.local.glob(f"{PART}*")] if place.local else []
    short = f"-{backup_id[-8:]}."
    for name in {*names, *place.names()}:
        if short in name:
            place.remove(name)


def asked_for(plan: Plan) -> bool:
    """Make one that somebody asked for; False if nobody did."""
    with db.transaction():
        backup_id = records.take_waiting()
        row = db.row("SELECT kind, requested_by FROM backups WHERE backup_id = %(id)s", id=backup_id)
    if backup_id is None or row is None:
        return False
    return _made(plan, backup_id, row["kind"], row["requested_by"])


def daily(plan: Plan) -> bool:
    """Make the daily one if it is due and nobody else makes it; False otherwise."""
    if not plan.on or not is_due(plan):
        return False
    backup_id = making.begin(plan, "daily", by="", slot=plan.slot(clock.now()))
    return backup_id is not None and _made(plan, backup_id, "daily", "")


def is_due(plan: Plan) -> bool:
    """Whether the last slot has no backup, and was not tried too often or a moment ago.

    A slot from before the first account is nobody's: a new installation has nothing to lose yet.
    """
    with db.quick():
        row = db.row(
            """SELECT count(*) FILTER (WHERE status <> 'failed') AS there, count(*) AS tries, max(finished_at) AS last,
                      coalesce((SELECT min(created_at) FROM users) > %(slot)s, false) AS too_early
               FROM backups WHERE slot_at = %(slot)s""",
            slot=plan.slot(clock.now()),
        )
    assert row is not None
    if row["there"] or row["too_early"] or row["tries"] >= MOST_TRIES:
        return False
    return row["last"] is None or clock.now() - row["last"] > AGAIN_AFTER


def _made(plan: Plan, backup_id: str, kind: str, actor: str) -> bool:
    try:
        making.make(plan, backup_id, kind, actor=actor)
    except CallboardError:
        return False  # its row and the log say why
    return True


def prune(plan: Plan, *, actor: str = "", dry_run: bool = False) -> list[str]:
    """Remove the files of good backups that need not be kept; answers their names."""
    with db.quick():
        found = queries.stay(plan.keep, clock.now())
    gone = []
    for backup_id, row in found["rows"].items():
        if backup_id in found["why"]:
            continue
        if not dry_run:
            _removed(plan, backup_id, row["location"])
            with db.transaction():
                records.pruned(backup_id, actor=actor)
            log.info("backup.pruned", backup_id=backup_id)
        gone.append(backup_id)
    if not dry_run:
        with db.transaction():
            db.run(
                f"""DELETE FROM backups WHERE status NOT IN {records.GOOD}
                      AND started_at < now() - %(days)s * interval '1 day'""",
                days=OLD_ROWS_DAYS,
            )
    return gone


def _removed(plan: Plan, backup_id: str, location: str) -> None:
    """The small JSON last: as long as it is there, one can see what the other files are."""
    name = fetching.stem(location.rpartition("/")[2])
    assert name.endswith(backup_id[-8:])
    for ending in ENDINGS:
        plan.place.remove(name + ending)
