"""Quality in a browser: followed live, read, compared, and a gate written and tried."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looking import demand_sound
from tests.browser.stack import Stack

PAGES = (
    "/jobs/{passed}?tab=quality",
    "/jobs/{rejected}?tab=quality",
    "/jobs/{rejected}",
    "/jobs/{passed}/drafts/1",
    "/jobs/{passed}/drafts?a=1&b=3",
    "/jobs?verdict=rejected",
    "/",
    "/quality",
    "/quality?days=1&agent=test-noop",
    "/gates",
    "/gates/blog-post",
    "/gates/blog-post/versions/1",
    "/gate-editor",
    "/gate-editor?gate=blog-post",
)
TRIED = "title: Words\nthreshold: 8\nchecks:\n  - check: regex\n    must: [honey, wax]\n"


@pytest.fixture(scope="module")
def judged(running: Stack) -> dict[str, str]:
    """Jobs whose drafts went through a gate: one passed at last, one never."""
    wanted = {
        "passed": running.submit("test-writer", {"steps": [2, 3, 4]}, task_name="Bees <b>at last</b>"),
        "rejected": running.submit("test-writer", {"steps": [1]}, task_name="Bees never"),
    }
    for job_id in wanted.values():
        assert running.settled(job_id) == "completed"
    return wanted


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_within_the_policy_and_never_too_wide(
    page: Page, said: list[str], judged: dict[str, str], path: str
) -> None:
    demand_sound(page, said, path.format(**judged))


def test_scores_appear_while_the_job_runs_and_what_one_does_survives(page: Page, running: Stack) -> None:
    job_id = running.submit("test-writer", {"steps": [2, 3, 4], "seconds": 3}, task_name="Live bees")
    page.goto(f"/jobs/{job_id}?tab=quality")
    panel = page.locator("#quality")
    expect(panel).to_contain_text("There is none yet")

    expect(panel.locator("#draft-1")).to_be_visible(timeout=15_000)
    panel.locator("#quality-checks > summary").click()  # folds it
    page.evaluate("document.querySelector('#quality-drafts > summary').focus()")

    expect(panel.locator("#draft-2")).to_be_visible(timeout=15_000)
    expect(panel.locator("#quality-checks")).not_to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.closest('#quality-drafts') !== null"), "the focus stayed"
    expect(panel.locator("#draft-3")).to_be_visible(timeout=15_000)
    expect(page.locator("#status .head")).to_contain_text("Passed", timeout=15_000)
    expect(page.locator("#status .headline a")).to_have_attribute("href", "https://example.org/bees")
    expect(panel.locator("svg.scores .v")).to_have_count(3)
    assert page.evaluate("violations") == []


def test_drafts_are_opened_and_compared_by_keyboard(page: Page, judged: dict[str, str]) -> None:
    page.goto(f"/jobs/{judged['passed']}?tab=quality")
    page.get_by_role("link", name="Changes from draft 1 to draft 2").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/drafts?a=1&b=2")
    expect(page.locator("ins")).to_have_text([", wax"])

    page.get_by_label("To draft").focus()
    page.keyboard.type("3")
    page.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")

    page.wait_for_url("**/drafts?a=1&b=3")
    expect(page.get_by_role("heading", level=1)).to_have_text("From draft 1 to draft 3")
    expect(page.locator("ins")).to_have_text([", wax, hive"])


def test_rejected_is_found_by_filter_and_is_not_failed(page: Page, judged: dict[str, str]) -> None:
    page.goto("/jobs")
    page.locator("#q").fill("quality:rejected")
    page.get_by_role("button", name="Filter").click()

    row = page.locator(f"#j-{judged['rejected']}")
    expect(row).to_contain_text("Completed")
    expect(row).to_contain_text("Rejected")
    expect(page.locator(f"#j-{judged['passed']}")).to_have_count(0)
    assert "Rejected" in page.locator(".badge.amber").first.inner_text()


def test_a_gate_is_written_tried_and_kept(page: Page, said: list[str]) -> None:
    page.goto("/gates")
    page.get_by_role("link", name="New gate").click()
    page.get_by_label("Gate", exact=True).fill(TRIED.replace("must:", "mast:"))
    page.get_by_role("button", name="Check", exact=True).last.click()
    page.get_by_role("link", name="Line 5").click()
    assert (
        page.evaluate("text.value.slice(text.selectionStart, text.selectionEnd)") == "    mast: [honey, wax]"
    )

    page.get_by_label("Gate", exact=True).fill(TRIED)
    page.get_by_label("Text", exact=True).fill("Only honey.")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("#said")).to_contain_text("To improve")
    expect(page.locator("#said .checks")).to_contain_text("must match wax")
    page.get_by_label("Text", exact=True).fill("Honey, honey and wax.")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("#said header")).to_contain_text("Passed")

    page.get_by_label("Name").fill("two-words")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.wait_for_url("**/gates/two-words")
    expect(page.get_by_role("heading", level=1)).to_have_text("Words")
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive it").click()
    expect(page.locator(".head")).to_contain_text("Archived")
    assert [line for line in said if "422" not in line] == []


def test_rows_of_gates_are_walked_by_keys(page: Page) -> None:
    page.goto("/gates")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/gates/blog-post")


def test_all_of_it_works_without_javascript(
    running: Stack, browser: Browser, signed_in: dict[str, Any], judged: dict[str, str]
) -> None:
    with browser.new_context(
        base_url=running.url,
        storage_state=signed_in,
        java_script_enabled=False,  # type: ignore[arg-type]
    ) as context:
        page = context.new_page()
        page.goto(f"/jobs/{judged['passed']}?tab=quality")
        page.get_by_label("From draft").select_option("1")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("From draft 1 to draft 3")

        page.goto("/quality")
        page.get_by_role("link", name="30 days").click()
        expect(page.locator("#success")).to_contain_text("%")

        page.goto("/gate-editor?gate=blog-post")
        page.get_by_label("Text", exact=True).fill("Short.")
        page.get_by_role("button", name="Try", exact=True).click()
        expect(page.locator("#said")).to_contain_text("Far too short")
