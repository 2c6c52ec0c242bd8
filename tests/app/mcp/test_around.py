"""The tools of agents, approvals, queues, search and sessions, by HTTP, with their effect."""

from __future__ import annotations

from collections.abc import Callable

from app.db import db
from app.jobs import lifecycle
from tests import acting
from tests.app.mcp.model import Model


def test_agents_are_found_and_described(model: Model) -> None:
    listed = model.use("list_agents", words="test-echo double")
    assert [agent["agent_id"] for agent in listed["agents"]] == ["test-echo"]
    assert listed["agents"][0]["optional"] == ["n", "text", "secret"]
    shown = model.use("get_agent", agent_id="test-echo")
    assert shown["parameters"]["properties"]["text"] == {"type": "string"}
    assert "nobody" in model.refused("get_agent", agent_id="nobody")


def test_a_question_is_listed_and_answered(model: Model, make_model: Callable[..., Model]) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    with db.transaction():
        claim = acting.claim()
        assert claim is not None
        asked = acting.asks(claim, "Publish it?")
    waiting = model.use("wait_for_task", task_id=task, seconds=20)  # answers at once: a person is asked
    assert (waiting["status"], waiting["approval_id"]) == ("awaiting_input", asked)
    (question,) = model.use("list_approvals")["approvals"]
    assert (question["question"], question["task_id"], question["may_answer"]) == ("Publish it?", task, True)

    assert "no open question" in make_model("other", "user").refused(
        "answer_input", task_id=task, decision="approve"
    )
    answered = model.use("answer_input", task_id=task, decision="approve", comment="Yes.")
    assert (answered["status"], answered["comment"], answered["may_answer"]) == ("approved", "Yes.", False)
    with db.quick():
        assert acting.status(task) == "queued"
        row = db.row("SELECT * FROM approvals")
    assert row is not None
    assert row["status"] == "approved"
    assert model.refused("answer_input", approval_id=asked, decision="reject")
    assert "approval_id, or task_id" in model.refused("answer_input", decision="approve")


def test_queues_and_search(model: Model) -> None:
    model.use("create_task", agent_id="test-echo", task_name="Tides of Brest", priority="high")
    stats = model.use("get_queue_stats")
    assert set(stats["queues"]) == {"critical", "high", "normal", "low"}
    found = model.use("search", words="Brest", kinds=["jobs"])["results"]["jobs"]
    assert [hit["title"] for hit in found] == ["Tides of Brest"]
    narrowed = model.use("search", words="Brest", session_id="nowhere", semantic=True)
    assert not any(narrowed["results"].values())
    assert "went by words" in narrowed["note"]


def test_a_meeting_is_held_in_a_session(model: Model, make_model: Callable[..., Model]) -> None:
    made = model.use(
        "create_session", session_id="monday_001", title="Monday", participants=["ada@example.org"]
    )
    assert (made["status"], made["url"]) == ("active", made["url"])
    said = [
        {"speaker": "Ada", "text": "We publish the tides on Friday."},
        {"speaker": "Bo", "text": "I write it."},
    ]
    assert len(model.use("add_conversation", session_id="monday_001", chunks=said)["ids"]) == 2
    model.use(
        "store_memory",
        session_id="monday_001",
        key="publish_day",
        content="Friday",
        type="decision",
        tags=["plan"],
        importance=8,
    )
    found = model.use("query_memories", session_id="monday_001", words="friday", tags=["plan"])["memories"]
    assert [memory["key"] for memory in found] == ["publish_day"]
    model.use("add_artifact", session_id="monday_001", name="plan.md", content="# Plan")

    task = model.use(
        "delegate_task", session_id="monday_001", agent_id="test-echo", parameters={"text": "tides"}
    )
    with db.quick():
        assert acting.job(task["task_id"])["session_id"] == "monday_001"
    with db.transaction():
        claim = acting.claim()
        assert claim is not None
        lifecycle.complete(claim, {"said": "tides"})

    first = model.use("get_session_events", session_id="monday_001", limit=2)
    assert first["more"]
    rest = model.use("get_session_events", session_id="monday_001", after=first["cursor"])
    kinds = [event["type"] for event in (*first["events"], *rest["events"])]
    assert kinds == [
        "session.created",
        "conversation.added",
        "memory.stored",
        "artifact.added",
        "job.delegated",
    ]

    whole = model.use("get_session", session_id="monday_001", newest=10)
    assert [piece["text"] for piece in whole["conversation"]] == [piece["text"] for piece in said]
    assert [each["name"] for each in whole["artifacts"]] == ["plan.md"]
    assert [(each["task_id"], each["status"]) for each in whole["tasks"]] == [(task["task_id"], "completed")]
    read = model.within(lambda client: client.read_resource("callboard://sessions/monday_001"))
    assert "We publish the tides" in read.contents[0].text  # type: ignore[union-attr]
    assert model.use("summarize_session", session_id="monday_001", anew=True)["new_messages"] == 0
    assert model.use("summarize_session", session_id="monday_001")["text"]

    changed = model.use("update_session", session_id="monday_001", status="completed", title="Monday, done")
    assert (changed["status"], changed["title"]) == ("completed", "Monday, done")
    assert [each["session_id"] for each in model.use("list_sessions", status="completed")["sessions"]] == [
        "monday_001"
    ]

    stranger, participant = make_model("bo", "user"), make_model("ada", "user")
    assert "monday_001" in stranger.refused("get_session", session_id="monday_001")
    assert stranger.use("list_sessions")["sessions"] == []
    assert participant.use("get_session", session_id="monday_001")["conversation"]
    seen = make_model("viewer", "viewer").use("get_session", session_id="monday_001")
    assert seen["conversation"] == []
