"""One trace and one id from a request to its job to what that calls, as a real receiver of OTLP and real servers see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from actors import delivery, followups
from actors.delivery import Courier
from actors.execute import AttemptFailed, run_next
from actors.post import Post
from actors.runners.base import Context, Work
from actors.runners.http import HttpRunner, fetch_public
from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.db import db
from app.errors import Held
from app.notify import setup
from app.notify.setup import Setup
from app.observe import correlation, tracing
from app.observe.tracing import Destination
from app.providers import catalogue
from app.settings import Settings
from tests import acting
from tests.actors.runners.boxes import work_for
from tests.actors.runners.server import Site, serving
from tests.doubles import RecordingContext
from tests.model_server import Model, Refuse, Say
from tests.openai_server import chat_model
from tests.otlp_server import collecting
from tests.tracing import spans
from tests.waiting import until
from tests.webhook_receiver import receiving

RunWith = Callable[[Callable[[Work, Context], Any]], None]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = PARENT[3:35]
CANARIES = ("canary-of-the-prompt", "canary-of-the-answer", "canary-of-the-instructions", "canary-of-the-key")


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """Whatever a test began to trace has an end."""
    yield
    tracing.stop(0.1)
    correlation.bind(None)


@pytest.fixture
def key(quick: object) -> str:
    """An API key of a user."""
    with db.transaction():
        user = users.create("tracer@example.org", None, role="user", name="tracer")
        principal = Principal(user_id=str(user["user_id"]), email=user["email"], role="user")
        return api_keys.create(principal, name="test").text


def provide(model: Model, provider_id: str) -> None:
    about = {"title": provider_id.title(), "base_url": f"{model.url}/v1", "model": "test-model"}
    catalogue.add(provider_id, about)


def test_a_request_its_job_and_its_call_of_a_model_are_one_trace(
    client: FlaskClient, post: Post, key: str
) -> None:
    with collecting() as collector, chat_model(Say("canary-of-the-answer")) as model:
        with db.transaction():
            provide(model, "traced-one")
            llm = {"prompt": "canary-of-the-instructions {{parameter.task}}"}
            acting.agent("test-traced", runner="llm", llm=llm, providers=["traced-one"])
        tracing.start(Destination(endpoint=collector.url), role="test", release="1")
        answer = client.post(
            "/api/v1/jobs",
            json={"agent_id": "test-traced", "parameters": {"task": "canary-of-the-prompt"}},
            headers={"Authorization": f"Bearer {key}", "X-Correlation-ID": "order-7", "traceparent": PARENT},
        )
        assert answer.status_code == 201, answer.text
        assert run_next(post) is True
        tracing.stop()

    asked = collector.span("POST /api/v1/jobs")
    attempt = collector.span("process test-traced")
    call = collector.span("chat test-model")
    assert {each.trace_id for each in collector.spans} == {TRACE}
    assert (asked.kind, attempt.kind, call.kind) == ("SERVER", "CONSUMER", "CLIENT")
    assert [asked.parent_id, attempt.parent_id, call.parent_id] == [
        PARENT[36:52],
        asked.span_id,
        attempt.span_id,
    ]
    shown = attempt.attributes
    assert shown["callboard.job.id"] == answer.json["job_id"]
    assert shown["callboard.attempt.outcome"] == "completed"
    assert (shown["callboard.pool"], shown["callboard.priority"]) == ("general", "normal")
    assert (shown["callboard.attempt.number"], shown["callboard.correlation_id"]) == (1, "order-7")
    assert 0 <= shown["callboard.queue.wait_seconds"] < 30
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.provider.name"] == "traced-one"
    assert call.attributes["gen_ai.request.model"] == "test-model"
    assert call.attributes["gen_ai.response.model"] == "test-model"
    assert call.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert call.attributes["gen_ai.usage.input_tokens"] == 1000
    assert call.attributes["gen_ai.usage.output_tokens"] == 40
    # Beyond us it goes on: the provider's own trace, and its logs, are found by the same ids.
    assert model.headers[0]["x-correlation-id"] == "order-7"
    assert model.headers[0]["traceparent"] == f"00-{TRACE}-{call.span_id}-01"


def test_nothing_that_people_send_or_models_say_is_exported(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACED_KEY", "canary-of-the-key")
    refusal = Refuse(400, "invalid_request_error", "canary-of-the-key in canary-of-the-prompt is wrong")
    with collecting() as collector, chat_model(Say("canary-of-the-answer"), refusal) as model:
        with db.transaction():
            provide(model, "traced-two")
            catalogue.change("traced-two", {"key_name": "TRACED_KEY"})
            llm = {"prompt": "canary-of-the-instructions {{parameter.task}}"}
            acting.agent(
                "test-traced", runner="llm", llm=llm, providers=["traced-two"], retry={"max_retries": 0}
            )
            for _ in range(2):
                acting.submitted("test-traced", parameters={"task": "canary-of-the-prompt"})
        tracing.start(Destination(endpoint=collector.url), role="test", release="1")
        run_next(post)
        with pytest.raises(AttemptFailed):
            run_next(post)
        tracing.stop()

    assert "canary-of-the-prompt" in str(model.asked)
    assert "Bearer canary-of-the-key" in str(model.headers)
    failed = [(each.name, each.attributes["error.type"]) for each in collector.spans if each.is_error]
    assert failed == [("chat test-model", "request"), ("process test-traced", "PermanentError")]
    everything = b"".join(collector.bodies)
    assert b"chat test-model" in everything
    assert [canary for canary in CANARIES if canary.encode() in everything] == []
    assert {each.status_message for each in collector.spans} == {""}


@pytest.mark.parametrize("status", [0, 503])
def test_a_receiver_that_is_away_slows_no_job(post: Post, run_with: RunWith, status: int) -> None:
    run_with(lambda _work, _context: {"ok": True})
    with db.transaction():
        jobs = [acting.submitted() for _ in range(5)]
    with collecting(status=status) as collector:
        tracing.start(Destination(endpoint=collector.url), role="test", release="1")
        began = time.monotonic()
        while run_next(post):
            pass
        worked = time.monotonic() - began
        tracing.stop(0.2)
        ended = time.monotonic() - began - worked
    with db.quick():
        assert {acting.status(job_id) for job_id in jobs} == {"completed"}
    assert (worked < 3, ended < 1) == (True, True)
    assert collector.spans == []


def test_an_attempt_tells_how_it_ended(post: Post, run_with: RunWith) -> None:
    def held(_work: Work, _context: Context) -> dict[str, Any]:
        raise Held("budget", "the-canary")

    def broken(_work: Work, _context: Context) -> dict[str, Any]:
        raise KeyError("the-canary")

    with db.transaction():
        acting.submitted()
    with spans() as made:
        run_with(broken)
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        failed.value.settled = True
        with db.transaction():
            acting.submitted()
        run_with(held)
        run_next(post)

    wrong, waits = (dict(span.attributes or {}) for span in made.all)
    assert (wrong["callboard.attempt.outcome"], wrong["error.type"]) == ("failed", "KeyError")
    assert (waits["callboard.attempt.outcome"], waits["callboard.status_reason"]) == ("held", "budget")
    assert [span.status.is_ok for span in made.all] == [False, True] or made.all[1].status.is_unset
    assert "the-canary" not in "".join(span.to_json() for span in made.all)


def test_every_step_of_a_workflow_is_in_the_trace_of_its_run(
    client: FlaskClient, post: Post, key: str
) -> None:
    steps = [
        {"step_id": "first", "agent_id": "test-noop", "parameters": {}},
        {"step_id": "second", "agent_id": "test-noop", "parameters": {}, "depends_on": ["first"]},
    ]
    with spans() as made:
        answer = client.post(
            "/api/v1/workflows",
            json={"name": "Two steps", "steps": steps},
            headers={"Authorization": f"Bearer {key}", "X-Request-Id": "run-1", "traceparent": PARENT},
        )
        assert answer.status_code in (200, 201, 202), answer.text
        while run_next(post):
            followups.attend()

    attempts = [span for span in made.all if span.name == "process test-noop"]
    run = made.one("POST /api/v1/workflows").get_span_context()
    assert [dict(span.attributes or {})["callboard.workflow.step"] for span in attempts] == [
        "first",
        "second",
    ]
    assert [span.parent and span.parent.span_id for span in attempts] == [run.span_id] * 2
    assert {dict(span.attributes or {})["callboard.correlation_id"] for span in attempts} == {"run-1"}


def test_an_http_agent_hears_of_both(tmp_path: Any) -> None:
    with serving() as site, spans() as made, correlation.carrying("order-7"):
        with tracing.span("attempt", parent=PARENT):
            call(tmp_path, site, {})
            call(tmp_path, site, {"X-Correlation-ID": "its own", "traceparent": "its-own"})
        ours, theirs = (asked["headers"] for asked in site.asked)

    first = made.all[0]
    assert ours["X-Correlation-ID"] == "order-7"
    assert ours["traceparent"] == f"00-{TRACE}-{first.get_span_context().span_id:016x}-01"
    assert (theirs["X-Correlation-ID"], theirs["traceparent"]) == ("its own", "its-own")
    assert dict(first.attributes or {}) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": site.port,
        "http.response.status_code": 200,
    }


def call(tmp_path: Any, site: Site, headers: dict[str, str]) -> None:
    work = work_for({"url": f"{site.url}/echo?token=secret", "http_allow_private": True, "headers": headers})
    HttpRunner().run(work, RecordingContext(workspace=tmp_path))


def test_strangers_are_told_nothing() -> None:
    with serving() as site, spans(), correlation.carrying("order-7"), tracing.span("attempt", parent=PARENT):
        fetch_public(f"{site.url}/text?say=hello", max_bytes=1000, timeout=10, allow_private=True)
    assert not {"X-Correlation-ID", "traceparent"} & set(site.asked[0]["headers"])


@pytest.mark.parametrize(
    ("runner", "config"),
    [
        (
            "command",
            {
                "argv": [
                    "sh",
                    "-c",
                    'echo "{\\"id\\": \\"$CALLBOARD_CORRELATION_ID\\", \\"trace\\": \\"$TRACEPARENT\\"}"',
                ]
            },
        ),
        ("python", {"call": "tests.playing:carried", "isolation": "process"}),
    ],
)
def test_a_program_hears_of_both_and_of_its_arguments_nothing_is_told(
    post: Post, runner: str, config: dict[str, Any]
) -> None:
    with db.transaction():
        acting.agent("test-program", runner=runner, **{runner: config})
        job_id = acting.submitted("test-program", correlation_id="order-7", traceparent=PARENT)
    with spans() as made:
        run_next(post)

    with db.quick():
        result = acting.job(job_id)["result"]
    attempt, program = made.one("process test-program"), made.all[0]
    assert result["id"] == "order-7"
    assert result["trace"] == f"00-{TRACE}-{attempt.get_span_context().span_id:016x}-01"
    assert set(program.attributes or {}) == {
        "process.executable.name",
        "process.command",
        "process.exit.code",
    }
    assert "CALLBOARD_CORRELATION_ID" not in program.to_json()


def test_a_callback_is_sent_in_the_trace_of_its_job(
    post: Post, settings: Settings, run_with: RunWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "_wake", setup._nobody)
    before = setup.present()
    setup.use(Setup(allow_private=True))
    run_with(lambda _work, _context: {"ok": True})
    courier = Courier(settings.model_copy(update={"http_allow_private": True}))
    try:
        with receiving() as receiver, spans() as made:
            with db.transaction():
                notify = {"callback_url": f"{receiver.url}/hooks/secret"}
                acting.submitted(correlation_id="order-7", traceparent=PARENT, notify=notify)
            run_next(post)
            courier.look()
            until(lambda: "send webhook" in made.names)
    finally:
        setup.use(before)

    sent, posted = made.one("send webhook"), made.one("POST")
    assert sent.parent is not None
    assert f"{sent.parent.span_id:016x}" == PARENT[36:52]
    assert receiver.got[0].headers["x-correlation-id"] == "order-7"
    posts_id = posted.get_span_context().span_id
    assert receiver.got[0].headers["traceparent"] == f"00-{TRACE}-{posts_id:016x}-01"
    assert "/hooks/secret" not in "".join(span.to_json() for span in made.all)
    assert delivery._origin({"subject_type": None, "subject_id": None})["traceparent"] is None


def test_the_next_job_of_a_thread_is_somebody_elses(post: Post, run_with: RunWith) -> None:
    seen: list[dict[str, Any]] = []
    run_with(lambda _work, _context: seen.append(correlation.current()) or {"ok": True})
    with db.transaction():
        acting.submitted(correlation_id="order-7", traceparent=PARENT)
        acting.submitted()
    while run_next(post):
        pass

    assert seen == [
        {"correlation_id": "order-7", "traceparent": PARENT},
        {"correlation_id": None, "traceparent": None},
    ]
