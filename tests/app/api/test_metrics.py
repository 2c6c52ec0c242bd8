from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.app.api import world
from tests.app.api.calling import Caller


def test_figures_count_what_happened(owner: Caller) -> None:
    world.completed(owner.id)
    world.completed(owner.id)
    world.failed(owner.id)
    world.submitted(owner.id)
    figures = owner.get("/api/metrics").json

    assert figures is not None
    assert (figures["processed"], figures["successful"], figures["failed"]) == (3, 2, 1)
    assert (figures["queue_size"], figures["running"]) == (1, 0)
    assert abs(figures["success_rate"] - 2 / 3) < 1e-9
    assert figures["jobs"]["completed"] == 2


def test_scrapers_get_the_same_in_their_format(admin: Caller, owner: Caller) -> None:
    world.completed(owner.id)
    world.submitted(owner.id, priority="low")
    families = {
        f.name: f for f in text_string_to_metric_families(admin.get("/metrics").get_data(as_text=True))
    }

    jobs = {sample.labels["status"]: sample.value for sample in families["callboard_jobs"].samples}
    depth = {sample.labels["priority"]: sample.value for sample in families["callboard_queue_depth"].samples}
    assert (jobs["completed"], jobs["queued"], depth["low"]) == (1, 1, 1)
    assert families["callboard_jobs_finished"].samples[0].value == 1
