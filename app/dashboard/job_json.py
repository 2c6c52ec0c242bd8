"""A job as the API tells it: the status document for reading, and it or the result alone as a download."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.dashboard import job_seen
from app.dashboard.htmx import Context
from app.dashboard.job_tree import exact
from app.db import Row
from app.errors import NotFound

LARGEST_SHOWN = 64_000


def part(row: Row) -> Context:
    """The document, or its beginning."""
    whole = exact(_document(row))
    return {"document": whole[:LARGEST_SHOWN], "is_cut": len(whole) > LARGEST_SHOWN, "length": len(whole)}


def _document(row: Row) -> Row:
    told = job_seen.shown(row)
    return {name: value for name, value in told.items() if name != "timestamp"}


def document(job_id: str) -> Response:
    """GET /jobs/<job_id>/document.json: all that whoever asks may see of it."""
    row = job_seen.visible(job_id, full=True)
    return _download(_document(row), f"job-{row['job_id']}.json")


def result(job_id: str) -> Response:
    """GET /jobs/<job_id>/result.json."""
    row = job_seen.readable(job_id, full=True)
    if row["result"] is None:
        raise NotFound("It has no result.")
    return _download(job_seen.without_secrets(row)["result"], f"result-{row['job_id']}.json")


def _download(value: Any, name: str) -> Response:
    response = Response(exact(value) + "\n", mimetype="application/json")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "private, no-store"
    return response
