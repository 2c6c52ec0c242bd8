"""One UTC day of the audit as a file of JSON lines, for keeping elsewhere (AUD-05).

The file has the day's entries, the status changes of jobs and the counted minutes of the API, each line with `kind`;
the last line is a manifest with their number and the head of the chain, which is an anchor for `callboard audit
verify`. A file is written beside its place and put there whole; one that is there already is left alone.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from app import clock
from app.audit import access, chain, queries
from app.audit.entries import record
from app.audit.queries import Mark
from app.db import Row, db, dumps
from app.errors import Conflict, Invalid, Unavailable

FORMAT = "callboard-audit/1"
PAGE = 2_000
SLICE = timedelta(minutes=5)
LOOK_BACK_DAYS = 7
COUNTED = ("entries", "status_changes", "access_minutes")
SETTLE = timedelta(minutes=10)
"""So long after midnight a day is over: what was written shortly before is committed and sealed then."""


class Collected(NamedTuple):
    """A day as it lies on this machine."""

    day: date
    path: Path
    manifest: dict[str, Any]


def name_of(day: date) -> str:
    """The file of a day."""
    return f"audit-{day.isoformat()}.jsonl.gz"


def missing(url: str, *, days: int = LOOK_BACK_DAYS) -> list[date]:
    """Which of the last whole days have no file in the folder at `url`, oldest first; Unavailable if it cannot be read."""
    newest = (clock.now().astimezone(UTC) - SETTLE).date() - timedelta(days=1)
    wanted = [newest - timedelta(days=back) for back in reversed(range(days))]
    with _folder(url) as (filesystem, base):
        return [day for day in wanted if not filesystem.exists(f"{base}/{name_of(day)}")]


def collect(day: date, folder: Path) -> Collected:
    """Write the file of `day` into a folder of this machine; wants a transaction that sees one moment (verify.hold_still)."""
    if day >= clock.now().astimezone(UTC).date():
        raise Invalid("A day is exported when it is over (UTC).")
    path = folder / name_of(day)
    return Collected(day, path, _collect(day, path))


def demand_room(day: date, url: str) -> None:
    """Conflict if the folder at `url` has a file of that day."""
    with _folder(url) as (filesystem, base):
        if filesystem.exists(f"{base}/{name_of(day)}"):
            raise Conflict(f"{shown(url)} has {name_of(day)} already; say --again to write it anew.")


def put(collected: Collected, url: str) -> str:
    """Put a collected day into the folder at `url`, whole or not at all; answers where it is, without credentials."""
    with _folder(url) as (filesystem, base):
        _put(filesystem, collected.path, f"{base}/{collected.path.name}")
    return f"{shown(url).rstrip('/')}/{collected.path.name}"


def note(collected: Collected, place: str, *, actor: str = "", **more: object) -> None:
    """Write into the audit log that a day was exported."""
    told = {name: collected.manifest[name] for name in (*COUNTED, "head")}
    record(
        "audit.exported",
        actor=actor,
        subject=collected.day.isoformat(),
        details={"to": place, **told, **more},
    )


def shown(url: str) -> str:
    """The address without a name, a password or a query, for people and logs."""
    parts = urlsplit(url)
    if "@" not in parts.netloc and not parts.query:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# -- what is in it


def _collect(day: date, local: Path) -> dict[str, Any]:
    """Write the day's lines and answer the manifest, which is the last of them."""
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    counts = dict.fromkeys(COUNTED, 0)
    with gzip.GzipFile(local, "wb", mtime=0) as file:
        for name, tell in zip(COUNTED, (_entries, _status_changes, _access), strict=True):
            for line in tell(since, until):
                file.write(dumps(line).encode() + b"\n")
                counts[name] += 1
        manifest = {
            "kind": "manifest",
            "format": FORMAT,
            "day": day.isoformat(),
            "exported_at": clock.now(),
            **counts,
            "head": str(chain.head()),
        }
        file.write(dumps(manifest).encode() + b"\n")
    return manifest


def _entries(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    after: Mark | None = None
    while rows := queries.of_day(since, until, after=after, limit=PAGE):
        for row in rows:
            yield {"kind": "entry", **queries.told(row)}
        after = Mark(rows[-1]["at"], rows[-1]["id"])


def _status_changes(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """In slices of the day, because the index of their times is a coarse one."""
    while since < until:
        rows = db.rows(
            """SELECT h.at, h.job_id::text, h.from_status, h.to_status, h.reason, j.agent_id, j.submitted_by,
                      j.correlation_id
               FROM job_history h LEFT JOIN jobs j USING (job_id)
               WHERE h.at >= %(since)s AND h.at < %(until)s ORDER BY h.at, h.id""",
            since=since,
            until=since + SLICE,
        )
        yield from map(_status_change, rows)
        since += SLICE


def _status_change(row: Row) -> dict[str, Any]:
    return {
        "kind": "status",
        "timestamp": row["at"],
        "event_type": f"job.status.{row['to_status']}",
        "user_id": row["submitted_by"],
        "task_id": row["job_id"],
        "agent_id": row["agent_id"],
        "correlation_id": row["correlation_id"],
        "details": {"from": row["from_status"], "to": row["to_status"], "reason": row["reason"]},
    }


def _access(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    after: Row | None = None
    while rows := access.minutes(since, until, after=after, limit=PAGE):
        for row in rows:
            yield {
                "kind": "access",
                "timestamp": row["minute"],
                "event_type": "api.access",
                "user_id": row["actor"] or None,
                "ip_address": row["ip"] or None,
                "details": {name: row[name] for name in ("method", "endpoint", "status", "count")},
            }
        after = rows[-1]


# -- where it goes


class _folder:  # noqa: N801 - reads as the verb it is: with _folder(url) as …
    """A folder behind fsspec, for the length of a block; what goes wrong in it is Unavailable."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> tuple[Any, str]:
        import fsspec  # loaded where something is exported, which is once a day

        try:
            filesystem, base = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as wrong:
            raise Invalid(
                f"AUDIT_EXPORT_URL: {shown(self.url)} cannot be used: {_why(wrong, self.url)}"
            ) from wrong
        return filesystem, base.rstrip("/")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and (isinstance(error, OSError) or _is_foreign(error)):
            raise Unavailable(f"{shown(self.url)} cannot be reached: {_why(error, self.url)}") from error


def _is_foreign(error: BaseException) -> bool:
    """Whether a library behind fsspec raised an error of its own kind, as that of S3 does for a name that cannot be."""
    return isinstance(error, Exception) and type(error).__module__.partition(".")[0] not in (
        "builtins",
        "app",
    )


def _why(error: BaseException, url: str) -> str:
    """What went wrong in one short line, without the address that may have a password in it."""
    return f"{type(error).__name__}: {error}".replace(url, shown(url)).splitlines()[0][:200]


def _put(filesystem: Any, local: Path, there: str) -> None:
    """Copy the file whole: beside its place first where a half-written file would be seen, which no object store shows."""
    filesystem.makedirs(there.rpartition("/")[0], exist_ok=True)
    if "file" not in _protocols(filesystem):
        filesystem.put_file(str(local), there)
        return
    beside = f"{there}.part"
    try:
        shutil.copyfile(local, beside)
        Path(beside).replace(there)
    finally:
        with suppress(OSError):
            Path(beside).unlink()


def _protocols(filesystem: Any) -> tuple[str, ...]:
    told = filesystem.protocol
    return (told,) if isinstance(told, str) else tuple(told)
