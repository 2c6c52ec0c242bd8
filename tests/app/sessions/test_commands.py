"""The commands: each with its answer, what is wrong with them, several at once, and the same one twice."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.errors import AgentNotFound, CallboardError, Conflict, Forbidden, Invalid, NotFound
from app.sessions import changes, commands, delegating, events, made, memory, talk
from app.sessions.commands import Done, carry_out
from tests import acting
from tests.app.sessions.conftest import People

pytestmark = pytest.mark.usefixtures("here")
S = "morning_meeting_001"
CHUNKS = {"chunks": [{"speaker": "Ada", "text": "We launch in March", "timestamp": "2026-03-01T09:00:00Z"}]}
MEMORY = {"key": "launch", "content": "In March", "tags": ["date"], "importance": 8}


def do(people: People, command: str, payload: Any = None, **more: Any) -> Done:
    return carry_out({"command": command, "session_id": S, "payload": payload or {}} | more, people.ada)


@pytest.fixture
def there(people: People, here: None) -> None:
    """The session is there."""
    changes.create(S, who=people.ada, participants=["bob@sessions.test"])


def where(caught: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [pointer for pointer, _ in caught.value.fields]


def test_a_session_is_made_by_the_id_beside_the_command_or_in_the_payload(people: People) -> None:
    done = do(people, "create_session", {"title": "Morning", "participants": ["Ada"], "metadata": {"n": 1}})
    assert done.status == 201
    assert done.body == {
        "ok": True, "command": "create_session", "session_id": S, "ids": [S],
        "result": {"status": "active", "title": "Morning", "participants": ["Ada"], "last_seq": 1},
    }  # fmt: skip
    other = carry_out({"command": "create_session", "payload": {"id": "voice_1"}}, people.ada)
    assert other.body["session_id"] == "voice_1"
    with pytest.raises(Invalid) as caught:
        do(people, "create_session", {"id": "x"})
    assert where(caught) == ["/payload/id"]
    with pytest.raises(Conflict):
        do(people, "create_session")


@pytest.mark.usefixtures("there")
class TestEach:
    @pytest.mark.parametrize("name", ["conversation_batch", "add_conversation", " Add_Conversation "])
    def test_what_was_said_is_added(self, people: People, name: str) -> None:
        done = do(people, name, CHUNKS)
        assert (done.status, done.body["command"]) == (201, "conversation_batch")
        assert [row["message_id"] for row in talk.page(S)] == done.body["ids"]

    def test_what_is_remembered_is_found_again(self, people: People) -> None:
        assert do(people, "store_memory", MEMORY).status == 201
        again = do(people, "store_memory", MEMORY | {"content": "In April"})
        assert (again.status, again.body["result"]["version"]) == (200, 2)
        found = do(people, "query_memories", {"query": "april", "tags": ["date"], "limit": 5})
        assert found.status == 200
        assert [row["content"] for row in found.body["result"]["memories"]] == ["In April"]
        assert found.body["ids"] == again.body["ids"]

    @pytest.mark.parametrize(
        "payload",
        [
            {"agent_id": "test-noop", "parameters": {"n": 1}},
            {"agent_name": "test-noop", "input_data": {"n": 1}},
        ],
    )
    def test_a_job_is_handed_out(self, people: People, payload: dict[str, Any]) -> None:
        done = do(people, "delegate_task", payload | {"priority": "high"})
        assert done.status == 201
        job = acting.job(done.body["ids"][0])
        assert (job["agent_id"], job["session_id"], job["submitted_by"]) == (
            "test-noop",
            S,
            people.ada.user_id,
        )
        assert (job["parameters"], job["priority_rank"]) == ({"n": 1}, 1)
        assert done.body["result"]["status"] == "queued"
        event = events.after(S)[0][-1]
        assert (event["type"], event["data"]["job_id"]) == ("job.delegated", job["job_id"])
        assert "parameters" not in event["data"]
        assert [row["job_id"] for row in delegating.jobs(S)] == [job["job_id"]]

    def test_an_artifact_is_added(self, people: People) -> None:
        done = do(people, "add_artifact", {"name": "notes.md", "type": "text/markdown", "content": "# Notes"})
        assert done.status == 201
        assert made.get(S, done.body["ids"][0])["content"] == "# Notes"

    def test_it_is_changed_paused_resumed_completed_and_reopened(self, people: People) -> None:
        assert do(people, "update_session", {"title": "New"}).body["result"]["title"] == "New"
        ways = [("pause", "paused"), ("resume", "active"), ("pause_session", "paused"), ("resume_session", "active"),
                ("complete", "completed"), ("complete_session", "completed")]  # fmt: skip
        for command, status in ways:
            done = do(people, command)
            assert (done.status, done.body["result"]["status"]) == (200, status)
        with pytest.raises(Conflict, match="set its status to active"):
            do(people, "conversation_batch", CHUNKS)
        assert do(people, "update_session", {"status": "active"}).body["result"]["status"] == "active"

    def test_a_participant_works_in_it_and_does_not_end_it(self, people: People) -> None:
        envelope = {"command": "conversation_batch", "session_id": S, "payload": CHUNKS}
        assert carry_out(envelope, people.bob).status == 201
        assert [row["added_by"] for row in talk.page(S)] == [people.bob.user_id]
        with pytest.raises(Forbidden):
            carry_out({"command": "complete", "session_id": S}, people.bob)
        for command, payload in (
            ("conversation_batch", CHUNKS),
            ("query_memories", {}),
            ("store_memory", MEMORY),
        ):
            with pytest.raises(NotFound):
                carry_out({"command": command, "session_id": S, "payload": payload}, people.eve)

    def test_every_command_is_known_by_what_it_takes(self) -> None:
        assert set(commands._DO) == set(commands.COMMANDS)
        assert set(commands.ALIASES.values()) <= set(commands.COMMANDS)

    @pytest.mark.parametrize(
        ("envelope", "pointers"),
        [
            ({"command": "explode"}, ["/command"]),
            ({"payload": {}}, ["/command"]),
            ({"command": "pause", "colour": 1}, ["/colour"]),
            ({"command": "pause", "payload": {"x": 1}}, ["/payload/x"]),
            ({"command": "pause", "payload": []}, ["/payload"]),
            ({"command": "pause", "callback_url": "gopher://x"}, ["/callback_url"]),
            ({"command": "pause", "request_id": "x" * 81}, ["/request_id"]),
            ({"command": "pause", "request_id": "a\nb"}, ["/request_id"]),
            ({"command": "conversation_batch", "payload": {"chunks": [{"text": "x"}]}}, ["/payload/chunks/0/speaker"]),
            ({"command": "store_memory", "payload": {"key": "k"}}, ["/payload/content"]),
            ({"command": "delegate_task", "payload": {}}, ["/payload/agent_id"]),
            ({"command": "delegate_task", "payload": {"agent_id": "test-noop", "parameters": {"x": 1}}}, ["/payload/parameters"]),
            ({"command": "add_artifact", "payload": {"name": "n"}}, ["/payload"]),
            ({"command": "query_memories", "payload": {"limit": 0}}, ["/payload/limit"]),
            ({"command": "batch_workflow", "payload": {}}, ["/payload"]),
            ({"command": "batch_workflow", "payload": {"commands": []}}, ["/payload/commands"]),
            ({"command": "batch_workflow", "payload": {"steps": [{"step_id": "a b", "agent_id": "x"}]}}, ["/payload/steps/0/step_id"]),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_with_its_place(
        self, people: People, envelope: Any, pointers: list[str]
    ) -> None:
        with pytest.raises(Invalid) as caught:
            carry_out({"session_id": S} | envelope, people.ada)
        assert where(caught) == pointers

    def test_a_slip_of_the_pen_is_answered_with_what_was_meant(self, people: People) -> None:
        with pytest.raises(Invalid, match="did you mean store_memory"):
            do(people, "store_memori")
        with pytest.raises(Invalid, match="did you mean importance"):
            do(people, "store_memory", MEMORY | {"importnce": 3})

    def test_an_unknown_agent_is_not_found(self, people: People) -> None:
        with pytest.raises(AgentNotFound):
            do(people, "delegate_task", {"agent_id": "nobody"})

    def test_a_session_must_be_named_and_be_there(self, people: People) -> None:
        with pytest.raises(Invalid) as caught:
            carry_out({"command": "pause"}, people.ada)
        assert where(caught) == ["/session_id"]
        for callback in ({}, {"callback_url": "https://example.com/in"}):
            with pytest.raises(NotFound):
                carry_out(
                    {"command": "store_memory", "session_id": "no", "payload": MEMORY} | callback, people.ada
                )

    def test_a_commands_own_callback_hears_of_what_came_of_it(self, people: People) -> None:
        do(people, "store_memory", MEMORY)
        do(people, "delegate_task", {"agent_id": "test-noop"}, callback_url="https://example.com/in")
        rows = db.rows("SELECT event, target, callback, owner FROM deliveries")
        assert rows == [
            {
                "event": "job.delegated",
                "target": "https://example.com/in",
                "callback": True,
                "owner": people.ada.user_id,
            }
        ]


@pytest.mark.usefixtures("there")
class TestTwice:
    def test_the_same_request_answers_as_before_and_does_nothing(self, people: People) -> None:
        first = do(people, "conversation_batch", CHUNKS, request_id="r1")
        again = do(people, "conversation_batch", CHUNKS, request_id="r1")
        assert (again.status, again.body, again.replayed) == (first.status, first.body, True)
        assert len(talk.page(S)) == 1
        do(people, "conversation_batch", CHUNKS, request_id="r2")
        assert len(talk.page(S)) == 2

    def test_another_request_under_the_same_id_is_refused(self, people: People) -> None:
        do(people, "store_memory", MEMORY, request_id="r1")
        with pytest.raises(Invalid) as caught:
            do(people, "store_memory", MEMORY | {"content": "other"}, request_id="r1")
        assert where(caught) == ["/request_id"]

    def test_sessions_and_people_do_not_share_their_request_ids(self, people: People) -> None:
        do(people, "pause", request_id="r1")
        changes.create("other", who=people.ada)
        assert not do(people, "pause", session_id="other", request_id="r1").replayed


def item(command: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    return {"command": command, "payload": payload or {}} | more


@pytest.mark.usefixtures("there")
class TestBatch:
    GOOD = (item("conversation_batch", CHUNKS), item("store_memory", MEMORY))

    def batch(self, people: People, *items: Any, session_id: str = S, **more: Any) -> Done:
        return do(people, "batch_workflow", {"commands": list(items)} | more, session_id=session_id)

    def test_all_are_done_in_their_order(self, people: People) -> None:
        done = self.batch(people, *self.GOOD, item("query_memories", {"query": "march"}), item("complete"))
        assert (done.status, done.body["ok"]) == (201, True)
        results = done.body["result"]["results"]
        assert [(each["index"], each["command"], each["status"]) for each in results] == [
            (0, "conversation_batch", 201), (1, "store_memory", 201), (2, "query_memories", 200), (3, "complete_session", 200),
        ]  # fmt: skip
        assert results[2]["result"]["count"] == 1
        assert done.body["ids"] == [each for result in results for each in result["ids"]]

    def test_a_session_can_be_made_and_filled_at_once(self, people: People) -> None:
        done = self.batch(people, item("create_session", {"title": "New"}), *self.GOOD, session_id="new")
        assert done.status == 201
        assert len(talk.page("new")) == 1

    def test_all_or_none_names_everything_that_cannot_be_read(self, people: People) -> None:
        bad = item("store_memory", {"key": "k"})
        with pytest.raises(Invalid, match="nothing of the batch was done") as caught:
            self.batch(people, *self.GOOD, bad, item("nonsense"), bad)
        assert where(caught) == [
            "/payload/commands/2/payload/content", "/payload/commands/3/command", "/payload/commands/4/payload/content",
        ]  # fmt: skip

    def test_all_or_none_names_the_culprit_and_undoes_the_others(self, people: People) -> None:
        db.run("SAVEPOINT before")
        with pytest.raises(AgentNotFound, match=r"^command 2 \(delegate_task\)"):
            self.batch(people, *self.GOOD, item("delegate_task", {"agent_id": "nobody"}))
        db.run("ROLLBACK TO SAVEPOINT before")  # as a door does with the whole transaction
        assert talk.page(S) == memory.page(S) == []

    def test_each_by_itself_does_what_works_and_says_why_the_others_did_not(self, people: People) -> None:
        done = self.batch(
            people, self.GOOD[0], item("delegate_task", {"agent_id": "nobody"}), item("store_memory", {"key": "k"}),
            self.GOOD[1], atomic=False,
        )  # fmt: skip
        assert (done.status, done.body["ok"]) == (207, False)
        results = done.body["result"]["results"]
        assert [each["ok"] for each in results] == [True, False, False, True]
        assert (results[1]["status"], results[1]["error"]["code"]) == (422, "agent_not_found")
        assert results[2]["error"]["errors"][0]["pointer"] == "/payload/commands/2/payload/content"
        assert (done.body["result"]["done"], done.body["result"]["refused"]) == (2, 2)
        assert len(talk.page(S)) == len(memory.page(S)) == 1
        assert [row["seq"] for row in events.after(S)[0]] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("wrong", "place"),
        [
            (item("batch_workflow", {"commands": [item("pause")]}), "/payload/commands/0/command"),
            (item("pause", session_id="other"), "/payload/commands/0/session_id"),
            (item("pause", request_id="r"), "/payload/commands/0/request_id"),
            (item("pause", callback_url="https://x.org"), "/payload/commands/0/callback_url"),
            ({"cmd": "pause"}, "/payload/commands/0/command"),
            ("pause", "/payload/commands/0"),
        ],
    )
    def test_what_cannot_stand_in_a_batch_is_refused(self, people: People, wrong: Any, place: str) -> None:
        with pytest.raises(Invalid) as caught:
            self.batch(people, wrong)
        assert place in where(caught)

    def test_there_are_at_most_a_hundred(self, people: People) -> None:
        with pytest.raises(Invalid):
            self.batch(people, *[self.GOOD[1]] * 101)

    def test_the_whole_batch_is_done_once_per_request_id(self, people: People) -> None:
        first = do(people, "batch_workflow", {"commands": list(self.GOOD)}, request_id="b1")
        again = do(people, "batch_workflow", {"commands": list(self.GOOD)}, request_id="b1")
        assert (again.replayed, again.body) == (True, first.body)
        assert len(talk.page(S)) == 1

    def test_steps_start_a_workflow_that_belongs_to_the_session(self, people: People) -> None:
        steps = [{"step_id": "a", "agent_id": "test-noop"}, {"step_id": "b", "agent_id": "test-noop"}]
        done = do(people, "batch_workflow", {"steps": steps, "name": "Two"}, callback_url="https://x.org/in")
        assert done.status == 201
        run = db.row(
            "SELECT session_id, submitted_by, name, notify FROM workflows WHERE workflow_id = %(id)s",
            id=done.body["ids"][0],
        )
        assert run == {
            "session_id": S,
            "submitted_by": people.ada.user_id,
            "name": "Two",
            "notify": {"callback_url": "https://x.org/in"},
        }
        assert events.after(S)[0][-1]["type"] == "workflow.started"
        with pytest.raises(CallboardError):
            do(people, "batch_workflow", {"steps": [{"step_id": "a", "agent_id": "nobody"}]})
