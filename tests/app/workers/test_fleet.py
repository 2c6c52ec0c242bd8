"""Who is there, what they do, and how many would be right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db
from app.errors import Conflict, NotFound
from app.workers import fleet
from tests import acting


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


def _register(worker_id: str, *pools: str, threads: int = 4) -> None:
    fleet.register(
        worker_id, hostname="h", process_id=1, pools=pools or ("general",), threads=threads, release="1"
    )


def _states() -> dict[str, str]:
    return {w["worker_id"]: w["state"] for w in fleet.listing()}


def test_a_worker_is_idle_then_active_then_draining_then_gone() -> None:
    _register("w1")
    assert _states() == {"w1": "idle"}
    acting.claimed(worker="w1")
    assert _states() == {"w1": "active"}
    fleet.beat("w1", draining=True, redis_away=False)
    assert _states() == {"w1": "stopping"}, "nobody asked it to: it ends"
    fleet.leave("w1")
    assert _states() == {}


def test_a_silent_worker_is_lost_and_no_capacity() -> None:
    _register("w1")
    db.run("UPDATE workers SET seen_at = now() - interval '2 minutes'")
    assert _states() == {"w1": "lost"}
    assert fleet.capacity()["total"] == 0
    assert fleet.listing(ttl_seconds=300)[0]["state"] == "idle"


def test_registering_again_is_no_error_and_a_beat_of_a_stranger_says_so() -> None:
    _register("w1")
    _register("w1")
    assert fleet.beat("w1", draining=False, redis_away=True)
    assert fleet.listing()[0]["redis_away"]
    assert not fleet.beat("w2", draining=False, redis_away=False)


def test_capacity_counts_threads_and_what_is_busy() -> None:
    _register("w1")
    _register("w2", "testing", threads=6)
    acting.claimed(worker="w1")
    assert fleet.capacity() == {
        "total": 2,
        "active": 1,
        "idle": 1,
        "draining": 0,
        "threads": 10,
        "busy": 1,
        "utilization": 0.1,
    }


def test_a_worker_of_two_pools_counts_in_each() -> None:
    _register("w1", "testing", "general", threads=2)
    assert [(line["pool"], line["threads"]) for line in fleet.by_pool(("testing", "general", "marketing"))] == [
        ("testing", 2), ("general", 2), ("marketing", 0)
    ]  # fmt: skip


def test_the_list_says_what_each_does() -> None:
    _register("w1")
    claim = acting.claimed("test-echo", worker="w1")
    (job,) = fleet.listing()[0]["jobs"]
    assert (job["job_id"], job["agent_id"], job["submitted_by"]) == (claim.job_id, "test-echo", acting.OWNER)


def test_who_is_wanted_to_rest_is_no_capacity_before_it_has_heard() -> None:
    _register("w1")
    _register("w2")
    acting.claimed(worker="w1")
    drained = fleet.drain("w1", by="ada")
    assert (drained["state"], drained["draining"], drained["wanted_by"]) == ("draining", False, "ada")
    assert fleet.wish("w1") == "drain"
    assert fleet.capacity() == {
        "total": 2,
        "active": 0,
        "idle": 1,
        "draining": 1,
        "threads": 4,
        "busy": 0,
        "utilization": 0.0,
    }
    assert fleet.by_pool(("general",)) == [
        {"pool": "general", "workers": 1, "draining": 1, "threads": 4, "busy": 0, "utilization": 0.0}
    ]


def test_a_resumed_worker_is_as_before() -> None:
    _register("w1")
    fleet.drain("w1", by="ada")
    at = fleet.drain("w1", by="bob")["wanted_at"]
    assert (fleet.get("w1")["wanted_by"], fleet.get("w1")["wanted_at"]) == ("ada", at), "twice is no harm"
    assert fleet.resume("w1", by="ada")["state"] == "idle"
    assert fleet.resume("w1", by="ada")["wanted_by"] is None
    assert fleet.wish("w1") == "work"


def test_who_was_called_back_and_has_not_heard_yet_does_not_end() -> None:
    _register("w1")
    fleet.drain("w1", by="ada")
    fleet.beat("w1", draining=True, redis_away=False)
    assert fleet.resume("w1", by="ada")["state"] == "draining"
    assert fleet.drain("w1", by="ada")["state"] == "draining", "it may be asked again at once"
    fleet.resume("w1", by="ada")
    fleet.beat("w1", draining=False, redis_away=False)
    assert fleet.get("w1")["state"] == "idle"
    db.run("UPDATE workers SET wanted_at = wanted_at - interval '10 s'")
    fleet.beat("w1", draining=True, redis_away=False)
    assert fleet.get("w1")["state"] == "stopping", "its platform ends it"


def test_who_ends_cannot_be_called_back() -> None:
    _register("w1")
    assert fleet.stop("w1", by="ada")["state"] == "stopping"
    assert fleet.stop("w1", by="ada")["wanted"] == "stop"
    for verb in (fleet.drain, fleet.resume):
        with pytest.raises(Conflict, match="ending already"):
            verb("w1", by="ada")
    assert fleet.wish("w1") == "stop"


def test_a_lost_worker_and_one_that_never_was_hear_nothing() -> None:
    _register("w1")
    db.run("UPDATE workers SET seen_at = now() - interval '2 minutes'")
    for verb in (fleet.drain, fleet.resume, fleet.stop):
        with pytest.raises(Conflict, match="lost"):
            verb("w1", by="ada")
        with pytest.raises(NotFound):
            verb("w2", by="ada")
    assert fleet.wish("w2") is None
