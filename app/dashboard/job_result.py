"""What came out of a job: its result drawn by what it is, and its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from flask import Response, request

from app.accounts.permissions import demand
from app.agents import registry
from app.dashboard import actions, job_seen, job_tree
from app.dashboard.htmx import Context, Panel
from app.dashboard.prose import rendered
from app.dashboard.session import asking, settings
from app.db import Row
from app.errors import NotFound
from app.jobs import artifacts

PREVIEW_BYTES = 64_000
LARGEST_SHOWN = 64_000
"""Characters of a result as JSON that stand in the page; all of it is a download away."""
LARGEST_SUMMARY = 4_000
LONGEST_PROSE = 200_000
TEXTS = ("text/", "application/json", "application/xml", "application/sarif+json", "application/x-ndjson")
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
DIFFS = ("text/x-diff", "text/x-patch")


def part(row: Row) -> Context:
    """The panel alone."""
    return {"outcome": OUTCOME.embed(job_id=row["job_id"])}


def _read(job_id: str) -> Context:
    row = job_seen.readable(job_id, full=True)
    result = job_seen.without_secrets(row)["result"]
    return _drawn(row, result, LARGEST_SHOWN) | {
        "tables": job_tree.tables(result),
        "diffs": job_tree.diffs(result),
        "tree": job_tree.tree(result) if result else None,
        "artifacts": [preview(each) for each in artifacts.listing(row["job_id"])],
        "poll": job_seen.slowly(row),
    }


def _summary(job_id: str) -> Context:
    """What the overview shows: what is to be read, or a few lines of JSON, and how many files there are."""
    row = job_seen.readable(job_id, full=True)
    result = job_seen.without_secrets(row)["result"]
    drawn = _drawn(row, result, LARGEST_SUMMARY)
    return drawn | {"artifacts": artifacts.listing(row["job_id"]), "poll": job_seen.slowly(row)}


def _drawn(row: Row, result: dict[str, Any] | None, largest: int) -> Context:
    text = _text_of(result, row["agent_id"]) or ""
    whole = job_tree.exact(result)
    return {
        "job": row | {"result": result},
        "report": rendered(text[:LONGEST_PROSE]),
        "is_cut": len(text) > LONGEST_PROSE,
        "json": whole[:largest],
        "json_is_cut": len(whole) > largest,
    }


def _text_of(result: dict[str, Any] | None, agent_id: str) -> str | None:
    """What of a result is to be read: its report, what the agent's schema calls markdown, or a model's answer."""
    found = ((result or {}).get(name) for name in ["report", *_prose_of(agent_id)])
    return next((text for text in found if isinstance(text, str) and text), None)


def _prose_of(agent_id: str) -> list[str]:
    try:
        agent = registry.get(agent_id)
    except NotFound:  # it was removed
        return []
    properties = (agent.output_schema or {}).get("properties", {})
    named = [
        name
        for name, rule in properties.items()
        if isinstance(rule, dict) and rule.get("contentMediaType") == "text/markdown"
    ]
    return [*named, "result"] if agent.runner in ("llm", "cli") else named


def preview(artifact: Row) -> Row:
    """An artifact with how it can be shown in the page: `image`, `markdown`, `diff`, `text` or not at all."""
    kind = artifact["media_type"].partition(";")[0]
    shown = artifact | {"kind": "file", "text": None, "html": None}
    if kind in IMAGES:
        return shown | {"kind": "image"}
    if not kind.startswith(TEXTS) or artifact["size_bytes"] > PREVIEW_BYTES or kind == "text/html":
        return shown
    text = _bytes(artifact["artifact_id"]).decode("utf-8", "replace")
    if kind == "text/markdown":
        return shown | {"kind": "markdown", "html": rendered(text), "text": text}
    is_diff = kind in DIFFS or artifact["name"].endswith((".diff", ".patch"))
    return shown | {"kind": "diff" if is_diff and job_tree.is_diff(text) else "text", "text": text}


def _bytes(artifact_id: str) -> bytes:
    now = settings()
    store = artifacts.Store(now.artifact_store, now.max_artifact_bytes)
    try:
        with store.open(artifacts.get(artifact_id)["location"]) as file:
            return file.read(now.max_artifact_bytes)
    except NotFound:
        return b"(the bytes are gone from the store)"


def artifact(job_id: str, artifact_id: str) -> Response:
    """GET /jobs/<job_id>/artifacts/<artifact_id>: the bytes, in a sandbox; `?download` saves them."""
    found = artifacts.get(actions.checked_id(artifact_id))
    if found["job_id"] != actions.checked_id(job_id):
        raise NotFound
    demand(asking(), "view_task_content", found["submitted_by"])
    return sent(found)


def sent(found: Row) -> Response:
    """The bytes of an artifact that whoever asks may have."""
    now = settings()
    file = artifacts.Store(now.artifact_store, now.max_artifact_bytes).open(found["location"])
    kind = found["media_type"].partition(";")[0]
    response = Response(_chunks(file), mimetype=kind if kind in IMAGES else "application/octet-stream")
    # Whatever an agent wrote, it never runs as a page of this site.
    response.headers["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    response.headers["Content-Length"] = str(found["size_bytes"])
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    inline = kind in IMAGES and "download" not in request.args
    response.headers.set("Content-Disposition", "inline" if inline else "attachment", filename=found["name"])
    return response


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(65_536):
            yield chunk


OUTCOME = Panel(name="job_outcome", template="job/_outcome.html", read=_read, glance=job_seen.glance_inside)
SUMMARY = Panel(
    name="job_summary", template="job/_summary.html", read=_summary, glance=job_seen.glance_inside
)
