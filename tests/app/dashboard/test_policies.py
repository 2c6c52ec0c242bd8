"""The rules by which work asks people, and the forms that make them."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup

from app.approvals import policies as _policies
from tests.app.dashboard.aside import Aside, acting, db
from tests.app.dashboard.visiting import Visitor, words

policies = Aside(_policies)
FULL = {
    "name": "Anything that publishes",
    "effects": "publish, send",
    "over_usd": "$5",
    "agents": ["test-one"],
    "question": "May it?",
    "approvers": "admin, Boss@example.org",
    "deadline_minutes": "60",
    "on_timeout": "reject",
    "escalate_minutes": "30",
    "escalate_to": "user",
    "enabled": "on",
}


@pytest.fixture(autouse=True)
def agents() -> None:
    """Two agents of two teams."""
    acting.agent("test-one", team="development")
    acting.agent("test-two", team="marketing")


def made(admin: Visitor, **more: Any) -> str:
    """The id of a new policy."""
    answer = admin.post("/policies/new", {"name": "Rule", "enabled": "on", "approvers": "admin"} | more)
    assert answer.headers["Location"] == "/policies", answer.text
    return str(db.value("SELECT policy_id::text FROM approval_policies ORDER BY policy_id DESC LIMIT 1"))


def test_what_was_typed_becomes_the_policy(admin: Visitor) -> None:
    row = policies.get(made(admin, **FULL))

    assert {name: row[name] for name in _policies.FIELDS} == {
        "name": "Anything that publishes",
        "enabled": True,
        "agents": ["test-one"],
        "teams": [],
        "effects": ["publish", "send"],
        "over_usd": 5.0,
        "question": "May it?",
        "approvers": ["admin", "boss@example.org"],
        "deadline_minutes": 60,
        "on_timeout": "reject",
        "escalate_minutes": 30,
        "escalate_to": ["user"],
    }
    assert row["created_by"] == admin.user_id
    assert (
        db.value("SELECT action FROM audit_log WHERE subject = %(id)s", id=row["policy_id"])
        == "policy.created"
    )


def test_the_form_shows_a_policy_as_it_is_and_saving_changes_nothing(admin: Visitor) -> None:
    policy_id = made(admin, **FULL)
    before = policies.get(policy_id)
    page = admin.soup(f"/policies/{policy_id}")
    form = page.select_one("main form")
    assert form is not None
    typed = {str(i["name"]): str(i.get("value", "")) for i in form.select("input:not([type=checkbox])")}
    typed |= {"agents": "test-one", "on_timeout": "reject", "enabled": "on"}
    assert form.select_one("[name=agents][value=test-one]").has_attr("checked")  # type: ignore[union-attr]

    admin.post(f"/policies/{policy_id}", typed)

    assert {n: policies.get(policy_id)[n] for n in _policies.FIELDS} == {
        n: before[n] for n in _policies.FIELDS
    }


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"name": ""}, "name", "1 to 100 characters"),
        ({"over_usd": "five"}, "over_usd", "more than 0"),
        ({"over_usd": "-1"}, "over_usd", "more than 0"),
        ({"deadline_minutes": "0"}, "deadline_minutes", "whole minutes"),
        ({"deadline_minutes": "1.5"}, "deadline_minutes", "whole minutes"),
        ({"effects": "publish, §"}, "effects", "is no effect"),
        ({"approvers": "somebody"}, "approvers", "neither an e-mail address nor a role"),
        ({"escalate_minutes": "5"}, "escalate_to", "is required"),
        ({"agents": ["nobody"]}, "agents", "there is no agent"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    admin: Visitor, typed: dict[str, Any], field: str, said: str
) -> None:
    answer = admin.post("/policies/new", {"name": "Rule", "question": "Keep <b>me</b>", **typed})
    page = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert said in words(page.select_one(f"#{field}-wrong"))
    assert page.select_one("#question")["value"] == "Keep <b>me</b>"  # type: ignore[index]
    assert policies.listing() == []


def test_two_policies_cannot_have_one_name(admin: Visitor) -> None:
    made(admin, name="Rule")

    answer = admin.post("/policies/new", {"name": "Rule", "approvers": "admin"})

    assert answer.status_code == 409
    assert "already" in words(BeautifulSoup(answer.text, "html.parser").select_one("#name-wrong"))


def test_it_says_whom_it_covers_now(admin: Visitor) -> None:
    everything = made(admin, name="All")
    team = made(admin, name="Team", teams=["marketing"])
    neither = made(admin, name="None", teams=["marketing"], agents=["test-one"])

    listed = admin.soup("/policies")
    assert "Covers all" in words(listed.select_one(f"#p-{everything}"))
    assert "test-two" in words(admin.soup(f"/policies/{team}").select_one("[aria-labelledby=covered]"))
    assert "no agent that is there now" in words(listed.select_one(f"#p-{neither}"))
    assert "before each start" in words(listed.select_one(f"#p-{everything}"))


def test_one_that_is_gone_stays_on_the_form(admin: Visitor) -> None:
    policy_id = made(admin, agents=["test-one", "test-two"])
    db.run("DELETE FROM agents WHERE agent_id = 'test-two'")

    ticked = admin.soup(f"/policies/{policy_id}").select("[name=agents][checked]")

    assert [box["value"] for box in ticked] == ["test-one", "test-two"]


def test_a_policy_is_changed_switched_off_and_deleted(admin: Visitor) -> None:
    policy_id = made(admin, name="Money", over_usd="5")

    admin.post(f"/policies/{policy_id}", {"name": "Money", "over_usd": "7.5", "approvers": "admin"})
    row = policies.get(policy_id)
    assert (row["over_usd"], row["enabled"]) == (7.5, False)
    noted = db.row("SELECT details FROM audit_log WHERE action = 'policy.changed'")
    assert noted["details"]["changed"] == ["enabled", "over_usd"]
    assert "Off" in words(admin.soup("/policies").select_one(f"#p-{policy_id}"))
    assert "more than $7.50" in words(admin.soup("/policies"))

    admin.post(f"/policies/{policy_id}/delete")
    assert policies.listing() == []
    assert "No policies yet" in words(admin.soup("/policies"))
    assert admin.get(f"/policies/{policy_id}").status_code == 404
    assert db.value("SELECT count(*) FROM audit_log WHERE action = 'policy.deleted'") == 1


def test_examples_fill_the_form_in(admin: Visitor) -> None:
    links = [str(a["href"]) for a in admin.soup("/policies").select(".empty a")]
    assert len(links) == 3

    assert admin.soup("/policies/new?example=money").select_one("#over_usd")["value"] == "5"  # type: ignore[index]
    assert admin.soup("/policies/new?example=publishing").select_one("#effects")["value"] == "publish"  # type: ignore[index]
    assert admin.soup("/policies/new?example=nonsense").select_one("#name")["value"] == ""  # type: ignore[index]


def test_policies_are_for_admins(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    policy_id = made(admin)
    for who in (user, viewer):
        for path in ("/policies", "/policies/new", f"/policies/{policy_id}"):
            assert who.get(path).status_code == 403
        for path in ("/policies/new", f"/policies/{policy_id}", f"/policies/{policy_id}/delete"):
            assert who.post(path, {"name": "x"}).status_code == 403
        assert who.soup("/approvals").select("a[href='/policies']") == []
    assert admin.soup("/approvals").select("a[href='/policies']") != []
    assert len(policies.listing()) == 1
