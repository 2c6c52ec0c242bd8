from __future__ import annotations

from typing import Any

import pytest

from app.api.quality_gates import LONGEST_TEXT, MOST_CHECKS
from app.db import db
from app.quality import gates
from tests.app.api.calling import Caller

GATES = "/api/v1/quality/gates"
CHECK = "/api/v1/quality/check"
LENGTH = {"title": "Long enough", "checks": [{"check": "length", "min_words": 5}]}


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.data
    return [(each["pointer"], each["message"]) for each in answer.json["errors"]]


def save(admin: Caller, name: str = "mine", definition: Any = None, **more: Any) -> dict[str, Any]:
    return body(admin.call("PUT", f"{GATES}/{name}", json={"definition": definition or LENGTH} | more))


def test_save_look_change_archive(admin: Caller, owner: Caller) -> None:
    made = save(admin, note="The first")
    assert (made["name"], made["version"], made["note"], made["created_by"], made["built_in"]) == (
        "mine",
        1,
        "The first",
        admin.id,
        False,
    )
    assert (made["threshold"], made["refinements"], made["otherwise"], made["checks"]) == (
        7.0,
        None,
        "needs_review",
        ["length"],
    )
    assert made["actions"] == ["save", "archive"]
    assert body(owner.get(f"{GATES}/mine")) == made | {"actions": []}

    changed = LENGTH | {"threshold": 3}
    assert save(admin, definition=changed)["version"] == 2
    assert save(admin, definition=changed)["version"] == 2
    assert [each["version"] for each in body(owner.get(f"{GATES}/mine/versions"))["versions"]] == [2, 1]
    old = body(owner.get(f"{GATES}/mine?version=1"))
    assert (old["threshold"], old["version"], old["current_version"]) == (7.0, 1, 2)

    assert admin.call("DELETE", f"{GATES}/mine").status_code == 204
    assert body(owner.get(GATES))["gates"] == []
    assert body(owner.get(f"{GATES}/mine"))["archived_at"]
    assert admin.call("DELETE", f"{GATES}/mine").status_code == 404
    assert save(admin, definition=changed)["archived_at"] is None


def test_the_list_says_what_comes_with_the_product(admin: Caller, owner: Caller) -> None:
    with db.transaction():
        gates.seed_builtin()
    save(admin, "short-answer")
    listed = body(owner.get(GATES))
    assert listed["total"] == len(listed["gates"]) >= 5
    by_name = {each["name"]: each for each in listed["gates"]}
    assert by_name["blog-post"]["built_in"]
    assert by_name["blog-post"]["otherwise"] == "rejected"
    assert (by_name["short-answer"]["built_in"], by_name["short-answer"]["version"]) == (False, 2)
    assert [each["name"] for each in body(owner.get(f"{GATES}?q=blog&limit=1"))["gates"]] == ["blog-post"]


def test_mistakes_are_told_where_they_stand_in_the_body(admin: Caller) -> None:
    definition = {"checks": [{"check": "length", "weight": -1}, {"check": "tone", "colour": "red"}]}
    answer = admin.call("PUT", f"{GATES}/mine", json={"definition": definition})
    assert [place for place, _ in wrong(answer)] == [
        "/definition/checks/0/weight",
        "/definition/checks/1/colour",
    ]
    assert admin.get(f"{GATES}/mine").status_code == 404
    assert admin.call("PUT", f"{GATES}/My Gate", json={"definition": LENGTH}).status_code == 400


def test_saving_and_archiving_are_noted(admin: Caller) -> None:
    save(admin)
    admin.call("DELETE", f"{GATES}/mine")
    with db.quick():
        rows = db.rows(
            "SELECT action, subject, actor FROM audit_log WHERE action LIKE 'quality_gate.%%' ORDER BY at"
        )
    assert [(row["action"], row["subject"], row["actor"]) for row in rows] == [
        ("quality_gate.saved", "mine", admin.id),
        ("quality_gate.archived", "mine", admin.id),
    ]


def test_a_text_is_judged_on_the_spot_and_nothing_is_kept(owner: Caller) -> None:
    with db.transaction():
        gates.seed_builtin()
    brief = {"topic": "bread", "target_length": 300}
    report = body(owner.post(CHECK, json={"gate": "blog-post", "text": "Bread is good.", "brief": brief}))
    assert not report["passed"]
    assert report["feedback"].startswith("✗ Content needs improvement (")
    assert report["feedback"].endswith("/10, threshold: 7.0)")
    assert report["gate"] == {"name": "blog-post", "version": 1, "title": "Blog post"}
    by_name = {each["name"]: each for each in report["checks"]}
    assert by_name["length"]["evidence"] == "3 words, wanted 270-330"
    assert {"Missing examples", "Weak call-to-action"} <= set(report["issues"])
    with db.quick():
        assert db.value("SELECT count(*) FROM drafts") == 0


def test_a_result_is_judged_by_a_gate_written_in_the_body(owner: Caller) -> None:
    gate = {
        "of": "page.text",
        "checks": [
            {"check": "length", "min_words": 2},
            {"check": "json_schema", "schema": {"required": ["page"]}},
        ],
    }
    report = body(owner.post(CHECK, json={"gate": gate, "result": {"page": {"text": "two words"}}}))
    assert (report["score"], report["passed"]) == (10.0, True)
    assert report["feedback"] == "✓ Content approved (10.0/10, threshold: 7.0)"


def test_what_needs_a_worker_is_not_made(owner: Caller) -> None:
    gate = {
        "checks": [
            {"check": "length", "min_words": 1},
            {"check": "command", "argv": ["touch", "/tmp/never"], "mode": "blocking"},
            {"check": "http", "url": "http://127.0.0.1:9/"},
            {"check": "judge", "criteria": "Is it true?"},
        ]
    }
    report = body(owner.post(CHECK, json={"gate": gate, "text": "word"}))
    assert [(each["score"], each["error"]) for each in report["checks"]] == [
        (10.0, None),
        *[(None, "runs on a worker only")] * 3,
    ]
    assert report["score"] == 10.0


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"gate": LENGTH}, "/text"),
        ({"gate": LENGTH, "text": "a", "result": {}}, "/text"),
        ({"gate": {"checks": []}, "text": "a"}, "/gate/checks"),
        ({"gate": LENGTH, "text": "a" * (LONGEST_TEXT + 1)}, "/text"),
        ({"gate": LENGTH, "result": ["a" * LONGEST_TEXT]}, "/result"),
        ({"gate": LENGTH, "text": "a", "brief": []}, "/brief"),
        (
            {
                "gate": {"checks": [{"check": "length", "name": f"c{n}"} for n in range(MOST_CHECKS + 1)]},
                "text": "a",
            },
            "/gate/checks",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(owner: Caller, sent: dict[str, Any], pointer: str) -> None:
    assert wrong(owner.post(CHECK, json=sent))[0][0] == pointer


def test_a_gate_that_is_not_there_or_archived_is_not_found(owner: Caller, admin: Caller) -> None:
    assert owner.post(CHECK, json={"gate": "mine", "text": "a"}).status_code == 404
    save(admin)
    admin.call("DELETE", f"{GATES}/mine")
    assert owner.post(CHECK, json={"gate": "mine", "text": "a"}).status_code == 404
