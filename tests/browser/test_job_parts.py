"""The parts of a job's page in a browser: reached by keyboard, filtered, followed, and calm while they are polled."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.stack import Stack
from tests.waiting import until

PARTS = "Parts of this job"
# How far what one sees was moved by itself.
_SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


def test_parts_are_reached_by_keyboard_and_say_where_one_is(page: Page, running: Stack) -> None:
    job_id = running.submit("test-noop")
    assert running.settled(job_id) == "completed"
    page.goto(f"/jobs/{job_id}")
    parts = page.get_by_role("navigation", name=PARTS)
    for name in ("Log", "Events", "JSON", "Overview"):
        parts.get_by_role("link", name=name, exact=True).focus()
        page.keyboard.press("Enter")
        expect(parts.locator("[aria-current=page]")).to_have_text(name)
    assert page.url.endswith(f"/jobs/{job_id}")


def test_a_filter_sends_itself_and_holds_for_what_comes(page: Page, running: Stack) -> None:
    job_id = running.submit("test-chatty", {"lines": 300, "seconds": 8})
    page.goto(f"/jobs/{job_id}?tab=log")
    page.get_by_label("Level").select_option("warning")
    page.wait_for_url("**level=warning**")

    lines = page.locator("#log li.warning")
    expect(lines.last).to_contain_text("line 300", timeout=20_000)
    assert page.locator("#log li.info").count() == 0
    page.get_by_label("Raw entries").check()
    page.wait_for_url("**raw=1**")
    expect(page.locator("#log li.raw").last).to_contain_text('"level": "warning"')
    assert page.evaluate("violations") == []


def test_polls_move_nothing_and_keep_where_one_reads(page: Page, running: Stack) -> None:
    job_id = running.submit("test-chatty", {"lines": 400, "seconds": 8})
    page.goto(f"/jobs/{job_id}?tab=log")
    log = page.locator("#log")
    expect(log.locator("li:not([hidden])").nth(60)).to_be_attached(timeout=15_000)
    page.evaluate(_SHIFTS)
    log.evaluate("log => { log.scrollTop = 40; }")
    expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()
    count = log.locator("li").count()

    until(lambda: (page.wait_for_timeout(50), log.locator("li").count() > count)[1], 15, 0)

    assert log.evaluate("log => log.scrollTop") == 40
    assert page.evaluate("shifted") < 0.01
    page.get_by_role("button", name="Jump to latest").click()
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight < 30")


def test_events_go_on_while_one_looks(page: Page, running: Stack) -> None:
    job_id = running.submit("test-teller", {"tool_seconds": 3})
    page.goto(f"/jobs/{job_id}?tab=events")
    events = page.locator("#events > li:not([hidden])")

    expect(events.last).to_contain_text("Running → Completed", timeout=20_000)

    cursors = events.evaluate_all("all => all.map(li => Number(li.dataset.seq))")
    assert cursors == sorted(set(cursors))
    expect(page.locator("#events")).to_contain_text("42 passed, none failed")
