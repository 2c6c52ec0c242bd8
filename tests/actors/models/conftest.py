"""A context with an empty workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.actors.runners.boxes import context_in
from tests.doubles import RecordingContext


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return context_in(tmp_path)
