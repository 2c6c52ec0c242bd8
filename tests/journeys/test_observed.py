"""What a running Callboard tells of itself: its log, its figures, and its ports."""

from __future__ import annotations

import json
import os
import signal

import psutil
from prometheus_client.parser import text_string_to_metric_families

from app.ops.processes import MARK
from tests.journeys.person import Person
from tests.journeys.product import Product
from tests.waiting import until

SERVICES = ("web", "worker", "scheduler")


def figures(admin: Person) -> dict[str, float]:
    """Sums over all labels, by name of the sample."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(admin.call("GET", "/metrics").text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_figures_of_all_processes_are_told_and_outlive_one_that_is_killed(
    admin: Person, product: Product
) -> None:
    job = admin.submit("test-noop")
    admin.reaches(job, "completed")
    until(lambda: figures(admin).get("callboard_attempts_total", 0) >= 1, 10)
    before = figures(admin)
    web = psutil.Process(product.pid("web")).children()
    web[0].send_signal(signal.SIGKILL)
    until(lambda: not web[0].is_running(), 20)
    until(lambda: len(psutil.Process(product.pid("web")).children()) == len(web), 20)
    after = figures(admin)

    counters = [name for name in before if name.endswith(("_total", "_count", "_bucket"))]
    assert len(counters) > 10
    # At most a second's worth of what the killed process counted last is gone, and nothing is counted twice.
    assert all(after[name] >= before[name] for name in counters if "attempt" in name or "claim" in name)
    assert after["callboard_attempts_total"] < 2 * before["callboard_attempts_total"] + 2
    assert before["callboard_http_requests_total"] <= after["callboard_http_requests_total"] + 50


def test_every_line_of_every_log_is_json_and_says_whose_it_is(admin: Person, product: Product) -> None:
    job = admin.submit("test-noop")
    admin.reaches(job, "completed")
    request_id = admin.get(f"/api/v1/jobs/{job}")["correlation_id"]
    lines = {
        name: [json.loads(line) for line in (product.home / "log" / f"{name}.log").read_text().splitlines()]
        for name in SERVICES
    }
    for name, told in lines.items():
        assert told, name
        assert {line["service"] for line in told} == {name}
        assert all(line["timestamp"] and line["event"] and line["level"] and line["pid"] for line in told)
    ours = [(line["service"], line["event"]) for name in SERVICES for line in lines[name]
            if line.get("correlation_id") == request_id]  # fmt: skip
    assert ("web", "http.answered") in ours
    assert ("worker", "attempt.began") in ours
    assert ("worker", "attempt.ended") in ours


def test_nothing_listens_but_the_web(product: Product) -> None:
    """X33: no port of Dramatiq, no metrics server of anybody."""
    ports = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(product.home) and process.pid != os.getpid():
                found = process.net_connections("inet")
                ports |= {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    assert ports == {product.port}
