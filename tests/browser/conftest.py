"""One Callboard and one Chromium for all browser tests; a fresh, signed-in page for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.chromium import CHROMIUM
from tests.browser.stack import EMAIL, PASSWORD, Stack, stack

SIZE = {"width": 1280, "height": 900}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# Said by the page itself, because Chromium tells of a violation only where it happens.
WATCH_POLICY = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective + " " + e.blockedURI));
"""


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    """Callboard, whole."""
    with stack() as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def signed_in(running: Stack, browser: Browser) -> dict[str, Any]:
    """The cookies of somebody who signed in."""
    with browser.new_context() as context:
        page = context.new_page()
        sign_in(page, running)
        return context.storage_state()  # type: ignore[return-value]


def sign_in(page: Page, running: Stack) -> None:
    """Sign in by the form."""
    page.goto(running.url + "/sign-in")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(running.url + "/")


@pytest.fixture
def context(running: Stack, browser: Browser, signed_in: dict[str, Any]) -> Iterator[BrowserContext]:
    """A window of somebody who is signed in; `page.goto("/jobs")` is enough."""
    with browser.new_context(base_url=running.url, storage_state=signed_in, viewport=SIZE) as opened:  # type: ignore[arg-type]
        opened.add_init_script(WATCH_POLICY)
        yield opened


@pytest.fixture
def said(context: BrowserContext) -> list[str]:
    """What the page complained about on the console, and errors of its scripts.

    Not that Chromium, on a busy machine, left out the fading from one page to the next.
    """
    complaints: list[str] = []
    context.on("console", lambda line: line.type == "error" and complaints.append(line.text))
    context.on(
        "weberror",
        lambda each: str(each.error).startswith("Transition was") or complaints.append(str(each.error)),
    )
    return complaints


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page in that window."""
    return context.new_page()
