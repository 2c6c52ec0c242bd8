"""Files that jobs leave: bytes in a store behind fsspec, what is known of them in Postgres."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import uuid_utils.compat

from app.db import Row, db, storable
from app.errors import NotFound, PermanentError

LONGEST_NAME = 120


@dataclass(frozen=True)
class Store:
    """Where artifacts lie: an fsspec URL such as `file:///…`, or `postgres:` for the database itself.

    `postgres:` is for platforms whose processes share no disk; it needs a transaction or `db.quick()` around it.
    """

    url: str
    max_bytes: int = 20_000_000

    def keep(self, job_id: str, fence: int, name: str, content: bytes | Path, media_type: str | None) -> Row:
        """Write the bytes and answer the row to record; the row is not written yet.

        Bytes come first: a row always has its file, a crash in between leaves a file that upkeep sweeps away.
        """
        data = content if isinstance(content, bytes) else _read(content, self.max_bytes)
        if len(data) > self.max_bytes:
            raise PermanentError(
                f"the artifact {name!r} has {len(data)} bytes; at most {self.max_bytes} are kept"
            )
        artifact_id = str(uuid_utils.compat.uuid7())
        location = f"{job_id[:2]}/{job_id}/{artifact_id}"
        self._write(location, data)
        plain = plain_name(name)
        return {
            "artifact_id": artifact_id,
            "job_id": job_id,
            "fence": fence,
            "name": plain,
            "media_type": media_type or mimetypes.guess_type(plain)[0] or "application/octet-stream",
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "location": location,
        }

    @property
    def in_postgres(self) -> bool:
        """The bytes are rows."""
        return self.url.startswith("postgres")

    def _write(self, location: str, data: bytes) -> None:
        if self.in_postgres:
            db.run("INSERT INTO artifact_bytes VALUES (%(at)s, %(data)s)", at=location, data=data)
            return
        filesystem, base = fsspec.core.url_to_fs(self.url)
        path = f"{base}/{location}"
        filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        filesystem.pipe_file(path, data)

    def open(self, location: str) -> IO[bytes]:
        """The bytes of an artifact; raises NotFound if the store lost them."""
        if self.in_postgres:
            kept = db.value("SELECT content FROM artifact_bytes WHERE location = %(at)s", at=location)
            if kept is None:
                raise NotFound("the bytes of this artifact are gone from the store")
            return io.BytesIO(kept)
        filesystem, base = fsspec.core.url_to_fs(self.url)
        try:
            return filesystem.open(f"{base}/{location}", "rb")  # type: ignore[no-any-return]
        except FileNotFoundError as gone:
            raise NotFound("the bytes of this artifact are gone from the store") from gone

    def remove_job(self, job_id: str) -> None:
        """Delete everything a job left; silent if there is nothing."""
        if self.in_postgres:
            db.run("DELETE FROM artifact_bytes WHERE location LIKE %(at)s", at=f"{job_id[:2]}/{job_id}/%")
            return
        filesystem, base = fsspec.core.url_to_fs(self.url)
        path = f"{base}/{job_id[:2]}/{job_id}"
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


def _read(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(max_bytes + 1)


def plain_name(name: str) -> str:
    """A file name without folders, control or direction-changing characters; never empty."""
    last = PurePosixPath(name.replace("\\", "/")).name
    plain = re.sub(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]", "", last).strip(". ")
    return plain[-LONGEST_NAME:] or "artifact"


def record(row: Row) -> None:
    """Make a kept file known, if its attempt still owns the job."""
    db.run(
        """INSERT INTO artifacts (artifact_id, job_id, fence, name, media_type, size_bytes, sha256, location)
           SELECT %(artifact_id)s, job_id, fence, %(name)s, %(media_type)s, %(size_bytes)s, %(sha256)s, %(location)s
           FROM jobs WHERE job_id = %(job_id)s AND fence = %(fence)s""",
        **row,
    )


def listing(job_id: str) -> list[dict[str, Any]]:
    """What a job left, oldest first: {artifact_id, name, media_type, size_bytes, sha256, attempt, created_at}."""
    return db.rows(
        """SELECT artifact_id::text, name, media_type, size_bytes, sha256, fence AS attempt, created_at
           FROM artifacts WHERE job_id = %(job)s ORDER BY artifact_id""",
        job=job_id,
    )


def reachable(reference: str, *, job_id: str) -> Row | None:
    """The artifact that a job means by an id or a name: {artifact_id, name, location}; None if it may have none.

    Only what the same person's jobs left; a name only within the job's workflow, where steps that a repeated run
    kept from the run before count too.
    """
    given = re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", reference)
    return db.row(_BY_ID if given else _BY_NAME, job=job_id, reference=storable(reference))


_BY_ID = """
    SELECT a.artifact_id::text, a.name, a.location FROM artifacts a JOIN jobs j USING (job_id)
    WHERE a.artifact_id = %(reference)s::uuid
      AND j.submitted_by = (SELECT submitted_by FROM jobs WHERE job_id = %(job)s)"""
_BY_NAME = """
    SELECT a.artifact_id::text, a.name, a.location
    FROM jobs mine JOIN jobs j
      ON j.workflow_id = mine.workflow_id
      OR j.job_id IN (SELECT s.job_id FROM workflow_steps s WHERE s.workflow_id = mine.workflow_id AND s.kept)
    JOIN artifacts a ON a.job_id = j.job_id
    WHERE mine.job_id = %(job)s AND j.job_id <> mine.job_id AND j.submitted_by = mine.submitted_by
      AND a.name = %(reference)s
    ORDER BY a.artifact_id DESC LIMIT 1"""


def get(artifact_id: str) -> Row:
    """One artifact's row with `job_id`, `submitted_by` of its job and `location`; NotFound if there is none."""
    found = db.row(
        """SELECT a.artifact_id::text, a.job_id::text, a.name, a.media_type, a.size_bytes, a.sha256, a.location,
                  a.created_at, j.submitted_by
           FROM artifacts a JOIN jobs j USING (job_id) WHERE a.artifact_id = %(id)s""",
        id=artifact_id,
    )
    if found is None:
        raise NotFound(f"there is no artifact {artifact_id}")
    return found
