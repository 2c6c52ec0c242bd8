"""What an agent wants to ask, checked before anything is kept: agents are not trusted to ask well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from app.agents import schemas
from app.approvals.answering import LONGEST_TEXT
from app.approvals.asking import LONGEST_QUESTION, digest, named
from app.db import dumps
from app.errors import Invalid

OPTIONS = ("approve", "reject", "edit", "ask_back")
LONGEST_KEY = 1_000
LARGEST_SHOWN, LARGEST_FORM = 1_000_000, 100_000
"""Characters, written as JSON."""
MOST_APPROVERS = 50
LONGEST_WAIT = 366 * 86_400.0
Faults = Iterator[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The arguments of Context.ask; `check` says what cannot be asked."""

    question: Any
    key: Any = ""
    shown: Any = None
    form: Any = None
    options: Any = ("approve", "reject")
    editable: Any = None
    approvers: Any = ()
    deadline_seconds: Any = None
    on_timeout: Any = "reject"
    escalate_seconds: Any = None
    escalate_to: Any = ()
    kind: Any = "agent"
    draft_number: Any = None

    @classmethod
    def of(cls, question: Any, **more: Any) -> Self:
        """With everything as it is when it has been JSON, so that an answer is found again."""
        plain = {
            name: orjson.loads(dumps(more[name])) for name in ("shown", "form", "editable") if name in more
        }
        return cls(question=question, **more | plain)

    def check(self) -> None:
        """Raise Invalid with a pointer for each argument that is wrong."""
        wrong = [*self._words(), *self._shows(), *self._choices(), *self._people(), *self._times()]
        if wrong:
            raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)

    @property
    def digest(self) -> str:
        """What an answer holds for."""
        return digest(self.key, self.question, self.shown, self.form, self.editable)

    def as_question(self) -> dict[str, Any]:
        """As `asking.ask_for_job` takes it."""
        parts = {name: value for name, value in asdict(self).items() if name != "key"}
        return parts | {"digest": self.digest}

    def _words(self) -> Faults:
        if not isinstance(self.question, str) or not _can_be_seen(self.question):
            yield "/question", "must be a text that is not empty"
        elif len(self.question) > LONGEST_QUESTION:
            yield "/question", f"must have at most {LONGEST_QUESTION:,} characters"
        if not isinstance(self.key, str) or len(self.key) > LONGEST_KEY:
            yield "/key", f"must be a text of at most {LONGEST_KEY:,} characters"
        if self.kind not in ("agent", "gate"):
            yield "/kind", "must be agent or gate"
        if self.draft_number is not None and not (_is_whole(self.draft_number) and self.draft_number > 0):
            yield "/draft_number", "must be a whole number from 1 on"

    def _shows(self) -> Faults:
        if _size(self.shown) > LARGEST_SHOWN:
            yield "/shown", f"must be JSON of at most {LARGEST_SHOWN:,} characters"
        if self.editable is not None:
            yield from self._editable()
        if self.form is not None:
            yield from _form(self.form)

    def _editable(self) -> Faults:
        if not isinstance(self.editable, dict) or set(self.editable) not in ({"text"}, {"value"}):
            yield "/editable", 'must be {"text": a text} or {"value": any JSON}'
        elif not isinstance(text := self.editable.get("text", ""), str) or len(text) > LONGEST_TEXT:
            yield "/editable/text", f"must be a text of at most {LONGEST_TEXT:,} characters"
        elif _size(self.editable) > LARGEST_SHOWN:
            yield "/editable", f"must be JSON of at most {LARGEST_SHOWN:,} characters"

    def _choices(self) -> Faults:
        given = self.options if isinstance(self.options, list | tuple) else ()
        unknown = [each for each in given if each not in OPTIONS]
        if not given or unknown or len(set(given)) < len(given):
            yield "/options", f"must name some of {', '.join(OPTIONS)}, each once"
        elif not {"approve", "edit"} & set(given):
            yield "/options", "must let somebody say yes: approve or edit"
        elif "edit" in given and self.editable is None:
            yield "/editable", "is required where `options` has edit"
        if self.on_timeout not in ("approve", "reject"):
            yield "/on_timeout", "must be approve or reject"

    def _people(self) -> Faults:
        for name, people in (("approvers", self.approvers), ("escalate_to", self.escalate_to)):
            yield from wrong_people(people, f"/{name}")
        if self.escalate_to and self.escalate_seconds is None:
            yield "/escalate_seconds", "is required with escalate_to: after how long?"
        if self.escalate_seconds is not None and not self.escalate_to:
            yield "/escalate_to", "is required with escalate_seconds: to whom?"

    def _times(self) -> Faults:
        for name in ("deadline_seconds", "escalate_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not _is_time(seconds):
                yield f"/{name}", "must be more than 0, and at most a year"


def wrong_people(people: Any, at: str) -> Faults:
    """What is wrong with a list of approvers."""
    if not isinstance(people, list | tuple) or len(people) > MOST_APPROVERS:
        yield at, f"must be a list of at most {MOST_APPROVERS} e-mail addresses and roles"
        return
    for n, who in enumerate(people):
        try:
            named([who])
        except Invalid as wrong:
            yield f"{at}/{n}", wrong.message


def _form(form: Any) -> Faults:
    if not isinstance(form, dict):
        yield "/form", "must be a JSON Schema of an object"
    elif _size(form) > LARGEST_FORM:
        yield "/form", f"must have at most {LARGEST_FORM:,} characters"
    else:
        yield from ((fault.pointer, fault.message) for fault in schemas.faults(form, "/form"))


def _can_be_seen(text: str) -> bool:
    """Whether it has more than blanks and characters without a shape."""
    return any(character.isprintable() and not character.isspace() for character in text)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value < 2**31


def _is_time(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 < value <= LONGEST_WAIT


def _size(value: Any) -> int:
    return len(dumps(value))
