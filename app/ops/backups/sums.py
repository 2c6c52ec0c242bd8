"""How many rows each table has and what they add up to, so that two copies can be compared without being side by side.

Each row is written as text by fixed rules and hashed; the hashes are added, so their order does not matter. What
Postgres computes itself (generated columns) is left out: another version may compute it a little differently.
"""

from __future__ import annotations

from typing import Any

import psycopg2.extensions
from psycopg2 import sql

Sums = dict[str, dict[str, Any]]

_FIXED = """
    SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
    SET extra_float_digits = 1; SET xmlbinary = 'base64'; SET statement_timeout = 0"""
_TABLES = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = 'public' AND c.relkind IN ('r') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    GROUP BY c.relname ORDER BY c.relname"""
_ONE = """
    SELECT count(*), coalesce(sum(('x' || left(md5(ROW({columns})::text), 16))::bit(64)::bigint), 0)::text FROM {table}"""


def take(connection: psycopg2.extensions.connection) -> Sums:
    """`{table: {rows, sum}}` of every table, in the transaction that the connection is in."""
    with connection.cursor() as cursor:
        cursor.execute(_FIXED)
        cursor.execute(_TABLES)
        return {name: _one(cursor, name, columns) for name, columns in cursor.fetchall()}


def _one(cursor: psycopg2.extensions.cursor, name: str, columns: list[str]) -> dict[str, Any]:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    cursor.execute(sql.SQL(_ONE).format(columns=listed, table=sql.Identifier("public", name)))
    rows, total = cursor.fetchone()  # type: ignore[misc]
    return {"rows": rows, "sum": total}


def differences(wanted: Sums, there: Sums) -> list[str]:
    """What differs, a sentence for each table; empty if all is the same."""
    said = []
    for name in sorted(wanted | there):
        before, after = wanted.get(name), there.get(name)
        if before is None or after is None:
            said.append(f"the table {name} is {'new' if before is None else 'missing'}")
        elif before["rows"] != after["rows"]:
            said.append(f"{name} has {after['rows']} rows instead of {before['rows']}")
        elif before["sum"] != after["sum"]:
            said.append(f"rows of {name} are not what they were")
    return said
