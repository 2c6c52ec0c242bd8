"""The app that commands of this process speak to is built once for each database, not for each command."""

from __future__ import annotations

import pytest
from flask import Flask

import app as product
from app.db import db
from app.settings import Settings

build = product.create_app
kept: dict[str, Flask] = {}


def built(settings: Settings) -> Flask:
    """As the product builds it; one of the same settings again."""
    key = settings.model_dump_json()
    if key not in kept:
        kept.clear()
        kept[key] = build(settings)
    with kept[key].app_context():
        db.open(db.engine)
    return kept[key]


@pytest.fixture(autouse=True)
def one_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building one takes longer than most commands."""
    monkeypatch.setattr(product, "create_app", built)
