"""One reads for all who watch: how old what they hear may be, what is asked, and who waits for whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.polling.together import INTEREST_SECONDS, MOST_AT_ONCE, Together

SECONDS = 0.25


class Table:
    """Rows by id, and what was asked of them."""

    def __init__(self, *ids: str) -> None:
        self.now = 1000.0
        self.versions = dict.fromkeys(ids, 1)
        self.asked: list[dict[str, int]] = []

    def changes(self, known: dict[str, int]) -> dict[str, dict[str, Any] | None]:
        self.asked.append(dict(known))
        return {
            key: {"id": key, "version": self.versions[key]} if key in self.versions else None
            for key, version in known.items()
            if self.versions.get(key) != version
        }

    def together(self) -> Together:
        return Together(self.changes, now=lambda: self.now)


def _version(row: dict[str, Any] | None) -> int | None:
    return row["version"] if row else None


def test_what_was_read_a_moment_ago_is_not_asked_again() -> None:
    table = Table("a")
    watched = table.together()

    assert [_version(watched.look("a", SECONDS)) for _ in range(3)] == [1, 1, 1]

    assert table.asked == [{"a": -1}]


def test_nobody_hears_what_is_older_than_that() -> None:
    table = Table("a")
    watched = table.together()
    watched.look("a", SECONDS)
    table.versions["a"] = 2

    table.now += SECONDS
    assert _version(watched.look("a", SECONDS)) == 1
    table.now += 0.01
    assert _version(watched.look("a", SECONDS)) == 2


def test_the_first_whose_row_is_too_old_reads_for_all_who_asked_lately() -> None:
    table = Table("a", "b", "c")
    watched = table.together()
    for key in "abc":
        watched.look(key, SECONDS)
    table.versions["b"] = 5
    table.now += 2
    table.asked.clear()

    assert [_version(watched.look(key, SECONDS)) for key in "abc"] == [1, 5, 1]

    assert table.asked == [{"a": 1, "b": 1, "c": 1}]


def test_who_left_is_not_read_for_any_more() -> None:
    table = Table("a", "b")
    watched = table.together()
    watched.look("a", SECONDS)
    watched.look("b", SECONDS)
    table.now += INTEREST_SECONDS - 1
    watched.look("a", SECONDS)
    table.now += 2

    watched.look("a", SECONDS)

    assert table.asked[-1] == {"a": 1}
    assert len(watched) == 1


def test_what_does_not_exist_is_none_and_is_not_kept() -> None:
    table = Table("a")
    watched = table.together()
    watched.look("a", SECONDS)
    del table.versions["a"]
    table.now += 1

    assert watched.look("a", SECONDS) is None
    assert watched.look("never", SECONDS) is None
    assert len(watched) == 0


def test_one_statement_has_an_end_and_has_who_asks_in_it() -> None:
    ids = [str(number) for number in range(MOST_AT_ONCE + 50)]
    table = Table(*ids)
    watched = table.together()
    for key in ids:
        watched.look(key, SECONDS)
    table.now += 1

    watched.look(ids[-1], SECONDS)

    assert len(table.asked[-1]) == MOST_AT_ONCE
    assert ids[-1] in table.asked[-1]


def test_a_row_counts_as_old_as_the_question_not_as_the_answer() -> None:
    table = Table("a")

    def slowly(known: dict[str, int]) -> dict[str, dict[str, Any] | None]:
        found = table.changes(known)
        table.now += 10  # the database takes its time
        return found

    watched = Together(slowly, now=lambda: table.now)
    watched.look("a", SECONDS)
    watched.look("a", SECONDS)

    assert len(table.asked) == 2


def test_who_waits_for_a_statement_that_hangs_asks_alone() -> None:
    table = Table("a", "b")
    watched = table.together()
    watched.look("b", SECONDS)
    table.now += 1
    hangs, is_over = threading.Event(), threading.Event()

    def stuck(known: dict[str, int]) -> dict[str, dict[str, Any] | None]:
        if "a" in known:
            hangs.set()
            assert is_over.wait(20)
        return table.changes(known)

    watched._changes = stuck
    first = threading.Thread(target=watched.look, args=("a", SECONDS))
    first.start()
    assert hangs.wait(20)
    table.versions["b"] = 7

    try:
        assert _version(watched.look("b", SECONDS)) == 7
    finally:
        is_over.set()
        first.join(20)
    assert {"b": 1} in table.asked


def test_a_failure_is_heard_and_the_next_one_asks_again() -> None:
    table = Table("a")
    watched = table.together()

    def broken(_known: dict[str, int]) -> dict[str, dict[str, Any] | None]:
        raise ConnectionError

    watched._changes = broken
    with pytest.raises(ConnectionError):
        watched.look("a", SECONDS)
    watched._changes = table.changes

    assert _version(watched.look("a", SECONDS)) == 1
