"""The database: one `db`, one `Base`, and two ways to speak to it.

`db.session` is Flask-SQLAlchemy's, for pages and management. `db.rows/row/run` send one SQL statement
through the same transaction without the ORM: what the job protocol is written in, because ORM objects
on the hot path cost five times as much (docs/performance.md). Inside `db.quick()` each statement is its
own transaction on a connection of this thread (one round trip instead of three, no app context needed):
the way of workers and of the polled endpoints. Rooms use either without knowing which; they never
commit. `db.after_commit(do)` runs `do` once the present transaction is really in Postgres.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, ExceptionContext, MetaData, create_engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

Row = dict[str, Any]

# What means "Postgres is away", as opposed to "the statement is wrong".
AWAY = (OperationalError, PoolTimeout, psycopg2.OperationalError, psycopg2.InterfaceError)


class Base(DeclarativeBase):
    """All tables; constraints get predictable names so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def dumps(value: object) -> str:
    """JSON text of `value` as Postgres takes it: whatever an agent says, writing it down must not fail (JOB-27).

    Times become ISO 8601 UTC with `Z`, unknown types and numbers over 64 bits their text; NUL and lone surrogates,
    which Postgres refuses, become U+FFFD.
    """
    try:
        text = _encode(value)
    except TypeError:
        return _encode(_storable(value))
    return _encode(_storable(value)) if "\\u0000" in text else text


def _encode(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()


DEEPEST_JSON = 100


def _storable(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value) if value.bit_length() < 10_000 else "a number too large to write"
    if isinstance(value, dict | list | tuple) and depth > DEEPEST_JSON:
        return "nested too deep"
    if isinstance(value, dict):
        return {storable(str(name)): _storable(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner, depth + 1) for inner in value]
    return value


def storable(text: str) -> str:
    """`text` without what Postgres refuses: NUL and lone surrogates become U+FFFD."""
    return (
        text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )


def plain_array(values: Iterable[object]) -> str:
    """Ids or numbers as one value for a placeholder that is cast to an array: a thousand each as its own cost twice as much."""
    return "{" + ",".join(map(str, values)) + "}"


def literal(text: str) -> str:
    """`text` as it stands in a pattern of LIKE where it means itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def as_json(value: object) -> psycopg2.extras.Json:
    """A parameter for a jsonb column; None stays SQL NULL only if the caller passes None itself."""
    return psycopg2.extras.Json(value, dumps=dumps)


@contextmanager
def _says_away(connection: Any) -> Iterator[None]:
    """Make OperationalError of what means the same and is called otherwise.

    The plain DatabaseError by which psycopg2 says that the server went in mid-answer; and a server that takes no
    writes, be it a standby before its promotion or one whose disk is full: that passes too.
    """
    try:
        yield
    except psycopg2.errors.ReadOnlySqlTransaction as error:
        raise psycopg2.OperationalError(str(error)) from error
    except psycopg2.DatabaseError as error:
        if type(error) is psycopg2.DatabaseError and error.pgcode is None:
            connection.close()  # it does not know yet that it is broken, and would go back into the pool
            raise psycopg2.OperationalError(str(error)) from error
        raise


class Asked(threading.local):
    """What this thread asked Postgres by raw statements since `begin`: how often, and how long it took.

    For measuring one answer; nobody needs to begin who does not want to know.
    """

    queries = 0
    seconds = 0.0
    most_seconds = 0.0

    def begin(self) -> None:
        """Count anew."""
        self.queries, self.seconds, self.most_seconds = 0, 0.0, 0.0

    def took(self, seconds: float) -> None:
        """One more statement."""
        self.queries += 1
        self.seconds += seconds
        self.most_seconds = max(self.most_seconds, seconds)


class _Block:
    """What a `quick()` block holds."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = []
        self.pooled: Any = None
        """Its connection, once it asked for something."""


class _Here(threading.local):
    """What this thread is in.

    Whoever opens a block keeps it as well: a process that is forked forgets what belongs to other threads, and would
    give back connections that are theirs, on sockets that they are speaking through.
    """

    block: _Block | None = None
    other: Any = None
    """The connection to another server, within an `elsewhere()` block."""


class Database(SQLAlchemy):
    """Flask-SQLAlchemy, with raw statements and after-commit hooks."""

    def __init__(self) -> None:
        """Nothing is opened before `open()` or the first use in an app context."""
        super().__init__(metadata=Base.metadata, engine_options={})
        self._here = _Here()
        self._pool: Engine | None = None
        self.asked = Asked()
        self.broke_at = float("-inf")
        """When a connection was last found broken, by the monotonic clock."""
        self.heard: Callable[[float, str], None] | None = None
        """Told the seconds of each raw statement, by whichever thread."""

    def open(self, engine: Engine) -> None:
        """Take `engine` for `quick()`. Called once per process, after the last fork."""
        self._pool = engine

    @contextmanager
    def quick(self) -> Iterator[None]:
        """Until the end of the block, each statement of this thread is its own transaction.

        The first statement takes a connection from the pool, and the end of the block gives it back; a block that
        asks nothing needs none. After-commit hooks run at the end of the block; they are dropped if it raises.
        """
        if self._here.block is not None:  # nested: the outer block holds it
            yield
            return
        if self._pool is None:
            msg = "db.open(engine) was not called in this process"
            raise RuntimeError(msg)
        block = self._here.block = _Block()
        try:
            yield
        except BaseException:
            block.hooks.clear()
            raise
        finally:
            self._here.block = None
            self._give_back(block.pooled)
        for do in block.hooks:
            do()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction on a connection of this thread, committed at the end, rolled back by an exception.

        For processes without Flask; the doors of the web use `session` and its commit.
        """
        with self.quick():
            block, connection = self._here.block, self._connection()
            connection.autocommit = False
            try:
                yield
                with _says_away(connection):
                    connection.commit()
            except BaseException:
                if block is not None:
                    block.hooks.clear()
                with suppress(*AWAY):
                    connection.rollback()
                raise
            finally:
                with suppress(*AWAY):
                    connection.autocommit = True

    @contextmanager
    def elsewhere(self, engine: Engine) -> Iterator[None]:
        """Until the end of the block, raw statements of this thread go to another server, each by itself."""
        before, pooled = self._here.other, engine.raw_connection()
        connection: Any = pooled.driver_connection
        self._here.other = connection
        try:
            connection.autocommit = True
            yield
        finally:
            self._here.other = before
            with suppress(*AWAY):
                if not connection.closed:
                    connection.autocommit = False
            pooled.close()

    @property
    def is_elsewhere(self) -> bool:
        """Whether this thread is in such a block."""
        return self._here.other is not None

    def _connection(self) -> Any:
        """The connection of this thread: of the block that it is in, else of the session."""
        if self._here.other is not None:
            return self._here.other
        block = self._here.block
        if block is None or self._pool is None:
            return self.session.connection().connection.driver_connection
        if block.pooled is None:
            block.pooled = self._pool.raw_connection()
            block.pooled.driver_connection.autocommit = True
        return block.pooled.driver_connection

    def _give_back(self, pooled: Any) -> None:
        if pooled is None:
            return
        connection = pooled.driver_connection
        if connection.closed:
            self.broke_at = time.monotonic()
            pooled.invalidate()
        with suppress(*AWAY):
            if not connection.closed:
                connection.autocommit = False
        pooled.close()

    def after_commit(self, do: Callable[[], None]) -> None:
        """Run `do` when the present transaction has committed; never if it rolls back."""
        if self._here.block is not None:
            self._here.block.hooks.append(do)
        else:
            self.session.info.setdefault("after_commit", []).append(do)

    @contextmanager
    def _cursor(self, statement: str) -> Iterator[psycopg2.extensions.cursor]:
        connection = self._connection()
        with _says_away(connection), connection.cursor() as cursor:
            began = time.perf_counter()
            try:
                yield cursor
            finally:
                seconds = time.perf_counter() - began
                self.asked.took(seconds)
                if self.heard:
                    self.heard(seconds, statement)

    def rows(self, statement: str, **values: object) -> list[Row]:
        """Run one statement with `%(name)s` placeholders and answer its rows as dicts."""
        with self._cursor(statement) as cursor:
            cursor.execute(statement, values)
            found = cursor.fetchall()
            names = _names(cursor)
            return [dict(zip(names, row, strict=True)) for row in found]

    def row(self, statement: str, **values: object) -> Row | None:
        """The first row of a statement, or None."""
        with self._cursor(statement) as cursor:
            cursor.execute(statement, values)
            found = cursor.fetchone()
            return None if found is None else dict(zip(_names(cursor), found, strict=True))

    def value(self, statement: str, **values: object) -> Any:
        """The first column of the first row, or None."""
        with self._cursor(statement) as cursor:
            cursor.execute(statement, values)
            found = cursor.fetchone()
            return found[0] if found else None

    def run(self, statement: str, **values: object) -> int:
        """Run a statement for its effect and answer how many rows it touched."""
        with self._cursor(statement) as cursor:
            cursor.execute(statement, values)
            return cursor.rowcount

    def insert_many(self, statement: str, values: list[tuple[object, ...]]) -> None:
        """Insert many rows by one `INSERT ... VALUES %s`."""
        with self._cursor(statement) as cursor:
            psycopg2.extras.execute_values(cursor, statement, values, page_size=500)


@event.listens_for(Engine, "handle_error")
def _says_away_to_the_orm(context: ExceptionContext) -> None:
    """The same for statements of SQLAlchemy's own."""
    error = context.original_exception
    if isinstance(error, psycopg2.errors.ReadOnlySqlTransaction):
        raise OperationalError(context.statement, context.parameters, error) from error


def _names(cursor: psycopg2.extensions.cursor) -> list[str]:
    return [column.name for column in cursor.description or ()]


db = Database()


RESTED_SECONDS = 1.0
"""A connection that lay in the pool for longer is tried before it is used."""


def _note_use(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _try_if_rested(connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace all connections if this one broke while it lay in the pool, as SQLAlchemy's pre-ping does.

    That one asks each time: a third of what a poll costs in Postgres. Here only a connection that rested for long
    is asked; of the others the socket says enough, as a server that went away leaves something to read on it.
    """
    used_at: float | None = entry.info.get("used_at")
    if used_at is None:
        return
    if connection.closed or _has_something_to_read(connection.fileno()):
        raise InvalidatePoolError("the server closed a connection of the pool")
    if time.monotonic() - used_at <= RESTED_SECONDS:
        return
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.autocommit = False
    except psycopg2.Error as error:
        raise InvalidatePoolError(str(error)) from error


def _note_birth(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info["born_at"] = time.monotonic()


def _replace_if_older(_connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace all connections that were there when one of them was found broken: each would cost a try of its own.

    Where a host was cut off each try may hang for seconds, and of threads that share a statement one tries for all.
    """
    if entry.info["born_at"] <= db.broke_at:
        raise InvalidatePoolError("a connection of its age was broken")


def _has_something_to_read(descriptor: int) -> bool:
    asked = select.poll()
    asked.register(descriptor, select.POLLIN)
    return bool(asked.poll(0))


@event.listens_for(Session, "after_commit")
def _run_hooks(session: Session) -> None:
    if session.in_nested_transaction():  # a savepoint was released; nothing is committed yet
        return
    for do in session.info.pop("after_commit", []):
        do()


@event.listens_for(Session, "after_rollback")
def _drop_hooks(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.info.pop("after_commit", None)


def engine_options(
    *,
    pool_size: int = 20,
    max_overflow: int = 30,
    pool_recycle: int = 3600,
    statement_timeout_ms: int = 15000,
    name: str = "callboard",
    pre_ping: bool = True,
    connect_timeout: int = 3,
) -> dict[str, Any]:
    """Options for every engine of the product.

    `pre_ping` tries a connection that rested for more than a second before it is used; workers do without, because
    they try every statement again anyway.
    A server that vanished without a word is noticed after 5 s (`tcp_user_timeout`; keepalives do not
    help while a query is under way), an empty pool after 2 s, and JIT is off because it makes short
    statements over large tables slower, never faster (reliability notes P2, P4, P9).
    """
    return {
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "pool_recycle": pool_recycle,
        "pool_events": [(_note_use, "checkin"), (_try_if_rested, "checkout")]
        if pre_ping
        else [(_note_birth, "connect"), (_replace_if_older, "checkout")],
        "pool_timeout": 2,
        "pool_use_lifo": True,  # the one used last knows the statements best, and those that nobody needs rest
        "json_serializer": dumps,
        "json_deserializer": orjson.loads,
        "connect_args": {
            "connect_timeout": connect_timeout,
            "tcp_user_timeout": 5000,
            "application_name": name,
            "options": f"-c jit=off -c timezone=UTC -c statement_timeout={statement_timeout_ms}",
        },
    }


def make_engine(url: str, **options: Any) -> Engine:
    """An engine for processes without Flask (workers, scheduler, command line)."""
    return create_engine(url, **engine_options(**options))
