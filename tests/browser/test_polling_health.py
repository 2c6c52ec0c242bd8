"""What an open page tells of its own polls arrives, also of those that the server never answered."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.stack import Stack
from tests.waiting import until

LOOK = re.compile(r"/ui/look\?")


def seen_by_pages(running: Stack) -> dict[str, Any]:
    """What the health says of pages."""
    return dict(running.call("GET", "/api/health/polling")["pages"])


def _down(route: Route) -> None:
    route.fulfill(status=502, body="the proxy says: nobody is there")


def test_failures_that_never_reached_the_server_are_counted_when_the_page_is_left(
    running: Stack, context: BrowserContext, page: Page, said: list[str]
) -> None:
    before = seen_by_pages(running)
    server_before = running.call("GET", "/api/health/polling")["server"]["failures"]
    failed: list[int] = []
    page.on("response", lambda answer: failed.append(answer.status) if answer.status == 502 else None)
    page.goto("/jobs")
    page.route(LOOK, _down)
    until(lambda: page.wait_for_timeout(50) or len(failed) >= 2, 30, 0)
    page.goto("/agents")

    until(lambda: seen_by_pages(running)["failures"] >= before["failures"] + 2, 10, 0.1)
    after = seen_by_pages(running)
    # Of the last five minutes both: what was before may be over by now.
    assert after["polls"] >= after["failures"]
    assert running.call("GET", "/api/health/polling")["server"]["failures"] <= server_before


def test_the_page_of_it_shows_both_sides_and_stays_fresh(running: Stack, page: Page, said: list[str]) -> None:
    with page.expect_response(LOOK):
        page.goto("/jobs")
    page.goto("/help")
    until(lambda: seen_by_pages(running)["polls"] > 0, 10, 0.1)
    page.goto("/polling")
    expect(page.get_by_role("heading", name="Polling health")).to_be_visible()
    expect(page.locator("#s-chart-pages .chart").first).to_be_visible()
    expect(page.locator("#s-views")).to_contain_text("Response, on average")
    assert page.evaluate("violations") == []
    assert said == []
