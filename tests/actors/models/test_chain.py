"""Who is asked next when a provider fails, and what it means when nobody answers."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from actors.runners.base import Refused
from app import clock
from app.errors import Held, PermanentError, RateLimitError, TemporaryError
from tests.actors.models.asking import ask, asked_aside
from tests.actors.models.desk import ListedDesk, spec_of
from tests.anthropic_server import Anthropic, anthropic_model
from tests.doubles import RecordingContext
from tests.model_server import Hang, Refuse, Say, UseTool, speaking
from tests.openai_server import Cut, Garbage, Silence, chat_model
from tests.waiting import until

THROTTLED = Refuse(429, "rate_limit_exceeded", "slow down")


class Hasty(Anthropic):
    """Hangs up where it should go on."""

    def hold(self) -> None:
        """Do not."""


FAULTS = [
    (THROTTLED, "throttle"),
    (Refuse(429, "insufficient_quota", "you have no credit"), "quota"),
    (Refuse(402, "payment", "pay first"), "quota"),
    (Refuse(401, "invalid_api_key", "who are you"), "auth"),
    (Refuse(403, "permission", "not you"), "auth"),
    (Refuse(500, "server_error", "oops"), "overload"),
    (Refuse(503, "service_unavailable", "later"), "overload"),
    (Refuse(504, "timeout", "later"), "overload"),
    (Refuse(408, "timeout", "later"), "transport"),
    (Refuse(404, "model_not_found", "no such model"), None),
    (Cut("Hel"), "transport"),
    (Cut("Hel", politely=True), "transport"),
    (Garbage("Hel"), "transport"),
    (Hang("Hel"), "transport"),
    (Silence(), "transport"),
]


@pytest.mark.parametrize(("reply", "kind"), FAULTS, ids=lambda value: str(value)[:40])
def test_the_next_provider_takes_over(context: RecordingContext, reply: Any, kind: str | None) -> None:
    with chat_model(reply) as bad, chat_model(Say("Hello.")) as good:
        result = ask(
            context, spec_of(bad, "alpha"), spec_of(good, "beta"), first_byte_seconds=0.4, chunk_seconds=0.4
        )

    assert (result["provider"], result["result"]) == ("beta", "Hello.")
    assert context.desk.verdicts == [("alpha", kind), ("beta", "ok")]
    assert all(each.left for each in context.desk.passes)
    assert len(bad.asked) == 1
    (told,) = [e["message"] for e in context.events if e["message"].startswith("Switched")]
    assert told.startswith("Switched from Alpha to Beta: ")
    assert context.pins["provider"] == "beta"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Refuse(529, "overloaded_error", "Overloaded"), "overload"),
        (Refuse(429, "rate_limit_error", "slow down"), "throttle"),
        (Refuse(400, "invalid_request_error", "Your credit balance is too low"), "quota"),
        (Refuse(401, "authentication_error", "invalid x-api-key"), "auth"),
        (Hang("Hel"), "transport"),
    ],
)
def test_from_anthropic_to_another(context: RecordingContext, reply: Any, kind: str) -> None:
    with anthropic_model(reply) as bad, chat_model(Say("Hello.")) as good:
        claude = spec_of(bad, "anthropic", kind="anthropic", base_url=bad.url, model="claude-sonnet-5-5")
        assert ask(context, claude, spec_of(good, "beta"), chunk_seconds=0.4)["provider"] == "beta"

    assert context.desk.verdicts == [("anthropic", kind), ("beta", "ok")]


def test_anthropic_cut_in_the_middle(context: RecordingContext) -> None:
    """It closes politely in the middle of a message, which must not pass for a short one."""
    with speaking(Hasty, Hang("Hel")) as bad, chat_model(Say("Hello.")) as good:
        claude = spec_of(bad, "anthropic", kind="anthropic", base_url=bad.url, model="claude-sonnet-5-5")
        assert ask(context, claude, spec_of(good, "beta"))["result"] == "Hello."

    assert context.desk.verdicts == [("anthropic", "transport"), ("beta", "ok")]


def test_progress_never_goes_back_when_another_begins_anew(context: RecordingContext) -> None:
    parameters = {"task": "Write", "word_count": 10}
    with chat_model(Hang("one two three four five six")) as bad, chat_model(Say("one two")) as good:
        ask(context, spec_of(bad, "alpha"), spec_of(good, "beta"), parameters=parameters, chunk_seconds=0.8)

    assert context.percents == sorted(context.percents)
    assert context.steps[-1][1] == "2 / 10 words"


def test_a_key_that_a_server_repeats_is_not_passed_on(context: RecordingContext) -> None:
    reply = Refuse(401, "invalid_api_key", "no such key: key-of-alpha")
    with chat_model(reply) as bad, pytest.raises(PermanentError) as failed:
        ask(context, spec_of(bad, "alpha"))

    assert "no such key: (the key)" in failed.value.message
    assert (
        "key-of-alpha" not in f"{context.events} {context.logs} {context.desk.passes} {failed.value.details}"
    )


def test_what_a_cut_answer_used_is_metered_beside_the_whole_one(context: RecordingContext) -> None:
    with chat_model(Cut("one two three")) as bad, chat_model(Say("Hello.")) as good:
        ask(context, spec_of(bad, "alpha"), spec_of(good, "beta"))

    cut, whole = context.metered.values()
    assert (cut.provider, cut.output_tokens, cut.final) == ("alpha", 3, True)
    assert (whole.provider, whole.final) == ("beta", True)


def test_a_server_killed_in_the_middle_of_its_answer_is_replaced(context: RecordingContext) -> None:
    order = [sys.executable, "-m", "tests.openai_server"]
    with (
        subprocess.Popen(order, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as server,
        chat_model(Say("Hello.")) as good,
    ):
        url = server.stdout.readline().strip()
        with asked_aside(context, spec_of(url, "alpha"), spec_of(good, "beta")) as running:
            until(lambda: context.partial_result)
            server.kill()

    assert running.result is not None
    assert (running.result["provider"], running.result["result"]) == ("beta", "Hello.")
    assert context.desk.verdicts == [("alpha", "transport"), ("beta", "ok")]


def test_who_answered_is_asked_first_the_next_turn(context: RecordingContext) -> None:
    with chat_model(THROTTLED) as bad, chat_model(UseTool("nothing", {}), Say("Hello.")) as good:
        ask(context, spec_of(bad, "alpha"), spec_of(good, "beta"))

    assert context.desk.verdicts == [("alpha", "throttle"), ("beta", "ok"), ("beta", "ok")]


def test_a_conversation_moves_to_another_protocol_in_the_middle(context: RecordingContext) -> None:
    with chat_model(UseTool("nothing", {}), THROTTLED) as first, anthropic_model(Say("Hello.")) as second:
        claude = spec_of(
            second, "anthropic", kind="anthropic", base_url=second.url, model="claude-sonnet-5-5"
        )
        result = ask(context, spec_of(first, "alpha"), claude)

    assert result["provider"] == "anthropic"
    kinds = [part["type"] for message in second.asked[0]["messages"] for part in message["content"]]
    assert kinds == ["text", "tool_use", "tool_result"]


@pytest.mark.parametrize(
    "reply",
    [
        Refuse(400, "invalid_request_error", "temperature must be below 2"),
        Refuse(400, "context_length_exceeded", "This model's maximum context length is 10 tokens"),
        Refuse(413, "too_large", "Request too large"),
        Refuse(422, "unprocessable", "what is this"),
    ],
)
def test_our_own_fault_stops_at_once(context: RecordingContext, reply: Refuse) -> None:
    with (
        chat_model(reply) as bad,
        chat_model(Say("Hello.")) as good,
        pytest.raises(PermanentError, match=str(reply.status)),
    ):
        ask(context, spec_of(bad, "alpha"), spec_of(good, "beta"))

    assert context.desk.verdicts == [("alpha", "request")]
    assert good.asked == []


def test_too_long_a_prompt_says_what_to_do(context: RecordingContext) -> None:
    reply = Refuse(400, "context_length_exceeded", "This model's maximum context length is 10 tokens")
    with chat_model(reply) as bad, pytest.raises(PermanentError, match="Shorten the parameters"):
        ask(context, spec_of(bad))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "90"}, 90),
        ({"retry-after-ms": "90000"}, 90),
        ({"Retry-After": "in 600 s, as a date"}, 600),
        ({"Retry-After": "999999999"}, 31 * 86_400),
    ],
)
def test_when_all_are_throttled_the_job_is_held_until_the_first_is_back(
    context: RecordingContext, headers: dict[str, str], seconds: float
) -> None:
    if "date" in headers.get("Retry-After", ""):  # made now: the tests were collected minutes ago
        headers = {"Retry-After": format_datetime(clock.now() + timedelta(seconds=600), usegmt=True)}
    with (
        chat_model(Refuse(429, "rate_limit_exceeded", "slow down", {"Retry-After": "90000"})) as one,
        chat_model(Refuse(429, "rate_limit_exceeded", "slow down", headers)) as other,
        pytest.raises(Held) as held,
    ):
        ask(context, spec_of(one, "alpha"), spec_of(other, "beta"))

    assert (held.value.reason, held.value.agent_wide) == ("provider_open", True)
    assert (held.value.until - clock.now()).total_seconds() == pytest.approx(min(seconds, 90_000), abs=60)
    assert context.desk.passes[1].verdict["retry_after"] == pytest.approx(seconds, abs=60)


def test_a_wait_in_the_body_is_heard(context: RecordingContext) -> None:
    message = "quota; details: 'retryDelay': '34s'"
    with chat_model(Refuse(429, "RESOURCE_EXHAUSTED", message)) as model, pytest.raises(Held):
        ask(context, spec_of(model))

    assert context.desk.passes[0].verdict["retry_after"] == 34


def test_refused_by_the_desk_the_job_is_held_until_the_first_is_back(context: RecordingContext) -> None:
    soon, late = clock.now() + timedelta(seconds=20), clock.now() + timedelta(seconds=90)
    context.desk = ListedDesk(
        [spec_of("http://x", "alpha"), spec_of("http://x", "beta")],
        {"alpha": Refused("open", "left alone", late), "beta": Refused("requests", "10 a minute", soon)},
    )

    with pytest.raises(Held) as held:
        ask(context)

    assert (held.value.until, held.value.subject, held.value.agent_wide) == (soon, "beta", True)
    assert "Alpha: left alone; Beta: 10 a minute" in held.value.message


def test_want_of_a_place_is_held_for_a_moment(context: RecordingContext) -> None:
    context.desk = ListedDesk([spec_of("http://x")], {"alpha": Refused("places", "2 at once")})

    with pytest.raises(Held) as held:
        ask(context)

    assert 0 < (held.value.until - clock.now()).total_seconds() < 10


def test_a_refused_provider_is_passed_over(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as good:
        specs = [spec_of("http://x", "alpha"), spec_of(good, "beta")]
        context.desk = ListedDesk(specs, {"alpha": Refused("open", "left alone")})
        assert ask(context)["provider"] == "beta"


def test_one_that_cannot_be_reached_beside_a_throttled_one_is_tried_again_soon(
    context: RecordingContext,
) -> None:
    with (
        chat_model(Refuse(429, "rate_limit_exceeded", "slow down", {"Retry-After": "30"})) as throttled,
        pytest.raises(TemporaryError) as failed,
    ):
        ask(context, spec_of("http://127.0.0.1:9", "alpha"), spec_of(throttled, "beta"))

    assert failed.value.retry_after == pytest.approx(30, abs=2)
    assert "Alpha: " in failed.value.message
    assert "Beta: 429 slow down" in failed.value.message


def test_throttled_without_a_time_is_a_matter_of_rate(context: RecordingContext) -> None:
    with chat_model(THROTTLED) as model, pytest.raises(RateLimitError) as failed:
        ask(context, spec_of(model))

    assert failed.value.retry_after is None


def test_wrong_keys_everywhere_are_permanent_and_name_what_to_set(context: RecordingContext) -> None:
    with (
        chat_model(Refuse(401, "invalid_api_key", "who are you")) as one,
        chat_model(Refuse(404, "model_not_found", "no such model")) as other,
        pytest.raises(PermanentError) as failed,
    ):
        ask(context, spec_of(one, "alpha"), spec_of(other, "beta"))

    assert "Set a valid key for Alpha" in failed.value.message
    assert "Install the model at Beta" in failed.value.message


def test_a_wrong_key_beside_a_busy_provider_is_worth_waiting(context: RecordingContext) -> None:
    with (
        chat_model(Refuse(401, "invalid_api_key", "who are you")) as one,
        chat_model(Refuse(503, "busy", "busy")) as other,
        pytest.raises(TemporaryError),
    ):
        ask(context, spec_of(one, "alpha"), spec_of(other, "beta"))


def test_the_desk_hears_how_much_a_call_may_need_and_what_it_took(context: RecordingContext) -> None:
    with chat_model(Say("Hello.", input_tokens=50, output_tokens=5, cached_tokens=0)) as model:
        ask(context, spec_of(model), parameters={"task": "word " * 4000}, max_output_tokens=500)

    (asked,) = context.desk.passes
    assert 5000 < asked.tokens < 6000
    assert asked.verdict == {"ok": True, "input_tokens": 50, "output_tokens": 5}
