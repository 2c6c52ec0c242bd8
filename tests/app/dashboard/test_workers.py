"""The pages of workers: what each does and did, in words; and letting one rest or end."""

from __future__ import annotations

import pytest

import app as callboard
from app.workers import fleet as _fleet
from app.workers import history
from tests.app.dashboard.aside import Aside, acting, claimed, db, lifecycle
from tests.app.dashboard.visiting import Visitor, words

fleet = Aside(_fleet)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing is remembered of other tests."""
    history.forget()


def hire(worker_id: str = "w1", *, release: str = callboard.__version__, memory: int | None = None) -> None:
    fleet.register(
        worker_id, hostname="box", process_id=4711, pools=("general", "testing"), threads=4, release=release
    )
    fleet.beat(worker_id, draining=False, redis_away=False, memory_bytes=memory)


def test_a_line_says_what_a_worker_is_and_does(admin: Visitor) -> None:
    hire(memory=123_400_000)
    claim = claimed(task_name="The long one")
    line = admin.soup("/workers").select_one("#w-w1")
    said = words(line)
    assert line
    for told in ("box 4711", "Working", "general", "testing", "1/4", "123.4 MB", callboard.__version__):
        assert told in said
    assert "web has" not in said
    assert [link["href"] for link in line.select(".at a")] == [f"/jobs/{claim.job_id}"]


def test_another_release_than_the_webs_is_marked(viewer: Visitor) -> None:
    hire(release="0.0.9")
    assert f"0.0.9 web has {callboard.__version__}" in words(viewer.soup("/workers").select_one("#w-w1"))


def test_others_jobs_are_numbers(user: Visitor) -> None:
    hire()
    claimed(task_name="Their secret")
    lifecycle.complete(claimed(task_name="Done secret"), {"ok": True})
    for path in ("/workers", "/workers/w1"):
        assert "1 job of others" in words(user.soup(path).select_one("main"))
        assert "secret" not in user.get(path).text
    assert "Nothing of yours" in words(user.soup("/workers/w1").select_one("main"))


def test_without_a_worker_the_page_says_how_to_start_one(viewer: Visitor) -> None:
    said = words(viewer.soup("/workers").select_one("#worker-list"))
    assert "No worker runs" in said
    assert "dramatiq actors.worker" in said


def test_its_page_has_what_it_ran_and_how_that_went(admin: Visitor) -> None:
    from app.errors import PermanentError
    from app.jobs.states import Reason

    hire()
    lifecycle.complete(claimed(), {"ok": True})
    broken = claimed(task_name="Broken one")
    lifecycle.fail(broken, PermanentError("no"), Reason.PERMANENT)
    page = admin.soup("/workers/w1")
    rows = [words(row) for row in page.select("table tbody tr")]
    assert len(rows) == 2
    assert "Broken one" in rows[0]
    assert "Failed PermanentError" in rows[0]
    assert "Completed" in rows[1]
    totals = words(page)
    assert "Attempts 2 Completed 1 Failed 1 On average" in totals


def test_a_lost_worker_is_told_in_words_with_what_was_rescued(admin: Visitor) -> None:
    hire()
    rescued, held = claimed(), claimed()
    acting.rescue(rescued)
    db.run("UPDATE workers SET seen_at = now() - interval '3 minutes'")
    page = words(admin.soup("/workers/w1").select_one("#worker"))
    assert held.job_id
    assert "Lost" in page
    assert "1 of its jobs is taken over" not in page
    assert "1 job of its jobs is taken over as soon as their lease runs out." in page
    assert "1 job waits for the end of the lease, 1 job was taken over: 1 wait again." in page
    assert not admin.soup("/workers").select("#w-w1 button")


def test_a_worker_that_has_left_keeps_its_history(admin: Visitor) -> None:
    hire()
    lifecycle.complete(claimed(), {"ok": True})
    fleet.leave("w1")
    page = words(admin.soup("/workers/w1").select_one("#worker"))
    assert "A worker that has left" in page
    assert "Completed" in page
    assert "It was lost" not in page
    assert admin.get("/ui/workers/w1").headers["HX-Poll"] == "stop"
    assert admin.get("/workers/never-was").status_code == 404


def test_an_admin_drains_resumes_and_stops_one(admin: Visitor) -> None:
    hire()
    answer = admin.post("/workers/w1/drain", follow=True)
    assert "box, process 4711 takes nothing more; what it runs goes on." in answer.text
    said = words(admin.soup("/workers").select_one("#w-w1"))
    assert "Draining" in said
    assert "Takes nothing more: you wanted so" in said
    assert "It hears of it in a moment." in said
    fleet.beat("w1", draining=True, redis_away=False)
    assert "It has nothing left and rests." in words(admin.soup("/workers").select_one("#w-w1"))
    assert "not heard" not in words(admin.soup("/workers").select_one("#w-w1"))

    admin.post("/workers/w1/resume")
    fleet.beat("w1", draining=False, redis_away=False)
    assert "Idle" in words(admin.soup("/workers").select_one("#w-w1"))

    answer = admin.post("/workers/w1/stop", Referer="http://localhost/workers/w1")
    assert answer.headers["Location"] == "/workers/w1"
    assert "Stopping" in words(admin.soup("/workers/w1").select_one("#worker"))
    refused = admin.post("/workers/w1/resume", follow=True)
    assert "Not done: The worker w1 is ending already." in refused.text
    actions = db.rows("SELECT action FROM audit_log WHERE subject = 'w1' ORDER BY at")
    assert [row["action"] for row in actions] == ["worker.drained", "worker.resumed", "worker.stopped"]


def test_only_admins_may_and_only_what_there_is(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    hire()
    for who in (user, viewer):
        assert not who.soup("/workers").select("#w-w1 button")
        assert who.post("/workers/w1/stop").status_code == 403
    assert admin.post("/workers/w1/shout").status_code == 404
    assert admin.post("/workers/nobody/drain").status_code == 404
    assert admin.get("/workers/w1/drain").status_code in (404, 405)
    assert fleet.wish("w1") == "work"


def test_an_unchanged_panel_is_a_304(admin: Visitor) -> None:
    hire()
    claimed()
    for path in ("/ui/workers", "/ui/workers/w1"):
        tag = admin.get(path).headers["ETag"]
        assert admin.get(path, **{"If-None-Match": tag}).status_code == 304


def test_a_name_cannot_become_markup(admin: Visitor) -> None:
    hire()
    claimed(task_name="<img src=x onerror=alert(1)>")
    for path in ("/workers", "/workers/w1"):
        assert "<img src=x" not in admin.get(path).text
