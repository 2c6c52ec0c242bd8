"""What somebody may do to the log who owns the database: no trigger stops them. Each wants a transaction."""

from __future__ import annotations

from app.db import db


def written(count: int, actor: str = "ada") -> list[int]:
    """The ids of so many new entries."""
    rows = db.rows(
        """INSERT INTO audit_log (actor, action, subject, details)
           SELECT %(actor)s, 'job.cancelled', 'job-' || n, jsonb_build_object('n', n, 'rate', 1.10, 'word', 'Zürich')
           FROM generate_series(1, %(count)s) AS n RETURNING id""",
        actor=actor,
        count=count,
    )
    return [row["id"] for row in rows]


def behind_its_back(statement: str, **values: object) -> int:
    """Run a statement with the triggers of both tables asleep; answers how many rows it touched."""
    for table in ("audit_log", "audit_chain"):
        db.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    touched = db.run(statement, **values)
    for table in ("audit_log", "audit_chain"):
        db.run(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    return touched
