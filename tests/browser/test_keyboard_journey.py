"""A whole working day without a mouse: nothing is clicked, and where one is can always be seen."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import SIZE
from tests.browser.stack import EMAIL, PASSWORD, Stack
from tests.waiting import until

# The focused element, unless it is the page itself: whether it is on the screen and is marked as the one with the focus.
SEEN = """() => {
    const at = document.activeElement;
    if (!at || at === document.body || at === document.documentElement) return "";
    const style = getComputedStyle(at), box = at.getBoundingClientRect();
    const marked = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
    const onScreen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    return marked && onScreen ? "" : `${at.outerHTML.slice(0, 160)}: marked ${marked}, on the screen ${onScreen}`;
}"""
STATE = "#status .badge.big"


class Hands:
    """Two hands on a keyboard."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def reach(self, wanted: Locator, most: int = 120) -> None:
        """Tab to it; on each stop of the way one must see where one is."""
        expect(wanted).to_be_visible(timeout=15_000)
        for _ in range(most):
            if wanted.evaluate("each => each === document.activeElement"):
                return
            self.press("Tab")
            assert self.page.evaluate(SEEN) == ""
        raise AssertionError(f"{wanted} cannot be reached by tabbing")

    def button(self, name: str | re.Pattern[str], *, exact: bool = True) -> None:
        """Tab to a button and press it."""
        self.reach(
            self.page.locator("button:visible")
            .and_(self.page.get_by_role("button", name=name, exact=exact))
            .first
        )
        self.press("Enter")

    def fill(self, label: str, text: str) -> None:
        """Tab to a field and type over what is in it."""
        self.reach(self.page.get_by_label(label, exact=True))
        self.press("Control+a")
        self.type(text)


def test_a_working_day_by_the_keyboard_alone(running: Stack, browser: Browser) -> None:
    asked = running.submit(
        "test-asker", {"topic": "keys", "approvers": ["admin"]}, task_name="Asks the keyboard"
    )
    until(lambda: running.status(asked) == "awaiting_input", 30, 0.1)
    with browser.new_context(base_url=running.url, viewport=SIZE) as context:  # type: ignore[arg-type]
        page = context.new_page()
        hands = Hands(page)
        _sign_in(hands)
        _submit_watch_cancel_and_retry(hands)
        _approve(hands, running, asked)
        _filter_select_and_cancel(hands, running)
        _save_a_view(hands)
        _pause_and_resume_a_queue(hands)
        _sign_out(hands)


def _sign_in(hands: Hands) -> None:
    hands.page.goto("/")
    hands.fill("E-mail", EMAIL)
    hands.fill("Password", PASSWORD)
    hands.press("Enter")
    hands.page.wait_for_url(lambda url: urlsplit(url).path == "/")


def _submit_watch_cancel_and_retry(hands: Hands) -> None:
    page = hands.page
    hands.press("Control+k")
    expect(page.get_by_role("combobox", name="Go to or find")).to_be_focused()
    hands.type("new job")
    expect(page.locator("#palette [aria-selected=true]")).to_have_text("New job")
    hands.press("Enter")
    page.wait_for_url("**/submit")
    hands.reach(page.get_by_role("link", name="Test sleeper"))
    hands.press("Enter")
    page.wait_for_url("**/submit/test-sleeper")
    hands.fill("Seconds", "300")
    hands.fill("Title", "By hand")
    hands.button("Send in")
    state = page.locator(STATE)
    expect(state).to_have_text("Running", timeout=20_000)
    cancel = page.locator("#status").get_by_role("button", name="Cancel", exact=True)
    hands.reach(cancel)
    for step in (1, 2):  # the head is drawn anew by each look, and the focus stays
        before = page.locator("#status").inner_text()
        page.wait_for_function("before => document.querySelector('#status').innerText !== before", arg=before)
        expect(cancel, f"after {step} looks").to_be_focused()
    hands.press("Enter")
    hands.button("Cancel the job")
    expect(state).to_have_text("Cancelled", timeout=20_000)
    cancelled = page.url
    hands.press("r")
    page.wait_for_function("before => location.href.split('?')[0] !== before.split('?')[0]", arg=cancelled)
    expect(state).to_have_text("Running", timeout=20_000)
    hands.press("c")
    hands.button("Cancel the job")
    expect(state).to_have_text("Cancelled", timeout=20_000)


def _approve(hands: Hands, running: Stack, asked: str) -> None:
    page = hands.page
    hands.press("g", "i")
    page.wait_for_url("**/approvals")
    hands.reach(page.get_by_role("link", name=re.compile("May the draft about keys")).first)
    hands.press("Enter")
    page.wait_for_url(re.compile("/approvals/.+"))
    hands.press("a")
    expect(page.locator("#do-approve")).to_be_focused()
    assert page.evaluate(SEEN) == ""
    hands.press("Enter")
    # Keys pressed on the way there would be lost.
    expect(page.get_by_text("Approved.", exact=True)).to_be_visible()
    assert running.settled(asked) == "completed"


def _filter_select_and_cancel(hands: Hands, running: Stack) -> None:
    page = hands.page
    ids = [running.submit("test-sleeper", {"seconds": 300}, tags=["by-hand"]) for _ in range(3)]
    hands.press("g", "j")
    page.wait_for_url("**/jobs")
    hands.press("/")
    hands.type("tag:by-hand ")
    hands.press("Enter")
    expect(page.locator("[data-row]")).to_have_count(3)
    hands.press("Escape")
    hands.press("j", "x", "j", "x")
    expect(page.locator("[data-picked]")).to_have_text("2 selected")
    assert page.evaluate(SEEN) == ""
    hands.press("c")
    hands.button("Cancel the jobs")
    expect(page.get_by_text("2 jobs cancelled.")).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(3)  # the filter is still there
    ended = [
        running.settled(job_id) for job_id in ids if running.status(job_id) != "running" or job_id in ids[1:]
    ]
    assert ended.count("cancelled") == 2
    running.call("POST", f"/api/v1/jobs/{ids[0]}/cancel")


def _save_a_view(hands: Hands) -> None:
    page = hands.page
    hands.reach(page.locator("#views > summary"))
    hands.press("Enter")
    hands.fill("Save this filter as", "My keys")
    hands.press("Enter")
    expect(page.get_by_text("Saved as “My keys”.")).to_be_visible()


def _pause_and_resume_a_queue(hands: Hands) -> None:
    page = hands.page
    hands.press("g", "q")
    page.wait_for_url("**/queues")
    hands.reach(page.locator("#pause-engineering > summary"))
    hands.press("Enter")
    hands.reach(page.locator("#why-engineering"))
    hands.type("By the keyboard")
    hands.press("Enter")
    expect(page.locator("#paused-engineering")).to_contain_text("By the keyboard")
    hands.button("Resume Engineering")
    expect(page.locator("#pause-engineering")).to_be_visible()


def _sign_out(hands: Hands) -> None:
    page = hands.page
    hands.reach(page.locator("summary", has_text="Account"))
    hands.press("Enter")
    hands.button("Sign out")
    page.wait_for_url("**/sign-in")
    page.goto("/jobs")
    expect(page).to_have_url(re.compile("/sign-in"))
