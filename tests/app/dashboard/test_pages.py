"""Every page, for every role."""

from __future__ import annotations

import pytest
from flask import Flask

from app.dashboard import PAGES
from tests.app.dashboard.aside import agent, claimed, lifecycle, submitted
from tests.app.dashboard.visiting import Visitor

PLAIN = (
    "/",
    "/jobs",
    "/jobs?state=waiting&agent=test-noop&priority=high&since=7d&tag=x&q=y",
    "/agents",
    "/agents/test-flaky",
    "/agents/test-flaky/versions/1",
    "/providers",
    "/costs",
    "/costs?by=day&days=7",
    "/budgets",
)
WRITING = ("/submit", "/submit/test-flaky", "/submit/test-flaky?example=1")
ADMINS = ("/dead-letters", "/dead-letters?window=30d&all=1")


@pytest.mark.parametrize("role", ["admin", "user", "viewer"])
@pytest.mark.parametrize("path", PLAIN)
def test_everybody_may_look(app: Flask, role: str, path: str) -> None:
    assert Visitor(app, role).get(path).status_code == 200


@pytest.mark.parametrize("path", WRITING)
def test_viewers_may_not_submit(user: Visitor, viewer: Visitor, path: str) -> None:
    assert (user.get(path).status_code, viewer.get(path).status_code) == (200, 403)


@pytest.mark.parametrize("path", ADMINS)
def test_dead_letters_are_for_admins(admin: Visitor, user: Visitor, viewer: Visitor, path: str) -> None:
    assert [who.get(path).status_code for who in (admin, user, viewer)] == [200, 403, 403]


def test_the_menu_offers_only_what_one_may_do(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    def offered(who: Visitor) -> set[str]:
        return {str(link["href"]) for link in who.soup("/agents").select(".side a")}

    assert {"/submit", "/dead-letters"} <= offered(admin)
    assert "/submit" in offered(user)
    assert "/dead-letters" not in offered(user)
    assert not {"/submit", "/dead-letters"} & offered(viewer)


def test_every_page_is_closed_to_strangers(stranger: Visitor) -> None:
    open_to_all = {
        "/sign-in",
        "/sign-in/oidc",
        "/sign-in/oidc/return",
        "/theme",
        "/a/<token>",
        "/forgot",
        "/reset/<token>",
    }
    for method, path, _name, _view in PAGES:
        if path in open_to_all:
            continue
        concrete = (
            path.replace("<job_id>", "x")
            .replace("<artifact_id>", "y")
            .replace("<dlq_id>", "z")
            .replace("<agent_id>", "a")
        )
        answer = stranger.get(concrete) if method == "GET" else stranger.post(concrete)
        if path.startswith("/ui/"):  # asked by scripts, which no sign-in page helps
            assert answer.status_code in (401, 403), path
            continue

        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in"), path


def test_every_action_is_closed_to_viewers(viewer: Visitor) -> None:
    job_id = submitted()
    for path in (f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry", f"/jobs/{job_id}/priority", "/submit/test-noop",
                 "/dead-letters/review", "/dead-letters/resubmit"):  # fmt: skip
        assert viewer.post(path).status_code == 403, path


def test_what_a_definition_says_is_shown_as_text(admin: Visitor) -> None:
    agent("test-hostile", title="<script>x</script>", parameters={
        "type": "object", "properties": {"<b>": {"type": "string", "description": "<img src=x>", "default": "'\"<"}}})  # fmt: skip

    for path in ("/agents", "/agents/test-hostile", "/submit", "/submit/test-hostile"):
        soup = admin.soup(path)
        assert [s for s in soup.select("script") if not s.get("src")] == []
        assert soup.select("img") == []


def test_the_front_page_tells_what_runs_and_what_failed(admin: Visitor) -> None:
    from app.errors import PermanentError
    from app.jobs.states import Reason

    claimed(task_name="The running one", submitted_by=admin.user_id)
    broken = claimed(task_name="The broken one", submitted_by=admin.user_id)
    lifecycle.fail(broken, PermanentError("no such file"), Reason.PERMANENT)

    soup = admin.soup("/")

    assert "The running one" in soup.select_one("#running").text  # type: ignore[union-attr]
    assert "no such file" in soup.select_one("#failures").text  # type: ignore[union-attr]


def test_users_see_their_own_jobs_only(user: Visitor, admin: Visitor) -> None:
    mine, theirs = submitted(submitted_by=user.user_id), submitted(submitted_by=admin.user_id)

    listed = user.get("/jobs").text

    assert (mine in listed, theirs in listed) == (True, False)
    assert (user.get(f"/jobs/{mine}").status_code, user.get(f"/jobs/{theirs}").status_code) == (200, 404)
