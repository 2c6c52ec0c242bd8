"""Quality gates: what there is, saving and archiving one, and judging a text by one on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import may
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import JSON, Page, PageQuery, When
from app.db import Row
from app.errors import Invalid
from app.quality import gates
from app.quality.checks import Subject, judge
from app.quality.definition import NAME, Gate

LONGEST_TEXT = 200_000
"""Characters of a text, or of a result as JSON, that is judged while the caller waits."""
MOST_CHECKS = 25
"""Of a gate that somebody only tries."""

GateName = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]


class GateOut(BaseModel):
    """A gate in the list of all."""

    name: str
    title: str
    version: int = Field(description="The newest; it holds.")
    threshold: float = Field(description="The score that passes, 0 to 10.")
    refinements: int | None = Field(description="null: three, where the agent can do better.")
    otherwise: Literal["needs_review", "rejected"] = Field(description="What becomes of what does not pass.")
    checks: list[str] = Field(description="The names of its checks.")
    built_in: bool = Field(description="It came with Callboard, and nobody changed it.")
    created_at: When
    actions: list[str] = Field(description="What you may do with it: save, archive.")


class GateWhole(GateOut):
    """A gate with what it checks."""

    current_version: int
    definition: JSON
    note: str | None
    created_by: str | None = Field(description="Who saved this version; null: it came with Callboard.")
    archived_at: When | None


class GatesQuery(PageQuery):
    """Which gates."""

    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="In the name or title."
    )


class GatesOut(Page):
    """The gates that are not archived, by name."""

    gates: list[GateOut]


class GateQuery(Input):
    """Which version of a gate."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Left out: the newest.")


class GateIn(Input):
    """A gate to keep."""

    definition: JSON = Field(
        description="title, of, threshold, refinements, otherwise, …, checks; see docs/quality.md."
    )
    note: Annotated[str, StringConstraints(min_length=1, max_length=gates.LONGEST_NOTE)] | None = Field(
        None, description="What is new in this version."
    )


class GateVersionOut(BaseModel):
    """One version in the list of all."""

    version: int
    title: str
    note: str | None
    created_by: str | None
    created_at: When
    current: bool


class GateVersionsOut(BaseModel):
    """The newest hundred versions of a gate, newest first."""

    name: str
    versions: list[GateVersionOut]


class QualityCheckIn(Input):
    """A text, or a whole result, to judge; nothing of it is kept."""

    gate: str | JSON = Field(description="The name of a gate, or a gate written here.")
    text: Annotated[str, StringConstraints(max_length=LONGEST_TEXT)] | None = Field(
        None, description="The text; or send `result`."
    )
    result: Any = Field(
        None, description="A result as an agent would give it; the gate's `of` finds the text in it."
    )
    brief: JSON = Field(
        default_factory=dict, description="What was asked for: topic, target_length, tone, primary_keyword, …"
    )


class FindingOut(BaseModel):
    """What one check found."""

    name: str
    kind: str
    score: float | None = Field(
        description="0 to 10; null: not judged (evidence says why), or not made (error does)."
    )
    weight: float
    threshold: float | None
    mode: str
    passed: bool | None
    evidence: str
    issue: str | None
    suggestion: str | None
    error: str | None


class ReportOut(BaseModel):
    """What a gate says of a text."""

    attempt: int
    score: float | None
    threshold: float
    passed: bool
    verdict: str | None
    issues: list[str] = Field(description="The costliest first.")
    feedback: str
    checks: list[FindingOut]
    gate: JSON


@op("GET", "/api/v1/quality/gates", verb="view_gates", out=GatesOut)
def list_quality_gates(query: GatesQuery) -> dict[str, Any]:
    """List the gates that agents can name."""
    rows = gates.page(q=query.q, limit=query.limit, offset=query.offset)
    return {
        "gates": [_shown(row, GateOut) for row in rows],
        "total": gates.count(q=query.q),
        "limit": query.limit,
        "offset": query.offset,
    }


@op("GET", "/api/v1/quality/gates/<name>", verb="view_gates", out=GateWhole, errors=(404,))
def get_quality_gate(name: GateName, query: GateQuery) -> dict[str, Any]:
    """Show a gate; one that is archived too, because agents may name it still."""
    return _shown(gates.named(name, query.version, archived=True), GateWhole)


@op("PUT", "/api/v1/quality/gates/<name>", verb="manage_gates", out=GateWhole)
def save_quality_gate(name: GateName, body: GateIn) -> dict[str, Any]:
    """Keep a gate under a name: a new version, unless it is as it was. Jobs that begin from now on are judged by it."""
    with _below("/definition"):
        saved = gates.save(name, body.definition, by=current_principal().user_id, note=body.note)
    noted("quality_gate.saved", name, {"version": saved["version"]})
    return _shown(saved, GateWhole)


@op("DELETE", "/api/v1/quality/gates/<name>", verb="manage_gates", status=204, errors=(404,))
def archive_quality_gate(name: GateName) -> None:
    """Take a gate out of the list; agents that name it keep it, and saving it brings it back."""
    gates.archive(name)
    noted("quality_gate.archived", name)


@op("GET", "/api/v1/quality/gates/<name>/versions", verb="view_gates", out=GateVersionsOut, errors=(404,))
def list_quality_gate_versions(name: GateName) -> dict[str, Any]:
    """List the versions of a gate."""
    return {"name": name, "versions": gates.versions(name)}


@op("POST", "/api/v1/quality/check", verb="view_gates", out=ReportOut, errors=(404,))
def check_quality(body: QualityCheckIn) -> dict[str, Any]:
    """Judge a text by a gate, without a job; nothing is kept.

    Checks that run a program, call an address or ask a model are not made here: their score is null.
    """
    if (body.text is None) == ("result" not in body.model_fields_set):
        raise Invalid("Send either text or result.", [("/text", "or result, and not both")])
    gate = _gate(body.gate)
    brief = body.brief
    if body.text is not None:
        return judge(gate, Subject(body.text, {"content": body.text}, brief)).document()
    if len(orjson.dumps(body.result)) > LONGEST_TEXT:
        raise Invalid(
            "The result is too large.", [("/result", f"at most {LONGEST_TEXT:,} characters of JSON")]
        )
    return judge(gate, Subject.of(gate, body.result, brief)).document()


def _gate(wanted: str | JSON) -> Gate:
    if isinstance(wanted, str):
        return gates.gate(gates.named(wanted)["name"])
    with _below("/gate"):
        made = Gate.read(wanted)
    if len(made.checks) > MOST_CHECKS:
        raise Invalid(
            "There are too many checks.", [("/gate/checks", f"at most {MOST_CHECKS} are tried here")]
        )
    return made


@contextmanager
def _below(place: str) -> Iterator[None]:
    """Let mistakes of a gate be told where it stands in the body."""
    try:
        yield
    except Invalid as wrong:
        raise Invalid(wrong.message, [(place + pointer, said) for pointer, said in wrong.fields]) from wrong


def _shown(row: Row, shape: type[BaseModel]) -> dict[str, Any]:
    made = Gate.read(row["definition"])
    shown = row | {
        "threshold": made.threshold,
        "refinements": made.refinements,
        "otherwise": made.otherwise,
        "checks": [spec.name for spec in made.checks],
        "built_in": row["created_by"] is None,
        "actions": ["save", "archive"] if may(current_principal(), "manage_gates") else [],
    }
    return {name: shown[name] for name in shape.model_fields}
