"""What every answer says to browsers, who is asking behind proxies, and what plain http gets (X20, X24, SEC-10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, jsonify, request
from werkzeug.test import TestResponse

from app import behind_proxies
from app.db import db
from app.settings import Settings
from tests.app.api import world
from tests.app.dashboard.visiting import Visitor

SAME = "same-origin"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
FILE_POLICY = "sandbox; default-src 'none'"
HOST = "https://board.example.org"


@pytest.fixture
def artifact(admin: Visitor, settings: Settings) -> str:
    """A file that an agent left, which is a page with a script."""
    kept = world.artifact(admin.user_id, settings.artifact_store)
    with db.quick():
        job_id = db.value("SELECT job_id::text FROM artifacts WHERE artifact_id = %(id)s", id=kept)
    return f"/jobs/{job_id}/artifacts/{kept}"


@pytest.mark.parametrize(
    ("path", "status", "policy", "cache"),
    [
        ("/", 200, PAGE_POLICY, "private, no-cache"),
        ("/sign-in", 200, PAGE_POLICY, "private, no-cache"),
        ("/ui/now/overview", 200, PAGE_POLICY, "private, no-cache"),
        ("/nowhere", 404, PAGE_POLICY, "private, no-cache"),
        ("/a/no-such-link", 404, PAGE_POLICY, "no-store"),
        ("/docs", 200, PAGE_POLICY, "private, no-cache"),
        ("/docs/try", 200, PAGE_POLICY, "private, no-cache"),
        ("/api/v1/jobs", 401, API_POLICY, "no-store"),
        ("/api/v1/nowhere", 404, PAGE_POLICY, "no-store"),
        ("/api/openapi.json", 200, API_POLICY, "public, max-age=60"),
        ("/healthz", 200, API_POLICY, "no-store"),
    ],
)
def test_every_kind_of_answer_is_closed(
    admin: Visitor, path: str, status: int, policy: str, cache: str
) -> None:
    answer = admin.client.get(path, base_url=HOST) if path != "/" and "/ui/" not in path else admin.get(path)

    assert answer.status_code == status
    assert (answer.headers["Content-Security-Policy"], answer.headers["Cache-Control"]) == (policy, cache)
    _is_closed(answer, referrer="no-referrer" if path.startswith("/a/") else SAME)


def test_an_artifact_is_in_a_sandbox_whatever_it_says_it_is(admin: Visitor, artifact: str) -> None:
    answer = admin.get(artifact)

    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith(FILE_POLICY)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    _is_closed(answer, policy=FILE_POLICY)


def test_a_static_file_is_closed_too(stranger: Visitor) -> None:
    answer = stranger.get("/static/css/callboard.css")

    assert (answer.status_code, answer.headers["Content-Security-Policy"]) == (200, PAGE_POLICY)
    _is_closed(answer)


def _is_closed(answer: TestResponse, referrer: str = SAME, policy: str = "") -> None:
    headers = answer.headers
    assert policy or "unsafe" not in headers["Content-Security-Policy"]
    assert {name: headers.get(name) for name in (
        "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy", "Permissions-Policy",
    )} == {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": referrer,
        "Cross-Origin-Opener-Policy": SAME,
        "Cross-Origin-Resource-Policy": SAME,
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }  # fmt: skip
    assert not [name for name in headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - many have no __iter__ over names
    assert not {"Server", "X-Powered-By"} & set(headers.keys())


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_no_other_site_is_let_in(app: Flask, method: str) -> None:
    answer = app.test_client().open(
        "/api/v1/jobs",
        method=method,
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_who_came_by_https_is_told_to_stay_there(app: Flask) -> None:
    for path in ("/sign-in", "/api/v1/jobs", "/static/css/callboard.css", "/nowhere"):
        answer = app.test_client().get(path, base_url=HOST)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", path
        assert "Strict-Transport-Security" not in app.test_client().get(path).headers, path


class TestProxies:
    """Whom a chain of X-Forwarded-For makes the caller; only what trusted proxies added counts."""

    @pytest.mark.parametrize(
        ("trusted", "said", "seen"),
        [
            (0, "6.6.6.6", "10.0.0.9"),
            (0, "6.6.6.6, 7.7.7.7", "10.0.0.9"),
            (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
            (1, "1.2.3.4", "1.2.3.4"),
            (1, "", "10.0.0.9"),
            (2, "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
            (2, "1.2.3.4, 10.1.1.1", "1.2.3.4"),
            (2, "6.6.6.6", "10.0.0.9"),
        ],
    )
    def test_what_a_caller_claims_is_not_who_they_are(self, trusted: int, said: str, seen: str) -> None:
        answer = _behind(trusted).get(
            "/who", headers={"X-Forwarded-For": said}, environ_base={"REMOTE_ADDR": "10.0.0.9"}
        )
        assert answer.json["ip"] == seen

    @pytest.mark.parametrize(("trusted", "secure"), [(0, False), (1, True), (2, True)])
    def test_nobody_comes_by_https_because_they_say_so(self, trusted: int, secure: bool) -> None:
        answer = _behind(trusted).get("/who", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "h"})
        assert (answer.json["secure"], answer.json["host"]) == (secure, "h" if trusted else "localhost")

    def test_the_last_proxy_decides(self) -> None:
        answer = _behind(1).get("/who", headers={"X-Forwarded-Proto": "https, http"})
        assert answer.json["secure"] is False


def _behind(trusted: int) -> Any:
    app = Flask("behind")
    behind_proxies(app, trusted)
    app.add_url_rule(
        "/who", view_func=lambda: jsonify(ip=request.remote_addr, secure=request.is_secure, host=request.host)
    )
    return app.test_client()


@pytest.fixture
def told(app: Flask) -> Iterator[dict[str, Any]]:
    """What is put into it is how the app is set."""
    before: Settings = app.config["CALLBOARD"]

    class Told(dict[str, Any]):
        def __setitem__(self, name: str, value: Any) -> None:
            super().__setitem__(name, value)
            app.config["CALLBOARD"] = before.model_copy(update=dict(self))

    yield Told()
    app.config["CALLBOARD"] = before


class TestForcedHttps:
    """FORCE_HTTPS: pages are led on, everything else is refused, health answers."""

    @pytest.fixture(autouse=True)
    def forced(self, told: dict[str, Any]) -> None:
        told["force_https"] = True

    @pytest.mark.parametrize(
        "path", ["/", "/sign-in?next=/jobs", "/static/css/callboard.css", "/api/openapi.json"]
    )
    def test_reads_are_led_to_https(self, app: Flask, path: str) -> None:
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.headers["Location"]) == (308, f"https://localhost{path}")

    def test_the_public_address_wins_over_what_the_request_says(
        self, app: Flask, told: dict[str, Any]
    ) -> None:
        told["base_url"] = HOST
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
            answer = app.test_client().get("/jobs", headers=headers)
            assert answer.headers["Location"] == f"{HOST}/jobs"

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("POST", "/sign-in", {}),
            ("POST", "/api/v1/jobs", {}),
            ("DELETE", "/api/v1/jobs/x", {}),
            ("GET", "/api/v1/jobs", {"Authorization": "Bearer cb_x"}),
            ("GET", "/metrics", {"X-API-Key": "cb_x"}),
        ],
    )
    def test_the_rest_is_refused_and_says_why(
        self, app: Flask, method: str, path: str, headers: dict[str, str]
    ) -> None:
        answer = app.test_client().open(path, method=method, headers=headers)

        assert answer.status_code == 403
        assert "by https only" in answer.text
        if path != "/sign-in":
            assert (answer.mimetype, answer.json["code"]) == ("application/problem+json", "forbidden")
        _is_closed(answer)

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/health", "/api/health/db"])
    def test_health_answers_without(self, app: Flask, path: str) -> None:
        assert app.test_client().get(path).status_code == 200

    def test_what_only_looks_like_health_does_not(self, app: Flask) -> None:
        assert app.test_client().get("/api/healthy").status_code == 308

    def test_by_https_everything_goes_on_with_a_cookie_of_this_host(self, app: Flask) -> None:
        answer = app.test_client().get("/sign-in", base_url=HOST)

        cookie = next(c for c in answer.headers.getlist("Set-Cookie") if "callboard" in c)
        assert answer.status_code == 200
        assert cookie.startswith("__Host-callboard=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie

    def test_a_session_is_found_again(self, app: Flask) -> None:
        with app.test_client() as client:
            page = client.get("/sign-in", base_url=HOST).text
            token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
            answer = client.post(
                "/sign-in",
                base_url=HOST,
                data={"csrf_token": token, "email": "nobody@example.org", "password": "wrong one"},
                headers={"Origin": HOST, "Referer": f"{HOST}/sign-in"},
            )
        assert answer.status_code in (200, 401)  # the token of the cookie was right, the password was not
        assert "nobody@example.org" in answer.text


class TestHosts:
    """A Host header that somebody made up stands in nothing that anybody is to follow."""

    @pytest.mark.parametrize("path", ["/help", "/"])
    def test_examples_name_the_public_address(self, admin: Visitor, told: dict[str, Any], path: str) -> None:
        told["base_url"] = HOST
        page = admin.client.get(path, headers={"X-Forwarded-Host": "evil.example"})

        assert page.status_code == 200
        assert "evil.example" not in page.text
        if path == "/help":
            assert f"curl -X POST {HOST}/api/v1/jobs" in page.text

    def test_redirects_name_no_host_at_all(self, stranger: Visitor) -> None:
        answer = stranger.get("/jobs", Host="evil.example")
        assert answer.headers["Location"].startswith("/sign-in?")
