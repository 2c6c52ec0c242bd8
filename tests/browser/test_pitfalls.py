"""What other dashboards got wrong, where only a browser shows it: words of others that would run, and plain networks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Browser, Dialog, Error, Page, expect
from sqlalchemy import Engine
from werkzeug.serving import make_server

from app.accounts import users
from app.db import db
from tests.app.api import world
from tests.app.dashboard import everything
from tests.app.dashboard.everything import HOSTILE, Places, everywhere
from tests.browser.chromium import CHROMIUM
from tests.browser.conftest import ARGUMENTS, SIZE, WATCH_POLICY
from tests.waiting import until

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
HARM = "document.querySelectorAll('.xss, img[onerror], [onload], script:not([src])').length + (window.__xss ? 1 : 0)"
# Every look asks as if the page had nothing yet, so that each region comes whole, as after a change.
ANEW = "const real = fetch; window.fetch = (address, how) => real(address, {...how, headers: {}})"
SLOW = {"offline": False, "latency": 300, "downloadThroughput": 40_000, "uploadThroughput": 20_000}


@pytest.fixture
def admin(quick: Engine) -> str:
    """The id of somebody who may do everything."""
    with db.transaction():
        return str(users.create(EMAIL, PASSWORD, role="admin")["user_id"])


@pytest.fixture
def address(app: Flask, admin: str) -> Iterator[str]:
    """Where this process serves the dashboard; no worker runs, so what a test has made stays as it is."""
    app.config["CALLBOARD_LOGIN_LIMIT"] = "1000 per second"
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def places(app: Flask, admin: str) -> Places:
    """One of everything, with hostile words in it."""
    return everything.made(app, admin)


@contextmanager
def window(browser: Browser, address: str, said: list[str]) -> Iterator[Page]:
    """A page of somebody who has just signed in; `said` gets what it complains about."""
    with browser.new_context(base_url=address, viewport=SIZE) as context:  # type: ignore[arg-type]
        context.add_init_script(WATCH_POLICY)
        page = context.new_page()
        page.on("console", lambda line: line.type == "error" and said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: _refuse(dialog, said))
        page.goto("/sign-in")
        _sign_in(page)
        page.wait_for_url(address + "/")
        yield page


def _refuse(dialog: Dialog, said: list[str]) -> None:
    said.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def _sign_in(page: Page) -> None:
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def _harmed(page: Page) -> Any:
    return page.evaluate(f"[{HARM}, window.violations]")


def test_nothing_that_anybody_wrote_runs_on_any_page(browser: Browser, address: str, places: Places) -> None:
    said: list[str] = []
    pages = [each for each in dict.fromkeys(everywhere(places)) if not each.startswith(("/ui/", "/sign-in"))]
    with window(browser, address, said) as page:
        for path in pages:
            if path.endswith((".txt", ".json")):
                continue
            try:
                page.goto(path, wait_until="domcontentloaded")
            except Error as error:
                if "Download is starting" in error.message:
                    continue
                raise
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            assert _harmed(page) in ([0, []], [0, None]), path
    assert [line for line in said if "the server responded with a status of 4" not in line] == []


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs/{running}", "/jobs/{job_id}?tab=result", "/jobs/{running}?tab=transcript",
             "/approvals", "/dead-letters", "/workers", "/alerts", "/schedules", "/workflows/{workflow_id}"]
)  # fmt: skip
def test_nothing_runs_that_comes_by_a_later_look(
    browser: Browser, address: str, places: Places, path: str
) -> None:
    said: list[str] = []
    with window(browser, address, said) as page:
        page.add_init_script(ANEW)
        page.goto(path.format(**places))
        with page.expect_response(lambda answer: "/ui/look" in answer.url and answer.status == 200):
            page.evaluate("poller.refresh()")
        page.wait_for_function("() => poller.diary.length > 0")

        assert _harmed(page) == [0, []]
        assert said == []


def test_nothing_runs_in_what_scripts_draw(browser: Browser, address: str, places: Places) -> None:
    said: list[str] = []
    with window(browser, address, said) as page:
        page.goto("/jobs")
        page.keyboard.press("Control+k")
        expect(page.locator("#palette input")).to_be_focused()
        page.keyboard.type("\"'><img")
        expect(page.locator("#palette [role=option]").first).to_contain_text("<script class=xss>")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("tag:")
        expect(page.locator("#q-options")).to_contain_text("<img class=xss")
        page.keyboard.press("Escape")
        page.locator("[data-menu]").first.click()
        page.goto("/jobs?more=on")
        page.evaluate(
            "document.querySelectorAll('#views, #views details').forEach(each => { each.open = true; })"
        )
        page.locator("button[data-confirm*=xss]").first.click()
        expect(page.locator("#confirm")).to_contain_text("<img class=xss")

        assert _harmed(page) == [0, []]
    assert said == []


def test_a_drawing_of_an_agent_runs_nothing_even_when_it_is_opened(
    browser: Browser, address: str, places: Places
) -> None:
    said: list[str] = []
    with window(browser, address, said) as page:
        page.goto(f"/jobs/{places['job_id']}/artifacts/{places['artifact:drawing.svg']}")

        assert page.evaluate("[document.contentType, typeof window.__xss]") == ["image/svg+xml", "undefined"]


@pytest.fixture(scope="module")
def plain(browser: Browser) -> Iterator[Browser]:
    """A browser that knows this machine by a name of the house: plain HTTP, not trusted as localhost is."""
    rules = "--host-resolver-rules=MAP callboard.lan 127.0.0.1"
    launched = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules])
    yield launched
    launched.close()


def test_in_a_house_without_certificates_one_signs_in_copies_acts_and_reports(
    plain: Browser, address: str, admin: str, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    caplog.set_level("INFO", "werkzeug")
    job_id = world.submitted(admin)
    with window(plain, address.replace("127.0.0.1", "callboard.lan"), said) as page:
        page.goto(f"/jobs/{job_id}?tab=log")
        assert page.evaluate("[isSecureContext, typeof navigator.clipboard]") == [False, "undefined"]

        page.get_by_role("button", name="Copy the id").first.click()
        expect(page.locator("#spoken")).to_have_text("Copied")
        page.goto("/search")
        page.locator("main [name=q]").focus()
        page.keyboard.press("Control+v")
        expect(page.locator("main [name=q]")).to_have_value(job_id)

        page.goto(f"/jobs/{job_id}")
        page.get_by_role("button", name="Cancel", exact=True).first.click()
        page.get_by_role("button", name="Cancel the job").click()
        expect(page.locator("#status .badge.big")).to_have_text("Cancelled")
        with page.expect_response("**/ui/look**"):
            page.evaluate("poller.refresh()")
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
        until(lambda: any("/ui/polling/report" in line and "204" in line for line in caplog.messages))
    assert [line for line in said if "Cross-Origin-Opener-Policy" not in line] == []


@pytest.mark.parametrize(
    "path",
    [
        "/jobs?q=" + quote('tag:"a&b" ünï #1 100% x+y', safe=""),
        "/jobs?state=failed&tag=" + quote("a/b?c", safe=""),
        "/search?q=" + quote(HOSTILE, safe=""),
    ],
)
def test_a_link_to_a_place_survives_signing_in_over_a_slow_line(
    browser: Browser, address: str, path: str
) -> None:
    with browser.new_context(base_url=address, viewport=SIZE) as context:  # type: ignore[arg-type]
        page = context.new_page()
        line = context.new_cdp_session(page)
        line.send("Network.enable")
        line.send("Network.emulateNetworkConditions", SLOW)
        page.goto(path, wait_until="commit")
        _sign_in(page)

        page.wait_for_url(address + path)
        assert page.evaluate("location.pathname + location.search") == path
