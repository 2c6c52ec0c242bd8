"""The main job, as a person does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Browser, Page, expect

from app import clock
from tests.browser.conftest import SIZE, sign_in
from tests.browser.stack import Stack
from tests.waiting import until


def test_from_signing_in_to_a_failure_retried_and_completed(running: Stack, browser: Browser) -> None:
    with browser.new_context(base_url=running.url, viewport=SIZE) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto("/jobs")
        expect(page).to_have_url(re.compile("/sign-in"))
        sign_in(page, running)

        _submit_and_watch(page)
        _cancel_one(page)
        _fail_and_retry(page)


def _submit_and_watch(page: Page) -> None:
    page.get_by_role("link", name="New job").click()
    page.get_by_role("link", name="Test sleeper").click()
    page.get_by_label("Seconds").fill("3")
    page.get_by_label("Title").fill("A short nap")
    page.get_by_role("button", name="Send in").click()

    expect(page.get_by_role("heading", name="A short nap")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    state = page.locator("#status .badge.big")
    expect(state).to_have_text("Running", timeout=20_000)
    expect(page.get_by_text(re.compile(r"step \d+ of 60"))).to_be_visible(timeout=10_000)
    expect(state).to_have_text("Completed", timeout=20_000)
    expect(page.locator("#result")).to_contain_text('"slept": 3', timeout=10_000)
    assert page.evaluate("window.sameDocument") is True


def _cancel_one(page: Page) -> None:
    page.goto("/submit/test-sleeper")
    page.get_by_label("Seconds").fill("300")
    page.get_by_role("button", name="Send in").click()
    expect(page.locator("#status .badge.big")).to_have_text("Running", timeout=20_000)

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()

    expect(page.locator("#status .badge.big")).to_have_text("Cancelled", timeout=20_000)


def _fail_and_retry(page: Page) -> None:
    page.goto("/submit/test-flaky")
    page.get_by_label("Failures").fill("9")
    page.get_by_label("Kind").select_option("permanent")
    page.get_by_label("Message").fill("the journey's own failure")
    page.get_by_role("button", name="Send in").click()
    expect(page.locator("#status .badge.big")).to_have_text("Failed", timeout=20_000)
    expect(page.locator("#overview .notice.red")).to_contain_text("the journey's own failure")

    page.get_by_role("link", name="Dead letters").first.click()
    group = page.locator("#groups tr", has_text="the journey's own failure")
    group.get_by_role("link", name=re.compile("^Retry it")).click()
    parameters = page.get_by_label("The job's parameters, as JSON")
    parameters.fill(parameters.input_value().replace("9", "0"))
    page.get_by_label("Priority").select_option("high")
    page.get_by_role("button", name="Send in again").click()

    expect(page.get_by_text("Sent in again as this new job.")).to_be_visible()
    expect(page.locator("#status .badge.big")).to_have_text("Completed", timeout=20_000)
    expect(page.get_by_text("High").first).to_be_visible()


def test_wrong_input_is_said_beside_its_field_and_kept(page: Page) -> None:
    page.goto("/submit/test-sleeper")
    page.get_by_label("Seconds").evaluate("field => { field.removeAttribute('max'); }")
    page.get_by_label("Seconds").fill("9000")
    page.get_by_label("Title").fill("Too long a nap")

    page.get_by_role("button", name="Send in").click()

    expect(page.get_by_role("alert")).to_contain_text("Nothing was sent in")
    expect(page.get_by_label("Seconds")).to_have_value("9000")
    expect(page.get_by_label("Seconds")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-seconds-wrong")).to_contain_text("600")
    expect(page.get_by_label("Title")).to_have_value("Too long a nap")


def test_ticked_jobs_are_cancelled_together(page: Page, running: Stack) -> None:
    ids = [running.submit("test-sleeper", {"seconds": 300}, tags=["bulk"]) for _ in range(3)]
    page.goto("/jobs?tag=bulk")

    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the jobs").click()

    expect(page.get_by_text("3 jobs cancelled.")).to_be_visible()
    assert [running.settled(job_id) for job_id in ids] == ["cancelled"] * 3


def test_all_that_match_are_acted_on_after_a_review_that_names_their_number(
    page: Page, running: Stack
) -> None:
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    for _ in range(60):
        running.submit("test-noop", tags=["whole"], run_at=tomorrow)
    page.goto("/jobs?tag=whole")

    page.get_by_label("Select all on this page").check()
    page.get_by_label("all 60 matching").check()
    page.locator(".bulk").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancel 60 jobs?")).to_be_visible()
    page.get_by_role("button", name="Cancel 60 jobs").click()

    expect(page.locator("progress")).to_have_attribute("value", "100", timeout=20_000)
    expect(page.get_by_text("of 60")).to_be_visible()


def test_the_log_follows_until_somebody_scrolls_up_and_then_stays(page: Page, running: Stack) -> None:
    job_id = running.submit("test-chatty", {"lines": 400, "seconds": 8})
    page.goto(f"/jobs/{job_id}?tab=log")
    log = page.locator("#log")
    _patiently(page, lambda: log.evaluate("log => log.scrollTop > 50"))

    log.evaluate("log => { log.scrollTop = 0; }")
    count = log.locator("li:not([hidden])").count()
    _patiently(page, lambda: log.locator("li:not([hidden])").count() > count)

    assert log.evaluate("log => log.scrollTop") == 0
    page.get_by_role("button", name="Jump to latest").click()
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight < 30")
    expect(log.locator("li:not([hidden])").last).to_contain_text("line 400", timeout=20_000)
    numbers = log.locator("li:not([hidden])").evaluate_all(
        "lines => lines.map(line => Number(line.dataset.seq))"
    )
    assert numbers == sorted(set(numbers))


def _patiently(page: Page, condition: Callable[[], object], seconds: float = 20) -> None:
    """Like until, but the browser goes on meanwhile."""

    def met() -> object:
        page.wait_for_timeout(50)
        return condition()

    until(met, seconds, 0)
