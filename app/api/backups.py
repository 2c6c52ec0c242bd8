"""Backups: which there are, whether they were proved, and one more on request."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app import clock
from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import When
from app.db import db
from app.ops.backups import queries, records
from app.ops.backups.plan import Plan, plan_of

Kind = Literal["daily", "manual", "before_upgrade", "before_restore"]
Status = Literal["running", "done", "verified", "failed", "pruned"]


class BackupOut(BaseModel):
    """One backup."""

    backup_id: str
    kind: Kind
    status: Status = Field(description="`done`: whole, but not proved; `pruned`: its files are removed.")
    stage: str = Field(description="What is being done now: waiting, counting, dumping, artifacts.")
    done_bytes: int = Field(description="Written so far.")
    requested_by: str = Field(description="Empty: Callboard by itself.")
    started_at: When
    finished_at: When | None
    seconds: float
    location: str | None = Field(description="The dump; other files are named like it.")
    bytes: int | None
    sha256: str | None
    encrypted_with: str | None = Field(description="Fingerprint of the key; null: not encrypted.")
    artifacts: int | None = Field(description="Files of jobs in it; null: they are not.")
    artifact_bytes: int | None
    rows: int | None
    revision: str | None = Field(description="Of the schema.")
    version: str = Field(description="Of Callboard.")
    verified_at: When | None
    verify_seconds: float | None
    verify_error: str | None = Field(description="Why it is of no use, if that was found out.")
    error: str | None
    kept_as: list[str] = Field(description="Why it stays: daily, weekly, monthly, last, asked for.")


class BackupsOut(BaseModel):
    """Backups, newest first, and how they stand."""

    backups: list[BackupOut]
    on: bool = Field(description="Whether one is made each day.")
    next_at: When | None
    place: str
    encrypted: bool = Field(description="Whether the next one will be.")
    count: int = Field(description="Good ones that are kept.")
    bytes: int = Field(description="What they have together.")


class BackupsQuery(Input):
    """Which of them."""

    status: Status | None = None
    limit: int = Field(50, ge=1, le=queries.MOST)


@op("GET", "/api/v1/backups", verb="manage_backups", out=BackupsOut)
def list_backups(query: BackupsQuery) -> dict[str, Any]:
    """List backups, newest first."""
    plan, standing = plan_of(settings()), queries.standing()
    rows = queries.listing(limit=query.limit, status=query.status)
    return {
        "backups": _shown(rows, plan),
        "on": plan.on,
        "next_at": plan.next_at(clock.now()),
        "place": plan.place.shown,
        "encrypted": bool(plan.keys),
        "count": standing["count"],
        "bytes": standing["bytes"],
    }


@op("GET", "/api/v1/backups/<backup_id>", verb="manage_backups", out=BackupOut, errors=(404,))
def get_backup(backup_id: UUID) -> dict[str, Any]:
    """Show one backup, and how far it is."""
    return _shown([queries.get(str(backup_id))], plan_of(settings()))[0]


@op("POST", "/api/v1/backups", verb="manage_backups", out=BackupOut, status=202, errors=(409,))
def create_backup() -> dict[str, Any]:
    """Ask for a backup now; the scheduler makes it. Ask for it by its id until its status is no longer `running`."""
    plan = plan_of(settings())
    backup_id = records.ask(by=current_principal().user_id, version=plan.release)
    db.session.commit()
    return _shown([queries.get(backup_id)], plan)[0]


def _shown(rows: list[dict[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    why = queries.stay(plan.keep, clock.now())["why"]
    names = BackupOut.model_fields
    return [
        {**{name: row[name] for name in names if name in row}, "kept_as": why.get(row["backup_id"], [])}
        for row in rows
    ]
