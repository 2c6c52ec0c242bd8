"""Owner rules over every route: what is another's is not there, changes nothing, and stands in no list, count or search."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from app.api import ALIASES
from app.api.glue import OPERATIONS, Operation
from app.db import db
from app.jobs import lifecycle
from tests.app.api import flowing, world
from tests.app.api.calling import Caller
from tests.app.api.test_access import MATRIX, _fill, _place
from tests.app.api.test_hostile_input import ALWAYS, SEEN
from tests.app.dashboard.everything import addresses
from tests.app.dashboard.test_pitfalls import changed, snapshot
from tests.app.dashboard.visiting import Visitor

CANARY = "zimtschnecke"
"""Stands in whatever the owner wrote and their agents answered."""

NOBODYS = {"job_id": world.NOTHING, "name": "nothing-here", "worker_id": "nobody", "number": "1", "before": "1", "after": "1",
           "version": "1", "step_id": "first"}  # fmt: skip
HIDDEN = [each for each in OPERATIONS if MATRIX[each.name][2].split()[2] == "404"]
"""Operations upon something that has an owner."""

MARKED = {
    "agent_id": "test-echo", "task_name": f"{CANARY} name", "tags": (CANARY,), "correlation_id": f"{CANARY}-id",
}  # fmt: skip


def _body(operation: Operation) -> dict[str, Any]:
    example = MATRIX[operation.name][1]
    return {} if example is None else {"json": _fill(example, {"fresh": "fresh"})}


def _nothing(operation: Operation) -> str:
    """The operation's path with ids that nothing has."""
    return _filled(operation.path, NOBODYS)


def _at_alias(operation: Operation, path: str, alias: str) -> str:
    """The same thing at another name of the operation."""
    pattern = re.sub(r"<(?:\w+:)?(\w+)>", r"(?P<\1>[^/?]+)", operation.path)
    parts = re.match(pattern, path)
    assert parts
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: parts[part[1]], alias)


def _filled(path: str, places: dict[str, str]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: places.get(part[1], world.NOTHING), path)


def _told(answer: Any, path: str) -> tuple[Any, ...]:
    """An answer without what must differ: the address and ids in it, and the request's own number."""
    said = answer.json or {}
    words = set(re.split(r"[/?&=]", path))
    text = " ".join("…" if word.strip(".'") in words else word for word in said.get("detail", "").split())
    headers = sorted(set(answer.headers.keys()) - {"X-RateLimit-Reset"})
    return answer.status_code, said.get("code"), text, said.get("errors"), headers


@pytest.mark.parametrize("operation", HIDDEN, ids=lambda operation: operation.name)
def test_what_is_anothers_is_exactly_what_is_not_there(
    operation: Operation, app: Flask, owner: Caller, other: Caller, make_caller: Any
) -> None:
    path, nothing, body = _place(MATRIX[operation.name][0], owner, app), _nothing(operation), _body(operation)
    nothing += "?" + path.partition("?")[2] if "?" in path else ""
    if operation.name == "compare_jobs":
        nothing = f"{operation.path}?a={world.NOTHING}&b={world.NOTHING}"
    tag = owner.call(operation.method, path).headers.get("ETag", "") if operation.is_safe else ""
    reader = make_caller("reader", "user", scopes=frozenset({"read"}))
    before = snapshot()

    held = {"If-None-Match": tag} if tag else {}
    theirs = other.call(operation.method, path, headers=held, **body)
    assert _told(theirs, path) == _told(other.call(operation.method, nothing, **body), nothing)
    assert theirs.status_code == 404
    for alias in ALIASES[operation.method, operation.path]:
        assert (
            other.call(operation.method, _at_alias(operation, path, alias), headers=held, **body).status_code
            == 404
        )
    assert reader.call(operation.method, path, headers=held, **body).status_code in (403, 404)
    left = {name for name in changed(before, snapshot()) if name not in ALWAYS | SEEN}
    assert left == set()


def test_every_operation_upon_one_thing_is_hidden_or_for_everybody_or_for_admins() -> None:
    """A new route with a part in its path must say which of them it is."""
    shared = {
        each.name
        for each in OPERATIONS
        if each.parts and each not in HIDDEN and MATRIX[each.name][2].split()[2] != "403"
    }
    assert shared == SHARED


# Agents, budgets, gates, providers and workers belong to nobody: users may look at them.
SHARED = {
    "get_agent", "get_agent_schema", "get_agent_health", "get_agent_docs", "list_agent_versions", "get_agent_version",
    "compare_agent_versions", "get_budget", "get_quality_gate", "list_quality_gate_versions", "get_provider", "get_worker",
}  # fmt: skip


@pytest.fixture
def theirs(app: Flask, owner: Caller) -> dict[str, str]:
    """One of each thing of the owner, with the canary in all words; {place: id}."""
    claim = world.running(owner.id, **MARKED)
    acting_says(claim)
    with db.transaction():
        lifecycle.complete(claim, {"answer": f"{CANARY} result"})
    made = {
        "job_id": claim.job_id,
        "failed": world.failed(owner.id, f"{CANARY} error", **MARKED),
        "waiting": world.submitted(owner.id, **MARKED),
        "artifact_id": world.artifact(owner.id, app.config["CALLBOARD"].artifact_store, name=f"{CANARY}.txt"),
        "workflow_id": flowing.started(owner.id, flowing.ECHO | {"name": f"{CANARY} flow"}),
        "approval_id": flowing.asked(owner.id),
        "schedule_id": world.schedule(owner.id, name=f"{CANARY} plan", parameters={"text": CANARY}),
        "notification_id": world.notification(owner.id, title=f"{CANARY} news"),
        "delivery_id": world.delivery(owner.id),
        "endpoint_id": world.endpoint(owner.id),
        "name": flowing.template(owner.id),
        "hook_id": world.hook(owner.id, slug=f"{CANARY}-in"),
        "bulk_id": world.bulk_action(owner.principal),  # type: ignore[arg-type]
        "session_id": world.session(owner.principal, title=f"{CANARY} talk"),  # type: ignore[arg-type]
    }
    world.hook_delivery(owner.id, made["hook_id"])
    made["stopped"] = world.stopped_by_budget(owner.id, **MARKED)
    for path, body in (
        ("/api/v1/saved-views", {"name": f"{CANARY} view", "filter": f"tag:{CANARY}"}),
        ("/api/v1/api-keys", {"name": f"{CANARY} key"}),
        ("/api/v1/webhook-endpoints", {"url": f"https://{CANARY}.example/"}),
    ):
        assert owner.post(path, json=body).status_code == 201
    return made


def acting_says(claim: Any) -> None:
    """Log lines, steps and a question's words of a running job."""
    world.said(claim, f"{CANARY} line")


LISTS = [each for each in OPERATIONS if each.is_safe and not each.parts and each.verb is not None]
MORE = (
    f"/api/v1/jobs?q={CANARY}", f"/api/v1/jobs?tag={CANARY}", f"/api/v1/jobs?filter=tag:{CANARY}", f"/api/v1/jobs?filter={CANARY}",
    f"/api/v1/search?q={CANARY}", f"/api/v1/search?q={CANARY}&type=jobs&type=workflows&type=schedules&type=templates",
    f"/api/v1/workflows?q={CANARY}", f"/api/v1/schedules?q={CANARY}", "/api/v1/usage?group_by=agent", "/api/v1/usage?group_by=day",
    "/api/v1/jobs?limit=100&status=completed,failed,queued", f"/api/v1/sessions?q={CANARY}", "/api/v1/sessions?status=active",
)  # fmt: skip


def test_lists_searches_counts_and_figures_of_others_hold_nothing_of_it(
    app: Flask, theirs: dict[str, str], owner: Caller, other: Caller, make_caller: Any
) -> None:
    reader = make_caller("reader", "user", scopes=frozenset({"read"}))
    paths = {MATRIX[each.name][0] for each in LISTS} | {
        alias for each in LISTS for alias in ALIASES[each.method, each.path]
    }
    asked = [re.sub(r"=\{(\w+)\}", f"={theirs['job_id']}", path) for path in (*paths, *MORE)]
    ids = {theirs[name] for name in theirs if name != "name"}

    shown = "".join(owner.get(path).get_data(as_text=True) for path in asked)
    assert shown.count(CANARY) > 10  # the owner sees it there
    for caller in (other, reader):
        for path in asked:
            text = caller.get(path).get_data(as_text=True)
            leaked = [
                id_ for id_ in ids if id_ in text and id_ not in path
            ]  # what was asked for may be said again
            assert not leaked, path
            assert CANARY not in text.replace(f'"q":"{CANARY}"', ""), path
            assert owner.id not in text, path


def test_counts_tell_others_nothing(theirs: dict[str, str], other: Caller, owner: Caller) -> None:
    for path in (*MORE[:4], "/api/v1/jobs", "/api/v1/workflows", "/api/v1/schedules", "/api/v1/deliveries"):
        theirs_, mine = (caller.get(path).json or {} for caller in (other, owner))
        assert theirs_.get("total", 0) == 0, path
        assert mine.get("total", 1) > 0, path
    found = other.get(f"/api/v1/search?q={theirs['job_id'][:13]}").json
    assert found is not None
    assert not any(found["results"].values())


def test_a_viewer_sees_that_there_are_jobs_and_nothing_of_what_is_in_them(
    app: Flask, theirs: dict[str, str], viewer: Caller, owner: Caller
) -> None:
    content = [
        f"{CANARY} result",
        f"{CANARY} error",
        f"{CANARY} line",
        "a secret word",
        "A secret title",
        "Traceback: here",
        "hello",
    ]
    paths = [MATRIX[each.name][0] for each in LISTS] + list(MORE)
    parted = [each for each in OPERATIONS if each.is_safe and each.parts]
    seen = ""
    for path in paths:
        seen += viewer.get(re.sub(r"=\{(\w+)\}", f"={theirs['job_id']}", path)).get_data(as_text=True)
    for operation in parted:
        for which in ("job_id", "failed"):
            places = (
                theirs | {"job_id": theirs[which]} | {k: v for k, v in NOBODYS.items() if k not in theirs}
            )
            path = _filled(operation.path, places)
            seen += viewer.get(path).get_data(as_text=True)

    assert theirs["job_id"] in seen
    assert [word for word in content if word in seen] == []


def test_an_idempotency_key_of_another_reveals_and_replays_nothing(owner: Caller, other: Caller) -> None:
    key, body = {"Idempotency-Key": "the same key"}, {"agent_id": "test-echo", "parameters": {"text": "x"}}
    mine = owner.post("/api/v1/jobs", json=body, headers=key)
    theirs = other.post("/api/v1/jobs", json=body, headers=key)
    different = other.post(
        "/api/v1/jobs", json=body | {"priority": "high"}, headers={"Idempotency-Key": "the same key"}
    )

    assert mine.json is not None
    assert theirs.json is not None
    assert (theirs.status_code, theirs.json["job_id"] != mine.json["job_id"]) == (201, True)
    assert "Idempotency-Replayed" not in theirs.headers
    assert different.status_code == 422  # by one's own use, not by another's


def test_a_bulk_action_upon_jobs_of_others_tells_as_much_as_one_upon_nothing(
    theirs: dict[str, str], other: Caller
) -> None:
    made = [
        other.post("/api/v1/bulk-actions", json={"verb": "cancel", "ids": [job_id]}).json
        for job_id in (theirs["waiting"], world.NOTHING)
    ]
    assert all(made)
    told = [
        {name: value for name, value in each.items() if not name.endswith(("_id", "_at", "links"))}
        for each in made
        if each
    ]
    for each in told:
        each.pop("choice", None)
    assert str(told[0]).replace(theirs["waiting"], "ID") == str(told[1]).replace(world.NOTHING, "ID")


def test_pages_and_regions_of_others_are_not_there(
    app: Flask, theirs: dict[str, str], user: Visitor, watcher: Visitor
) -> None:
    """`user` sees nothing of it anywhere; a viewer nothing of what is in it."""
    places = (
        dict.fromkeys(WORDS, "1")
        | theirs
        | {"agent_id": "test-echo", "worker_id": world.WORKER, "pool": "general", "rule": "backlog"}
    )
    content = [f"{CANARY} result", f"{CANARY} error", f"{CANARY} line", "a secret word"]
    found = 0
    for address in (addresses("GET", places) | addresses("GET", places, fragments=True)).values():
        ours = theirs["job_id"] in address
        for path in (address, address.replace(theirs["job_id"], theirs["failed"])) if ours else (address,):
            answer = user.get(path)
            assert CANARY not in answer.text, path
            assert "a secret word" not in answer.text, path
            seen = watcher.get(path).text
            assert [word for word in content if word in seen] == [], path
            found += answer.status_code == 404
    assert found >= 40


def test_a_look_at_regions_of_others_answers_with_a_code_alone(
    app: Flask, theirs: dict[str, str], user: Visitor
) -> None:
    places = dict.fromkeys(WORDS, "1") | theirs | {"agent_id": "test-echo", "worker_id": world.WORKER}
    for name, address in addresses("GET", places, fragments=True).items():
        answer = user.client.get("/ui/look", query_string={"r": address})
        assert answer.status_code == 200, address
        (region,) = answer.get_json()["regions"]
        assert CANARY not in str(region), address
        if any(theirs[part] in address for part in theirs if part != "name"):
            assert set(region) == {"code"}, f"{name}: {region}"


WORDS = ("token", "dlq_id", "provider_id", "budget_id", "policy_id", "rule_id", "view_id", "key_id", "alert_id", "version", "number",
         "step_id", "verb", "group", "user_id", "login_id", "entry_id", "hook_rule_id", "incoming_id")  # fmt: skip


@pytest.fixture
def user(app: Flask) -> Visitor:
    """Another user, with a browser."""
    app.config["CALLBOARD_LINK_LIMIT"] = "1000 per second"
    return Visitor(app, "user")


@pytest.fixture
def watcher(app: Flask) -> Visitor:
    """A viewer, with a browser."""
    return Visitor(app, "viewer")
