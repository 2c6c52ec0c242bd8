"""What Postgres was asked by this process: each statement is counted, and one that took long stands in the log.

Its text is ours and holds no values: those go to Postgres beside it, and are told to nobody.
"""

from __future__ import annotations

from app.observe import logs, metrics

log = logs.get(__name__)

MOST_LETTERS = 300


def took(seconds: float, statement: str) -> None:
    """A statement was answered, refused, or cut off by its time limit."""
    metrics.statement_took(seconds)
    if seconds > metrics.SLOW_SECONDS:
        log.warning(
            "db.slow", seconds=round(seconds, 1), statement=" ".join(statement.split())[:MOST_LETTERS]
        )
