"""Sending a job in by the form."""

from __future__ import annotations

import pytest

from tests.app.dashboard.aside import agent, db, job, submitted
from tests.app.dashboard.visiting import Visitor

PARAMETERS = {
    "type": "object",
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "maxLength": 10},
        "depth": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "deep": {"type": "boolean", "default": True},
        "kinds": {"type": "array", "items": {"enum": ["a", "b"]}},
    },
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def form() -> None:
    """An agent with a form."""
    agent("test-form", parameters=PARAMETERS, example={"path": "/x", "depth": 7, "kinds": ["b"]})


def test_what_was_typed_becomes_the_job(user: Visitor) -> None:
    answer = user.post(
        "/submit/test-form",
        {
            "p.path": "/tmp",
            "p.depth": "5",
            "p.kinds": ["a", "b"],
            "priority": "high",
            "task_name": " Look ",
            "tags": "x, y,x",
        },
    )

    assert answer.status_code == 303
    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert made["parameters"] == {"path": "/tmp", "depth": 5, "deep": False, "kinds": ["a", "b"]}
    assert (made["priority_rank"], made["task_name"], made["tags"], made["submitted_by"]) == (
        1,
        "Look",
        ["x", "y"],
        user.user_id,
    )


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({}, "path", "is required"),
        ({"p.path": "far too long a path"}, "path", "too long"),
        ({"p.path": "x", "p.depth": "10"}, "depth", "maximum"),
        ({"p.path": "x", "p.depth": "ten"}, "depth", "whole number"),
        ({"p.path": "x", "tags": ",".join(map(str, range(30)))}, "tags", "at most 20"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_stored(
    user: Visitor, typed: dict[str, str], field: str, words: str
) -> None:
    answer = user.post("/submit/test-form", typed)

    assert answer.status_code == 422
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(answer.text, "html.parser")
    complaint = soup.select_one(f"#f-{field}-wrong, #{field}-wrong")
    assert complaint is not None
    assert words in complaint.text
    for name, value in typed.items():
        kept = soup.select_one(f'[name="{name}"]')
        assert kept is not None
        assert kept.get("value") == value
    assert db.value("SELECT count(*) FROM jobs") == 0


def test_the_example_fills_the_form(user: Visitor) -> None:
    soup = user.soup("/submit/test-form?example=1")

    assert soup.select_one('[name="p.path"]')["value"] == "/x"  # type: ignore[index]
    assert soup.select_one('[name="p.depth"]')["value"] == "7"  # type: ignore[index]
    assert [box["value"] for box in soup.select('[name="p.kinds"][checked]')] == ["b"]


def test_an_earlier_job_fills_the_form_for_who_may_see_it(user: Visitor, admin: Visitor) -> None:
    mine = submitted("test-form", parameters={"path": "/mine"}, submitted_by=user.user_id)
    theirs = submitted("test-form", parameters={"path": "/theirs"}, submitted_by=admin.user_id)

    assert user.soup(f"/submit/test-form?from={mine}").select_one('[name="p.path"]')["value"] == "/mine"  # type: ignore[index]
    assert user.get(f"/submit/test-form?from={theirs}").status_code == 404


def test_an_earlier_job_does_not_tell_its_secrets(user: Visitor) -> None:
    properties = PARAMETERS["properties"] | {"token": {"type": "string", "writeOnly": True}}  # type: ignore[operator]
    agent("test-form", parameters=PARAMETERS | {"properties": properties})
    mine = submitted(
        "test-form", parameters={"path": "/mine", "token": "abracadabra"}, submitted_by=user.user_id
    )

    page = user.soup(f"/submit/test-form?from={mine}")

    assert page.select_one('[name="p.path"]')["value"] == "/mine"  # type: ignore[index]
    assert page.select_one('[name="p.token"]') is not None
    assert "abracadabra" not in str(page)


def test_an_unknown_agent_or_priority_is_refused(user: Visitor) -> None:
    assert user.get("/submit/no-such-agent").status_code == 404
    assert user.post("/submit/test-form", {"p.path": "x", "priority": "urgent"}).status_code == 422


def test_a_submission_is_audited(user: Visitor) -> None:
    user.post("/submit/test-form", {"p.path": "x"})

    assert db.value("SELECT actor FROM audit_log WHERE action = 'job.submitted'") == user.user_id
