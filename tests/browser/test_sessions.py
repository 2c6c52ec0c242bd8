"""A session by keyboard alone, and read while others talk in it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.stack import Stack
from tests.browser.test_keyboard_journey import Hands


def test_a_meeting_is_held_by_keyboard_alone(page: Page, said: list[str]) -> None:
    hands = Hands(page)
    page.goto("/sessions")
    hands.reach(page.locator("#main").get_by_role("link", name="New session").first)
    hands.press("Enter")
    page.wait_for_url("**/new-session")
    hands.fill("Title", "Held by keyboard")
    hands.reach(page.locator("#session_id"))
    hands.press("Control+a")
    hands.type("keyboard_meeting")
    hands.button("Open it")

    expect(page.get_by_role("heading", name="Held by keyboard", level=1)).to_be_visible()
    hands.reach(page.locator("#text"))
    hands.type("We decided to ship on Thursday.")
    hands.button("Add")
    expect(page.locator("#talk")).to_contain_text("We decided to ship on Thursday.")
    hands.button("Make a summary")
    expect(page.locator("#summary")).to_contain_text("Decided")

    hands.reach(page.locator(".tabs").get_by_role("link", name="Memories"))
    hands.press("Enter")
    page.wait_for_url("**tab=memories")
    hands.reach(page.locator("#key"))
    hands.type("release day")
    hands.reach(page.locator("#content"))
    hands.type("Thursday")
    hands.button("Remember it")
    expect(page.locator("#memories")).to_contain_text("Thursday")
    hands.button("Forget release day")
    dialog = page.get_by_role("dialog", name="Are you sure?")
    expect(dialog).to_be_visible()
    hands.button("Forget it")
    expect(page.locator("#memories")).to_contain_text("Nothing is remembered yet")
    assert said == []


def test_who_reads_and_types_keeps_both_while_others_talk(page: Page, running: Stack) -> None:
    running.call("POST", "/api/v1/sessions", {"id": "busy_meeting", "title": "Busy"})
    messages = "/api/v1/sessions/busy_meeting/messages"
    chunks = [{"speaker": "Ada", "text": f"Sentence {n}."} for n in range(40)]
    running.call("POST", messages, {"chunks": chunks})
    page.goto("/sessions/busy_meeting")
    talk, draft = page.locator("#talk"), page.locator("#text")
    draft.fill("I am about to say")
    talk.evaluate("list => { list.scrollTop = 40; }")
    expect(page.locator(".jump")).to_be_visible()

    running.call("POST", messages, {"chunks": [{"speaker": "Grace", "text": "Something new."}]})

    expect(talk.locator("li").last).to_contain_text("Something new.")
    expect(page.locator("#session .tabs [aria-current]")).to_contain_text("41")
    assert talk.evaluate("list => list.scrollTop") == 40
    assert draft.input_value() == "I am about to say"
    page.get_by_role("button", name="Jump to latest").click()
    expect(talk.locator("li").last).to_be_in_viewport()
