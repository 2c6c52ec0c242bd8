"""What is judged: a text, the result it is part of, and what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from app.quality.definition import CheckSpec, Gate
from app.quality.text.draft import Draft
from app.quality.text.tone import TONES, tone_of_voice

USUAL = ("content", "report", "result", "text", "body", "markdown", "output", "answer", "summary")
"""Where results keep their text; the first that is there counts."""
TITLES = ("title", "headline")


@dataclass(frozen=True)
class Subject:
    """A text with the result around it and the wishes of whoever asked for it."""

    text: str
    value: Any = None
    """The whole result."""
    brief: Mapping[str, Any] = field(default_factory=dict)
    """The job's parameters: topic, target_length, tone, primary_keyword, …"""
    schema: dict[str, Any] | None = None
    """The output schema of the agent."""

    @classmethod
    def of(
        cls,
        gate: Gate,
        result: Any,
        brief: Mapping[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
    ) -> Subject:
        """What a gate looks at in a result."""
        return cls(text_of(result, gate.of), result, brief or {}, schema)

    def part(self, spec: CheckSpec) -> Subject:
        """What one check looks at: the same, or what its `of` names."""
        if spec.of is None:
            return self
        return Subject(text_of(self.value, spec.of), at(self.value, spec.of), self.brief, self.schema)

    @cached_property
    def draft(self) -> Draft:
        """The text taken apart."""
        title = next((said for name in TITLES if isinstance(said := at(self.value, name), str)), "")
        return Draft(self.text, title)

    def said(self, name: str) -> str:
        """A wish in words; empty if there is none."""
        value = self.brief.get(name)
        return value.strip()[:2000] if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """A wish as a number; 0 if there is none."""
        value = self.brief.get(name)
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value.strip()[:9])
        return int(value) if isinstance(value, int | float) and 0 < value < 10**7 else 0

    def listed(self, name: str) -> list[str]:
        """A wish that is a list of words, or one text with commas between them."""
        value = self.brief.get(name)
        given = (
            value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else []
        )
        return [said.strip()[:200] for said in given[:50] if isinstance(said, str) and said.strip()]

    @property
    def tone(self) -> str:
        """The tone that was asked for, as one of those we can tell."""
        asked = self.said("tone").lower()
        return (
            asked
            if asked in TONES
            else tone_of_voice(asked) or tone_of_voice(self.said("brand_voice")) or TONES[0]
        )


def at(value: Any, path: str) -> Any:
    """What stands at `report.summary` or `pages.0.text` of a result; None if there is nothing."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and int(part[:6]) < len(value):
            value = value[int(part[:6])]
        else:
            return None
    return value


def text_of(result: Any, path: str | None = None) -> str:
    """The text of a result, at `path` or where results usually have it; empty if there is none."""
    if path is not None:
        return _as_text(at(result, path))
    if isinstance(result, Mapping):
        return next(
            (said for name in USUAL if isinstance(said := result.get(name), str) and said.strip()), ""
        )
    return _as_text(result)


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()
