"""What tests of the API look at: jobs in every state, of any owner, made by the rooms' own verbs."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from app import clock
from app.accounts import logins
from app.accounts.permissions import Principal
from app.approvals import policies
from app.db import db
from app.errors import PermanentError, StoppedByBudget
from app.hooks import actions, keeping, reading
from app.hooks import changes as hooks
from app.jobs import artifacts, bulk, bulk_choice, claims, dead_letters, intake, lifecycle, spending
from app.jobs.artifacts import Store
from app.jobs.claims import Claim
from app.jobs.intake import Wish
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report, write
from app.notify import deliveries, endpoints, outbox, rules
from app.providers import catalogue, prices
from app.quality import gates
from app.schedules import changes
from app.sessions import changes as sessions
from app.sessions import made, memory, talk
from app.settings import POOLS
from app.workers import fleet
from tests import acting
from tests.app.quality import drafted as drafts

WORKER = "test-worker"

NOTHING = "01890000-0000-7000-8000-000000000000"
"""An id that nothing has."""


def worker(worker_id: str = WORKER) -> str:
    """A worker process that has just come."""
    with db.transaction():
        fleet.register(worker_id, hostname="h", process_id=1, pools=("general",), threads=4, release="t")
    return worker_id


def submitted(owner: str, agent_id: str = "test-echo", **wish: object) -> str:
    """A waiting job."""
    with db.transaction():
        order = intake.order(
            Wish(agent_id=agent_id, parameters={"text": "hello"}, submitted_by=owner, **wish)
        )  # type: ignore[arg-type]
        return str(lifecycle.submit(order)["job_id"])


def running(owner: str, **wish: object) -> Claim:
    """A job in a worker's hands."""
    job_id = submitted(owner, priority="critical", **wish)
    while True:
        with db.transaction():
            (claim,) = claims.claim_next(WORKER, POOLS, lease_seconds=60)
        if claim.job_id == job_id:
            return claim


def completed(owner: str, **wish: object) -> str:
    """A job with a result."""
    claim = running(owner, **wish)
    with db.transaction():
        lifecycle.complete(claim, {"answer": 42})
    return claim.job_id


def failed(owner: str, message: str = "it is broken", **wish: object) -> str:
    """A job in the dead letters."""
    claim = running(owner, **wish)
    with db.transaction():
        lifecycle.fail(claim, PermanentError(message), Reason.PERMANENT, "Traceback: here")
    return claim.job_id


def drafted(owner: str, **wish: object) -> str:
    """A job that runs and has a draft."""
    claim = running(owner, **wish)
    with db.transaction():
        drafts.draft(claim.job_id, 1, 6.5)
    return claim.job_id


def stopped_by_budget(owner: str, **wish: object) -> str:
    """A job that used all it may."""
    claim = running(owner, **wish)
    with db.transaction():
        lifecycle.fail(claim, StoppedByBudget("it is spent"), Reason.STOPPED_BUDGET, partial={"half": True})
    return claim.job_id


def asking(owner: str, question: str = "Publish it?", **wanted: Any) -> tuple[str, str]:
    """A job that waits for a person, and its question."""
    claim = running(owner)
    with db.transaction():
        return claim.job_id, acting.asks(claim, question, **wanted)


def budget(**wish: object) -> str:
    """A budget; $1.00 a month for everything unless told."""
    told = {"name": "one", "scope": "global", "unit": "usd", "limit_amount": 1} | wish
    with db.transaction():
        return str(spending.create(by="ada", **told)["budget_id"])


def policy(**wish: object) -> str:
    """An approval policy; each job of test-echo unless told."""
    with db.transaction():
        name = f"ask first {len(policies.listing())}"
        told: dict[str, Any] = {"name": name, "agents": ["test-echo"]} | wish
        return str(policies.create(by="ada", **told)["policy_id"])


def gate(name: str = "plain", **keys: Any) -> str:
    """A gate with a name; it wants 300 words unless told."""
    with db.transaction():
        return str(gates.save(name, {"checks": [{"check": "length"}]} | keys, by="ada")["name"])


def schedule(owner: str, **wish: object) -> str:
    """A schedule that runs test-echo every day."""
    told: dict[str, Any] = {
        "agent_id": "test-echo",
        "parameters": {"text": "hi"},
        "cron_expression": "0 2 * * *",
    } | wish
    with db.transaction():
        return str(changes.create(changes.Wish(submitted_by=owner, **told))["schedule_id"])


def login(owner: str) -> str:
    """Somewhere they are signed in."""
    with db.transaction():
        return logins.open_login(
            owner,
            kind="browser",
            method="password",
            ip="192.0.2.7",
            user_agent="curl/8",
            life=timedelta(hours=1),
        )


def letter(owner: str, **wish: object) -> str:
    """A dead letter's own id."""
    job_id = failed(owner, **wish)
    with db.quick():
        return str(dead_letters.get(job_id)["dlq_id"])


def said(claim: Claim, *messages: str, level: str = "info") -> None:
    """Log lines of a running job."""
    lines = [Line(at=clock.now(), kind="log", level=level, source="agent", message=text) for text in messages]
    with db.transaction():
        assert write(
            Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines, progress=30)
        )


def provider(provider_id: str | None = None, **values: object) -> str:
    """A provider of an admin's own."""
    made = provider_id or f"p-{uuid.uuid4().hex[:8]}"
    with db.transaction():
        catalogue.add(made, {"base_url": "http://127.0.0.1:9/v1", "model": "m"} | values)
    return made


def price(model: str = "m") -> str:
    """A model of the provider `p` with a price of our own since 2026-01-01; answers the model."""
    with db.transaction():
        prices.put("p", model, date(2026, 1, 1), by="test", input_usd=Decimal(1), output_usd=Decimal(2))
    return model


def session(who: Principal, **wish: Any) -> str:
    """A session in which something was said, under the key `a/b` remembered, and made."""
    session_id = f"s-{uuid.uuid4().hex[:12]}"
    with db.transaction():
        sessions.create(session_id, who=who, **wish)
        talk.add(session_id, [{"speaker": "Ada", "text": "hello"}], by=who.user_id)
        memory.store(session_id, key="a/b", content="hello", by=who.user_id)
    return session_id


def made_in(session_id: str, owner: str, **made_so: Any) -> str:
    """A text that was made in a session."""
    with db.transaction():
        told = {"name": "a.md", "content": "hello"} | made_so
        return str(made.add(session_id, by=owner, **told)["artifact_id"])


def notification(owner: str, **told: Any) -> str:
    """News for the owner."""
    with db.transaction():
        return outbox.tell("job.completed", **({"title": "Done", "audience": owner} | told))


def delivery(owner: str) -> str:
    """A mail to the owner that is on its way."""
    news = notification(owner, emails=["owner@example.org"])
    with db.quick():
        return str(deliveries.page(notification_id=news)[0]["delivery_id"])


def endpoint(owner: str) -> str:
    """A webhook endpoint of the owner."""
    with db.transaction():
        return str(endpoints.create("https://a.example/", owner=owner)["endpoint_id"])


def hook(owner: str, slug: str = "", provider: str = "github") -> str:
    """A hook of the owner."""
    with db.transaction():
        who = actions.owner(owner)
        return str(hooks.create(slug or f"h-{uuid.uuid4().hex}", who=who, provider=provider)["hook_id"])


def hook_rule(owner: str) -> str:
    """Below /hooks: a rule of a hook of the owner."""
    hook_id = hook(owner)
    with db.transaction():
        made = hooks.add_rule(
            hook_id, who=actions.owner(owner), name="r", events=["*"],
            action={"kind": "job", "agent_id": "test-echo"},
        )  # fmt: skip
    return f"{hook_id}/rules/{made['rule_id']}"


def hook_delivery(owner: str, hook_id: str = "") -> str:
    """Below /hooks: a push that came to a hook of the owner."""
    hook_id = hook_id or hook(owner)
    body = b'{"ref": "refs/heads/main"}'
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": uuid.uuid4().hex,
    }
    with db.transaction():
        delivery_id = keeping.new_id()
        keeping.keep(
            delivery_id, {"hook_id": hook_id}, reading.message("github", headers, body), headers=headers, body=body,
            status="ignored", results=[], ip="192.0.2.1",
        )  # fmt: skip
    return f"{hook_id}/deliveries/{delivery_id}"


def rule() -> str:
    """A rule by which failed jobs are told of by mail."""
    with db.transaction():
        return str(
            rules.create(event="job.failed", channel="email", target="a@example.org", by="a")["rule_id"]
        )


def artifact(
    owner: str, store: str, *, name: str = "report.html", content: bytes = b"<script>1</script>"
) -> str:
    """A file that a job left."""
    claim = running(owner)
    row = Store(store).keep(claim.job_id, claim.fence, name, content, None)
    with db.transaction():
        artifacts.record(row)
    return str(row["artifact_id"])


def bulk_action(who: Principal) -> str:
    """A bulk action that nobody has begun."""
    choice = bulk_choice.Choice(subject="jobs", verb="cancel", ids=(submitted(who.user_id),))
    with db.transaction():
        return str(bulk.create(bulk.Wish(choice=choice, words="one job"), who)["bulk_id"])


def alert(
    rule: str = "backlog",
    subject: str | None = None,
    *,
    severity: str = "warning",
    raised: bool = True,
    resolved: bool = False,
) -> str:
    """The id of an alert, of a new subject unless told."""
    with db.quick():
        return str(
            db.value(
                """INSERT INTO alerts (alert_id, rule, subject, severity, message, value, worst, threshold, wrong_since,
                       raised_at, resolved_at)
                   VALUES (gen_random_uuid(), %(rule)s, coalesce(%(subject)s, gen_random_uuid()::text), %(severity)s,
                       'It is wrong.', 1200, 1500, 1000, now() - interval '5 minutes',
                       CASE WHEN %(raised)s THEN now() - interval '3 minutes' END, CASE WHEN %(resolved)s THEN now() END)
                   RETURNING alert_id::text""",
                rule=rule,
                subject=subject,
                severity=severity,
                raised=raised,
                resolved=resolved,
            )
        )
