"""Prometheus' own tool takes what Callboard tells and ships. `.ci/run` brings it along."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.db import db
from app.observe import metrics
from app.settings import ROOT
from tests.app.api import world

MONITORING = ROOT / "docs" / "monitoring"
RULE_TESTS = ("alerts.test.yml", "alerts-money.test.yml")
INTERVALS = {"$__rate_interval": "1m", "$__interval": "15s"}


def promtool(*words: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
    ours = ROOT / ".cache" / "promtool" / "usr" / "bin" / "promtool"
    program = shutil.which("promtool") or ours
    return subprocess.run(
        [program, *words], input=said, cwd=MONITORING, capture_output=True, text=True, check=False
    )


@pytest.fixture
def scraped(app: Flask, quick: Engine, client: FlaskClient) -> str:
    """What /metrics says of a Callboard in which something happened."""
    with db.transaction():
        row = users.create("scraper@example.org", "a password of tests", role="admin")
        owner = Principal(user_id=str(row["user_id"]), email="scraper@example.org", role="admin")
        key = api_keys.create(owner, name="prometheus", scopes=frozenset({"read"})).text
    world.completed(owner.user_id)
    world.failed(owner.user_id)
    world.submitted(owner.user_id, priority="critical")
    metrics.count(metrics.ATTEMPTS, 'an "odd"\nagent\\', "completed")
    metrics.observe(metrics.WAIT_SECONDS, 3.5, "critical")
    client.get("/healthz")
    client.get("/api/v1/jobs")
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    return answer.text


def test_the_figures_are_as_prometheus_wants_them(scraped: str) -> None:
    checked = promtool("check", "metrics", said=scraped)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_check_does_find_what_is_not(scraped: str) -> None:
    wrong = scraped + "# TYPE callboard_wrong counter\ncallboard_wrong 1\n"
    assert "callboard_wrong" in promtool("check", "metrics", said=wrong).stderr


def test_the_rules_and_the_example_are_sound() -> None:
    for words in (("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")):
        checked = promtool(*words)
        assert checked.returncode == 0, checked.stderr
    tested = promtool("test", "rules", *RULE_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_question_of_the_dashboards_can_be_asked(tmp_path: Path) -> None:
    asked = {}
    for file in MONITORING.glob("*.grafana.json"):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, length in INTERVALS.items():
                    expression = expression.replace(name, length)
                asked[f"q{len(asked)}"] = expression
    rules = [{"record": name, "expr": expression} for name, expression in asked.items()]
    wrapped = tmp_path / "questions.yml"
    wrapped.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", wrapped)
    assert len(asked) > 40
    assert checked.returncode == 0, checked.stderr
