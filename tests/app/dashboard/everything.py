"""One of each thing that the dashboard shows, with the same words wherever people, agents and models write words.

`made` builds it by the rooms' own verbs, for somebody who may do everything; the places it answers fill the
addresses of the dashboard's table of contents, so whoever wants to visit each page walks that table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from flask import Flask

from app import clock
from app.accounts import api_keys, logins, users, views
from app.accounts import links as account_links
from app.accounts.permissions import Principal
from app.agents import registry
from app.approvals import links, policies
from app.budgets import ledger
from app.budgets.tally import Part
from app.dashboard import FEEDS, FRAGMENTS, PAGES
from app.db import as_json, db
from app.errors import PermanentError, StoppedByBudget
from app.hooks import changes as hooks
from app.hooks import keeping, reading
from app.hooks import rules as hook_rules
from app.jobs import artifacts, bulk, bulk_choice, claims, error_groups, lifecycle, pools
from app.jobs.artifacts import Store
from app.jobs.claims import Claim
from app.jobs.delegation import Limits, submit_child
from app.jobs.intake import Wish
from app.jobs.lifecycle import Success
from app.jobs.queries import Filter
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report, write
from app.notify import endpoints, outbox
from app.ops.backups import records
from app.providers import prices
from app.quality import gates
from app.sessions import changes as sessions
from app.sessions import delegating, memory, summary, talk
from app.sessions import made as made_in
from app.settings import POOLS, Settings
from app.workers import fleet
from app.workflows import runs, templates
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests import acting
from tests.app.api import world
from tests.app.quality import drafted

HOSTILE = "\"'><img class=xss src=x onerror=__xss=1><script class=xss>__xss=2</script>"
"""Breaks out of attributes and of text, wherever it is not escaped."""

SECRET = "hunter2-of-the-parameters"
"""Stands in parameters that their agent marks as secret."""

AGENT, WORKER = "an-agent", "worker-1"
Places = dict[str, str]


def addresses(method: str, places: Mapping[str, str], *, fragments: bool = False) -> dict[str, str]:
    """{name: address} of every page of `method`, or of every fragment, filled with what `places` has for it."""
    listed = [(name, path) for verb, path, name, _ in PAGES if verb == method and not fragments]
    if fragments:
        listed = [(region.endpoint.partition(".")[2], path) for path, region in (*FRAGMENTS, *FEEDS)]
    return {name: filled(name, path, places) for name, path in listed}


def filled(name: str, path: str, places: Mapping[str, str]) -> str:
    """The address of a page; a place `name.word` goes before `word`, and `name?` is its query."""
    whole = re.sub(r"<(?:\w+:)?(\w+)>", lambda word: places.get(f"{name}.{word[1]}") or places[word[1]], path)
    return whole + places.get(f"{name}?", "")


def made(app: Flask, user_id: str, words: str = HOSTILE) -> Places:
    """All of it, owned by this admin; `words` stand in every field that takes any."""
    settings: Settings = app.config["CALLBOARD"]
    with db.quick():
        email = db.value("SELECT email FROM users WHERE user_id = %(id)s::uuid", id=user_id)
    who = Principal(user_id=user_id, email=email, role="admin")
    places = _Maker(who, words, settings).all()
    return places | _queries(places, words)


class _Maker:
    """Makes one of each."""

    def __init__(self, who: Principal, words: str, settings: Settings) -> None:
        self.who, self.words, self.settings = who, words, settings
        self.deep = {"text": words, words: [words, {"deep": words}], "n": 2**53 + 1}
        self.parameters = self.deep | {"password": SECRET, "account": {"token": SECRET, "name": words}}

    def all(self) -> Places:
        """Everything, step by step; a later place of the same name does not replace an earlier one."""
        with db.transaction():
            self._ground()
        places: Places = {}
        for part in (self._running, self._finished, self._failed, self._asking, self._plans, self._money, self._news,
                     self._people, self._quality, self._upkeep, self._sessions, self._hooks):  # fmt: skip
            with db.transaction():
                places = part() | places
        return places

    def _ground(self) -> None:
        secret = {"type": "string", "x-secret": True, "title": self.words}
        account = {"type": "object", "properties": {"token": {"type": "string", "writeOnly": True}}}
        described = {"type": "string", "title": self.words, "description": self.words, "default": self.words}
        acting.agent(
            AGENT,
            title=self.words,
            delegation={"to": [AGENT], "recursive": True},
            parameters={
                "type": "object",
                "properties": {"text": described, "password": secret, "account": account, "choice": {"enum": [self.words, "b"]}},
            },
        )  # fmt: skip
        fleet.register(
            WORKER, hostname=self.words, process_id=1, pools=("general",), threads=4, release=self.words
        )

    def _claim(self, **more: Any) -> Claim:
        wish = {
            "agent_id": AGENT,
            "submitted_by": self.who.user_id,
            "parameters": self.parameters,
            "task_name": self.words,
            "tags": (self.words[:50],),
            "priority": "critical",
        } | more
        job_id = acting.submitted(**wish)
        (claim,) = claims.claim_next(WORKER, POOLS, lease_seconds=3600)
        assert claim.job_id == job_id
        return claim

    def _say(self, claim: Claim, **news: Any) -> None:
        call = {"call_id": "c1", "name": self.words, "arguments": self.deep}
        told = [
            ("log", self.words, None),
            ("stage", self.words, {"stage": self.words}),
            ("turn", self.words, {"turn": 1}),
            ("tool", self.words, call),
            ("tool_result", self.words, {"call_id": "c1", "ok": False, "name": self.words}),
            ("provider", self.words, {"reason": self.words, "from": self.words, "to": self.words}),
            ("budget", self.words, {"unit": "usd"}),
            ("watchdog", self.words, {"kind": "stalled"}),
            ("progress", self.words, {"progress": 30}),
        ]
        lines = [
            Line(at=clock.now(), kind=kind, level="warning", source=self.words, message=message, data=data)
            for kind, message, data in told
        ]
        assert write(
            Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines, **news)
        )

    def _running(self) -> Places:
        claim = self._claim()
        self._say(
            claim,
            progress=30,
            stage=self.words,
            current_step=self.words,
            pins={"provider": self.words, "model": self.words},
            watchdog={"state": "stalled", "since": clock.now().isoformat(), "last": self.words},
        )
        waiting = acting.submitted(
            AGENT, submitted_by=self.who.user_id, parameters=self.parameters, task_name=self.words, due_in=9e4
        )
        self._delegate(claim)
        return {"running": claim.job_id, "waiting": waiting}

    def _delegate(self, claim: Claim) -> None:
        wish = Wish(
            agent_id=AGENT,
            parameters=self.parameters,
            submitted_by="",
            task_name=self.words,
            run_at=clock.now() + timedelta(days=1),
        )
        submit_child(claim.job_id, claim.fence, wish, Limits(depth=3, children=9))

    def _finished(self) -> Places:
        claim = self._claim()
        self._say(claim, stage=self.words)
        kept = {
            "report.md": f"# {self.words}\n\n[{self.words}](javascript:__xss=3) <b onclick=__xss=4>x</b>",
            "page.html": f"<title>{self.words}</title>{self.words}",
            "drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg" onload="__xss=5">{self.words}</svg>',
            "table.csv": f"{self.words},b\n1,{self.words}",
            "data.json": '{"a": 1}',
            self.words: self.words,
        }
        rows = [
            Store(self.settings.artifact_store).keep(claim.job_id, claim.fence, name, text.encode(), None)
            for name, text in kept.items()
        ]
        for row in rows:
            artifacts.record(row)
        drafted.draft(claim.job_id, 1, 6.5, model=self.words, content={"content": self.words})
        drafted.draft(
            claim.job_id,
            2,
            8.0,
            content={"content": f"{self.words}\n\n{self.words}"},
            report=drafted.report(
                8.0,
                [
                    drafted.check(
                        self.words, 5.0, issue=self.words, suggestion=self.words, evidence=self.words
                    )
                ],
                feedback=self.words,
            ),
        )
        ledger.append(
            ledger.Spender(job_id=claim.job_id, fence=claim.fence, agent_id=AGENT, submitted_by=self.who.user_id),
            [Part(call_id="c1", part=1, provider=self.words, model=self.words, input_tokens=5, output_tokens=5,
                  cache_read_tokens=0, cache_write_tokens=0, reasoning_tokens=0, cost_usd=Decimal("0.1"),
                  cost_status="reported", billing="api", price_version=None)],
        )  # fmt: skip
        result = {
            "headline": {"text": self.words, "url": "https://example.org/" + self.words},
            "report": f"# {self.words}\n\n[x](javascript:__xss=6)",
            "content": self.words,
            "deep": self.deep,
        }
        assert lifecycle.complete_many([Success(claim, result, None, "passed", 8.0)]) == [True]
        return {
            "stopped": self._stopped(),
            "job_id": claim.job_id,
            "artifact_id": str(rows[1]["artifact_id"]),
            "number": "2",
            **{f"artifact:{row['name']}": str(row["artifact_id"]) for row in rows},
        }

    def _stopped(self) -> str:
        claim = self._claim()
        lifecycle.fail(claim, StoppedByBudget(self.words), Reason.STOPPED_BUDGET, partial=self.deep)
        return claim.job_id

    def _failed(self) -> Places:
        found = {}
        for name in ("failed", "failed_too"):
            claim = self._claim()
            self._say(claim)
            lifecycle.fail(claim, PermanentError(self.words), Reason.PERMANENT, f"Traceback\n{self.words}")
            found[name] = claim.job_id
        letter = db.row("SELECT dlq_id::text, group_key FROM dead_letters LIMIT 1")
        assert letter is not None
        error_groups.say(letter["group_key"], "ignored", by=self.who.user_id, note=self.words)
        error_groups.say(letter["group_key"], "open", by=self.who.user_id, note=self.words)
        return {**found, "dlq_id": letter["dlq_id"], "group": letter["group_key"]}

    def _asking(self) -> Places:
        form = {
            "type": "object",
            "title": self.words,
            "properties": {
                "plain": {
                    "type": "string",
                    "title": self.words,
                    "description": self.words,
                    "default": self.words,
                },
                "one_of": {"enum": [self.words, "b"]},
            },
        }
        shown = {"text": self.words, "input": self.deep, "draft": {"number": 1, "of": 2, "text": self.words}}
        gate = {"quality": drafted.report(5.0, [drafted.check(self.words, 4.0)], feedback=self.words)}
        asks = {
            "shown": shown | gate, "form": form, "editable": {"text": self.words},
            "options": ("approve", "reject", "edit", "ask_back"), "approvers": (self.who.email, "a@example.org"),
        }  # fmt: skip
        open_one = acting.asks(self._claim(), self.words, kind="gate", **asks)
        over = acting.asks(self._claim(), self.words, **asks)
        db.run(
            """UPDATE approvals SET status = 'rejected', comment = %(words)s, answered_by = %(words)s,
                      answered_at = now(), answer = %(deep)s WHERE approval_id = %(id)s""",
            id=over, words=self.words, deep=as_json(self.deep),
        )  # fmt: skip
        token = links.make(open_one, "a@example.org", key=self.settings.signing_key)
        rule = {
            "name": self.words[:100], "agents": ["test-sleeper"], "question": self.words, "approvers": [self.who.email],
        }  # fmt: skip
        policy = str(policies.create(by=self.who.email, **rule)["policy_id"])
        return {
            "approval_id": open_one, "answered": over, "token": links.address("", token).rpartition("/")[2],
            "policy_id": policy,
        }  # fmt: skip

    def _plans(self) -> Places:
        steps = [
            {
                "step_id": "ask",
                "type": "approval",
                "title": self.words,
                "question": self.words,
                "shown": self.deep,
            },
            {"step_id": "say", "agent_id": AGENT, "title": self.words, "parameters": {"text": self.words}},
        ]
        definition = {"name": self.words[:100], "description": self.words, "steps": steps}
        run = runs.start(RunWish(definition=read(definition), submitted_by=self.who.user_id))["workflow_id"]
        for more in ("one", "two"):
            definition["steps"] = [*steps, steps[1] | {"step_id": more}]
            templates.save(
                "a-template", raw=definition, by=self.who.user_id, title=self.words[:100], note=self.words
            )
            definition["steps"] = steps
        plan = world.changes.create(
            world.changes.Wish(
                submitted_by=self.who.user_id, agent_id=AGENT, parameters=self.parameters, name=self.words,
                cron_expression="0 2 * * *",
            )
        )  # fmt: skip
        return {
            "workflow_id": str(run), "step_id": "ask", "schedule_id": str(plan["schedule_id"]),
            **{f"{page}.name": "a-template" for page in _OF_TEMPLATES},
        }  # fmt: skip

    def _money(self) -> Places:
        budget = world.spending.create(
            by=self.who.email, name=self.words[:100], scope="agent", subject=AGENT, unit="usd", limit_amount=9
        )  # fmt: skip
        world.catalogue.add(
            "a-provider", {"base_url": "http://127.0.0.1:9/v1", "model": self.words, "title": self.words[:60]}
        )
        money = {"input_usd": Decimal(1), "output_usd": Decimal(2)}
        prices.put("a-provider", self.words[:100], date(2026, 1, 1), by=self.who.email, **money)
        return {"budget_id": str(budget["budget_id"]), "provider_id": "a-provider"}

    def _news(self) -> Places:
        hook = endpoints.create("https://a.example/", owner=self.who.user_id, description=self.words)
        news = outbox.tell(
            "job.completed", title=self.words, audience=self.who.user_id, emails=[self.who.email],
        )  # fmt: skip
        posted = world.deliveries.page(notification_id=news)[0]["delivery_id"]
        db.run(
            """INSERT INTO delivery_attempts (delivery_id, number, duration_ms, status_code, error, response)
               VALUES (%(id)s, 1, 9, 500, %(words)s, %(words)s)""",
            id=posted,
            words=self.words,
        )
        db.run("UPDATE deliveries SET status = 'failed', reason = %(words)s, next_at = NULL, finished_at = now() WHERE delivery_id = %(id)s",
               id=posted, words=self.words)  # fmt: skip
        return {
            "notification_id": news, "delivery_id": str(posted), "endpoint_id": str(hook["endpoint_id"]),
            "rule_id": str(world.rules.create(
                event="job.failed", channel="email", target="a@example.org", by=self.who.email)["rule_id"]),
        }  # fmt: skip

    def _people(self) -> Places:
        other = Principal(
            user_id=str(
                users.create('"<img>"@example.org', None, role="user", name=self.words[:100])["user_id"]
            ),
            email='"<img>"@example.org',
            role="user",
        )
        theirs = api_keys.create(other, name=self.words[:60])
        db.run(
            "UPDATE users SET name = %(words)s WHERE user_id = %(id)s", words=self.words, id=self.who.user_id
        )
        lost = str(users.create("lost@example.org", None, role="user")["user_id"])
        login_id = logins.open_login(
            self.who.user_id, kind="browser", method="password", ip="192.0.2.7", user_agent=self.words,
            life=timedelta(hours=1),
        )  # fmt: skip
        chosen = account_links.make(lost, "invite")
        view = views.save(self.who, page="jobs", name=self.words[:60], query="q=" + self.words, shared=True)
        key = api_keys.create(self.who, name=self.words[:60])
        return {
            "view_id": str(view["view_id"]), "key_id": str(key.key_id), "login_id": login_id,
            "choose_password.token": chosen, "choosing_password.token": chosen,
            "user_id": other.user_id, "user_key_revoke.key_id": theirs.key_id,
        }  # fmt: skip

    def _quality(self) -> Places:
        for threshold in (6, 7):
            gates.save(
                "a-gate",
                {"threshold": threshold, "checks": [{"check": "judge", "criteria": self.words}], "title": self.words},
                by=self.who.email, title=self.words[:100], note=self.words,
            )  # fmt: skip
        return {f"{page}.name": "a-gate" for page in _OF_GATES}

    def _sessions(self) -> Places:
        """One that is active, with everything in it, one that is paused and one that was deleted."""
        for session_id in ("a-session", "a-paused", "a-deleted"):
            sessions.create(
                session_id, who=self.who, title=self.words[:200], participants=[self.words[:100], "ada@example.org"],
                metadata={self.words[:50]: self.words}, callback_url="https://a.example/told",
            )  # fmt: skip
        sessions.change("a-paused", who=self.who, status="paused")
        sessions.delete("a-deleted", who=self.who)
        by = self.who.user_id
        talk.add("a-session", [{"speaker": self.words[:100], "text": self.words}] * 3, by=by)
        memory.store("a-session", key=self.words[:100], content=self.words, tags=[self.words[:60]], by=by)
        note = made_in.add("a-session", name=self.words[:100], content=self.words, by=by)
        made_in.add("a-session", name=self.words[:100], type="link", url="https://a.example/", by=by)
        delegating.delegate("a-session", agent_id=AGENT, parameters=self.parameters, who=self.who)
        summary.make("a-session", by=by)
        return {
            "session_id": "a-session", "session_artifact.artifact_id": note["artifact_id"],
            "session_file.artifact_id": note["artifact_id"],
        }  # fmt: skip

    def _hooks(self) -> Places:
        """One with two rules, of which one fails, and a delivery that came in."""
        hook = hooks.create("a-hook", who=self.who, name=self.words[:100], ip_allowlist=["192.0.2.0/24"])
        does = {
            "kind": "job",
            "agent_id": AGENT,
            "parameters": {"text": self.words},
            "tags": [self.words[:60]],
        }
        told = {
            "kind": "session",
            "command": "store_memory",
            "session_id": "nowhere",
            "payload": {"key": self.words},
        }
        such = [{"path": "action", "is": "not_equals", "value": self.words}]
        rules = [
            hooks.add_rule(
                hook["hook_id"],
                who=self.who,
                name=self.words[:100],
                events=["*"],
                conditions=such,
                action=each,
            )
            for each in (does, told)
        ]
        body = json.dumps({"action": "opened", "title": self.words}).encode()
        headers = {"content-type": "application/json", "x-github-event": self.words[:60]}
        message = reading.Message(external_id=self.words[:100], event="issues.opened", body=json.loads(body))
        came = keeping.new_id()
        status, results = hook_rules.run(hook, message, came)
        keeping.keep(
            came, hook, message, headers=headers, body=body, status=status, results=results, ip="192.0.2.1"
        )
        db.run("UPDATE hooks SET last_refused_at = now(), last_refusal = %(words)s", words=self.words)
        return {
            "hook_id": hook["hook_id"], "hook_rule_id": rules[0]["rule_id"], "incoming_id": came,
            "hook_act.verb": "rotate", "hook_rule_act.verb": "down",
        }  # fmt: skip

    def _upkeep(self) -> Places:
        pools.pause("testing", reason=self.words, by=self.who.email, until=None)
        registry.configure(AGENT, {"max_concurrent_tasks": 3})
        choice = bulk_choice.Choice(
            subject="jobs", verb="cancel", only=Filter(agents=(AGENT,)), query={"q": self.words}
        )
        many = bulk.create(bulk.Wish(choice=choice, words=self.words), self.who)
        alert = db.value(
            """INSERT INTO alerts (alert_id, rule, subject, severity, message, value, worst, threshold, wrong_since, raised_at)
               VALUES (gen_random_uuid(), 'backlog', %(words)s, 'critical', %(words)s, 9, 9, 1, now(), now())
               RETURNING alert_id::text""",
            words=self.words,
        )
        backup = records.begin("manual", by=self.who.user_id, version="1", stage=self.words)
        assert backup is not None
        with_failure = records.begin("manual", by=self.who.user_id, version="1")
        records.fail(str(with_failure), self.words)
        return {
            "backup_id": backup, "bulk_id": str(many["bulk_id"]), "alert_id": alert, "rule": "backlog", "pool": "general",
            "worker_id": WORKER, "agent_id": AGENT, "version": "1", "verb": "pause",
        }  # fmt: skip


_OF_TEMPLATES = ("workflow_template", "workflow_template_run", "workflow_template_act", "workflow_template_version",
                 "workflow_template_restore")  # fmt: skip
_OF_GATES = ("gate", "gate_act", "gate_version", "gate_restore")
_TABS = ("overview", "log", "transcript", "attempts", "result", "quality", "cost", "events", "json")


def _queries(places: Places, words: str) -> Places:
    """The queries without which some pages show nothing, and those that put the words into the address."""
    q = quote(words)
    return {
        "compare?": f"?a={places['job_id']}&b={places['failed']}",
        "drafts?": "?a=1&b=2",
        "dead_review?": f"?id={places['dlq_id']}",
        "ui_dead_group?": f"?group={quote(places['group'])}",
        "gate_editor?": "?gate=a-gate",
        "workflow_new?": "?template=a-template",
        "search?": f"?q={q}",
        "search_words?": f"?q={q}",
        "jobs_complete?": f"?q=tag:{q}",
        "workflows?": f"?q={q}",
        "sign_in?": f"?next=/jobs?q={q}",
    }


def everywhere(places: Places) -> list[str]:
    """The addresses of all pages and fragments, and of those looks at them that show something else."""
    q = quote(HOSTILE)
    jobs = [f"/jobs/{places[which]}?tab={tab}" for which in ("job_id", "failed", "running") for tab in _TABS]
    return [
        *addresses("GET", places).values(),
        *addresses("GET", places, fragments=True).values(),
        *jobs,
        f"/jobs/{places['waiting']}",
        f"/jobs/{places['failed']}/replay",
        f"/jobs/{places['stopped']}",
        f"/jobs/{places['stopped']}?tab=cost",
        f"/schedules/new?target=agent:{AGENT}",
        "/schedules/new?target=template:a-template",
        f"/jobs?q={quote('agent:' + AGENT)}&more=on",
        f"/jobs?q={q}",
        f"/jobs?tag={quote(HOSTILE[:50])}",
        f"/jobs?agent={q}",
        "/workflows",
        "/dead-letters?window=30d&all=1",
        f"/dead-letters?group={quote(places['group'])}",
        f"/dead-letters/{places['failed']}",
        f"/approvals/{places['answered']}",
        "/approvals?kind=gate",
        f"/submit/{AGENT}?example=1",
        f"/search?q={q[:6]}",
        *(f"/sessions/a-session?tab={tab}" for tab in ("memories", "artifacts", "jobs", "events")),
        f"/sessions/a-session?tab=memories&edit={quote(HOSTILE[:100])}",
        f"/sessions/a-session?tab=memories&q={q}",
        f"/sessions/a-session?tab=jobs&agent={AGENT}",
        "/sessions/a-paused",
        "/sessions/a-deleted",
        f"/sessions?q={q}",
        "/costs?by=model&days=30",
        "/costs?by=tag",
        "/quality?days=30",
        "/?range=7d",
        f"/ui/jobs/{places['running']}/log?after=0",
        f"/ui/jobs/{places['running']}/story?after=0",
        f"/nowhere/{q}",
        f"/jobs/{q}",
        f"/gates/{q}",
        f"/workflow-templates/{q}",
    ]
