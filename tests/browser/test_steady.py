"""That nothing jumps, and that what a person's system asks for is respected.

Jumps are Chromium's own layout-shift entries, which leave out what follows a person's own act. A page that loads
may jump by as much as its moments become shorter, which the server writes in full and a script as "5s ago" (a tenth of
what counts as good, SETTLING); from then on nothing may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack
from tests.waiting import until

SETTLING = 0.01

# Each jump: how far (0 is not at all), and what moved. `until` is when we began to wait for a change.
WATCH_JUMPS = """
    window.jumps = [];
    const element = node => node?.nodeType === 1 ? node : node?.parentElement;
    const named = node => element(node)?.closest("[id]")?.id || "?";
    const told = ({node, previousRect: was, currentRect: is}) => ({
        what: `${named(node)}: ${element(node)?.outerHTML.slice(0, 60)}`, aside: was.width && is.width && Math.abs(was.left - is.left) > 1 && Math.abs(was.right - is.right) > 1,
        from: [was.x, was.y, was.width, was.height], to: [is.x, is.y, is.width, is.height],
    });
    new PerformanceObserver(list => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput)
            jumps.push([entry.value, entry.sources.map(told)]);
    }).observe({type: "layout-shift", buffered: true});
"""
ASIDE = "jumps.flatMap(([, told]) => told.filter(each => each.aside))"
JUMPS = "jumps.filter(([value]) => value > 0.0001)"


@pytest.fixture
def watched(page: Page) -> Page:
    """A page whose jumps are noted from its first paint on."""
    page.add_init_script(WATCH_JUMPS)
    return page


@pytest.fixture(scope="module")
def done(running: Stack) -> str:
    """A job that is over."""
    job_id = running.submit("test-echo", {"text": "seen"}, task_name="Seen soon")
    assert running.settled(job_id) == "completed"
    return job_id


@pytest.fixture
def talking(running: Stack) -> Iterator[str]:
    """A job that runs for long and says much."""
    job_id = running.submit("test-sleeper", {"seconds": 120}, task_name="Makes progress")
    until(lambda: running.status(job_id) == "running", 30, 0.1)
    yield job_id
    running.call("POST", f"/api/v1/jobs/{job_id}/cancel")


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/{done}", "/jobs/{talking}", "/jobs/{talking}?tab=log", "/approvals",
                                  "/queues", "/workers", "/workflows", "/submit/test-echo", "/polling", "/alerts"])  # fmt: skip
def test_a_page_settles_without_jumping(watched: Page, done: str, talking: str, path: str) -> None:
    watched.goto(path.format(done=done, talking=talking))

    assert _settled(watched) < SETTLING


def _settled(page: Page) -> float:
    """How much has jumped while the page came; from now on it is counted anew."""
    page.wait_for_load_state("load")
    page.wait_for_function("() => !document.querySelector('time[data-rel]:not([title], [data-rel=at])')")
    page.evaluate("() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    return float(page.evaluate("jumps.splice(0).reduce((sum, [value]) => sum + value, 0)"))


def test_nothing_jumps_while_a_job_makes_progress(watched: Page, talking: str) -> None:
    watched.goto(f"/jobs/{talking}")
    _settled(watched)
    status = watched.locator("#status")
    _changes(watched, lambda: status.inner_text(), 3)

    assert watched.evaluate(JUMPS) == []


def test_nothing_jumps_in_a_list_whose_jobs_make_progress(watched: Page, talking: str) -> None:
    watched.goto("/jobs?q=Makes+progress")
    _settled(watched)
    row = watched.locator("[data-row]").first
    _changes(watched, lambda: row.inner_text(), 3)

    assert watched.evaluate(JUMPS) == []


def test_nothing_jumps_on_the_first_page_while_figures_change(
    watched: Page, running: Stack, talking: str
) -> None:
    watched.goto("/")
    _settled(watched)
    for n in range(3):
        running.settled(running.submit("test-noop", task_name=f"A figure more, {n}"))
    expect(watched.locator("#r-now-finished").get_by_text("A figure more, 2")).to_be_visible(timeout=15_000)

    # What begins to run or ends makes its list longer or shorter, so what stands below moves up or down, but never aside.
    assert watched.evaluate(ASIDE) == []


def test_a_new_job_moves_the_rows_of_its_list_and_nothing_else(watched: Page, running: Stack) -> None:
    running.submit("test-noop", task_name="Comes first", tags=["moving"])
    watched.goto("/jobs?q=tag:moving")
    tops = "[...document.querySelectorAll('.side, .top, h1, #jobs thead, form[role=search], .tabs')].map(each => each.getBoundingClientRect().top)"
    before = watched.evaluate(tops)

    running.submit("test-noop", task_name="Comes second", tags=["moving"])

    expect(watched.get_by_role("link", name="Comes second")).to_be_visible(timeout=15_000)
    assert watched.evaluate(tops) == before
    assert len(before) >= 4


def _changes(page: Page, seen: Callable[[], str], times: int) -> None:
    """Wait until what is seen has changed so often."""
    for _ in range(times):
        before = seen()

        def changed(before: str = before) -> bool:
            page.wait_for_timeout(50)
            return seen() != before

        until(changed, 20, 0)


MOVING = """[...document.querySelectorAll("*")].filter(each => {
    const style = getComputedStyle(each);
    const long = text => text.split(",").some(part => parseFloat(part) * (part.trim().endsWith("ms") ? 1 : 1000) > 20);
    return (style.animationName !== "none" && long(style.animationDuration)) || long(style.transitionDuration);
}).map(each => each.tagName + "." + each.className)"""


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/{talking}", "/approvals", "/workflows"])
def test_who_wants_no_motion_gets_none(page: Page, talking: str, path: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(path.format(talking=talking))
    page.locator("#link summary").first.click()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()

    assert page.evaluate(MOVING) == []
    assert page.evaluate("document.getAnimations().filter(each => each.playState === 'running').length") == 0
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_with_forced_colours_everything_can_still_be_told_apart(page: Page, talking: str, done: str) -> None:
    page.emulate_media(forced_colors="active")
    for path in ("/", "/jobs", f"/jobs/{talking}", f"/jobs/{done}"):
        page.goto(path)
        assert page.evaluate(FLAT) == [], path
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate(f"({OUTLINED})(document.activeElement)"), path


# Buttons without a frame, bars that look like their track, and drawings in the colour of the paper.
FLAT = """(() => {
    const paper = getComputedStyle(document.body).backgroundColor, found = [];
    const seen = each => each.getClientRects().length > 0;
    for (const each of document.querySelectorAll(".btn:not(.quiet), .badge, input:not([type=hidden], [type=checkbox]), select, textarea")) {
        const style = getComputedStyle(each);
        if (seen(each) && style.borderStyle === "none" && style.color === paper) found.push(each.outerHTML.slice(0, 120));
    }
    for (const each of document.querySelectorAll("main svg rect, main svg path")) {
        const style = getComputedStyle(each);
        if (seen(each) && style.fill === paper && (style.stroke === "none" || style.stroke === paper)) found.push(each.outerHTML.slice(0, 120));
    }
    return found;
})()"""
OUTLINED = """each => { const style = getComputedStyle(each);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1; }"""
