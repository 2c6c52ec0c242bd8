"""Workflows in a browser: written, checked, run, followed live, answered."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack

SOUND = """\
name: Said twice
inputs:
  type: object
  required: [word]
  properties:
    word: {type: string, title: The word}
steps:
  - id: say
    agent_id: test-echo
    parameters: {text: "{{inputs.word}}"}
  - id: release
    type: approval
    question: "Is it well said?"
  - id: end
    agent_id: test-noop
"""


def _submitted(running: Stack, *steps: dict[str, Any]) -> str:
    order = {"name": "Trial", "steps": list(steps)}
    return str(running.call("POST", "/api/v1/workflows", order)["workflow_id"])


def test_a_workflow_is_written_checked_run_and_answered(page: Page, said: list[str]) -> None:
    page.goto("/workflows/new")
    page.get_by_label("Definition").fill(SOUND.replace("test-echo", "test-ecko"))
    page.get_by_role("button", name="Check", exact=True).click()

    page.get_by_role("link", name="Line 9").click()
    assert (
        page.evaluate("text.value.slice(text.selectionStart, text.selectionEnd)") == "    agent_id: test-ecko"
    )

    page.get_by_label("Definition").fill(SOUND)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("Nothing is wrong with it.")).to_be_visible()
    page.get_by_label("The word").fill("bees")
    page.get_by_role("button", name="Run", exact=True).click()

    # The graph follows without a reload.
    expect(page.locator("#n-say")).to_contain_text("Completed", timeout=20_000)
    expect(page.locator("#n-release")).to_contain_text("Asks a person", timeout=20_000)
    page.locator("#n-release a").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#run .badge.big")).to_have_text("Completed", timeout=20_000)

    assert page.evaluate("violations") == []
    assert [line for line in said if "422" not in line] == []


def test_the_editor_indents_and_lets_go_of_the_keyboard(page: Page) -> None:
    page.goto("/workflows/new")
    text = page.get_by_label("Definition")
    text.fill("")
    text.press_sequentially("steps:\n- id: a\n")
    page.keyboard.press("Tab")
    page.keyboard.type("x")

    assert text.input_value() == "steps:\n  - id: a\n    x"
    assert page.locator("#gutter li").count() == 18
    text.fill("\n" * 40)
    assert page.locator("#gutter li").count() == 42
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "text"


@pytest.mark.parametrize("width", [360, 1280])
def test_a_wide_graph_scrolls_in_its_own_box_and_is_reached_by_keyboard(
    page: Page, running: Stack, width: int
) -> None:
    run_id = _submitted(running, *({"step_id": f"s{n}", "agent_id": "test-noop"} for n in range(12)))
    page.set_viewport_size({"width": width, "height": 740})

    page.goto(f"/workflows/{run_id}")

    box = page.locator(".graphbox")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#n-s11 a").focus()
    assert box.evaluate("e => e.scrollLeft") > 0
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/workflows/{run_id}/steps/s11")
