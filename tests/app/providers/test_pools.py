"""Places and pools: exact across workers, given back by the dead, and honest about when to ask again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.db import Row, db
from app.providers import catalogue, pools, queries
from app.providers.pools import Refusal, Ticket
from tests.waiting import until

JOB = "0192aaaa-0000-7000-8000-000000000001"
WORKERS = 16

Make = Callable[..., str]


def enter(provider_id: str = "acme", *, tokens: int = 100, seconds: float = 60) -> Ticket | Refusal:
    with db.transaction():
        return pools.enter(provider_id, tokens=tokens, job_id=JOB, fence=1, seconds=seconds)


def inside(provider_id: str = "acme", **how: Any) -> Ticket:
    got = enter(provider_id, **how)
    assert isinstance(got, Ticket), got
    return got


def outside(provider_id: str = "acme", **how: Any) -> Refusal:
    got = enter(provider_id, **how)
    assert isinstance(got, Refusal), got
    return got


def succeed(ticket: Ticket, tokens: int = 100) -> pools.Left:
    with db.transaction():
        return pools.succeeded(ticket, tokens=tokens)


def fail(ticket: Ticket, kind: str, retry_after: float | None = None) -> pools.Left:
    with db.transaction():
        return pools.failed(ticket, kind, "it says no", retry_after)


def row(provider_id: str = "acme") -> Row:
    with db.quick():
        return queries.get(provider_id)


def shift(seconds: float, column: str = "open_until") -> None:
    """Let so much time have passed for one column."""
    with db.quick():
        db.run(f"UPDATE providers SET {column} = {column} - %(s)s * interval '1 s'", s=seconds)


def wait(refusal: Refusal) -> float:
    """How many seconds from now one is told to come back."""
    assert refusal.until is not None
    return (refusal.until - row()["now"]).total_seconds()


# -- calls at once


def test_three_places_are_three(provider: Make) -> None:
    provider(max_concurrent=3)
    tickets = [inside() for _ in range(3)]

    refused = outside()
    assert (refused.reason, refused.message) == ("places", "all 3 places of Acme are taken")
    assert 0 < wait(refused) <= 2
    assert row()["calls"] == 3
    with db.transaction():
        pools.left(tickets[0])
    inside()
    assert outside().reason == "places"


def test_sixteen_threads_never_get_a_fourth_of_three_places(provider: Make) -> None:
    provider(max_concurrent=3)
    start, guard = threading.Barrier(WORKERS), threading.Lock()
    inside_now: set[str] = set()
    seen: list[int] = []

    def work(_number: int) -> int:
        start.wait(10)
        done = 0
        for _ in range(40):
            got = enter()
            if isinstance(got, Refusal):
                assert got.reason == "places"
                continue
            with guard:
                inside_now.add(got.pass_id)
                seen.append(len(inside_now))
            with guard:  # out of our own count first: Postgres frees the place a moment later
                inside_now.remove(got.pass_id)
            succeed(got)
            done += 1
        return done

    with ThreadPoolExecutor(WORKERS) as threads:
        done = sum(threads.map(work, range(WORKERS)))

    assert done == len(seen) > 40
    assert max(seen) <= 3
    with db.quick():
        assert db.value("SELECT count(*) FROM provider_passes") == 0


def test_sixteen_at_once_get_exactly_three(provider: Make) -> None:
    provider(max_concurrent=3)
    start = threading.Barrier(WORKERS)

    def ask(_number: int) -> bool:
        start.wait(10)
        return isinstance(enter(), Ticket)

    with ThreadPoolExecutor(WORKERS) as threads:
        assert sum(threads.map(ask, range(WORKERS))) == 3


def test_without_the_row_lock_the_race_is_lost(provider: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two tests above could fail: here they would."""
    provider(max_concurrent=3)
    start = threading.Barrier(WORKERS)
    counted = threading.Barrier(WORKERS)
    look = pools._inside

    def look_together(provider_id: str) -> Row:
        found = look(provider_id)
        counted.wait(10)
        return found

    monkeypatch.setattr(
        pools, "_locked", lambda name: db.row("SELECT * FROM providers WHERE provider_id = %(id)s", id=name)
    )
    monkeypatch.setattr(pools, "_inside", look_together)

    def ask(_number: int) -> bool:
        start.wait(10)
        return isinstance(enter(), Ticket)

    with ThreadPoolExecutor(WORKERS) as threads:
        assert sum(threads.map(ask, range(WORKERS))) > 3


def test_the_place_of_a_dead_worker_comes_free_and_that_of_a_long_answer_stays(provider: Make) -> None:
    provider(max_concurrent=1)
    dead = inside(seconds=0.05)
    until(lambda: row()["calls"] == 0)
    living = inside(seconds=0.2)
    with db.quick():
        pools.renew([living.pass_id], seconds=60)
        db.run("UPDATE provider_passes SET expires_at = expires_at - interval '1 s'")

    assert outside().reason == "places"
    with db.quick():
        assert pools.forget_expired() == 0
        db.run(
            "UPDATE provider_passes SET expires_at = now() - interval '1 m' WHERE pass_id = %(id)s",
            id=dead.pass_id,
        )
        assert pools.forget_expired() == 1
    succeed(dead)  # it was only slow: its verdict counts, its place is another's
    assert row()["calls"] == 1


# -- a minute's requests and tokens


def test_requests_of_a_minute_and_when_there_is_one_more(provider: Make) -> None:
    provider(requests_per_minute=3)
    for _ in range(3):
        succeed(inside())

    refused = outside()
    assert refused.reason == "requests"
    assert "3 requests a minute" in refused.message
    assert 18 < wait(refused) <= 20, "one of three a minute is back after twenty seconds"
    shift(20, "refilled_at")
    inside()
    assert outside().reason == "requests"
    shift(3600, "refilled_at")
    assert [isinstance(enter(), Ticket) for _ in range(5)] == [True, True, True, False, False]


def test_sixteen_threads_take_exactly_the_requests_of_a_minute(provider: Make) -> None:
    provider(requests_per_minute=20)
    start = threading.Barrier(WORKERS)

    def ask(_number: int) -> int:
        start.wait(10)
        return sum(isinstance(enter(), Ticket) for _ in range(3))

    with ThreadPoolExecutor(WORKERS) as threads:
        assert sum(threads.map(ask, range(WORKERS))) in (20, 21)  # one may come back in three seconds


def test_an_estimate_of_tokens_is_corrected_by_what_was_used(provider: Make) -> None:
    provider(tokens_per_minute=6000)
    used_less, used_more = inside(tokens=3000), inside(tokens=3000)
    assert outside(tokens=1000).reason == "tokens"
    succeed(used_less, tokens=1000)
    second = inside(tokens=1000)
    succeed(used_more, tokens=5000)

    refused = outside(tokens=1000)
    assert refused.reason == "tokens"
    assert 10 < wait(refused) <= 20, "about 1,000 in debt at 100 a second, and 1,000 wanted"
    with db.transaction():
        pools.left(second)
    assert wait(outside(tokens=1000)) > 10, "nobody knows what a call without a verdict used"


def test_a_call_that_failed_used_no_tokens(provider: Make) -> None:
    provider(tokens_per_minute=1000)
    fail(inside(tokens=1000), "transport")

    inside(tokens=1000)


def test_a_call_larger_than_the_whole_pool_waits_for_a_full_one_and_leaves_a_debt(provider: Make) -> None:
    provider(tokens_per_minute=1000)
    succeed(inside(tokens=5000), tokens=5000)

    refused = outside(tokens=1)
    assert 235 < wait(refused) <= 241
    assert queries.public(row())["pools"]["tokens"] == {"limit": 1000, "used": pytest.approx(5000, abs=20)}


def test_a_pool_never_holds_more_than_a_minute(provider: Make) -> None:
    provider(tokens_per_minute=1000)
    ticket = inside(tokens=1000)
    shift(3600, "refilled_at")
    succeed(ticket, tokens=0)

    inside(tokens=1000)
    assert outside(tokens=1000).reason == "tokens"


def test_without_limits_nothing_is_counted(provider: Make) -> None:
    provider()
    tickets = [inside(tokens=10**9) for _ in range(20)]

    assert queries.public(row())["pools"] == {
        "requests": {"limit": None, "used": None},
        "tokens": {"limit": None, "used": None},
        "calls": {"limit": None, "used": 20},
    }
    succeed(tickets[0], tokens=10**9)


def test_a_new_limit_begins_with_a_full_pool(provider: Make) -> None:
    provider()
    inside()
    with db.transaction():
        catalogue.change("acme", {"requests_per_minute": 2})

    assert [isinstance(enter(), Ticket) for _ in range(3)] == [True, True, False]


# -- the breaker


def test_five_failures_open_it_for_everybody(provider: Make) -> None:
    provider()
    left = [fail(inside(), "overload") for _ in range(5)]

    assert [each.opened for each in left] == [False] * 4 + [True]
    refused = outside()
    assert refused.reason == "open"
    assert refused.message == "Acme is left alone after overload: it says no"
    assert 28 < wait(refused) <= 30


def test_exactly_one_probe_among_all_workers(provider: Make) -> None:
    provider()
    fail(inside(), "auth")
    shift(31)
    start = threading.Barrier(WORKERS)

    def ask(_number: int) -> Ticket | Refusal:
        start.wait(10)
        return enter()

    with ThreadPoolExecutor(WORKERS) as threads:
        answers = list(threads.map(ask, range(WORKERS)))

    (probe,) = [answer for answer in answers if isinstance(answer, Ticket)]
    assert probe.probe
    assert {a.reason for a in answers if isinstance(a, Refusal)} == {"probing"}
    assert row()["state"] == "half_open"
    assert all(a.until is not None for a in answers if isinstance(a, Refusal))
    left = succeed(probe)
    assert (left.state, left.recovered) == ("closed", True)
    assert not inside().probe


def test_a_probe_whose_worker_died_or_that_said_nothing_lets_the_next_one_in(provider: Make) -> None:
    provider()
    fail(inside(), "auth")
    shift(31)
    dead = inside(seconds=0.05)
    until(lambda: row()["calls"] == 0)
    quiet = inside()
    assert quiet.probe
    late = succeed(dead)
    assert late.state == "half_open", "the dead one is not the probe any more"
    with db.transaction():
        pools.left(quiet)

    assert inside().probe


def test_a_failed_probe_doubles_the_pause(provider: Make) -> None:
    provider()
    fail(inside(), "auth")
    shift(31)
    left = fail(inside(), "auth")

    assert left.opened
    assert 58 < wait(outside()) <= 60
    assert row()["trips"] == 2
    with db.quick():
        (told,) = db.rows("SELECT event, audience, count, body FROM notifications")
    assert (told["event"], told["audience"], told["count"]) == ("provider.down", "admins", 2)
    assert told["body"].startswith("auth: ")


def test_calls_under_way_when_it_opened_neither_close_nor_double(provider: Make) -> None:
    provider()
    crowd = [inside() for _ in range(10)]
    for ticket in crowd[:8]:
        fail(ticket, "transport")
    succeed(crowd[8])

    assert (row()["state"], row()["trips"]) == ("open", 1)
    left = fail(crowd[9], "throttle", 3 * 86400)
    assert left.opened, "it knows of a longer pause"
    assert wait(outside()) > 3 * 86400 - 5


def test_our_own_fault_leaves_it_closed(provider: Make) -> None:
    provider()
    for _ in range(10):
        fail(inside(), "request")

    assert (row()["state"], row()["failures"]) == ("closed", 0)


def test_what_a_provider_says_can_always_be_kept(provider: Make) -> None:
    provider()
    with db.transaction():
        pools.failed(inside(), "auth", "no\x00\ud800" * 5000)

    assert len(row()["last_error"]) == 1000


# -- neither


def test_a_provider_that_is_off_or_unknown_takes_nobody(provider: Make) -> None:
    provider(enabled=False)

    assert (outside().reason, outside().until) == ("disabled", None)
    assert outside("nobody").message == "there is no provider 'nobody'"


def test_a_provider_that_went_while_a_call_was_under_way(provider: Make) -> None:
    provider()
    ticket = inside()
    with db.transaction():
        catalogue.remove("acme")

    assert succeed(ticket).state == "closed"
    with db.quick():
        assert db.value("SELECT count(*) FROM provider_passes") == 0


def test_leaving_twice_frees_one_place(provider: Make) -> None:
    provider(max_concurrent=2)
    first, _second = inside(), inside()
    succeed(first)
    succeed(first)

    inside()
    assert outside().reason == "places"


def test_a_refusal_takes_nothing(provider: Make) -> None:
    provider(requests_per_minute=10, tokens_per_minute=100)
    inside(tokens=100)
    for _ in range(5):
        assert outside(tokens=50).reason == "tokens"

    assert queries.public(row())["pools"]["requests"]["used"] == 1
    assert row()["calls"] == 1
    assert timedelta(0) <= row()["now"] - row()["refilled_at"] < timedelta(seconds=30)
