"""A Callboard in the middle of a working day: what the pictures of the documentation show.

The agents are real ones of the catalogue where they need no key, and doubles with the names of plausible ones
elsewhere. The past of the charts is invented; docs/screenshots says so.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from app import clock
from app.settings import ROOT
from tests.journeys.asking import admin_of
from tests.journeys.person import Person
from tests.journeys.product import AGENTS, Product, running
from tests.journeys.writing import Author
from tests.model_server import Say, speaking
from tests.strapi_server import strapi

Places = dict[str, str]

MISSING = "Invoice 4711.pdf has no text: it is a scan"
AWAY = "The bookkeeping service answered 503"
EXAMPLES = ("security-auditor", "code-reviewer", "analyst", "editor", "seo-specialist", "technical-writer")
RELEASE = {
    "name": "Release 2.4",
    "steps": [
        {
            "step_id": "look",
            "type": "parallel",
            "tasks": [
                {"step_id": "links", "agent_id": "link-checker"},
                {"step_id": "notes", "agent_id": "release-notes"},
            ],
        },
        {"step_id": "release", "type": "approval", "question": "Release it?", "depends_on": ["look"]},
        {"step_id": "tell", "agent_id": "link-checker", "depends_on": ["release"]},
    ],
}
TALK = (
    ("Assistant", "Good morning. What is on today?"),
    ("Ada", "The release is planned for Thursday. The review of the payment page is not done."),
    ("Grace", "I will finish the review until noon."),
    ("Ada", "We decided to ship without the new import, it can wait a week."),
    ("Linus", "Can somebody look at why the nightly report took 40 minutes?"),
    ("Grace", "Linus will check the report this afternoon."),
    ("Ada", "Please ask for a first draft of the announcement: about 600 words, friendly, no jargon."),
    ("Assistant", "I hand that to the copywriter and tell you when it is there."),
)
MINUTES = """# Minutes of the morning meeting

1. Ship on Thursday, without the import
2. The payment page is reviewed until noon

| Who | What | When |
|---|---|---|
| Grace | Review of the payment page | noon |
| Linus | Nightly report | afternoon |
"""
# A week of 34,000 jobs with busy days, quiet nights and one bad hour.
PAST = """
    INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, wait_seconds, duration_seconds,
                              error_type, completed_at)
    SELECT gen_random_uuid(), (ARRAY['link-checker','release-notes','invoice-reader','newsletter'])[1 + n % 4],
           (SELECT user_id::text FROM users WHERE role = 'admin' LIMIT 1), n % 4,
           CASE WHEN n % 37 = 0 OR (n % 5 = 0 AND at BETWEEN now() - interval '5 hours' AND now() - interval '4 hours')
                THEN 'failed' ELSE 'completed' END,
           (n * 7 % 40) / 10.0, 4 + (n * 13 % 900) / 10.0, NULL, at
    FROM (SELECT n, now() - n * interval '18 seconds' AS at FROM generate_series(1, 34000) AS n) x
    WHERE (n * 31 % 100) < CASE WHEN extract(hour FROM at) BETWEEN 7 AND 18 THEN 90 ELSE 22 END"""


@contextmanager
def scene() -> Iterator[tuple[Product, Places]]:
    """The running product, and the ids of what there is to look at."""
    folders = f"{AGENTS}:{ROOT / 'tests' / 'browser' / 'agents'}:{ROOT / 'tests' / 'pictures' / 'agents'}"
    with (
        speaking(Author, Say("")) as model,
        strapi() as cms,
        running(
            AGENT_FOLDERS=folders,
            LLM_PROVIDERS="openai",
            OPENAI_BASE_URL=f"{model.url}/v1",
            OPENAI_API_KEY="sk-pictures",
            STRAPI_URL=cms.url,
            STRAPI_API_TOKEN=cms.token,
            STRAPI_PUBLIC_URL="https://blog.example/{slug}",
            WORKER_PROCESSES="2",
        ) as product,
        admin_of(product) as admin,
    ):
        product.sql(PAST)
        yield product, _furnish(admin)


def _furnish(admin: Person) -> Places:
    failed = _failures(admin)
    return {
        "failed": failed,
        "letter": _letter(admin, failed),
        **_money(admin),
        **_finished(admin),
        **_running(admin),
        **_waiting(admin),
        **_plans(admin),
        **_questions(admin),
        **_meeting(admin),
        **_hook(admin),
        "person": _people(admin),
    }


def _meeting(admin: Person) -> Places:
    """What was said, remembered and made one morning, and others that are over."""
    session = "morning_meeting_001"
    for each, title in (("sprint_42", "Planning of sprint 42"), ("call_007", "Call with the supplier")):
        admin.post(
            "/api/v1/sessions", {"id": each, "title": title, "participants": ["Grace", "Assistant"]}, 201
        )
    people = ["Ada", "Grace", "Linus", "Assistant"]
    admin.post("/api/v1/sessions", {"id": session, "title": "Morning meeting", "participants": people}, 201)
    place = f"/api/v1/sessions/{session}"
    chunks = [{"speaker": who, "text": text} for who, text in TALK]
    admin.post(f"{place}/messages", {"chunks": chunks}, 201)
    for key, content, tag in (
        ("release_day", "The release is on Thursday at 10:00.", "release"),
        ("tone", "Announcements are friendly, short, and without jargon.", "style"),
    ):
        admin.post(f"{place}/memories", {"key": key, "content": content, "tags": [tag], "importance": 8}, 201)
    minutes = admin.post(f"{place}/artifacts", {"name": "minutes.md", "content": MINUTES}, 201)["artifact_id"]
    admin.post(f"{place}/summary")
    return {"session": session, "minutes": minutes}


def _hook(admin: Person) -> Places:
    """A repository that calls, and a rule that takes what it says."""
    hook = admin.post("/api/v1/hooks", {"slug": "harbor", "name": "Harbor", "provider": "github"}, 201)
    place = f"/api/v1/hooks/{hook['hook_id']}"
    rule = {
        "name": "Audit each pull request to main",
        "events": ["pull_request.opened"],
        "conditions": [{"path": "pull_request.base.ref", "is": "equals", "value": "main"}],
        "action": {
            "kind": "job",
            "agent_id": "security-auditor",
            "parameters": {"target_path": "examples/sample-repo"},
            "task_name": "Audit {{body.pull_request.title}}",
        },
    }
    rule_id = admin.post(f"{place}/rules", rule, 201)["rule_id"]
    pull = {"action": "opened", "pull_request": {"title": "Faster tides", "base": {"ref": "main"}}}
    raw = json.dumps(pull).encode()
    headers = {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": f"sha256={hmac.new(hook['secret'].encode(), raw, hashlib.sha256).hexdigest()}",
        "Content-Type": "application/json",
    }
    came = admin.client.post("/hooks/harbor", content=raw, headers=headers).json()
    return {"hook": hook["hook_id"], "rule": rule_id, "incoming": came["delivery_id"]}


def _people(admin: Person) -> str:
    """Colleagues of each role; answers one who has work here."""
    made = [
        admin.post("/api/v1/users", {"email": email, "name": name, "role": role}, 201)["user_id"]
        for email, name, role in (
            ("ada@example.org", "Ada Lovelace", "admin"),
            ("grace@example.org", "Grace Hopper", "user"),
            ("board@example.org", "The screen in the hall", "viewer"),
        )
    ]
    return str(made[1])


def _finished(admin: Person) -> Places:
    for agent_id in EXAMPLES:
        shown = admin.get(f"/api/v1/agents/{agent_id}")
        admin.submit(agent_id, shown["example"], tags=["nightly"])
    done = admin.submit(
        "security-auditor",
        {"target_path": "examples/sample-repo"},
        task_name="Audit harbor",
        tags=["release"],
    )
    post = admin.post(
        "/api/content/blog-posts",
        {"topic": "Night queues", "target_length": 260, "primary_keyword": "night queue"},
        202,
    )["job_id"]
    admin.reaches(done, "completed", 60)
    admin.reaches(post, "completed", 60)
    return {"done": done, "post": post}


def _failures(admin: Person) -> str:
    for n in range(7):
        admin.submit(
            "invoice-reader",
            {"failures": 9, "kind": "temporary", "message": AWAY},
            task_name=f"Invoices {n + 3} May",
        )
    failed = admin.submit(
        "invoice-reader",
        {"failures": 9, "kind": "permanent", "message": MISSING},
        task_name="Invoices of June",
        tags=["books"],
    )
    admin.reaches(failed, "failed", 60)
    return failed


def _letter(admin: Person, failed: str) -> str:
    found = admin.get("/api/v1/dlq/tasks", limit=100)["tasks"]
    return str(next(letter["dlq_id"] for letter in found if letter["task_id"] == failed))


def _running(admin: Person) -> Places:
    watched = admin.submit(
        "link-checker", {"lines": 4000, "seconds": 900}, task_name="Crawl docs.example.com", priority="high"
    )
    admin.submit("link-checker", {"lines": 900, "seconds": 900}, task_name="Crawl shop.example.com")
    told = admin.submit(
        "release-notes",
        {"tool_seconds": 2, "quiet_seconds": 900},
        task_name="Notes for 2.4",
        priority="critical",
    )
    admin.reaches(watched, "running")
    admin.reaches(told, "running")
    return {"running": watched, "told": told}


def _waiting(admin: Person) -> Places:
    admin.post("/api/v1/queues/testing/pause", {"reason": "The staging server is moved", "for_seconds": 7200})
    tomorrow = (clock.now() + timedelta(hours=14)).isoformat()
    for n in range(3):
        admin.submit(
            "link-checker", {"lines": 90, "seconds": 900}, task_name=f"Crawl mirror {n + 1}", priority="low"
        )
    waiting = admin.submit("link-checker", task_name="Crawl the blog")
    admin.submit("test-orchestrator", {"scan_path": "examples/sample-repo"}, task_name="Suite of harbor")
    admin.submit(
        "analyst", admin.get("/api/v1/agents/analyst")["example"], task_name="Weekly figures", run_at=tomorrow
    )
    return {"waiting": waiting}


def _plans(admin: Person) -> Places:
    wish: dict[str, Any] = {"parameters": {}, "timezone": "Europe/Berlin"}
    nightly = wish | {"name": "Check all links", "agent_id": "link-checker", "cron_expression": "30 2 * * *"}
    schedule = admin.post("/api/v1/schedules/recurring", nightly, 201)["schedule_id"]
    weekly = wish | {"name": "Newsletter", "agent_id": "newsletter", "cron_expression": "0 9 * * mon"}
    admin.post("/api/v1/schedules/recurring", weekly, 201)
    for _ in range(4):
        admin.post(f"/api/v1/schedules/{schedule}/run", None, 201)
    return {"schedule": schedule}


def _money(admin: Person) -> Places:
    for name, wish in {
        "Everything": {"scope": "global", "unit": "usd", "limit": 40, "period": "day"},
        "Newsletter": {
            "scope": "agent",
            "subject": "newsletter",
            "unit": "usd",
            "limit": 5,
            "period": "month",
        },
    }.items():
        budget = admin.post("/api/v1/budgets", {"name": name, **wish}, 201)["budget_id"]
    return {"budget": str(budget)}


def _questions(admin: Person) -> Places:
    asks = admin.submit(
        "newsletter", {"topic": "Bees in spring", "has_form": True}, task_name="Newsletter of week 22"
    )
    question = admin.reaches(asks, "awaiting_input")["approval_id"]
    run = admin.post("/api/v1/workflows", RELEASE, 201)["workflow_id"]
    return {"asks": asks, "approval": question, "run": run}
