"""Tests of the room speak to it as the doors do: in a transaction, with an agent that takes any parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db
from tests import acting


@pytest.fixture
def anything(quick: Engine) -> Engine:
    """The agent `anything` is there."""
    with db.transaction():
        acting.agent("anything")
    return quick


@pytest.fixture
def here(anything: Engine) -> Iterator[None]:
    """The whole test inside one transaction, which is committed."""
    with db.transaction():
        yield
