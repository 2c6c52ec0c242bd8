"""Everything of a test inside one `db.quick()`, on a clean database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    """The rooms can be spoken to."""
    with db.quick():
        yield
