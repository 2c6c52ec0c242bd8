"""What texts of sessions mean: which of them wait for it, what was found out, and what is nearest to a question.

`look_through` puts what is new or has changed into the queue, `take` hands it out, and `keep` or `put_off` settle it.
A vector is compared in two steps: by the signs of its numbers, which Postgres counts quickly, and of those that are
nearest so the numbers themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import mul

from app.accounts.permissions import Principal, may
from app.db import Row, db
from app.sessions import access

KINDS = {"memory": "memories", "message": "messages", "artifact": "artifacts"}
"""How a vector and a search call the same."""
CANDIDATES, SESSIONS, OF_EACH = 5000, 1000, 1000
"""So many vectors are compared, of the sessions in which something happened last, and so many of one of them."""
EXACTLY = 100
"""Of those with the nearest signs the numbers are compared."""
LEAST, OF_THE_BEST = 0.2, 0.7
"""What is less alike than this, or than so much of the likeness of the nearest, is not found."""
LONGEST_TEXT = 6000
LEASE = timedelta(minutes=2)
"""Whoever took texts and says nothing for so long is dead."""
BACK = timedelta(minutes=2)
"""How far back is looked again: longer than a transaction takes to commit."""

# Per kind: its table, its id, and its version.
_TEXTS = {
    "message": ("session_messages", "message_id", "1"),
    "memory": ("memories", "memory_id", "x.version"),
    "artifact": ("session_artifacts", "artifact_id", "1"),
}
_FITTING = {"artifact": "AND x.content IS NOT NULL"}


@dataclass(frozen=True)
class Meant:
    """A question as a model has it."""

    model: str
    vector: tuple[float, ...]


Mark = tuple[datetime, str]
"""Up to where sessions were looked through, by when something happened in them last."""


def look_through(model: str, mark: Mark | None, limit: int = 50) -> tuple[Mark, bool]:
    """Queue what has no vector of `model` in the next sessions behind `mark`; answers the next mark and whether more follow.

    None begins with the first. Whoever comes to the end looks at the last minutes again and again. Doing it twice, or
    by two processes, does no harm.
    """
    sessions = db.rows(
        """SELECT session_id, updated_at FROM sessions
           WHERE deleted_at IS NULL AND (updated_at, session_id) > (%(at)s::timestamptz, %(id)s)
           ORDER BY updated_at, session_id LIMIT %(limit)s""",
        at=mark[0] if mark else "-infinity",
        id=mark[1] if mark else "",
        limit=limit,
    )
    ids = [row["session_id"] for row in sessions]
    for kind in _TEXTS if ids else ():
        _queue(kind, model, ids)
    if len(sessions) == limit:
        return (sessions[-1]["updated_at"], sessions[-1]["session_id"]), True
    return (db.value("SELECT clock_timestamp() - %(back)s", back=BACK), ""), False


def _queue(kind: str, model: str, session_ids: list[str]) -> None:
    table, key, version = _TEXTS[kind]
    db.run(
        f"""INSERT INTO session_vectors AS v (kind, subject_id, session_id, model, of_version)
            SELECT %(kind)s, x.{key}, x.session_id, %(model)s, {version}
            FROM {table} x LEFT JOIN session_vectors o ON o.kind = %(kind)s AND o.subject_id = x.{key}
            WHERE x.session_id = ANY(%(ids)s) {_FITTING.get(kind, "")}
              AND (o.subject_id IS NULL OR o.model <> %(model)s OR o.of_version <> {version})
            ON CONFLICT (kind, subject_id) DO UPDATE SET model = excluded.model, of_version = excluded.of_version,
                vector = '{{}}', signs = NULL, at = now()
            WHERE (v.model, v.of_version) <> (excluded.model, excluded.of_version)""",
        kind=kind,
        model=model,
        ids=session_ids,
    )


def take(model: str, limit: int) -> list[Row]:
    """Texts that wait, the newest first, for LEASE: {kind, subject_id, of_version, text}. Never of deleted sessions."""
    taken = db.rows(
        """WITH due AS (
               SELECT v.kind, v.subject_id FROM session_vectors v JOIN sessions s USING (session_id)
               WHERE v.signs IS NULL AND v.model = %(model)s AND v.at <= clock_timestamp() AND s.deleted_at IS NULL
               ORDER BY v.subject_id DESC LIMIT %(limit)s FOR UPDATE OF v SKIP LOCKED)
           UPDATE session_vectors v SET at = clock_timestamp() + %(lease)s FROM due
           WHERE v.kind = due.kind AND v.subject_id = due.subject_id
           RETURNING v.kind, v.subject_id::text, v.of_version""",
        model=model,
        limit=limit,
        lease=LEASE,
    )
    texts = _texts(taken)
    gone = [row["subject_id"] for row in taken if row["subject_id"] not in texts]
    if gone:
        db.run("DELETE FROM session_vectors WHERE subject_id = ANY(%(gone)s::uuid[])", gone=gone)
    return [row | {"text": texts[row["subject_id"]]} for row in taken if row["subject_id"] in texts]


def _texts(rows: list[Row]) -> dict[str, str]:
    found = db.rows(
        f"""SELECT message_id::text AS id, left(speaker || ': ' || text, {LONGEST_TEXT}) AS text
            FROM session_messages WHERE message_id = ANY(%(ids)s::uuid[])
            UNION ALL SELECT memory_id::text, left(replace(key, '_', ' ') || ': ' || content, {LONGEST_TEXT})
            FROM memories WHERE memory_id = ANY(%(ids)s::uuid[])
            UNION ALL SELECT artifact_id::text, left(name || E'\\n' || content, {LONGEST_TEXT})
            FROM session_artifacts WHERE artifact_id = ANY(%(ids)s::uuid[])""",
        ids=[row["subject_id"] for row in rows],
    )
    return {row["id"]: row["text"] for row in found}


def keep(model: str, taken: list[Row], vectors: list[list[float]]) -> None:
    """Write down what texts that were taken mean; what has changed or is gone meanwhile stays as it is."""
    for row, vector in zip(taken, vectors, strict=True):
        db.run(
            """UPDATE session_vectors SET vector = %(vector)s::real[], signs = %(signs)s::varbit, at = clock_timestamp()
               WHERE kind = %(kind)s AND subject_id = %(id)s AND model = %(model)s AND of_version = %(version)s""",
            vector=vector,
            signs=signs(vector),
            kind=row["kind"],
            id=row["subject_id"],
            model=model,
            version=row["of_version"],
        )


def put_off(taken: list[Row], pause: timedelta) -> None:
    """Let texts that were taken wait so long."""
    db.run(
        """UPDATE session_vectors SET at = clock_timestamp() + %(pause)s
           WHERE signs IS NULL AND subject_id = ANY(%(ids)s::uuid[])""",
        ids=[row["subject_id"] for row in taken],
        pause=pause,
    )


def signs(vector: list[float] | tuple[float, ...]) -> str:
    """1 for each number above 0, else 0."""
    return "".join("1" if number > 0 else "0" for number in vector)


def nearest(
    meant: Meant, who: Principal, *, kinds: list[str], session_id: str | None, also: list[str]
) -> list[tuple[str, str, float]]:
    """What `who` may read and is most alike: (kind of search, id, likeness), the nearest first.

    `kinds` as a search calls them; `also` are ids that are compared in any case, as words have found them.
    """
    wanted = [kind for kind, name in KINDS.items() if name in kinds]
    if not wanted or not may(who, "view_session_content"):
        return []
    sees, values = access.seen_by(who, "view_session_content", table="s")
    here = "AND s.session_id = %(session)s" if session_id is not None else ""
    rows = db.rows(
        f"""WITH seen AS MATERIALIZED (
                SELECT s.session_id, s.updated_at FROM sessions s WHERE {sees} {here}
                ORDER BY s.updated_at DESC LIMIT {SESSIONS}),
            mine AS MATERIALIZED (
                SELECT session_id, kind FROM seen CROSS JOIN unnest(%(kinds)s) AS kind ORDER BY updated_at DESC),
            newest AS MATERIALIZED (
                SELECT mine.kind, v.subject_id, v.signs FROM mine CROSS JOIN LATERAL (
                    SELECT subject_id, signs FROM session_vectors
                    WHERE session_id = mine.session_id AND model = %(model)s AND kind = mine.kind
                    ORDER BY subject_id DESC LIMIT %(of_each)s) v
                WHERE length(v.signs) = %(size)s LIMIT {CANDIDATES}),
            by_words AS (
                SELECT v.kind, v.subject_id, v.signs FROM session_vectors v JOIN sessions s USING (session_id)
                WHERE v.kind = ANY(%(kinds)s) AND v.subject_id = ANY(%(also)s::uuid[]) AND v.model = %(model)s
                  AND length(v.signs) = %(size)s AND {sees} {here}),
            near AS (
                SELECT kind, subject_id FROM (SELECT * FROM newest UNION SELECT * FROM by_words) c
                ORDER BY bit_count(signs # %(signs)s::varbit), subject_id LIMIT {EXACTLY})
            SELECT v.kind, v.subject_id::text AS id, array_to_string(v.vector, ' ') AS numbers
            FROM near JOIN session_vectors v USING (kind, subject_id)""",
        model=meant.model,
        kinds=wanted,
        size=len(meant.vector),
        signs=signs(meant.vector),
        also=also,
        session=session_id,
        of_each=OF_EACH if session_id is None else CANDIDATES,
        **values,
    )
    found = [(KINDS[row["kind"]], row["id"], _alike(meant.vector, row["numbers"])) for row in rows]
    found.sort(key=lambda each: (-each[2], each[1]))
    least = max(LEAST, found[0][2] * OF_THE_BEST) if found else 0
    return [each for each in found if each[2] >= least]


def _alike(vector: tuple[float, ...], numbers: str) -> float:
    return float(sum(map(mul, vector, map(float, numbers.split()))))
