"""Jobs on their way through a quality gate: real claims, attempts and Postgres; what agents write is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from actors import execute, gatekeeper
from actors.attempt import Attempt
from actors.execute import AttemptFailed, run_next
from actors.judges import Judges
from actors.post import Post
from actors.runners.base import Context, Work
from app.approvals import answering
from app.approvals.asking import Decision
from app.budgets.usage import Usage
from app.db import AWAY, Row, db
from app.errors import Asked, Cancelled, Invalid, PermanentError, TemporaryError
from app.jobs import timeline
from app.providers import catalogue
from app.quality import drafts, gates
from app.quality.definition import Gate
from app.workflows import runs
from app.workflows.definition import read as read_workflow
from app.workflows.runs import RunWish
from tests import acting
from tests.model_server import Model, Refuse, Say
from tests.openai_server import chat_model

RunWith = Callable[[Callable[[Work, Context], Any]], None]
Hold = Callable[..., Attempt]

# A quarter of ten for each letter that a draft has.
LETTERS: dict[str, Any] = {
    "of": "text",
    "refinements": 3,
    "otherwise": "rejected",
    "checks": [{"check": "regex", "name": "letters", "must": ["a", "b", "c", "d"]}],
}
ASKS = LETTERS | {"otherwise": "needs_review"}


class Writer:
    """Writes the given texts one after the other, and remembers what it was told."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.told: list[Work] = []

    def __call__(self, work: Work, context: Context) -> dict[str, Any]:
        self.told.append(work)
        at = work.feedback["next"] if work.feedback else 1
        return {"text": self.texts[at - 1], "title": "kept"}

    @property
    def feedback(self) -> list[Any]:
        return [work.feedback for work in self.told]


def submitted(gate: Any, agent_id: str = "test-gated", **ours: Any) -> str:
    with db.transaction():
        acting.agent(agent_id, gate=gate, **ours)
        return acting.submitted(agent_id, parameters={"topic": "letters"})


def job(job_id: str) -> Row:
    with db.quick():
        return acting.job(job_id)


def kept(job_id: str) -> list[Row]:
    with db.quick():
        found = [drafts.one(job_id, row["number"]) for row in drafts.outline(job_id)]
        return [draft for draft in found if draft]


def question(job_id: str) -> Row:
    with db.quick():
        found = db.row(
            "SELECT *, approval_id::text FROM approvals WHERE job_id = %(job)s AND status = 'open'",
            job=job_id,
        )
    assert found is not None
    return found


@dataclass(frozen=True)
class Eve:
    """Who answers."""

    user_id: str = "eve"
    email: str = "eve@example.com"
    role: str = "admin"


def answered(job_id: str, decision: Decision, *, edited: Any = None, comment: str | None = None) -> None:
    """As a door does it."""
    approval_id = question(job_id)["approval_id"]
    with db.transaction():
        answering.answer(approval_id, decision=decision, by=Eve(), edited=edited, comment=comment)
    assert job(job_id)["status"] == "queued"


def test_a_draft_that_passes_is_the_result(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a b c d"))
    job_id = submitted(LETTERS)
    assert run_next(post)
    row = job(job_id)
    assert (row["status"], row["status_reason"], row["verdict"], row["quality_score"]) == (
        "completed", None, "passed", 10.0,
    )  # fmt: skip
    result = row["result"]
    assert (result["text"], result["title"]) == ("a b c d", "kept")
    told = {
        name: result["quality"][name]
        for name in ("score", "threshold", "passed", "verdict", "attempts", "refinements", "issues", "draft")
    }
    assert told == {
        "score": 10.0, "threshold": 7.0, "passed": True, "verdict": "passed", "attempts": 1, "refinements": 0,
        "issues": [], "draft": 1,
    }  # fmt: skip
    assert writer.feedback == [None]


def test_a_draft_is_made_better_until_it_passes(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a", "a b", "a b c", "never"))
    job_id = submitted(LETTERS)
    run_next(post)
    row = job(job_id)
    assert (row["verdict"], row["quality_score"], row["result"]["text"]) == ("passed", 7.5, "a b c")
    assert [(d["number"], d["score"], d["verdict"]) for d in kept(job_id)] == [
        (1, 2.5, "revise"), (2, 5.0, "revise"), (3, 7.5, "passed"),
    ]  # fmt: skip
    first, second = writer.feedback[1:]
    assert (first["attempt"], first["next"], first["score"], first["threshold"]) == (1, 2, 2.5, 7.0)
    assert (first["text"], first["draft"]["text"], first["issues"]) == (
        "a",
        "a",
        ["A required pattern is missing"],
    )
    assert first["suggestions"] == ["letters: must match b; must match c; must match d"]
    assert (second["attempt"], second["next"], second["draft"]["text"]) == (2, 3, "a b")
    assert [(each["attempt"], each["score"], each["passed"]) for each in row["result"]["quality"]["drafts"]] == [
        (1, 2.5, False), (2, 5.0, False), (3, 7.5, True),
    ]  # fmt: skip


def test_scores_are_told_while_the_job_runs(post: Post, run_with: RunWith) -> None:
    run_with(Writer("a", "a b c d"))
    job_id = submitted(LETTERS)
    run_next(post)
    with db.quick():
        told = [event for event in timeline.events(job_id) if event["kind"] == "quality"]
    assert [event["message"] for event in told] == [
        "✗ Content needs improvement (2.5/10, threshold: 7.0)",
        "✓ Content approved (10.0/10, threshold: 7.0)",
    ]
    assert told[0]["data"] == {
        "attempt": 1, "score": 2.5, "threshold": 7.0, "verdict": "revise", "issues": ["A required pattern is missing"],
    }  # fmt: skip
    assert job(job_id)["current_step"] == "Draft 2: 10.0/10"


def test_each_draft_has_its_own_key_and_calls(post: Post, run_with: RunWith) -> None:
    keys: list[str] = []
    writer = Writer("a", "a b c d")

    def write(work: Work, context: Context) -> Any:
        keys.append(work.idempotency_key)
        context.meter(Usage(call_id="call-1", provider="p", model="m", input_tokens=100, final=True))
        return writer(work, context)

    run_with(write)
    job_id = submitted(LETTERS)
    run_next(post)
    assert keys == [f"{job_id}:1", f"{job_id}:1:draft-2"]
    assert job(job_id)["usage"]["input_tokens"] == 200


def test_a_rejected_job_is_completed_with_its_best_draft(post: Post, run_with: RunWith) -> None:
    run_with(Writer("a", "a b c x", "never"))
    job_id = submitted(LETTERS | {"threshold": 8})
    with db.quick():
        db.run("UPDATE jobs SET max_retries = 3 WHERE job_id = %(job)s", job=job_id)
    run_with(Writer("a", "a b", "a x"))
    run_next(post)
    row = job(job_id)
    assert (row["status"], row["status_reason"], row["verdict"], row["retry_count"]) == (
        "completed", "rejected", "rejected", 0,
    )  # fmt: skip
    quality = row["result"]["quality"]
    assert (row["result"]["text"], row["quality_score"]) == ("a b", 5.0)
    assert (quality["passed"], quality["verdict"], quality["draft"], quality["attempts"], quality["refinements"]) == (
        False, "rejected", 2, 3, 2,
    )  # fmt: skip
    with db.quick():
        assert db.value("SELECT count(*) FROM dead_letters WHERE job_id = %(job)s", job=job_id) == 0
    assert run_next(post) is False


def test_an_agent_that_cannot_do_better_is_not_asked_again(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a"))
    job_id = submitted({name: value for name, value in LETTERS.items() if name != "refinements"})
    run_next(post)
    assert job(job_id)["verdict"] == "rejected"
    assert len(writer.told) == 1


@pytest.mark.parametrize(("options", "judged"), [({"gate": False}, False), ({}, True)])
def test_a_job_may_go_without_the_gate_of_its_agent(
    post: Post, run_with: RunWith, options: dict[str, Any], judged: bool
) -> None:
    run_with(Writer("a b c d"))
    with db.transaction():
        acting.agent("test-gated", gate=LETTERS)
        job_id = acting.submitted("test-gated", options=options)
    run_next(post)
    assert ("quality" in job(job_id)["result"]) is judged
    assert bool(kept(job_id)) is judged


def test_a_gate_that_is_not_there_fails_the_job_in_words(post: Post, run_with: RunWith) -> None:
    run_with(Writer("a"))
    submitted("no-such-gate")
    with pytest.raises(AttemptFailed, match="quality gate of this job cannot be used") as failed:
        run_next(post)
    assert isinstance(failed.value.error, PermanentError)


# -- a person looks at it


def test_a_person_is_asked_when_nothing_is_left_to_try(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a", "a b", "a"))
    people = {"approvers": ["admin"], "deadline_minutes": 60, "escalate_minutes": 30, "escalate_to": ["user"]}
    job_id = submitted(ASKS | people)
    run_next(post)
    assert job(job_id)["status"] == "awaiting_input"
    asked = question(job_id)
    assert (asked["kind"], asked["draft_number"], asked["approvers"]) == ("gate", 2, ["admin"])
    assert asked["options"] == ["approve", "reject", "edit", "ask_back"]
    assert asked["editable"] == {"text": "a b"}
    assert asked["deadline_at"] > asked["escalate_at"]
    shown = asked["shown"]
    assert shown["input"] == {"topic": "letters"}
    assert shown["draft"] == {"number": 2, "text": "a b", "characters": 3, "of": 3}
    assert (shown["quality"]["score"], shown["quality"]["issues"]) == (5.0, ["A required pattern is missing"])
    assert asked["question"].startswith("May draft 2 be taken as it is? ✗ Content needs improvement (5.0/10")
    assert len(writer.told) == 3


def test_a_yes_is_the_end_and_nothing_is_made_again(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a", "a"))
    job_id = submitted(ASKS)
    run_next(post)
    answered(job_id, "approve")
    run_next(post)
    row = job(job_id)
    assert (row["status"], row["verdict"], row["result"]["text"]) == ("completed", "passed", "a")
    quality = row["result"]["quality"]
    assert (quality["passed"], quality["decided_by"], quality["score"]) == (True, "eve@example.com", 2.5)
    assert (len(writer.told), len(kept(job_id))) == (2, 2)


def test_a_no_keeps_the_draft_and_rejects_it(post: Post, run_with: RunWith) -> None:
    run_with(Writer("a", "a"))
    job_id = submitted(ASKS)
    run_next(post)
    answered(job_id, "reject", comment="dull")
    run_next(post)
    row = job(job_id)
    assert (row["status"], row["status_reason"], row["verdict"]) == ("completed", "rejected", "rejected")
    assert (row["result"]["quality"]["comment"], row["result"]["quality"]["passed"]) == ("dull", False)


def test_what_the_person_made_of_it_is_a_draft_and_the_result(post: Post, run_with: RunWith) -> None:
    run_with(writer := Writer("a", "a"))
    job_id = submitted(ASKS)
    run_next(post)
    answered(job_id, "edit", edited="a b mine")
    run_next(post)
    row = job(job_id)
    assert (row["verdict"], row["result"]["text"], row["result"]["title"]) == ("passed", "a b mine", "kept")
    assert row["quality_score"] == 5.0
    assert row["result"]["quality"]["decided_by"] == "eve@example.com"
    assert [(each["number"], each["source"], each["verdict"]) for each in kept(job_id)] == [
        (1, "agent", "revise"), (2, "agent", "needs_review"), (3, "person", "passed"),
    ]  # fmt: skip
    assert len(writer.told) == 2


def test_a_result_without_a_text_is_edited_as_a_whole(post: Post, run_with: RunWith) -> None:
    run_with(lambda _work, _context: {"rows": [1, 2], "text": ""})
    gate = {"of": "rows", "checks": [{"check": "json_schema", "of": "rows", "schema": {"maxItems": 1}}]}
    job_id = submitted(gate)
    run_next(post)
    assert question(job_id)["editable"] == {"value": {"rows": [1, 2], "text": ""}}
    answered(job_id, "edit", edited={"rows": [1], "text": "as I like it"})
    run_next(post)
    result = job(job_id)["result"]
    assert (result["rows"], result["text"], result["edited_by"]) == ([1], "as I like it", "eve@example.com")


def test_a_draft_that_is_sent_back_is_made_again_with_the_comment_and_shown_again(
    post: Post, run_with: RunWith
) -> None:
    run_with(writer := Writer("a b", "a", "a b c d"))
    job_id = submitted(ASKS)
    run_next(post)
    first = question(job_id)
    assert first["draft_number"] == 1
    answered(job_id, "ask_back", comment="say more")
    run_next(post)
    told = writer.feedback[2]
    assert (told["comment"], told["by"], told["attempt"], told["next"]) == (
        "say more",
        "eve@example.com",
        1,
        3,
    )
    second = question(job_id)
    assert (second["draft_number"], second["shown"]["draft"]["text"]) == (3, "a b c d")
    assert second["digest"] != first["digest"]
    answered(job_id, "approve")
    run_next(post)
    quality = job(job_id)["result"]["quality"]
    assert (quality["passed"], quality["attempts"], quality["refinements"], quality["sent_back"]) == (
        True,
        3,
        1,
        1,
    )


def test_it_can_be_sent_back_ten_times(post: Post, run_with: RunWith) -> None:
    run_with(Writer(*["a"] * 12))
    job_id = submitted(ASKS | {"refinements": 1, "min_gain": 10})
    run_next(post)
    for _ in range(10):
        assert "ask_back" in question(job_id)["options"]
        answered(job_id, "ask_back", comment="again")
        run_next(post)
    assert question(job_id)["options"] == ["approve", "reject", "edit"]
    assert len(kept(job_id)) == 12


# -- attempts that come to no end


def attempt_of(job_id: str, hold: Hold, worker: str) -> Attempt:
    with db.quick():
        taken = acting.claim(worker)
    assert taken is not None
    assert taken.job_id == job_id
    return hold(taken)


def loop(attempt: Attempt, make: Any, gate: dict[str, Any] = LETTERS) -> Any:
    work = Work(
        job_id=attempt.claim.job_id, attempt=attempt.claim.fence, agent_id="test-gated", parameters={}, config={},
        timeout_seconds=60, soft_seconds=50, memory_mb=512, idempotency_key=attempt.claim.idempotency_key,
    )  # fmt: skip
    return gatekeeper.through_gate(Gate.read(gate), make, attempt, Judges(work, attempt, pauses=()))


def maker(made: list[int], *texts: str) -> Any:
    def make(feedback: Any) -> dict[str, Any]:
        number = feedback["next"] if feedback else 1
        made.append(number)
        return {"text": texts[number - 1]}

    return make


class Killed(BaseException):
    """The worker is no more."""


def dying(attempt: Attempt, at: str, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the worker die at the first call of a verb, before or after it has done its work."""
    real = getattr(attempt, at)

    def die(*args: Any, **named: Any) -> None:
        if after:
            real(*args, **named)
        raise Killed

    monkeypatch.setattr(attempt, at, die)


@pytest.mark.parametrize(
    ("at", "after", "made_again"),
    [
        ("keep_draft", False, [1]),
        ("keep_draft", True, []),
        ("judged_draft", False, []),
        ("judged_draft", True, []),
    ],
)
def test_a_later_attempt_goes_on_from_what_was_kept(
    post: Post, hold: Hold, monkeypatch: pytest.MonkeyPatch, at: str, after: bool, made_again: list[int]
) -> None:
    job_id, made = submitted(LETTERS), []
    make = maker(made, "a b", "a b c d")
    first = attempt_of(job_id, hold, "w1")
    dying(first, at, monkeypatch, after=after)
    with pytest.raises(Killed):
        loop(first, make)
    assert made == [1]
    with db.quick():
        acting.rescue(first.claim)
        acting.make_due(job_id)
    second = attempt_of(job_id, hold, "w2")
    result = loop(second, make)
    assert made == [1, *made_again, 2]
    assert (result["text"], result["quality"]["attempts"], second.verdict) == ("a b c d", 2, "passed")
    assert [(each["number"], each["fence"]) for each in kept(job_id)] == [
        (1, 2 if made_again else 1), (2, 2),
    ]  # fmt: skip


def test_after_the_question_a_later_attempt_asks_the_very_same(post: Post, hold: Hold) -> None:
    """A worker killed between raising Asked and settling it: nothing was asked, and nothing is made again."""
    job_id, made = submitted(ASKS), []
    make = maker(made, "a", "a")
    first = attempt_of(job_id, hold, "w1")
    with pytest.raises(Asked) as asked:
        loop(first, make, ASKS)
    with db.quick():
        acting.rescue(first.claim)
        acting.make_due(job_id)
    with pytest.raises(Asked) as again:
        loop(attempt_of(job_id, hold, "w2"), make, ASKS)
    assert again.value.question == asked.value.question
    assert made == [1, 2]


def test_a_worker_that_lost_its_job_writes_nothing(post: Post, hold: Hold) -> None:
    job_id, made = submitted(LETTERS), []
    zombie = attempt_of(job_id, hold, "w1")

    def slow(feedback: Any) -> dict[str, Any]:
        with db.quick():
            acting.rescue(zombie.claim)
            acting.make_due(job_id)
        successor = attempt_of(job_id, hold, "w2")
        successor.keep_draft(1, {"text": "the successor's"})
        return {"text": "the zombie's"}

    with pytest.raises(Cancelled):
        loop(zombie, slow)
    assert zombie.lost
    with pytest.raises(Cancelled):
        zombie.judged_draft(1, {"score": 1.0, "verdict": "revise"})
    (draft,) = kept(job_id)
    assert (draft["content"]["text"], draft["report"], draft["fence"]) == ("the successor's", None, 2)
    assert made == []


def test_the_same_attempt_may_keep_a_draft_twice(post: Post, hold: Hold) -> None:
    """Postgres went away after it had committed, before it said so."""
    attempt = attempt_of(job_id := submitted(LETTERS), hold, "w1")
    attempt.keep_draft(1, {"text": "once"})
    attempt.keep_draft(1, {"text": "once"})
    assert len(kept(job_id)) == 1


def test_a_draft_is_kept_though_postgres_is_away_for_a_moment(
    post: Post, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = attempt_of(job_id := submitted(LETTERS), hold, "w1")
    real, tries = drafts.keep, []

    def away(**told: Any) -> bool:
        tries.append(told["number"])
        if len(tries) < 3:
            raise AWAY[0]("SELECT", {}, Exception("away"))
        return real(**told)

    monkeypatch.setattr(drafts, "keep", away)
    attempt.keep_draft(1, {"text": "dear"})
    assert (len(tries), len(kept(job_id))) == (3, 1)


def test_a_job_that_is_cancelled_while_postgres_is_away_does_not_insist(
    post: Post, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = attempt_of(submitted(LETTERS), hold, "w1")

    def away(**_told: Any) -> bool:
        attempt.cancel_asked = True
        raise AWAY[0]("SELECT", {}, Exception("away"))

    monkeypatch.setattr(drafts, "keep", away)
    with pytest.raises(Cancelled):
        attempt.keep_draft(1, {"text": "dear"})
    assert not attempt.lost


def test_a_check_that_cannot_be_made_keeps_the_draft_and_fails_the_attempt(post: Post, hold: Hold) -> None:
    gate = LETTERS | {"checks": [*LETTERS["checks"], {"check": "command", "argv": ["no-such-program"]}]}
    job_id, made = submitted(gate), []
    with pytest.raises(TemporaryError, match="The check command could not be made: `no-such-program`"):
        loop(attempt_of(job_id, hold, "w1"), maker(made, "a b c d"), gate)
    (draft,) = kept(job_id)
    assert (draft["report"], draft["score"], draft["verdict"]) == (None, None, None)


def test_a_check_that_is_skipped_is_no_part_of_the_score(post: Post, hold: Hold) -> None:
    skipped = {"check": "command", "argv": ["no-such-program"], "on_error": "skip", "mode": "blocking"}
    gate = LETTERS | {"checks": [*LETTERS["checks"], skipped]}
    result = loop(attempt_of(job_id := submitted(gate), hold, "w1"), maker([], "a b c d"), gate)
    assert (result["quality"]["score"], result["quality"]["passed"]) == (10.0, True)
    (draft,) = kept(job_id)
    assert "no-such-program" in draft["report"]["checks"][1]["error"]


@pytest.mark.parametrize("otherwise", ["rejected", "needs_review"])
def test_where_no_check_could_be_made_a_person_is_asked_and_nothing_rejected(
    post: Post, hold: Hold, otherwise: str
) -> None:
    skipped = {"check": "command", "argv": ["no-such-program"], "on_error": "skip"}
    gate = LETTERS | {"checks": [skipped], "otherwise": otherwise}
    job_id = submitted(gate)
    with pytest.raises(Asked, match="No check of the gate could be made"):
        loop(attempt_of(job_id, hold, "w1"), maker([], "a"), gate)
    assert (kept(job_id)[0]["score"], kept(job_id)[0]["verdict"]) == (None, "needs_review")


def test_a_stopped_job_keeps_its_best_draft(post: Post, hold: Hold) -> None:
    attempt = attempt_of(submitted(LETTERS), hold, "w1")

    def make(feedback: Any) -> dict[str, Any]:
        if feedback:
            raise PermanentError("stopped")
        return {"text": "a b"}

    with pytest.raises(PermanentError):
        loop(attempt, make)
    assert attempt.partial_result == {"text": "a b"}


@pytest.mark.parametrize(
    ("content", "path", "expected"),
    [
        ({"a": {"b": "old"}, "c": 1}, "a.b", {"a": {"b": "new"}, "c": 1}),
        ({"pages": [{"t": "x"}, {"t": "y"}]}, "pages.1.t", {"pages": [{"t": "x"}, {"t": "new"}]}),
        ({"parts": ["x", "y"]}, "parts.0", {"parts": ["new", "y"]}),
        ({}, "a.b", {"a": {"b": "new"}}),
    ],
)
def test_a_text_is_put_where_the_gate_looks(content: Any, path: str, expected: Any) -> None:
    assert gatekeeper.edited(content, path, "new") == expected


# -- with agents and checks as they are


def provided(model: Model, provider_id: str) -> None:
    catalogue.add(
        provider_id, {"title": provider_id.title(), "base_url": f"{model.url}/v1", "model": "test-model"}
    )


def verdict(score: float, *issues: str) -> Say:
    return Say(json.dumps({"score": score, "issues": list(issues), "feedback": "Say why."}))


def test_a_language_agent_is_judged_by_a_model_and_does_better(post: Post) -> None:
    gate = {
        "otherwise": "rejected",
        "checks": [{"check": "judge", "criteria": "Is it friendly?", "providers": ["gate-judge"]}],
    }
    with (
        chat_model(Say("Hello."), Say("Hello, dear friend.")) as writer,
        chat_model(verdict(5, "Too short"), verdict(9)) as judge,
    ):
        with db.transaction():
            provided(writer, "gate-writer")
            provided(judge, "gate-judge")
        with db.transaction():
            acting.agent("test-gated-llm", runner="llm", llm={}, providers=["gate-writer"], gate=gate)
            job_id = acting.submitted("test-gated-llm", parameters={"task": "Greet."})
        run_next(post)
    row = job(job_id)
    assert (row["verdict"], row["quality_score"], row["result"]["result"]) == (
        "passed",
        9.0,
        "Hello, dear friend.",
    )
    assert [message["role"] for message in writer.asked[1]["messages"]][-3:] == ["user", "assistant", "user"]
    assert "- Too short" in writer.asked[1]["messages"][-1]["content"]
    assert "Hello, dear friend." in judge.asked[1]["messages"][-1]["content"]
    assert [(each["model"], each["score"]) for each in kept(job_id)] == [
        ("Gate-Writer - test-model", 5.0), ("Gate-Writer - test-model", 9.0),
    ]  # fmt: skip
    with db.quick():
        spent = db.rows(
            """SELECT provider, sum(input_tokens + cache_read_tokens)::int AS tokens FROM usage_events
               WHERE job_id = %(job)s GROUP BY provider ORDER BY provider""",
            job=job_id,
        )
    assert [(each["provider"], each["tokens"]) for each in spent] == [
        ("gate-judge", 2000),
        ("gate-writer", 2000),
    ]
    assert row["usage"]["input_tokens"] + row["usage"]["cache_read_tokens"] == 4000


def test_an_agent_without_a_model_may_be_judged_by_one(post: Post) -> None:
    gate = {"of": "parameters.text", "otherwise": "rejected", "checks": [
        {"check": "judge", "criteria": "Is it friendly?", "providers": ["gate-only"]}
    ]}  # fmt: skip
    with chat_model(verdict(8)) as judge:
        with db.transaction():
            provided(judge, "gate-only")
        with db.transaction():
            acting.agent(
                "test-gated-echo", python={"call": "tests.playing:echo", "isolation": "thread"}, gate=gate
            )
            job_id = acting.submitted("test-gated-echo", parameters={"text": "Dear friend"})
        run_next(post)
    assert (job(job_id)["verdict"], job(job_id)["quality_score"]) == ("passed", 8.0)
    assert "Dear friend" in judge.asked[0]["messages"][-1]["content"]


def test_a_job_waits_for_its_judge_and_goes_on_from_the_draft(post: Post, run_with: RunWith) -> None:
    gate = {"otherwise": "rejected", "checks": [
        {"check": "judge", "criteria": "Is it friendly?", "providers": ["gate-away"]}
    ]}  # fmt: skip
    run_with(writer := Writer("a"))
    with chat_model(Refuse(429, "rate_limit_exceeded", "slow", {"Retry-After": "60"}), verdict(8)) as judge:
        with db.transaction():
            provided(judge, "gate-away")
        job_id = submitted(gate)
        run_next(post)
        row = job(job_id)
        assert (row["status"], row["status_reason"], row["retry_count"]) == ("retry", "provider_open", 0)
        with db.transaction():
            acting.make_due(job_id)
            db.run("UPDATE providers SET open_until = now() - interval '1 s' WHERE provider_id = 'gate-away'")
        run_next(post)
    assert (job(job_id)["verdict"], len(writer.told)) == ("passed", 1)


def test_a_job_keeps_the_version_of_its_gate(post: Post, hold: Hold, run_with: RunWith) -> None:
    with db.transaction():
        gates.save("house-style", LETTERS | {"otherwise": "needs_review", "refinements": 0}, by=None)
    run_with(Writer("a b"))
    job_id = submitted("house-style")
    run_next(post)
    assert job(job_id)["status"] == "awaiting_input"
    with db.transaction():
        gates.save("house-style", LETTERS | {"threshold": 1.0}, by=None)
    answered(job_id, "approve")
    run_next(post)
    quality = job(job_id)["result"]["quality"]
    assert (quality["gate"]["name"], quality["gate"]["version"], quality["threshold"]) == (
        "house-style",
        1,
        7.0,
    )


def test_a_step_whose_draft_was_rejected_is_completed_and_others_may_look_at_its_verdict(
    post: Post, run_with: RunWith
) -> None:
    run_with(Writer("a"))
    when = '{{steps.write.output.quality.verdict}} == "%s"'
    with db.transaction():
        acting.agent("test-gated", gate=LETTERS | {"refinements": 0})
        acting.agent("test-publish")
        acting.agent("test-mend")
        steps = [
            {"step_id": "write", "agent_id": "test-gated"},
            {
                "step_id": "publish",
                "agent_id": "test-publish",
                "depends_on": ["write"],
                "when": when % "passed",
            },
            {"step_id": "mend", "agent_id": "test-mend", "depends_on": ["write"], "when": when % "rejected"},
        ]
        wish = RunWish(definition=read_workflow({"name": "test", "steps": steps}), submitted_by=acting.OWNER)
        workflow_id = runs.start(wish)["workflow_id"]
    while run_next(post):
        pass
    with db.quick():
        ran = db.rows("SELECT step_id, verdict, status FROM jobs WHERE workflow_id = %(id)s", id=workflow_id)
    assert {(row["step_id"], row["verdict"], row["status"]) for row in ran} == {
        ("write", "rejected", "completed"), ("mend", None, "completed"),
    }  # fmt: skip


def test_a_job_may_name_its_gate(post: Post, run_with: RunWith) -> None:
    run_with(Writer("a b c d"))
    with db.transaction():
        gates.save("only-here", LETTERS, by=None)
        acting.agent("test-ungated")
        job_id = acting.submitted("test-ungated", gate="only-here")
        with pytest.raises(Invalid) as unknown:
            acting.submitted("test-ungated", gate="nowhere")
        with pytest.raises(Invalid):
            acting.submitted("test-ungated", gate=True)
    run_next(post)
    assert unknown.value.fields[0][0] == "/gate"
    assert job(job_id)["result"]["quality"]["gate"]["name"] == "only-here"


def test_a_programs_folder_is_kept_for_the_next_draft_and_removed_at_the_end(post: Post, hold: Hold) -> None:
    forgotten: list[str] = []

    class Keeping:
        name = "cli"

        def run(self, work: Work, context: Context) -> dict[str, Any]:
            assert work.config["more_drafts"] is True
            return {"text": "a" if work.feedback is None else "a b c d"}

        def forget(self, work: Work, context: Context) -> None:
            forgotten.append(work.job_id)

    attempt = attempt_of(job_id := submitted(LETTERS), hold, "w1")
    work = execute._work(post, attempt, execute._definition(post, attempt.claim))
    gate = Gate.read({name: value for name, value in LETTERS.items() if name != "refinements"})
    result = gatekeeper.result_of(Keeping(), work, attempt, gate, execute.demanded)  # type: ignore[arg-type]
    assert (result["text"], forgotten) == ("a b c d", [job_id])


def test_a_runner_with_a_loop_of_its_own_finds_its_gate(post: Post, hold: Hold) -> None:
    found: list[Any] = []

    class Piped:
        name = "pipeline"

        def run(self, work: Work, context: Context) -> dict[str, Any]:
            found.append(gatekeeper.gate_in(work))
            return {"text": "a"}

    attempt = attempt_of(submitted(LETTERS), hold, "w1")
    work = execute._work(post, attempt, execute._definition(post, attempt.claim))
    gate = Gate.read(LETTERS, name="letters", version=3)
    assert gatekeeper.result_of(Piped(), work, attempt, gate, execute.demanded) == {"text": "a"}  # type: ignore[arg-type]
    assert found == [gate]
    assert attempt.drafts() == []
