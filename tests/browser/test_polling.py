"""What poll.js promises, seen from outside: what is asked when, what it weighs, and what the person sees of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.browser.stack import Stack
from tests.waiting import until

IDLE_BYTES, CHANGED_BYTES, IDLE_SECONDS = 300, 3072, 10
LIVE = "#link .word"

# What the settings would say without those of the test's stack, which make pages impatient.
_AS_USUAL = """new MutationObserver(() => {
    if (document.body && !document.body.usual) {
        document.body.usual = true;
        document.body.dataset.poll = JSON.stringify({...JSON.parse(document.body.dataset.poll || "{}"), floor: 1000, most: 10000});
    }
}).observe(document, {childList: true, subtree: true})"""


class Wire:
    """The looks of one page that went over the wire, and a hand on them."""

    def __init__(self, page: Page) -> None:
        """Count from now on."""
        self.page = page
        self.asked: list[Request] = []
        self.over: list[Request] = []
        self.codes: list[int] = []
        self.others: list[str] = []
        for ending in ("requestfinished", "requestfailed"):
            page.on(ending, lambda request: _is_look(request.url) and self.over.append(request))  # type: ignore[call-overload]
        page.on("request", self._asked)
        page.on("response", lambda answer: _is_look(answer.url) and self.codes.append(answer.status))

    def _asked(self, request: Request) -> None:
        if _is_look(request.url):
            self.asked.append(request)
        elif "/ui/" in request.url and "/ui/polling/" not in request.url:
            self.others.append(request.url)

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

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Let the page's clock go on by `seconds`; what is under way takes real time, in which no other passes."""
        for _ in range(round(seconds / step)):
            self.page.clock.run_for(round(step * 1000))
            self.wait(lambda: len(self.over) >= len(self.asked), 6)

    def regions(self, n: int = -1) -> list[str]:
        """The addresses that a look asked for."""
        return parse_qs(urlsplit(self.asked[n].url).query)["r"]

    def break_down(self, status: int = 500, **headers: str) -> None:
        """From now on the server answers every look with an error; 0: not at all."""
        self.page.route("**/ui/look**", lambda route: _fail(route, status, headers))

    def answer(self, *regions: dict[str, Any]) -> None:
        """From now on each look is told this of its regions; further ones are unchanged."""
        self.page.route("**/ui/look**", lambda route: _tell(route, list(regions)))

    def mend(self) -> None:
        """The server is well again."""
        self.page.unroute_all()


def _is_look(url: str) -> bool:
    return urlsplit(url).path == "/ui/look"


def _fail(route: Route, status: int, headers: dict[str, str]) -> None:
    if status:
        route.fulfill(status=status, body="down", headers=headers)
    else:
        route.abort()


def _tell(route: Route, told: list[dict[str, Any]]) -> None:
    count = len(parse_qs(urlsplit(route.request.url).query)["r"])
    regions = (told + [{"poll": "1000ms"}] * count)[:count]
    route.fulfill(status=200, content_type="application/json", body=json.dumps({"regions": regions}))


@pytest.fixture(scope="module")
def job(running: Stack) -> str:
    """A job that is over, so that the list stands still."""
    job_id = running.submit("test-noop", task_name="A quiet job")
    assert running.settled(job_id) == "completed"
    return job_id


@pytest.fixture
def wire(page: Page, job: str) -> Wire:
    """The list of jobs, open; the first region is the menu."""
    watched = Wire(page)
    page.goto("/jobs?q=A+quiet+job")
    return watched


@pytest.fixture
def still(context: BrowserContext, job: str) -> Wire:
    """The same on a page whose time passes by `pass_time` alone."""
    page = context.new_page()
    page.clock.install(time=datetime.now(UTC))
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    watched = Wire(page)
    page.goto("/jobs?q=A+quiet+job")
    return watched


def test_a_page_asks_by_one_request_and_an_unchanged_one_is_left_alone(wire: Wire) -> None:
    wire.wait(lambda: wire.codes[-2:] == [304, 304])  # counts of the jobs before may still come in
    wire.page.evaluate("""() => {
        window.changes = 0;
        new MutationObserver(all => { changes += all.filter(m => !m.target.closest?.("time") && m.type === "childList").length; })
            .observe(document.querySelector("#jobs"), {childList: true, subtree: true});
    }""")
    before = len(wire.codes)

    wire.after(2)

    assert set(wire.codes[before:]) == {304}
    assert wire.others == []
    assert wire.page.evaluate("window.changes") == 0
    first = next(request for request in wire.asked if "jobs/table" in request.url)
    known = wire.page.get_attribute("#r-jobs-table", "data-etag") or "nothing"
    assert known.strip('"') in first.headers["if-none-match"]


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/{job}"])
def test_an_idle_page_asks_once_in_ten_seconds_and_hears_next_to_nothing(
    context: BrowserContext, running: Stack, job: str, path: str
) -> None:
    context.add_init_script(_AS_USUAL)
    page = context.new_page()
    page.clock.install(time=datetime.now(UTC))
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    wire = Wire(page)
    page.goto(path.format(job=job))
    wire.pass_time(40, 1)
    for _ in range(
        6
    ):  # figures of the tests before may still settle, and what changes is asked about more often
        before = len(wire.asked)
        wire.pass_time(20, 1)
        if len(wire.asked) - before <= 20 / IDLE_SECONDS:
            break
    page.evaluate("poller.diary.length = 0")
    before = len(wire.asked)

    wire.pass_time(60, 0.5)

    looks = page.evaluate("poller.diary")
    changed = sum(1 for look in looks if look["changed"])
    assert len(wire.asked) - before <= 60 / IDLE_SECONDS + 3 * changed
    assert wire.others == []
    assert 0 < _bytes_of_a_look(context, running, wire) <= IDLE_BYTES


def _bytes_of_a_look(context: BrowserContext, running: Stack, wire: Wire) -> int:
    """What comes down a plain socket when the page's last look is asked again, as if nothing had changed."""
    asked = wire.asked[-1]
    host, port = running.url.removeprefix("http://").split(":")
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in context.cookies())
    target = urlsplit(asked.url)
    lines = (
        f"GET {target.path}?{target.query} HTTP/1.1", f"Host: {host}:{port}", f"Cookie: {cookies}",
        "Accept-Encoding: gzip, deflate, br", f"If-None-Match: {asked.headers['if-none-match']}", "", "",
    )  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall("\r\n".join(lines).encode())
        answer = line.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 304"), answer[:200]
    assert answer.endswith(b"\r\n\r\n")
    return len(answer)


def test_what_changed_is_light_and_comes_without_touching_what_the_person_does(
    wire: Wire, running: Stack
) -> None:
    page = wire.page
    search = page.locator("[data-search]")
    page.locator("#link summary").first.click()
    search.focus()
    page.keyboard.type("half a wo")
    typed = search.input_value()
    page.evaluate("document.querySelector('#jobs [data-row]').known = true")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    marked = page.evaluate("String(getSelection())")
    received: list[float] = []
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))

    running.submit("test-noop", task_name="A quiet job, the second")

    expect(page.get_by_role("link", name="A quiet job, the second", exact=True)).to_be_visible(timeout=15_000)
    expect(search).to_have_value(typed)
    assert marked == page.evaluate("String(getSelection())") != ""
    assert page.locator("#link").evaluate("menu => menu.open")
    assert (
        page.evaluate("[...document.querySelectorAll('#jobs [data-row]')].filter(row => row.known).length")
        == 1
    )
    assert 0 < max(received) <= CHANGED_BYTES


def test_typed_text_keeps_the_focus_while_the_list_changes(wire: Wire, running: Stack) -> None:
    search = wire.page.locator("[data-search]")
    search.click()
    wire.page.keyboard.type(" half")

    running.submit("test-noop", task_name="A quiet job, the third")

    expect(wire.page.get_by_role("link", name="A quiet job, the third", exact=True)).to_be_visible(
        timeout=15_000
    )
    expect(search).to_be_focused()
    assert search.input_value().endswith(" half")


def test_ticked_rows_hold_the_updates_and_stay_ticked(still: Wire) -> None:
    box = still.page.locator("input[name=id]").first
    box.check()
    before = len(still.asked)

    still.pass_time(20, 1)

    assert len(still.asked) == before
    expect(still.page.locator(LIVE)).to_have_text("On hold")
    box.uncheck()
    still.pass_time(1)
    assert len(still.asked) == before + 1
    expect(still.page.locator(LIVE)).to_have_text("Live")


def test_a_hidden_tab_asks_nothing_and_catches_up_once_when_shown(still: Wire) -> None:
    still.pass_time(3)
    _show(still.page, "hidden")
    before = len(still.asked)
    still.pass_time(120, 2)
    assert len(still.asked) == before

    _show(still.page, "visible")
    still.pass_time(0.5, 0.1)

    assert len(still.asked) == before + 1
    assert len(still.regions()) == still.page.locator("[hx-poll]").count()


def _show(page: Page, state: str) -> None:
    page.evaluate(
        """state => {
            Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


def test_pausing_asks_nothing_refreshing_still_works_and_both_outlive_the_page(still: Wire) -> None:
    page = still.page
    still.pass_time(3)
    page.locator("#link summary").first.click()
    page.get_by_label("Look every").select_option("30")
    page.get_by_role("button", name="Pause").click()
    before = len(still.asked)
    still.pass_time(60, 2)
    assert len(still.asked) == before
    expect(page.locator(LIVE)).to_have_text("Paused")

    page.get_by_role("button", name="Refresh now").click()
    still.wait(lambda: len(still.asked) == before + 1, 3)
    page.get_by_text("Last polls").click()
    expect(page.locator("#link-diary")).to_contain_text("304")
    page.reload()

    page.locator("#link summary").first.click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_label("Look every")).to_have_value("30")
    page.get_by_text("Last polls").click()
    expect(page.locator("#link-diary")).to_contain_text("304")


def test_a_chosen_interval_is_kept_to(context: BrowserContext, still: Wire) -> None:
    still.page.evaluate("poller.setInterval(30)")
    still.pass_time(29, 1)
    assert still.asked == []

    still.pass_time(5, 1)

    assert len(still.asked) == 1


@pytest.mark.parametrize("status", [500, 0])
def test_errors_back_off_then_open_the_breaker_then_one_look_probes_and_the_page_recovers(
    still: Wire, status: int
) -> None:
    page = still.page
    still.break_down(status)
    shown = page.locator("#jobs").get_by_role("link").all_inner_texts()

    waits = [_fail_once(still) for _ in range(5)]

    for wait, base in zip(waits, (1000, 2000, 4000, 8000), strict=False):
        assert base <= wait <= 1.12 * base
    assert waits[4] == 15_000
    expect(page.locator(LIVE)).to_have_text(re.compile(r"Stale since \d\d:\d\d:\d\d"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d", page.get_attribute("#r-jobs-table", "data-stale") or "")
    assert page.locator("#jobs").get_by_role("link").all_inner_texts() == shown != []

    still.mend()
    before = len(still.asked)
    still.pass_time(14, 1)
    assert len(still.asked) == before
    still.pass_time(1.5)

    assert still.asked[before:] != []
    expect(page.locator(LIVE)).to_have_text("Live")
    expect(page.locator("#r-jobs-table")).not_to_have_attribute("data-stale", re.compile("."))


def _fail_once(wire: Wire) -> float:
    """Let time pass until the next look has failed; answers how long the page will wait then."""
    before = len(wire.over)

    def failed() -> bool:
        wire.pass_time(0.25)
        return len(wire.over) > before

    until(failed, 30, 0)
    wire.wait(lambda: wire.page.evaluate("poller.diary.at(-1)?.kind"), 3)
    return float(wire.page.evaluate("poller.diary.at(-1).next"))


def test_the_last_fifty_looks_are_listed_with_what_came_of_each_and_the_state_of_the_breaker(
    still: Wire,
) -> None:
    page = still.page
    page.locator("#link summary").first.click()
    page.get_by_text("Last polls").click()
    for _ in range(52):
        page.evaluate("poller.refresh()")
        still.wait(lambda: len(still.over) == len(still.asked), 6)
    still.wait(lambda: _listed(page)[1:] and len(_listed(page)) == 51, 3)

    head, *looks = _listed(page)
    assert head.split() == ["time", "answer", "took", "new", "next"]
    for look in looks:
        assert re.fullmatch(r"\d\d:\d\d:\d\d (304|200) +\d+ ms +\d/\d +(\d+\.\d s|–)", look), look
    expect(page.locator("#link-breaker")).to_have_text("closed")

    still.break_down(502)
    for _ in range(5):
        _fail_once(still)

    expect(page.locator("#link-breaker")).to_have_text(
        re.compile(r"open: one look at \d\d:\d\d:\d\d decides")
    )
    assert len(_listed(page)) == 51
    newest = _listed(page)[1].split()
    assert (newest[1], newest[-1]) == ("502", "open")
    assert [line.split()[1] for line in _listed(page)[1:6]] == ["502"] * 5


def _listed(page: Page) -> list[str]:
    """The lines of what stands under Last polls, newest first, below their head."""
    return page.locator("#link-diary").inner_text().splitlines()


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(still: Wire) -> None:
    still.break_down(429, **{"Retry-After": "12"})

    assert _fail_once(still) == 12_000


def test_a_part_that_is_gone_is_said_and_not_asked_again_and_a_broken_one_is_marked(still: Wire) -> None:
    still.pass_time(1)
    still.answer({"poll": "1000ms"}, {"code": 500}, {"code": 404})
    still.page.evaluate("poller.refresh()")
    asked = still.page.evaluate(
        "[...document.querySelectorAll('[hx-poll]')].map(each => each.getAttribute('hx-get'))"
    )

    expect(still.page.get_by_role("alert")).to_contain_text("gone")
    still.pass_time(10)

    later = [address for n in range(len(still.asked) - 2, len(still.asked)) for address in still.regions(n)]
    assert asked[2] not in later
    assert asked[0] in later
    expect(still.page.locator(LIVE)).to_have_text("Retrying")


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
    page.evaluate("poller.refresh()")

    expect(page.get_by_role("alert")).to_contain_text("You are signed out", timeout=30_000)
    expect(page.get_by_label("Text")).to_have_value("half a thought")


def test_a_finished_job_is_not_asked_about_any_more(still: Wire, job: str) -> None:
    still.page.goto(f"/jobs/{job}")
    before = len(still.asked)

    still.pass_time(30, 1)

    assert [each.url for each in still.asked[before:] if job in each.url] == []


def test_the_log_of_a_running_job_survives_a_restart_of_the_server_without_loss_or_doubles(
    page: Page, running: Stack
) -> None:
    job_id = running.submit("test-chatty", {"lines": 120, "seconds": 14}, task_name="A long talk")
    page.goto(f"/jobs/{job_id}?tab=log")
    lines = page.locator("#log > li .msg")
    expect(lines.first).to_be_visible(timeout=15_000)

    os.killpg(int((running.home / "run" / "web.pid").read_text()), signal.SIGKILL)
    began = time.monotonic()
    expect(page.locator(LIVE)).to_have_text(re.compile("Retrying|Stale"), timeout=10_000)
    expect(page.locator(LIVE)).to_have_text(re.compile("Live|Up to date"), timeout=30_000)

    assert time.monotonic() - began < 30
    assert running.settled(job_id) == "completed"
    expect(lines.filter(has_text="line 120 of")).to_be_visible(timeout=15_000)
    said = [text for text in lines.all_inner_texts() if "of the long talk" in text]
    assert [int(re.search(r"line (\d+) of", text)[1]) for text in said] == list(range(1, 121))  # type: ignore[index]


def test_who_watches_a_job_hears_once_that_it_is_done(page: Page, running: Stack) -> None:
    job_id = running.submit("test-chatty", {"lines": 3, "seconds": 3}, task_name="Watched to the end")
    page.goto(f"/jobs/{job_id}")

    expect(page.locator("#spoken")).to_have_text("Watched to the end is done.", timeout=15_000)

    expect(page.locator("#notices .notice")).to_have_count(1)
    expect(page.locator("#notices")).to_contain_text("is done.")


def test_a_page_keeps_five_hundred_lines_of_a_log(page: Page, running: Stack) -> None:
    job_id = running.submit("test-sleeper", {"seconds": 60})
    until(lambda: running.status(job_id) == "running", 15, 0.1)
    wire = Wire(page)
    page.goto(f"/jobs/{job_id}?tab=log")
    region = page.locator("[data-feed=log]").get_attribute("hx-get")
    html = "".join(f'<li data-seq="{n}">{n}</li>' for n in range(1001, 1701))
    page.evaluate(
        "document.querySelectorAll('[hx-poll]:not([data-feed=log])').forEach(each => each.remove())"
    )
    wire.answer({"poll": "1000ms", "after": 1700, "html": html})
    page.evaluate("poller.refresh()")

    wire.wait(lambda: page.locator("#log > li").count() == 500, 10)

    assert page.locator("#log > li").last.inner_text() == "1700"
    wire.after(2)
    assert wire.regions()[-1].startswith(str(region).split("?")[0])
    assert wire.regions()[-1].endswith("after=1700")
    running.call("POST", f"/api/v1/jobs/{job_id}/cancel")


def test_a_page_reports_once_a_minute_and_when_it_goes_how_its_looks_went(still: Wire) -> None:
    reports: list[dict[str, Any]] = []

    def receive(route: Route) -> None:
        reports.append(json.loads(route.request.post_data or "{}"))
        route.fulfill(status=404)

    still.page.context.route("**/ui/polling/report", receive)

    still.pass_time(61, 1)
    still.wait(lambda: reports, 3)
    asked = len(still.asked)

    assert reports[0].keys() == {
        "polls", "unchanged", "failures", "timeouts", "ms_sum", "ms_most", "ms_spread",
        "recoveries", "recovery_seconds_sum", "recovery_seconds_most", "seconds",
    }  # fmt: skip
    assert 0 <= asked - reports[0]["polls"] <= 1  # one may have come since
    assert reports[0]["polls"] == sum(reports[0]["ms_spread"]) >= 20
    assert len(reports[0]["ms_spread"]) == 10
    assert 55 <= reports[0]["seconds"] <= 65
    still.break_down(0)
    _fail_once(still)
    still.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    still.wait(lambda: len(reports) == 2, 3)
    assert reports[1]["failures"] == 1
    still.mend()
