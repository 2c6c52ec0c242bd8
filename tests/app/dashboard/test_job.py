"""One job: what is shown of it, to whom, and what can be done."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app import clock
from app.errors import PermanentError, TemporaryError
from app.jobs.artifacts import Store
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from app.settings import Settings
from tests.app.dashboard.aside import (
    agent,
    artifacts,
    claim,
    claimed,
    dead_letters,
    job,
    lifecycle,
    status,
    submitted,
    timeline,
)
from tests.app.dashboard.visiting import Visitor


def _say(taken: Claim, *messages: str, level: str = "info") -> None:
    lines = [
        Line(at=clock.now(), kind="log", level=level, source="agent", message=message) for message in messages
    ]
    timeline.write(Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, lines=lines))


def _keep(settings: Settings, taken: Claim, name: str, content: bytes, media_type: str | None = None) -> str:
    store = Store(settings.artifact_store)
    row = store.keep(taken.job_id, taken.fence, name, content, media_type)
    artifacts.record(row)
    return str(row["artifact_id"])


def test_a_failed_job_begins_with_what_failed(admin: Visitor) -> None:
    taken = claimed()
    _say(taken, "about to fail")
    lifecycle.fail(taken, PermanentError("the file <x> is missing"), Reason.PERMANENT, "Traceback …")

    main = admin.soup(f"/jobs/{taken.job_id}").select_one("main")

    assert main is not None
    text = main.text
    assert text.index("the file <x> is missing") < text.index("Queued")
    assert "about to fail" in text
    assert "Traceback …" in text


def test_a_waiting_job_says_why_it_waits(admin: Visitor) -> None:
    job_id = submitted(due_in=3600)

    why = admin.soup(f"/jobs/{job_id}").select_one("#why")

    assert why is not None
    assert "the planned time" in why.text


def test_a_job_that_is_over_is_not_polled_any_more(admin: Visitor) -> None:
    taken = claimed()
    assert admin.get(f"/ui/jobs/{taken.job_id}/status").headers["HX-Poll"] == "2000ms"

    lifecycle.complete(taken, {})

    for part in ("status", "overview", "outcome", "summary", "attempts", "log", "events"):
        assert admin.get(f"/ui/jobs/{taken.job_id}/{part}").headers["HX-Poll"] == "stop", part


def test_the_log_goes_on_from_the_cursor(admin: Visitor) -> None:
    taken = claimed()
    _say(taken, "one", "two")
    first = admin.get(f"/ui/jobs/{taken.job_id}/log?after=0").text
    _say(taken, "three")

    second = admin.get(f"/ui/jobs/{taken.job_id}/log?after=2")

    assert ("one" in first, "two" in first) == (True, True)
    assert ("two" in second.text, "three" in second.text) == (False, True)
    assert admin.get(f"/ui/jobs/{taken.job_id}/log?after=3").status_code == 204
    assert admin.get(f"/ui/jobs/{taken.job_id}/log?after=x").status_code == 200


def test_the_log_as_text_is_plain(admin: Visitor) -> None:
    taken = claimed()
    _say(taken, "<b>bold</b>")

    answer = admin.get(f"/jobs/{taken.job_id}/log.txt")

    assert answer.mimetype == "text/plain"
    assert "agent: <b>bold</b>\n" in answer.text


def test_a_report_is_rendered_and_can_do_no_harm(admin: Visitor) -> None:
    taken = claimed()
    report = "# Title\n\n<script>alert(1)</script>\n\n[click](javascript:alert(1)) ![i](https://evil.example/x.png)\n\n| a |\n|---|\n| b |\n"
    lifecycle.complete(taken, {"report": report})

    prose = admin.soup(f"/jobs/{taken.job_id}").select_one(".prose")

    assert prose is not None
    assert prose.select_one("h1").text == "Title"  # type: ignore[union-attr]
    assert prose.select("script, img") == []
    assert [a for a in prose.select("a") if "javascript" in str(a.get("href"))] == []
    assert prose.select_one("td") is not None
    assert prose.has_attr("hx-ignore")


@pytest.mark.parametrize(
    ("ours", "result"),
    [
        (
            {
                "output": {
                    "properties": {
                        "content": {"type": "string", "contentMediaType": "text/markdown"},
                        "x": True,
                    }
                }
            },
            {"content": "# Read me", "x": "# not this"},
        ),
        ({"runner": "llm", "python": None}, {"result": "# Read me"}),
    ],
)
def test_what_the_agent_calls_markdown_is_rendered(
    admin: Visitor, ours: dict[str, Any], result: dict[str, Any]
) -> None:
    agent("writer", **ours)
    taken = claimed("writer", parameters={"task": "write"})
    lifecycle.complete(taken, result)

    soup = admin.soup(f"/jobs/{taken.job_id}?tab=result")

    assert soup.select_one(".prose h1").text == "Read me"  # type: ignore[union-attr]
    assert soup.select_one("details.fold pre, details.fold .code") is not None


def test_artifacts_are_previewed_by_their_kind(admin: Visitor, settings: Settings) -> None:
    taken = claimed()
    _keep(settings, taken, "card.png", b"\x89PNG", "image/png")
    _keep(settings, taken, "note.txt", b"plain <b>text</b>", "text/plain")
    _keep(settings, taken, "page.html", b"<h1>never shown</h1>", "text/html")
    lifecycle.complete(taken, {})

    soup = admin.soup(f"/jobs/{taken.job_id}?tab=result")

    assert [image["alt"] for image in soup.select(".gallery img")] == ["card.png"]
    assert "plain <b>text</b>" in soup.text
    assert "never shown" not in soup.text
    assert len(soup.select("a[href$='download=1']")) == 3


@pytest.mark.parametrize(("media_type", "shown"), [("image/svg+xml", "inline"), ("text/html", "attachment")])
def test_bytes_of_an_artifact_never_run_as_a_page(
    admin: Visitor, settings: Settings, media_type: str, shown: str
) -> None:
    taken = claimed()
    artifact_id = _keep(settings, taken, "thing", b"<svg onload='alert(1)'/>", media_type)

    answer = admin.get(f"/jobs/{taken.job_id}/artifacts/{artifact_id}")

    assert answer.data == b"<svg onload='alert(1)'/>"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["Content-Disposition"].startswith(shown)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype == ("image/svg+xml" if shown == "inline" else "application/octet-stream")


def test_an_artifact_is_found_under_its_own_job_only(
    admin: Visitor, user: Visitor, settings: Settings
) -> None:
    taken, other = claimed(), submitted("test-echo")
    artifact_id = _keep(settings, taken, "thing", b"x")

    assert admin.get(f"/jobs/{other}/artifacts/{artifact_id}").status_code == 404
    assert user.get(f"/jobs/{taken.job_id}/artifacts/{artifact_id}").status_code == 404


def test_viewers_see_the_state_and_nothing_of_the_content(viewer: Visitor, settings: Settings) -> None:
    taken = claimed("test-echo", parameters={"text": "secret words"})
    _say(taken, "secret line")
    artifact_id = _keep(settings, taken, "secret.txt", b"secret")
    lifecycle.fail(taken, PermanentError("secret reason"), Reason.PERMANENT, "secret trace")

    page = viewer.get(f"/jobs/{taken.job_id}")

    assert page.status_code == 200
    assert "Failed" in page.text
    assert "secret" not in page.text
    for path in (f"/ui/jobs/{taken.job_id}/log", f"/ui/jobs/{taken.job_id}/outcome", f"/jobs/{taken.job_id}/log.txt",
                 f"/jobs/{taken.job_id}/artifacts/{artifact_id}"):  # fmt: skip
        assert viewer.get(path).status_code in (403, 404), path


@pytest.mark.parametrize("job_id", ["x", "01a200fa-37f2-733d-98db-bd767c75e033", "..%2f.."])
def test_an_unknown_job_is_a_readable_404(admin: Visitor, job_id: str) -> None:
    answer = admin.get(f"/jobs/{job_id}")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_the_owner_cancels_retries_and_changes_the_priority(user: Visitor) -> None:
    job_id = submitted(submitted_by=user.user_id)

    user.post(f"/jobs/{job_id}/priority", {"priority": "critical"})
    assert job(job_id)["priority_rank"] == 0
    assert "Cancelled." in user.post(f"/jobs/{job_id}/cancel", follow=True).text
    answer = user.post(f"/jobs/{job_id}/retry")

    new_id = answer.headers["Location"].rsplit("/", 1)[1]
    assert str(job(new_id)["retry_of_job_id"]) == job_id
    assert (status(job_id), status(new_id)) == ("cancelled", "queued")


def test_what_is_not_possible_now_says_what_is(admin: Visitor) -> None:
    taken = claimed()
    lifecycle.complete(taken, {})

    answer = admin.post(f"/jobs/{taken.job_id}/cancel")

    assert answer.status_code == 409
    assert "Not possible now" in answer.text


def test_retrying_a_failed_job_deals_with_its_dead_letter(admin: Visitor) -> None:

    taken = claimed()
    lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)

    new_id = admin.post(f"/jobs/{taken.job_id}/retry").headers["Location"].rsplit("/", 1)[1]

    letter = dead_letters.get(taken.job_id)
    assert (letter["resubmitted"], letter["new_job_id"]) == (True, new_id)


def test_a_retry_that_waits_says_when_it_goes_on(admin: Visitor) -> None:
    taken = claimed()
    lifecycle.retry_later(taken, TemporaryError("the line was busy"), 30.0)

    soup = admin.soup(f"/jobs/{taken.job_id}")

    assert "the line was busy" in soup.select_one("#overview .notice.amber").text  # type: ignore[union-attr]


def test_a_noisy_history_is_kept_short(admin: Visitor) -> None:
    taken = claimed()
    for _ in range(12):
        lifecycle.release(taken)
        taken = claim() or taken

    steps = admin.soup(f"/jobs/{taken.job_id}").select(".steps li:not(.ahead)")

    assert len(steps) == 11


def test_the_app_knows_no_job_of_an_empty_board(app: Flask, admin: Visitor) -> None:
    assert "No jobs yet" in admin.get("/jobs").text
