"""Schedules, approvals and the bell, as people use them: with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SIZE
from tests.browser.stack import Stack
from tests.waiting import until


@pytest.fixture
def plain(running: Stack, browser: Browser, signed_in: dict[str, Any]) -> Iterator[Page]:
    """A page of somebody who is signed in, in a browser without JavaScript."""
    with browser.new_context(
        base_url=running.url,
        storage_state=signed_in,
        java_script_enabled=False,
        viewport=SIZE,  # type: ignore[arg-type]
    ) as context:
        yield context.new_page()


def test_a_schedule_is_previewed_and_made_by_forms_alone(plain: Page, running: Stack) -> None:
    plain.goto("/schedules/new?target=agent:test-echo")
    plain.get_by_label("Text").fill("hello")
    plain.get_by_label("Name", exact=True).fill("Made without scripts")
    plain.get_by_label("Every week").check()
    plain.get_by_label("Mon", exact=True).check()
    plain.get_by_label("Time", exact=True).fill("07:30")
    plain.get_by_label("Time zone").fill("Europe/Berlin")
    plain.get_by_role("button", name="Preview").click()

    expect(plain.locator("#preview")).to_contain_text("At 07:30 on Monday (Europe/Berlin)")
    expect(plain.locator("#preview li")).to_have_count(5)
    expect(plain.get_by_label("Text")).to_have_value("hello")
    plain.get_by_role("button", name="Make it").click()
    expect(plain).to_have_url(re.compile(r"/schedules/[0-9a-f-]{36}$"))
    plain.get_by_role("button", name="Run now").click()
    expect(plain.get_by_text("Made without scripts runs now.")).to_be_visible()
    plain.get_by_role("button", name="Pause", exact=True).click()
    expect(plain.locator("#schedule .badge.big")).to_have_text("Paused")
    made = running.call("GET", f"/api/v1/schedules/{plain.url.rsplit('/', 1)[1]}")
    assert (made["cron_expression"], made["enabled"]) == ("30 7 * * 1", False)


def test_only_the_fields_of_the_chosen_rhythm_are_shown(page: Page) -> None:
    page.goto("/schedules/new?target=agent:test-echo")
    shown = {"Once": "#date", "Every hour": "#minute", "Every month": "#day", "Cron expression": "#cron"}

    for word, field in shown.items():
        page.get_by_label(word).first.check()
        for other in shown.values():
            expect(page.locator(other)).to_be_visible(visible=other == field)


def test_a_question_is_answered_by_its_form_alone(plain: Page, running: Stack) -> None:
    form = {"type": "object", "required": ["subject"], "properties": {"subject": {"type": "string"}}}
    ask = {"step_id": "ask", "type": "approval", "question": "Print all of it?", "form": form}
    wish = {"name": "Printing", "steps": [ask, {"step_id": "print", "agent_id": "test-noop"}]}
    workflow_id = running.call("POST", "/api/v1/workflows", wish)["workflow_id"]

    plain.goto("/approvals")
    plain.get_by_role("link", name="Print all of it?").click()
    plain.get_by_label("Subject").fill("Leaflets")
    plain.get_by_label("Comment").fill("Go on")
    plain.get_by_role("button", name="Approve").click()

    expect(plain.get_by_text("Approved.", exact=True)).to_be_visible()
    run = running.call("GET", f"/api/v1/workflows/{workflow_id}")
    assert next(s["status"] for s in run["steps"] if s["step_id"] == "ask") == "completed"


def test_the_bell_rings_with_the_menus_poll(page: Page, running: Stack, said: list[str]) -> None:
    def silent() -> bool:
        running.call("POST", "/api/v1/notifications/read-all")
        page.goto("/agents")
        return page.locator("#bell .count").count() == 0

    # What earlier tests left to do may still end, and be told of, meanwhile.
    until(silent, 20)
    asked: list[str] = []
    page.on("request", lambda request: "/ui/" in request.url and asked.append(request.url))

    job_id = running.submit("test-noop", notify_on_completion=True)
    running.settled(job_id)

    def told() -> list[dict[str, Any]]:
        return running.call("GET", "/api/v1/notifications?unread=true")["notifications"]  # type: ignore[no-any-return]

    until(lambda: any(each["subject_id"] == job_id for each in told()), 20)

    def rung() -> int:
        page.evaluate("poller.refresh()")
        page.wait_for_timeout(300)
        return page.locator("#bell .count").count()

    until(rung, 20, 0)

    expect(page.locator("#bell .count")).to_contain_text("unread")
    assert [each["subject_id"] for each in told()].count(job_id) == 1
    # Other work of this product may be told of meanwhile.
    until(
        lambda: f"{len(told())} unread" in " ".join(str(page.locator("#bell .count").text_content()).split()),
        20,
    )
    expect(page.locator("#bell a")).to_have_count(1)
    assert {url.partition("?")[0].removeprefix(running.url) for url in asked} <= {"/ui/look"}
    assert page.evaluate("violations") == []
    assert said == []
