from __future__ import annotations

import re
from typing import Any

import pytest

from app.api import job_status
from app.db import db
from app.jobs import lifecycle
from tests.app.api import world
from tests.app.api.calling import Caller

JOBS = "/api/v1/jobs"


def status(caller: Caller, job_id: str, query: str = "", **headers: str) -> Any:
    return caller.get(f"{JOBS}/{job_id}/status{query}", headers=headers)


def test_the_document_says_when_to_come_back(owner: Caller) -> None:
    answer = status(owner, world.submitted(owner.id))

    assert answer.json["poll"] == {"next_after_ms": 3000, "terminal": False}
    assert (answer.headers["Retry-After"], answer.headers["X-Poll-After-Ms"]) == ("3", "3000")


def test_a_finished_job_says_that_one_need_not_come_back(owner: Caller) -> None:
    answer = status(owner, world.completed(owner.id))

    assert answer.json["poll"] == {"next_after_ms": None, "terminal": True}
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("make", [world.completed, world.failed, lambda owner: world.running(owner).job_id])
def test_unchanged_is_304_without_a_body(make: Any, owner: Caller) -> None:
    job_id = make(owner.id)
    tag = status(owner, job_id).headers["ETag"]
    again = status(owner, job_id, **{"If-None-Match": tag})

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert not {"Permissions-Policy", "Referrer-Policy"} & set(again.headers.keys())  # they guard bodies
    assert again.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("form", ["W/{}", "{}", '"x", {}', '{}, W/"y"', 'W/"x", W/{}'])
def test_the_tag_is_found_in_every_form(form: str, owner: Caller) -> None:
    job_id = world.completed(owner.id)
    tag = status(owner, job_id).headers["ETag"].removeprefix("W/")

    assert status(owner, job_id, **{"If-None-Match": form.format(tag)}).status_code == 304


@pytest.mark.parametrize("header", ['""', "", "W/", ",", '"x"', "garbage"])
def test_any_other_tag_gets_the_document(header: str, owner: Caller) -> None:
    assert status(owner, world.completed(owner.id), **{"If-None-Match": header}).status_code == 200


@pytest.mark.parametrize("later", ["br", "gzip", "identity"])
@pytest.mark.parametrize("first", ["br", "gzip", "identity"])
def test_one_tag_fits_the_document_however_it_is_packed(first: str, later: str, owner: Caller) -> None:
    job_id = world.completed(owner.id)
    packed = owner.app.test_client(use_cookies=False).get(
        f"{JOBS}/{job_id}/status", headers={"Authorization": f"Bearer {owner.key}", "Accept-Encoding": first}
    )
    tag = packed.headers["ETag"]
    again = status(owner, job_id, **{"If-None-Match": tag, "Accept-Encoding": later})

    assert packed.headers.get("Content-Encoding", "identity") == first
    assert tag.startswith('W/"')
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)


def test_a_304_says_when_to_come_back_as_a_200_does(owner: Caller) -> None:
    job_id = world.running(owner.id).job_id
    fresh = status(owner, job_id)
    again = status(owner, job_id, **{"If-None-Match": fresh.headers["ETag"]})

    assert again.status_code == 304
    for name in ("Retry-After", "X-Poll-After-Ms"):
        assert again.headers[name] == fresh.headers[name]
    assert again.headers["X-Poll-After-Ms"] == str(fresh.json["poll"]["next_after_ms"])


def test_the_304_of_a_finished_job_says_that_one_need_not_come_back(owner: Caller) -> None:
    job_id = world.completed(owner.id)
    again = status(owner, job_id, **{"If-None-Match": status(owner, job_id).headers["ETag"]})

    assert again.status_code == 304
    assert not {"Retry-After", "X-Poll-After-Ms"} & set(again.headers.keys())


def test_a_poll_too_soon_gets_the_document_it_got_before(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_status._recent, "now", lambda: 7.0)  # however long this takes
    job_id = world.running(owner.id).job_id
    first = status(owner, job_id)
    asked = _statements(lambda: status(owner, job_id))

    assert status(owner, job_id).data == first.data  # with the same timestamp
    [asked_of_jobs] = [text for text in asked if "FROM jobs" in text]
    assert asked_of_jobs.endswith("FROM jobs WHERE job_id = %(job)s")
    assert not {"usage", "options", "error", "parameters", "result"} & set(re.findall(r"\w+", asked_of_jobs))


def test_a_poll_too_soon_is_never_told_an_old_state(owner: Caller) -> None:
    claim = world.running(owner.id)
    assert status(owner, claim.job_id).json["status"] == "running"
    with db.transaction():
        lifecycle.complete(claim, {"answer": 42})

    ended = status(owner, claim.job_id).json
    assert (ended["status"], ended["result"]) == ("completed", {"answer": 42})


def test_a_poll_too_soon_shows_nobody_what_another_may_see(
    owner: Caller, viewer: Caller, admin: Caller, other: Caller
) -> None:
    job_id = world.completed(owner.id)
    mine, seen, managed, foreign = (status(who, job_id) for who in (owner, viewer, admin, other))

    assert "result" in mine.json
    assert ("result" in seen.json, seen.json["actions"]) == (False, [])
    assert managed.json["actions"] == ["retry", "replay"]
    assert foreign.status_code == 404


def test_with_other_lines_of_the_log_it_is_another_document(owner: Caller) -> None:
    claim = world.running(owner.id)
    world.said(claim, "one", "two")

    assert [len(status(owner, claim.job_id, f"?logs={n}").json["logs"]) for n in (1, 2, 1)] == [1, 2, 1]


def test_any_change_gives_a_new_document(owner: Caller) -> None:
    claim = world.running(owner.id)
    tag = status(owner, claim.job_id).headers["ETag"]
    world.said(claim, "half way")

    fresh = status(owner, claim.job_id, **{"If-None-Match": tag})
    assert (fresh.status_code, fresh.json["progress"], fresh.json["log_cursor"]) == (200, 30, 1)
    owner.post(f"{JOBS}/{claim.job_id}/cancel")
    later = status(owner, claim.job_id, **{"If-None-Match": fresh.headers["ETag"]})
    assert (later.status_code, later.json["cancel_requested"]) == (200, True)


def test_who_sees_more_has_another_tag(owner: Caller, viewer: Caller) -> None:
    job_id = world.completed(owner.id)
    tag = status(viewer, job_id).headers["ETag"]

    assert status(owner, job_id, **{"If-None-Match": tag}).status_code == 200


def test_a_304_reads_no_big_column(owner: Caller) -> None:
    job_id = world.completed(owner.id)
    tag = status(owner, job_id).headers["ETag"]
    asked = _statements(lambda: status(owner, job_id, **{"If-None-Match": tag}))

    assert asked  # the listener hears what it should
    assert not [text for text in asked if "parameters" in text or "result" in text or "stack_trace" in text]


def _statements(do: Any) -> list[str]:
    """What was sent to Postgres meanwhile."""
    heard: list[str] = []
    before, db.heard = db.heard, lambda _seconds, statement: heard.append(statement)
    try:
        do()
    finally:
        db.heard = before
    return heard


def test_log_lines_come_along_newest_or_after_a_cursor(owner: Caller) -> None:
    claim = world.running(owner.id)
    world.said(claim, "one", "two", "three")

    def lines(query: str) -> list[str]:
        return [line["message"] for line in status(owner, claim.job_id, query).json["logs"]]

    assert lines("?logs=2") == ["two", "three"]
    assert lines("?log_cursor=1") == ["two", "three"]
    assert lines("?log_cursor=1&logs=1") == ["two"]
    assert lines("?log_cursor=3") == []


def test_many_jobs_in_one_request(owner: Caller, other: Caller) -> None:
    waiting, done, theirs = world.submitted(owner.id), world.completed(owner.id), world.submitted(other.id)
    missing = "01890000-0000-7000-8000-000000000000"
    answer = owner.get(f"{JOBS}/status?ids={waiting},{missing}&ids={done},{theirs},{waiting}")

    assert answer.json is not None
    assert [job["job_id"] for job in answer.json["jobs"]] == [waiting, done]
    assert answer.json["not_found"] == [missing, theirs]
    assert answer.json["poll"] == {"next_after_ms": 3000, "terminal": False}


def test_many_jobs_have_one_tag(owner: Caller) -> None:
    first, second = world.running(owner.id), world.running(owner.id)
    path = f"{JOBS}/status?ids={first.job_id},{second.job_id}"
    fresh = owner.get(path)
    tag = fresh.headers["ETag"]
    again = owner.get(path, headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert again.headers["X-Poll-After-Ms"] == fresh.headers["X-Poll-After-Ms"] == "2000"

    world.said(second, "news")
    assert owner.get(path, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    "query", ["", "?ids=", "?ids=x", "?ids=" + ",".join(["01890000-0000-7000-8000-000000000000"] * 101)]
)
def test_no_broken_and_too_many_ids_are_malformed(query: str, owner: Caller) -> None:
    assert owner.get(f"{JOBS}/status{query}").status_code == 400


def test_only_finished_jobs_need_no_further_poll(owner: Caller) -> None:
    answer = owner.get(f"{JOBS}/status?ids={world.completed(owner.id)}").json

    assert answer is not None
    assert answer["poll"] == {"next_after_ms": None, "terminal": True}
