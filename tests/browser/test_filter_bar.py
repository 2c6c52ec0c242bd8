"""The list of jobs with scripts: suggestions by keyboard, what polls leave alone, ranges, menus, columns."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import accessible, demand_sound
from tests.browser.stack import Stack


@pytest.fixture(scope="module", autouse=True)
def jobs(running: Stack) -> list[str]:
    """Six jobs that rest, of two tags."""
    ids = [
        running.submit("test-noop", task_name=f"Bar job {n}", tags=["bar", "two words"] if n % 2 else ["bar"])
        for n in range(6)
    ]
    for job_id in ids:
        running.settled(job_id)
    return ids


def test_a_filter_is_written_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/jobs")
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Filter jobs")
    expect(box).to_be_focused()

    page.keyboard.type("ag")
    options = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(options).to_have_count(1)
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    expect(box).to_have_value("agent:")
    page.keyboard.type("test-no")
    expect(options).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "q-option-0")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(box).to_have_value("agent:test-noop ")
    expect(box).to_have_attribute("aria-expanded", "false")

    page.keyboard.type("tag:two")
    expect(options.filter(has_text="two words")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()
    page.keyboard.type(" wo")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.press("ArrowDown")
    expect(options.filter(has_text="two words")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(box).to_have_value('agent:test-noop tag:"two words" ')

    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs\?q=agent"))
    expect(page.locator("[data-row]")).to_have_count(3)
    expect(page.locator(".chips .tag")).to_have_count(2)


def test_a_suggestion_is_taken_with_the_mouse_too(page: Page) -> None:
    page.goto("/jobs")
    box = page.get_by_role("combobox", name="Filter jobs")
    box.click()
    page.keyboard.type("status:fa")
    page.get_by_role("option", name="failed").click()

    expect(box).to_have_value("status:failed ")
    expect(box).to_be_focused()


def test_polls_leave_alone_what_somebody_types(page: Page, running: Stack) -> None:
    page.goto("/jobs?q=tag:typing")
    page.keyboard.press("/")
    page.keyboard.type("unfinished tho")
    job_id = running.submit("test-noop", tags=["typing"])

    expect(page.locator(f"#j-{job_id}")).to_be_visible(timeout=15_000)
    box = page.locator("#q")
    expect(box).to_be_focused()
    expect(box).to_have_value("tag:typing unfinished tho")


def test_rows_stay_where_they_are_while_some_are_ticked(page: Page, running: Stack) -> None:
    first = running.submit("test-noop", tags=["still"])
    running.settled(first)
    page.goto("/jobs?q=tag:still")
    page.locator("input[name=id]").first.check()
    second = running.submit("test-noop", tags=["still"])
    running.settled(second)
    page.wait_for_timeout(2500)

    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator("input[name=id]").first).to_be_checked()
    page.keyboard.press("Escape")
    expect(page.locator(f"#j-{second}")).to_be_visible(timeout=15_000)


def test_a_range_is_ticked_by_shift_click(page: Page) -> None:
    page.goto("/jobs?q=tag:bar")
    boxes = page.locator("input[name=id]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])

    expect(page.locator("[data-picked]")).to_have_text("4 selected")
    expect(boxes.nth(0)).not_to_be_checked()
    expect(boxes.nth(3)).to_be_checked()


def test_the_bar_of_the_selection_moves_nothing(page: Page) -> None:
    page.goto("/jobs?q=tag:bar")
    row = page.locator("[data-row]").nth(2)
    before = row.bounding_box()
    page.get_by_label("Select all on this page").check()

    expect(page.locator("[data-picked]")).to_have_text("6 selected")
    assert row.bounding_box() == before


def test_the_menu_of_a_row_opens_by_key_and_acts(page: Page, running: Stack) -> None:
    job_id = running.submit("test-sleeper", {"seconds": 300}, tags=["menu"])
    page.goto("/jobs?q=tag:menu")
    expect(page.locator(f"#j-{job_id} .c-state .badge")).to_have_text("Running", timeout=20_000)
    page.keyboard.press("j")
    page.keyboard.press(".")
    menu = page.get_by_role("group", name="Actions")
    expect(menu.get_by_role("link", name="Open")).to_be_focused()
    expect(menu.get_by_role("button", name="Retry")).not_to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)

    page.keyboard.press(".")
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()

    expect(page.get_by_text("Cancelling").or_(page.get_by_text("Cancelled.")).first).to_be_visible()
    assert page.url.endswith("/jobs?q=tag:menu")
    assert running.settled(job_id) == "cancelled"


def test_columns_are_chosen_and_stay_chosen(page: Page) -> None:
    page.goto("/jobs?q=tag:bar")
    page.get_by_text("Columns", exact=True).first.click()
    page.get_by_label("Tags").check()
    page.get_by_label("Cost").uncheck()
    page.get_by_role("button", name="Show these").click()

    expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Cost")).to_have_count(0)
    assert page.url.endswith("q=tag:bar")
    page.goto("/jobs")
    expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()


def test_a_view_is_saved_opened_and_deleted(page: Page) -> None:
    page.goto("/jobs?q=tag:bar")
    page.locator("#views > summary").click()
    page.get_by_label("Save this filter as").fill("Bars only")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Bars only”.")).to_be_visible()

    page.goto("/jobs")
    page.locator("#views > summary").click()
    page.get_by_role("link", name="Bars only").click()
    expect(page.locator("[data-row]")).to_have_count(6)
    page.locator("#views > summary").click()
    page.get_by_text("Rename or delete").click()
    page.get_by_role("button", name="Delete Bars only").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the view").click()
    expect(page.get_by_text("The view “Bars only” is deleted.")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    ["/jobs?q=tag:bar", "/jobs?q=agnt:x", "/jobs?q=tag:nowhere+since:1h"],
    ids=["rows", "mistake", "empty"],
)
def test_the_page_is_sound(page: Page, said: list[str], path: str) -> None:
    demand_sound(page, said, path)


def test_open_suggestions_and_menus_are_accessible(page: Page, said: list[str]) -> None:
    page.goto("/jobs?q=tag:bar")
    page.keyboard.press("/")
    page.keyboard.type("status:")
    expect(page.locator("#q-options li").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert accessible(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press(".")
    expect(page.get_by_role("group", name="Actions")).to_be_visible()
    assert accessible(page) == []
    page.locator("#views > summary").click()
    assert accessible(page) == []
    assert said == []


def test_on_a_phone_each_job_is_a_card_and_nothing_is_cut_off(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/jobs?q=tag:bar")
    row = page.locator("[data-row]").first

    state, title = row.locator(".c-state").bounding_box(), row.locator(".what").bounding_box()
    assert state
    assert title
    assert state["y"] < title["y"]
    assert title["width"] > 300
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
