"""Output is cut into lines, cleaned and bounded without losing what was said."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runners import output
from actors.runners.output import OutputLog, Stream, clean, last_json_object
from tests.doubles import RecordingContext


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_lines_do_not_depend_on_how_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    heard: list[str] = []
    stream = Stream("stdout", lambda name, text: heard.append(text))
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]

    for start, end in pairwise(edges):
        stream.feed(data[start:end])
    stream.end()

    expected = data.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert heard == [line.decode("utf-8", "replace") for line in expected]
    assert stream.text == data.decode("utf-8", "replace")


def test_a_line_without_end_is_passed_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_BYTES", 10)
    heard: list[str] = []
    stream = Stream("stdout", lambda name, text: heard.append(text))

    for _ in range(5):
        stream.feed(b"xxxxxx")
    stream.end()

    assert heard == ["x" * 12, "x" * 12, "x" * 6]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x07c", "abc"),
        ("10%\r20%\r100%\r\n", "100%"),
        ("tab\tstays", "tab\tstays"),
        ("\x9b31mc1", "31mc1"),
        ("Zoë 🎈", "Zoë 🎈"),
    ],
)
def test_only_what_can_be_shown_is_logged(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(text=st.text(max_size=200))
def test_a_cleaned_line_never_holds_a_control_character(text: str) -> None:
    assert not [c for c in clean(text) if c != "\t" and (c < " " or "\x7f" <= c <= "\x9f")]


def test_long_lines_are_shortened_and_blank_ones_left_out(context: RecordingContext) -> None:
    log = OutputLog(context)

    for line in ("x" * 20_000, "", "   ", "\x1b[0m", "end"):
        log("stdout", line)

    assert [len(line["message"]) for line in context.logs] == [8_001, 3]


def test_a_deep_object_does_not_break_the_search() -> None:
    assert last_json_object('{"a":' * 100_000) is None
