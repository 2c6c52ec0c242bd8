"""What still has to be told of finished jobs and workflows: rows written by triggers, gone once they are dealt with."""

from __future__ import annotations

from app.db import Row, db

# After so many seconds at most a follow-up that broke is tried again: 2, 4, 8 …
LONGEST_PAUSE = 300


def due(limit: int) -> list[Row]:
    """The oldest that are due, not locked: {subject_type, subject_id}."""
    return db.rows(
        """SELECT subject_type, subject_id::text FROM followups WHERE next_at <= clock_timestamp()
           ORDER BY at LIMIT %(limit)s""",
        limit=limit,
    )


def take(subject_type: str, subject_id: str) -> bool:
    """Lock one until the end of the transaction; False if it is dealt with, or somebody is at it."""
    return bool(
        db.value(
            """SELECT 1 FROM followups WHERE subject_type = %(subject_type)s AND subject_id = %(subject_id)s::uuid
               FOR UPDATE SKIP LOCKED""",
            subject_type=subject_type,
            subject_id=subject_id,
        )
    )


def done(subject_type: str, subject_id: str) -> None:
    """It is dealt with."""
    db.run(
        "DELETE FROM followups WHERE subject_type = %(subject_type)s AND subject_id = %(subject_id)s::uuid",
        subject_type=subject_type,
        subject_id=subject_id,
    )


def later(subject_type: str, subject_id: str) -> None:
    """It broke; let it be tried again after a pause."""
    db.run(
        """UPDATE followups SET tries = least(tries + 1, 1000),
               next_at = clock_timestamp() + least(%(most)s, power(2, least(tries + 1, 16))) * interval '1 s'
           WHERE subject_type = %(subject_type)s AND subject_id = %(subject_id)s::uuid""",
        most=LONGEST_PAUSE,
        subject_type=subject_type,
        subject_id=subject_id,
    )
