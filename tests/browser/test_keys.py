"""Working without a mouse."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from app import clock
from tests.browser.stack import Stack


@pytest.fixture(scope="module", autouse=True)
def jobs(running: Stack) -> list[str]:
    """Three jobs with a tag of their own."""
    ids = [running.submit("test-noop", task_name=f"Key job {n}", tags=["keys"]) for n in range(3)]
    for job_id in ids:
        running.settled(job_id)
    return ids


def test_two_keys_lead_to_each_place_of_the_menu(page: Page) -> None:
    page.goto("/agents")
    places = page.locator("[data-go]").evaluate_all(
        "all => all.map(a => [a.dataset.go, a.getAttribute('href')])"
    )
    assert {key for key, _ in places} >= set("njidwsapc")

    for key, path in places:
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(re.compile(re.escape(path) + "$"), wait_until="domcontentloaded")


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


def test_a_key_explains_why_a_job_waits(page: Page, running: Stack) -> None:
    in_a_day = (clock.now() + timedelta(days=1)).isoformat()
    job_id = running.submit("test-noop", tags=["planned"], run_at=in_a_day)
    page.goto("/jobs?tag=planned")

    page.keyboard.press("j")
    page.keyboard.press("e")

    page.wait_for_url(re.compile(f"/jobs/{job_id}#why$"))
    page.goto(f"/jobs/{job_id}")
    page.keyboard.press("e")
    expect(page.locator("#why")).to_be_focused()


def test_enter_sends_a_form_from_its_tick_box_too(page: Page) -> None:
    page.goto("/jobs?tag=keys")
    page.locator("summary", has_text="Columns").click()
    box = page.get_by_role("checkbox", name="Cost")
    box.focus()

    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_keys_do_nothing_while_somebody_types(page: Page) -> None:
    page.goto("/jobs?tag=keys")
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Filter jobs")
    expect(search).to_be_focused()

    page.keyboard.type("gj x ? t")

    expect(search).to_have_value("tag:keys gj x ? t")
    expect(page.get_by_role("dialog", name="Keys")).not_to_be_visible()
    assert page.url.endswith("/jobs?tag=keys")
    page.keyboard.press("Escape")
    expect(search).not_to_be_focused()


def test_the_sheet_of_keys_opens_closes_and_switches_single_keys_off(page: Page) -> None:
    page.goto("/agents")
    sheet = page.get_by_role("dialog", name="Keys")

    page.keyboard.press("?")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("Dead letters")
    sheet.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()

    for key in ("?", "g", "j", "t"):
        page.keyboard.press(key)
    page.reload()
    page.keyboard.press("?")
    expect(sheet).not_to_be_visible()
    assert page.url.endswith("/agents")
    assert page.locator("html").get_attribute("data-theme") is None
    page.get_by_role("button", name="Keys").click()
    sheet.get_by_label("Single keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(sheet).to_be_visible()


def test_updates_pause_their_menu_opens_and_the_palette_comes_by_key(page: Page) -> None:
    page.goto("/agents")

    page.keyboard.press("R")
    expect(page.locator("#link .word")).to_have_text("Paused")
    page.keyboard.press("R")
    expect(page.locator("#link .word")).not_to_have_text("Paused")
    page.keyboard.press(".")
    expect(page.get_by_role("button", name="Refresh now")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Refresh now")).to_be_hidden()
    page.keyboard.press("Control+k")

    expect(page.locator("#palette")).to_be_visible()
    first = page.locator("#palette [role=option]").first
    expect(first).to_have_attribute("aria-selected", "true")
    expect(first).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    page.keyboard.type("work")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()


def test_what_is_copied_is_copied_without_a_clipboard_too(page: Page, jobs: list[str]) -> None:
    page.add_init_script("""
        Object.defineProperty(navigator, "clipboard", {value: undefined});
        document.addEventListener("copy", () => { window.copied = String(document.activeElement.value); });
    """)
    page.goto(f"/jobs/{jobs[0]}")
    button = page.locator("main [data-copy]:not([data-copy=''])").first

    button.click()

    expect(page.locator("#spoken")).to_have_text("Copied")
    assert page.evaluate("window.copied") == button.get_attribute("data-copy")
    expect(button).to_be_focused()


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
