from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.workflows import templates
from tests.app.api.calling import Caller

TEMPLATES = "/api/v1/workflow-templates"
TEXT = """\
name: Echo twice
inputs:
  type: object
  additionalProperties: false
  required: [word]
  properties:
    word: {type: string, title: Word, minLength: 1}
    times: {type: integer, title: Times, default: 2}
steps:
  - {id: first, agent_id: test-echo, parameters: {text: "{{inputs.word}}", n: "{{inputs.times}}"}}
  - {id: second, agent_id: test-echo, parameters: {text: "again"}}
"""


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 422, answer.data
    return list(answer.json["errors"])


def save(caller: Caller, name: str = "echo-twice", **more: Any) -> dict[str, Any]:
    return body(caller.post(TEMPLATES, json={"name": name, "source": TEXT} | more), 201)


def names(caller: Caller, query: str = "") -> list[str]:
    return [each["name"] for each in body(caller.get(TEMPLATES + query))["templates"]]


def test_save_look_change_restore_archive(owner: Caller) -> None:
    made = save(owner, note="The first")
    assert (made["title"], made["visibility"], made["version"], made["owner"]) == (
        "Echo twice",
        "private",
        1,
        owner.id,
    )
    assert (made["source"], made["note"], made["actions"]) == (TEXT, "The first", ["run", "save", "archive"])
    path = f"{TEMPLATES}/echo-twice"
    assert body(owner.get(path)) == made

    changed = TEXT.replace("again", "and again")
    assert save(owner, source=changed, title="Echo")["version"] == 2
    listed = body(owner.get(f"{path}/versions"))["versions"]
    assert [(each["version"], each["current"], each["added"]) for each in listed] == [
        (2, True, 1),
        (1, False, None),
    ]
    assert body(owner.get(f"{path}/versions/1"))["source"] == TEXT

    restored = body(owner.post(f"{path}/versions/1/restore"))
    assert (restored["version"], restored["source"], restored["title"]) == (3, TEXT, "Echo")
    assert owner.call("DELETE", path).status_code == 204
    assert owner.get(path).status_code == 404
    assert names(owner) == []
    assert body(owner.post(f"{path}/versions/2/restore"))["version"] == 4


def test_a_definition_may_be_json(owner: Caller) -> None:
    definition = {"name": "One", "steps": [{"step_id": "one", "agent_id": "test-echo"}]}
    made = save(owner, "one", source=None, definition=definition)

    assert made["definition"] == definition
    assert made["inputs"] is None


def test_lists_show_what_one_may_see(owner: Caller, other: Caller, viewer: Caller, admin: Caller) -> None:
    save(owner, "mine")
    save(owner, "ours", visibility="shared")
    with db.transaction():
        templates.ship("shipped", TEXT)

    assert names(owner) == names(admin) == ["mine", "ours", "shipped"]
    assert names(other) == names(viewer) == ["ours", "shipped"]
    assert names(other, "?q=OUR") == ["ours"]
    page = body(owner.get(f"{TEMPLATES}?limit=1&offset=1"))
    assert ([each["name"] for each in page["templates"]], page["total"]) == (["ours"], 3)
    assert [each["actions"] for each in body(other.get(TEMPLATES))["templates"]] == [["run"], ["run"]]
    assert [each["actions"] for each in body(viewer.get(TEMPLATES))["templates"]] == [[], []]
    assert page["templates"][0]["inputs"]["required"] == ["word"]


@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("POST", "/versions/1/restore"),
        ("POST", "/run"),
    ],
)
def test_a_private_one_is_not_there_for_others(method: str, tail: str, owner: Caller, other: Caller) -> None:
    save(owner)
    theirs, nothing = (other.call(method, f"{TEMPLATES}/{name}{tail}") for name in ("echo-twice", "nothing"))

    assert theirs.status_code == nothing.status_code == 404
    told = [
        body(answer, 404)["detail"].replace(name, "NAME")
        for answer, name in ((theirs, "echo-twice"), (nothing, "nothing"))
    ]
    assert told[0] == told[1]


def test_a_shared_one_is_changed_by_its_owner_and_admins_only(
    owner: Caller, other: Caller, admin: Caller
) -> None:
    save(owner, visibility="shared")
    path = f"{TEMPLATES}/echo-twice"

    assert other.post(TEMPLATES, json={"name": "echo-twice", "source": TEXT}).status_code == 409
    assert other.call("DELETE", path).status_code == 403
    assert other.post(f"{path}/versions/1/restore").status_code == 403
    assert save(admin, title="Theirs")["owner"] == owner.id
    assert admin.call("DELETE", path).status_code == 204


def test_mistakes_are_told_at_their_line(owner: Caller) -> None:
    broken = TEXT.replace("id: second, agent_id: test-echo", "id: second, agent_id: test-ecko")
    (fault,) = wrong(owner.post(TEMPLATES, json={"name": "x", "source": broken}))
    assert fault["pointer"] == "/source"
    assert "line 11" in fault["message"]
    assert "test-echo" in fault["message"]

    (fault,) = wrong(owner.post(TEMPLATES, json={"name": "x", "source": "name: [\n"}))
    assert fault["message"].startswith("line ")
    definition = {"name": "One", "steps": [{"step_id": "one", "agent_id": "nobody"}]}
    (fault,) = wrong(owner.post(TEMPLATES, json={"name": "x", "definition": definition}))
    assert fault["pointer"] == "/definition/steps/0/agent_id"
    assert names(owner) == []


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"name": "Not So"}, "/name"),
        ({"source": None}, "/definition"),
        ({"definition": {"name": "x", "steps": []}}, "/definition"),
        ({"visibility": "secret"}, "/visibility"),
        ({"note": ""}, "/note"),
        ({"version": 3}, "/version"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], pointer: str, owner: Caller) -> None:
    answer = owner.post(TEMPLATES, json={"name": "echo-twice", "source": TEXT} | given)

    assert wrong(answer)[0]["pointer"] == pointer


class TestRunning:
    def test_a_run_knows_its_template_and_has_the_defaults(self, owner: Caller) -> None:
        save(owner)
        save(owner, source=TEXT.replace("again", "and again"))
        run = body(
            owner.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "hi"}, "tags": ["x"]}), 201
        )

        assert (run["status"], run["template"]) == ("running", {"name": "echo-twice", "version": 2})
        with db.quick():
            job = db.row(
                "SELECT parameters, tags FROM jobs WHERE workflow_id = %(id)s", id=run["workflow_id"]
            )
        assert job == {"parameters": {"text": "hi", "n": 2}, "tags": ["x"]}

    def test_an_old_version_may_be_run(self, owner: Caller) -> None:
        save(owner)
        save(owner, source=TEXT.replace("again", "and again"))
        run = body(
            owner.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "hi"}, "version": 1}), 201
        )

        assert run["template"]["version"] == 1
        missing = owner.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "hi"}, "version": 9})
        assert missing.status_code == 404

    def test_anybody_runs_what_is_shared_as_their_own(
        self, owner: Caller, other: Caller, viewer: Caller
    ) -> None:
        save(owner, visibility="shared")
        run = body(other.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "hi"}}), 201)

        with db.quick():
            assert (
                db.value(
                    "SELECT submitted_by FROM workflows WHERE workflow_id = %(id)s", id=run["workflow_id"]
                )
                == other.id
            )
        assert viewer.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "hi"}}).status_code == 403

    @pytest.mark.parametrize(
        ("inputs", "pointer"),
        [({}, "/inputs/word"), ({"word": ""}, "/inputs/word"), ({"word": "x", "tims": 1}, "/inputs")],
    )
    def test_inputs_are_held_to_the_schema(self, inputs: dict[str, Any], pointer: str, owner: Caller) -> None:
        save(owner)
        answer = owner.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": inputs})

        assert wrong(answer)[0]["pointer"] == pointer

    def test_the_same_key_runs_it_once(self, owner: Caller) -> None:
        save(owner)
        runs = [
            body(
                owner.post(
                    f"{TEMPLATES}/echo-twice/run",
                    json={"inputs": {"word": "hi"}},
                    headers={"Idempotency-Key": "once"},
                ),
                201,
            )
            for _ in range(2)
        ]

        assert runs[0] == runs[1]
        with db.quick():
            assert db.value("SELECT count(*) FROM workflows") == 1


def test_everything_is_audited(owner: Caller) -> None:
    save(owner)
    body(owner.post(f"{TEMPLATES}/echo-twice/run", json={"inputs": {"word": "a secret word"}}), 201)
    owner.post(f"{TEMPLATES}/echo-twice/versions/1/restore")
    owner.call("DELETE", f"{TEMPLATES}/echo-twice")

    with db.quick():
        entries = db.rows(
            "SELECT action, actor, details::text AS details FROM audit_log WHERE action LIKE 'workflow%%' ORDER BY id"
        )
    assert [entry["action"] for entry in entries] == [
        "workflow_template.saved", "workflow.submitted", "workflow_template.restored", "workflow_template.archived",
    ]  # fmt: skip
    assert {entry["actor"] for entry in entries} == {owner.id}
    assert not [entry for entry in entries if "secret" in (entry["details"] or "")]
