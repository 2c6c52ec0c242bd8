"""A job that tells a story: its transcript grows while one reads, its silence is seen, a spent budget is raised."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looking import demand_sound
from tests.browser.stack import Stack


@pytest.fixture(scope="module")
def told(running: Stack) -> str:
    """A job whose story is over."""
    job_id = running.submit("test-teller")
    assert running.settled(job_id) == "completed"
    return job_id


@pytest.fixture(scope="module")
def stopped(running: Stack) -> str:
    """A job that used more than it might."""
    job_id = running.submit("test-teller", {"tokens": 5000, "quiet_seconds": 20})
    assert running.settled(job_id) == "failed"
    return job_id


def test_the_transcript_grows_and_an_open_call_stays_open_when_it_is_answered(
    page: Page, running: Stack, said: list[str]
) -> None:
    job_id = running.submit("test-teller", {"tool_seconds": 8, "quiet_seconds": 4})
    page.goto(f"/jobs/{job_id}?tab=transcript")

    call = page.locator("#story li.k-tool")
    expect(page.locator("#story")).to_contain_text("I will run the tests <b>now</b>.", timeout=15_000)
    expect(call).to_contain_text("In flight")
    call.locator("summary").click()
    expect(call).to_contain_text('"command": "npm test"')

    expect(call).to_contain_text("Done", timeout=15_000)
    expect(call.get_by_text("42 passed, none failed")).to_be_visible()
    expect(call).to_have_count(1)
    expect(page.locator("#watchdog")).to_contain_text("No progress", timeout=15_000)
    expect(page.locator("#watchdog")).to_contain_text("last: Switched from One to Two")
    expect(page.locator("#cost")).to_have_text("345 tok, unpriced")
    expect(page.locator("#story > li.k-turn").last).to_contain_text("All is well.", timeout=15_000)
    expect(page.locator("#status .badge.big")).to_contain_text("Completed")
    expect(page.locator("#watchdog")).to_have_count(0)
    kinds = page.locator("#story > li:not([hidden])").evaluate_all("all => all.map(li => li.classList[0])")
    assert kinds == ["k-turn", "k-tool", "k-provider", "k-watchdog", "k-watchdog", "k-turn"] or kinds == [
        "k-turn", "k-tool", "k-provider", "k-watchdog", "k-turn"
    ]  # fmt: skip
    page.get_by_role("navigation", name="Parts of this job").get_by_role("link", name="Attempts").click()
    expect(page.locator("#attempt-1")).to_contain_text("house · plain-1")
    assert page.evaluate("violations") == []
    assert said == []


def test_what_is_read_later_is_what_was_read_live(page: Page, told: str) -> None:
    page.goto(f"/jobs/{told}?tab=transcript")

    call = page.locator("#story li.k-tool")
    call.locator("summary").click()

    expect(call.get_by_text("42 passed, none failed")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("Demo model")).to_be_visible()


def test_a_job_without_a_story_says_what_would_stand_there(page: Page, running: Stack) -> None:
    job_id = running.submit("test-noop")
    assert running.settled(job_id) == "completed"
    page.goto(f"/jobs/{job_id}?tab=transcript")
    expect(page.get_by_text("It told no story")).to_be_visible()
    expect(page.get_by_role("list", name="Transcript")).to_be_hidden()


def test_it_can_be_read_without_scripts(
    running: Stack, browser: Browser, signed_in: dict[str, Any], told: str
) -> None:
    with browser.new_context(
        base_url=running.url, storage_state=signed_in, java_script_enabled=False
    ) as window:  # type: ignore[arg-type]
        page = window.new_page()
        page.goto(f"/jobs/{told}?tab=transcript")
        call = page.locator("#story li.k-tool")
        call.locator("summary").click()
        expect(call.get_by_text("42 passed, none failed")).to_be_visible()
        expect(page.locator("#story")).to_contain_text("All is well.")


def test_a_spent_budget_is_raised_and_the_work_goes_on(page: Page, running: Stack, stopped: str) -> None:
    page.goto(f"/jobs/{stopped}")
    expect(page.locator("#overview")).to_contain_text("Stopped by its budget")
    expect(page.locator("#summary")).to_contain_text("The result as far as it got")
    expect(page.get_by_role("heading", name="Half of it")).to_be_visible()

    page.get_by_label("Tokens more").fill("9000")
    page.get_by_role("button", name="Raise and resume").click()

    page.wait_for_url(re.compile(rf"/jobs/(?!{stopped})"))
    expect(page.get_by_role("status").first).to_contain_text("It goes on as this new job.")
    new_id = page.url.rsplit("/", 1)[1]
    assert running.call("GET", f"/api/v1/jobs/{new_id}")["options"]["budget"] == {"tokens": 10_000}
    running.call("POST", f"/api/v1/jobs/{new_id}/cancel")


@pytest.mark.parametrize("which", ["told", "stopped", "agent"])
def test_its_pages_are_sound(page: Page, said: list[str], told: str, stopped: str, which: str) -> None:
    path = {"told": f"/jobs/{told}", "stopped": f"/jobs/{stopped}", "agent": "/agents/test-teller"}[which]
    demand_sound(page, said, path)
