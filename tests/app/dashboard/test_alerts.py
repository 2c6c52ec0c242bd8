"""The page Alerts: what is wrong, who takes care of it, and what is watched."""

from __future__ import annotations

from typing import Any

import pytest

from app.alerts import queries
from app.alerts.rules import RULES
from app.db import db
from tests.app.api import world
from tests.app.dashboard.visiting import Visitor, words


def audited() -> list[tuple[str, Any]]:
    with db.quick():
        rows = db.rows("SELECT action, details FROM audit_log WHERE action LIKE 'alert%%' ORDER BY id")
    return [(row["action"], row["details"]) for row in rows]


def test_when_all_is_quiet_it_says_what_is_watched(admin: Visitor) -> None:
    page = admin.soup("/alerts")
    quiet = words(page.select_one("#s-active"))
    assert "All quiet" in quiet
    assert "many jobs fail · " in quiet
    assert not page.select("#s-recent")
    assert [row["id"] for row in page.select(".rules > li")] == [f"rule-{rule.name}" for rule in RULES]


def test_what_is_wrong_stands_first_with_its_figure_and_a_way_on(admin: Visitor) -> None:
    world.alert("backlog", "general")
    world.alert("overdue_job", world.NOTHING)
    world.alert("backlog", "testing", resolved=True)
    world.alert("job_failures", "", severity="critical", raised=False)
    page = admin.soup("/alerts")
    found = page.select("#s-active li")
    assert len(found) == 2
    told = words(page.select_one("#s-active"))
    assert "Warning A queue grows long general" in told
    assert "1,200 jobs over the limit of 1,000 jobs, at worst 1,500 jobs" in told
    assert {link["href"] for link in page.select("#s-active a.btn")} == {"/queues", f"/jobs/{world.NOTHING}"}
    assert "testing 1,500 jobs 1,000 jobs" in words(page.select_one("#s-recent tbody"))


def test_the_menu_counts_what_nobody_takes_care_of(admin: Visitor) -> None:
    world.alert("backlog", "general")
    world.alert("backlog", "testing", resolved=True)
    alert_id = world.alert("no_worker", "", severity="critical")

    def counted() -> str:
        queries.forget()
        return words(admin.soup("/").select_one("nav a[href='/alerts']"))

    assert counted() == "Alerts , 2 active"
    admin.post(f"/alerts/{alert_id}/acknowledge")
    assert counted() == "Alerts , 1 active"


def test_somebody_takes_care(admin: Visitor) -> None:
    alert_id = world.alert("backlog", "general")
    page = admin.post(f"/alerts/{alert_id}/acknowledge", follow=True)
    assert page.status_code == 200
    assert "You take care of it" in page.text
    assert "takes care" in words(admin.soup("/alerts").select_one("#s-active li"))
    assert not admin.soup("/alerts").select("#s-active form")
    assert audited() == [("alert.acknowledged", {"rule": "backlog", "of": "general"})]


def test_what_is_over_meanwhile_or_never_was(admin: Visitor) -> None:
    over = world.alert("backlog", "general", resolved=True)
    assert "This alert is over already." in admin.post(f"/alerts/{over}/acknowledge", follow=True).text
    for nothing in (world.NOTHING, "x"):
        assert admin.post(f"/alerts/{nothing}/acknowledge").status_code == 404


def test_a_rule_is_changed_switched_off_and_comes_back_as_it_was(admin: Visitor) -> None:
    world.alert("backlog", "general")
    page = admin.post("/alert-rules/backlog", {"enabled": "on", "threshold": "2,500"}, follow=True)
    assert "“A queue grows long” is raised over 2,500 jobs." in page.text
    rule = admin.soup("/alerts").select_one("#rule-backlog")
    assert rule is not None
    assert "comes with 1,000 jobs" in words(rule)
    assert rule.select_one("input[name=threshold]")["value"] == "2500"  # type: ignore[index]

    assert (
        "is not watched any more"
        in admin.post("/alert-rules/backlog", {"threshold": "2500"}, follow=True).text
    )
    page = admin.soup("/alerts")
    assert "Off" in words(page.select_one("#rule-backlog .badge"))
    assert "All quiet" in words(page.select_one("#s-active"))
    admin.post("/alert-rules/backlog", {"enabled": "on", "threshold": ""})
    with db.quick():
        assert queries.rule("backlog")["threshold"] == 1000
    assert [details["threshold"] for _, details in audited()] == [2500, 2500, 1000]


@pytest.mark.parametrize("typed", ["-1", "5000", "many", "nan", "inf", "1e400", "<b>", "9" * 400, "\x00"])
def test_a_limit_that_makes_no_sense_stays_as_typed_with_what_is_wrong(typed: str, admin: Visitor) -> None:
    answer = admin.post("/alert-rules/backlog", {"enabled": "on", "threshold": typed})
    if typed == "\x00":
        assert answer.status_code == 303
        return
    assert answer.status_code == 422
    assert "must be" in answer.text
    assert "<b>" not in answer.text
    assert audited() == []


def test_a_rule_that_there_is_not(admin: Visitor) -> None:
    assert admin.post("/alert-rules/nothing", {"enabled": "on"}).status_code == 404


def test_others_may_do_nothing_here(user: Visitor) -> None:
    alert_id = world.alert("backlog", "general")
    assert user.post(f"/alerts/{alert_id}/acknowledge").status_code == 403
    assert user.post("/alert-rules/backlog", {"threshold": "1"}).status_code == 403
    assert audited() == []


def test_what_others_named_is_text(admin: Visitor) -> None:
    world.alert("backlog", "<script>alert(1)</script>")
    page = admin.soup("/alerts")
    assert "<script>alert(1)</script>" in words(page.select_one("#s-active .tag"))
