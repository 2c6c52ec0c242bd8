"""Secret parameters: sealed in every table, opened for the runner alone, hidden in what the attempt writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors import sweeps
from actors.execute import AttemptFailed, run_next
from actors.middleware.dead_letter import bury
from actors.post import Post
from app.accounts import users
from app.accounts.permissions import Principal
from app.agents.secrecy import MASK
from app.db import Row, db
from app.errors import Invalid, InvalidParameters
from app.jobs import bulk, dead_letters, intake, lifecycle, queries
from app.jobs.bulk_choice import Choice
from app.jobs.lifecycle import owner_of
from app.secrets import keys, sealing
from tests import acting

PASSWORD, TOKEN = 'open "sesame" & co', "tok-0123456789"
SCHEMA = {
    "type": "object",
    "required": ["password", "token"],
    "properties": {
        "text": {"type": "string"},
        "fail": {"type": "boolean"},
        "password": {"type": "string", "format": "password", "minLength": 8, "maxLength": 60},
        "token": {"type": "string", "writeOnly": True},
    },
}
OUTPUT = {"type": "object", "properties": {"token": {"type": "string", "x-secret": True}}}
GIVEN = {"text": "hello", "password": PASSWORD, "token": TOKEN}


@pytest.fixture
def agent(quick: Any) -> str:
    with db.quick():
        acting.agent(
            "indiscreet",
            python={"call": "tests.playing:indiscreet", "isolation": "thread"},
            parameters=SCHEMA,
            output=OUTPUT,
        )
    return "indiscreet"


def _submitted(agent: str, **changes: Any) -> str:
    with db.quick():
        return acting.submitted(agent, parameters=GIVEN | changes)


def _row(job_id: str) -> Row:
    with db.quick():
        return queries.get(job_id, full=True)


def _failed(post: Post) -> None:
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    bury(failed.value)


def _texts() -> dict[str, str]:
    """Every text and JSON column of the database, as text, by table.column; what holds nothing is left out."""
    with db.quick():
        columns = db.rows(
            """SELECT table_name AS t, column_name AS c FROM information_schema.columns
               JOIN information_schema.tables USING (table_schema, table_name)
               WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                 AND (data_type IN ('text', 'jsonb', 'json', 'ARRAY', 'character varying'))"""
        )
        held = {
            f"{each['t']}.{each['c']}": db.value(
                f'SELECT string_agg("{each["c"]}"::text, chr(10)) AS s FROM "{each["t"]}"'
            )
            for each in columns
        }
    return {name: text for name, text in held.items() if text}


def _where(word: str) -> list[str]:
    plain = (word, word.replace('"', '\\"'), word.replace('"', '\\\\\\"'))
    return [name for name, text in _texts().items() if any(form in text for form in plain)]


def test_the_runner_alone_gets_the_values(post: Post, agent: str) -> None:
    job_id = _submitted(agent)
    kept = _row(job_id)["parameters"]
    assert kept["text"] == "hello"
    assert sealing.is_sealed(kept["password"])
    assert sealing.is_sealed(kept["token"])

    assert run_next(post)
    row = _row(job_id)
    assert row["status"] == "completed"
    assert sealing.is_sealed(row["result"]["token"])
    assert sealing.opened(row["result"], owner_of(job_id), "/result")["token"] == TOKEN
    assert (row["result"]["echo"], row["result"]["text"]) == ("I used (a secret)", "hello")
    assert len(_texts()) > 20
    assert "jobs.parameters" in _where("hello")
    assert _where(PASSWORD) == []
    assert _where(TOKEN) == []


def test_a_failure_tells_nobody(post: Post, agent: str) -> None:
    job_id = _submitted(agent, fail=True)
    _failed(post)
    row = _row(job_id)
    assert row["error"]["message"] == "refused: (a secret)"
    assert row["error"]["details"] == {"body": "bad password (a secret)"}
    assert "(a secret)" in row["stack_trace"]
    assert _where(PASSWORD) == []


def test_who_runs_it_again_needs_not_know_the_secret(post: Post, agent: str) -> None:
    first = _submitted(agent)
    run_next(post)
    with db.quick():
        second = intake.again(first, by=acting.OWNER)["job_id"]
        edited = {"text": "other", "password": MASK, "token": "another token"}
        third = intake.replay(first, by=acting.OWNER, parameters=edited)["job_id"]
    assert _row(second)["parameters"]["password"] != _row(first)["parameters"]["password"]
    for job_id, given in ((second, GIVEN), (third, edited | {"password": PASSWORD})):
        assert sealing.opened(_row(job_id)["parameters"], owner_of(job_id), "/parameters") == given


def test_a_mask_that_hides_nothing_known_is_refused(post: Post, agent: str) -> None:
    first = _submitted(agent)
    run_next(post)
    with db.quick(), pytest.raises(Invalid, match="type it anew"):
        intake.again(first, by=acting.OWNER, parameters=GIVEN | {"text": "x", "more": MASK})


def test_a_dead_letter_is_sent_in_again_with_its_secret(post: Post, agent: str) -> None:
    first = _submitted(agent, fail=True)
    _failed(post)
    with db.quick():
        letter = dead_letters.get(first)
        assert sealing.is_sealed(letter["parameters"]["password"])
        new = intake.resubmit(letter["dlq_id"], by=acting.OWNER, override_parameters={"fail": False})[
            "new_job_id"
        ]
    run_next(post)
    assert _row(new)["status"] == "completed"


def test_a_value_of_one_job_is_not_opened_for_another(post: Post, agent: str) -> None:
    one = _submitted(agent)
    run_next(post)
    other = _submitted(agent)
    with db.quick():
        db.run(
            """UPDATE jobs SET parameters = jsonb_set(parameters, '{text}', (SELECT parameters->'password' FROM jobs
               WHERE job_id = %(one)s)) WHERE job_id = %(other)s""",
            one=one,
            other=other,
        )
    _failed(post)
    assert _row(other)["error"]["code"] == "sealed_elsewhere"


def test_a_job_whose_key_is_gone_fails_for_good_and_the_next_one_runs(post: Post, agent: str) -> None:
    lost = _submitted(agent)
    here = sealing.in_use()
    sealing.use([keys.Key(b"n" * 32)])
    try:
        _failed(post)
        after = _submitted(agent)
        assert run_next(post)
    finally:
        sealing.use(here)
    row = _row(lost)
    assert (row["status"], row["status_reason"], row["error"]["code"]) == (
        "failed",
        "permanent",
        "key_missing",
    )
    assert here[0].key_id in row["error"]["message"]
    assert row["retry_count"] == 0
    assert _row(after)["status"] == "completed"


def test_with_its_retention_everything_of_a_job_goes(post: Post, agent: str) -> None:
    with acting.long_ago(days=401):
        job_id = _submitted(agent, text="canary-of-retention")
    assert run_next(post)
    with db.quick():
        post.store.keep(job_id, 1, "x.txt", b"canary-of-retention", None)
    assert {"jobs.parameters", "jobs.result", "job_events.message"} <= {*_where("canary-of-retention")}
    with db.transaction():
        db.run("ALTER TABLE jobs DISABLE TRIGGER jobs_final")
        db.run("UPDATE jobs SET finished_at = now() - interval '400 days'")
        db.run("ALTER TABLE jobs ENABLE TRIGGER jobs_final")
    sweeps.purge(post.settings)
    assert _where("canary-of-retention") == []
    files = [path for path in Path(post.store.url.removeprefix("file://")).rglob("*") if path.is_file()]
    assert files == []


def test_a_bulk_action_keeps_no_secret(post: Post, agent: str) -> None:
    _submitted(agent, fail=True)
    _failed(post)
    with db.transaction():
        who = Principal(
            user_id=str(users.create("root@example.org", None, role="admin")["user_id"]),
            email="",
            role="admin",
        )
        letter = db.value("SELECT dlq_id::text FROM dead_letters")
        choice = Choice(subject="dead_letters", verb="resubmit", ids=(letter,))
        changes = {"fail": False, "password": "another password"}
        bulk_id = bulk.create(bulk.Wish(choice=choice, options={"override_parameters": changes}), who)[
            "bulk_id"
        ]
    assert _where("another password") == []
    with db.transaction():
        shown = bulk.shown(bulk.get(bulk_id))["options"]["override_parameters"]
        assert shown == {"fail": False, "password": MASK}
        bulk.step(bulk_id)
    with db.quick():
        new = db.value("SELECT new_job_id::text FROM dead_letters")
    assert (
        sealing.opened(_row(new)["parameters"], owner_of(new), "/parameters")["password"]
        == "another password"
    )


@pytest.mark.parametrize("text", ["callboard-sealed:1:00000000:jobs/x:AAAA:", "see callboard-sealed: this"])
@pytest.mark.parametrize("name", ["text", "password"])
def test_nobody_sends_in_what_looks_sealed(agent: str, name: str, text: str) -> None:
    with pytest.raises(InvalidParameters, match="may not contain 'callboard-sealed:'") as refused:
        _submitted(agent, **{name: text})
    assert refused.value.fields[0][0] == f"/parameters/{name}"


def test_a_job_that_was_stored_before_there_was_sealing_runs(post: Post, agent: str) -> None:
    job_id = _submitted(agent)
    with db.quick():
        db.run(
            "UPDATE jobs SET parameters = parameters || %(plain)s::jsonb WHERE job_id = %(id)s",
            plain='{"password": "from before it"}',
            id=job_id,
        )
    assert run_next(post)
    assert _row(job_id)["result"]["echo"] == "I used (a secret)"


def test_a_short_secret_is_not_looked_for_in_texts(post: Post, agent: str) -> None:
    job_id = _submitted(agent, token="a")
    assert run_next(post)
    assert _row(job_id)["result"]["echo"] == "I used (a secret)"
    assert lifecycle.owner_of(job_id) in _row(job_id)["result"]["token"]
