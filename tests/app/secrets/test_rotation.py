"""Changing the key while jobs come in: everything is sealed anew, nothing is lost, and a lost key is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg2 import IntegrityError
from sqlalchemy import Engine

from app.db import db
from app.jobs import claims, lifecycle, queries
from app.jobs.lifecycle import owner_of
from app.notify import endpoints
from app.notify import secrets as signing
from app.schedules import changes as schedules
from app.schedules import queries as schedule_queries
from app.schedules import targets
from app.secrets import keys, known, rotation, sealing
from app.settings import POOLS, Settings
from tests import acting
from tests.app.cli.calling import Run, caller, told

SCHEMA = {"type": "object", "properties": {"password": {"type": "string", "format": "password"}}}


@pytest.fixture
def old(quick: Engine) -> keys.Key:
    """The key in use, with what it has sealed: some jobs, an endpoint, a person's callbacks."""
    key = keys.Key(b"o" * 32)
    sealing.use([key])
    with db.quick():
        known.note([key])
        acting.agent("secretive", parameters=SCHEMA)
        for n in range(7):
            _submitted(n)
        lifecycle.complete(
            claims.claim_next("w", POOLS, lease_seconds=60)[0], {}
        )  # finished, and sealed anew as well
        endpoints.create("https://example.org/hook", owner="ada")
        signing.of_callbacks("ada")
        signing.rotate_callbacks("ada")
    return key


@pytest.fixture
def new(old: keys.Key) -> keys.Key:
    key = keys.Key(b"n" * 32)
    sealing.use([key, old])
    with db.quick():
        assert known.note([key, old]) == []
    return key


def _submitted(n: int) -> str:
    return acting.submitted("secretive", parameters={"password": f"secret {n}", "n": n})


def _all_open() -> int:
    """How many jobs there are; each opens with the keys in use and says its own secret."""
    with db.quick():
        ids = [row["job_id"] for row in db.rows("SELECT job_id::text FROM jobs")]
        for job_id in ids:
            given = queries.get(job_id, full=True)["parameters"]
            opened = sealing.opened(given, owner_of(job_id), "/parameters")
            assert opened["password"] == f"secret {opened['n']}"
    return len(ids)


def _silent(_table: str, _outcome: rotation.Outcome) -> None:
    """Nobody listens."""


def test_everything_is_under_the_new_key_and_the_old_one_is_retired(
    old: keys.Key, new: keys.Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "WINDOW", 3)
    before = rotation.count(db.transaction)
    assert before == {old.key_id: 10}
    with db.quick():
        signs = signing.for_callback("ada")
    done = rotation.rotate(db.transaction, _silent)
    assert (done.resealed, done.busy, done.unread) == (10, 0, {})
    assert rotation.count(db.transaction) == {new.key_id: 10}
    sealing.use([new])
    assert _all_open() == 7
    with db.quick():
        assert signing.for_callback("ada") == signs
        assert len(signs) == 2
        assert known.missing([new]) == []
        assert [row["fingerprint"] for row in known.listing() if row["retired_at"]] == [old.fingerprint]
    again = rotation.rotate(db.transaction, _silent)
    assert (again.looked_at, again.resealed) == (10, 0)


def test_jobs_that_come_in_meanwhile_are_neither_lost_nor_left(
    new: keys.Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "WINDOW", 2)
    began = threading.Barrier(3)

    def submit(first: int) -> None:
        began.wait(10)
        for n in range(first, first + 25):
            with db.transaction():
                _submitted(n)

    with ThreadPoolExecutor(2) as doors:
        busy = [doors.submit(submit, first) for first in (1000, 2000)]
        began.wait(10)
        done = rotation.rotate(db.transaction, _silent)
        for each in busy:
            each.result(20)
    assert done.unread == {}
    sealing.use([new])
    assert _all_open() == 57


def test_what_changes_meanwhile_is_not_overwritten(new: keys.Key, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sealing.resealed

    def slow(text: str) -> str:
        if 'n": 3' in text:
            with db.quick():
                db.run("""UPDATE jobs SET parameters = parameters || '{"n": 4, "password": "secret 4"}'
                          WHERE parameters->>'n' = '3'""")
        return real(text)

    monkeypatch.setattr(sealing, "resealed", slow)
    done = rotation.rotate(db.transaction, _silent)
    assert (done.resealed, done.busy) == (9, 1)
    assert _all_open() == 7
    with db.quick():
        assert db.value("SELECT count(*) FROM jobs WHERE parameters->>'n' = '4'") == 2
        assert not [row for row in known.listing() if row["retired_at"]]


def test_an_old_key_that_was_dropped_too_early_is_told_and_nothing_is_harmed(old: keys.Key) -> None:
    new = keys.Key(b"n" * 32)
    sealing.use([new])
    with db.quick():
        said = known.note([new])
    assert len(said) == 1
    assert f"The key {old.key_id} is not among ENCRYPTION_KEYS" in said[0]
    done = rotation.rotate(db.transaction, _silent)
    assert done.resealed == 0
    assert sum(done.unread.values()) == 10
    sealing.use([new, old])
    assert rotation.rotate(db.transaction, _silent).resealed == 10
    assert _all_open() == 7


def test_a_finished_job_changes_in_no_other_way(new: keys.Key) -> None:
    with pytest.raises(IntegrityError, match="finished jobs do not change"), db.transaction():
        db.run("UPDATE jobs SET parameters = '{}' WHERE finished_at IS NOT NULL")
    with pytest.raises(IntegrityError, match="finished jobs do not change"), db.transaction():
        db.run("SET LOCAL callboard.resealing = 'on'")
        db.run("UPDATE jobs SET parameters = '{}', status_reason = 'x' WHERE finished_at IS NOT NULL")


def test_a_key_with_a_false_word_counts_as_missing(old: keys.Key) -> None:
    with db.quick():
        db.run("UPDATE secret_keys SET canary = overlay(canary placing 'AAAA' from 50 for 4)")
        assert len(known.missing([old])) == 1


# -- the command line


@pytest.fixture
def run(new: keys.Key, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    texts = [keys.base64.b64encode(part * 32).decode() for part in (b"n", b"o")]
    monkeypatch.setenv("ENCRYPTION_KEYS", ",".join(texts))
    return caller("secrets", settings, monkeypatch)


def test_the_commands_show_and_rotate(run: Run, old: keys.Key, new: keys.Key) -> None:
    assert keys.read([run("new-key").output])
    before = {row["fingerprint"]: row for row in told(run, "status")}
    assert (before[new.fingerprint]["newest"], before[old.fingerprint]["values"]) == (True, 10)
    done = run("rotate")
    assert done.exit_code == 0, done.output
    assert "10 of 10 values were sealed anew." in done.output
    with db.quick():
        db.run("UPDATE secret_keys SET first_seen_at = now() - interval '91 days'")
        noted = db.row("SELECT details FROM audit_log WHERE action = 'secrets.rotated'")
    assert noted
    assert noted["details"]["resealed"] == 10
    lines = run("status").output
    assert f"{new.fingerprint}  seals         91 days  10 values  older than 90 days" in lines
    assert f"{old.fingerprint}  opens         91 days  0 values" in lines


def test_what_was_stored_in_plain_is_sealed(run: Run) -> None:
    with db.transaction():
        db.run("SET LOCAL callboard.resealing = 'on'")
        db.run("""UPDATE jobs SET parameters = parameters || '{"password": "from before"}'""")
        db.run("UPDATE callback_secrets SET secret = 'whsec_plain', previous_secret = 'whsec_older'")
    assert told(run, "rotate")["sealed_late"] == 9
    with db.quick():
        kept = db.value("SELECT string_agg(parameters::text, '') FROM jobs")
        assert "from before" not in kept
        assert kept.count(sealing.PREFIX) == 7
        assert signing.for_callback("ada") == ["whsec_plain", "whsec_older"]
    assert told(run, "rotate")["sealed_late"] == 0


def test_what_an_agent_calls_secret_only_afterwards_is_sealed_too(run: Run) -> None:
    given = {"password": "from before"}
    with db.transaction():
        acting.agent("open", parameters={"type": "object"})
        job_id = acting.submitted("open", parameters=given)
        wish = schedules.Wish(
            submitted_by="ada", agent_id="open", parameters=given, cron_expression="0 3 * * *"
        )
        schedule_id = schedules.create(wish)["schedule_id"]
        acting.agent("open", parameters=SCHEMA)
    assert told(run, "rotate")["sealed_late"] == 2
    with db.quick():
        kept = queries.get(job_id, full=True)["parameters"]
        scheduled = schedule_queries.get(schedule_id)
        assert sealing.opened(kept, owner_of(job_id), "/parameters") == given
        assert sealing.is_sealed(scheduled["parameters"]["password"])
        assert targets.parameters_of(scheduled) == given
    assert told(run, "rotate")["sealed_late"] == 0


def test_a_missing_key_is_in_the_log_of_whoever_starts(
    old: keys.Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(
        known, "log", SimpleNamespace(warning=lambda event, **more: said.append({"event": event, **more}))
    )
    known.tell().join(10)
    assert said == []
    sealing.use([keys.Key(b"n" * 32)])
    known.tell().join(10)
    assert [(each["event"], each["key"]) for each in said] == [("secrets.key_missing", old.key_id)]


def test_the_commands_fail_where_a_key_is_missing(
    run: Run, new: keys.Key, old: keys.Key, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", keys.base64.b64encode(b"n" * 32).decode())
    status = run("status")
    assert status.exit_code == 1
    assert f"{old.fingerprint}  MISSING" in status.output
    done = run("rotate")
    assert done.exit_code == 1
    assert (
        f"10 could not be opened: the key {old.key_id} of a secret is not among ENCRYPTION_KEYS"
        in done.output
    )
