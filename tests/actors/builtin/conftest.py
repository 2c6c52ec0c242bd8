from __future__ import annotations

from pathlib import Path

import pytest

from tests.actors.builtin.desk import Desk
from tests.doubles import RecordingContext


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    root, workspace = tmp_path / "projects", tmp_path / "workspace"
    root.mkdir()
    workspace.mkdir()
    return Desk(root=root, context=RecordingContext(workspace=workspace))
