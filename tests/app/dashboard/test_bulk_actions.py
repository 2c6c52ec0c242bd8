"""Doing one thing to many: the look, the action, its page, and how to stop it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app import db as database
from app.errors import PermanentError
from app.jobs import bulk, bulk_do
from app.jobs.states import Reason
from tests.app.dashboard.aside import claimed, db, lifecycle, status, submitted
from tests.app.dashboard.visiting import Visitor, words

WHOLE = {"subject": "jobs", "whole": "on"}


def failed(**wish: Any) -> str:
    taken = claimed("test-echo", priority="critical", **wish)
    lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
    return taken.job_id


def step(bulk_id: str) -> None:
    with database.db.transaction():
        bulk.step(bulk_id)


def form_of(page: Any) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for field in page.select("main form input[type=hidden]"):
        found.setdefault(field["name"], []).append(field["value"])
    return found


def started(who: Visitor, **more: str) -> str:
    """The id of a new action on all jobs."""
    review = who.post("/bulk-actions", WHOLE | {"verb": "cancel"} | more)
    answer = who.post("/bulk-actions", form_of(soup(review.text)))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"]).rsplit("/", 1)[1]


def soup(text: str) -> Any:
    from bs4 import BeautifulSoup

    return BeautifulSoup(text, "html.parser")


def actions() -> int:
    return int(db.value("SELECT count(*) FROM bulk_actions"))


def test_all_that_match_are_looked_at_first(admin: Visitor) -> None:
    hit = [submitted(tags=("x",)) for _ in range(7)]
    submitted()

    review = soup(admin.post("/bulk-actions", WHOLE | {"verb": "cancel", "q": "tag:x"}).text)

    assert "Cancel 7 jobs?" in words(review)
    assert "and 2 more" in words(review)
    assert "tag:x" in words(review.select_one("main"))
    assert (actions(), {status(job_id) for job_id in hit}) == (0, {"queued"})


def test_what_was_looked_at_is_done_and_nothing_that_came_later(admin: Visitor) -> None:
    first = submitted(tags=("x",))
    review = soup(admin.post("/bulk-actions", WHOLE | {"verb": "cancel", "q": "tag:x"}).text)
    later = submitted(tags=("x",))

    answer = admin.post("/bulk-actions", form_of(review))
    bulk_id = answer.headers["Location"].rsplit("/", 1)[1]
    step(bulk_id)

    assert (status(first), status(later)) == ("cancelled", "queued")
    text = words(admin.soup(f"/bulk-actions/{bulk_id}"))
    assert "Cancel 1 job" in text
    assert "100 %" in text


def test_the_same_form_sent_twice_is_one_action(admin: Visitor) -> None:
    failed()
    review = soup(admin.post("/bulk-actions", WHOLE | {"verb": "retry"}).text)
    answers = [admin.post("/bulk-actions", form_of(review)).headers["Location"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert actions() == 1


def test_what_grew_since_the_look_is_shown_again(admin: Visitor) -> None:
    submitted()
    review = form_of(soup(admin.post("/bulk-actions", WHOLE | {"verb": "cancel"}).text))
    submitted()
    answer = admin.post("/bulk-actions", review | {"upto": ""})
    assert "More fit now than you were shown" in answer.text
    assert "Cancel 2 jobs?" in answer.text
    assert actions() == 0


def test_a_few_ticked_ones_are_done_at_once_and_the_filter_stays(admin: Visitor) -> None:
    hit, over, spared = submitted(), failed(), submitted()
    form = {"subject": "jobs", "verb": "cancel", "id": [hit, over], "q": "agent:test-noop"}

    answer = admin.post("/bulk-actions", form)

    assert answer.headers["Location"] == "/jobs?q=agent:test-noop"
    assert (status(hit), status(spared)) == ("cancelled", "queued")
    text = words(admin.soup("/jobs"))
    assert "1 job cancelled." in text
    assert "1 job left alone: the job is failed." in text


def test_who_clicks_twice_means_it_once(admin: Visitor) -> None:
    job_id = failed()
    for _ in range(2):
        assert admin.post("/bulk-actions", {"verb": "retry", "id": job_id}).headers["Location"] == "/jobs"
    assert db.value("SELECT count(*) FROM jobs WHERE retry_of_job_id = %(id)s", id=job_id) == 1
    db.run("UPDATE bulk_actions SET created_at = now() - interval '3 s'")
    admin.post("/bulk-actions", {"verb": "retry", "id": job_id})
    assert db.value("SELECT count(*) FROM jobs WHERE retry_of_job_id = %(id)s", id=job_id) == 2


def test_without_scripts_cancelling_a_few_asks_as_well(admin: Visitor) -> None:
    job_id = submitted()
    review = soup(admin.post("/bulk-actions", {"verb": "cancel", "id": job_id, "ask": "on"}).text)
    assert "Exactly the jobs you ticked." in words(review)
    assert status(job_id) == "queued"

    admin.post("/bulk-actions", form_of(review))

    assert status(job_id) == "cancelled"


def test_more_than_a_few_ticked_ones_are_looked_at_first(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.dashboard import bulk_actions

    monkeypatch.setattr(bulk_actions, "FEW", 1)
    ids = [submitted(), submitted()]
    review = admin.post("/bulk-actions", {"verb": "cancel", "id": ids})
    assert "Cancel 2 jobs?" in review.text
    assert actions() == 0


@pytest.mark.parametrize("form", [{"verb": "priority:high"}, {"verb": "priority", "new_priority": "high"}])
def test_priorities(admin: Visitor, form: dict[str, str]) -> None:
    job_id = submitted()
    assert admin.post("/bulk-actions", {"id": job_id} | form).status_code == 303
    assert db.value("SELECT priority_rank FROM jobs WHERE job_id = %(id)s", id=job_id) == 1


def test_which_priority_is_asked_for(admin: Visitor) -> None:
    page = soup(admin.post("/bulk-actions", {"verb": "priority", "id": submitted()}).text)
    assert page.select_one("select[name=new_priority]")


@pytest.mark.parametrize(
    ("form", "answered"),
    [
        ({"verb": "fly", "whole": "on"}, 400),
        ({"verb": "cancel", "whole": "on", "subject": "users"}, 400),
        ({"verb": "priority:huge", "id": "0192f0c1-9d7e-7000-8000-000000000001"}, 400),
        ({"verb": "cancel", "id": "x"}, 404),
        ({"verb": "cancel", "whole": "on", "q": "colour:red"}, 422),
        ({"verb": "cancel"}, 303),
    ],
)
def test_what_makes_no_sense_does_nothing(admin: Visitor, form: dict[str, str], answered: int) -> None:
    assert admin.post("/bulk-actions", form).status_code == answered
    assert actions() == 0


def test_users_reach_only_their_own(admin: Visitor, user: Visitor) -> None:
    mine, theirs = submitted(submitted_by=user.user_id), submitted(submitted_by=admin.user_id)
    user.post("/bulk-actions", {"verb": "cancel", "id": [mine, theirs]})
    assert (status(mine), status(theirs)) == ("cancelled", "queued")
    assert "Nothing fits" in user.post("/bulk-actions", WHOLE | {"verb": "cancel"}).text


def test_viewers_do_nothing_here(viewer: Visitor) -> None:
    assert viewer.post("/bulk-actions", {"verb": "cancel", "id": submitted()}).status_code == 403
    assert viewer.get("/bulk-actions").status_code == 403


def test_others_do_not_find_it(app: Flask, admin: Visitor, user: Visitor) -> None:
    submitted()
    bulk_id = started(admin)
    assert user.get(f"/bulk-actions/{bulk_id}").status_code == 404
    assert user.post(f"/bulk-actions/{bulk_id}/abort").status_code == 404
    assert "Cancel 1 job" not in user.get("/bulk-actions").text
    assert "Cancel 1 job" in Visitor(app, "admin").get("/bulk-actions").text


def test_it_is_stopped_by_a_button(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_do, "BATCH", dict.fromkeys(bulk_do.BATCH, 1))
    for _ in range(3):
        submitted()
    bulk_id = started(admin)
    step(bulk_id)

    page = words(admin.soup(f"/bulk-actions/{bulk_id}"))
    assert "Working" in page
    assert "33 %" in page
    assert "about" in page
    assert admin.get(f"/ui/bulk-actions/{bulk_id}").headers["HX-Poll"] == "1000ms"

    admin.post(f"/bulk-actions/{bulk_id}/abort")
    admin.post(f"/bulk-actions/{bulk_id}/abort")

    panel = admin.get(f"/ui/bulk-actions/{bulk_id}")
    assert "Stopped" in panel.text
    assert panel.headers["HX-Poll"] == "stop"
    assert (
        admin.get(f"/ui/bulk-actions/{bulk_id}", **{"If-None-Match": panel.headers["ETag"]}).status_code
        == 304
    )


def test_what_was_refused_is_told_with_the_reason(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.dashboard import bulk_actions

    monkeypatch.setattr(bulk_actions, "FEW", 0)
    over = failed()
    review = soup(admin.post("/bulk-actions", {"verb": "cancel", "id": [over, submitted()]}).text)
    assert "1 left alone: failed." in words(review)
    answer = admin.post("/bulk-actions", form_of(review))
    step(answer.headers["Location"].rsplit("/", 1)[1])
    page = admin.soup(answer.headers["Location"])
    assert "the job is failed" in words(page)
    assert page.select_one(f'a[href="/jobs/{over}"]')


def test_the_list_says_how_to_begin_while_it_is_empty(admin: Visitor) -> None:
    assert "bulk retry" in admin.get("/bulk-actions").text


def test_words_of_a_filter_are_shown_and_not_run(admin: Visitor) -> None:
    submitted(tags=("<script>alert(1)</script>",))
    bulk_id = started(admin, q='tag:"<script>alert(1)</script>"')
    for path in ("/bulk-actions", f"/bulk-actions/{bulk_id}"):
        assert "<script>alert" not in admin.get(path).text
        assert "&lt;script&gt;alert" in admin.get(path).text
