"""What a process counts of its polls: in the right minute, added up over processes, and never lost to a failure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from app.db import Row, db
from app.polling import minutes
from app.polling.measured import FLUSH_SECONDS, MOST_MINUTES, Measured
from app.polling.minutes import Tally

MINUTE = 29_700_000
NOON = datetime.fromtimestamp(60 * MINUTE, UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 60.0 * MINUTE

    def __call__(self) -> float:
        return self.now


def rows() -> list[Row]:
    with db.quick():
        return db.rows("SELECT * FROM polling_minutes ORDER BY at, seen_by")


def flush(measured: Measured) -> None:
    with db.quick():
        measured.flush()


def test_polls_are_counted_in_their_minute_with_all_that_is_known_of_them(quick: Engine) -> None:
    clock = Clock()
    measured = Measured(clock)
    measured.note(4.0, 200, queries=3, query_ms=2.0, query_most_ms=1.5)
    measured.note(30.0, 304, queries=1, query_ms=25.0, query_most_ms=25.0)
    measured.note(6000.0, 503)
    measured.note(10.0, 404)
    clock.now += 60
    measured.note(1.0, 304)
    flush(measured)

    first, second = rows()
    assert (first["at"], first["seen_by"], second["at"]) == (
        NOON,
        "server",
        datetime.fromtimestamp(clock.now, UTC),
    )
    assert (first["polls"], first["unchanged"], first["failures"]) == (4, 1, 1)
    assert (first["ms_sum"], first["ms_most"]) == (6044.0, 6000.0)
    assert first["ms_spread"] == [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert (first["queries"], first["query_ms_sum"], first["query_ms_most"]) == (4, 27.0, 25.0)
    assert (second["polls"], second["unchanged"], second["ms_spread"][0]) == (1, 1, 1)


def test_processes_add_to_one_minute(quick: Engine) -> None:
    clock = Clock()
    processes = [Measured(clock) for _ in range(8)]
    for number, process in enumerate(processes):
        for _ in range(number + 1):
            process.note(10.0 * (number + 1), 200)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(flush, processes))

    (row,) = rows()
    assert (row["polls"], row["ms_most"]) == (36, 80.0)
    assert row["ms_sum"] == sum(10.0 * n * n for n in range(1, 9))
    assert sum(row["ms_spread"]) == 36


def test_nothing_is_written_twice(quick: Engine) -> None:
    measured = Measured(Clock())
    measured.note(1.0, 200)
    flush(measured)
    flush(measured)
    assert rows()[0]["polls"] == 1


def test_it_is_due_once_in_ten_seconds_to_one_caller_and_only_if_something_was_counted() -> None:
    clock = Clock()
    measured = Measured(clock)
    clock.now += FLUSH_SECONDS
    assert not measured.due()
    measured.note(1.0, 200)
    assert measured.due()
    assert not measured.due()
    clock.now += FLUSH_SECONDS - 1
    assert not measured.due()
    clock.now += 1
    assert measured.due()


def test_what_cannot_be_written_is_written_the_next_time(
    quick: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    measured = Measured(clock)
    measured.note(5.0, 200)
    with monkeypatch.context() as away:
        away.setattr(minutes, "keep", _fails)
        with pytest.raises(ConnectionError):
            measured.flush()
    measured.note(7.0, 200)
    flush(measured)
    (row,) = rows()
    assert (row["polls"], row["ms_sum"]) == (2, 12.0)


def test_what_cannot_be_written_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    measured = Measured(clock)
    monkeypatch.setattr(minutes, "keep", _fails)
    for _ in range(3 * MOST_MINUTES):
        measured.note(5.0, 200)
        clock.now += 60
        with pytest.raises(ConnectionError):
            measured.flush()
    assert len(measured._tallies) < MOST_MINUTES


def _fails(*_: object) -> None:
    raise ConnectionError


def test_old_minutes_are_forgotten(quick: Engine) -> None:
    with db.quick():
        now = int(db.value("SELECT extract(epoch FROM now()) / 60"))
        minutes.keep(
            "server", {now: Tally(polls=1), now - 7 * 1440: Tally(polls=1), now - 9 * 1440: Tally(polls=1)}
        )
        assert minutes.forget() == 1
        assert db.value("SELECT count(*) FROM polling_minutes") == 2


def test_what_a_thread_asked_of_postgres_is_its_own(quick: Engine) -> None:
    def ask(times: int) -> tuple[int, bool]:
        db.asked.begin()
        with db.quick():
            for _ in range(times):
                db.value("SELECT pg_sleep(0.002)")
        return db.asked.queries, 0.002 <= db.asked.most_seconds <= db.asked.seconds

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, (1, 2, 3))) == [(1, True), (2, True), (3, True)]
