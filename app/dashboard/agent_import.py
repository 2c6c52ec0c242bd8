"""GET and POST /agents/import: choose files, look at what they would change, and only then change it.

What was looked at travels along in the form (packed, as text), so that nothing is kept between the two steps.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.agents import folders, importing, registry
from app.agents.folders import File
from app.agents.importing import Plan
from app.dashboard.session import asking
from app.dashboard.words import many
from app.db import db
from app.errors import Invalid, Malformed
from app.quality import gates


def page() -> str:
    """GET /agents/import: the file chooser."""
    demand(asking(), "configure_agent")
    return _page(None)


def submit() -> AnyResponse | str | tuple[str, int]:
    """POST /agents/import: the table of what would change; with `packed` the change itself."""
    demand(asking(), "configure_agent")
    if packed := request.form.get("packed"):
        return _apply(_unpacked(packed))
    sent = [(file.filename, file.read()) for file in request.files.getlist("files") if file.filename]
    if not sent:
        return _page(None, wrong="Choose some files first."), 422
    try:
        files = importing.from_upload(sent)
    except Invalid as wrong:
        return _page(None, wrong=wrong.message), 422
    return _page(importing.plan(files, importing.known(), gates.names()), packed=_packed(files))


def _apply(files: list[File]) -> AnyResponse | str:
    made = importing.plan(files, importing.known(), gates.names())
    done = importing.apply(made, source=registry.IMPORTED, by=asking().user_id)
    db.session.commit()
    changed = done.counts[importing.NEW] + done.counts[importing.CHANGED]
    flash(
        f"{many(changed, 'agent')} imported." if changed else "Nothing had changed.",
        "green" if changed else "amber",
    )
    if done.broken:
        return _page(done, done=True)
    return redirect(url_for("dashboard.agents"), 303)


def _page(made: Plan | None, *, packed: str = "", wrong: str = "", done: bool = False) -> str:
    return render_template(
        "agents/import.html",
        plan=made,
        items=[item.public() for item in made.items] if made else [],
        changes=sum(item.sound and item.action != importing.UNCHANGED for item in made.items) if made else 0,
        packed=packed,
        wrong=wrong,
        done=done,
        most=folders.MOST_FILES,
    )


def _packed(files: list[File]) -> str:
    told = json.dumps([[file.path, file.text, file.problem, file.chosen] for file in files])
    return base64.b64encode(zlib.compress(told.encode("utf-8", "surrogatepass"))).decode()


def _unpacked(packed: str) -> list[File]:
    """What `_packed` made; whoever made something else could as well have uploaded it, so only its form is checked."""
    opening = zlib.decompressobj()
    try:
        told = opening.decompress(base64.b64decode(packed, validate=True), folders.LARGEST_TOTAL)
        files = [
            (str(path), str(text), problem, bool(chosen)) for path, text, problem, chosen in json.loads(told)
        ]
    except (ValueError, TypeError, RecursionError, zlib.error, binascii.Error) as wrong:
        raise Malformed("The files got lost on the way; choose them again.") from wrong
    return [
        File(path=folders.demand_path(path), text=text, problem=problem and str(problem), chosen=chosen)
        for path, text, problem, chosen in files
    ]
