"""Sealing what was stored in plain: before there was sealing, or before an agent called a parameter secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from app.agents import registry, secrecy
from app.db import Row, as_json, db, dumps
from app.jobs.lifecycle import owner_of
from app.secrets import rotation, sealing

MARKS = ("writeOnly", "x-secret", '"password"')
_READ = {
    "jobs": """SELECT job_id::text, parameters, result, agent_version FROM jobs
        WHERE agent_id = %(agent)s AND (%(after)s::uuid IS NULL OR job_id > %(after)s::uuid)
        ORDER BY jobs.job_id LIMIT %(window)s""",
    "dead_letters": """SELECT job_id::text, parameters, NULL AS result, NULL AS agent_version FROM dead_letters
        WHERE agent_id = %(agent)s AND (%(after)s::uuid IS NULL OR job_id > %(after)s::uuid)
        ORDER BY dead_letters.job_id LIMIT %(window)s""",
}

Transaction = Callable[[], AbstractContextManager[None]]
Schema = dict[str, Any] | None


def seal(transaction: Transaction) -> int:
    """Seal what agents call secret now, or called so in the version that ran; answers in how many columns of rows."""
    done = 0
    for agent in registry.all_agents():
        if not any(mark in dumps([agent.schema, agent.output_schema]) for mark in MARKS):
            continue
        for table in _READ:
            for window in _windows(table, agent.agent_id, transaction):
                with transaction():
                    db.run(rotation.ALLOW)
                    done += sum(_seal(table, agent, row) for row in window)
    return done


def _windows(table: str, agent_id: str, transaction: Transaction) -> Iterator[list[Row]]:
    after: str | None = None
    while True:
        with transaction():
            rows = db.rows(_READ[table], agent=agent_id, after=after, window=rotation.WINDOW)
        if not rows:
            return
        yield rows
        after = rows[-1]["job_id"]


def _seal(table: str, agent: registry.AgentRecord, row: Row) -> int:
    then, now = (
        secrecy.schemas(agent.agent_id, row["agent_version"]),
        (agent.schema, agent.output_schema),
    )
    return sum(
        _seal_one(table, row["job_id"], column, schemas, row[column])
        for column, *schemas in zip(("parameters", "result"), then, now, strict=True)
    )


def _seal_one(table: str, job_id: str, column: str, schemas: list[Schema], value: Any) -> int:
    secret = {place for schema in schemas for place in secrecy.places(schema, value)}
    sealed = sealing.seal(value, secret, owner_of(job_id), f"/{column}")
    if sealed == value:
        return 0
    return db.run(
        f"UPDATE {table} SET {column} = %(new)s WHERE job_id = %(id)s AND {column} = %(old)s",
        new=as_json(sealed),
        old=as_json(value),
        id=job_id,
    )
