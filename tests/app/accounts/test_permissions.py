from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.accounts.permissions import (
    NO,
    OWNER,
    SCOPES,
    TABLE,
    YES,
    Principal,
    access,
    demand,
    may,
    may_answer,
    own_only,
)
from app.errors import Forbidden, NotFound

DOCUMENT = Path(__file__).parents[3] / "docs" / "accounts.md"


def somebody(role: str, **more: object) -> Principal:
    return Principal(user_id="me", email="me@x", role=role, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verb", "admin", "user", "viewer"),
    [
        ("submit_task", "yes", "yes", "no"),
        ("cancel_task", "yes", "owner", "no"),
        ("view_task", "yes", "owner", "yes"),
        ("view_task_content", "yes", "owner", "no"),
        ("configure_agent", "yes", "no", "no"),
        ("view_dlq", "yes", "no", "no"),
        ("resubmit_dlq", "yes", "no", "no"),
        ("retry_task", "yes", "owner", "no"),
        ("change_priority", "yes", "owner", "no"),
        ("submit_workflow", "yes", "yes", "no"),
        ("view_workflow", "yes", "owner", "yes"),
        ("manage_schedule", "yes", "owner", "no"),
        ("view_schedule", "yes", "owner", "yes"),
        ("view_queues", "yes", "yes", "yes"),
        ("view_agents", "yes", "yes", "yes"),
        ("view_workers", "yes", "yes", "yes"),
        ("view_providers", "yes", "yes", "yes"),
        ("manage_providers", "yes", "no", "no"),
        ("view_audit", "yes", "no", "no"),
        ("manage_users", "yes", "no", "no"),
        ("manage_api_keys", "yes", "owner", "owner"),
    ],
)
def test_the_table_is_the_documents_table(verb: str, admin: str, user: str, viewer: str) -> None:
    granted = [str(access(somebody(role), verb)) for role in ("admin", "user", "viewer")]

    assert granted == [admin, user, viewer]


def test_admins_may_everything() -> None:
    assert {verb for verb in TABLE if access(somebody("admin"), verb) is not YES} == set()


def test_viewers_change_nothing_but_their_own_keys_and_views_and_answer_what_names_them() -> None:
    writes = {verb for verb, rule in TABLE.items() if rule.scope != "read" and may(somebody("viewer"), verb)}

    assert writes == {"manage_api_keys", "manage_logins", "save_view", "answer_approval"}
    viewer = somebody("viewer")
    question = {
        "approvers": [],
        "requested_by": viewer.user_id,
        "escalated_at": None,
        "escalate_to": ["user"],
    }
    assert not may_answer(question, viewer)
    assert not may_answer(question | {"approvers": ["user", "admin"]}, viewer)
    assert may_answer(question | {"approvers": [viewer.email.lower()]}, viewer)


def test_every_verb_needs_a_scope_that_exists() -> None:
    assert {rule.scope for rule in TABLE.values()} <= set(SCOPES)


def test_what_is_ones_own_is_allowed_and_what_is_not_does_not_exist() -> None:
    demand(somebody("user"), "cancel_task", "me")

    with pytest.raises(NotFound):
        demand(somebody("user"), "cancel_task", "another")


def test_what_belongs_to_nobody_is_not_everybodys() -> None:
    assert not may(somebody("user"), "cancel_task", None)
    assert may(somebody("admin"), "cancel_task", None)


def test_a_role_without_the_verb_is_told_so_in_the_documents_words() -> None:
    with pytest.raises(Forbidden, match="Insufficient permissions"):
        demand(somebody("viewer"), "submit_task")


def test_a_key_without_the_scope_may_not_even_what_its_owner_may() -> None:
    reader = somebody("admin", scopes=frozenset({"read"}))

    assert may(reader, "view_task", "another")
    with pytest.raises(Forbidden, match="lacks the scope write"):
        demand(reader, "submit_task")


def test_lists_are_narrowed_to_the_owner_exactly_for_those_who_see_only_their_own() -> None:
    assert own_only(somebody("user"), "view_task") == "me"
    assert own_only(somebody("admin"), "view_task") is None
    assert own_only(somebody("viewer"), "view_task") is None
    with pytest.raises(Forbidden):
        own_only(somebody("user"), "view_dlq")


def test_a_verb_that_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        may(somebody("admin"), "fly")


def test_owner_never_appears_for_admins() -> None:
    assert not [verb for verb, rule in TABLE.items() if rule.admin is OWNER]


def test_the_document_says_the_same() -> None:
    said = {"yes": YES, "own": OWNER, "–": NO}
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \| (\w+) \|$", DOCUMENT.read_text(), re.MULTILINE
    )

    assert {verb: (*(said[each] for each in cells), scope) for verb, *cells, scope in rows} == TABLE
