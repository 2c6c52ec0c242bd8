"""Every test of the audit begins with an empty log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db


@pytest.fixture
def here(quick: Engine) -> Iterator[Engine]:
    """Each statement of the test is its own transaction."""
    with db.quick():
        yield quick
