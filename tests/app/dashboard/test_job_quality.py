"""What gates said of a job: on its page, in lists, draft by draft."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bs4 import BeautifulSoup

from app.quality import analytics
from tests.app.dashboard.aside import Aside, agent, claimed, db, job, lifecycle, submitted
from tests.app.dashboard.visiting import Visitor, words
from tests.app.quality import drafted as _drafted

drafted = Aside(_drafted)
GATE = {"checks": [{"check": "length"}]}


@pytest.fixture(autouse=True)
def _fresh(clean: None) -> Iterator[None]:
    analytics.forget()
    yield
    analytics.forget()


def test_the_scores_the_checks_and_the_drafts_stand_on_the_jobs_page(admin: Visitor) -> None:
    job_id = drafted.ended(6.2, 7.1, 8.5)

    soup = admin.soup(f"/jobs/{job_id}?tab=quality")
    panel = soup.select_one("#quality")
    chart = soup.select_one("#quality svg.scores")

    assert panel is not None
    assert chart is not None
    assert chart["aria-label"] == (
        "Scores of 10. Draft 1: 6.2, draft 2: 7.1, draft 3: 8.5. The threshold is 7.0."
    )
    assert len(chart.select("g.low circle")) == 1
    assert len(chart.select("g.ok path")) == 2
    assert "Passed" in words(panel.select_one("header"))
    assert "8.5 of 10, passes from 7.0 on" in words(panel.select_one("header"))
    assert [words(row.th).split()[0] for row in panel.select(".checks tbody tr")] == ["conclusion", "length"]
    assert [li["id"] for li in panel.select("#quality-drafts li")] == ["draft-3", "draft-2", "draft-1"]
    assert "+1.4" in words(panel.select_one("#draft-3"))
    assert "plain-1" in words(panel.select_one("#draft-3"))
    assert "Passed 8.5" in words(soup.select_one("#status .head"))


def test_failed_blocking_and_missing_checks_are_told_apart_by_words(admin: Visitor) -> None:
    taken = drafted.running()
    checks = [
        _drafted.check("fine", 9.0),
        _drafted.check("weak", 4.0, suggestion="Do <b>more</b>."),
        _drafted.check("must", 2.0, mode="blocking"),
        _drafted.check("away", None, error="the judge did not answer", evidence=""),
        _drafted.check("foreign", None, evidence="not judged: the text is in German"),
    ]
    drafted.draft(taken.job_id, 1, 5.0, checks=checks)

    rows = admin.soup(f"/jobs/{taken.job_id}?tab=quality").select("#quality .checks tbody tr")
    said = {words(row.th).split()[0]: words(row) for row in rows}

    assert [*said][:2] == ["weak", "must"], "what failed comes first"
    assert "Failed 4.0" in said["weak"]
    assert "Weak weak Do <b>more</b>." in said["weak"]
    assert "must pass" in said["must"]
    assert "Blocks" in said["must"]
    assert "Did not run –" in said["away"]
    assert "the judge did not answer" in said["away"]
    assert "Not judged –" in said["foreign"]
    assert [row.get("class") for row in rows] == [["failed"], ["failed"], None, None, None]


def test_a_job_without_gate_shows_nothing_of_it_and_polls_nothing(admin: Visitor) -> None:
    job_id = submitted()
    page = admin.get(f"/jobs/{job_id}").text

    assert "r-job-quality" not in page
    assert "quality.css" not in page
    assert "No quality gate" in admin.get(f"/jobs/{job_id}?tab=quality").text
    assert admin.get(f"/ui/jobs/{job_id}/quality").headers["HX-Poll"] == "stop"


def test_a_gated_job_says_that_there_is_no_draft_yet(admin: Visitor) -> None:
    agent("gated", gate=GATE)
    job_id = submitted("gated")

    assert "There is none yet" in words(admin.soup(f"/jobs/{job_id}?tab=quality").select_one("#quality"))
    assert admin.get(f"/ui/jobs/{job_id}/quality").headers["HX-Poll"] == "5000ms"

    lifecycle.cancel(job_id)

    panel = admin.get(f"/ui/jobs/{job_id}/quality")
    assert panel.headers["HX-Poll"] == "stop"
    assert "No quality gate looked at it" in panel.text, "nothing will ever be said of it"


def test_the_panel_is_304_until_a_draft_is_made_or_judged(admin: Visitor) -> None:
    taken = drafted.running(6.2)
    path = f"/ui/jobs/{taken.job_id}/quality"
    seen = admin.get(path)
    assert seen.headers["HX-Poll"] == "2000ms"
    assert admin.get(path, **{"If-None-Match": seen.headers["ETag"]}).status_code == 304

    drafted.draft(taken.job_id, 2)
    made = admin.get(path, **{"If-None-Match": seen.headers["ETag"]})
    assert made.status_code == 200
    assert "Not judged yet" in made.text
    db.run(
        """UPDATE drafts d SET score = 7.1, threshold = 7, verdict = 'passed', judged_at = clock_timestamp(),
               report = (SELECT report FROM drafts WHERE job_id = d.job_id AND number = 1)
           WHERE number = 2""",
    )
    judged = admin.get(path, **{"If-None-Match": made.headers["ETag"]})
    assert judged.status_code == 200
    assert "Draft 2: 7.1" in judged.text

    lifecycle.complete(taken, {})
    assert admin.get(path).headers["HX-Poll"] == "stop"


def test_a_draft_is_read_as_markdown_and_does_no_harm(admin: Visitor) -> None:
    job_id = drafted.ended(6.2, 7.1)

    soup = admin.soup(f"/jobs/{job_id}/drafts/2")
    prose = soup.select_one(".prose")

    assert prose is not None
    assert [li.text for li in prose.select("li")] == ["honey"]
    assert prose.select("b") == []
    assert "<b>here</b>" in prose.text
    assert soup.select_one("nav[aria-label=Drafts] [aria-current]").text == "Draft 2"  # type: ignore[union-attr]
    assert "Passed 7.1" in words(soup.select_one(".head"))


def test_a_draft_without_text_is_shown_as_json(admin: Visitor) -> None:
    taken = drafted.running()
    drafted.draft(taken.job_id, 1, 5.0, content={"rows": [1, 2]})

    soup = admin.soup(f"/jobs/{taken.job_id}/drafts/1")

    assert soup.select_one(".prose") is None
    assert '"rows"' in words(soup.select_one("#content"))


def test_the_text_is_where_the_agents_gate_looks(admin: Visitor) -> None:
    agent("elsewhere", gate=GATE | {"of": "post.body"})
    taken = drafted.running(agent_id="elsewhere")
    told = _drafted.report(5.0, gate={"name": None, "version": None, "title": "Its own"})
    drafted.draft(
        taken.job_id, 1, 5.0, content={"text": "not this", "post": {"body": "**this**"}}, report=told
    )

    prose = admin.soup(f"/jobs/{taken.job_id}/drafts/1").select_one(".prose")

    assert words(prose) == "this"


def test_two_drafts_are_compared_word_by_word(admin: Visitor) -> None:
    job_id = drafted.ended(6.2, 7.1, 8.5)

    soup = admin.soup(f"/jobs/{job_id}/drafts?a=2&b=3")
    changes = soup.select_one(".changes")

    assert changes is not None
    assert next(each.text for each in changes.select("p.changed ins")) == "splendid"
    assert next(each.text for each in changes.select("p.changed del")) == "good"
    assert [each.text for each in changes.select("p.in ins")] == ["- wax"]
    assert "+1.4" in words(soup.select_one(".head"))
    assert "Mended" in words(admin.soup(f"/jobs/{job_id}/drafts?a=1&b=3").select_one("main"))


def test_the_last_two_are_compared_unless_told(admin: Visitor) -> None:
    assert words(admin.soup(f"/jobs/{drafted.ended(5.0, 6.0, 8.0)}/drafts").select_one("h1")) == (
        "From draft 2 to draft 3"
    )
    assert "Not a word differs" in admin.get(f"/jobs/{drafted.ended(8.0)}/drafts").text


@pytest.mark.parametrize("path", ["drafts/9", "drafts/x", "drafts/-1", "drafts?a=1&b=9", "drafts?a=x"])
def test_what_is_not_there(admin: Visitor, path: str) -> None:
    assert admin.get(f"/jobs/{drafted.ended(8.0)}/{path}").status_code == 404


def test_a_job_without_drafts_has_nothing_to_compare(admin: Visitor) -> None:
    assert admin.get(f"/jobs/{submitted()}/drafts").status_code == 404


def test_drafts_are_content(user: Visitor, viewer: Visitor, admin: Visitor) -> None:
    job_id = drafted.ended(8.0, submitted_by=user.user_id)
    stranger = Visitor(user.client.application, "user")

    for path in (f"/jobs/{job_id}/drafts/1", f"/jobs/{job_id}/drafts", f"/ui/jobs/{job_id}/quality"):
        assert [who.get(path).status_code for who in (admin, user, viewer, stranger)] == [200, 200, 403, 404]
    assert "r-job-quality" not in viewer.get(f"/jobs/{job_id}").text
    assert "Passed" in words(viewer.soup(f"/jobs/{job_id}").select_one("#status .head")), (
        "the verdict is none"
    )


HEADLINE = {"text": "✓ Published", "url": "https://example.org/bees"}


@pytest.mark.parametrize("path", ["/jobs", "/", "/jobs/{job}"])
def test_a_published_result_is_linked_from_lists_and_cards(admin: Visitor, path: str) -> None:
    job_id = drafted.ended(8.5, result={"headline": HEADLINE}, task_name="Bees")

    link = admin.soup(path.format(job=job_id)).select_one("main .headline a")

    assert link is not None
    assert link["href"] == "https://example.org/bees"
    assert "noopener" in link["rel"]
    assert link.text.startswith("✓ Published")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "//example.org/x",
        "/jobs",
        "https://",
        "https:///x",
        "http://[",
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/"])
def test_what_is_no_address_of_the_web_is_no_link(admin: Visitor, path: str, url: str) -> None:
    drafted.ended(8.5, result={"headline": {"text": "<i>✓</i> Published", "url": url}})

    said = admin.soup(path).select_one("main .headline")

    assert said is not None
    assert said.select("a, i") == []
    assert said.text == "<i>✓</i> Published"


def test_a_viewer_sees_the_verdict_and_not_the_headline(viewer: Visitor) -> None:
    drafted.ended(8.5, result={"headline": HEADLINE})

    row = viewer.soup("/jobs").select_one("tr[data-row]")

    assert "Passed 8.5" in words(row)
    assert "Published" not in words(row)


def test_rejected_looks_otherwise_than_failed(admin: Visitor) -> None:
    rejected = drafted.ended(4.0, verdict="rejected")

    row = admin.soup("/jobs").select_one(f"#j-{rejected}")

    assert row is not None
    assert "Completed" in words(row)
    assert "Rejected 4.0" in words(row)
    assert row.select(".badge.red") == []
    assert job(rejected)["status"] == "completed"


def test_jobs_are_filtered_by_what_their_gate_said(admin: Visitor) -> None:
    rejected, passed = drafted.ended(4.0, verdict="rejected"), drafted.ended(8.0)
    lifecycle.complete(claimed(), {})

    def listed(query: str) -> set[str]:
        return {
            str(row["id"]).removeprefix("j-") for row in admin.soup(f"/jobs?{query}").select("tr[data-row]")
        }

    assert listed("verdict=rejected") == {rejected}
    assert listed("verdict=passed") == {passed}
    assert listed("verdict=nonsense") == set()  # and the page says why
    chosen = admin.soup("/jobs?verdict=rejected&more=on").select_one("#verdict option[selected]")
    assert chosen is not None
    assert chosen["value"] == "rejected"
    assert BeautifulSoup(admin.get("/ui/jobs/table?verdict=rejected").text, "html.parser").select(
        "tr[data-row]"
    )
