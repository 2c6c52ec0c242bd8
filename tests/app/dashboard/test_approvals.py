"""The questions that wait for people, and the page on which they answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup

from app import clock
from app.approvals import queries as _queries
from app.dashboard import approvals
from app.db import db as real
from app.workflows import queries as _runs
from tests.app.dashboard.aside import Aside, acting, db
from tests.app.dashboard.visiting import Visitor, words
from tests.app.workflows import playing

queries, runs = Aside(_queries), Aside(_runs)

FORM = {
    "type": "object",
    "required": ["subject"],
    "properties": {
        "subject": {"type": "string", "maxLength": 60},
        "copies": {"type": "integer", "minimum": 1, "maximum": 5},
        "urgent": {"type": "boolean"},
    },
}


@pytest.fixture(autouse=True)
def anything() -> None:
    """The agent of the workflows here."""
    acting.agent("anything")


def asked(owner: Visitor, **approval: Any) -> str:
    """The id of the question with which a new run of somebody's begins; a step comes after it."""
    question = {"step_id": "ask", "type": "approval", "question": "Send it to all customers?"} | approval
    with real.transaction():
        workflow_id = playing.started(
            question, playing.step("send"), told={"submitted_by": owner.user_id}, name="Newsletter"
        )
    (row,) = queries.of_workflow(workflow_id)
    return str(row["approval_id"])


def step_of(approval_id: str, step_id: str = "send") -> str:
    (status,) = [
        s["status"] for s in runs.steps(queries.get(approval_id)["workflow_id"]) if s["step_id"] == step_id
    ]
    return str(status)


def in_menu(who: Visitor) -> str:
    return words(who.soup("/agents").select_one(".side a[href='/approvals']"))


def test_what_waits_for_somebody_is_counted_and_listed_by_deadline(user: Visitor, admin: Visitor) -> None:
    late = asked(user, question="The one without a hurry?")
    soon = asked(user, question="The urgent one?", deadline_minutes=10)
    asked(admin, question="Not yours?")

    assert in_menu(user) == "Inbox , 2 waiting for you"
    soup = user.soup("/approvals")
    assert [words(a) for a in soup.select("#approvals .t > a")] == [
        "The urgent one?",
        "The one without a hurry?",
    ]
    assert soup.select_one(f"#a-{soon} .badge.red") is not None
    assert "no deadline" in words(soup.select_one(f"#a-{late}"))
    assert "by Newsletter" in words(soup.select_one(f"#a-{late}"))
    assert len(admin.soup("/approvals").select("#approvals li")) == 3


def test_without_questions_the_page_says_so(user: Visitor) -> None:
    assert "Nothing waits for you" in words(user.soup("/approvals").select_one("#approvals"))
    assert in_menu(user) == "Inbox"


def test_an_approval_lets_the_workflow_go_on(user: Visitor) -> None:
    approval_id = asked(
        user, form=FORM, shown={"text": "Dear\n<b>all</b>", "receivers": 1200, "lists": ["a", "b"]}
    )
    soup = user.soup(f"/approvals/{approval_id}")
    shown = words(soup.select_one("main dl.wide"))
    assert "Dear <b>all</b>" in shown
    assert "1200" in shown
    assert "Send it to all customers?" in words(soup.select_one("h1"))
    workflow_id = queries.get(approval_id)["workflow_id"]
    assert soup.select_one(f"main a[href='/workflows/{workflow_id}']") is not None

    answer = user.post(
        f"/approvals/{approval_id}",
        {
            "decision": "approve",
            "p.subject": "News",
            "p.copies": "3",
            "p.urgent": "on",
            "comment": "Fine by me",
        },
    )

    assert answer.headers["Location"] == "/approvals"
    row = queries.get(approval_id)
    assert (row["status"], row["comment"]) == ("approved", "Fine by me")
    assert row["answer"] == {"subject": "News", "copies": 3, "urgent": True}
    assert step_of(approval_id) == "running"
    assert in_menu(user) == "Inbox"
    below = words(user.soup("/approvals").select_one(f"#a-{approval_id}"))
    assert "Approved" in below
    assert "Fine by me" in below
    page = user.soup(f"/approvals/{approval_id}")
    assert page.select("main form, main button:not(#notices button, [data-copy])") == []
    assert "News" in words(page.select_one("main"))
    noted = db.row("SELECT action, details FROM audit_log WHERE subject = %(id)s", id=approval_id)
    assert (noted["action"], noted["details"]["decision"]) == ("approval.answered", "approve")


def test_a_rejection_needs_no_form(user: Visitor) -> None:
    approval_id = asked(user, form=FORM)

    user.post(
        f"/approvals/{approval_id}", {"decision": "reject", "comment": "Not like this", "p.copies": "many"}
    )

    row = queries.get(approval_id)
    assert (row["status"], row["comment"], row["answer"]) == ("rejected", "Not like this", None)
    assert runs.get(row["workflow_id"])["status"] == "failed"


def test_what_does_not_fit_the_form_stands_at_its_field_and_nothing_typed_is_lost(user: Visitor) -> None:
    approval_id = asked(user, form=FORM)

    answer = user.post(
        f"/approvals/{approval_id}",
        {"decision": "approve", "p.subject": "", "p.copies": "9", "comment": "Almost <b>done</b>"},
    )
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert queries.get(approval_id)["status"] == "open"
    assert "required" in words(soup.select_one("#f-subject-wrong"))
    assert "5" in words(soup.select_one("#f-copies-wrong"))
    assert words(soup.select_one("#comment")) == "Almost <b>done</b>"
    assert soup.select_one("[name='p.copies']")["value"] == "9"  # type: ignore[index]


def test_what_cannot_even_be_read_is_said_too(user: Visitor) -> None:
    approval_id = asked(user, form=FORM)

    answer = user.post(
        f"/approvals/{approval_id}", {"decision": "approve", "p.subject": "x", "p.copies": "many"}
    )

    assert answer.status_code == 422
    assert "whole number" in words(BeautifulSoup(answer.text, "html.parser").select_one("#f-copies-wrong"))


def test_a_long_comment_is_refused_at_its_field(user: Visitor) -> None:
    approval_id = asked(user)

    answer = user.post(f"/approvals/{approval_id}", {"decision": "approve", "comment": "x" * 5000})

    assert answer.status_code == 422
    assert "4000" in words(BeautifulSoup(answer.text, "html.parser").select_one("#comment-wrong"))
    assert queries.get(approval_id)["status"] == "open"


def test_a_second_answer_changes_nothing(user: Visitor) -> None:
    approval_id = asked(user)
    user.post(f"/approvals/{approval_id}", {"decision": "approve"})

    again = user.post(f"/approvals/{approval_id}", {"decision": "reject"})

    assert again.status_code == 409
    told = words(BeautifulSoup(again.text, "html.parser").select_one("[role=alert]"))
    assert told.startswith("Not answered: user-")
    assert told.endswith("approved it.")
    assert queries.get(approval_id)["status"] == "approved"


def test_too_late_is_said(user: Visitor) -> None:
    approval_id = asked(user, deadline_minutes=10)
    db.run("UPDATE approvals SET deadline_at = %(past)s", past=clock.now() - timedelta(minutes=1))

    answer = user.post(f"/approvals/{approval_id}", {"decision": "approve"}, follow=True)

    assert "Not answered: the time to answer this question is over" in answer.text
    assert queries.get(approval_id)["status"] == "open"


def test_an_unknown_decision_is_none(user: Visitor) -> None:
    approval_id = asked(user)

    assert user.post(f"/approvals/{approval_id}", {"decision": "perhaps"}).status_code == 404
    assert user.post(f"/approvals/{approval_id}").status_code == 404
    assert queries.get(approval_id)["status"] == "open"


def test_only_those_who_are_asked_see_it_and_answer(user: Visitor, admin: Visitor, viewer: Visitor) -> None:
    theirs = asked(admin, approvers=["boss@example.org"])
    mine = asked(user, approvers=["boss@example.org"])

    assert user.get(f"/approvals/{theirs}").status_code == 404
    assert user.post(f"/approvals/{theirs}", {"decision": "approve"}).status_code == 404
    own = user.soup(f"/approvals/{mine}")  # they may look, because their work waits for it
    assert own.select("main form") == []
    assert "It waits for boss@example.org." in words(own)
    refused = user.post(f"/approvals/{mine}", {"decision": "approve"}, follow=True)
    assert "Not answered: this question is for somebody else to answer." in refused.text
    assert viewer.soup("/approvals").select("#approvals li") == []
    assert viewer.get(f"/approvals/{mine}").status_code == 404
    assert viewer.post(f"/approvals/{mine}", {"decision": "approve"}).status_code == 404
    assert queries.get(mine)["status"] == "open"
    assert admin.soup(f"/approvals/{mine}").select("main form") != []


def test_somebody_who_is_named_answers_for_others(user: Visitor, admin: Visitor) -> None:
    approval_id = asked(admin, approvers=["user"])

    assert in_menu(user) == "Inbox , 1 waiting for you"
    user.post(f"/approvals/{approval_id}", {"decision": "approve"})

    assert queries.get(approval_id)["status"] == "approved"


def test_nothing_is_answered_without_the_forms_token(user: Visitor) -> None:
    approval_id = asked(user)

    assert user.client.post(f"/approvals/{approval_id}", data={"decision": "approve"}).status_code == 400
    assert queries.get(approval_id)["status"] == "open"


def test_what_a_workflow_says_is_shown_as_text(user: Visitor) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    approval_id = asked(
        user, question=evil, shown={evil: evil, "deep": {"x": [evil]}},
        form={"type": "object", "properties": {"a": {"type": "string", "title": evil, "description": evil}}},
    )  # fmt: skip

    for path in ("/approvals", f"/approvals/{approval_id}"):
        soup = user.soup(path)
        assert [s for s in soup.select("script") if not s.get("src")] == []
        assert soup.select("img") == []
        assert evil in soup.get_text()


@pytest.mark.parametrize("shown", ["plain words", 7, True, [], ["a", {"b": 1}], {}, {"a": None, "b": False}])
def test_whatever_is_shown_can_be_read(user: Visitor, shown: Any) -> None:
    approval_id = asked(user, shown=shown)

    assert user.get(f"/approvals/{approval_id}").status_code == 200


def test_answered_ones_have_pages(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "PAGE_SIZE", 3)
    for n in range(5):
        user.post(f"/approvals/{asked(user, question=f'Number {n}?')}", {"decision": "approve"})

    first = user.soup("/approvals")
    assert len(first.select("#approvals li")) == 3
    second = user.soup(str(first.select_one("a[rel=next]")["href"]))  # type: ignore[index]
    assert [words(a) for a in second.select("#approvals .t > a")] == ["Number 1?", "Number 0?"]


def test_a_finished_run_takes_its_question_along(user: Visitor) -> None:
    approval_id = asked(user)
    from app.workflows import runs as _verbs

    with real.transaction():
        _verbs.cancel(queries.get(approval_id)["workflow_id"])

    assert "Not needed any more" in words(user.soup(f"/approvals/{approval_id}"))
