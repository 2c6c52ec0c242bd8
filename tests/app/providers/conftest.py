"""A provider to try things on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import db
from app.providers import catalogue


@pytest.fixture
def provider(quick: Engine) -> Callable[..., str]:
    """Make one: `provider("acme", max_concurrent=3)`; answers its id."""

    def make(provider_id: str = "acme", **values: Any) -> str:
        with db.transaction():
            catalogue.add(
                provider_id, {"base_url": "http://127.0.0.1:9/v1", "model": "m", "title": "Acme"} | values
            )
        return provider_id

    return make
