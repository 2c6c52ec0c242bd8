"""A context with an empty workspace, and a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.runners.boxes import context_in
from tests.actors.runners.server import Site, serving
from tests.doubles import RecordingContext


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return context_in(tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        yield served
