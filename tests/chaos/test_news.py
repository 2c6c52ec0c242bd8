"""Callbacks whose couriers die with them in hand, to a receiver that fails a third of the time: each arrives."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from app.db import db
from app.errors import Conflict
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.notify import secrets
from tests.chaos.conftest import FIGURES
from tests.chaos.load import Watch
from tests.chaos.pulse import pulse
from tests.chaos.test_workers_die import HOW, shoot
from tests.fleet import Fleet
from tests.webhook_receiver import CLOSE, Answer, Received, receiving

pytestmark = pytest.mark.timeout(240)

JOBS, BLOWS = 60, 6
HASTY = "tests.chaos.hasty_courier"
OWNER = "chaos"
# So long the receiver thinks before it answers: whoever is killed has something in hand.
THINKS_SECONDS = 0.25

_SENT = """
    SELECT d.delivery_id::text, d.subject_id AS job_id, d.event, d.status, d.attempts, j.status AS job_status,
           extract(epoch FROM j.finished_at)::float AS finished_at
    FROM deliveries d LEFT JOIN jobs j ON j.job_id::text = d.subject_id WHERE d.callback"""
_LOST = "SELECT count(*) FROM delivery_attempts WHERE error = 'The courier was lost.'"


@dataclass
class Moody:
    """What the receiver answers, and whether anything came while the same was still being answered."""

    chance: random.Random = field(default_factory=lambda: random.Random(3))
    in_hand: set[str] = field(default_factory=set)
    at_once: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, received: Received) -> Answer:
        """Think; then fail in one of three ways out of nine."""
        with self.lock:
            if received.id in self.in_hand:
                self.at_once.append(received.id)
            self.in_hand.add(received.id)
            fails = (Answer(500), Answer(429, {"Retry-After": "1"}), CLOSE)
            chosen = self.chance.choice((*fails, *[Answer()] * 6))
        self.over.wait(THINKS_SECONDS)
        with self.lock:
            self.in_hand.discard(received.id)
            self.answers[chosen.status] += 1
            if chosen.status == Answer().status:
                self.accepted.add(received.id)
        return chosen


def wishes(url: str, chance: random.Random) -> list[Wish]:
    """Jobs of every ending, each of which calls back."""
    nap = Wish(agent_id="test-sleeper", parameters={"seconds": 0.1}, submitted_by=OWNER)
    kinds = [
        *[nap] * 6,
        replace(nap, agent_id="test-flaky", parameters={"failures": 1}),
        replace(nap, agent_id="test-flaky", parameters={"failures": 9, "kind": "permanent"}),
        *[replace(nap, parameters={"seconds": 600}, tags=("endless",))] * 2,
    ]
    found = [replace(kinds[n % len(kinds)], notify={"callback_url": f"{url}/hook"}) for n in range(JOBS)]
    chance.shuffle(found)
    return found


def submitted(wanted: list[Wish]) -> list[str]:
    """The ids of new jobs; whatever never ends by itself is cancelled, now or when it runs."""
    with db.transaction():
        ids = [row["job_id"] for row in lifecycle.submit_many([intake.order(wish) for wish in wanted])]
    for job_id, wish in zip(ids, wanted, strict=True):
        if "endless" in wish.tags:
            with suppress(Conflict), db.quick():
                lifecycle.cancel(job_id)
    return ids


def arrived(fleet: Fleet) -> bool:
    """Whether every job has ended, and called back."""
    delivered = fleet.value("SELECT count(*) FROM deliveries WHERE callback AND status = 'delivered'")
    return bool(delivered == JOBS and fleet.unfinished() == 0)


def test_every_job_calls_back_under_one_id_whichever_couriers_die(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(HTTP_ALLOW_PRIVATE="true")
    scheduler = fleet.start("scheduler", "-m", HASTY)
    workers = [fleet.worker(name, threads=4, module=HASTY) for name in ("worker-a", "worker-b")]
    chance, moody = random.Random(7), Moody()
    with db.transaction():
        secret = secrets.of_callbacks(OWNER)

    with receiving(secret) as receiver, Watch(fleet) as watch:
        receiver.choose = moody.answer
        waiting = wishes(receiver.url, chance)
        jobs: list[str] = []
        for number in pulse(fleet, 1.5, BLOWS):
            jobs += submitted([waiting.pop() for _ in range(JOBS // BLOWS)])
            fleet.until(lambda: moody.in_hand, 60, every=0.01)
            for unit in (*workers, *([scheduler] if number % 3 == 2 else [])):
                shoot(unit, chance.choice(HOW))
        fleet.until(lambda: arrived(fleet), 120, every=0.2)

    sent = {row["job_id"]: row for row in fleet.rows(_SENT)}
    heard: dict[str, set[str]] = {}
    for came in receiver.got:
        heard.setdefault(came.json["data"]["job_id"], set()).add(came.id)
    tries = Counter(receiver.ids)
    lost = fleet.value(_LOST)
    FIGURES.append(
        f"{JOBS} callbacks in {len(receiver.got)} requests, answered {dict(moody.answers)}, {lost} couriers lost "
        f"with one in hand, {fleet.restarts} restarts"
    )
    assert sent.keys() == heard.keys() == set(jobs)
    assert {job_id: {row["delivery_id"]} for job_id, row in sent.items()} == heard, (
        "one id for each job, ever"
    )
    assert moody.accepted >= {row["delivery_id"] for row in sent.values()}, (
        "none was called delivered for nothing"
    )
    assert moody.at_once == [], "two had the same in hand"
    assert [row for row in sent.values() if tries[row["delivery_id"]] > row["attempts"]] == []
    for came in receiver.got:
        row = sent[came.json["data"]["job_id"]]
        assert row["finished_at"] <= came.at, "called back before the end"
        assert came.json["type"] == row["event"] == f"job.{row['job_status']}"
        assert came.json["data"]["status"] == row["job_status"]
        assert came.verified == (secret,)
    assert {row["job_status"] for row in sent.values()} == {"completed", "failed", "cancelled"}
    assert len({came.body for came in receiver.got}) == JOBS, "the same words at every try"
    assert watch.seen == {}, "seen in the middle of it"
    assert fleet.broken(at_rest=True, promised=jobs) == {}
    assert lost > 0, "nobody was killed with a callback in hand"
    assert len(receiver.got) > JOBS
    assert fleet.restarts >= BLOWS
