"""The pages of incoming webhooks: hooks and their secrets, rules and trying them, what came in."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.test import TestResponse

from app.hooks import queries as _queries
from tests.app.dashboard.aside import Aside, agent, db, job
from tests.app.dashboard.visiting import Visitor, words

queries = Aside(_queries)
HOSTILE = "\"'><img src=x onerror=alert(1)>"
PULL = {"action": "opened", "pull_request": {"title": "Faster", "base": {"ref": "main"}, "draft": False}}
RULE = {
    "name": "Review",
    "events": "pull_request.opened",
    "condition_path": ["pull_request.base.ref", "pull_request.draft", ""],
    "condition_is": ["equals", "equals", "equals"],
    "condition_value": ["main", "false", ""],
    "enabled": "on",
    "kind": "job",
    "agent_id": "reviewer",
    "parameters": '{"topic": "{{body.pull_request.title}}"}',
    "priority": "high",
    "tags": "github, review",
    "do": "keep",
}


@pytest.fixture(autouse=True)
def reviewer(clean: None) -> None:
    """Somebody who reviews."""
    topic = {"topic": {"type": "string", "minLength": 3}}
    agent("reviewer", parameters={"type": "object", "required": ["topic"], "properties": topic})


def soup(answer: TestResponse) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def added(who: Visitor, **more: Any) -> tuple[str, str]:
    """The id and the secret of a new hook, made by its form."""
    answer = who.post("/add-hook", {"slug": "our-repo", "name": "Ours", "provider": "github"} | more)
    assert answer.status_code == 200, answer.text[-2000:]
    assert answer.headers["Cache-Control"] == "no-store"
    hook_id = db.value("SELECT hook_id::text FROM hooks ORDER BY created_at DESC LIMIT 1")
    return hook_id, words(soup(answer).select_one("#secret-text"))


def sent(
    app: Flask, secret: str, body: dict[str, Any], event: str = "pull_request", *, name: str = "d-1"
) -> TestResponse:
    """A call of GitHub's."""
    raw = json.dumps(body).encode()
    signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": name,
        "X-Hub-Signature-256": f"sha256={signature}",
        "Content-Type": "application/json",
    }
    return app.test_client().post("/hooks/our-repo", data=raw, headers=headers)


def with_rule(who: Visitor, hook_id: str, **more: Any) -> str:
    """The id of a new rule, made by its form."""
    answer = who.post(f"/hook/{hook_id}/new-rule", RULE | more)
    assert answer.status_code == 303, words(soup(answer).select_one("main"))
    return str(queries.rules(hook_id)[-1]["rule_id"])


# -- hooks


def test_without_hooks_the_page_says_how_to_set_one_up_at_github(user: Visitor) -> None:
    told = words(user.soup("/hooks").select_one("#hooks"))

    assert "No incoming webhooks yet" in told
    assert "Paste the address as Payload URL and the secret as Secret" in told


def test_the_secret_is_shown_once_and_opens_the_address(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)

    assert sent(app, secret, {"zen": "Calm."}, "ping").status_code in (200, 202)
    page = user.get(f"/hook/{hook_id}").text
    assert secret not in page
    assert secret not in user.get("/hooks").text
    line = words(user.soup("/hooks").select_one("#hooks li"))
    assert line.startswith("Ours On GitHub last received")
    assert "/hooks/our-repo" in line
    assert "ping No rule fits" in words(user.soup(f"/hook/{hook_id}").select_one("#came"))


def test_a_new_secret_takes_the_place_of_the_old_one(app: Flask, user: Visitor) -> None:
    hook_id, old = added(user)

    answer = user.post(f"/hook/{hook_id}/rotate")
    new = words(soup(answer).select_one("#secret-text"))

    assert new != old
    assert "The one before is taken as well until" in words(soup(answer).select_one("#secret"))
    assert sent(app, new, {}, "ping", name="d-2").status_code in (200, 202)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"slug": "Not so"}, "slug"),
        ({"provider": "nobody"}, "provider"),
        ({"networks": "192.0.2.0/99"}, "networks"),
    ],
)
def test_what_is_wrong_with_a_hook_stands_at_its_field(
    user: Visitor, told: dict[str, str], field: str
) -> None:
    answer = user.post("/add-hook", {"slug": "our-repo", "name": "Kept", "provider": "github"} | told)

    page = soup(answer)
    assert answer.status_code == 422
    assert page.select(f"#{field}-wrong") != []
    name = page.select_one("#name")
    assert name is not None
    assert name["value"] == "Kept"


def test_an_address_that_is_taken_is_said(user: Visitor, admin: Visitor) -> None:
    added(admin)

    answer = user.post("/add-hook", {"slug": "our-repo", "provider": "github"})

    assert "choose another slug" in words(soup(answer).select_one("#slug-wrong"))


def test_name_networks_and_switch_are_changed_and_a_hook_is_deleted(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)

    user.post(
        f"/hook/{hook_id}", {"name": "Elsewhere", "networks": "192.0.2.0/24, 198.51.100.7", "enabled": "on"}
    )
    assert queries.get(hook_id)["ip_allowlist"] == ["192.0.2.0/24", "198.51.100.7"]
    assert sent(app, secret, {}, "ping").status_code == 403
    assert "is not allowed" in words(user.soup("/hooks").select_one(".refusal"))
    wrong = user.post(f"/hook/{hook_id}", {"name": "Elsewhere", "networks": "nowhere"})
    assert wrong.status_code == 422
    assert "nowhere" in words(soup(wrong).select_one("#networks"))
    user.post(f"/hook/{hook_id}", {"name": "Elsewhere"})
    assert queries.get(hook_id)["enabled"] is False

    assert user.post(f"/hook/{hook_id}/delete").headers["Location"] == "/hooks"
    assert user.get(f"/hook/{hook_id}").status_code == 404


def test_hooks_of_others_are_not_there_and_viewers_see_none(
    app: Flask, user: Visitor, viewer: Visitor
) -> None:
    hook_id, secret = added(user)
    rule_id = with_rule(user, hook_id)
    sent(app, secret, PULL)
    came = queries.deliveries(hook_id)[0]["delivery_id"]
    own, other = f"/hook/{hook_id}", Visitor(app, "user")
    looks = [
        own,
        f"{own}/new-rule",
        f"{own}/rules/{rule_id}",
        f"{own}/deliveries/{came}",
        f"/ui{own}/deliveries",
    ]
    acts = [own, f"{own}/rotate", f"{own}/delete", f"{own}/new-rule", f"{own}/rules/{rule_id}",
            f"{own}/rules/{rule_id}/up", f"{own}/deliveries/{came}/replay"]  # fmt: skip

    for place in looks:
        assert other.get(place).status_code == 404, place
        assert viewer.get(place).status_code == 403, place
        assert user.get(place).status_code == 200, place
    for place in acts:
        assert other.post(place).status_code == 404, place
        assert viewer.post(place).status_code == 403, place
    assert other.soup("/hooks").select("#hooks li[data-row]") == []
    assert (viewer.get("/hooks").status_code, viewer.get("/add-hook").status_code) == (403, 403)


# -- rules


def test_a_rule_makes_a_job_of_what_comes_in(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)
    with_rule(user, hook_id)

    sent(app, secret, PULL)

    listed = user.soup(f"/hook/{hook_id}").select_one("#came .lines a[href^='/jobs/']")
    assert listed is not None
    made = job(str(listed["href"]).rpartition("/")[2])
    assert made["parameters"] == {"topic": "Faster"}
    assert made["tags"] == ["github", "review"]
    rules = words(user.soup(f"/hook/{hook_id}").select_one("#rules"))
    assert "pull_request.opened becomes a job for reviewer" in rules
    assert 'if pull_request.base.ref equals "main" and pull_request.draft equals false' in rules


def test_a_rule_is_shown_as_it_was_typed_and_saving_it_changes_nothing(user: Visitor) -> None:
    hook_id, _ = added(user)
    rule_id = with_rule(user, hook_id)
    before = queries.rule(hook_id, rule_id)
    page = user.soup(f"/hook/{hook_id}/rules/{rule_id}")

    told: dict[str, Any] = {"do": "keep", "enabled": "on", "kind": "job"}
    for field in page.select(
        "main form input[name]:not([type=radio], [type=checkbox], [type=hidden]), main form textarea"
    ):
        value = field.get_text().removeprefix("\n") if field.name == "textarea" else str(field["value"])
        told.setdefault(str(field["name"]), []).append(value)
    for field in page.select("main form select"):
        chosen = [str(each["value"]) for each in field.select("option[selected]")]
        told.setdefault(str(field["name"]), []).extend(chosen or ["equals"])
    assert user.post(f"/hook/{hook_id}/rules/{rule_id}", told).status_code == 303

    after = queries.rule(hook_id, rule_id)
    assert {**after, "updated_at": None} == {**before, "updated_at": None}


@pytest.mark.parametrize(
    ("told", "field", "complaint"),
    [
        ({"name": ""}, "name", "characters"),
        ({"events": "no such thing!"}, "events", "pull_request.opened"),
        ({"parameters": "{"}, "parameters", "not valid JSON"),
        ({"parameters": '{"topic": "{{nobody.x}}"}'}, "parameters", "topic"),
        ({"agent_id": "nobody"}, "agent_id", "nobody"),
        ({"kind": "workflow", "template": "none", "inputs": "{}"}, "template", "no template"),
        (
            {"kind": "session", "command": "dance", "session_id": "s", "payload": "{}"},
            "command",
            "store_memory",
        ),
        ({"kind": "nothing"}, "kind", "is not one of"),
        ({"condition_path": ["a b", "", ""]}, "condition-0", "path"),
    ],
)
def test_what_is_wrong_with_a_rule_stands_at_its_field(
    user: Visitor, told: dict[str, Any], field: str, complaint: str
) -> None:
    hook_id, _ = added(user)

    answer = user.post(f"/hook/{hook_id}/new-rule", RULE | told)

    page = soup(answer)
    assert answer.status_code == 422
    assert complaint in words(page.select_one(f"[id='{field}-wrong']"))
    tags = page.select_one("#tags")
    assert tags is not None
    assert tags["value"] == "github, review"
    assert queries.rules(hook_id) == []


def test_a_rule_is_tried_with_what_came_in_and_nothing_is_done(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)
    sent(app, secret, PULL)
    came = queries.deliveries(hook_id)[0]["delivery_id"]
    trying = RULE | {"do": "try", "delivery": came}
    place = f"/hook/{hook_id}/new-rule"

    would = words(soup(user.post(place, trying)).select_one("#tried"))
    not_so = words(
        soup(user.post(place, trying | {"condition_value": ["next", "", ""]})).select_one("#tried")
    )
    fails = words(soup(user.post(place, trying | {"parameters": "{}"})).select_one("#tried"))
    of_nothing = user.post(place, trying | {"delivery": ""})

    assert "It would do this" in would
    assert '"topic": "Faster"' in would
    assert "It would not take this pull_request.opened" in not_so
    assert "topic" in fails
    assert "choose one that came in here" in words(soup(of_nothing).select_one("#delivery-wrong"))
    assert queries.rules(hook_id) == []
    assert db.value("SELECT count(*) FROM jobs") == 0


def test_rules_are_put_in_order_switched_off_and_deleted(user: Visitor) -> None:
    hook_id, _ = added(user)
    first, second = with_rule(user, hook_id, name="First"), with_rule(user, hook_id, name="Second")

    def act(rule_id: str, verb: str) -> None:
        assert user.post(f"/hook/{hook_id}/rules/{rule_id}/{verb}").status_code == 303

    act(second, "up")
    assert [each["name"] for each in queries.rules(hook_id)] == ["Second", "First"]
    act(second, "up")
    act(second, "down")
    assert [each["name"] for each in queries.rules(hook_id)] == ["First", "Second"]
    act(first, "off")
    assert [each["enabled"] for each in queries.rules(hook_id)] == [False, True]
    act(first, "on")
    act(second, "delete")
    assert [(each["name"], each["enabled"]) for each in queries.rules(hook_id)] == [("First", True)]
    assert user.post(f"/hook/{hook_id}/rules/{first}/sideways").status_code == 404


# -- what came in


def test_a_delivery_is_shown_as_text_and_replayed_by_the_rules_of_now(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)
    sent(app, secret, PULL | {"note": HOSTILE})
    place = f"/hook/{hook_id}/deliveries/{queries.deliveries(hook_id)[0]['delivery_id']}"

    page = user.soup(place)
    assert "No rule fitted." in words(page.select_one("main"))
    assert json.loads(words(page.select_one("#body-text")))["note"] == HOSTILE
    assert "x-github-event pull_request" in words(page.select_one(".headers"))
    assert page.select("main img") == []

    with_rule(user, hook_id, name=HOSTILE)
    again = user.post(f"{place}/replay", follow=True)
    told = words(soup(again).select_one("main"))
    assert "The rules ran again" in told
    assert f"What became of it {HOSTILE} job" in told
    assert "by you" in told
    assert db.value("SELECT count(*) FROM jobs") == 1
    done = [
        row["action"]
        for row in db.rows("SELECT action FROM audit_log WHERE subject = %(id)s ORDER BY id", id=hook_id)
    ]
    assert done == ["hook.created", "hook.rule_added", "hook.replayed"]


def test_what_came_in_is_narrowed(app: Flask, user: Visitor) -> None:
    hook_id, secret = added(user)
    with_rule(user, hook_id)
    sent(app, secret, PULL)
    sent(app, secret, {}, "push", name="d-2")

    def events(query: str) -> list[str]:
        return [words(each) for each in user.soup(f"/hook/{hook_id}?{query}").select("#came .lines .t > a")]

    assert events("") == ["push", "pull_request.opened"]
    assert events("status=done") == ["pull_request.opened"]
    assert events("event=push") == ["push"]
    assert "Nothing like this came in" in words(user.soup(f"/hook/{hook_id}?event=none").select_one("#came"))
