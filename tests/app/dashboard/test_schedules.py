"""The pages of schedules: the list, the form with its preview, and one schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup

from app import clock
from app.agents import registry
from app.dashboard import agent_figures, schedules
from app.db import Row
from app.db import db as real
from app.schedules import changes as _changes
from app.schedules import queries as _queries
from app.workflows import templates
from tests.app.dashboard.aside import Aside, acting, agent, db, lifecycle, submitted
from tests.app.dashboard.visiting import Visitor, words

changes, queries = Aside(_changes), Aside(_queries)

SCHEMA = {
    "type": "object",
    "required": ["report_type"],
    "additionalProperties": False,
    "properties": {
        "report_type": {"type": "string", "enum": ["daily", "weekly"]},
        "note": {"type": "string", "maxLength": 20},
    },
}


@pytest.fixture(autouse=True)
def reporter() -> None:
    """An agent with a form of its own."""
    agent("test-reporter", title="Reporter", parameters=SCHEMA)


def made(owner: Visitor, **told: Any) -> str:
    """A schedule of somebody's."""
    wish = {
        "name": "Weekly report",
        "agent_id": "test-reporter",
        "parameters": {"report_type": "weekly"},
        "cron_expression": "0 9 * * 1",
        "timezone": "Europe/Berlin",
    } | told
    return str(changes.create(_changes.Wish(submitted_by=owner.user_id, **wish))["schedule_id"])


def typed(**told: str) -> dict[str, Any]:
    """The form as somebody fills it in: each Monday at nine in Berlin."""
    return {
        "target": "agent:test-reporter",
        "name": "Weekly report",
        "p.report_type": "weekly",
        "repeat": "weekly",
        "weekdays": ["1"],
        "time": "09:00",
        "timezone": "Europe/Berlin",
        "priority": "high",
        "overlap": "skip",
        "misfire": "skip",
        "jitter_seconds": "30",
        "enabled": "on",
        "do": "save",
    } | told


def only() -> Row:
    (row,) = queries.page(_queries.Filter())
    return row  # type: ignore[no-any-return]


def value(soup: BeautifulSoup, name: str) -> str:
    field = soup.select_one(f"main [name='{name}']")
    assert field is not None
    if field.name == "select":
        chosen = field.select_one("option[selected]")
        assert chosen is not None
        return str(chosen.get("value", chosen.text))
    return str(field.text.strip() if field.name == "textarea" else field.get("value", ""))


def fire(schedule_id: str, minutes_ago: int, outcome: str, **more: Any) -> None:
    db.run(
        """INSERT INTO schedule_fires (schedule_id, slot_at, outcome, reason, job_id)
           VALUES (%(id)s, now() - %(ago)s * interval '1 minute', %(outcome)s, %(reason)s, %(job_id)s)""",
        id=schedule_id, ago=minutes_ago, outcome=outcome, **{"reason": None, "job_id": None} | more,
    )  # fmt: skip


# -- the list


def test_without_schedules_two_examples_lead_to_filled_forms(admin: Visitor) -> None:
    agent("test-orchestrator", parameters={"type": "object", "properties": {"scan_path": {"type": "string"}}})
    agent("analyst", parameters=SCHEMA)
    links = {words(a): str(a["href"]) for a in admin.soup("/schedules").select("#schedules .empty a")}
    assert list(links) == ["Nightly test generation", "Weekly analytics", "New schedule"]

    nightly = admin.soup(links["Nightly test generation"])
    assert (value(nightly, "p.scan_path"), value(nightly, "time")) == ("/src", "02:00")
    assert "At 02:00" in words(nightly.select_one("#preview"))
    weekly = admin.soup(links["Weekly analytics"])
    assert value(weekly, "p.report_type") == "weekly"
    assert "At 09:00 on Monday" in words(weekly.select_one("#preview"))


def test_examples_of_agents_that_are_not_there_are_not_offered(admin: Visitor) -> None:
    assert "Weekly analytics" not in admin.get("/schedules").text


def test_the_list_tells_when_and_how_it_went(admin: Visitor) -> None:
    schedule_id = made(admin)
    done = submitted(submitted_by=admin.user_id, schedule_id=schedule_id)
    lifecycle.complete(acting.claim(), {})
    fire(schedule_id, 30, "missed", reason="3 hours late")
    fire(schedule_id, 20, "fired", job_id=done)
    soup = admin.soup("/schedules")

    line = soup.select_one(f"#s-{schedule_id}")
    assert line is not None
    told = words(line)
    assert "Weekly report On" in told
    assert "At 09:00 on Monday (Europe/Berlin)" in told
    assert "Completed" in told
    local = line.select_one(".plan time")
    assert local is not None
    assert "Mon" in local.text
    assert ", 09:00 CE" in local.text
    assert str(local["title"]).endswith("UTC")
    chart = line.select_one("svg.bars")
    assert chart is not None
    assert chart["aria-label"] == "Weekly report, last 2 times: 1 missed, 1 completed"
    assert [r["class"] for r in chart.select("rect")] == [["amber"], ["green"]]
    assert chart.select("[style]") == []


def test_the_upcoming_times_of_all_schedules_stand_together(admin: Visitor) -> None:
    made(admin, name="Each minute", cron_expression="* * * * *", timezone="UTC")
    made(admin, name="Each day", cron_expression="0 0 * * *", timezone="UTC")
    lines = admin.soup("/schedules").select("#upcoming li")

    assert len(lines) == 20
    assert {words(line.select_one("a")) for line in lines} <= {"Each minute", "Each day"}


def test_a_long_list_has_pages(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "PAGE_SIZE", 3)
    for n in range(5):
        made(admin, name=f"Number {n}")

    first = admin.soup("/schedules")
    assert len(first.select("#schedules li")) == 3
    second = admin.soup(str(first.select_one("#schedules footer a")["href"]))  # type: ignore[index]
    assert len(second.select("#schedules li")) == 2


# -- making one


def test_what_may_run_is_chosen_first(user: Visitor) -> None:
    tiles = {words(a): a["href"] for a in user.soup("/schedules/new").select(".tile a")}

    assert tiles["Reporter"] == "/schedules/new?target=agent:test-reporter"
    assert value(user.soup(str(tiles["Reporter"])), "timezone") == "UTC"
    assert user.get("/schedules/new?target=agent:nobody").status_code == 404
    assert user.get("/schedules/new?target=template:nothing").status_code == 404
    assert user.get("/schedules/new?target=nonsense").status_code == 404


def test_a_form_becomes_a_schedule(user: Visitor) -> None:
    answer = user.post("/schedules/new", typed())
    row = only()

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/schedules/{row['schedule_id']}"
    told = {
        n: row[n]
        for n in ("name", "agent_id", "parameters", "cron_expression", "timezone", "overlap", "misfire")
    }
    assert told == {
        "name": "Weekly report", "agent_id": "test-reporter", "parameters": {"report_type": "weekly"},
        "cron_expression": "0 9 * * 1", "timezone": "Europe/Berlin", "overlap": "skip", "misfire": "skip",
    }  # fmt: skip
    assert (row["jitter_seconds"], row["priority_rank"], row["enabled"]) == (30, 1, True)
    assert row["submitted_by"] == user.user_id
    page = user.soup(answer.headers["Location"])
    assert "Weekly report is made: At 09:00 on Monday (Europe/Berlin)." in words(page.select_one("#notices"))
    assert (
        db.value("SELECT action FROM audit_log WHERE subject = %(id)s", id=row["schedule_id"])
        == "schedule.created"
    )


@pytest.mark.parametrize(
    ("told", "expression"),
    [
        ({"repeat": "hourly", "minute": "15"}, "15 * * * *"),
        ({"repeat": "daily", "time": "02:00"}, "0 2 * * *"),
        ({"repeat": "weekly", "weekdays": ["1", "0"], "time": "23:59"}, "59 23 * * 0,1"),
        ({"repeat": "monthly", "day": "0", "time": "06:30"}, "30 6 L * *"),
        ({"repeat": "cron", "cron": " 0  9 * * mon-fri "}, "0 9 * * mon-fri"),
    ],
)
def test_presets_write_the_cron_expression(user: Visitor, told: dict[str, Any], expression: str) -> None:
    assert user.post("/schedules/new", typed(**told)).status_code == 303

    row = only()
    assert row["cron_expression"] == expression
    form = user.soup(f"/schedules/{row['schedule_id']}/edit")
    assert str(form.select_one("[name=repeat][checked]")["value"]) == told["repeat"]  # type: ignore[index]
    for name in ("minute", "day", "time"):
        if name in told:
            assert value(form, name) == told[name]


def test_one_time_is_meant_in_its_zone(user: Visitor) -> None:
    user.post("/schedules/new", typed(repeat="once", date="2099-07-01", time="09:00"))

    assert only()["execute_at"] == datetime(2099, 7, 1, 7, 0, tzinfo=UTC)
    form = user.soup(f"/schedules/{only()['schedule_id']}/edit")
    assert (value(form, "date"), value(form, "time")) == ("2099-07-01", "09:00")


def test_a_limit_becomes_a_budget_of_the_schedule(admin: Visitor) -> None:
    admin.post("/schedules/new", typed(budget_limit="2.50", budget_unit="usd", budget_period="day"))
    schedule_id = only()["schedule_id"]

    (budget,) = queries.spending(schedule_id)
    assert (str(budget["limit_amount"].normalize()), budget["period"]) == ("2.5", "day")
    assert "nothing priced of $2.50 a day" in words(admin.soup(f"/schedules/{schedule_id}"))


def test_a_user_cannot_smuggle_a_budget_in(user: Visitor) -> None:
    assert user.soup("/schedules/new?target=agent:test-reporter").select("[name=budget_limit]") == []
    user.post("/schedules/new", typed(budget_limit="2.50", budget_unit="usd", budget_period="day"))

    assert queries.spending(only()["schedule_id"]) == []


# -- workflows


DEFINITION = {
    "name": "Newsletter",
    "description": "Writes and sends it.",
    "inputs": {
        "type": "object",
        "required": ["topic"],
        "properties": {"topic": {"type": "string", "maxLength": 12}},
    },
    "steps": [{"step_id": "write", "agent_id": "test-reporter", "parameters": {"report_type": "weekly"}}],
}


def template(owner: Visitor, **told: Any) -> None:
    """A template of somebody's, in two versions."""
    with real.transaction():
        templates.save("newsletter", raw=DEFINITION, by=owner.user_id, title="The newsletter", **told)
        templates.save("newsletter", raw=DEFINITION | {"description": "Only sends it."}, by=owner.user_id)


def test_a_workflow_is_given_its_inputs(user: Visitor) -> None:
    template(user)
    tiles = {words(a): str(a["href"]) for a in user.soup("/schedules/new").select(".tile a")}
    form = user.soup(tiles["The newsletter"])
    assert value(form, "p.topic") == ""
    assert form.select("[name=jitter_seconds]") == []

    told = typed(target="template:newsletter", name="News", **{"p.topic": "spring"})
    del told["jitter_seconds"]
    assert user.post("/schedules/new", told).status_code == 303

    row = only()
    assert (row["template_name"], row["parameters"], row["agent_id"]) == (
        "newsletter",
        {"topic": "spring"},
        None,
    )
    page = user.soup(f"/schedules/{row['schedule_id']}")
    assert page.select_one("main a[href='/workflow-templates/newsletter']") is not None
    assert "runs now" in user.post(f"/schedules/{row['schedule_id']}/run", follow=True).text
    (ran,) = queries.fires(row["schedule_id"])
    assert (
        user.soup(f"/schedules/{row['schedule_id']}").select_one(f"a[href='/workflows/{ran['workflow_id']}']")
        is not None
    )


@pytest.mark.parametrize(("topic", "complaint"), [("", "required"), ("far too long for it", "too long")])
def test_wrong_inputs_are_told_at_their_field(user: Visitor, topic: str, complaint: str) -> None:
    template(user)
    answer = user.post(
        "/schedules/new", typed(target="template:newsletter", jitter_seconds="", **{"p.topic": topic})
    )

    assert answer.status_code == 422
    assert complaint in words(BeautifulSoup(answer.text, "html.parser").select_one("#f-topic-wrong"))


def test_a_version_that_was_chosen_stays_chosen(user: Visitor) -> None:
    template(user)
    schedule_id = made(
        user, agent_id=None, template_name="newsletter", template_version=1, parameters={"topic": "old"}
    )

    told = typed(name="Renamed", jitter_seconds="", **{"p.topic": "new"})
    assert user.post(f"/schedules/{schedule_id}/edit", told).status_code == 303

    row = only()
    assert (row["name"], row["template_version"], row["parameters"]) == ("Renamed", 1, {"topic": "new"})


def test_a_workflow_of_its_own_keeps_its_definition(user: Visitor) -> None:
    schedule_id = made(user, agent_id=None, definition=DEFINITION, parameters={"topic": "old"})
    assert value(user.soup(f"/schedules/{schedule_id}/edit"), "p.topic") == "old"

    user.post(
        f"/schedules/{schedule_id}/edit", typed(name="Renamed", jitter_seconds="", **{"p.topic": "new"})
    )

    row = only()
    assert (row["name"], row["definition"]["name"], row["parameters"]) == (
        "Renamed",
        "Newsletter",
        {"topic": "new"},
    )


def test_private_templates_of_others_are_not_there(user: Visitor, admin: Visitor) -> None:
    template(admin)

    assert "The newsletter" not in user.get("/schedules/new").text
    assert user.get("/schedules/new?target=template:newsletter").status_code == 404
    assert user.post("/schedules/new", typed(target="template:newsletter")).status_code == 404
    assert queries.page(_queries.Filter()) == []


# -- previews and complaints


def test_a_preview_saves_nothing_and_keeps_what_was_typed(user: Visitor) -> None:
    answer = user.post("/schedules/new", typed(do="preview", name="Half <b>done</b>", **{"p.note": "typed"}))
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 200
    assert queries.page(_queries.Filter()) == []
    preview = soup.select_one("#preview")
    assert "At 09:00 on Monday (Europe/Berlin)" in words(preview)
    runs = preview.select("li")  # type: ignore[union-attr]
    assert len(runs) == 5
    assert all(", 09:00 CE" in words(run) and "UTC" in words(run) for run in runs)
    assert (value(soup, "name"), value(soup, "p.note"), value(soup, "timezone")) == (
        "Half <b>done</b>", "typed", "Europe/Berlin",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "field", "complaint"),
    [
        ({"repeat": "weekly", "weekdays": []}, "weekdays", "choose at least one day"),
        ({"repeat": "cron", "cron": "61 * * * *"}, "cron", "minute '61' is wrong"),
        ({"repeat": "cron", "cron": ""}, "cron", "it needs five"),
        ({"repeat": "cron", "cron": "0 0 31 2 *"}, "cron", "never comes"),
        ({"timezone": "Europe/Berln"}, "timezone", "did you mean Europe/Berlin"),
        ({"time": "25:00"}, "time", "must be a time of day"),
        ({"repeat": "once", "date": "soon"}, "date", "must be a date"),
        ({"repeat": "once", "date": "2001-01-01"}, "date", "must be in the future"),
        ({"repeat": "hourly", "minute": "75"}, "minute", "from 0 to 59"),
        ({"repeat": "sometimes"}, "repeat", "choose one of these"),
        ({"jitter_seconds": "many"}, "jitter_seconds", "whole number"),
        ({"jitter_seconds": "999999"}, "jitter_seconds", "0 to 86400"),
        ({"p.report_type": "yearly"}, "f-report_type", "one of"),
        ({"p.report_type": ""}, "f-report_type", "required"),
        ({"p.note": "n" * 30}, "f-note", "too long"),
        ({"priority": "urgent"}, "priority", "must be one of"),
        ({"overlap": "explode"}, "overlap", "must be one of"),
    ],
)
def test_complaints_stand_at_their_field_and_nothing_typed_is_lost(
    user: Visitor, told: dict[str, Any], field: str, complaint: str
) -> None:
    answer = user.post("/schedules/new", typed(**{"p.note": "keep me", "name": "Kept"} | told))
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert queries.page(_queries.Filter()) == []
    assert complaint in words(soup.select_one(f"#{field}-wrong"))
    named = soup.select_one(f"[aria-describedby~='{field}-wrong']")
    assert named is not None
    assert named["aria-invalid"] == "true"
    assert value(soup, "name") == "Kept"
    assert value(soup, "p.note") == told.get("p.note", "keep me")


def test_a_skipped_hour_is_refused_with_the_reason(user: Visitor) -> None:
    answer = user.post("/schedules/new", typed(repeat="once", date="2099-03-29", time="02:30"))

    assert answer.status_code == 422
    assert "clocks go forward" in words(BeautifulSoup(answer.text, "html.parser").select_one("#time-wrong"))


def test_a_wrong_limit_saves_nothing(admin: Visitor) -> None:
    answer = admin.post("/schedules/new", typed(budget_limit="-3", budget_unit="usd", budget_period="day"))

    assert answer.status_code == 422
    assert BeautifulSoup(answer.text, "html.parser").select_one("#budget_limit-wrong") is not None
    assert queries.page(_queries.Filter()) == []


# -- one schedule


def test_a_schedule_tells_its_next_times_and_what_became_of_the_last(admin: Visitor) -> None:
    schedule_id = made(admin)
    job_id = submitted(submitted_by=admin.user_id)
    fire(schedule_id, 30, "fired", job_id=job_id)
    fire(schedule_id, 20, "failed", reason="the agent <b>test-reporter</b> is switched off")
    soup = admin.soup(f"/schedules/{schedule_id}")

    told = words(soup.select_one("#schedule"))
    assert len(soup.select(".runs li")) == 5
    assert "the agent <b>test-reporter</b> is switched off" in told
    assert "Could not start" in told
    assert soup.select_one(f"a[href='/jobs/{job_id}']") is not None
    assert '"report_type": "weekly"' in told
    assert "by you" in told


def test_it_is_paused_resumed_run_and_deleted_by_plain_forms(user: Visitor) -> None:
    schedule_id = made(user)
    page = f"/schedules/{schedule_id}"

    assert "is paused" in user.post(f"{page}/pause", follow=True).text
    assert only()["enabled"] is False
    assert "None: it is paused." in words(user.soup(page))
    assert "is on again" in user.post(f"{page}/resume", follow=True).text
    assert only()["enabled"] is True
    assert "runs now" in user.post(f"{page}/run", follow=True).text
    (ran,) = queries.fires(schedule_id)
    assert (ran["outcome"], ran["manual"], ran["run_status"]) == ("fired", True, "queued")
    assert user.post(f"{page}/delete").headers["Location"] == "/schedules"
    assert queries.page(_queries.Filter()) == []
    assert user.post(f"{page}/explode").status_code == 404
    did = [
        r["action"]
        for r in db.rows("SELECT action FROM audit_log WHERE subject = %(id)s ORDER BY id", id=schedule_id)
    ]
    assert did == ["schedule.pause", "schedule.resume", "schedule.run", "schedule.delete"]


def test_who_acts_in_the_list_comes_back_to_it(user: Visitor) -> None:
    schedule_id = made(user)

    there = user.post(f"/schedules/{schedule_id}/pause", Referer="http://localhost/schedules?page=0")
    here = user.post(f"/schedules/{schedule_id}/resume", Referer=f"http://localhost/schedules/{schedule_id}")

    assert (there.headers["Location"], here.headers["Location"]) == (
        "/schedules",
        f"/schedules/{schedule_id}",
    )


def test_what_keeps_it_from_running_is_said(user: Visitor) -> None:
    schedule_id = made(user)
    db.run("UPDATE agents SET enabled = false WHERE agent_id = 'test-reporter'")
    registry.forget()

    refused = user.post(f"/schedules/{schedule_id}/run", follow=True)
    assert "Not done: the agent test-reporter is switched off." in refused.text
    assert queries.fires(schedule_id) == []


def test_editing_changes_what_was_changed(user: Visitor) -> None:
    schedule_id = made(user, options={"tags": ["kept"]}, grace_seconds=77)
    form = user.soup(f"/schedules/{schedule_id}/edit")
    assert (value(form, "name"), value(form, "p.report_type")) == ("Weekly report", "weekly")

    user.post(
        f"/schedules/{schedule_id}/edit",
        typed(name="Daily report", repeat="daily", **{"p.report_type": "daily"}),
    )

    row = only()
    assert (row["name"], row["cron_expression"], row["parameters"]) == (
        "Daily report",
        "0 9 * * *",
        {"report_type": "daily"},
    )
    assert (row["options"], row["grace_seconds"]) == ({"tags": ["kept"]}, 77)


def test_a_one_time_schedule_that_has_run_can_be_renamed(user: Visitor) -> None:
    schedule_id = made(user, cron_expression=None, execute_at=clock.now() + timedelta(days=1), timezone="UTC")
    db.run(
        "UPDATE schedules SET execute_at = date_trunc('minute', now() - interval '1 h'), ended = 'fired', next_fire_at = NULL"
    )
    row = only()
    told = typed(
        repeat="once",
        date=f"{row['execute_at']:%Y-%m-%d}",
        time=f"{row['execute_at']:%H:%M}",
        timezone="UTC",
        name="Renamed",
    )

    assert user.post(f"/schedules/{schedule_id}/edit", told).status_code == 303
    assert (only()["name"], only()["ended"]) == ("Renamed", "fired")


def test_a_preview_of_an_edit_saves_nothing(user: Visitor) -> None:
    schedule_id = made(user)

    answer = user.post(
        f"/schedules/{schedule_id}/edit", typed(do="preview", repeat="cron", cron="*/5 * * * *")
    )

    assert "Every fifth minute" in answer.text
    assert only()["cron_expression"] == "0 9 * * 1"


# -- who may


def test_each_sees_their_own_and_viewers_look_only(user: Visitor, admin: Visitor, viewer: Visitor) -> None:
    mine, theirs = made(user, name="Mine"), made(admin, name="Theirs")

    listed = user.get("/schedules").text
    assert (mine in listed, theirs in listed) == (True, False)
    assert (user.get(f"/schedules/{mine}").status_code, user.get(f"/schedules/{theirs}").status_code) == (
        200,
        404,
    )
    assert user.get(f"/schedules/{theirs}/edit").status_code == 404
    assert user.get(f"/ui/schedules/{theirs}").status_code == 404
    for verb in ("run", "pause", "delete", "edit"):
        assert user.post(f"/schedules/{theirs}/{verb}", typed()).status_code == 404, verb
    seen = viewer.soup(f"/schedules/{mine}")
    assert seen.select("main button:not(#notices button)") == []
    assert "report_type" not in seen.text
    assert viewer.get("/schedules/new").status_code == 403
    for verb in ("run", "pause", "delete", "edit"):
        assert viewer.post(f"/schedules/{mine}/{verb}", typed()).status_code == 403, verb
    assert admin.get(f"/schedules/{mine}/edit").status_code == 200


def test_nothing_happens_without_the_forms_token(user: Visitor) -> None:
    schedule_id = made(user)

    for path in ("/schedules/new", f"/schedules/{schedule_id}/delete", f"/schedules/{schedule_id}/edit"):
        assert user.client.post(path, data=typed()).status_code == 400, path
    assert only()["name"] == "Weekly report"


@pytest.mark.parametrize(
    "path", ["/schedules/x", "/schedules/0192aaaa-0000-7000-8000-000000000001", "/schedules/x/edit"]
)
def test_what_is_not_there_is_a_404(admin: Visitor, path: str) -> None:
    assert admin.get(path).status_code == 404


def test_names_and_reasons_are_shown_as_text(admin: Visitor) -> None:
    schedule_id = made(admin, name="<script>alert(1)</script>\"'>")
    fire(schedule_id, 5, "failed", reason="<img src=x onerror=alert(1)>")

    for path in ("/schedules", f"/schedules/{schedule_id}", f"/schedules/{schedule_id}/edit"):
        soup = admin.soup(path)
        assert [s for s in soup.select("script") if not s.get("src")] == []
        assert soup.select("img") == []
        assert "<script>alert(1)</script>" in soup.get_text()


def test_a_form_can_be_filled_by_its_address_only_in_known_fields(admin: Visitor) -> None:
    soup = admin.soup("/schedules/new?target=agent:test-reporter&p.evil=1&p.note=hello&overlap=queue&do=save")

    assert soup.select("[name='p.evil']") == []
    assert (value(soup, "p.note"), value(soup, "overlap")) == ("hello", "queue")
    assert queries.page(_queries.Filter()) == []


def test_what_a_schedule_cost_in_seven_days_is_told_and_never_as_nothing(admin: Visitor) -> None:
    agent_figures.forget()
    schedule_id = made(admin)
    statement = """
        INSERT INTO usage_events (job_id, fence, call_id, part, agent_id, team, submitted_by, schedule_id, provider, model,
                                  input_tokens, cost_usd, cost_status, billing)
        VALUES (gen_random_uuid(), 1, 'c1', 0, 'a', 't', 'x', %(id)s, 'p', 'm', 10, %(usd)s, %(status)s, 'api')"""
    db.run(statement, id=schedule_id, usd=None, status="unpriced")
    assert "unpriced in 7 days" in words(admin.soup("/schedules").select_one(f"#s-{schedule_id}"))
    db.run(statement, id=schedule_id, usd="0.25", status="derived")
    agent_figures.forget()
    said = words(admin.soup(f"/schedules/{schedule_id}").select_one("#schedule"))
    assert "Cost, 7 days $0.25, part unpriced" in said
