"""Questions as agents should not put them: whoever is asked can still read them, and answer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.approvals import queries as _queries
from app.approvals.wanted import Wanted
from app.dashboard import approvals
from app.db import dumps
from app.errors import Invalid
from app.settings import Settings
from tests.app.dashboard.aside import Aside, acting, db
from tests.app.dashboard.questions import asked_by, job_asking, link_for
from tests.app.dashboard.test_approval_cards import words
from tests.app.dashboard.visiting import Visitor

queries = Aside(_queries)


@pytest.mark.parametrize(
    "shown",
    [
        {"quality": {"score": "high", "threshold": "higher"}},
        {"quality": {"score": True, "threshold": []}},
        {"quality": {"checks": 5}},
        {"quality": {"checks": ["a", None, {"passed": False, "score": "bad"}, {"score": {}, "error": None}]}},
        {"quality": {"issues": 7, "feedback": {"a": 1}}},
        {"quality": {"issues": [1, None, ["x"], {"issue": 5}]}},
        {"quality": {}, "draft": 5, "input": "text"},
        {"draft": {"number": "one", "of": "many"}, "input": [1, 2]},
        {"draft": {"number": 1, "of": [2]}},
        {"input": {"items": {"keys": []}, "values": 3}},
        {"": {"": ""}, "<b>": "</script><script>alert(1)</script>"},
        [[[[]]]],
        "x" * 200_000,
        [["\u202e" * 10, 10**15, -0.0, 1e300, None, True]],
    ],
)
@pytest.mark.parametrize("kind", ["agent", "gate"])
def test_whatever_an_agent_shows_it_can_be_read_and_answered(user: Visitor, shown: Any, kind: str) -> None:
    approval_id = job_asking(user.user_id, question="Well?", kind=kind, shown=shown)

    page = user.get(f"/approvals/{approval_id}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert user.get("/approvals").status_code == 200
    assert user.get("/ui/approvals").status_code == 200
    user.post(f"/approvals/{approval_id}", {"decision": "approve"})
    assert queries.get(approval_id)["status"] == "approved"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"properties": {}},
        {
            "properties": {
                "decision": {"type": "string", "default": "approve"},
                "csrf_token": {"type": "string"},
            }
        },
        {"properties": {"a": True, "b": False, "": {}, "a/b~c": {"type": "string"}}},
        {"properties": {"a": {"enum": [{"x": 1}, [2], None, 3]}, "b": {"type": ["string", "null"]}}},
        {
            "properties": {
                "a": {"type": "array", "items": {"enum": [{"x": 1}]}},
                "b": {"type": "array", "items": True},
            }
        },
        {
            "properties": {
                "a": {"type": "string", "maxLength": 1e9},
                "b": {"type": "number", "multipleOf": 1e-300},
            }
        },
        {
            "properties": {
                "a": {"type": "string", "title": "<img src=x onerror=alert(1)>", "description": "x" * 9000}
            }
        },
        {
            "properties": {
                "a": {"type": "integer", "examples": [{}], "default": {"not": "one"}, "minimum": -1e300}
            }
        },
        {"properties": {f"f{n}": {"type": "string"} for n in range(500)}},
        {
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "object", "properties": {"c": True}}}}
            }
        },
        {"type": "object", "required": ["x"]},
        {"properties": {"comment": {"type": "string"}, "edited": {"type": "string"}}},
        {"properties": {"a": {"$comment": 1 and "x", "x-widget": [1], "format": "email", "type": "string"}}},
    ],
)
def test_whatever_form_an_agent_wants_filled_in_it_can_be_drawn_and_refused(user: Visitor, form: Any) -> None:
    approval_id = job_asking(user.user_id, question="Well?", form=form)

    page = user.soup(f"/approvals/{approval_id}")
    names = [each["name"] for each in page.select("#answer [name]")]
    assert [name for name in names if not name.startswith("p.") and name not in ("csrf_token", "comment")] == [
        "decision", "decision"]  # fmt: skip
    typed = {name: "x" for name in names if name.startswith("p.")}
    answer = user.post(f"/approvals/{approval_id}", {"decision": "approve", **typed})
    assert answer.status_code in (303, 422)
    user.post(f"/approvals/{approval_id}", {"decision": "reject"})
    assert queries.get(approval_id)["status"] in ("approved", "rejected")


@pytest.mark.parametrize(
    "edited",
    ["[" * 100_000, "[" * 300 + "]" * 300, '"\\ud800"', '"\\u0000"', "NaN", "1" * 5000, "1e999", '{"a": "\\udfff"}',
     '{"\\ud800": 1}', str(2**70), "[" * 90 + "]" * 90, "null", '{"a": NaN}', '{"a": 1180591620717411303424}'],
)  # fmt: skip
def test_whatever_somebody_makes_of_a_value_is_taken_or_complained_about(user: Visitor, edited: str) -> None:
    value = {"editable": {"value": {"a": 1}}, "options": ("approve", "edit")}
    approval_id = job_asking(user.user_id, question="Well?", **value)

    answer = user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": edited})
    assert answer.status_code == 422
    assert queries.get(approval_id)["status"] == "open"


@pytest.mark.parametrize("text", ["[" * 100_000, '"\\ud800"', "NaN", "1" * 5000])
def test_whatever_somebody_types_into_a_form_is_complained_about(user: Visitor, text: str) -> None:
    form = {"properties": {"a": {"type": "object"}, "b": {"type": "integer"}}}
    approval_id = job_asking(user.user_id, question="Well?", form=form)

    for name in ("a", "b"):
        answer = user.post(f"/approvals/{approval_id}", {"decision": "approve", f"p.{name}": text})
        assert answer.status_code == 422
    assert queries.get(approval_id)["status"] == "open"


def test_many_of_one_kind_hide_none_of_another(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "OPEN", 3)
    for n in range(4):
        job_asking(user.user_id, question=f"Number {n}?", deadline_seconds=600)
    gate = job_asking(user.user_id, question="And this?", kind="gate")

    page = user.soup("/approvals")
    assert words(page.select_one(".tabs")).startswith("All 5 waiting")
    assert "Agents 4 waiting Quality gates 1 waiting" in words(page.select_one(".tabs"))
    assert "2 more" in words(page.select_one("section[aria-labelledby=open-title]"))
    assert [li["id"] for li in user.soup("/approvals?kind=gate").select("#approvals li")] == [f"a-{gate}"]


def test_who_is_asked_sees_nothing_of_what_the_job_asked_others(
    user: Visitor, viewer: Visitor, stranger: Visitor, settings: Settings
) -> None:
    first = job_asking(user.user_id, question="Is Bob to be dismissed?")
    user.post(f"/approvals/{first}", {"decision": "reject", "comment": "Not before May."})
    taken = acting.claim()
    email = db.value("SELECT email FROM users WHERE user_id = %(id)s", id=viewer.user_id)
    second = asked_by(taken, question="Shall it be blue?", approvers=("boss@example.org", email))
    link = link_for(second, "boss@example.org", settings)

    assert "Not before May." in user.get(f"/approvals/{second}").text
    for text in (viewer.get(f"/approvals/{second}").text, stranger.get(link).text):
        assert "Shall it be blue?" in text
        assert "dismissed" not in text
        assert "Not before May." not in text


def test_lists_do_not_read_what_they_do_not_show(user: Visitor) -> None:
    large = "x" * 400_000
    shown = {"text": large, "quality": {"score": 4.5, "feedback": large}}
    approval_id = job_asking(user.user_id, question="Well?", shown=shown, editable={"value": large})

    for rows in (
        queries.open_for(user.user_id, "", "user", brief=True),
        queries.page(user_id=user.user_id, brief=True),
    ):
        assert len(dumps(rows)) < 2000
        assert set(rows[0]) == set(queries.get(approval_id))
    assert "4.5 of 10" in words(user.soup("/approvals").select_one(f"#a-{approval_id}"))


@pytest.mark.parametrize("question", ["", " \n", "\u200b\u2060", "\u202e \ufeff", "\x00\x1b"])
def test_a_question_that_nobody_can_see_is_none(question: str) -> None:
    with pytest.raises(Invalid, match="not empty"):
        Wanted(question=question).check()


def test_however_long_two_versions_are_what_changed_is_shown_soon(user: Visitor) -> None:
    before = "\n".join(f"{n % 1500:x}" for n in range(40_000))
    after = "\n".join(f"{n * 7 % 1500:x}" for n in range(40_000))
    options = ("edit", "reject")
    approval_id = job_asking(user.user_id, question="Well?", editable={"text": before}, options=options)
    user.post(f"/approvals/{approval_id}", {"decision": "edit", "edited": after})

    began = time.process_time()
    page = user.soup(f"/approvals/{approval_id}")

    assert time.process_time() - began < 5
    assert "38000 more lines are not compared" in words(page)
