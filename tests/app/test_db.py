"""Speaking to Postgres: what commits when, what is done after a commit, and JSON that always fits."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, cast

import psycopg2
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, QueuePool, text

from app.db import AWAY, db, dumps, make_engine, storable
from tests.waiting import until

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


_SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT 1 FROM pg_sleep%' AND state = 'active'"
)


class TestDumps:
    @given(ANY_JSON)
    def test_whatever_it_is_given_it_answers_json_without_nul(self, value: Any) -> None:
        written = dumps(value)
        json.loads(written)
        written.encode()
        assert "\\u0000" not in written.replace("\\\\", "")

    def test_a_backslash_before_u0000_is_no_nul(self) -> None:
        assert json.loads(dumps({"path": "C:\\u0000"})) == {"path": "C:\\u0000"}

    def test_what_fits_is_not_changed(self) -> None:
        value = {"text": "grüße 👋", "n": -(2**63), "list": [1, 2.5, None, True]}
        assert json.loads(dumps(value)) == value

    def test_times_and_ids_become_text(self) -> None:
        some_id = uuid.uuid4()
        written = dumps({"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "id": some_id, 1: "one"})
        assert json.loads(written) == {"at": "2026-01-02T03:04:05Z", "id": str(some_id), "1": "one"}

    def test_endless_nesting_ends(self) -> None:
        deep: list[Any] = []
        for _ in range(500):
            deep = [deep]
        assert "nested too deep" in dumps(deep)

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("odd", ["\x00", "\ud800", "a\udfffb", "\x01\x1f"])
    def test_postgres_takes_it(self, odd: str) -> None:
        with db.quick():
            assert db.value("SELECT %(v)s::jsonb", v=dumps({"k": odd, odd: 1}))
            assert db.value("SELECT %(v)s", v=storable(odd)) == storable(odd)


class TestQuick:
    def test_each_statement_is_its_own_transaction(self, quick: Engine) -> None:
        with pytest.raises(RuntimeError), db.quick():
            db.run("UPDATE queues SET pause_reason = 'kept' WHERE pool = 'testing'")
            raise RuntimeError
        with quick.connect() as other:
            assert other.scalar(text("SELECT pause_reason FROM queues WHERE pool = 'testing'")) == "kept"

    def test_a_transaction_is_all_or_nothing(self, quick: Engine) -> None:
        with pytest.raises(RuntimeError), db.transaction():
            db.run("UPDATE queues SET pause_reason = 'lost' WHERE pool = 'general'")
            raise RuntimeError
        with quick.connect() as other:
            assert other.scalar(text("SELECT pause_reason FROM queues WHERE pool = 'general'")) is None

    def test_an_inner_block_uses_the_outer_ones_connection(self, quick: Engine) -> None:
        with db.quick():
            pid = db.value("SELECT pg_backend_pid()")
            with db.quick():
                assert db.value("SELECT pg_backend_pid()") == pid
            assert db.value("SELECT pg_backend_pid()") == pid

    def test_a_block_that_asks_nothing_takes_no_connection(self, quick: Engine) -> None:
        pool = cast(QueuePool, quick.pool)
        with db.quick():
            assert pool.checkedout() == 0
            db.value("SELECT 1")
            assert pool.checkedout() == 1
        assert pool.checkedout() == 0

    def test_a_program_can_be_started_while_other_threads_ask(self, quick: Engine) -> None:
        """Between fork and exec the new process forgets the other threads, and must not touch what is theirs."""
        answered: list[int] = []

        def ask() -> None:
            with db.quick():
                answered.append(db.value("SELECT 1 FROM pg_sleep(3)"))
                answered.append(db.value("SELECT 2"))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        with quick.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            until(lambda: other.scalar(text(_SLEEPING)) == len(threads), 20)

        def child() -> None:
            """Being there is enough: with it, Python itself prepares what is to be started."""

        began = time.monotonic()
        subprocess.run(["true"], preexec_fn=child, check=True, timeout=20)
        took = time.monotonic() - began

        for thread in threads:
            thread.join(20)
        assert sorted(answered) == [1] * 4 + [2] * 4
        assert took < 2.5

    def test_connections_go_back_to_the_pool_also_after_an_error(self, quick: Engine) -> None:
        for _ in range(60):  # more than the pool has
            with pytest.raises(psycopg2.Error), db.quick():
                db.run("SELECT no_such_column")

    def test_a_connection_that_was_cut_is_replaced(self, quick: Engine) -> None:
        with pytest.raises(AWAY), db.quick():
            pid = db.value("SELECT pg_backend_pid()")
            with quick.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            until(lambda: _fails())
            db.value("SELECT 1")
        with db.quick():
            assert db.value("SELECT 1") == 1

    def test_connections_that_a_crash_cut_right_after_their_use_fail_nobody(self, quick: Engine) -> None:
        with quick.connect() as other:
            with db.quick():
                pid = db.value("SELECT pg_backend_pid()")
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with db.quick():
            assert db.value("SELECT pg_backend_pid()") != pid

    def test_one_broken_connection_of_a_worker_costs_one_try_and_not_one_for_each(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = make_engine(database_url, pool_size=4, pre_ping=False)
        monkeypatch.setattr(db, "_pool", engine)
        pids = []
        with ExitStack() as held:
            for _ in range(4):
                connection = held.enter_context(engine.connect())
                pids.append(connection.execute(text("SELECT pg_backend_pid()")).scalar())
        with make_engine(database_url).connect() as other:
            for pid in pids:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        with pytest.raises(AWAY), db.quick():
            db.value("SELECT 1")
        for _ in range(4):
            with db.quick():
                assert db.value("SELECT pg_backend_pid()") not in pids
        engine.dispose()

    def test_a_server_that_takes_no_writes_is_away(self, quick: Engine) -> None:
        change = "UPDATE queues SET pause_reason = 'no' WHERE pool = 'general'"
        with pytest.raises(AWAY), db.transaction():
            db.run("SET LOCAL transaction_read_only = on")
            db.run(change)
        with pytest.raises(AWAY), quick.begin() as connection:
            connection.execute(text("SET LOCAL transaction_read_only = on"))
            connection.execute(text(change))
        with db.transaction():
            assert db.run(change) == 1

    def test_without_an_engine_it_says_so(self, quick: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(db, "_pool", None)
        with pytest.raises(RuntimeError, match="open"), db.quick():
            pass


def _fails() -> bool:
    try:
        db.value("SELECT 1")
    except AWAY:
        return True
    return False


class TestAfterCommit:
    def test_runs_once_the_transaction_is_in(self, quick: Engine) -> None:
        done: list[int] = []
        with db.transaction():
            db.after_commit(lambda: done.append(1))
            assert done == []
        assert done == [1]

    def test_does_not_run_after_a_rollback(self, quick: Engine) -> None:
        done: list[int] = []
        with pytest.raises(RuntimeError), db.transaction():
            db.after_commit(lambda: done.append(1))
            raise RuntimeError
        with db.transaction():
            pass
        assert done == []

    def test_holds_for_sessions_of_pages_too(self, app: Flask, quick: Engine) -> None:
        done: list[str] = []
        with app.app_context():
            db.session.execute(text("SELECT 1"))
            db.after_commit(lambda: done.append("first"))
            db.session.rollback()
            db.session.execute(text("SELECT 1"))
            db.after_commit(lambda: done.append("second"))
            assert done == []
            db.session.commit()
        assert done == ["second"]


def test_every_connection_carries_its_guards(database_url: str) -> None:
    engine = make_engine(database_url, statement_timeout_ms=1234, name="some-process")
    with engine.connect() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("statement_timeout", "jit", "timezone", "application_name")
        }
        assert shown == {
            "statement_timeout": "1234ms", "jit": "off", "timezone": "UTC", "application_name": "some-process"
        }  # fmt: skip
        parameters = connection.connection.driver_connection.get_dsn_parameters()  # type: ignore[union-attr]
        assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("3", "5000")
    engine.dispose()
