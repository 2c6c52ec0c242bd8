"""What a job asks, as a person sees it, and each thing that they can say to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup

from app import clock
from app.approvals import queries as _queries
from tests.app.dashboard.aside import Aside, acting, db, job, lifecycle, status
from tests.app.dashboard.questions import DRAFT, GATE, REPORT, asked_by, job_asking, policy_asking
from tests.app.dashboard.visiting import Visitor, words

queries = Aside(_queries)


def soup(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def test_the_card_shows_all_that_one_must_know(user: Visitor) -> None:
    approval_id = job_asking(
        user.user_id,
        task_name="About bees",
        **GATE | {"deadline_seconds": 600, "escalate_seconds": 60, "escalate_to": ("boss@example.org",)},
    )
    job_id = queries.get(approval_id)["job_id"]
    db.run(
        "UPDATE jobs SET usage = %(u)s WHERE job_id = %(id)s",
        u='{"cost_usd": 0.0123, "output_tokens": 900}',
        id=job_id,
    )
    page = user.soup(f"/approvals/{approval_id}")

    said = words(page.select_one("main"))
    assert "Draft 2 of 2" in said
    assert page.select_one(".prose em") is not None
    assert DRAFT in page.select_one("#draft-source").get_text()  # type: ignore[union-attr]
    assert "6.5" in words(page.select_one(".score"))
    assert words(page.select_one(".checks .failed")).startswith(
        "Failed Examples must pass 2.0 Missing examples"
    )
    assert "Did not run Facts the judge did not answer" in " ".join(
        words(x) for x in page.select(".checks .unrun")
    )
    assert "Bees" in said
    assert "warm" in said
    assert "$0.0123, 900 tok" in said
    assert "Quality gate of test-noop" in said
    assert "also boss@example.org" in said
    assert "without an answer it is then rejected" in said
    assert words(page.select_one(f"main a[href='/jobs/{job_id}']")) == "About bees"
    assert page.select_one("textarea[name=edited]").get_text().strip() == DRAFT  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("decision", "more", "ends"),
    [
        ("approve", {}, "approved"),
        ("reject", {"comment": "No"}, "rejected"),
        ("ask_back", {"comment": "Where are the hives?"}, "sent_back"),
        ("edit", {"edited": "# Bees\r\n\r\nMine."}, "approved"),
    ],
)
def test_each_answer_lets_the_job_go_on(
    user: Visitor, decision: str, more: dict[str, str], ends: str
) -> None:
    approval_id = job_asking(user.user_id)

    answer = user.post(f"/approvals/{approval_id}", {"decision": decision, "edited": DRAFT, **more})

    assert answer.headers["Location"] == "/approvals"
    row = queries.get(approval_id)
    assert (row["status"], row["comment"]) == (ends, more.get("comment"))
    assert row["edited"] == ("# Bees\n\nMine." if decision == "edit" else None)
    assert status(row["job_id"]) == "queued"
    noted = db.row("SELECT action, details FROM audit_log WHERE subject = %(id)s", id=approval_id)
    assert noted["action"] == "approval.answered"
    assert (noted["details"]["job_id"], noted["details"]["decision"]) == (row["job_id"], decision)


def test_what_was_changed_is_shown_afterwards(user: Visitor) -> None:
    approval_id = job_asking(user.user_id)
    user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": DRAFT + " <b>Really</b>."})

    page = user.soup(f"/approvals/{approval_id}")

    assert "+The end. <b>Really</b>." in page.select_one(".diff").get_text()  # type: ignore[union-attr]
    assert page.select("main form") == []


def test_changes_are_never_dropped_unseen(user: Visitor) -> None:
    approval_id = job_asking(user.user_id)
    changed = {"edited": DRAFT + "\nMore.", "comment": "Better now"}

    for decision in ("approve", "ask_back"):
        answer = user.post(f"/approvals/{approval_id}", {"decision": decision, **changed})

        assert answer.status_code == 422
        page = soup(answer.text)
        assert "You changed the draft" in words(page.select_one("#edited-wrong"))
        assert page.select_one("textarea[name=edited]").get_text().endswith("More.")  # type: ignore[union-attr]
        assert page.select_one("details.edit")["open"] is not None  # type: ignore[index]
        assert words(page.select_one("#comment")) == "Better now"
    undone = user.post(f"/approvals/{approval_id}", {"decision": "undo", **changed})
    assert undone.status_code == 200
    assert soup(undone.text).select_one("textarea[name=edited]").get_text().strip() == DRAFT  # type: ignore[union-attr]
    assert words(soup(undone.text).select_one("#comment")) == "Better now"
    assert queries.get(approval_id)["status"] == "open"
    assert user.post(f"/approvals/{approval_id}", {"decision": "reject", **changed}).status_code == 303


def test_to_ask_back_one_says_why(user: Visitor) -> None:
    approval_id = job_asking(user.user_id)

    answer = user.post(f"/approvals/{approval_id}", {"decision": "ask_back", "edited": DRAFT})

    assert answer.status_code == 422
    assert "say what should be different" in words(soup(answer.text).select_one("#comment-wrong"))
    assert queries.get(approval_id)["status"] == "open"


def test_a_value_is_edited_as_json(user: Visitor) -> None:
    value = {"to": ["a@example.org"], "copies": 3}
    wanted = GATE | {"editable": {"value": value}, "shown": {"note": "Send it?"}}
    approval_id = job_asking(user.user_id, **wanted)

    broken = user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": '{"to": ['})
    assert broken.status_code == 422
    assert "is not valid JSON" in words(soup(broken.text).select_one("#edited-wrong"))
    other = user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": "[1]"})
    assert other.status_code == 422
    assert "object" in words(soup(other.text).select_one("#edited-wrong"))

    user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": '{"to": [], "copies": 1}'})
    assert queries.get(approval_id)["edited"] == {"to": [], "copies": 1}


@pytest.mark.parametrize("decision", ["edit", "ask_back"])
def test_what_is_not_offered_cannot_be_said(user: Visitor, decision: str) -> None:
    approval_id = job_asking(user.user_id, question="Go on?")
    page = user.soup(f"/approvals/{approval_id}")
    assert [b["value"] for b in page.select("main form button[name=decision]")] == ["approve", "reject"]

    answer = user.post(f"/approvals/{approval_id}", {"decision": decision, "edited": "x", "comment": "y"})

    assert answer.status_code == 404
    assert queries.get(approval_id)["status"] == "open"


def test_who_was_too_late_hears_who_answered_and_keeps_their_words(user: Visitor, admin: Visitor) -> None:
    approval_id = job_asking(user.user_id)
    admin.post(f"/approvals/{approval_id}", {"decision": "reject", "edited": DRAFT})

    answer = user.post(
        f"/approvals/{approval_id}", {"decision": "edit", "edited": "# My bees", "comment": "All mine"}
    )

    assert answer.status_code == 409
    page = soup(answer.text)
    assert "Not answered: admin-" in words(page.select_one("[role=alert]"))
    assert "rejected it" in words(page.select_one("[role=alert]"))
    assert {p.get_text() for p in page.select("pre[id^=lost]")} == {"# My bees", "All mine"}
    assert page.select("main form") == []


def test_an_open_card_notices_that_somebody_else_answered(user: Visitor, admin: Visitor) -> None:
    approval_id = job_asking(user.user_id)
    before = user.get(f"/ui/approvals/{approval_id}")
    assert before.headers["HX-Poll"] != "stop"
    assert words(soup(before.text)) == ""

    admin.post(f"/approvals/{approval_id}", {"decision": "approve", "edited": DRAFT})

    after = user.get(f"/ui/approvals/{approval_id}")
    assert after.headers["HX-Poll"] == "stop"
    assert "approved it." in words(soup(after.text))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("status = 'expired', answered_at = now()", "Nobody answered"),
        ("status = 'cancelled', answered_at = now()", "Not needed any more"),
        ("status = 'sent_back', answered_at = now(), comment = 'Again'", "Sent back"),
    ],
)
def test_however_it_ended_it_can_be_read(user: Visitor, statement: str, said: str) -> None:
    approval_id = job_asking(user.user_id)
    db.run(f"UPDATE approvals SET {statement} WHERE approval_id = %(id)s", id=approval_id)

    page = user.soup(f"/approvals/{approval_id}")

    assert said in words(page.select_one("main .head"))
    assert page.select("main form") == []
    assert said in words(user.soup("/approvals").select_one(f"#a-{approval_id}"))


def test_what_the_job_asked_before_stands_beside_it(user: Visitor) -> None:
    first = job_asking(user.user_id)
    user.post(f"/approvals/{first}", {"decision": "ask_back", "comment": "More hives", "edited": DRAFT})
    taken = acting.claim()
    assert taken.job_id == queries.get(first)["job_id"]
    second = asked_by(taken, **GATE | {"draft_number": 3})

    page = user.soup(f"/approvals/{second}")

    assert "Draft 2 Sent back" in words(page)
    assert "More hives" in words(page)


def test_the_inbox_is_filtered_by_who_asks(user: Visitor) -> None:
    gate = job_asking(user.user_id)
    agent = job_asking(user.user_id, question="May I?")
    answered = job_asking(user.user_id, question="Done?")
    user.post(f"/approvals/{answered}", {"decision": "approve"})

    def ids(path: str) -> set[str]:
        return {str(li["id"])[2:] for li in user.soup(path).select("#approvals li")}

    assert ids("/approvals") == {gate, agent, answered}
    assert ids("/approvals?kind=gate") == {gate}
    assert ids("/approvals?kind=agent") == {agent, answered}
    assert ids("/approvals?kind=policy") == set()
    assert ids("/approvals?kind=nonsense") == {gate, agent, answered}
    tabs = user.soup("/approvals?kind=gate").select_one("#approvals .tabs")
    assert words(tabs).startswith("All 2 waiting Workflow steps Agents 1 waiting Quality gates 1 waiting")
    polled = user.soup("/approvals?kind=gate").select_one("#r-approvals")
    assert polled is not None
    assert polled["hx-get"] == "/ui/approvals?kind=gate"


def test_the_page_of_now_says_what_needs_somebody(user: Visitor, admin: Visitor) -> None:
    assert user.soup("/").select("#questions section") == []
    approval_id = job_asking(user.user_id)
    job_asking(admin.user_id, question="Not for you?")

    shown = user.soup("/").select_one("#questions")

    assert "May draft 2 be taken as it is?" in words(shown)
    assert "Not for you?" not in words(shown)
    assert shown is not None
    assert shown.select_one(f"a[href='/approvals/{approval_id}']") is not None


def test_the_jobs_page_leads_to_the_question(user: Visitor, viewer: Visitor) -> None:
    approval_id = job_asking(user.user_id, question="May I, <b>please</b>?", approvers=("boss@example.org",))
    job_id = queries.get(approval_id)["job_id"]

    mine = user.soup(f"/jobs/{job_id}")
    banner = mine.select_one("#asks")
    assert "It asks a person May I, <b>please</b>?" in words(banner)
    assert "boss@example.org" in words(banner)
    assert mine.select_one(f"#asks a[href='/approvals/{approval_id}']") is not None
    assert "Asked a person" in words(mine.select_one(".steps"))
    looking = viewer.soup(f"/jobs/{job_id}").select_one("#asks")
    assert "please" not in words(looking)
    assert looking is not None
    assert looking.select("a") == []

    lifecycle.cancel(job_id)
    assert user.soup(f"/jobs/{job_id}").select("#asks") == []
    assert job(job_id)["status"] == "cancelled"
    assert "Not needed any more" in words(user.soup(f"/approvals/{approval_id}"))


def test_those_to_whom_it_was_passed_on_may_answer_from_then_on(user: Visitor, admin: Visitor) -> None:
    approval_id = job_asking(
        admin.user_id,
        question="Well?",
        approvers=("a@example.org",),
        escalate_seconds=60,
        escalate_to=("user",),
    )
    assert user.get(f"/approvals/{approval_id}").status_code == 404

    db.run("UPDATE approvals SET escalated_at = %(at)s", at=clock.now() - timedelta(minutes=1))

    assert "Well?" in words(user.soup("/approvals").select_one("#approvals"))
    assert user.post(f"/approvals/{approval_id}", {"decision": "approve"}).status_code == 303


def test_a_policy_shows_what_the_agent_is_about_to_do(user: Visitor) -> None:
    what = {
        "title": "Bees",
        "score": 6.5,
        "passed": False,
        "draft": {"text": DRAFT},
        "quality": {name: REPORT[name] for name in ("score", "threshold", "passed", "issues", "feedback")},
        "used": {"cost_usd": 0.01},
    }
    shown = {
        "policy": "Publishing",
        "agent": "test-noop",
        "parameters": {"topic": "Bees"},
        "effect": "publish",
    }
    asked = policy_asking(user.user_id, "Publish “Bees”?", shown | {"what": what})

    soup = user.soup(f"/approvals/{asked}")

    assert "They dance to say" in words(soup.select_one(".prose"))
    assert "6.5 of 10 passes from 7.0 on" in words(soup)
    assert "Missing examples" in words(soup)
    about = words(soup.select_one("section[aria-labelledby=about-title]"))
    assert "effect publish" in about
    assert "policy Publishing" in about
    assert "title Bees" in about
    assert "score" not in about
