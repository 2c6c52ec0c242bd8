"""A look at a definition before it is kept or run: everything wrong with it, where, and what a run would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.agents import params
from app.errors import Invalid
from app.workflows import check, plan, source
from app.workflows.check import Knowledge
from app.workflows.definition import Definition, read
from app.workflows.source import BadSource, Lines

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing that is wrong."""

    pointer: str = ""
    """Into the definition; "" is the whole. `/inputs/…` where it is about `given` inputs."""
    line: int | None = None
    """In the text, where there is one; 1 is the first."""
    message: str
    hint: str | None = None
    given: bool = False
    """It is about the inputs that were given, not about the definition."""

    def __str__(self) -> str:
        """In one line, as the command line and errors of forms say it."""
        place = ", ".join(filter(None, (f"line {self.line}" if self.line else "", self.pointer)))
        words = " ".join(filter(None, (self.message, self.hint)))
        return f"{place}: {words}" if place else words


@dataclass(frozen=True, kw_only=True)
class Review:
    """What was found."""

    definition: Definition | None = None
    """None: it cannot even be read."""
    raw: Any = None
    complaints: list[Complaint] = field(default_factory=list)
    plan: JSON | None = None
    """plan.dry_run, where nothing is wrong."""

    def demand_sound(self, below: str = "") -> None:
        """Raise Invalid with each complaint, if there is one; pointers into the definition are told `below` another.

        What has a line is told with it, at `below` itself: there, the definition is one text.
        """
        if self.complaints:
            told = [_placed(each, below) for each in self.complaints]
            raise Invalid(str(self.complaints[0]), told)


def of_text(text: str, knowledge: Knowledge, inputs: JSON | None = None) -> Review:
    """Review YAML or JSON as somebody typed it; complaints know their lines."""
    try:
        raw, lines = source.parse(text)
    except BadSource as wrong:
        what = wrong.message.partition(": ")[2]
        return Review(complaints=[Complaint(line=wrong.line, message=f"column {wrong.column}: {what}")])
    return of_json(raw, knowledge, inputs, lines=lines)


def of_json(
    raw: Any, knowledge: Knowledge, inputs: JSON | None = None, *, lines: Lines | None = None
) -> Review:
    """Review a definition; with `inputs` also whether they fit, and the plan is made with them."""
    places = lines or {}
    try:
        definition = read(raw)
    except Invalid as wrong:
        return Review(raw=raw, complaints=[_complaint(place, said, places) for place, said in wrong.fields])
    found = [
        _complaint(each.pointer, each.message, places, each.hint)
        for each in check.check(definition, knowledge)
    ]
    filled = inputs
    if not found and inputs is not None and definition.inputs is not None:
        filled, wrong_inputs = _filled(definition.inputs, inputs)
        found += wrong_inputs
    made = None if found else plan.dry_run(definition, filled or {}, knowledge)
    return Review(definition=definition, raw=raw, complaints=found, plan=made)


def _placed(complaint: Complaint, below: str) -> tuple[str, str]:
    words = " ".join(filter(None, (complaint.message, complaint.hint)))
    if complaint.given:
        return complaint.pointer, words
    return (below, str(complaint)) if complaint.line else (below + complaint.pointer, words)


def _filled(schema: JSON, inputs: JSON) -> tuple[JSON, list[Complaint]]:
    try:
        return params.check(schema, inputs), []
    except Invalid as wrong:
        told = [(place.replace("/parameters", "/inputs", 1), said) for place, said in wrong.fields]
        return inputs, [Complaint(pointer=place, message=said, given=True) for place, said in told]


def _complaint(pointer: str, said: str, lines: Lines, hint: str | None = None) -> Complaint:
    return Complaint(
        pointer=pointer, line=source.line_of(lines, pointer) if lines else None, message=said, hint=hint
    )
