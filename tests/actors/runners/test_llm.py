"""Language agents against real servers on this machine: what is streamed, metered, kept, and what stops them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from actors.models import conversation
from actors.runners.base import JSON
from actors.runners.llm import LlmRunner
from app.errors import (
    AttemptTimeout,
    Cancelled,
    JobError,
    PermanentError,
    Released,
    Stalled,
    StoppedByBudget,
    TemporaryError,
)
from tests.actors.models.asking import EveryFigure, ask, asked_aside
from tests.actors.models.desk import ListedDesk, spec_of
from tests.actors.runners.boxes import context_in, work_for
from tests.anthropic_server import anthropic_model
from tests.doubles import RecordingContext
from tests.model_server import Hang, Model, Refuse, Say, UseTool
from tests.openai_server import Cut, Filtered, Limited, Silence, Slow, Uncounted, chat_model
from tests.waiting import until

SCHEMA: JSON = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}


def events(context: RecordingContext, kind: str) -> list[str]:
    return [event["message"] for event in context.events if event["kind"] == kind]


def test_an_answer_becomes_a_result_with_its_origin(context: RecordingContext) -> None:
    with chat_model(Say("Hello there.", input_tokens=1245, output_tokens=1234, cached_tokens=1000)) as model:
        result = ask(context, spec_of(model, "ollama", title="Ollama", model="mistral:latest"))

    assert result == {
        "result": "Hello there.",
        "model_used": "Ollama - mistral:latest",
        "provider": "ollama",
        "usage": {"input_tokens": 1245, "output_tokens": 1234, "cache_read_tokens": 1000, "calls": 1},
    }
    asked = model.asked[0]
    assert asked["authorization"] == "Bearer key-of-ollama"
    assert [(m["role"], m["content"]) for m in asked["messages"]] == [
        ("system", "Be brief."),
        ("user", "Say hello."),
    ]
    assert context.pins == {"provider": "ollama", "model": "mistral:latest"}
    assert context.desk.verdicts == [("ollama", "ok")]
    assert context.desk.passes[0].left


def test_every_call_tells_its_tokens(context: RecordingContext) -> None:
    with chat_model(Say("Hello.", input_tokens=245, output_tokens=1234, cached_tokens=0)) as model:
        ask(context, spec_of(model, "ollama", model="mistral:latest"))

    (told,) = events(context, "provider")
    assert told.startswith("ollama, mistral:latest: 245 prompt tokens, 1,234 response tokens, ")
    assert "Model: mistral:latest, Prompt tokens: 245, Response tokens: 1,234" in context.said
    (usage,) = context.metered.values()
    assert (usage.input_tokens, usage.output_tokens, usage.final, usage.billing) == (245, 1234, True, "api")


def test_what_a_cache_gave_is_no_input(context: RecordingContext) -> None:
    with chat_model(Say("Hello.", input_tokens=1000, cached_tokens=200)) as model:
        ask(context, spec_of(model))

    (usage,) = context.metered.values()
    assert (usage.input_tokens, usage.cache_read_tokens) == (800, 200)


def test_words_and_a_partial_result_come_while_it_streams(context: RecordingContext) -> None:
    with (
        chat_model(Slow("word " * 400, 0.02)) as model,
        asked_aside(context, spec_of(model), parameters={"task": "Write", "word_count": 2000}) as running,
    ):
        until(lambda: len(context.steps) >= 3)
        part = dict(context.partial_result or {})
        assert running.thread.is_alive()
        context.cancelled = True

    assert context.steps[-1][1].endswith(" / 2,000 words")
    assert context.percents == sorted(context.percents)
    assert part["result"].startswith("word word")
    assert part["model_used"] == "Alpha - test-model"
    assert part["result"] != "word " * 400


def test_progress_is_said_at_most_about_twice_a_second(context: RecordingContext) -> None:
    began = time.monotonic()
    with chat_model(Slow("word " * 200, 0.01)) as model:
        ask(context, spec_of(model))

    assert len(context.steps) <= 2 * (time.monotonic() - began) + 3


def test_usage_grows_while_it_streams_and_ends_with_the_providers_figure(context: RecordingContext) -> None:
    watched = EveryFigure(workspace=context.workspace)
    with chat_model(Slow("word " * 300, 0.02)) as model:
        ask(watched, spec_of(model))

    *early, last = watched.figures
    assert len(early) >= 3
    outputs = [usage.output_tokens for usage in early]
    assert outputs == sorted(set(outputs))
    assert all(u.output_tokens <= last.output_tokens and u.input_tokens <= last.input_tokens for u in early)
    assert not any(usage.final for usage in early)
    assert (last.input_tokens, last.output_tokens, last.final) == (500, 900, True)


def test_a_provider_that_does_not_count_is_estimated(context: RecordingContext) -> None:
    with chat_model(Uncounted("word " * 100)) as model:
        result = ask(context, spec_of(model))

    assert result["usage"]["output_tokens"] == 125
    assert "(estimated)" in events(context, "provider")[0]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"cancelled": True}, Cancelled),
        ({"releasing": True}, Released),
        ({"timeout_seconds": 0.0}, AttemptTimeout),
        ({"stop_error": StoppedByBudget("the job has used its 1.00 USD")}, StoppedByBudget),
        ({"stop_error": Stalled("no progress")}, Stalled),
    ],
)
def test_whatever_stops_the_attempt_ends_the_stream_at_once(
    context: RecordingContext, wish: dict[str, Any], error: type[Exception]
) -> None:
    with chat_model(Slow("word " * 2000, 0.05)) as model, asked_aside(context, spec_of(model)) as running:
        until(lambda: context.partial_result)
        began = time.monotonic()
        for name, value in wish.items():
            setattr(context, name, value)
        running.thread.join(20)
        assert time.monotonic() - began < 5

    assert isinstance(running.raised, error)
    assert context.partial_result["result"].startswith("word")
    (usage,) = context.metered.values()
    assert usage.final
    assert usage.output_tokens > 0
    assert context.desk.verdicts == [("alpha", None)]
    assert context.desk.passes[0].left


@pytest.mark.parametrize("reply", [Silence(), Hang()])
def test_a_silent_provider_can_be_left_within_a_second(context: RecordingContext, reply: Any) -> None:
    with chat_model(reply) as model, asked_aside(context, spec_of(model)) as running:
        until(lambda: model.asked)
        began = time.monotonic()
        context.cancelled = True
        running.thread.join(20)
        assert time.monotonic() - began < 5

    assert isinstance(running.raised, Cancelled)


def test_anthropic_streams_and_counts_from_its_first_word(context: RecordingContext) -> None:
    with anthropic_model(
        Say("Hello my friend.", input_tokens=1000, cached_tokens=200, output_tokens=40)
    ) as model:
        result = ask(context, spec_of(model, kind="anthropic", base_url=model.url, model="claude-sonnet-5-5"))

    assert result["result"] == "Hello my friend."
    (usage,) = context.metered.values()
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (1000, 200, 40)
    assert model.asked[0]["max_tokens"] == 4000


def test_the_schema_is_sent_and_its_answer_is_the_result(context: RecordingContext) -> None:
    with chat_model(Say('{"title": "A"}')) as model:
        result = ask(context, spec_of(model), output_schema=SCHEMA)

    assert (result["title"], result["provider"]) == ("A", "alpha")
    assert model.asked[0]["response_format"]["type"] == "json_schema"


def test_anthropic_is_held_to_the_schema_as_well(context: RecordingContext) -> None:
    with anthropic_model(Say('{"title": "A"}')) as model:
        spec = spec_of(model, kind="anthropic", base_url=model.url, model="claude-sonnet-5-5")
        assert ask(context, spec, output_schema=SCHEMA)["title"] == "A"

    assert model.asked[0]["output_config"]["format"]["type"] == "json_schema"


def test_free_objects_of_a_schema_stay_free(context: RecordingContext) -> None:
    free = {"type": "object", "properties": {"any": {"type": "object"}}}
    with chat_model(Say('{"any": {"x": 1}}')) as model:
        assert ask(context, spec_of(model), output_schema=free)["any"] == {"x": 1}

    assert "additionalProperties" not in str(model.asked[0]["response_format"])


def test_anthropic_is_only_told_a_schema_with_free_objects_which_it_cannot_hold(
    context: RecordingContext,
) -> None:
    free = {"type": "object", "properties": {"any": {"type": "object"}}}
    with anthropic_model(Say('{"any": {"x": 1}}')) as model:
        spec = spec_of(model, kind="anthropic", base_url=model.url, model="claude-sonnet-5-5")
        assert ask(context, spec, output_schema=free)["any"] == {"x": 1}

    assert "output_config" not in model.asked[0]
    assert "JSON Schema" in str(model.asked[0]["system"])


def test_a_character_that_two_chunks_share_and_a_nul_can_be_written_down(context: RecordingContext) -> None:
    with chat_model(Say("a face....." + "\ud83d\ude00 \x00")) as model:
        result = ask(context, spec_of(model))

    assert result["result"] == "a face.....\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"
    assert "\N{GRINNING FACE}" in context.kept["conversation"]["messages"]
    assert context.partial_result["result"] == result["result"]


@pytest.mark.parametrize("config", [{"structured": False}, {"output_schema": {"anyOf": [SCHEMA]}}])
def test_a_schema_that_is_not_held_is_told(context: RecordingContext, config: JSON) -> None:
    with chat_model(Say('{"title": "A"}')) as model:
        assert ask(context, spec_of(model), **{"output_schema": SCHEMA} | config)["title"] == "A"

    assert "response_format" not in model.asked[0]
    system = " ".join(m["content"] for m in model.asked[0]["messages"] if m["role"] == "system")
    assert '"required": ["title"]' in system


def test_a_provider_that_knows_no_schemas_is_asked_again_without(context: RecordingContext) -> None:
    refusal = Refuse(400, "invalid_request_error", "response_format of type json_schema is not supported")
    with chat_model(refusal, Say('{"title": "A"}')) as model:
        result = ask(context, spec_of(model), output_schema=SCHEMA)

    assert result["title"] == "A"
    assert ["response_format" in asked for asked in model.asked] == [True, False]
    assert context.desk.verdicts == [("alpha", "ok")]


def test_an_answer_that_does_not_fit_is_repaired_once(context: RecordingContext) -> None:
    with chat_model(Say('{"titel": "A"}'), Say('{"title": "A"}')) as model:
        result = ask(context, spec_of(model), output_schema=SCHEMA)

    assert result["title"] == "A"
    assert result["usage"]["calls"] == 2
    *_, answer, complaint = model.asked[1]["messages"]
    assert answer["content"] == '{"titel": "A"}'
    assert "'title' is a required property" in complaint["content"]
    assert any("cannot be used" in message for message in events(context, "turn"))


def test_the_second_bad_answer_is_the_end_and_not_resumed(context: RecordingContext) -> None:
    with (
        chat_model(Say("No JSON today.")) as model,
        pytest.raises(PermanentError, match="it is not JSON") as failed,
    ):
        ask(context, spec_of(model), output_schema=SCHEMA)

    assert len(model.asked) == 2
    assert failed.value.details["answer"] == "No JSON today."
    assert context.kept == {}


def test_an_answer_cut_off_by_its_limit_says_so(context: RecordingContext) -> None:
    with chat_model(Limited('{"title": "A')) as model:
        with pytest.raises(PermanentError, match="llm.max_output_tokens"):
            ask(context, spec_of(model), output_schema=SCHEMA)
        context.kept = {}
        assert ask(context, spec_of(model))["truncated"] is True

    assert len(model.asked) == 2


def test_a_content_filter_is_permanent(context: RecordingContext) -> None:
    with chat_model(Filtered()) as model, pytest.raises(PermanentError, match="content filter"):
        ask(context, spec_of(model))


def test_the_agents_wishes_reach_the_provider(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as model:
        ask(
            context,
            spec_of(model, "groq"),
            parameters={"topic": "parcels"},
            prompt="Write on {{parameter.topic}}.",
            temperature=0.2,
            max_output_tokens=77,
            models={"groq": "small-model"},
        )

    asked = model.asked[0]
    assert (asked["temperature"], asked["max_tokens"], asked["model"]) == (0.2, 77, "small-model")
    assert asked["messages"][-1]["content"] == "Write on parcels."


def test_a_demo_model_is_asked_only_by_name_and_says_so(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as model:
        spec = spec_of(model, "toy", demo=True, billing="local")
        with pytest.raises(PermanentError, match="No model is configured"):
            ask(context, spec)
        result = ask(context, spec, providers=["toy"])

    assert result["demo"] is True
    assert result["model_used"] == "Toy - test-model (demo model)"
    assert events(context, "provider")[0].endswith("demo model")
    assert next(iter(context.metered.values())).billing == "local"


def test_without_a_provider_it_says_what_to_configure(context: RecordingContext) -> None:
    with pytest.raises(PermanentError, match="set ALPHA_API_KEY for the workers") as failed:
        ask(context, spec_of("http://unused", missing="set ALPHA_API_KEY for the workers"))

    assert "callboard models install-demo" in failed.value.message


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_without_a_provider_offline_tools_do_what_they_can_and_say_so(
    context: RecordingContext, isolation: str
) -> None:
    missing = spec_of("http://unused", missing="set ALPHA_API_KEY")
    offline = {"call": "tests.actors.models.offline:words", "isolation": isolation}

    result = ask(context, missing, offline=offline, parameters={"task": "one two"})

    assert result == {"words": 2, "produced_by": "offline tools, no model"}
    assert "offline tools, no model" in events(context, "provider")[0]


def test_offline_tools_are_left_alone_where_a_provider_is_configured(context: RecordingContext) -> None:
    """A provider that is only away must not silently become another kind of result."""
    with pytest.raises(TemporaryError):
        ask(context, spec_of("http://127.0.0.1:9"), offline={"call": "tests.actors.models.offline:words"})


def test_a_later_attempt_pays_only_what_is_missing(context: RecordingContext) -> None:
    with chat_model(UseTool("nothing", {}), Cut("Hel"), Say("Hello.")) as model:
        spec = spec_of(model)
        with pytest.raises(TemporaryError):
            ask(context, spec)
        paid = dict(context.metered)
        context.metered.clear()
        result = ask(context, spec)

    assert len(paid) == 2
    assert len(context.metered) == 1
    assert len(model.asked) == 3
    assert model.asked[2]["messages"] == model.asked[1]["messages"]
    assert (result["result"], result["usage"]["calls"]) == ("Hello.", 2)
    assert any("Going on after 1 turn" in message for message in events(context, "turn"))


def test_an_answer_that_was_complete_is_not_asked_for_again(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as model:
        first = ask(context, spec_of(model))
        second = ask(context, spec_of(model))

    assert first == second
    assert len(model.asked) == 1


def test_another_prompt_starts_another_conversation(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as model:
        ask(context, spec_of(model))
        ask(context, spec_of(model), parameters={"task": "Something else"})

    assert len(model.asked) == 2


def test_a_conversation_that_grew_too_long_is_not_kept_and_other_state_is(
    context: RecordingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOST_KEPT_BYTES", 3_000)
    context.kept = {"mine": 1}
    with chat_model(Say("word " * 800)) as model:
        ask(context, spec_of(model))

    assert context.kept == {"mine": 1}


def test_a_model_that_never_comes_to_an_end_is_stopped(context: RecordingContext) -> None:
    with chat_model(UseTool("nothing", {})) as model, pytest.raises(PermanentError, match="took 3 turns"):
        ask(context, spec_of(model), max_turns=3)

    assert len(model.asked) == 3


def test_many_attempts_at_once_share_the_loop_and_keep_apart(tmp_path: Any) -> None:
    failures: list[str] = []

    def attempt(model: Model, number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        context = context_in(folder)
        context.desk = ListedDesk([spec_of(model, f"p{number}")])
        for turn in range(3):
            work = work_for({}, {"task": f"{number} {turn}"})
            result = LlmRunner().run(work, context)
            if result["provider"] != f"p{number}" or result["result"] != f"answer {number}":
                failures.append(str(result))

    numbers = range(8)
    with_models = [chat_model(Slow(f"answer {number}", 0.01)) for number in numbers]
    models = [opened.__enter__() for opened in with_models]
    threads = [
        threading.Thread(target=attempt, args=(model, n)) for n, model in zip(numbers, models, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for opened in with_models:
        opened.__exit__(None, None, None)

    assert failures == []
    assert [len(model.asked) for model in models] == [3] * 8


@pytest.mark.parametrize("config", [{"max_turns": 0}, {"prompt": "{{what}}"}])
def test_a_definition_that_cannot_work_is_permanent(context: RecordingContext, config: JSON) -> None:
    with pytest.raises(JobError) as failed:
        ask(context, spec_of("http://unused"), **config)

    assert isinstance(failed.value, PermanentError)


def test_the_runner_is_imported_without_its_libraries() -> None:
    import subprocess
    import sys

    code = "import sys, actors.runners.llm, actors.checkup; print([m for m in ('pydantic_ai', 'openai', 'mcp') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
