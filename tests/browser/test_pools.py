"""Pausing a pool from the front page: with the keys alone, while the page goes on polling, in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SIZE
from tests.browser.stack import Stack

POOL = "/api/v1/queues/testing"


@pytest.fixture(autouse=True)
def resumed(running: Stack) -> Iterator[None]:
    """Leave the pool as it was."""
    yield
    running.call("POST", f"{POOL}/resume")


def test_the_keys_pause_and_resume_and_a_poll_takes_nothing_away(page: Page, running: Stack) -> None:
    page.goto("/")
    page.locator("#pause-testing > summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("a flaky network")
    with page.expect_response(
        lambda answer: "/ui/look" in answer.url and answer.status == 200 and "pause-testing" in answer.text()
    ):
        running.call("POST", "/api/v1/queues/general/pause", {"reason": "to change the panel"})
    running.call("POST", "/api/v1/queues/general/resume")

    expect(page.get_by_label("Why").and_(page.locator("#why-testing"))).to_have_value("a flaky network")
    page.keyboard.press("Enter")

    expect(page.locator("#paused-testing")).to_contain_text("a flaky network")
    expect(page.locator("#notices")).to_contain_text("Testing is paused")
    page.get_by_role("button", name="Resume Testing").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("Testing goes on")
    expect(page.locator("#paused-testing")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_sheet_and_the_paused_line(
    running: Stack, browser: Browser, signed_in: dict[str, Any], theme: str
) -> None:
    running.call("POST", f"{POOL}/pause", {"reason": "a flaky network", "for_seconds": 3600})
    with browser.new_context(
        base_url=running.url,
        storage_state=signed_in,
        viewport=SIZE,
        color_scheme=theme,
        bypass_csp=True,  # type: ignore[arg-type]
    ) as context:
        page = context.new_page()
        page.goto("/")
        page.locator("#pause-general > summary").click()
        expect(page.locator("#why-general")).to_be_visible()
        found = Axe().run(page).response["violations"]

    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_sheet_lies_inside_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.goto("/")
    page.locator("#pause-engineering > summary").click()
    box = page.locator("#pause-engineering .sheet").bounding_box()

    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
