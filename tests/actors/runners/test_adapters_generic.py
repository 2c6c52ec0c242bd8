"""Any CLI, and what holds for the readers of all of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runners import adapters
from actors.runners.adapters.base import shortened, summary_of
from actors.runners.adapters.heard import Final, Noise, Session, Spent, Text
from app.errors import PermanentError
from tests.actors.runners.replaying import STREAMS, only, order, reader

GENERIC = adapters.named("generic")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def generic(**config: Any) -> Any:
    return reader("generic", config={"program": "x"} | config)


def test_text_is_the_result_and_the_last_object_in_it_too() -> None:
    listening = generic()
    heard = [one for line in ("Working", '{"a": 1}', "bye") for one in listening.read(line)]

    (final,) = listening.end(0)

    assert [type(one) for one in heard] == [Noise, Noise, Noise]
    assert (final.ok, final.text, final.structured) == (True, 'Working\n{"a": 1}\nbye', {"a": 1})


def test_json_lines_of_no_particular_kind() -> None:
    listening = generic(output="jsonl", model="m")
    lines: list[dict[str, Any]] = [
        {"sessionId": "s1", "event": "begin"},
        {"text": "Hello"},
        {"usage": {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.01}},
        {"content": "Done", "usage": {"input_tokens": 5, "cost_usd": 0.02}},
    ]

    heard = [one for line in lines for one in listening.read(json.dumps(line))] + list(listening.end(0))

    assert only(Session, heard)[0].session_id == "s1"
    assert [said.text for said in only(Text, heard)] == ["Hello", "Done"]
    assert only(Spent, heard)[-1] == Spent(
        model="m", input_tokens=15, output_tokens=2, cost_usd=Decimal("0.03"), reported=True
    )
    assert only(Final, heard)[0].text == "Done"


def test_of_much_text_the_end_is_kept() -> None:
    listening = generic()
    for number in range(50_000):
        list(listening.read(f"line {number}"))

    (final,) = listening.end(0)

    assert final.text.endswith("line 49998\nline 49999")
    assert 100_000 < len(final.text) <= 200_000


def test_the_exit_code_is_its_verdict() -> None:
    listening = generic(ok_exit_codes=[0, 3])
    list(listening.read_error("no such model"))

    assert next(iter(listening.end(3))).ok
    (final,) = listening.end(4)

    assert (final.ok, final.text, final.reason) == (False, "no such model", "exit code 4")


def test_the_template_is_filled_as_the_command_runners_is() -> None:
    config = {"argv": ["goose", "-m", "{{model}}", "--", "{{prompt}}", "{{parameter.x}}"], "model": "m"}

    argv = GENERIC.argv(
        order(config=config | {"program": "goose"}, prompt="- a list", parameters={"x": "-rf"})
    )

    assert argv == ["goose", "-m", "m", "--", "- a list", "-rf"]


@pytest.mark.parametrize(
    "template", [[], ["{{parameter.x}}"], ["goose", "{{parameter.x}}"], ["goose", "{{nothing}}"]]
)
def test_a_template_that_could_pass_an_option_or_choose_the_program_is_refused(template: list[str]) -> None:
    with pytest.raises(PermanentError):
        GENERIC.argv(order(config={"argv": template, "program": "x"}, parameters={"x": "--evil"}))


def test_an_unknown_adapter_is_named() -> None:
    with pytest.raises(PermanentError, match="claude, codex, gemini, generic"):
        adapters.named("cursor")


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "generic"])
@given(line=st.text(max_size=60))
@settings(max_examples=50)
def test_no_line_is_too_strange(name: str, line: str) -> None:
    for heard in reader(name).read(line):
        assert not isinstance(heard, Final)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@given(data=st.data())
@settings(max_examples=150)
def test_no_event_is_too_strange(name: str, data: st.DataObject) -> None:
    """Events of every kind there is, with any of their values replaced by something else."""
    streams = sorted(STREAMS.glob(f"{name}-*.jsonl"))
    lines = [line for stream in streams for line in stream.read_text().splitlines()]
    event = json.loads(data.draw(st.sampled_from(lines)))
    inside = event
    while True:
        key = data.draw(st.sampled_from(sorted(inside)))
        if not isinstance(inside[key], dict) or not inside[key] or data.draw(st.booleans()):
            inside[key] = data.draw(VALUES)
            break
        inside = inside[key]

    list(reader(name).read(json.dumps(event)))


def test_a_summary_is_what_tells_most_on_one_line() -> None:
    assert summary_of({"description": "List", "command": "ls\n -l"}) == "ls -l"
    assert summary_of({"n": 1}) == '{"n": 1}'
    assert summary_of({}) == ""
    assert len(shortened("x" * 500)) == 120
