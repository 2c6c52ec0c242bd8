"""Who may come in, and who sees what. At most five may sign in a minute, so each does it once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.person import JSON, Person
from tests.journeys.product import EMAIL, PASSWORD

LOGIN = "/api/v1/auth/login"
SECRET = "a password of their own"


@pytest.fixture(scope="module")
def user(admin: Person, nobody: Person, person: Callable[[str | None], Person]) -> Person:
    """A user made by the admin, signed in."""
    admin.post("/api/v1/users", {"email": "ute@callboard.test", "role": "user", "password": SECRET}, 201)
    signed = nobody.post(LOGIN, {"email": "ute@callboard.test", "password": SECRET})
    return person(signed["access_token"])


@pytest.fixture(scope="module")
def viewer(admin: Person, nobody: Person, person: Callable[[str | None], Person]) -> Person:
    """A viewer made by the admin, signed in."""
    admin.post("/api/v1/users", {"email": "vic@callboard.test", "role": "viewer", "password": SECRET}, 201)
    signed = nobody.post(LOGIN, {"email": "vic@callboard.test", "password": SECRET})
    return person(signed["access_token"])


def test_nobody_gets_in_without_a_credential(nobody: Person, person: Callable[[str | None], Person]) -> None:
    for stranger in (nobody, person("cb_wrong000_" + "w" * 43), person("a.b.c")):
        refused = stranger.call("GET", "/api/v1/jobs", 401)
        assert refused.json()["code"] == "unauthenticated"
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert nobody.get("/api/health")["status"] == "healthy"


def test_a_login_is_refreshed_once_and_a_token_used_twice_ends_it(
    nobody: Person, person: Callable[[str | None], Person]
) -> None:
    first = nobody.post(LOGIN, {"email": EMAIL, "password": PASSWORD})
    second = refreshed(nobody, first)

    assert person(first["access_token"]).get("/api/v1/me")["role"] == "admin"
    assert person(second["access_token"]).get("/api/v1/me")["email"] == EMAIL
    refreshed(nobody, first, 401)
    refreshed(nobody, second, 401)
    person(second["access_token"]).get("/api/v1/me", 401)


def refreshed(nobody: Person, tokens: JSON, expect: int = 200) -> JSON:
    """What trading the refresh token answers."""
    return nobody.post("/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, expect)


def test_a_wrong_password_is_refused(nobody: Person) -> None:
    refused = nobody.post(LOGIN, {"email": EMAIL, "password": "not the password"}, 401)

    assert refused["code"] == "unauthenticated"


def test_a_user_sees_and_changes_only_their_own_jobs(admin: Person, user: Person) -> None:
    theirs = admin.submit("test-echo", {"secret": "the admin's"})
    own = user.submit("test-echo", {"n": 1})
    admin.reaches(theirs, "completed")
    ended = user.reaches(own, "completed")

    assert ended["result"]["parameters"] == {"n": 1}
    for path in ("", "/status", "/logs", "/history", "/attempts", "/explain", "/artifacts"):
        user.get(f"/api/v1/jobs/{theirs}{path}", 404)
    user.call("DELETE", f"/api/v1/jobs/{theirs}", 404)
    user.call("PATCH", f"/api/v1/jobs/{theirs}", 404, json={"priority": "low"})
    user.post(f"/api/v1/jobs/{theirs}/retry", expect=404)
    assert [job["job_id"] for job in user.get("/api/v1/jobs")["jobs"]] == [own]
    assert user.get("/api/v1/jobs/status", ids=f"{own},{theirs}")["not_found"] == [theirs]
    assert admin.status(own)["submitted_by"] == user.get("/api/v1/me")["user_id"]


def test_a_viewer_sees_the_status_of_all_jobs_and_the_content_of_none(admin: Person, viewer: Person) -> None:
    job = admin.submit("test-flaky", {"failures": 9, "kind": "permanent", "message": "a secret in it"})
    admin.reaches(job, "failed")
    seen = viewer.status(job)

    assert (seen["status"], seen["actions"]) == ("failed", [])
    for hidden in ("parameters", "result", "stack_trace", "logs"):
        assert seen.get(hidden) is None
    assert "a secret in it" not in viewer.call("GET", f"/api/v1/jobs/{job}").text
    assert "a secret in it" not in viewer.call("GET", "/api/v1/jobs").text
    for path in ("/logs", "/events", "/attempts", "/artifacts"):
        viewer.get(f"/api/v1/jobs/{job}{path}", 403)
    viewer.post("/api/v1/jobs", {"agent_id": "test-noop"}, 403)
    viewer.call("DELETE", f"/api/v1/jobs/{job}", 403)


def test_dead_letters_users_and_settings_of_agents_are_the_admins(user: Person, viewer: Person) -> None:
    for somebody in (user, viewer):
        somebody.get("/api/v1/dlq/tasks", 403)
        somebody.get("/api/v1/users", 403)
        somebody.call("PATCH", "/api/v1/agents/test-noop", 403, json={"enabled": False})
        assert somebody.get("/api/v1/agents")["total"] > 0


def test_an_api_key_with_few_scopes_does_no_more_than_they_say_and_ends_when_revoked(
    admin: Person, person: Callable[[str | None], Person]
) -> None:
    made = admin.post("/api/v1/api-keys", {"name": "reader", "scopes": ["read"]}, 201)
    reader = person(made["api_key"])

    reader.get("/api/v1/jobs")
    reader.post("/api/v1/jobs", {"agent_id": "test-noop"}, 403)
    admin.call("DELETE", f"/api/v1/api-keys/{made['key_id']}")
    reader.get("/api/v1/jobs", 401)
    assert made["api_key"] not in admin.call("GET", "/api/v1/api-keys").text
