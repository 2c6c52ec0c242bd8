"""Questions to people in a browser: by keys, by touch, without JavaScript, and by a link from a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.looking import demand_sound
from tests.browser.stack import Stack, stack
from tests.smtp_server import Post, mail_server
from tests.waiting import until

BOSS = "boss@example.org"
INBOX = re.compile(r"/approvals(#.*)?$")
"""A browser takes the part behind # along to where it is sent."""


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    """A mail server."""
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(post: Post) -> Iterator[Stack]:
    """Callboard, whole, with that mail server."""
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(post.port), "SMTP_SECURITY": "none"}
    with stack(**mail, SMTP_FROM="cb@example.org") as started:
        yield started


@pytest.fixture(scope="module")
def signed_in(running: Stack, browser: Browser) -> dict[str, Any]:
    """The cookies of somebody who signed in there."""
    with browser.new_context() as context:
        sign_in(context.new_page(), running)
        return context.storage_state()  # type: ignore[return-value]


def asked(running: Stack, topic: str, **parameters: Any) -> tuple[str, str]:
    """A new job that waits for an answer, and its question."""
    job_id = running.submit("test-asker", {"topic": topic, **parameters}, task_name=f"About {topic}")
    until(lambda: running.status(job_id) == "awaiting_input", 30, 0.1)
    found = running.call("GET", "/api/v1/approvals?limit=100")["approvals"]
    return job_id, next(a["approval_id"] for a in found if a["job_id"] == job_id)


def answered(running: Stack, approval_id: str) -> str:
    return str(running.call("GET", f"/api/v1/approvals/{approval_id}")["status"])


def link(running: Stack, post: Post, topic: str) -> str:
    """Where a mail leads somebody who is asked about `topic`."""
    approval_id = asked(running, topic, approvers=[BOSS])[1]

    def mailed() -> str:
        bodies = [mail.get_body(("plain",)).get_content() for mail in post.mails]  # type: ignore[union-attr]
        mine = next((body for body in bodies if approval_id in body), "")
        found = re.search(r"/a/[\w.\-]+", mine)
        return found[0] if found else ""

    return until(mailed, 30)


def test_a_key_leads_to_the_button_and_never_answers_by_itself(page: Page, running: Stack) -> None:
    job_id, approval_id = asked(running, "keys")
    page.goto("/approvals")
    for _ in range(page.locator("[data-row]").count()):
        page.keyboard.press("j")
        if page.locator(f"#a-{approval_id}.at").count():
            break

    page.keyboard.press("a")
    page.wait_for_url(re.compile(rf"/approvals/{approval_id}#do-approve$"))

    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
    assert answered(running, approval_id) == "open"
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Reject")).to_be_focused()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(INBOX)
    expect(page.get_by_role("status").get_by_text("Approved.")).to_be_visible()
    assert running.settled(job_id) == "completed"


def test_e_opens_the_draft_and_what_is_made_of_it_is_the_result(page: Page, running: Stack) -> None:
    job_id, approval_id = asked(running, "edits")
    page.goto(f"/approvals/{approval_id}")

    page.keyboard.press("e")
    editor = page.get_by_label("Your version")
    expect(editor).to_be_focused()
    editor.fill("# Mine\n\nAll of it.")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("You changed the draft.").first).to_be_visible()
    expect(editor).to_have_value("# Mine\n\nAll of it.")
    page.get_by_role("button", name="Approve as edited").click()
    page.wait_for_url(INBOX)

    assert running.settled(job_id) == "completed"
    page.goto(f"/jobs/{job_id}")
    expect(page.get_by_role("heading", name="Mine")).to_be_visible()


def test_enter_in_a_field_decides_nothing(page: Page, running: Stack) -> None:
    _, approval_id = asked(running, "enter", has_form=True)
    page.goto(f"/approvals/{approval_id}")

    page.get_by_label("Channel").fill("blog")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)

    expect(page.get_by_label("Channel")).to_have_value("blog")
    assert answered(running, approval_id) == "open"


def test_an_update_keeps_the_place_in_the_list(page: Page, running: Stack) -> None:
    asked(running, "first", deadline_seconds=7200)
    asked(running, "second", deadline_seconds=7300)
    page.goto("/approvals")
    page.get_by_role("link", name="draft about first").focus()

    asked(running, "sooner", deadline_seconds=60)
    page.evaluate("poller.refresh()")
    expect(page.get_by_role("link", name="draft about sooner")).to_be_visible()

    expect(page.get_by_role("link", name="draft about first")).to_be_focused()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="draft about second")).to_be_focused()


def test_what_one_types_stays_while_somebody_else_answers(page: Page, running: Stack) -> None:
    _, approval_id = asked(running, "race")
    page.goto(f"/approvals/{approval_id}")
    page.get_by_label("Comment").fill("I was about to say")

    running.call("POST", f"/api/v1/approvals/{approval_id}/answer", {"decision": "reject"})
    page.evaluate("poller.refresh()")

    expect(page.get_by_text("rejected it.")).to_be_visible()
    expect(page.get_by_label("Comment")).to_have_value("I was about to say")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Not answered")).to_be_visible()
    expect(page.get_by_text("I was about to say")).to_be_visible()


def test_a_waiting_job_leads_to_its_question(page: Page, running: Stack) -> None:
    job_id, approval_id = asked(running, "banner")
    page.goto(f"/jobs/{job_id}")

    expect(page.get_by_text("It asks you")).to_be_visible()
    page.get_by_role("link", name="Look and answer").click()
    page.wait_for_url(f"**/approvals/{approval_id}")
    page.get_by_label("Comment").fill("Where are the hives?")
    page.get_by_role("button", name="Ask back").click()
    page.wait_for_url(INBOX)

    assert running.settled(job_id) == "completed"
    page.goto("/")
    expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()
    expect(page.locator(f"#ask-{approval_id}")).to_have_count(0)


def test_a_workflow_whose_step_waits_leads_to_the_question(page: Page, running: Stack) -> None:
    step = {"step_id": "write", "agent_id": "test-asker", "parameters": {"topic": "ants"}}
    run = running.call("POST", "/api/v1/workflows", {"name": "Ants", "steps": [step]})["workflow_id"]
    page.goto(f"/workflows/{run}")

    page.get_by_role("link", name="Look at the question").click()

    expect(page.get_by_text("May the draft about ants be taken as it is?", exact=True)).to_be_visible()


def test_the_link_in_a_mail_answers_once(browser: Browser, running: Stack, post: Post) -> None:
    address = link(running, post, "mail")
    sent: list[tuple[str, str | None]] = []
    with browser.new_context(
        base_url=running.url, java_script_enabled=False, viewport={"width": 360, "height": 740}
    ) as context:
        page = context.new_page()
        page.on("request", lambda request: sent.append((request.url, request.headers.get("referer"))))
        page.goto(address)
        expect(page.get_by_role("heading", name="May the draft about mail")).to_be_visible()
        page.get_by_text("Edit before approving").click()
        page.get_by_label("Your version").fill("# From the mail")
        page.get_by_role("button", name="Approve as edited").click()

        expect(page.get_by_role("heading", name="Approved as you edited it.")).to_be_visible()
        gone = page.goto(address)

    assert gone is not None
    assert gone.status == 410
    assert [referer for _, referer in sent if referer and "/a/" in referer] == []
    assert all("/static/" in url or "/a/" in url or url.endswith("favicon.ico") for url, _ in sent), sent


def test_without_javascript_a_card_is_answered_too(
    browser: Browser, running: Stack, signed_in: dict[str, Any]
) -> None:
    job_id, approval_id = asked(running, "plain")
    with browser.new_context(
        base_url=running.url,
        storage_state=signed_in,  # type: ignore[arg-type]
        java_script_enabled=False,
    ) as context:
        page = context.new_page()
        page.goto(f"/approvals/{approval_id}")
        page.get_by_role("link", name="To the answer").click()
        page.get_by_role("button", name="Reject").click()
        page.wait_for_url(INBOX)

    assert running.settled(job_id) == "completed"
    assert answered(running, approval_id) == "rejected"


@pytest.fixture(scope="module")
def places(running: Stack, post: Post) -> dict[str, str]:
    """A card, a settled one, a link, a policy, and a job that waits."""
    job_id, approval_id = asked(running, "looks", has_form=True)
    _, over = asked(running, "over")
    answer = {"decision": "edit", "edited": "# Another\n\n" + "word " * 50, "comment": "So be it"}
    running.call("POST", f"/api/v1/approvals/{over}/answer", answer)
    policy = {"name": "Anything that sends", "effects": ["send"], "approvers": ["admin"]}
    made = running.call("POST", "/api/v1/approval-policies", policy)["policy_id"]
    return {
        "job": job_id,
        "card": approval_id,
        "over": over,
        "policy": made,
        "link": link(running, post, "axe"),
    }


PAGES = (
    "/approvals",
    "/approvals/{card}",
    "/approvals/{over}",
    "/jobs/{job}",
    "/policies",
    "/policies/new?example=money",
    "/policies/{policy}",
    "/blog-post",
    "{link}",
    "/a/nothing",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_within_the_policy_and_never_too_wide(
    page: Page, said: list[str], places: dict[str, str], path: str
) -> None:
    demand_sound(page, said, path.format(**places), missing=path == "/a/nothing")


@pytest.mark.parametrize("path", ["/approvals", "/approvals/{card}", "{link}"])
def test_one_long_word_makes_no_page_wider(page: Page, places: dict[str, str], path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path.format(**places))
    put = "all => all.forEach(one => { one.textContent = 'W'.repeat(300); })"
    assert page.locator("h1.asked, .lines .t > a, #answer label").count() > 0
    page.eval_on_selector_all("h1.asked, .lines .t > a, #answer label", put)

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_card_can_be_answered_by_tabbing(context: BrowserContext, running: Stack) -> None:
    _, approval_id = asked(running, "tabs")
    page = context.new_page()
    page.goto(f"/approvals/{approval_id}")

    page.get_by_role("link", name="To the answer").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Edit before approving")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
