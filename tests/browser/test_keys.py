"""Working without a mouse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack


@pytest.fixture(scope="module", autouse=True)
def jobs(running: Stack) -> list[str]:
    """Three jobs with a tag of their own."""
    ids = [running.submit("test-noop", task_name=f"Key job {n}", tags=["keys"]) for n in range(3)]
    for job_id in ids:
        running.settled(job_id)
    return ids


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("gn", "/"),
        ("gj", "/jobs"),
        ("gw", "/workflows"),
        ("gc", "/schedules"),
        ("gi", "/notifications"),
        ("gd", "/dead-letters"),
        ("ga", "/agents"),
        ("gq", "/quality"),
        ("gs", "/submit"),
    ],
)
def test_two_keys_lead_to_each_place(page: Page, keys: str, path: str) -> None:
    page.goto("/agents" if path != "/agents" else "/")

    for key in keys:
        page.keyboard.press(key)

    page.wait_for_url(re.compile(re.escape(path) + "$"))


def test_rows_are_walked_ticked_and_opened(page: Page, jobs: list[str]) -> None:
    page.goto("/jobs?tag=keys")

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")

    expect(page.locator("tr.at input[name=id]")).to_be_checked()
    expect(page.locator("[data-picked]")).to_have_text("1 selected")
    page.keyboard.press("J")
    expect(page.locator("[data-picked]")).to_have_text("2 selected")
    page.keyboard.press("Escape")
    expect(page.locator("input[name=id]:checked")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))


def test_keys_do_nothing_while_somebody_types(page: Page) -> None:
    page.goto("/jobs?tag=keys")
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()

    page.keyboard.type("gj x ? t")

    expect(search).to_have_value("gj x ? t")
    expect(page.locator("#keys")).not_to_be_visible()
    assert page.url.endswith("/jobs?tag=keys")
    page.keyboard.press("Escape")
    expect(search).not_to_be_focused()


def test_the_sheet_of_keys_opens_and_closes(page: Page) -> None:
    page.goto("/")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()

    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).not_to_be_visible()


def test_the_theme_changes_by_key_and_is_remembered(page: Page) -> None:
    page.goto("/")

    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_whole_page_can_be_reached_by_tabbing(page: Page) -> None:
    page.goto("/jobs?tag=keys")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("path", ["/", "/approvals", "/budgets"])
def test_a_narrow_menu_shows_where_one_is_and_can_be_tabbed_through(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path)

    expect(page.locator(".side [aria-current]")).to_be_in_viewport(ratio=0.99)
    last = page.locator(".side > nav a").last
    last.focus()
    expect(last).to_be_in_viewport(ratio=0.99)
