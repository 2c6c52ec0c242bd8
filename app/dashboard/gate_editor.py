"""GET and POST /gate-editor: write a gate, have it checked, try it on a text, keep it.

One form and one address for all of it, so whatever is pressed, what was typed comes back with the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_origin

import orjson
from flask import make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.dashboard import gates as pages
from app.dashboard.session import asking
from app.db import db
from app.errors import Invalid
from app.quality import checks, gates
from app.quality.definition import KINDS, WORKER_ONLY, CheckSpec, Gate
from app.quality.report import Report
from app.quality.subject import Subject
from app.workflows import source
from app.workflows.source import BadSource

FEWEST_ROWS = 18
LONGEST_SAMPLE = 50_000
WISHES = {
    "topic": "Topic",
    "target_length": "Length in words",
    "tone": "Tone",
    "primary_keyword": "Key phrase",
}

EMPTY = """\
title: Blog post
threshold: 7.0
refinements: 3
otherwise: needs_review
checks:
  - check: length
    mode: blocking
    min_words: 300
  - check: structure
  - check: conclusion
    weight: 2
  - check: stock_phrases
"""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Everything that stands in the form."""

    text: str = EMPTY
    name: str = ""
    note: str = ""
    sample: str = ""
    wishes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing that is wrong with the gate."""

    message: str
    line: int | None = None
    pointer: str = ""


def page() -> str:
    """GET /gate-editor; `?gate=` begins with a gate, `&version=` with one of its older ones."""
    demand(asking(), "view_gates")
    if not (name := request.args.get("gate")):
        return _draw(Typed())
    version = request.args.get("version", "")
    row = gates.named(
        name, int(version) if version.isdecimal() and len(version) < 10 else None, archived=True
    )
    return _draw(Typed(text=pages.as_yaml(row["definition"]), name=name if pages.may_change() else ""))


def submit() -> AnyResponse:
    """POST /gate-editor: what `verb` says, or the form again with what is wrong."""
    demand(asking(), "view_gates")
    form = request.form
    typed = Typed(
        text=form.get("text", "").replace("\r\n", "\n"),
        name=form.get("name", "").strip(),
        note=form.get("note", "").strip(),
        sample=form.get("sample", "").replace("\r\n", "\n"),
        wishes={name: form.get(name, "").strip()[:2000] for name in WISHES},
    )
    gate, complaints = read(typed.text)
    if gate is None:
        return _answer(typed, complaints)
    return VERBS.get(form.get("verb", ""), _check)(typed, gate)


def read(text: str) -> tuple[Gate | None, list[Complaint]]:
    """The gate that a text means, or everything that is wrong with it, each at its line."""
    try:
        raw, lines = source.parse(text)
    except BadSource as wrong:
        what = wrong.message.partition(": ")[2]
        return None, [Complaint(line=wrong.line, message=f"column {wrong.column}: {what}")]
    try:
        return Gate.read(raw), []
    except Invalid as wrong:
        return None, [
            Complaint(message=said, pointer=pointer, line=source.line_of(lines, pointer) if lines else None)
            for pointer, said in wrong.fields
        ]


def _check(typed: Typed, _: Gate) -> AnyResponse:
    return _answer(typed, [], says_sound=True)


def _try(typed: Typed, gate: Gate) -> AnyResponse:
    wrong = _bad_sample(typed.sample)
    if wrong:
        return _answer(typed, [], wrong={"sample": wrong})
    return _answer(typed, [], report=tried(gate, typed.sample, typed.wishes))


def _bad_sample(sample: str) -> str:
    if not sample.strip():
        return "Paste a text to try it on."
    if len(sample) > LONGEST_SAMPLE:
        return f"At most {LONGEST_SAMPLE:,} characters; this has {len(sample):,}."
    return ""


def tried(gate: Gate, sample: str, wishes: dict[str, str]) -> Report:
    """What the gate says of a text, or of a whole result that is pasted as JSON; what needs a worker does not run."""
    result = _result(gate, sample)
    return checks.judge(gate, Subject.of(gate, result, {name: said for name, said in wishes.items() if said}))


def _result(gate: Gate, sample: str) -> Any:
    if sample.lstrip().startswith("{"):
        try:
            return orjson.loads(sample)
        except orjson.JSONDecodeError:
            pass  # a text that begins with a brace
    result: Any = sample
    for part in reversed((gate.of or "content").split(".")):
        result = {part: result}
    return result


def _save(typed: Typed, _: Gate) -> AnyResponse:
    """Keep it under a name: a new gate, or the next version of one."""
    demand(asking(), "manage_gates")
    try:
        row = gates.save(
            typed.name, source.parse(typed.text)[0], by=asking().user_id, note=typed.note or None
        )
    except Invalid as wrong:
        db.session.rollback()
        return _answer(
            typed, [], wrong={pointer.strip("/") or "name": said for pointer, said in wrong.fields}
        )
    return pages.done(row, "saved", f"Kept as {row['name']}, version {row['version']}.")


VERBS: dict[str, Callable[[Typed, Gate], AnyResponse]] = {"check": _check, "try": _try, "save": _save}


def _answer(
    typed: Typed, complaints: list[Complaint], wrong: dict[str, str] | None = None, **said: Any
) -> AnyResponse:
    is_sound = not complaints and not wrong
    return make_response(
        _draw(typed, complaints=complaints, wrong=wrong or {}, is_checked=True, **said),
        200 if is_sound else 422,
    )


def _draw(typed: Typed, **said: Any) -> str:
    complaints = sorted(said.pop("complaints", []), key=lambda each: each.line or 0)
    report: Report | None = said.pop("report", None)
    return render_template(
        "quality/gate_editor.html",
        typed=typed,
        lines=max(typed.text.count("\n") + 2, FEWEST_ROWS),
        complaints=complaints,
        bad_lines={each.line for each in complaints if each.line},
        wishes=WISHES,
        kinds=[_kind(name, kind) for name, kind in KINDS.items()],
        longest=LONGEST_SAMPLE,
        report=report.document() if report else None,
        **{"wrong": {}, "is_checked": False, "says_sound": False} | said,
    )


def _kind(name: str, kind: type[CheckSpec]) -> dict[str, Any]:
    own = {key: each for key, each in kind.model_fields.items() if key not in CheckSpec.model_fields}
    return {
        "name": name,
        "means": (kind.__doc__ or "").partition("\n")[0],
        "options": [
            each.alias or key for key, each in own.items() if get_origin(each.annotation) is not Literal
        ],
        "on_workers": name in WORKER_ONLY,
    }
