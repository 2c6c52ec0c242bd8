"""A context with an empty workspace, and a way to have one check made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.judges import Judges
from app.quality.definition import Gate
from app.quality.report import Finding
from tests.actors.runners.boxes import context_in, work_for
from tests.doubles import RecordingContext

MakeCheck = Callable[..., Finding]


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return context_in(tmp_path)


@pytest.fixture
def check(context: RecordingContext) -> MakeCheck:
    """What one check says of a text, or of `result`; `work` changes the agent's work."""

    def make(
        text: str = "A draft.",
        *,
        result: Any = None,
        pauses: tuple[float, ...] = (),
        lenient: bool = False,
        work: dict[str, Any] | None = None,
        **spec: Any,
    ) -> Finding:
        gate = Gate.read({"checks": [spec]})
        told = replace(work_for({"http_allow_private": True}, {"topic": "drafts"}), **(work or {}))
        judges = Judges(told, context, pauses=pauses)
        (finding,) = judges.findings(gate, 1, {"text": text} if result is None else result, lenient=lenient)
        return finding

    return make
