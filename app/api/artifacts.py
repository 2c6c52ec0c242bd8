"""Files that jobs left: listed, and handed out so that no browser ever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

from flask import Response
from pydantic import BaseModel

from app.accounts.permissions import demand
from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.ownership import demand_job
from app.api.shapes import When
from app.db import Row
from app.errors import NotFound
from app.jobs import artifacts

PIECE_BYTES = 64 * 1024


class ArtifactOut(BaseModel):
    """A file a job left."""

    artifact_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    attempt: int
    created_at: When
    links: dict[str, str]


class ArtifactsOut(BaseModel):
    """Files a job left, oldest first."""

    job_id: str
    task_id: str
    artifacts: list[ArtifactOut]


@op("GET", "/api/v1/jobs/<job_id>/artifacts", verb="view_task_content", out=ArtifactsOut, errors=(404,))
def list_artifacts(job_id: UUID) -> dict[str, Any]:
    """List the files a job left."""
    found = artifacts.listing(demand_job(job_id, "view_task_content"))
    shown = [row | {"links": {"download": f"/api/v1/artifacts/{row['artifact_id']}"}} for row in found]
    return {"job_id": str(job_id), "task_id": str(job_id), "artifacts": shown}


@op(
    "GET",
    "/api/v1/artifacts/<artifact_id>",
    verb="view_task_content",
    out="application/octet-stream",
    errors=(404,),
)
def download_artifact(artifact_id: UUID) -> Response:
    """Download a file; always as an attachment, never shown in the browser."""
    row = artifacts.get(str(artifact_id))
    try:
        demand(current_principal(), "view_task_content", row["submitted_by"])
    except NotFound:
        raise NotFound(f"there is no artifact {artifact_id}") from None
    now = settings()
    file = artifacts.Store(now.artifact_store, now.max_artifact_bytes).open(row["location"])
    return Response(_pieces(file), headers=_headers(row))


def _headers(row: Row) -> dict[str, str]:
    name, kind = row["name"], row["media_type"]
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return {
        "Content-Type": kind if _is_header_safe(kind) else "application/octet-stream",
        "Content-Length": str(row["size_bytes"]),
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, max-age=3600, immutable",
        "ETag": f'"{row["sha256"]}"',
    }


def _is_header_safe(media_type: str) -> bool:
    """An agent named the type: it goes into a header only if it is one."""
    kind, slash, rest = media_type.partition("/")
    return bool(kind and slash and rest) and media_type.isascii() and media_type.isprintable()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with closing(file):
        while piece := file.read(PIECE_BYTES):
            yield piece
