"""Sealing everything with the newest key, window by window, while the product runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from app.db import db
from app.errors import PermanentError
from app.secrets import known, sealing

WINDOW = 500
"""Rows of a table that are looked at by one statement."""
ALLOW = "SET LOCAL callboard.resealing = 'on'"
"""Lets what is finished be sealed anew in this transaction (migrations/sql/0006_resealing.sql)."""
KINDS = {"json": "jsonb", "text": "text"}


@dataclass(frozen=True)
class Table:
    """Where sealed values are: a table, its primary key, and the columns, each json or text."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str] = field(hash=False)


TABLES = (
    Table("jobs", ("job_id",), {"parameters": "json", "result": "json"}),
    Table("dead_letters", ("dlq_id",), {"parameters": "json"}),
    Table("drafts", ("job_id", "number"), {"content": "json"}),
    Table("workflows", ("workflow_id",), {"inputs": "json", "output": "json"}),
    Table("workflow_steps", ("workflow_id", "step_id"), {"item": "json", "output": "json"}),
    Table("schedules", ("schedule_id",), {"parameters": "json"}),
    Table("bulk_actions", ("bulk_id",), {"options": "json"}),
    Table("webhook_endpoints", ("endpoint_id",), {"secret": "text", "previous_secret": "text"}),
    Table("callback_secrets", ("owner",), {"secret": "text", "previous_secret": "text"}),
    Table("hooks", ("hook_id",), {"secret": "text", "previous_secret": "text"}),
)


@dataclass
class Outcome:
    """What a rotation came to."""

    looked_at: int = 0
    resealed: int = 0
    """Values of one column of one row."""
    busy: int = 0
    """They were changed meanwhile; the next rotation looks at them again."""
    unread: Counter[str] = field(default_factory=Counter)
    """Values that could not be opened, by why."""


@dataclass(frozen=True)
class Found:
    """One value of a column that has something sealed in it."""

    table: Table
    column: str
    key: tuple[str, ...]
    text: str


def rotate(
    transaction: Callable[[], AbstractContextManager[None]], heard: Callable[[str, Outcome], None]
) -> Outcome:
    """Seal again whatever is not under the newest key; each window is a transaction of its own.

    A value that changes meanwhile is left to its writer, who has the newest key. May be stopped and begun again at any
    time. At the end, keys under which nothing is left count as retired.
    """
    outcome = Outcome()
    for table in TABLES:
        for window in _windows(table, transaction):
            with transaction():
                db.run(ALLOW)
                for found in window:
                    _again(found, outcome)
        heard(table.name, outcome)
    left, newest = count(transaction), sealing.in_use()[0]
    with transaction():
        known.note(sealing.in_use())
        if not outcome.busy:
            unused = [row["fingerprint"] for row in known.listing() if not left[row["fingerprint"][:8]]]
            known.retire(each for each in unused if each != newest.fingerprint)
    return outcome


def count(transaction: Callable[[], AbstractContextManager[None]]) -> Counter[str]:
    """How many values there are under each key, by its id."""
    found: Counter[str] = Counter()
    for table in TABLES:
        for window in _windows(table, transaction):
            found.update(key_id for each in window for key_id in sealing.key_ids(each.text))
    return found


def _again(found: Found, outcome: Outcome) -> None:
    outcome.looked_at += 1
    try:
        text = sealing.resealed(found.text)
    except PermanentError as wrong:
        outcome.unread[wrong.message] += 1
        return
    if text == found.text:
        return
    kind = KINDS[found.table.columns[found.column]]
    done = db.run(
        f"""UPDATE {found.table.name} SET {found.column} = %(new)s::{kind}
            WHERE ({_key(found.table)}) = ({_given(found.table)}) AND {found.column} = %(old)s::{kind}""",
        new=text,
        old=found.text,
        **_values(found.key),
    )
    outcome.resealed += done
    outcome.busy += 1 - done


def _windows(table: Table, transaction: Callable[[], AbstractContextManager[None]]) -> Iterator[list[Found]]:
    """What is sealed in a table, in order of its key."""
    after: tuple[str, ...] = ()
    while True:
        with transaction():
            keys = _next_keys(table, after)
            found = _sealed(table, after, keys) if keys else []
        if not keys:
            return
        yield found
        after = keys


def _next_keys(table: Table, after: tuple[str, ...]) -> tuple[str, ...]:
    """The key of the last row of the next window; () at the end."""
    columns = ", ".join(f"max_{n}" for n, _ in enumerate(table.key))
    row = db.row(
        f"""SELECT {columns} FROM (SELECT {_key(table)} FROM {table.name} WHERE {_beyond(table, after)}
               ORDER BY {_key(table)} LIMIT %(window)s) AS w({columns})
            ORDER BY {", ".join(f"max_{n} DESC" for n, _ in enumerate(table.key))} LIMIT 1""",
        window=WINDOW,
        **_values(after),
    )
    return tuple(str(row[f"max_{n}"]) for n, _ in enumerate(table.key)) if row else ()


def _sealed(table: Table, after: tuple[str, ...], last: tuple[str, ...]) -> list[Found]:
    upto = ", ".join(f"%(l{n})s" for n, _ in enumerate(last))
    last_values = {f"l{n}": value for n, value in enumerate(last)}
    found: list[Found] = []
    for column in table.columns:
        rows = db.rows(
            f"""SELECT {", ".join(f"{name}::text AS k{n}" for n, name in enumerate(table.key))}, {column}::text AS sealed
                FROM {table.name} WHERE {_beyond(table, after)} AND ({_key(table)}) <= ({upto})
                AND {column}::text LIKE '%%callboard-sealed:1:%%'""",
            **_values(after),
            **last_values,
        )
        found += (
            Found(table, column, tuple(row[f"k{n}"] for n, _ in enumerate(table.key)), row["sealed"])
            for row in rows
        )
    return found


def _key(table: Table) -> str:
    return ", ".join(table.key)


def _given(table: Table) -> str:
    return ", ".join(f"%(k{n})s" for n, _ in enumerate(table.key))


def _beyond(table: Table, after: tuple[str, ...]) -> str:
    return f"({_key(table)}) > ({_given(table)})" if after else "true"


def _values(key: tuple[str, ...]) -> dict[str, str]:
    return {f"k{n}": value for n, value in enumerate(key)}
