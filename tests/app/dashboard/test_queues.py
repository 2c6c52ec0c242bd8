"""The page of queues: how full, what comes next, limits; and what of others' jobs is not told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.agents import registry as _registry
from app.jobs import pools as _pools
from app.jobs import rollups, stats
from app.workers import fleet as _fleet
from tests.app.dashboard.aside import Aside, acting, agent, claimed, db, submitted
from tests.app.dashboard.visiting import Visitor, words

fleet, pools, registry = Aside(_fleet), Aside(_pools), Aside(_registry)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing is remembered of other tests."""
    pools.forget()
    stats._queues.forget()
    rollups.forget()
    db.run("DELETE FROM pool_samples")


def hire(worker_id: str = "w1", threads: int = 4) -> None:
    fleet.register(worker_id, hostname="h", process_id=1, pools=("general",), threads=threads, release="1")


def test_each_pool_says_how_full_it_is(viewer: Visitor) -> None:
    hire()
    claimed()
    submitted(priority="high")
    page = viewer.soup("/queues")
    general, testing = (words(page.select_one(f"#q-{pool}")) for pool in ("general", "testing"))

    assert "Working" in general
    assert "1 of 4 25 %" in general
    assert "Waiting 1" in general
    assert "Running 1" in general
    assert "No worker" in testing
    assert "Waiting 0" in testing


def test_what_comes_next_is_in_the_order_of_the_claim(admin: Visitor) -> None:
    low = submitted(priority="low")
    late, critical = submitted(priority="normal"), submitted(priority="critical")
    submitted(due_in=3600, priority="critical")

    links = [link["href"] for link in admin.soup("/queues").select("#next-general a")]
    assert links == [f"/jobs/{critical}", f"/jobs/{late}", f"/jobs/{low}"]
    order = []
    while taken := acting.claim():
        order.append(taken.job_id)
    assert order == [critical, late, low]


def test_others_jobs_have_a_place_and_a_priority_and_no_name(user: Visitor) -> None:
    submitted(priority="critical", task_name="Their secret")
    mine = submitted(submitted_by=user.user_id, task_name="Mine")

    lines = user.soup("/queues").select("#next-general li")
    assert "Critical Somebody else’s job" in words(lines[0])
    assert "Mine" in words(lines[1])
    assert [link["href"] for line in lines for link in line.select("a")] == [f"/jobs/{mine}"]
    assert "Their secret" not in user.get("/queues").text
    assert "test-noop" not in words(lines[0])


def test_priorities_with_their_depth_and_age(viewer: Visitor) -> None:
    for priority in ("low", "low", "high"):
        submitted(priority=priority)
    level = {line["class"][1]: words(line) for line in viewer.soup("/queues").select("#levels .level")}
    assert level["low"].startswith("Low 2")
    assert "oldest waits" in level["high"]
    assert level["critical"] == "Critical 0 nothing waits"


def test_a_pool_whose_workers_all_drain_says_so_and_counts_no_thread(viewer: Visitor) -> None:
    hire()
    fleet.drain("w1", by="ada")
    page = viewer.soup("/queues")
    said = words(page.select_one("#q-general"))
    assert "Workers drain" in said
    assert "0 of 0" in said
    assert "nothing takes" not in said
    assert "0 take work now, 1 drains" in words(page.select_one("#scaling"))


def test_a_full_pool_says_so(viewer: Visitor) -> None:
    hire(threads=1)
    claimed()
    submitted()
    assert "Full" in words(viewer.soup("/queues").select_one("#q-general header"))


def test_how_many_workers_would_be_right_and_why(viewer: Visitor) -> None:
    assert "5 workers would be right: it is the least" in words(viewer.soup("/queues").select_one("#scaling"))


def test_the_last_hour_has_a_bar_for_each_minute_somebody_looked(viewer: Visitor) -> None:
    assert "No figures yet" in words(viewer.soup("/queues").select_one("#q-general .hour"))
    assert not viewer.soup("/queues").select("#q-general .hour svg")

    at = clock.now().replace(second=0, microsecond=0)
    for minute, waiting in ((1, 7), (2, 0), (30, 42)):
        db.run(
            """INSERT INTO pool_samples (at, pool, waiting, running, threads)
               VALUES (%(at)s, 'general', %(waiting)s, 0, 0)""",
            at=at - timedelta(minutes=minute),
            waiting=waiting,
        )
    rollups.forget()
    chart = viewer.soup("/queues").select_one("#q-general svg.depths")
    assert chart
    assert chart["aria-label"] == "General: 0 waiting now, at most 42 in the last hour"
    bars = [(float(bar["height"]), bar.get("class")) for bar in chart.select("rect")]
    assert bars == [(22.0, None), (1.0, ["none"]), (3.7, None)]


def test_a_pause_made_here_comes_back_here(admin: Visitor, user: Visitor) -> None:
    page = admin.soup("/queues")
    form = page.select_one("form#pool-general")
    assert form
    sent = {field["name"]: field["value"] for field in form.select("input") if field["name"] != "csrf_token"}
    answer = admin.post(str(form["action"]), {**sent, "reason": "the <flood>", "for_seconds": "900"})
    assert answer.headers["Location"] == "/queues"

    told = words(user.soup("/queues").select_one("#paused-general"))
    assert f"paused by admin-{id(admin)}@example.org: the <flood>" in told
    assert "Paused" in words(user.soup("/queues").select_one("#q-general header"))
    assert not user.soup("/queues").select("[form=pool-general]")
    assert "1" in words(user.soup("/queues").select_one('nav a[href="/queues"] .count'))
    assert admin.post("/pools/general/resume", {"back": "queues"}).headers["Location"] == "/queues"
    assert admin.post("/pools/general/resume").headers["Location"] == "/"


class TestLimits:
    @pytest.fixture(autouse=True)
    def narrow(self) -> None:
        agent("narrow", max_concurrent=2, rate_limit="3/hour")
        registry.forget()

    def test_who_has_the_places_and_what_is_left_of_the_rate(self, admin: Visitor, user: Visitor) -> None:
        taken = [claimed("narrow", task_name=name) for name in ("One", "Two")]
        submitted("narrow")
        line = admin.soup("/queues").select_one("#l-narrow")
        said = words(line)
        assert "2 of 2 Full" in said
        assert "One" in said
        assert "3/hour 1 of 3 left" in said
        assert said.endswith("1 Edit the limits of Narrow")
        assert line
        assert [a["href"] for a in line.select(".who a")] == [f"/jobs/{each.job_id}" for each in taken]

        theirs = words(user.soup("/queues").select_one("#l-narrow"))
        assert "2 jobs of others" in theirs
        assert "One" not in theirs
        assert "Edit" not in theirs

    def test_a_spent_rate_says_when_the_next_one_may_start(self, viewer: Visitor) -> None:
        from app.jobs import lifecycle

        for _ in range(3):
            Aside(lifecycle).complete(claimed("narrow"), {"ok": True})
        line = viewer.soup("/queues").select_one("#l-narrow")
        assert "nobody" in words(line)
        assert "next start" in words(line)

    def test_agents_without_work_are_only_counted(self, viewer: Visitor) -> None:
        page = viewer.soup("/queues")
        assert "No limit holds anything back" in words(page.select_one("#agent-limits"))
        assert "more agents have limits and nothing to do." in words(page.select_one("#agent-limits"))

    def test_an_admin_changes_them_and_lets_them_follow_the_file_again(self, admin: Visitor) -> None:
        form = admin.soup("/agents/narrow/limits")
        assert [field["value"] for field in form.select("main form [name^='p.']")] == ["2", "3/hour"]
        answer = admin.post("/agents/narrow/limits", {"p.max_concurrent_tasks": "7", "p.rate_limit": ""})
        assert answer.headers["Location"] == "/agents/narrow"
        now = db.row("SELECT max_concurrent_tasks AS most, rate_limit FROM agents WHERE agent_id = 'narrow'")
        assert now == {"most": 7, "rate_limit": None}

        admin.post("/agents/narrow/limits/reset", Referer="http://localhost/queues")
        now = db.row("SELECT max_concurrent_tasks AS most, rate_limit FROM agents WHERE agent_id = 'narrow'")
        assert now == {"most": 2, "rate_limit": "3/hour"}
        audited = db.rows(
            "SELECT action FROM audit_log WHERE subject = 'narrow' AND action = 'agent.configured'"
        )
        assert len(audited) == 2

    @pytest.mark.parametrize(
        ("most", "rate"), [("0", ""), ("1001", ""), ("two", ""), ("", "10"), ("", "0/minute")]
    )
    def test_nonsense_is_said_at_the_field_and_changes_nothing(
        self, admin: Visitor, most: str, rate: str
    ) -> None:
        answer = admin.post("/agents/narrow/limits", {"p.max_concurrent_tasks": most, "p.rate_limit": rate})
        assert answer.status_code == 422
        assert "Nothing was saved" in answer.text
        assert "aria-invalid" in answer.text
        assert db.value("SELECT max_concurrent_tasks FROM agents WHERE agent_id = 'narrow'") == 2

    def test_only_admins_may(self, user: Visitor) -> None:
        assert user.get("/agents/narrow/limits").status_code == 403
        assert user.post("/agents/narrow/limits", {}).status_code == 403
        assert user.post("/agents/narrow/limits/reset").status_code == 403


def test_an_unchanged_panel_is_a_304(viewer: Visitor) -> None:
    hire()
    claimed()
    submitted()
    for part in ("pools", "levels", "limits"):
        tag = viewer.get(f"/ui/queues/{part}").headers["ETag"]
        assert viewer.get(f"/ui/queues/{part}", **{"If-None-Match": tag}).status_code == 304


def test_a_name_cannot_become_markup(admin: Visitor) -> None:
    submitted(task_name="<script>alert(1)</script>")
    assert "<script>alert" not in admin.get("/queues").text
