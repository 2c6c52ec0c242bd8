"""The doctor against real servers: it finds what is broken, nothing hides from it, and nothing holds it up."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from sqlalchemy import Engine

from app import clock
from app.accounts import users
from app.cli import cli
from app.db import db, make_engine
from app.ops.doctor import Place, Report, at_start, examine, postgres
from app.ops.doctor.checks import CHECKS
from app.ops.doctor.findings import Check, Finding, Result, Said, error, info, warning
from app.settings import POOLS, Settings
from app.workers import fleet
from tests import acting
from tests.app.api import world

NOWHERE = "postgresql+psycopg2://nobody:hunter2@127.0.0.1:1/nothing"
MOST_SECONDS = 5.0


@pytest.fixture
def place(quick: Engine, settings: Settings, redis_url: str, tmp_path: Path) -> Place:
    """An installation in which nothing is wrong but that its Postgres throws data away, as that of tests does."""
    with db.transaction():
        users.create("ada@example.org", None, role="admin")
        db.run("UPDATE upkeep SET last_tick_at = clock_timestamp()")
        fleet.register("w1", hostname="h", process_id=1, pools=POOLS, threads=4, release="t")
        db.run("DELETE FROM backups")
        db.run(VERIFIED)
    update = {"home": tmp_path, "redis_url": redis_url, "environment": "production", "backups": "on"}
    return Place(settings.model_copy(update=update))


VERIFIED = """
    INSERT INTO backups (backup_id, kind, status, finished_at, location, bytes, sha256, revision, version, tables, verified_at)
    VALUES (gen_random_uuid(), 'manual', 'verified', now(), 'file:///b/a.dump', 7, 'x', '0008', 't', '{}', now())"""


def test_that_nobody_makes_backups_or_none_was_made_is_told(place: Place) -> None:
    without = Place(place.settings.model_copy(update={"backups": "auto"}))
    assert _found(_only(without, "backups"), "backups")[0].what == "Nobody makes backups here"

    with db.quick():
        db.run("UPDATE backups SET verified_at = NULL, status = 'done'")
    assert _worst(_only(place, "backups")) == {"backups": "warning"}
    with db.quick():
        db.run("UPDATE backups SET started_at = now() - interval '27 hours'")
    assert _worst(_only(place, "backups")) == {"backups": "error"}
    with db.quick():
        db.run("DELETE FROM backups")


def _only(place: Place, *names: str) -> Report:
    return examine(place, [check for check in CHECKS if check.name in names])


def _worst(report: Report) -> dict[str, str]:
    """Which checks found something that costs points."""
    return {result.check: result.state for result in report.results if result.state in ("error", "warning")}


def _found(report: Report, check: str) -> list[Finding]:
    return [finding for result, finding in report.findings if result.check == check]


def test_where_nothing_is_wrong_nothing_is_found(place: Place) -> None:
    with db.quick():  # the tests before left dead rows behind, and nobody else vacuums here
        for row in db.rows("SELECT relname FROM pg_stat_user_tables WHERE n_dead_tup > 10000"):
            db.run(f"VACUUM {row['relname']}")
    report = examine(place)

    here = {"network": "warning"} if os.geteuid() == 0 else {}
    assert _worst(report) == {"postgres_durability": "error"} | here
    assert [result.check for result in report.results if result.skipped] == []
    assert [result.check for result in report.results] == [
        "postgres",
        "redis",
        *(check.name for check in CHECKS),
    ]
    assert report.score == 100 - 15 - 4 * len(here)
    assert report.exit_code == 2
    assert report.seconds < MOST_SECONDS


def _no_worker() -> None:
    db.run("DELETE FROM workers")


def _no_worker_for_testing() -> None:
    db.run("UPDATE workers SET pools = array_remove(pools, 'testing')")


def _no_worker_where_jobs_wait() -> None:
    acting.submitted("test-noop")
    pool = db.value("SELECT pool FROM jobs LIMIT 1")
    db.run("UPDATE workers SET pools = array_remove(pools, %(pool)s)", pool=pool)


def _deaf_worker() -> None:
    fleet.beat("w1", draining=False, redis_away=True)


def _lost_worker() -> None:
    fleet.register("w2", hostname="h", process_id=2, pools=POOLS, threads=4, release="t")
    db.run("UPDATE workers SET seen_at = now() - interval '5 minutes' WHERE worker_id = 'w2'")


def _still_scheduler() -> None:
    db.run("UPDATE upkeep SET last_tick_at = now() - interval '10 minutes'")


def _stuck_job() -> None:
    acting.claimed()
    db.run("UPDATE jobs SET lease_expires_at = now() - interval '1 hour'")


def _endless_job() -> None:
    acting.claimed()
    db.run("UPDATE jobs SET started_at = now() - interval '9 hours'")


def _old_job() -> None:
    acting.submitted()
    db.run("UPDATE jobs SET run_at = now() - interval '3 hours'")


def _dead_letters() -> None:
    world.letter("ada@example.org")


def _alert() -> None:
    world.alert("backlog", "general")


def _critical_alert() -> None:
    world.alert("job_failures", "", severity="critical")


def _open_breaker() -> None:
    name = world.provider()
    db.run(
        """UPDATE providers SET state = 'open', opened_at = now(), open_until = now() + interval '1 hour',
                  error_class = 'auth', last_error = 'the key was refused' WHERE provider_id = %(id)s""",
        id=name,
    )


def _broken_definition() -> None:
    db.run("INSERT INTO agent_problems (path, source, message) VALUES ('x.md', 'tests', 'it has no name')")


def _nobody_in_charge() -> None:
    db.run("UPDATE users SET role = 'user'")


def _old_key() -> None:
    db.run(
        """INSERT INTO secret_keys (kind, fingerprint, first_seen_at) VALUES ('signing', 'old', now() - interval '91 days')
           ON CONFLICT (kind, fingerprint) DO UPDATE SET first_seen_at = excluded.first_seen_at"""
    )


def _another_schema() -> None:
    db.run("UPDATE alembic_version SET version_num = '0001'")


def _waiting_entries() -> None:
    db.run(
        "INSERT INTO audit_log (at, actor, action) VALUES (now() - interval '1 hour', 'ada', 'user.changed')"
    )


@pytest.mark.parametrize(
    ("break_it", "check", "severity", "words", "way_out"),
    [
        (_no_worker, "workers", "error", "There is no worker", "dramatiq actors.worker"),
        (_no_worker_for_testing, "workers", "warning", "the pool testing", "CALLBOARD_POOLS"),
        (_no_worker_where_jobs_wait, "workers", "error", "where 1 jobs wait", "CALLBOARD_POOLS"),
        (_deaf_worker, "workers", "warning", "do not reach Redis", "REDIS_URL"),
        (_lost_worker, "workers", "warning", "w2", "worker.log"),
        (_still_scheduler, "scheduler", "error", "has not ticked for 600 s", "actors.clockwork"),
        (_stuck_job, "stuck_jobs", "error", "belong to no living worker", "sweep.found"),
        (_endless_job, "stuck_jobs", "warning", "more than twice", "/jobs?state=running"),
        (_old_job, "waiting_jobs", "warning", "3.0 hours ago", "/jobs?state=queued"),
        (_dead_letters, "dead_letters", "info", "1 dead letters are open", "/dead-letters"),
        (_alert, "alerts", "warning", "A queue grows long: general", ""),
        (_critical_alert, "alerts", "error", "Alert:", ""),
        (_open_breaker, "providers", "warning", "the key was refused", "/reset"),
        (_nobody_in_charge, "people", "error", "There is no admin", "callboard seed"),
        (_old_key, "key_age", "warning", "signing is 91 days old", "SECRET_KEY_PREVIOUS"),
        (_another_schema, "postgres_schema", "error", "The schema is 0001", "callboard prepare"),
        (_waiting_entries, "audit", "warning", "not sealed", "actors.clockwork"),
    ],
)
def test_what_is_broken_is_found_with_the_way_out(
    place: Place,
    break_it: Callable[[], None],
    check: str,
    severity: str,
    words: str,
    way_out: str,
) -> None:
    head = db_value("SELECT version_num FROM alembic_version")
    with db.quick():
        break_it()
    try:
        found = _found(_only(place, check), check)
    finally:
        with db.quick():
            db.run("UPDATE alembic_version SET version_num = %(head)s", head=head)
            db.run("DELETE FROM secret_keys WHERE fingerprint = 'old'")

    assert [each.severity for each in found if words in each.what] == [severity], found
    assert any(way_out in each.fix and each.why for each in found)


def db_value(statement: str) -> Any:
    with db.quick():
        return db.value(statement)


@pytest.mark.parametrize(
    ("changes", "check", "severity", "way_out"),
    [
        ({"base_url": "http://board.example.org"}, "addresses", "warning", "FORCE_HTTPS=true"),
        ({"base_url": "https://board.example.org"}, "addresses", "warning", "TRUSTED_PROXIES=1"),
        (
            {"base_url": "https://board.example.org", "trusted_proxies": 1},
            "addresses",
            "info",
            "FORCE_HTTPS=true",
        ),
        (
            {"base_url": "https://b.example.org", "force_https": True},
            "addresses",
            "error",
            "TRUSTED_PROXIES=1",
        ),
        ({"host": "0.0.0.0"}, "addresses", "warning", "BASE_URL="),
        ({"host": "0.0.0.0", "environment": "development"}, "addresses", "error", "CALLBOARD_ENV=production"),
        ({"base_url": "https://b.example.org", "secret_key": ""}, "keys", "warning", "openssl rand"),
        ({"base_url": "https://b.example.org", "http_allow_private": True}, "network", "warning", "Unset"),
        ({"redis_url": "redis://cache.example.org:6379/0"}, "redis_tls", "error", "rediss://"),
        ({"redis_url": "redis://:pw@10.0.0.7:6379/0"}, "redis_tls", "warning", "REDIS_SSL_CA"),
        (
            {"redis_url": "rediss://:pw@cache.example.org:1?ssl_cert_reqs=none"},
            "redis_tls",
            "warning",
            "REDIS_SSL_CA",
        ),
        ({"db_statement_timeout_ms": 600_000}, "postgres_limits", "warning", "DB_STATEMENT_TIMEOUT_MS"),
        ({"smtp_host": "127.0.0.1", "smtp_port": "1"}, "mail", "warning", "SMTP_HOST"),
        ({"smtp_host": ""}, "mail", "info", "SMTP_HOST"),
        ({"web_processes": 40, "web_threads": 40}, "postgres_connections", "warning", "max_connections"),
    ],
)
def test_what_is_set_wrong_is_found(
    place: Place, changes: dict[str, Any], check: str, severity: str, way_out: str
) -> None:
    wrong = Place(place.settings.model_copy(update=changes))
    looked = next(each for each in CHECKS if each.name == check)
    with db.quick():
        found = [each for each in looked.look(wrong) if isinstance(each, Finding)]

    assert severity in [each.severity for each in found if way_out in each.fix]


@pytest.mark.parametrize(
    "changes",
    [
        {
            "base_url": "https://b.example.org",
            "trusted_proxies": 1,
            "force_https": True,
            "encryption_keys": ("k",),
        },
        {"redis_url": "rediss://:pw@cache.example.org:6379/0"},
        {"redis_url": "redis://localhost:6379/0"},
        {},
    ],
)
def test_what_is_set_right_is_not(place: Place, changes: dict[str, Any]) -> None:
    right = Place(place.settings.model_copy(update=changes))
    for name in ("addresses", "redis_tls", "keys"):
        said = next(check for check in CHECKS if check.name == name).look(right)
        assert [each for each in said if isinstance(each, Finding)] == []


@pytest.mark.parametrize(
    ("host", "protocol", "mode", "severities"),
    [
        ("/var/run/postgresql", None, "", []),
        ("127.0.0.1", None, "", []),
        ("10.0.0.7", None, "", ["warning"]),
        ("postgres.railway.internal", None, "", ["warning"]),
        ("db.example.org", None, "", ["error"]),
        ("db.example.org", "TLSv1.3", "require", ["info"]),
        ("db.example.org", "TLSv1.3", "verify-full", []),
    ],
)
def test_the_way_to_postgres_is_judged(
    host: str, protocol: str | None, mode: str, severities: list[str]
) -> None:
    found = [each.severity for each in postgres.way(host, protocol, mode) if isinstance(each, Finding)]
    assert found == severities


def test_an_evicting_redis_is_found(place: Place, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = _found(_only(place, "redis_memory"), "redis_memory")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert [(each.severity, "noeviction" in each.fix) for each in found] == [("warning", True)]


def test_what_lies_open_on_the_disk_is_found(place: Place) -> None:
    home = place.settings.home
    (home / "secret_key").write_text("x")
    (home / "secret_key").chmod(0o644)
    (home / "run").mkdir(mode=0o700)
    report = _only(place, "home")

    assert [each.fix for each in _found(report, "home")] == [f"chmod go-rwx {home / 'secret_key'}"]


class TestAway:
    """Nothing answers, or something never does."""

    @pytest.fixture
    def without_postgres(self, place: Place, quick: Engine) -> Iterator[Place]:
        away = make_engine(NOWHERE)
        db.open(away)
        yield Place(place.settings.model_copy(update={"database_url": NOWHERE}))
        db.open(quick)
        away.dispose()

    def test_without_postgres_the_rest_is_looked_at(self, without_postgres: Place) -> None:
        report = examine(without_postgres)

        assert _found(report, "postgres")[0].severity == "error"
        assert "hunter2" not in json.dumps(report.as_dict(), default=str)
        states = {result.check: result.state for result in report.results}
        assert states["workers"] == "skipped"
        assert {states["redis"], states["redis_memory"], states["keys"]} == {"ok"}
        assert report.score < 50
        assert report.seconds < MOST_SECONDS

    def test_without_redis_the_rest_is_looked_at(self, place: Place) -> None:
        report = examine(
            Place(place.settings.model_copy(update={"redis_url": "redis://:hunter2@127.0.0.1:1/0"}))
        )

        states = {result.check: result.state for result in report.results}
        assert (states["redis"], states["redis_memory"], states["workers"]) == ("error", "skipped", "ok")
        assert "hunter2" not in json.dumps(report.as_dict(), default=str)

    def test_servers_that_take_a_call_and_never_answer_hold_nobody_up(
        self, place: Place, quick: Engine
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            url = f"postgresql+psycopg2://u@127.0.0.1:{port}/d"
            frozen = make_engine(url)
            db.open(frozen)
            began = time.monotonic()
            report = examine(
                Place(
                    place.settings.model_copy(
                        update={"database_url": url, "redis_url": f"redis://127.0.0.1:{port}/0"}
                    )
                )
            )
            db.open(quick)
        assert time.monotonic() - began < MOST_SECONDS
        states = {result.check: result.state for result in report.results}
        assert (states["redis"], states["workers"], states["disk"]) == ("error", "skipped", "ok")
        assert states["postgres"] in ("error", "warning")

    def test_a_database_that_was_never_prepared_is_one_finding(self, place: Place, quick: Engine) -> None:
        with db.quick():
            db.run("ALTER TABLE users RENAME TO users_gone")
        try:
            report = _only(place, "people", "workers")
        finally:
            with db.quick():
                db.run("ALTER TABLE users_gone RENAME TO users")
        states = {result.check: result.state for result in report.results}
        assert (states["people"], states["workers"]) == ("skipped", "ok")


class TestIsolation:
    """One check cannot spoil the others."""

    def test_one_that_breaks_and_one_that_hangs_cost_only_themselves(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.ops.doctor.examination.FIRST_SECONDS", 0.3)
        monkeypatch.setattr("app.ops.doctor.examination.THEN_SECONDS", 0.3)
        released = threading.Event()

        def breaks(_place: Place) -> Iterator[Said]:
            yield "so far"
            raise ZeroDivisionError

        def hangs(_place: Place) -> Iterator[Said]:
            released.wait(30)
            yield "at last"

        def writes(_place: Place) -> Iterator[Said]:
            db.run("DELETE FROM users")
            yield "gone"

        checks = [Check("breaks", "This", breaks), Check("hangs", "That", hangs), Check("writes", "Those", writes, "postgres")]  # fmt: skip
        report = examine(place, [*checks, next(check for check in CHECKS if check.name == "people")])
        released.set()

        assert "ZeroDivisionError" in _found(report, "breaks")[0].what
        assert "did not answer in time" in _found(report, "hangs")[0].what
        assert "OperationalError" in _found(report, "writes")[0].what  # read only is as good as away
        assert next(result for result in report.results if result.check == "people").state == "ok"
        assert report.seconds < 2


def _report(*findings: Finding, skipped: int = 0) -> Report:
    results = [
        Result("one", "One", list(findings), []),
        *(Result(f"s{n}", "S", [], [], "away") for n in range(skipped)),
    ]
    return Report(datetime(2026, 1, 1, tzinfo=clock.now().tzinfo), 0.1, results)


@pytest.mark.parametrize(
    ("report", "score", "code"),
    [
        (_report(), 100, 0),
        (_report(info("a", "b", "c")), 100, 0),
        (_report(warning("a", "b", "c")), 96, 1),
        (_report(error("a", "b", "c"), warning("a", "b", "c")), 81, 2),
        (_report(skipped=3), 94, 0),
        (_report(*[error("a", "b", "c")] * 9), 0, 2),
    ],
)
def test_the_score_and_the_exit_code(report: Report, score: int, code: int) -> None:
    assert (report.score, report.exit_code) == (score, code)


class TestCommand:
    """`callboard doctor`."""

    @pytest.fixture
    def run(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, quick: Engine
    ) -> Iterator[Callable[..., Any]]:
        monkeypatch.setenv("DATABASE_URL", place.settings.database_url)
        monkeypatch.setenv("REDIS_URL", place.settings.redis_url)
        monkeypatch.setenv("CALLBOARD_HOME", str(place.settings.home))
        monkeypatch.setattr("app.observe.logs.configure", lambda *_: None)
        yield lambda *words: CliRunner().invoke(cli, ["doctor", *words])
        db.open(quick)

    def test_it_says_what_why_and_the_way_out(self, run: Callable[..., Any]) -> None:
        done = run()

        assert done.exit_code == 2
        assert "ERROR  Postgres does not write through to the disk" in done.output
        assert "-> ALTER SYSTEM SET fsync = on" in done.output
        assert "of 100: something is broken" in done.output.splitlines()[-1]

    def test_all_names_every_check(self, run: Callable[..., Any]) -> None:
        lines = run("--all").output.splitlines()
        assert [line[9:].partition(":")[0] for line in lines[: len(CHECKS) + 2]] == [
            "Postgres", "Redis", *(check.title for check in CHECKS),
        ]  # fmt: skip

    def test_json_has_everything(self, run: Callable[..., Any]) -> None:
        done = run("--json")
        told = json.loads(done.output)

        assert (done.exit_code, told["status"]) == (2, "error")
        assert told["findings"][0]["check"] == "postgres_durability"
        assert set(told["findings"][0]) == {"check", "severity", "what", "why", "fix"}
        assert len(told["checks"]) == len(CHECKS) + 2

    def test_without_anything_it_still_answers(
        self, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "")
        monkeypatch.setenv("REDIS_URL", "")
        done = run()

        assert done.exit_code == 2
        assert "There is no Postgres: DATABASE_URL is not set, and no Callboard runs in" in done.output
        assert "make run, or set DATABASE_URL or CALLBOARD_HOME" in done.output


def test_the_scheduler_logs_what_is_doubtful(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, dict[str, str]]] = []

    class Noted:
        def warning(self, event: str, **told: str) -> None:
            said.append((event, told))

    monkeypatch.setattr(at_start, "log", Noted())
    at_start.tell(place.settings.model_copy(update={"base_url": "http://board.example.org"})).join(
        MOST_SECONDS
    )

    assert {event for event, _ in said} == {"boot.doubtful"}
    assert {told["check"] for _, told in said} == {"addresses", "postgres_durability"}
    assert all(told["what"] and told["fix"] for _, told in said)


def test_the_newest_migration_is_found(tmp_path: Path) -> None:
    for number, before in (("1", "None"), ("2", "'1'"), ("3", "'2'")):
        (tmp_path / f"{number}.py").write_text(f"revision = '{number}'\ndown_revision = {before}\n")
    assert postgres.head(tmp_path) == "3"


class TestStandby:
    """The Postgres for reading, as far as one server can play two; a real one is in tests/slow/test_standby.py."""

    def _report(self, place: Place, url: str) -> list[Finding]:
        changed = Place(place.settings.model_copy(update={"database_read_url": url}))
        return _found(_only(changed, "postgres_standby"), "postgres_standby")

    def test_without_one_nothing_is_amiss(self, place: Place) -> None:
        assert self._report(place, "") == []

    def test_one_that_does_not_answer_is_named_with_the_way_out_and_without_its_password(
        self, place: Place
    ) -> None:
        (found,) = self._report(place, NOWHERE)

        assert found.severity == "warning"
        assert "DATABASE_READ_URL" in found.fix
        assert "hunter2" not in str(found)

    def test_a_server_that_takes_writes_is_no_standby(self, place: Place) -> None:
        (found,) = self._report(place, place.settings.database_url)

        assert "no standby" in found.what
