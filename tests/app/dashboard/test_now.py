"""The front page: what needs somebody, what runs, what failed and why, and whether all is well, for each role."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup

from app import clock
from app.dashboard import now, now_figures
from app.db import db as database
from app.errors import PermanentError
from app.jobs import rollups
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from app.workers import fleet as _fleet
from tests.app.dashboard.aside import Aside, acting, claimed, db, lifecycle, submitted, timeline
from tests.app.dashboard.visiting import Visitor, words
from tests.app.jobs import ended as _history
from tests.app.jobs.ended import NOW

fleet = Aside(_fleet)
history = Aside(_history)
PANELS = ("questions", "overview", "running", "failures", "chart", "finished", "health", "queues")


def _look(visitor: Visitor, panel: str, query: str = "") -> BeautifulSoup:
    """A panel as it is now, not as somebody saw it a moment ago."""
    now_figures.forget()
    now.forget_spending()
    rollups.forget()
    return visitor.soup(f"/ui/now/{panel}{query}")


def _figure(visitor: Visitor, name: str) -> str:
    return words(_look(visitor, "overview").select_one(f"#f-{name}"))


def _said(taken: Any, *lines: str, **more: Any) -> None:
    """Let a running job say something."""
    told = [Line(at=clock.now(), kind="log", level="info", source="agent", message=line) for line in lines]
    assert timeline.write(
        Report(job_id=taken.job_id, fence=taken.fence, lease_id=taken.lease_id, lines=told, **more)
    )


def _failed(owner: str, message: str = "no such file: /srv/1.csv\nand more") -> None:
    lifecycle.fail(claimed(submitted_by=owner), PermanentError(message), Reason.PERMANENT)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("role", ["admin", "user", "viewer"])
def test_every_panel_is_there_for_everybody_and_says_when_to_come_back(
    request: pytest.FixtureRequest, panel: str, role: str
) -> None:
    visitor: Visitor = request.getfixturevalue(role)

    answer = visitor.get(f"/ui/now/{panel}")

    assert answer.status_code == 200
    assert answer.headers["HX-Poll"] == "10000ms"
    again = visitor.get(f"/ui/now/{panel}", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("panel", ["overview", "running", "failures", "chart", "health", "queues"])
def test_figures_come_every_five_seconds_while_something_changes(user: Visitor, panel: str) -> None:
    submitted(submitted_by=user.user_id)

    assert user.get(f"/ui/now/{panel}").headers["HX-Poll"] == "5000ms"


def test_the_figures_lead_to_what_they_count(admin: Visitor) -> None:
    fleet.register("w1", hostname="h", process_id=1, pools=("general",), threads=4, release="x")
    acting.asked()
    claimed()
    submitted()
    for _ in range(3):
        history.ended(2)
    history.ended(2, status="failed")

    shown = _look(admin, "overview")

    assert [words(stat) for stat in shown.select(".stat")][:4] == [
        "Running 1 /4 of 4 threads",
        words(shown.select_one("#f-waiting")),
        "Needs you 1 to answer",
        "Failed 1 in the last 24 h",
    ]
    assert words(shown.select_one("#f-waiting")).startswith("Waiting 1 oldest since")
    assert words(shown.select_one("#f-success")) == "Success 75.0 % last 24 h"
    assert [stat["href"] for stat in shown.select("a.stat")] == [
        "/jobs?state=running", "/jobs?state=waiting", "/approvals", "/dead-letters?window=24h&all=1",
        "/costs?days=1&by=agent", "/analytics?window=24h",
    ]  # fmt: skip


def test_users_see_figures_of_their_own_jobs(user: Visitor, viewer: Visitor) -> None:
    claimed(submitted_by=user.user_id)
    claimed()
    history.ended(1, status="failed")

    assert _figure(user, "running") == "Running 1 no worker"
    assert _figure(user, "dead") == "Failed 0 in the last 24 h"
    assert _figure(viewer, "running") == "Running 2 no worker"
    assert _figure(viewer, "dead") == "Failed 1 in the last 24 h"
    assert _look(user, "overview").select_one("#f-dead")["href"] == "/jobs?state=failed&since=24h"  # type: ignore[index]


def test_a_worse_day_than_the_one_before_is_called_so(admin: Visitor) -> None:
    history.ended(30)
    history.ended(2)
    history.ended(2, status="failed")

    assert _figure(admin, "success") == "Success 50.0 % last 24 h, ↓ worsening"


def _used(**columns: Any) -> None:
    values = {"cost_usd": None, "cost_status": "unpriced", "input_tokens": 12_345, **columns}
    db.run(
        """INSERT INTO usage_events (job_id, fence, call_id, part, agent_id, team, submitted_by, provider, model,
                                     input_tokens, cost_usd, cost_status, billing)
           VALUES (gen_random_uuid(), 1, 'c', 1, 'a', '', 'x', 'p', 'm', %(input_tokens)s, %(cost_usd)s,
                   %(cost_status)s, 'api')""",
        **values,
    )


def test_what_has_no_price_is_never_shown_as_free(viewer: Visitor) -> None:
    assert _figure(viewer, "spend") == "Spend today – nothing used today"
    _used()
    assert _figure(viewer, "spend") == "Spend today 12,345 tok unpriced"
    _used(cost_usd="1.25", cost_status="reported")
    assert _figure(viewer, "spend") == "Spend today $1.25 12,345 tok unpriced"


def test_the_spend_of_today_stands_beside_the_budget_of_a_day(viewer: Visitor) -> None:
    _used(cost_usd="2.50", cost_status="reported")
    db.run(
        """INSERT INTO budgets (budget_id, name, scope, unit, limit_amount, period, spent, created_by)
           VALUES (gen_random_uuid(), 'All', 'global', 'usd', 10, 'day', 2.5, 'x'),
                  (gen_random_uuid(), 'Month', 'global', 'usd', 99, 'month', 2.5, 'x')"""
    )

    shown = _look(viewer, "overview").select_one("#f-spend")

    assert words(shown) == "Spend today $2.50 of $10.00 a day"
    assert shown.select_one(".meter rect")["width"] == "25.0"  # type: ignore[union-attr, index]


def test_what_runs_says_what_it_said_last_and_what_it_used(user: Visitor) -> None:
    taken = claimed(submitted_by=user.user_id, task_name="The long one", options={"budget": {"tokens": 2000}})
    _said(
        taken,
        "first",
        "  reading\nthe second file ",
        progress=40,
        current_step="step 2",
        usage={"input_tokens": 500},
    )

    shown = words(_look(user, "running").select_one(f"#run-{taken.job_id}"))

    assert "The long one" in shown
    assert "40 %" in shown
    assert "reading the second file" in shown
    assert "500 tok, unpriced of 2,000 tokens" in shown


def test_viewers_see_that_it_runs_but_not_what_it_says(viewer: Visitor, admin: Visitor) -> None:
    taken = claimed()
    _said(taken, "the secret plan", current_step="step 2")
    db.run(
        """UPDATE jobs SET watchdog = '{"state": "looping", "since": "2026-11-22T10:00:00Z", "last": "the secret tool"}'
           WHERE job_id = %(id)s""",
        id=taken.job_id,
    )

    seen, by_admin = (words(_look(who, "running")) for who in (viewer, admin))

    assert "Going in circles" in seen
    assert "secret" not in seen
    assert "last: the secret tool" in by_admin


def test_what_makes_no_progress_is_marked(user: Visitor) -> None:
    taken = claimed(submitted_by=user.user_id)
    _said(
        taken,
        "npm test",
        watchdog={"state": "stalled", "since": "2026-11-22T10:00:00.000Z", "last": "Bash npm test"},
    )

    assert "No progress since 10:00:00 ; last: Bash npm test" in words(_look(user, "running"))


def test_hostile_words_are_text(admin: Visitor) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    taken = claimed(task_name=hostile)
    _said(taken, hostile)
    _failed("somebody", hostile)

    for panel in ("running", "failures"):
        shown = _look(admin, panel)
        assert shown.select("img") == []
        assert hostile in shown.text


def test_failures_are_grouped_with_the_first_line_of_why(
    admin: Visitor, user: Visitor, viewer: Visitor
) -> None:
    _failed(user.user_id)
    _failed(user.user_id, "no such file: /srv/2.csv\nand more")
    _failed("somebody", "connection refused")

    groups = [words(line) for line in _look(admin, "failures").select("li")]

    assert len(groups) == 2
    assert "test-noop 2 times" in groups[0]
    assert "PermanentError no such file: /srv/2.csv" in groups[0]
    link = _look(admin, "failures").select_one("li a")["href"]  # type: ignore[index]
    assert str(link).startswith("/dead-letters?group=test-noop:PermanentError:")
    mine = _look(user, "failures")
    assert len(mine.select("li")) == 1
    assert "your jobs, in the last 24 hours" in words(mine)
    assert mine.select_one("li a")["href"] == "/jobs?state=failed&agent=test-noop&since=24h"  # type: ignore[index]
    seen = words(_look(viewer, "failures"))
    assert "PermanentError" in seen
    assert "refused" not in seen


def test_only_the_first_line_of_an_error_is_shown(admin: Visitor) -> None:
    _failed("somebody")

    assert "and more" not in words(_look(admin, "failures"))


def test_health_says_what_to_look_at(admin: Visitor) -> None:
    assert "1 to look at" in words(_look(admin, "health"))
    assert "None is alive" in words(_look(admin, "health"))
    fleet.register("w1", hostname="h", process_id=1, pools=("general",), threads=4, release="x")
    claimed()

    well = words(_look(admin, "health"))
    assert "All well" in well
    assert "1 alive 1 of 4 threads busy" in well
    assert "Last hour no job ended" in well
    assert "Providers None set up" in well

    db.run("UPDATE queues SET paused = true WHERE pool = 'testing'")
    db.run(
        """INSERT INTO budgets (budget_id, name, scope, unit, limit_amount, period, stopped_at, created_by)
           VALUES (gen_random_uuid(), 'All', 'global', 'usd', 10, 'day', now(), 'x')"""
    )
    shown = words(_look(admin, "health"))
    assert "2 to look at" in shown
    assert "1 paused Testing" in shown
    assert "1 spent new work is held" in shown


def test_the_last_hour_is_told_with_its_trend(viewer: Visitor) -> None:
    history.ended(1.5)
    for _ in range(3):
        history.ended(0.5)
    history.ended(0.5, status="failed")

    assert words(_look(viewer, "health").select_one("#last-hour")) == (
        "75.0 % success (3), 25.0 % failed (1), ↓ worsening"
    )


def test_alerts_are_for_admins(admin: Visitor, user: Visitor) -> None:
    db.run("DELETE FROM alerts")
    db.run(
        """INSERT INTO alerts (alert_id, rule, severity, message, raised_at)
           VALUES (gen_random_uuid(), 'x', 'critical', 'the queue is very long', now())"""
    )

    assert "Critical the queue is very long" in words(_look(admin, "health"))
    assert "very long" not in words(_look(user, "health"))
    db.run("DELETE FROM alerts")


def _svgs(soup: BeautifulSoup) -> list[ET.Element]:
    return [ET.fromstring(str(svg)) for svg in soup.select("svg.chart")]


@pytest.mark.parametrize("window", rollups.WINDOWS)
def test_without_jobs_the_chart_is_whole_and_says_so(viewer: Visitor, window: str) -> None:
    shown = _look(viewer, "chart", f"?range={window}")

    (columns,) = _svgs(shown)
    assert len(list(columns)) == rollups.WINDOWS[window].parts
    assert "0 jobs ended" in words(shown)
    assert "nothing ended yet" in words(shown)
    assert len(shown.select("#throughput-table tbody tr")) == rollups.WINDOWS[window].parts


def test_the_chart_tells_the_same_as_columns_as_words_and_as_a_table(
    viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    for _ in range(3):
        history.ended(1)
    history.ended(1, status="failed")
    history.ended(3, status="cancelled")

    shown = _look(viewer, "chart", "?range=24h")

    sentence = "Since 9 Mar, 13:00 UTC, 5 jobs ended: 3 completed, 1 failed, 1 cancelled"
    columns, rates = _svgs(shown)
    assert columns.get("aria-label") == sentence
    assert f"{sentence}. A column is an hour." in words(shown)
    titles = [title.text for title in columns.iter("title")]
    assert titles[-2] == "11:00 to 12:00 UTC: 3 completed, 1 failed"
    assert [title.text for title in rates.iter("title")] == ["11:00 to 12:00 UTC: 25 % failed"]
    assert words(shown.select("#throughput-table tbody tr")[1]) == "11:00 to 12:00 3 1 0 25 % 4.0 s 1.0 s"


def test_the_time_of_the_chart_stands_in_the_address_and_stays(user: Visitor) -> None:
    history.ended(3, owner=user.user_id)
    history.ended(3)

    soup = user.soup("/?range=6h")

    region = soup.select_one("#r-now-chart")
    assert region is not None
    assert region["hx-get"] == "/ui/now/chart?range=6h"
    assert region.select_one('[aria-current="true"]').text == "6 h"  # type: ignore[union-attr]
    assert "1 of your jobs ended" in words(region)
    assert user.soup("/?range=nonsense").select_one('.ranges [aria-current="true"]').text == "24 h"  # type: ignore[union-attr]


def test_a_new_installation_shows_what_to_do_first(admin: Visitor, viewer: Visitor) -> None:
    soup = admin.soup("/")

    first = soup.select_one("#first-job")
    assert "curl -X POST" in words(first)
    assert [a["href"] for a in first.select("a")] == ["/submit", "/agents/import"]  # type: ignore[union-attr]
    assert viewer.soup("/").select("#first-job a, #first-job form") == []
    submitted()
    assert admin.soup("/").select("#first-job") == []


def test_the_demo_job_runs_by_one_button(user: Visitor) -> None:
    acting.agent(
        "analyst",
        parameters={"type": "object", "properties": {"file": {"type": "string"}}},
        example={"file": "a.csv"},
    )
    form = user.soup("/").select_one("#first-job form")
    assert form is not None
    fields = {field["name"]: field["value"] for field in form.select("input")}

    answer = user.client.post(str(form["action"]), data=fields)

    assert answer.status_code == 303
    assert acting.job(answer.headers["Location"].rpartition("/")[2])["parameters"] == {"file": "a.csv"}


def _noting(asked: list[str], verb: Callable[..., Any]) -> Callable[..., Any]:
    def ask(statement: str, **values: Any) -> Any:
        asked.append(statement)
        return verb(statement, **values)

    return ask


def test_many_viewers_cost_no_more_looks_at_the_jobs_than_one(
    admin: Visitor, viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now_figures._kept, "_seconds", 60)
    panels = ("overview", "running", "finished", "failures", "health")
    statements: list[str] = []
    for verb in ("rows", "row", "value"):
        monkeypatch.setattr(database, verb, _noting(statements, getattr(database, verb)))

    seen = []
    for visitor in (admin, viewer):
        statements.clear()
        for panel in panels:
            visitor.soup(f"/ui/now/{panel}")
        seen.append([each for each in statements if "FROM jobs" in each or "task_history" in each])

    assert len(seen[0]) > 4
    assert seen[1] == []


def test_an_hour_that_goes_on_changes_no_chart(viewer: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    history.ended(2)
    tag = viewer.get("/ui/now/chart").headers["ETag"]
    rollups.forget()
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(minutes=10))

    assert viewer.get("/ui/now/chart", **{"If-None-Match": tag}).status_code == 304
