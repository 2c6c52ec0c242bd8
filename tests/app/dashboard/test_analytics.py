"""The page of figures about jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app import clock
from app.jobs import figures, rollups
from app.jobs.lifecycle import Success
from tests.app.dashboard.aside import Aside, agent, claimed, db, lifecycle
from tests.app.dashboard.visiting import Visitor, words
from tests.app.jobs import ended as _history
from tests.app.jobs.ended import NOW

history = Aside(_history)


@pytest.fixture(autouse=True)
def _fresh(clean: None) -> Iterator[None]:
    figures.forget()
    yield
    figures.forget()


@pytest.fixture
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def test_an_empty_page_says_so(user: Visitor) -> None:
    main = user.soup("/analytics").select_one("main")

    assert "No job ended in this time" in words(main)
    assert {a["href"] for a in main.select(".head a, .empty a")} == {  # type: ignore[union-attr]
        "/quality", "/workflows/analytics", "/jobs",
    }  # fmt: skip


@pytest.mark.usefixtures("_noon")
def test_figures_of_the_time(admin: Visitor) -> None:
    for _ in range(3):
        history.ended(1, seconds=90.0, wait=2.0)
    history.ended(5, status="failed", wait=6.0, agent_id="tester")
    history.ended(5, status="cancelled", wait=None, agent_id="tester")

    soup = admin.soup("/analytics?window=24h")

    assert [words(soup.select_one(f"#{name}")) for name in ("jobs", "success", "failure", "duration", "wait")] == [
        "5", "75 %", "25 %", "1 m 30 s", "3.0 s",
    ]  # fmt: skip
    rows = [words(row) for row in soup.select("#s-a-hours tbody tr")]
    assert rows == ["11:00 to 12:00 3, 60 % 2.0 s", "07:00 to 08:00 2, 40 % 6.0 s"]
    assert [words(row) for row in soup.select("#s-a-agents tbody tr")] == [
        "writer 3 100 % 1 m 30 s 1 m 30 s 2.0 s – –",
        "tester 2 0 %, 1 failed – – 6.0 s – –",
    ]
    columns, rates = (
        [title.text for title in chart.select("title")] for chart in soup.select("#s-a-speed svg.chart")
    )
    assert len(columns) == 24
    assert "11:00 to 12:00 UTC: 3 completed, 0 failed" in columns
    assert rates == ["07:00 to 08:00 UTC: 100 % failed", "11:00 to 12:00 UTC: 0 % failed"]
    assert "11:00 to 12:00 UTC: 3 completed, 0 failed, mean wait 2.0 s" in words(
        soup.select_one("#s-a-hours")
    )
    assert words(soup.select_one("#fastest")) == "Most was done from 11:00 to 12:00 UTC: 3.0 jobs an hour."
    assert "Since 9 Mar, 13:00 UTC, 5 jobs ended: 3 completed, 1 failed, 1 cancelled" in words(
        soup.select_one("#s-a-speed")
    )


def test_agents_show_what_a_run_costs_and_how_good_it_is(admin: Visitor) -> None:
    history.ended(1)
    job_id = _judged(8.5)
    for cost, tokens in (("0.30", 100), (None, 900)):
        db.run(
            """INSERT INTO usage_events (job_id, fence, call_id, part, agent_id, team, submitted_by, provider, model,
                                         input_tokens, cost_usd, cost_status, billing)
               VALUES (%(job)s, 1, %(tokens)s::text, 1, 'test-noop', '', 'x', 'p', 'm', %(tokens)s, %(cost)s,
                       CASE WHEN %(cost)s IS NULL THEN 'unpriced' ELSE 'reported' END, 'api')""",
            job=job_id,
            tokens=tokens,
            cost=cost,
        )

    rows = [words(row) for row in admin.soup("/analytics?window=1h").select("#s-a-agents tbody tr")]

    assert [row.split()[-2:] for row in rows if row.startswith("test-noop")] == [["$0.30", "8.5"]]


def _judged(score: float) -> str:
    """The id of a job that completed and was judged."""
    taken = claimed()
    assert lifecycle.complete_many([Success(taken, {}, verdict="passed", score=score)]) == [True]
    return str(taken.job_id)


def test_little_speed_is_not_shown_as_none(viewer: Visitor) -> None:
    for _ in range(6):
        history.ended()

    assert words(viewer.soup("/analytics?window=7d").select_one("#speed")) == "0.036"


def test_cancelled_jobs_alone_have_no_rates(viewer: Visitor) -> None:
    history.ended(status="cancelled", seconds=None, wait=None)

    soup = viewer.soup("/analytics")

    assert [words(soup.select_one(f"#{name}")) for name in ("jobs", "success", "duration", "speed")] == [
        "1", "–", "–", "0.0",
    ]  # fmt: skip
    assert words(soup.select_one("#fastest")) == ""


def test_one_agents_figures(admin: Visitor) -> None:
    agent("writer")
    history.ended()
    history.ended(agent_id="tester")

    soup = admin.soup("/analytics?agent=writer&window=30d")

    assert words(soup.select_one("#jobs")) == "1"
    assert soup.select_one("#agent option[selected]")["value"] == "writer"  # type: ignore[index]
    assert soup.select_one("#r-analytics")["hx-get"] == "/ui/analytics?window=30d&agent=writer"  # type: ignore[index]
    assert soup.select_one('nav a[aria-current="true"]').text == "30 days"  # type: ignore[union-attr]


def test_users_see_their_own_and_viewers_all(user: Visitor, viewer: Visitor) -> None:
    history.ended()
    history.ended(owner=user.user_id)

    assert words(user.soup("/analytics").select_one("#jobs")) == "1"
    assert words(viewer.soup("/analytics").select_one("#jobs")) == "2"


def test_strangers_sign_in_first(stranger: Visitor) -> None:
    assert stranger.get("/analytics").status_code in (302, 303)


@pytest.mark.parametrize(
    "query", ["window=nonsense&agent=nobody", "window=30d", "window=24h", "window=1h", "window=6h"]
)
def test_any_address_is_a_page(viewer: Visitor, query: str) -> None:
    assert viewer.get(f"/analytics?{query}").status_code == 200
    assert viewer.get(f"/ui/analytics?{query}").headers["HX-Poll"] == "15000ms"


@pytest.mark.usefixtures("_noon")
def test_an_unchanged_panel_is_not_sent_again(viewer: Visitor) -> None:
    history.ended()
    tag = viewer.get("/ui/analytics").headers["ETag"]
    figures.forget()
    rollups.forget()

    assert viewer.get("/ui/analytics", **{"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/", "/quality", "/workflows/analytics"])
def test_other_pages_lead_there(viewer: Visitor, path: str) -> None:
    assert viewer.soup(path).select_one('main a[href="/analytics"]') is not None
