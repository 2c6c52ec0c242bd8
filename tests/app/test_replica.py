"""When the standby is asked, and that nobody notices when it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2.errors
import pytest
from sqlalchemy import Engine, create_engine

from app import replica
from app.db import db, engine_options, make_engine
from app.replica import AWAY_SECONDS, CHECK_SECONDS, Replica, may_lag

WHO = "SELECT current_setting('application_name')"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the second server say this of itself: here it is the same Postgres under another name."""

    def say(*, is_standby: bool = True, behind: float | None = 0.5) -> None:
        told = "NULL" if behind is None else behind
        monkeypatch.setattr(
            replica, "STANDING", f"SELECT {is_standby} AS is_standby, {told}::float AS behind"
        )

    say()
    return say


@pytest.fixture
def second(quick: Engine) -> Iterator[Engine]:
    made = make_engine(quick.url.render_as_string(hide_password=False), name="second")
    yield made
    replica.use(None)
    made.dispose()


@may_lag
def who_answers() -> str:
    """The name under which this was asked."""
    return str(db.value(WHO))


def _asked() -> str:
    with db.quick():
        return who_answers()


@pytest.mark.usefixtures("standing")
class TestWhoAnswers:
    def test_the_first_one_where_there_is_no_other(self, quick: Engine) -> None:
        assert _asked() != "second"

    def test_the_second_one_where_there_is_one(self, second: Engine) -> None:
        replica.use(Replica(second, 30))
        assert _asked() == "second"

    def test_what_may_not_lag_is_asked_of_the_first_one_before_and_after(self, second: Engine) -> None:
        replica.use(Replica(second, 30))
        with db.quick():
            before, between, after = db.value(WHO), who_answers(), db.value(WHO)
        assert (between, before == after != "second") == ("second", True)

    def test_also_outside_of_a_block(self, second: Engine) -> None:
        replica.use(Replica(second, 30))
        assert who_answers() == "second"

    def test_one_such_read_within_another_uses_its_connection(self, second: Engine) -> None:
        replica.use(Replica(second, 30))

        @may_lag
        def outer() -> tuple[Any, Any]:
            return db.value("SELECT pg_backend_pid()"), may_lag(lambda: db.value("SELECT pg_backend_pid()"))()

        one, other = outer()
        assert one == other

    def test_connections_go_back_also_after_an_error(self, second: Engine) -> None:
        replica.use(Replica(second, 30))

        @may_lag
        def wrong() -> None:
            db.value("SELECT no_such_column")

        for _ in range(60):  # more than the pool has
            with pytest.raises(psycopg2.errors.UndefinedColumn):
                wrong()
        assert _asked() == "second"


class TestWhetherItIsFit:
    @pytest.mark.parametrize(
        ("said", "fit"),
        [
            ({}, True),
            ({"behind": 29.9}, True),
            ({"behind": 31}, False),
            ({"behind": None}, False),
            ({"is_standby": False}, False),
        ],
    )
    def test_a_standby_that_follows_closely_is(
        self, second: Engine, standing: Callable[..., None], said: dict[str, Any], fit: bool
    ) -> None:
        standing(**said)
        replica.use(Replica(second, 30))

        assert (_asked() == "second") is fit

    def test_what_was_found_is_believed_for_some_seconds(
        self, second: Engine, standing: Callable[..., None]
    ) -> None:
        clock = Clock()
        known = Replica(second, 30, now=clock)
        assert known.is_fit()
        standing(behind=100)
        clock.now += CHECK_SECONDS - 0.1
        assert known.is_fit()
        clock.now += 0.2
        assert not known.is_fit()

    @pytest.mark.usefixtures("standing")
    def test_one_that_failed_is_left_alone_for_a_while(self, second: Engine) -> None:
        clock = Clock()
        known = Replica(second, 30, now=clock)
        assert known.is_fit()
        known.failed(OSError("gone"))
        clock.now += AWAY_SECONDS - 0.1
        assert not known.is_fit()
        clock.now += 0.2
        assert known.is_fit()

    @pytest.mark.usefixtures("standing")
    def test_of_many_threads_one_looks_and_the_others_go_by_what_was_known(
        self, second: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        known = Replica(second, 30, now=clock)
        assert known.is_fit()
        clock.now += CHECK_SECONDS + 1
        looks, goes_on = threading.Event(), threading.Event()

        def slow() -> str:
            looks.set()
            assert goes_on.wait(20)
            return "behind"

        monkeypatch.setattr(known, "_unfit", slow)
        looker = threading.Thread(target=known.is_fit)
        looker.start()
        assert looks.wait(20)
        assert known.is_fit()
        goes_on.set()
        looker.join(20)
        assert not known.is_fit()


@pytest.mark.usefixtures("standing")
class TestAFailure:
    def test_of_one_that_is_not_there_the_first_one_answers(self, second: Engine) -> None:
        nowhere = create_engine(
            "postgresql+psycopg2://callboard@/callboard?host=/nowhere", **engine_options(connect_timeout=1)
        )
        replica.use(Replica(nowhere, 30))
        assert _asked() != "second"

    def test_in_the_middle_the_first_one_answers_all_of_it(self, second: Engine) -> None:
        known = Replica(second, 30)
        replica.use(known)
        asked: list[str] = []

        @may_lag
        def reads() -> str:
            asked.append(str(db.value(WHO)))
            if db.is_elsewhere:
                db.run("SELECT pg_terminate_backend(pg_backend_pid())")
            return asked[-1]

        with db.quick():
            assert reads() != "second"
        assert asked[0] == "second"
        assert not known.is_fit()

    def test_a_statement_that_the_standby_had_to_end_is_asked_again(self, second: Engine) -> None:
        replica.use(Replica(second, 30))

        @may_lag
        def reads() -> bool:
            if db.is_elsewhere:
                raise psycopg2.errors.SerializationFailure(
                    "canceling statement due to conflict with recovery"
                )
            return True

        with db.quick():
            assert reads()

    def test_what_is_wrong_with_the_statement_is_told(self, second: Engine) -> None:
        replica.use(Replica(second, 30))

        @may_lag
        def reads() -> None:
            db.value("SELECT 1/0")

        with db.quick(), pytest.raises(psycopg2.errors.DivisionByZero):
            reads()
