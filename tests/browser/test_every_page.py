"""What must hold on every page: accessible in both themes, nothing against the policy, light, and never too wide."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response

from app import clock
from tests.browser.conftest import SIZE
from tests.browser.looking import COLOURS, accessible, demand_sound
from tests.browser.stack import Stack
from tests.waiting import until

# "{done}", "{failed}" and "{letter}" stand for the ids of jobs in that state; others for what they are called.
PAGES = (
    "/alerts",
    "/audit",
    "/polling",
    "/security",
    "/backups",
    "/",
    "/analytics",
    "/jobs",
    "/jobs?state=failed&q=test&since=24h",
    "/jobs?q=nothing+is+called+this",
    "/jobs/{done}",
    "/jobs/{failed}",
    "/jobs/{waiting}",
    "/jobs/{done}?tab=log",
    "/jobs/{done}?tab=transcript",
    "/jobs/{failed}?tab=attempts",
    "/jobs/{done}?tab=result",
    "/jobs/{done}?tab=quality",
    "/jobs/{done}?tab=cost",
    "/jobs/{done}?tab=events",
    "/jobs/{done}?tab=json",
    "/dead-letters",
    "/dead-letters/{failed}",
    "/dead-letters/review?id={letter}",
    "/dead-letters?group={group}",
    "/bulk-actions",
    "/bulk-actions/{bulk}",
    "/agents",
    "/agents/test-flaky",
    "/agents/analyst",
    "/agents/analyst/versions/1",
    "/agents/import",
    "/agents?sort=success",
    "/agents/test-flaky/limits",
    "/queues",
    "/workers",
    "/workers/{worker}",
    "/jobs/{done}/replay",
    "/jobs/compare?a={done}&b={failed}",
    "/providers",
    "/providers/openai",
    "/add-provider",
    "/costs",
    "/budgets",
    "/budgets/new",
    "/budgets/{budget}",
    "/schedules",
    "/schedules/new",
    "/schedules/new?target=agent:test-flaky&repeat=weekly&weekdays=1",
    "/schedules/{schedule}",
    "/schedules/{schedule}/edit",
    "/approvals",
    "/approvals/{approval}",
    "/notifications",
    "/deliveries",
    "/deliveries/{delivery}",
    "/notify",
    "/sessions",
    "/new-session",
    "/sessions/{session}",
    "/sessions/{session}/edit",
    "/sessions/{session}?tab=jobs&agent=test-echo",
    "/sessions/{session}/artifacts/{minutes}",
    "/hooks",
    "/add-hook",
    "/hook/{hook}",
    "/hook/{hook}/new-rule",
    "/hook/{hook}/rules/{rule}",
    "/hook/{hook}/deliveries/{incoming}",
    "/submit",
    "/submit/test-flaky",
    "/submit/code-reviewer?example=1",
    "/workflows",
    "/workflows?q=nothing+is+called+this",
    "/workflows/{run}",
    "/workflows/{run}/steps/say",
    "/workflows/{run}/steps/release",
    "/workflows/new",
    "/workflows/new?template=user-story-batch",
    "/workflows/analytics",
    "/workflow-templates",
    "/workflow-templates/marketing-campaign",
    "/workflow-templates/marketing-campaign/versions/1",
    "/search",
    "/search?q=say",
    "/search?q=nothing+is+called+this",
    "/users",
    "/users?q=nothing+is+called+this",
    "/users/new",
    "/users/{person}",
    "/settings",
    "/help",
    "/nowhere",
)
SIGNED_OUT = ("/sign-in", "/sign-in?next=/jobs", "/forgot", "/reset/{token}")
ASKING = {
    "name": "Said <b>twice</b>",
    "steps": [
        {
            "type": "parallel",
            "step_id": "both",
            "depends_on": [],
            "tasks": [{"step_id": "say", "agent_id": "test-noop"}],
        },
        {
            "type": "approval",
            "step_id": "release",
            "question": "Well said?",
            "form": {"properties": {"why": {}}},
            "depends_on": [],
        },
    ],
}
BUDGET = {"name": "Of the <b>tests</b>", "scope": "agent", "subject": "test-echo", "unit": "usd", "limit": 5}
PERSON = {"email": "grace@example.org", "name": "Grace <b>Hopper</b>", "role": "user"}
FIRST_VISIT_BYTES, FIRST_VISIT_REQUESTS = 35_000, 6
LIST_BYTES, REPEAT_BYTES, MOST_NODES = 7_600, 8_200, 1_600

# What went over the wire, headers included; nothing for what the browser had kept.
_TRANSFERRED = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter(entry => !entry.name.includes("/ui/")).reduce((sum, entry) => sum + entry.transferSize, 0)"""


FAINT = """() => {
    const line = document.createElement("p");
    line.textContent = "hardly to be read";
    Object.assign(line.style, {color: "#777", backgroundColor: "#888"});
    document.querySelector("main").append(line);
}"""


@pytest.fixture(scope="session")
def places(running: Stack) -> dict[str, str]:
    """Jobs to look at: one done, one failed with its letter, one that waits."""
    done = running.submit(
        "test-echo", {"text": "<script>alert(1)</script>"}, task_name="Say <b>it</b> again", tags=["demo"]
    )
    failed = running.submit(
        "test-flaky", {"failures": 9, "kind": "permanent", "message": "<img src=x> is not there"}
    )
    in_a_day = (clock.now() + timedelta(days=1)).isoformat()
    waiting = running.submit("test-noop", run_at=in_a_day)
    assert running.settled(done) == "completed"
    assert running.settled(failed) == "failed"
    run = running.call("POST", "/api/v1/workflows", ASKING)["workflow_id"]
    letters = running.call("GET", "/api/v1/dlq/tasks?limit=100")["tasks"]
    letter, group = next(
        (entry["dlq_id"], entry["group_key"]) for entry in letters if entry["task_id"] == failed
    )
    person = running.call("POST", "/api/v1/users", PERSON)["user_id"]
    link = running.call("POST", f"/api/v1/users/{person}/invite-link")["link"]
    many = {"verb": "cancel", "ids": [done]}
    bulk = running.call("POST", "/api/v1/bulk-actions", many)["bulk_id"]
    return {
        **_session(running),
        **_hook(running),
        "done": done,
        "failed": failed,
        "waiting": waiting,
        "letter": letter,
        "group": quote(group),
        "bulk": bulk,
        "run": run,
        "budget": running.call("POST", "/api/v1/budgets", BUDGET)["budget_id"],
        "worker": running.call("GET", "/api/v1/workers")["workers"][0]["worker_id"],
        "schedule": _schedule(running),
        "approval": _question(running),
        "delivery": _delivery(running),
        "person": person,
        "token": link.rpartition("/")[2],
    }


def _schedule(running: Stack) -> str:
    """A schedule that has run twice."""
    wish = {
        "name": "Say <b>it</b> each week",
        "agent_id": "test-echo",
        "parameters": {"text": "hello"},
        "cron_expression": "0 9 * * mon",
        "timezone": "Europe/Berlin",
    }
    schedule_id = running.call("POST", "/api/v1/schedules/recurring", wish)["schedule_id"]
    for _ in range(2):
        running.call("POST", f"/api/v1/schedules/{schedule_id}/run")
    return str(schedule_id)


def _question(running: Stack) -> str:
    """A question with a form, which a workflow asks."""
    form = {"type": "object", "required": ["subject"], "properties": {"subject": {"type": "string"}}}
    ask = {
        "step_id": "ask",
        "type": "approval",
        "question": "Send <i>it</i>?",
        "shown": {"text": "Dear <b>all</b>", "lists": ["a", "b"], "deep": {"x": 1}},
        "form": form,
        "deadline_minutes": 60,
    }
    steps = [ask, {"step_id": "send", "agent_id": "test-noop"}]
    asked = running.call("POST", "/api/v1/workflows", {"name": "Newsletter", "steps": steps})
    found = running.call("GET", "/api/v1/approvals?limit=100")["approvals"]
    return str(next(a["approval_id"] for a in found if a["workflow_id"] == asked["workflow_id"]))


def _session(running: Stack) -> dict[str, str]:
    """A meeting with something of everything."""
    session, long = "morning_meeting_001", "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3
    place = f"/api/v1/sessions/{session}"
    people = ["Ada <b>Lovelace</b>", "Assistant", long]
    running.call(
        "POST", "/api/v1/sessions", {"id": session, "title": "Morning <b>meeting</b>", "participants": people}
    )
    chunks = [
        {"speaker": people[n % 2], "text": f"We decided to ship part {n} on Thursday. {long}"}
        for n in range(40)
    ]
    running.call("POST", f"{place}/messages", {"chunks": chunks})
    running.call(
        "POST",
        f"{place}/memories",
        {"key": "release <i>day</i>", "content": long, "tags": ["plan", long[:90]]},
    )
    running.call("POST", f"{place}/jobs", {"agent_id": "test-echo", "parameters": {"text": long}})
    running.call("POST", f"{place}/summary", {})
    text = "# Minutes\n\n| Who | What |\n|---|---|\n| Ada | <script>alert(1)</script> |\n"
    note = running.call("POST", f"{place}/artifacts", {"name": f"{long}.md", "content": text})
    return {"session": session, "minutes": str(note["artifact_id"])}


def _hook(running: Stack) -> dict[str, str]:
    """A hook whose rule took a pull request."""
    hook = running.call(
        "POST", "/api/v1/hooks", {"slug": "our-repo", "name": "Our <b>repository</b>", "provider": "github"}
    )
    place = f"/api/v1/hooks/{hook['hook_id']}"
    rule = {
        "name": "Review <b>it</b>",
        "events": ["pull_request.*"],
        "conditions": [{"path": "pull_request.base.ref", "is": "equals", "value": "main"}],
        "action": {
            "kind": "job",
            "agent_id": "test-echo",
            "parameters": {"text": "{{body.pull_request.title}}"},
        },
    }
    rule_id = running.call("POST", f"{place}/rules", rule)["rule_id"]
    pull = {
        "action": "opened",
        "pull_request": {"title": "<script>alert(1)</script>", "base": {"ref": "main"}},
    }
    raw = json.dumps(pull).encode()
    signature = hmac.new(hook["secret"].encode(), raw, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": "d-1",
        "X-Hub-Signature-256": f"sha256={signature}",
        "Content-Type": "application/json",
    }
    call = urllib.request.Request(f"{running.url}/hooks/our-repo", data=raw, headers=headers, method="POST")
    with urllib.request.urlopen(call, timeout=10) as answer:
        came = json.load(answer)["delivery_id"]
    return {"hook": str(hook["hook_id"]), "rule": str(rule_id), "incoming": str(came)}


def _delivery(running: Stack) -> str:
    """A mail that could not be sent, because no mail server is configured."""
    job_id = running.submit("test-noop", notify_on_completion=True, notification_email="ada@example.org")
    running.settled(job_id)

    def found() -> str:
        all_of_them = running.call("GET", "/api/v1/deliveries?limit=100")["deliveries"]
        return next((d["delivery_id"] for d in all_of_them if d["target"] == "ada@example.org"), "")

    return until(found, 20)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_within_the_policy_and_never_too_wide(
    page: Page, said: list[str], places: dict[str, str], path: str
) -> None:
    demand_sound(page, said, path.format(**places), missing=path == "/nowhere")


@pytest.mark.parametrize("path", SIGNED_OUT)
def test_a_page_for_strangers_is_as_sound(
    context: BrowserContext, said: list[str], places: dict[str, str], path: str
) -> None:
    context.clear_cookies()
    demand_sound(context.new_page(), said, path.format(**places))


def test_axe_looks_under_our_policy_and_in_both_themes(page: Page) -> None:
    page.goto("/")
    grounds = set()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")

    page.evaluate(FAINT)

    assert len(grounds) == 2
    assert ("image-alt", "<img>") in accessible(page)
    assert [rule for rule, _ in accessible(page, COLOURS)] == ["color-contrast"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_menus_and_sheets(
    running: Stack, browser: Browser, signed_in: dict[str, Any], theme: str
) -> None:
    with browser.new_context(
        base_url=running.url,
        storage_state=signed_in,
        viewport=SIZE,
        color_scheme=theme,
        bypass_csp=True,  # type: ignore[arg-type]
    ) as context:
        page = context.new_page()
        page.goto("/")
        page.locator("#link summary").first.click()
        menu = Axe().run(page).response["violations"]
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keys").wait_for()
        sheet = Axe().run(page).response["violations"]

    assert [v["id"] for v in menu + sheet] == []


def _bytes(answers: list[Response]) -> int:
    return sum(answer.request.sizes()["responseBodySize"] for answer in answers)


def _visit(context: BrowserContext, path: str) -> list[Response]:
    page = context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: "/ui/" not in answer.url and answers.append(answer))
    page.goto(path)
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)
    return answers


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/{done}", "/submit/code-reviewer"])
def test_a_first_visit_is_light(context: BrowserContext, places: dict[str, str], path: str) -> None:
    answers = _visit(context, path.format(**places))

    assert len(answers) <= FIRST_VISIT_REQUESTS, [answer.url for answer in answers]
    assert _bytes(answers) <= FIRST_VISIT_BYTES


def test_a_list_of_fifty_jobs_is_light(context: BrowserContext, running: Stack) -> None:
    for n in range(50):
        running.submit("test-noop", task_name=f"Heavy {n}", tags=["weight"])

    first = _visit(context, "/jobs?tag=weight")
    page = next(answer for answer in first if "/jobs" in answer.url)
    assert page.text().count("data-row") == 50
    assert _bytes([page]) <= LIST_BYTES

    again = context.new_page()
    again.goto("/jobs?tag=weight")

    assert again.evaluate(_TRANSFERRED) <= REPEAT_BYTES
    assert again.locator("*").count() <= MOST_NODES


def test_an_idle_poll_costs_next_to_nothing(page: Page, places: dict[str, str]) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: "/ui/look" in answer.url and answers.append(answer))
    page.goto("/agents")
    page.evaluate("poller.refresh()")
    page.wait_for_timeout(1000)

    sizes = answers[0].request.sizes()

    assert answers[0].status == 304
    assert sizes["responseBodySize"] == 0
    assert sizes["requestHeadersSize"] <= 1500


def test_what_agents_and_people_wrote_is_shown_as_text(page: Page, places: dict[str, str]) -> None:
    page.goto(f"/jobs/{places['done']}")

    assert page.get_by_role("heading", name="Say <b>it</b> again").count() == 1
    assert page.locator("main script, main img[src=x]").count() == 0
