"""Tests of the room speak to it as a worker does: each statement its own transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    """The whole test inside `db.quick()`."""
    with db.quick():
        yield
