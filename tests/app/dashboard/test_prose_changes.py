"""What changed between two texts, by lines and words."""

from __future__ import annotations

import time

import pytest

from app.dashboard import prose_changes
from app.dashboard.prose_changes import Changes, changes


def _drawn(found: Changes) -> list[str]:
    """Each line as `sign text`, with {+in+} and {-out-} in changed ones."""
    marks = {" ": "{}", "+": "{{+{}+}}", "-": "{{-{}-}}"}
    return [
        f"… {line.left_out}"
        if line.sign == "…"
        else "~ " + "".join(marks[part.sign].format(part.text) for part in line.parts)
        if line.sign == "~"
        else f"{line.sign} {line.parts[0].text}"
        for line in found.lines
    ]


def test_the_same_text() -> None:
    found = changes("a\nb\n", "a\nb\n")

    assert found.is_same
    assert _drawn(found) == ["… 2"]


def test_words_of_one_line() -> None:
    found = changes("Bees are fine animals.", "Bees are truly fine creatures.")

    assert _drawn(found) == ["~ Bees are {+truly +}fine {-animals-}{+creatures+}."]
    assert (found.words_in, found.words_out) == (2, 1)


def test_lines_with_little_in_common_are_shown_whole() -> None:
    assert _drawn(changes("Bees make honey.", "Nothing else in the world is like that")) == [
        "- Bees make honey.",
        "+ Nothing else in the world is like that",
    ]


def test_lines_that_came_and_went() -> None:
    assert _drawn(changes("a\nb", "a\nb\nc\nd")) == ["  a", "  b", "+ c", "+ d"]
    assert _drawn(changes("a\nb\nc", "a")) == ["  a", "- b", "- c"]


def test_what_stayed_is_left_out_but_for_a_few_lines_around() -> None:
    before = [f"line {n}" for n in range(20)]
    after = before.copy()
    after[10] = "line ten"

    assert _drawn(changes("\n".join(before), "\n".join(after))) == [
        "… 8", "  line 8", "  line 9", "~ line {-10-}{+ten+}", "  line 11", "  line 12", "… 7",
    ]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [("", ""), ("", "new"), ("old", ""), ("a\r\nb", "a\nb")])
def test_edges(before: str, after: str) -> None:
    found = changes(before, after)

    assert found.is_same is (before.split() == after.split())


def test_the_end_of_very_long_texts_is_not_compared_and_that_is_said() -> None:
    long = "\n".join(str(n) for n in range(prose_changes.MOST_LINES + 5))

    assert changes(long, long).is_cut
    assert not changes("a", "b").is_cut


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n".join(["a", "b"] * 1000), "\n".join(["b", "a", "c"] * 600)),
        (" ".join(["a", "b"] * 20_000), " ".join(["b", "a"] * 20_000)),
        (
            "\n".join(f"word {n} " * 100 for n in range(300)),
            "\n".join(f"word {n + 1} " * 100 for n in range(300)),
        ),
        ("x" * 400_000, "y" * 400_000),
    ],
)
def test_no_text_takes_for_ever(before: str, after: str) -> None:
    began = time.process_time()

    changes(before, after)

    assert time.process_time() - began < 5
