"""No table grows for ever: each stands in the guide with what bounds it, and retention touches those that jobs fill."""

from __future__ import annotations

import re

from flask import Flask

from app.db import Base
from app.settings import ROOT, Settings

GUIDE = (ROOT / "docs" / "database.md").read_text()


def _rows() -> list[tuple[list[str], str]]:
    """Of each row of the guide's table: the tables it names, and what bounds them."""
    section = GUIDE.partition("## Growth")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`(\w+)`", row[0]), row[2]) for row in cells]


def test_every_table_is_listed_once_with_what_bounds_it(app: Flask) -> None:
    assert app  # made with all tables known
    listed = [table for tables, _ in _rows() for table in tables]
    assert sorted(listed) == sorted([*Base.metadata.tables, "alembic_version"])
    assert all(bound.strip() for _, bound in _rows())


def test_a_setting_that_bounds_a_table_exists() -> None:
    known = {field.alias or name.upper() for name, field in Settings.model_fields.items()}
    named = {word for _, bound in _rows() for word in re.findall(r"`([A-Z_]+)`", bound)}
    assert named
    assert named <= known
