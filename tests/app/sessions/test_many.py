"""Many at once: nothing is lost, no place and no number is given twice or left out (SESS-21)."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db import db
from app.errors import Conflict
from app.sessions import changes, commands, events, memory, talk
from tests.app.sessions.conftest import People

SESSIONS = 100
THREADS = 16
ROUNDS = 6


def in_threads(do: Callable[[int], object], times: int) -> list[object]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(do, range(times)))


def test_what_sixteen_write_into_a_hundred_sessions_is_all_there_without_gaps(people: People) -> None:
    with db.transaction():
        for n in range(SESSIONS):
            changes.create(f"s{n}", who=people.ada)

    def write(n: int) -> None:
        session_id = f"s{n % SESSIONS}"
        chunks = [{"speaker": "x", "text": f"{n} {part}"} for part in range(2)]
        with db.transaction():
            talk.add(session_id, chunks, by="ada")
            memory.store(session_id, key=f"k{n // SESSIONS % 2}", content=str(n), by="ada")

    order = list(range(SESSIONS * ROUNDS))
    random.Random(8).shuffle(order)
    in_threads(lambda n: write(order[n]), len(order))
    with db.quick():
        sessions = db.rows("SELECT session_id, message_count, last_seq FROM sessions")
        messages = db.rows(
            """SELECT session_id, array_agg(place ORDER BY place) AS places, array_agg(text ORDER BY place) AS texts
               FROM session_messages GROUP BY session_id"""
        )
        told = db.rows(
            "SELECT session_id, array_agg(seq ORDER BY seq) AS seqs FROM session_events GROUP BY session_id"
        )
        versions = db.value("SELECT sum(version) FROM memories")
    assert {(row["message_count"], row["last_seq"]) for row in sessions} == {(2 * ROUNDS, 1 + 2 * ROUNDS)}
    assert len(messages) == len(told) == SESSIONS
    assert all(row["places"] == list(range(1, 2 * ROUNDS + 1)) for row in messages)
    assert all(row["seqs"] == list(range(1, 2 * ROUNDS + 2)) for row in told)
    assert {text for row in messages for text in row["texts"]} == {
        f"{n} {part}" for n in order for part in range(2)
    }
    assert all(  # a batch stands together
        a.split()[0] == b.split()[0]
        for row in messages
        for a, b in zip(row["texts"][::2], row["texts"][1::2], strict=True)
    )
    assert versions == len(order)


def test_a_cursor_that_reads_while_others_write_misses_nothing(people: People) -> None:
    with db.transaction():
        changes.create("s", who=people.ada)
    total, seen, cursor = 120, list[int](), 0

    def write(_: int) -> None:
        with db.transaction():
            events.append("s", "summary.made", {})

    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write, n) for n in range(total)]
        while len(seen) <= total:
            finished = all(each.done() for each in writing)
            with db.quick():
                rows, cursor = events.after("s", cursor, 10)
            seen += [row["seq"] for row in rows]
            if finished and not rows:
                break
        for each in writing:
            each.result()
    assert seen == list(range(1, total + 2))


def test_of_many_who_take_one_id_one_gets_it(people: People) -> None:
    def take(_: int) -> str:
        try:
            with db.transaction():
                changes.create("mine", who=people.ada)
        except Conflict:
            return "taken"
        return "made"

    assert sorted(str(each) for each in in_threads(take, 12)).count("made") == 1


@pytest.mark.parametrize("same", [True, False])
def test_the_same_command_said_by_many_at_once_is_done_once(people: People, same: bool) -> None:
    with db.transaction():
        changes.create("s", who=people.ada)
    chunks = {"chunks": [{"speaker": "x", "text": "y"}]}

    def say(n: int) -> bool:
        envelope = {"command": "conversation_batch", "session_id": "s", "payload": chunks}
        with db.transaction():
            request_id = "r" if same else f"r{n}"
            return commands.carry_out(envelope | {"request_id": request_id}, people.ada).replayed

    replayed = in_threads(say, 12)
    with db.quick():
        assert len(talk.page("s")) == (1 if same else 12)
    assert replayed.count(False) == (1 if same else 12)
