"""A transaction around each test of the room: nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from app.db import db


@pytest.fixture(autouse=True)
def transaction(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        db.session.rollback()
