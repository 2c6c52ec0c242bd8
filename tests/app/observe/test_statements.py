"""A statement that took long stands in the log by its text, and what it was asked about does not."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2.errors
import pytest
import structlog
from sqlalchemy import Engine
from structlog.testing import LogCapture

from app.db import Row, db
from app.observe import metrics, statements

SLOW = "SELECT %(who)s,\n            pg_sleep(0.15)"


@pytest.fixture
def lines(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Row]]:
    """What was logged of statements; a tenth of a second is long here."""
    kept = LogCapture()
    monkeypatch.setattr(statements, "log", structlog.wrap_logger(None, processors=[kept]))
    monkeypatch.setattr(metrics, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(db, "heard", statements.took)
    with db.quick():
        yield kept.entries


def test_a_slow_one_is_told_without_its_values(lines: list[Row]) -> None:
    db.row(SLOW, who="ada@example.org")

    (line,) = lines
    assert (line["event"], line["log_level"]) == ("db.slow", "warning")
    assert line["statement"] == "SELECT %(who)s, pg_sleep(0.15)"
    assert 0.1 <= line["seconds"] < 10
    assert "ada" not in str(line)


def test_one_that_was_cut_off_is_told_too(lines: list[Row]) -> None:
    with pytest.raises(psycopg2.errors.QueryCanceled), db.transaction():
        db.run("SET LOCAL statement_timeout = 120")
        db.value("SELECT pg_sleep(60)")

    assert [line["statement"] for line in lines] == ["SELECT pg_sleep(60)"]


def test_the_others_are_not_and_a_long_text_is_cut(lines: list[Row]) -> None:
    db.value("SELECT 1")
    db.value(f"SELECT {'1 + ' * 200} 1, pg_sleep(0.15)")

    (line,) = lines
    assert len(line["statement"]) == statements.MOST_LETTERS
