"""Callboard in this process, on the xdist worker's own database: settings, the app, its client, the quick way.

settings   as a deployment would set them, but for the tests' servers and a folder of its own
app        one for the session; `client` speaks to it
quick      `db.quick()` works, nothing is left of other tests, the agents of tests/agents are installed
bells      every ring since, as (pool, times), instead of a broker
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app import create_app, seal_by
from app.agents import registry
from app.agents.definition import parse
from app.alerts import queries as alerts
from app.approvals import policies
from app.dashboard import job_rail, nav, now, now_figures
from app.db import db, make_engine
from app.jobs import dispatch, error_groups, explain, rollups, sizing, stats, upkeep
from app.jobs.artifacts import Store
from app.observe import correlation
from app.providers import prices
from app.settings import Settings
from tests.rig import REDIS_DATABASES

AGENTS = Path(__file__).parent / "agents"

# Children first. The agents of tests/agents, the pools and the row of the sweeps stay.
_CLEAN = """
    PERFORM set_config('callboard.retention', 'on', true);
    DELETE FROM artifacts; DELETE FROM job_events; DELETE FROM job_attempts; DELETE FROM dead_letters;
    DELETE FROM job_history; DELETE FROM task_history; DELETE FROM job_rollups; DELETE FROM pool_samples; DELETE FROM jobs; DELETE FROM idempotency_keys;
    DELETE FROM approvals; DELETE FROM approval_policies; DELETE FROM workflows; DELETE FROM workflow_templates; DELETE FROM schedules;
    DELETE FROM quality_gates; DELETE FROM hooks; DELETE FROM sessions;
    DELETE FROM deliveries; DELETE FROM notifications; DELETE FROM webhook_endpoints; DELETE FROM callback_secrets;
    DELETE FROM notify_rules; DELETE FROM followups; DELETE FROM alerts; DELETE FROM alert_rules; DELETE FROM polling_minutes; DELETE FROM bulk_actions; DELETE FROM error_groups;
    DELETE FROM workers; DELETE FROM refresh_tokens; DELETE FROM secret_keys; DELETE FROM logins; DELETE FROM account_links; DELETE FROM unknown_names; DELETE FROM api_keys; DELETE FROM users; DELETE FROM audit_chain; DELETE FROM audit_log; DELETE FROM api_access;
    DELETE FROM usage_events; DELETE FROM budgets; DELETE FROM agent_holds;
    UPDATE agents SET budgeted = false WHERE budgeted;
    UPDATE agents SET health_status = NULL, health_reason = NULL, health_at = NULL WHERE health_at IS NOT NULL;
    DELETE FROM agents WHERE source <> 'tests'; DELETE FROM agent_problems;
    DELETE FROM agent_versions v WHERE NOT EXISTS (SELECT 1 FROM agents a WHERE a.agent_id = v.agent_id);
    DELETE FROM providers; DELETE FROM prices;
    UPDATE agents SET configured = '{}' WHERE configured <> '{}';
    UPDATE agent_slots SET job_id = NULL WHERE job_id IS NOT NULL;
    UPDATE agent_rates SET tokens = burst, refilled_at = now();
    UPDATE queues SET paused = false, paused_until = NULL, pause_reason = NULL, paused_by = NULL WHERE paused;
    UPDATE upkeep SET last_tick_at = now(), healthy_since = now() - interval '1 hour';
"""

# A function, for Postgres plans its statements once instead of before every test.
_CLEANER = f"""
    CREATE SCHEMA for_tests;
    CREATE FUNCTION for_tests.clean() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {_CLEAN} END $$"""

_AGENTS_NOW = """
    SELECT string_agg(concat_ws(':', agent_id, version, enabled, max_concurrent_tasks, rate_limit, pool), ' ' ORDER BY agent_id)
    FROM agents"""
_agents_as_installed: dict[str, str] = {}


@pytest.fixture(scope="session")
def settings(
    database_url: str, rig: dict[str, str], worker_number: int, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings for everything in this process; no limits of requests. The fixture `redis_url` empties this broker."""
    return Settings(
        DATABASE_URL=database_url,
        REDIS_URL=f"{rig['REDIS_URL'].partition('?')[0]}?db={worker_number % REDIS_DATABASES}",
        CALLBOARD_HOME=tmp_path_factory.mktemp("home"),
        CALLBOARD_ENV="test",
        SECRET_KEY="a key that only the tests know, long enough",
        RATE_LIMIT_PER_MINUTE=0,
        RATE_LIMIT_PER_HOUR=0,
        RATE_LIMIT_BURST_PER_SECOND=0,
        POLL_LIMIT_PER_MINUTE=0,
        POLL_SHARED_MS=0,  # what a test changed is seen at once
        AGENT_FOLDERS=str(AGENTS),
        WORKER_THREADS=4,
        LOG_FORMAT="console",
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    """The web process of this session."""
    made = create_app(settings)
    yield made
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def configure(app: Flask) -> Iterator[Callable[..., None]]:
    """Run the app with other settings until the test ends: `configure(poll_limit_per_minute=3)`."""
    before: Settings = app.config["CALLBOARD"]

    def change(**values: object) -> None:
        app.config["CALLBOARD"] = before.model_copy(update=values)

    yield change
    app.config["CALLBOARD"] = before


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without cookies."""
    return app.test_client()


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """Connections to the worker's database, apart from the app's; enough for a test with many threads."""
    made = make_engine(database_url, pool_size=20, max_overflow=30, name="callboard-tests")
    with made.begin() as opened:
        opened.exec_driver_sql(_CLEANER)
    yield made
    made.dispose()


@pytest.fixture
def quick(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A clean database behind `db.quick()` and `db.transaction()`; nobody is rung."""
    db.open(engine)
    seal_by(settings)
    monkeypatch.setattr(dispatch, "_ring", lambda _pool, _times: None)
    with db.transaction():
        db.run("SELECT for_tests.clean()")
        if db.value(_AGENTS_NOW) != _agents_as_installed.get(str(engine.url), ""):
            install_test_agents()
            upkeep.trim_slots()  # of an agent that had a higher limit
            _agents_as_installed[str(engine.url)] = db.value(_AGENTS_NOW)
    correlation.bind(None)
    registry.forget()
    policies.forget()
    prices.forget()
    stats._queues.forget()
    sizing.forget()
    alerts.forget()
    error_groups.forget()
    rollups.forget()
    now_figures.forget()
    now.forget_spending()
    nav.forget()
    explain.forget()
    job_rail.forget()
    return engine


def install_test_agents() -> None:
    """Put tests/agents into the registry, as those that outlive a test."""
    for path in sorted(AGENTS.glob("*.md")):
        definition = parse(path.stem, path.read_text())
        registry.install(definition, "tests")
        registry.set_limits(definition.agent_id, definition.ours.max_concurrent, definition.ours.rate_limit)
        registry.enable(definition.agent_id, enabled=True)


@pytest.fixture
def bells(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would have been rung, in order."""
    rung: list[tuple[str, int]] = []
    monkeypatch.setattr(dispatch, "_ring", lambda pool, times: rung.append((pool, times)))
    return rung


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An artifact store in a folder of this test; at most 1,000 bytes a file."""
    return Store(f"file://{tmp_path}/artifacts", max_bytes=1000)
