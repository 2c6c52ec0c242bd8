"""Contexts for attempts of real CLIs, and workers in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.actors.conftest import make_post
from tests.doubles import RecordingContext
from tests.slow.real_clis import AtTool

__all__ = ["make_post"]


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return RecordingContext(workspace=tmp_path)


@pytest.fixture
def at_tool(tmp_path: Path) -> AtTool:
    return AtTool(workspace=tmp_path)
