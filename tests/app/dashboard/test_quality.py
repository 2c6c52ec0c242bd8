"""The page of figures about drafts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.quality import analytics
from tests.app.dashboard.aside import Aside, agent
from tests.app.dashboard.visiting import Visitor, words
from tests.app.quality import drafted as _drafted

drafted = Aside(_drafted)


@pytest.fixture(autouse=True)
def _fresh(clean: None) -> Iterator[None]:
    analytics.forget()
    yield
    analytics.forget()


def test_an_empty_page_says_what_gates_are(user: Visitor) -> None:
    main = user.soup("/quality").select_one("main")

    assert "No draft was judged in this time" in words(main)
    assert "gate: blog-post" in words(main)
    assert main.select_one('a[href="/gates"]') is not None  # type: ignore[union-attr]


def test_figures_of_the_time(admin: Visitor) -> None:
    agent("writer")
    for _ in range(2):
        drafted.ended(6.0, 7.5, agent_id="writer", parameters={"topic": "<b>Bees</b>"})
    drafted.ended(8.0)
    drafted.ended(4.0, verdict="rejected")

    soup = admin.soup("/quality")

    assert [words(soup.select_one(f"#{name}")) for name in ("first-score", "final-score", "first-pass", "success")] == [
        "6.0", "6.8", "25 %", "75 %",
    ]  # fmt: skip
    assert words(soup.select_one("#o-refined")) == "Passed after refinement 2 jobs 50 %"
    assert words(soup.select_one("#o-rejected")) == "Rejected 1 job 25 %"
    assert soup.select_one("#o-failed") is None
    assert words(soup.select_one("#r-1")) == "1st 2 +1.5 100 %"
    assert "<b>Bees</b> 2 1.0 6.0 7.5" in words(soup.select_one("#s-q-topics"))
    assert "conclusion 6 3, 50 % 100 % 2 of 2" in words(soup.select_one("#s-q-checks"))
    assert [a["href"] for a in soup.select("#s-q-agents tbody a")] == [
        "/agents/test-noop",
        "/agents/writer",
    ]
    assert "plain-1 6" in words(soup.select_one("#s-q-models"))
    assert soup.select_one("svg.scores")["aria-label"] == "Scores of 10. Draft 1: 6.0, draft 2: 7.5."  # type: ignore[index]


def test_one_agents_figures(admin: Visitor) -> None:
    agent("writer")
    drafted.ended(6.0, 7.5, agent_id="writer")
    drafted.ended(9.0)

    soup = admin.soup("/quality?agent=writer&days=1")

    assert words(soup.select_one("#first-score")) == "6.0"
    assert soup.select_one("#agent option[selected]")["value"] == "writer"  # type: ignore[index]
    assert soup.select_one("#r-quality")["hx-get"] == "/ui/quality?days=1&agent=writer"  # type: ignore[index]


def test_users_see_their_own_and_viewers_no_topics(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    agent("writer")
    for _ in range(2):
        drafted.ended(8.0, agent_id="writer", submitted_by="somebody", parameters={"topic": "secret bees"})

    assert "No draft was judged" in user.get("/quality").text
    assert "secret bees" in admin.get("/quality").text
    seen = viewer.get("/quality")
    assert "8.0" in seen.text
    assert "secret bees" not in seen.text


@pytest.mark.parametrize("query", ["days=nonsense&agent=nobody", "days=30", "days=1"])
def test_any_address_is_a_page(viewer: Visitor, query: str) -> None:
    assert viewer.get(f"/quality?{query}").status_code == 200
    assert viewer.get(f"/ui/quality?{query}").headers["HX-Poll"] == "15000ms"


def test_the_menu_leads_there(viewer: Visitor) -> None:
    link = viewer.soup("/quality").select_one('.nav a[href="/quality"]')

    assert link is not None
    assert link["aria-current"] == "page"
    assert viewer.soup("/gates").select_one('.nav a[href="/quality"][aria-current]') is not None
