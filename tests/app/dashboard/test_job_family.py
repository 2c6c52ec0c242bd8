"""The panel of delegated jobs: where there are some, with their costs, the way up, and one way to stop them all."""

from __future__ import annotations

import pytest

from app.db import db
from app.jobs import lifecycle
from app.jobs.claims import Claim
from app.jobs.delegation import Limits, submit_child
from app.jobs.intake import Wish
from tests import acting
from tests.app.api import world
from tests.app.dashboard.visiting import Visitor


def handed_out(claim: Claim, agent_id: str, task_name: str) -> str:
    with db.transaction():
        wish = Wish(agent_id=agent_id, parameters={}, submitted_by="", task_name=task_name)
        return str(submit_child(claim.job_id, claim.fence, wish, Limits(depth=3, children=9))["job_id"])


@pytest.fixture
def boss(user: Visitor) -> Claim:
    """A running job of the user, whose agent may delegate."""
    with db.transaction():
        acting.agent("boss", delegation={"to": ["helper"]})
        acting.agent("helper", delegation={"to": ["errand"]})
        acting.agent("errand")
    return world.running(user.user_id, agent_id="boss")


def test_the_tree_stands_on_the_page_with_the_way_up_and_down(user: Visitor, boss: Claim) -> None:
    child = handed_out(boss, "helper", "Find sources")
    with db.transaction():
        taken = acting.claim()
    assert taken is not None
    errand = handed_out(taken, "errand", "Fetch one")

    page = user.soup(f"/jobs/{boss.job_id}")

    rows = page.select("#family tbody tr")
    assert [row["id"] for row in rows] == [f"f-{child}", f"f-{errand}"]
    assert "Level 2" in rows[1].text
    assert "2 jobs below this one" in page.select_one("#family footer").text
    below = user.soup(f"/jobs/{errand}").select_one("#family")
    assert below.find("a")["href"] == f"/jobs/{child}"
    assert "Find sources" in below.text


def test_one_button_stops_what_lives_of_it(user: Visitor, boss: Claim) -> None:
    child = handed_out(boss, "helper", "Find sources")
    with db.transaction():
        lifecycle.complete(boss, {"ok": True})
    button = user.soup(f"/jobs/{boss.job_id}").select_one("#family button")
    assert button.text == "Cancel them all"

    assert user.post(button["formaction"]).status_code == 303

    with db.quick():
        assert acting.status(child) == "cancelled"
    assert user.soup(f"/jobs/{boss.job_id}").select_one("#family button") is None


def test_jobs_that_delegate_nothing_have_no_such_panel(user: Visitor, boss: Claim) -> None:
    alone = world.submitted(user.user_id)
    assert user.soup(f"/jobs/{alone}").select_one("#r-job-family") is None
    waiting = user.soup(f"/jobs/{boss.job_id}").select_one("#r-job-family")
    assert waiting.select_one("section") is None


def test_others_see_and_stop_nothing(viewer: Visitor, user: Visitor, boss: Claim) -> None:
    child = handed_out(boss, "helper", "Find sources")
    assert viewer.soup(f"/jobs/{boss.job_id}").select_one("#family button") is None
    assert viewer.post(f"/jobs/{boss.job_id}/tree/cancel").status_code == 403
    with db.quick():
        assert acting.status(child) == "queued"
