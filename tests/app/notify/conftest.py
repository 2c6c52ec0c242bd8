"""A clean database, and a process that tells by the defaults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.notify import setup
from app.notify.setup import Setup


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> Iterator[None]:
    """Nothing of other tests; the setup is put back."""
    before = setup.present()
    setup.use(Setup(public_url="https://board.example"))
    yield
    setup.use(before)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each time a courier was woken."""
    calls: list[bool] = []
    monkeypatch.setattr(setup, "_wake", lambda: calls.append(True))
    return calls
