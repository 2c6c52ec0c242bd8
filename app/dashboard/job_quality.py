"""The quality of one job: its panel on the job's page, each draft, and what changed from one draft to another."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from flask import render_template, request

from app.dashboard import job_seen, score_chart
from app.dashboard.gated import gate_of, text_at
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.prose import rendered
from app.dashboard.prose_changes import changes
from app.dashboard.session import asking, settings
from app.dashboard.words import pretty
from app.db import Row
from app.errors import NotFound
from app.jobs.document import etag
from app.quality import drafts
from app.quality.subject import text_of

FIRST_LOOK_MS = 5000
"""While an agent with a gate has no draft yet."""


def _glance(job_id: str) -> tuple[str, str]:
    row = job_seen.glimpsed(job_id)
    seen = drafts.glance(row["job_id"])
    return etag(row, asking(), f".{seen}"), _poll(row, bool(seen))


def _poll(row: Row, has_drafts: bool) -> str:
    if row["finished_at"] is not None:
        return STOP
    if has_drafts:
        return every(settings().poll_running_ms)
    return every(FIRST_LOOK_MS) if gate_of(row["agent_id"], row["agent_version"]) else STOP


def _read(job_id: str) -> Context:
    row = job_seen.readable(job_id)
    found = drafts.outline(row["job_id"])
    newest = next((draft for draft in reversed(found) if draft["report"]), None)
    has_gate = bool(gate_of(row["agent_id"], row["agent_version"]))
    return {
        "job": row,
        "has_gate": has_gate,
        "drafts": _with_gain(found),
        "newest": newest,
        "chart": _chart(found),
        "poll": _poll(row, bool(found)),
    }


def _with_gain(found: list[Row]) -> list[Row]:
    """The drafts, each with what it gained on the one before."""
    gains: list[float | None] = [None, *(_gain(before, after) for before, after in pairwise(found))]
    return [draft | {"gain": gain} for draft, gain in zip(found, gains, strict=False)]


def _gain(before: Row, after: Row) -> float | None:
    if before["score"] is None or after["score"] is None:
        return None
    return float(after["score"] - before["score"])


def _chart(found: list[Row]) -> score_chart.Chart | None:
    if not found:
        return None
    threshold = next(
        (draft["threshold"] for draft in reversed(found) if draft["threshold"] is not None), None
    )
    return score_chart.draw([(draft["number"], draft["score"]) for draft in found], threshold)


def part(row: Row) -> dict[str, Any]:
    """The panel alone."""
    return {"quality": PANEL.embed(job_id=row["job_id"])}


def draft(job_id: str, number: str) -> str:
    """GET /jobs/<job_id>/drafts/<number>: the draft as it reads, and what each check said of it."""
    row = job_seen.readable(job_id)
    shown = _one(row["job_id"], _number(number))
    return render_template(
        "quality/draft.html",
        job=row,
        draft=shown,
        numbers=[each["number"] for each in drafts.outline(row["job_id"])],
        text=rendered(_text(row, shown)),
    )


def compare(job_id: str) -> str:
    """GET /jobs/<job_id>/drafts: what changed from draft `?a=` to draft `?b=`; left out, the last two."""
    row = job_seen.readable(job_id)
    outline = drafts.outline(row["job_id"])
    if not outline:
        raise NotFound
    numbers = [each["number"] for each in outline]
    first, second = (
        _one(row["job_id"], number) for number in (_asked("a", numbers[-2:][0]), _asked("b", numbers[-1]))
    )
    return render_template(
        "quality/changes.html",
        job=row,
        numbers=numbers,
        before=first,
        after=second,
        gain=_gain(first, second),
        checks=_moved(first["report"] or {}, second["report"] or {}),
        changes=changes(*(_text(row, each) or pretty(each["content"]) for each in (first, second))),
    )


def _asked(name: str, usual: int) -> int:
    text = request.args.get(name, "")
    return _number(text) if text else usual


def _number(text: str) -> int:
    if not (text.isdecimal() and len(text) < 7):
        raise NotFound
    return int(text)


def _one(job_id: str, number: int) -> Row:
    found = drafts.one(job_id, number)
    if found is None:
        raise NotFound
    return found


def _text(row: Row, shown: Row) -> str:
    """What of a draft is to be read, where its gate looks; empty for a result without a text."""
    path = text_at(row["agent_id"], row["agent_version"], (shown["report"] or {}).get("gate"))
    return text_of(shown["content"], path)


def _moved(before: dict[str, Any], after: dict[str, Any]) -> list[Row]:
    """The checks whose score is another: {name, before, after, gain, mended, broken}."""
    old = {check["name"]: check for check in before.get("checks") or []}
    return [
        {
            "name": check["name"],
            "before": old[check["name"]]["score"],
            "after": check["score"],
            "gain": _gain(old[check["name"]], check),
            "mended": old[check["name"]]["passed"] is False and check["passed"] is True,
            "broken": old[check["name"]]["passed"] is True and check["passed"] is False,
        }
        for check in after.get("checks") or []
        if check["name"] in old and old[check["name"]]["score"] != check["score"]
    ]


PANEL = Panel(name="job_quality", template="job/_quality.html", read=_read, glance=_glance)
