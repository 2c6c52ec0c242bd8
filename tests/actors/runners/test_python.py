"""Python agents: everything they say and raise crosses the process boundary; nothing they do crosses it."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

import pytest

from actors.runners.base import JSON
from actors.runners.box import OutOfMemory
from actors.runners.python import PythonRunner
from app.errors import (
    AttemptTimeout,
    Cancelled,
    JobError,
    PermanentError,
    RateLimitError,
    Released,
    TemporaryError,
)
from tests.actors.runners import sample_agents
from tests.actors.runners.boxes import alive, work_for
from tests.doubles import RecordingContext

BOTH = pytest.mark.parametrize("isolation", ["process", "thread"])


def run(context: RecordingContext, agent: str, parameters: JSON | None = None, **config: Any) -> JSON:
    return PythonRunner().run(agent_work(agent, parameters, **config), context)


def agent_work(agent: str, parameters: JSON | None = None, **config: Any) -> Any:
    more = {key: config.pop(key) for key in ("timeout_seconds", "memory_mb") if key in config}
    return work_for({"call": f"{sample_agents.__name__}:{agent}"} | config, parameters, **more)


def stop_once_waiting(context: RecordingContext, wish: str) -> None:
    """Express the wish when the agent says that it waits."""
    log = context.log

    def listen(message: str, **more: Any) -> None:
        log(message, **more)
        if message == "waiting":
            setattr(context, wish, True)

    context.log = listen  # type: ignore[method-assign]


@BOTH
def test_what_the_agent_says_reaches_the_real_context(context: RecordingContext, isolation: str) -> None:
    context.kept = {"at": 4}
    context.timeout_seconds = 30

    result = run(context, "tell", {"topic": "Ünïcode 🎈"}, isolation=isolation)

    assert result == {
        "parameters": {"topic": "Ünïcode 🎈"},
        "ids": ["artifact-1", "artifact-2"],
        "state": {"at": 5},
        "in_time": True,
    }
    assert context.logs[0] == {
        "message": "reading",
        "level": "debug",
        "source": "agent",
        "data": {"file": "a.txt"},
    }
    assert (context.steps, context.stages) == ([(40, "half-way")], [("write", "Writing")])
    assert context.amounts == {"input_tokens": 3, "cost_usd": 0.5}
    assert context.kept == {"at": 5}
    left_behind = {"left.txt": b"left"} if isolation == "process" else {}
    assert context.artifacts == {"report.md": b"# Report", "drawing.svg": b"<svg/>"} | left_behind
    assert context.media_types["report.md"] == "text/markdown"


@BOTH
def test_a_file_of_another_job_is_read_in_the_workspace(context: RecordingContext, isolation: str) -> None:
    context.others["plan.txt"] = b"low tide"
    assert run(context, "borrow", {"file": "plan.txt"}, isolation=isolation) == {"read": "low tide"}
    assert run(context, "borrow", {"file": "none.txt"}, isolation=isolation) == {"read": None}


@BOTH
@pytest.mark.parametrize("kind", [PermanentError, RateLimitError, TemporaryError])
def test_a_job_error_keeps_all_it_carries(
    context: RecordingContext, isolation: str, kind: type[JobError]
) -> None:
    with pytest.raises(kind) as caught:
        run(context, "fail", {"class": kind.__name__}, isolation=isolation)

    error = caught.value
    assert type(error) is kind
    assert (error.message, error.retry_after, error.user_error) == ("as asked", 7.5, True)
    assert error.details == {"why": [1]}


def test_an_unknown_job_error_arrives_as_the_class_it_descends_from(context: RecordingContext) -> None:
    with pytest.raises(PermanentError, match="ours alone"):
        run(context, "fail_in_its_own_way")


@BOTH
def test_any_other_exception_is_temporary_and_brings_its_traceback(
    context: RecordingContext, isolation: str
) -> None:
    with pytest.raises(TemporaryError, match="KeyError: 'missing'") as caught:
        run(context, "stumble", isolation=isolation)

    assert caught.value.details["type"] == "KeyError"
    assert "in stumble" in str(caught.value.details["traceback"])


@pytest.mark.parametrize(
    ("agent", "words"),
    [("leave", "SystemExit: 3"), ("vanish", "exit code 0 without"), ("crash", "SIGSEGV")],
)
def test_a_process_that_dies_early_says_how(context: RecordingContext, agent: str, words: str) -> None:
    with pytest.raises(TemporaryError, match=words):
        run(context, agent)


@pytest.mark.parametrize("agent", ["hoard", "hold"])
def test_too_much_memory_has_its_own_code(context: RecordingContext, agent: str) -> None:
    with pytest.raises(OutOfMemory) as caught:
        run(context, agent, memory_mb=200)

    assert caught.value.code == "oom"


def test_printing_disturbs_nothing_and_goes_to_the_log(context: RecordingContext) -> None:
    assert run(context, "chatter") == {"told": True}

    said = {(line["source"], line["message"]) for line in context.logs}
    assert said == {
        ("stdout", '{"end": {"result": {"forged": true}}}'),
        ("stdout", "from below"),
        ("stderr", "to stderr"),
    }


@pytest.mark.parametrize(("wish", "error"), [("cancelled", Cancelled), ("releasing", Released)])
def test_a_stop_is_heard_at_the_next_checkpoint(
    context: RecordingContext, wish: str, error: type[Exception]
) -> None:
    stop_once_waiting(context, wish)
    start = time.monotonic()

    with pytest.raises(error):
        run(context, "wait")

    assert context.kept == {"stopped": True}
    assert time.monotonic() - start < 20  # it would go on for minutes


def test_an_agent_that_does_not_listen_is_ended_after_the_grace(context: RecordingContext) -> None:
    stop_once_waiting(context, "releasing")
    work = agent_work("ignore")
    start = time.monotonic()

    with pytest.raises(Released):
        PythonRunner().run(work, context)

    assert time.monotonic() - start < 20  # it would go on for minutes
    assert alive(work) == []


def test_an_agent_that_does_not_listen_is_ended_at_its_time_limit(context: RecordingContext) -> None:
    with pytest.raises(AttemptTimeout):
        run(context, "ignore", timeout_seconds=0.5)


@pytest.mark.parametrize("agent", ["forget_a_thread", "leave_a_child"])
def test_what_the_agent_forgets_does_not_keep_it(context: RecordingContext, agent: str) -> None:
    work = agent_work(agent)
    start = time.monotonic()

    assert PythonRunner().run(work, context) == {"done": True}
    assert time.monotonic() - start < 20  # it would go on for minutes
    assert alive(work) == []


@BOTH
def test_an_answer_that_is_no_object_is_wrapped(context: RecordingContext, isolation: str) -> None:
    assert run(context, "answer", {"kind": "list"}, isolation=isolation) == {"result": [1]}
    assert run(context, "answer", {"kind": "none"}, isolation=isolation) == {}


@BOTH
@pytest.mark.parametrize(("kind", "words"), [("set", "not JSON"), ("huge", "artifacts")])
def test_an_answer_that_cannot_be_kept_is_a_permanent_error(
    context: RecordingContext, isolation: str, kind: str, words: str
) -> None:
    with pytest.raises(PermanentError, match=words):
        run(context, "answer", {"kind": kind}, isolation=isolation)


def test_a_link_out_of_the_workspace_is_not_kept(context: RecordingContext) -> None:
    run(context, "take")

    assert context.artifacts == {}
    assert "passwords was left out" in context.said


def test_the_size_limit_of_artifacts_reaches_the_agent(context: RecordingContext) -> None:
    context.max_artifact_bytes = 1000

    with pytest.raises(PermanentError, match="larger than 1000"):
        run(context, "too_large")


def test_threads_of_an_agent_may_all_speak(context: RecordingContext) -> None:
    run(context, "from_threads")

    assert sorted(line["message"] for line in context.logs) == sorted(
        f"thread {n}" for n in range(10) for _ in range(10)
    )
    assert set(context.artifacts) == {f"file-{n}" for n in range(10)}


def test_the_child_is_light_and_gets_secrets_by_its_environment_only(context: RecordingContext) -> None:
    seen = run(context, "modules", secrets={"THE_KEY": "k1"}, workspace_roots=["/srv"])

    assert seen["heavy"] == []
    assert seen["path"] == str(context.workspace)
    assert seen["secret"] == "k1"
    assert seen["config"] == {"call": f"{sample_agents.__name__}:modules", "workspace_roots": ["/srv"]}


@pytest.mark.parametrize(
    "call", ["no_such_module:run", "json:no_such_name", "json:__doc__", "os.path.join", "", None, 3]
)
@BOTH
def test_a_function_that_is_not_there_is_a_permanent_error(
    context: RecordingContext, isolation: str, call: object
) -> None:
    with pytest.raises(PermanentError):
        PythonRunner().run(work_for({"call": call, "isolation": isolation}), context)


def test_a_plugin_is_found_by_its_entry_point(
    context: RecordingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = metadata.EntryPoint("gadget", f"{sample_agents.__name__}:answer", "callboard.agents")
    monkeypatch.setattr(
        metadata, "entry_points", lambda **asked: [plugin] if asked["name"] == "gadget" else []
    )
    work = work_for({"entry": "gadget", "isolation": "thread"}, {"kind": "list"})

    assert PythonRunner().run(work, context) == {"result": [1]}
    assert PythonRunner().health({"entry": "gadget"}).status == "ready"
    assert "no such" not in str(PythonRunner().health({"entry": "widget"}).reason)
    assert PythonRunner().health({"entry": "widget"}).status == "unavailable"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"call": "no_such_module.deep:run"}, "no_such_module.deep"),
        ({"call": "json:dumps", "programs": ["no-such-tool"]}, "no-such-tool"),
        ({"call": "json:dumps", "env": ["DATABASE_URL"]}, "DATABASE_URL"),
        ({}, "call"),
    ],
)
def test_health_says_what_is_missing(config: JSON, words: str) -> None:
    health = PythonRunner().health(config)

    assert health.status == "unavailable"
    assert words in str(health.reason)


def test_health_of_what_is_there_is_ready() -> None:
    assert PythonRunner().health({"call": "json:dumps", "programs": ["sh"]}).status == "ready"
