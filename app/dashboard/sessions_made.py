"""What was made in a session, to be read and downloaded; and the whole session as JSON."""

from __future__ import annotations

from flask import Response, render_template

from app.dashboard import job_result
from app.dashboard.job_tree import exact
from app.dashboard.prose import rendered
from app.dashboard.session import asking
from app.dashboard.sessions_detail import artifact as shown_artifact
from app.dashboard.sessions_seen import clean, readable, shown
from app.db import Row
from app.errors import NotFound
from app.jobs import artifacts
from app.sessions import made, queries

LONGEST_SHOWN = 200_000
"""Characters that stand in the page; all of them are a download away."""
MARKDOWN = ("text/markdown", "markdown", "md")


def page(session_id: str, artifact_id: str) -> str:
    """GET /sessions/<session_id>/artifacts/<artifact_id>."""
    row = readable(session_id)
    found = made.get(row["session_id"], artifact_id)
    text, is_markdown = _text(found)
    cut = text[:LONGEST_SHOWN]
    return render_template(
        "sessions/artifact.html",
        session=shown(row),
        a=shown_artifact(row, found),
        html=rendered(cut) if is_markdown else None,
        text=cut,
        is_cut=len(text) > LONGEST_SHOWN,
    )


def _text(found: Row) -> tuple[str, bool]:
    """What there is to read, and whether it is markdown."""
    is_markdown = found["type"].partition(";")[0].lower() in MARKDOWN or found["name"].endswith(".md")
    if found["job_artifact_id"] is None:
        return found["content"] or "", is_markdown
    seen = job_result.preview(artifacts.get(found["job_artifact_id"]))
    return seen["text"] or "", is_markdown


def file(session_id: str, artifact_id: str) -> Response:
    """GET /sessions/<session_id>/artifacts/<artifact_id>/file: to be saved; it never runs as a page of this site."""
    row = readable(session_id)
    found = made.get(row["session_id"], artifact_id)
    if found["job_artifact_id"] is not None:
        return job_result.sent(artifacts.get(found["job_artifact_id"]))
    if found["content"] is None:
        raise NotFound
    response = Response(found["content"], mimetype="application/octet-stream")
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers.set("Content-Disposition", "attachment", filename=found["name"])
    return response


def document(session_id: str) -> Response:
    """GET /sessions/<session_id>/document.json: everything in it, for keeping or taking elsewhere."""
    whole = queries.document(clean(session_id), asking(), most=None)
    response = Response(exact(whole), mimetype="application/json")
    response.headers.set("Content-Disposition", "attachment", filename=f"{whole['session_id']}.json")
    return response
