"""What poll.js promises, seen from outside: what is asked when, and what the person sees of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.browser.stack import Stack
from tests.waiting import until

TABLE = re.compile(r"/ui/jobs/table")


class Wire:
    """The polls of one region that went over the wire, and a hand on them."""

    def __init__(self, page: Page, path: re.Pattern[str]) -> None:
        """Count from now on."""
        self.page, self.path = page, path
        self.codes: list[int] = []
        self.asked: list[Request] = []
        self.over: list[Request] = []
        for ending in ("requestfinished", "requestfailed"):
            page.on(ending, lambda request: path.search(request.url) and self.over.append(request))  # type: ignore[call-overload]
        page.on("request", lambda request: path.search(request.url) and self.asked.append(request))
        page.on("response", lambda answer: path.search(answer.url) and self.codes.append(answer.status))

    def after(self, more: int, seconds: float = 15) -> None:
        """Wait until `more` further answers came."""
        wanted = len(self.codes) + more
        self.wait(lambda: len(self.codes) >= wanted, seconds)

    def wait(self, condition: Callable[[], object], seconds: float = 15) -> None:
        """Like until, but the browser goes on meanwhile."""

        def met() -> object:
            self.page.wait_for_timeout(20)
            return condition()

        until(met, seconds, 0)

    def break_down(self, status: int = 500, what: str = "**/ui/**") -> None:
        """From now on the server answers every region, or those at `what`, with an error."""
        self.page.route(what, lambda route: _fail(route, status))

    def mend(self) -> None:
        """The server is well again."""
        self.page.unroute_all()


def _fail(route: Route, status: int) -> None:
    if status:
        route.fulfill(status=status, body="down")
    else:
        route.abort()


@pytest.fixture
def job(running: Stack) -> str:
    """A job that is over, so that the list stands still."""
    job_id = running.submit("test-noop", task_name="A quiet job")
    assert running.settled(job_id) == "completed"
    return job_id


@pytest.fixture
def wire(page: Page, job: str) -> Wire:
    """The list of jobs, open."""
    watched = Wire(page, TABLE)
    page.goto("/jobs?q=A+quiet+job")
    return watched


def test_an_unchanged_region_is_a_304_that_leaves_the_document_alone(wire: Wire) -> None:
    wire.page.evaluate("""() => {
        window.changes = 0;
        new MutationObserver(all => { changes += all.filter(m => !m.target.closest?.("time") && m.type === "childList").length; })
            .observe(document.querySelector("#jobs"), {childList: true, subtree: true});
    }""")

    wire.after(3)

    assert set(wire.codes) == {304}
    assert wire.page.evaluate("window.changes") == 0


def test_the_first_poll_already_knows_what_the_page_shows(wire: Wire) -> None:
    wire.after(1)

    assert wire.asked[0].headers["if-none-match"] == wire.page.get_attribute("#r-jobs-table", "data-etag")


def test_a_change_arrives_without_touching_what_the_person_does(wire: Wire, running: Stack) -> None:
    search = wire.page.get_by_role("searchbox")
    search.fill("half a wo")
    wire.page.evaluate("document.querySelector('#jobs tbody tr').known = true")

    running.submit("test-noop", task_name="A quiet job, the second")

    expect(wire.page.get_by_role("link", name="A quiet job, the second")).to_be_visible(timeout=15_000)
    expect(search).to_be_focused()
    expect(search).to_have_value("half a wo")
    assert (
        wire.page.evaluate("[...document.querySelectorAll('#jobs tbody tr')].filter(row => row.known).length")
        == 1
    )


def test_ticked_rows_hold_the_updates_and_stay_ticked(wire: Wire) -> None:
    box = wire.page.locator("input[name=id]").first
    box.check()
    wire.page.wait_for_timeout(300)
    before = len(wire.asked)

    wire.page.wait_for_timeout(3000)

    assert len(wire.asked) == before
    expect(wire.page.locator("#link .word")).to_have_text("On hold")
    box.uncheck()
    wire.after(1)
    expect(wire.page.locator("#link .word")).to_have_text("Live")


def test_a_hidden_tab_asks_nothing_and_catches_up_once_when_shown(wire: Wire) -> None:
    wire.after(1)
    _show(wire.page, "hidden")
    wire.page.wait_for_timeout(300)  # one may be under way
    before = len(wire.asked)
    wire.page.wait_for_timeout(3000)
    assert len(wire.asked) == before

    _show(wire.page, "visible")

    wire.wait(lambda: len(wire.asked) == before + 1, 2)


def _show(page: Page, state: str) -> None:
    page.evaluate(
        """state => {
            Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


def test_pausing_asks_nothing_and_a_refresh_by_hand_still_works(wire: Wire) -> None:
    wire.page.locator("#link summary").first.click()
    wire.page.get_by_role("button", name="Pause").click()
    wire.page.wait_for_timeout(300)
    before = len(wire.asked)
    wire.page.wait_for_timeout(3000)
    assert len(wire.asked) == before
    expect(wire.page.locator("#link .word")).to_have_text("Paused")

    wire.page.get_by_role("button", name="Refresh now").click()

    wire.wait(lambda: len(wire.asked) == before + 1, 3)


def test_the_pause_and_the_chosen_interval_outlive_the_page(wire: Wire) -> None:
    page = wire.page
    page.locator("#link summary").first.click()
    page.get_by_label("Look every").select_option("30")
    page.get_by_role("button", name="Pause").click()

    page.reload()

    page.locator("#link summary").first.click()
    expect(page.get_by_label("Look every")).to_have_value("30")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_chosen_interval_is_kept_to(context: BrowserContext, job: str) -> None:
    context.add_init_script("""localStorage.setItem("callboard.poll", '{"every": 30000}')""")
    page = context.new_page()
    page.clock.install()
    wire = Wire(page, TABLE)
    page.goto("/jobs?q=A+quiet+job")

    page.clock.run_for(20_000)  # it would be asked for every second otherwise
    page.wait_for_timeout(500)
    assert wire.asked == []

    page.clock.run_for(15_000)
    wire.wait(lambda: wire.asked, 5)


@pytest.mark.parametrize("status", [500, 503, 0])
def test_errors_back_off_then_open_the_breaker_and_the_page_recovers(
    context: BrowserContext, job: str, status: int
) -> None:
    page = context.new_page()
    _stop_the_clock(page)
    wire = Wire(page, TABLE)
    # The other regions stop: whichever fails five times opens the breaker, and whichever succeeds closes it.
    over = {"HX-Poll": "stop"}
    page.route(re.compile(r"/ui/(nav|jobs/tabs)"), lambda route: route.fulfill(status=304, headers=over))
    page.goto("/jobs?q=A+quiet+job")
    wire.break_down(status, "**/ui/jobs/table**")
    shown = page.locator("#jobs tbody").get_by_role("link").all_inner_texts()

    waits = [_fail_once(wire) for _ in range(5)]

    for wait, base in zip(waits, (1000, 2000, 4000, 8000), strict=False):
        assert 0.88 * base <= wait <= 1.12 * base
    assert waits[4] == 15_000
    expect(page.locator("#link .word")).to_have_text(re.compile(r"Stale since \d\d:\d\d:\d\d"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d", page.get_attribute("#r-jobs-table", "data-stale") or "")
    assert page.locator("#jobs tbody").get_by_role("link").all_inner_texts() == shown != []

    wire.mend()
    page.clock.resume()
    page.clock.run_for(15_100)

    expect(page.locator("#link .word")).to_have_text("Live")
    expect(page.locator("#r-jobs-table")).not_to_have_attribute("data-stale", re.compile("."))


def _stop_the_clock(page: Page) -> None:
    """Time passes by `run_for` alone: on a slow machine a poll would fail between two looks, and never be counted."""
    page.clock.install(time=datetime.now(UTC))
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=5))


def _fail_once(wire: Wire) -> float:
    """Let time pass until the table's next poll has failed; answers how long it will wait then."""
    # By the entry's time, not by how many there are: the diary keeps fifty, and the other regions write into it.
    last = "poller.diary.filter(p => p.path.startsWith('/ui/jobs/table')).at(-1)"
    before = wire.page.evaluate(f"{last}?.at")

    def failed() -> bool:
        wire.page.clock.run_for(250)
        # Its answer takes real time, in which no other may pass.
        wire.wait(lambda: len(wire.over) >= len(wire.asked), 5)
        return bool(wire.page.evaluate(f"{last} && {last}.at !== {before or 0}"))

    until(failed, 30)
    return float(wire.page.evaluate(f"{last}.next"))


def test_while_the_breaker_is_open_one_region_alone_probes(context: BrowserContext, job: str) -> None:
    page = context.new_page()
    _stop_the_clock(page)
    wire = Wire(page, re.compile(r"/ui/"))
    page.goto("/jobs?q=A+quiet+job")
    wire.break_down()

    def opened() -> bool:
        page.clock.run_for(250)
        return bool(page.evaluate("poller.diary.at(-1)?.broken"))

    until(opened, 30)
    page.wait_for_timeout(300)
    before = len(wire.asked)

    page.clock.run_for(15_100)
    page.wait_for_timeout(500)

    assert len(wire.asked) == before + 1


def test_an_ended_session_leads_to_signing_in_and_back(context: BrowserContext, job: str) -> None:
    page = context.new_page()
    page.goto("/jobs?q=A+quiet+job")

    context.clear_cookies(name="callboard")

    page.wait_for_url(re.compile(r"/sign-in\?next=%2Fjobs%3Fq%3DA%2Bquiet%2Bjob"), timeout=15_000)


def test_typed_text_survives_an_ended_session(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/submit/test-echo")
    page.get_by_label("Text").fill("half a thought")

    context.clear_cookies(name="callboard")

    expect(page.get_by_role("alert")).to_contain_text("You are signed out", timeout=30_000)
    expect(page.get_by_label("Text")).to_have_value("half a thought")


def test_what_is_gone_is_said_and_not_asked_again(page: Page, job: str) -> None:
    wire = Wire(page, TABLE)
    page.route("**/ui/jobs/table**", lambda route: _fail(route, 404))
    page.goto("/jobs?q=A+quiet+job")

    expect(page.get_by_role("alert")).to_contain_text("gone", timeout=15_000)
    asked = len(wire.asked)
    page.wait_for_timeout(2500)

    assert len(wire.asked) == asked == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(context: BrowserContext, job: str) -> None:
    page = context.new_page()
    page.clock.install()
    wire = Wire(page, TABLE)
    page.route("**/ui/jobs/table**", lambda route: route.fulfill(status=429, headers={"Retry-After": "12"}))
    page.goto("/jobs?q=A+quiet+job")

    assert _fail_once(wire) == 12_000


def test_a_finished_job_is_not_asked_about_any_more(page: Page, job: str) -> None:
    wire = Wire(page, re.compile(rf"/ui/jobs/{job}/"))

    page.goto(f"/jobs/{job}")
    page.wait_for_timeout(2500)

    assert wire.asked == []
