"""Posts whose workers die at each boundary of the way: each is written, judged and published once."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from app.content.brief import key_of
from app.db import db
from app.providers import catalogue
from tests import acting
from tests.chaos.conftest import FIGURES
from tests.chaos.outside import Outside, outside
from tests.chaos.test_workers_die import said_lost
from tests.fleet import Fleet, Unit
from tests.services import libpq

pytestmark = pytest.mark.timeout(240)

AGENT = "chaos-pipeline"
# Topic → where its job is when its worker dies. "asked": the request is on its way and never arrives;
# "done": it was carried out, and nobody hears the answer.
BOUNDARIES = {
    "before the first draft": "write",
    "within the first draft": "half a draft",
    "the first draft is kept": "judge 1",
    "its report is kept": "refine",
    "the second draft is kept": "judge 2",
    "pictured search": "picture",
    "pictured download": "download",
    "pictured upload": "upload done",
    "before the look": "look asked",
    "before the create": "create asked",
    "after the create": "create done",
    "before the publish": "publish asked",
    "after the publish": "publish done",
    "before the checkpoint": "confirm done",
    "within the settle": "confirm asked",
}
ASKED_AGAIN = ("before the first draft", "within the first draft", "its report is kept")


@pytest.fixture
def world() -> Iterator[Outside]:
    with outside() as made:
        yield made


def ordered(world: Outside, topics: dict[str, str]) -> dict[str, str]:
    """A job for each topic, to be stopped at its boundary: topic → job id."""
    with db.quick():
        catalogue.add("chaos", {"base_url": f"{world.model.url}/v1", "model": "test-model"})
        keys = {"pipeline": {"tools": False}, "providers": ["chaos"], "effects": ["publish"]}
        acting.agent(AGENT, runner="pipeline", gate=world.gate, **keys)
        jobs = {topic: acting.submitted(AGENT, parameters={"topic": topic}) for topic in topics}
        for topic, job_id in jobs.items():
            key = key_of(job_id, acting.job(job_id)["parameters"])
            world.boundaries.topics[key] = topic
            world.boundaries.stop(topic, topics[topic])
    return jobs


def writer(fleet: Fleet, world: Outside, name: str) -> Unit:
    """A worker with a thread for each post."""
    module = "tests.chaos.pictured_worker"
    return fleet.worker(name, threads=len(BOUNDARIES) + 1, module=module, **world.environ)


@contextmanager
def nobody_settles(fleet: Fleet) -> Iterator[Callable[[], bool]]:
    """No job can end as long as this lasts; answers whether somebody tries to."""
    with psycopg2.connect(libpq(fleet.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE task_history IN EXCLUSIVE MODE")
        waits = "SELECT count(*) FROM pg_locks WHERE relation = 'task_history'::regclass AND NOT granted"
        yield lambda: bool(fleet.value(waits))
    connection.close()


def per_job(fleet: Fleet, statement: str) -> dict[str, Any]:
    """Of a statement {job_id, value}."""
    return {row["job_id"]: row["value"] for row in fleet.rows(statement)}


def demand_one_post_each(fleet: Fleet, world: Outside, jobs: dict[str, str]) -> None:
    """Every job is completed, and has one post that people can read."""
    assert fleet.broken(at_rest=True, promised=list(jobs.values())) == {}
    assert fleet.contradictions() == []
    statuses = per_job(fleet, "SELECT job_id::text, status AS value FROM jobs")
    assert Counter(statuses.values()) == {"completed": len(jobs)}
    posts = Counter(post["callboard_key"] for post in world.cms.published)
    assert posts == dict.fromkeys(world.boundaries.topics, 1)
    results = per_job(fleet, "SELECT job_id::text, result AS value FROM jobs")
    public = {post["documentId"] for post in world.cms.published}
    assert {result["strapi_post_id"] for result in results.values()} == public
    assert all(result["published"] for result in results.values())


def test_a_worker_that_dies_at_any_boundary_leaves_one_post(fleet: Fleet, world: Outside) -> None:
    jobs = ordered(world, BOUNDARIES)
    fleet.scheduler()
    worker = writer(fleet, world, "worker")
    boundaries = world.boundaries

    fleet.until(lambda: boundaries.there == BOUNDARIES.keys(), 60)
    with nobody_settles(fleet) as somebody_tries:
        boundaries.let("within the settle")
        fleet.until(somebody_tries, 10)
        worker.kill_children()
        boundaries.drop()
    fleet.until(lambda: fleet.unfinished() == 0, 60)

    demand_one_post_each(fleet, world, jobs)
    assert world.cms.drafts == []
    lost = {topic for topic, job_id in jobs.items() if job_id in lost_once(fleet)}
    # Postgres finishes what the dead have sent it: that one was settled.
    assert lost >= BOUNDARIES.keys() - {"within the settle"}
    drafts = per_job(fleet, "SELECT job_id::text, count(judged_at) AS value FROM drafts GROUP BY job_id")
    assert drafts == dict.fromkeys(jobs.values(), 2)
    asked = Counter(topic for topic, where in boundaries.seen.elements() if where in ("write", "refine"))
    assert asked == {topic: 2 + (topic in ASKED_AGAIN) for topic in BOUNDARIES}
    pictured = [post for post in world.cms.published if post.get("featured_image")]
    assert len(pictured) == sum(topic.startswith("pictured") for topic in BOUNDARIES)
    FIGURES.append(
        f"{len(jobs)} posts stopped at {len(BOUNDARIES)} boundaries: {len(lost)} lost, one post each"
    )


def lost_once(fleet: Fleet) -> set[str]:
    """The jobs of which one attempt was lost."""
    return set(per_job(fleet, "SELECT job_id::text, 1 AS value FROM jobs WHERE lost_count = 1"))


LATE = {"late create": "create asked", "late publish": "publish asked"}


def test_what_a_frozen_worker_had_sent_arrives_late_and_makes_no_second_post(
    fleet: Fleet, world: Outside
) -> None:
    jobs = ordered(world, LATE)
    fleet.scheduler()
    zombie = writer(fleet, world, "zombie")

    fleet.until(lambda: world.boundaries.there == LATE.keys(), 60)
    zombie.signal_group(signal.SIGSTOP)
    writer(fleet, world, "heir")
    fleet.until(lambda: fleet.unfinished() == 0, 60)
    world.boundaries.let(*LATE)
    zombie.signal_group(signal.SIGCONT)
    fleet.until(lambda: said_lost(zombie) >= set(jobs.values()), 20)

    demand_one_post_each(fleet, world, jobs)
    assert fleet.outcomes() == {"lost": 2, "completed": 2}
