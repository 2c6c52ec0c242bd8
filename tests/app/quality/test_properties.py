"""What holds for any text: scores from 0 to 10, the same each time, and never an error."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.quality import gates
from app.quality.checks import MAKERS, Subject, judge
from app.quality.definition import Gate
from app.quality.report import Finding, Report
from tests.turns import times

CALL = "Start with one of them today, and tell us how it went."
WORDS = (
    "the baker opens early and sells warm bread to people who talk about weather in town every day".split()
)

PIECES = st.sampled_from(
    ["# Bread\n\n", "## Part\n\n", "- an item\n", "```\ncode\n```\n", "In short, it ends. ", "For example, 3 loaves. ",
     "delve into ", "[insert name] ", "<p>", "</p>", "| a | b |\n|---|---|\n", "> said\n\n", "\x00", "\u202e", "…", "!", "\n\n",
     "sehr und nicht ", "漢字。", "خبز ", "1,400 ", "**bold** ", "[a](b) ", "http://a.example ", "Try it. "]
)  # fmt: skip
TEXTS = st.lists(
    PIECES | st.text(max_size=30) | st.sampled_from([word + " " for word in WORDS]), max_size=60
).map("".join)
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=4, max_size=12).map(
    lambda said: " ".join(said).capitalize() + "."
)
PROSE = st.lists(st.lists(SENTENCE, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=12).map(
    "\n\n".join
)
BRIEFS = st.fixed_dictionaries(
    {},
    optional={
        "topic": st.text(max_size=20) | st.just("warm bread") | st.integers(),
        "target_length": st.integers(-5, 3000) | st.text(max_size=5) | st.none(),
        "tone": st.sampled_from(["casual", "technical", "friendly", "", 3]),
        "primary_keyword": st.text(max_size=20) | st.just("baker"),
        "keywords": st.lists(st.text(max_size=10), max_size=3) | st.text(max_size=20),
        "brand_voice": st.text(max_size=60) | st.just("never say 'weather'; use 'bread'"),
    },
)


@cache
def everything() -> Gate:
    """Every kind that is made here."""
    more: dict[str, dict[str, Any]] = {
        "regex": {"must": ["[a-z]"], "must_not": ["x{3}"]},
        "json_schema": {"schema": {"type": "object", "required": ["content"]}},
    }
    return Gate.read({"checks": [{"check": kind} | more.get(kind, {}) for kind in MAKERS]})


@cache
def blog_post() -> Gate:
    return Gate.read(gates.read_yaml((gates.LIBRARY / "blog-post.yaml").read_text()))


def judged(text: str, brief: dict[str, Any] | None = None, gate: Gate | None = None) -> Report:
    return judge(gate or everything(), Subject(text, {"content": text}, brief or {}))


def named(report: Report, name: str) -> Finding:
    return next(finding for finding in report.findings if finding.name == name)


@settings(max_examples=times(60, 300))
@given(TEXTS, BRIEFS)
def test_any_text_gets_scores_from_0_to_10_and_the_same_each_time(text: str, brief: dict[str, Any]) -> None:
    report = judged(text, brief)
    assert report.score is not None
    assert 0 <= report.score <= 10
    for finding in report.findings:
        assert finding.error is None
        assert finding.score is None or 0 <= finding.score <= 10
        assert (finding.score is None) == (finding.passed is None)
        assert finding.evidence
        assert finding.score is None or (finding.score == 10) == (finding.issue is None)
    assert judged(text, brief).document() == report.document()


@settings(max_examples=times(60, 300))
@given(PROSE, st.sampled_from([{}, {"topic": "warm bread"}, {"tone": "casual"}, {"target_length": 900}]))
def test_a_call_to_action_never_lowers_the_score(text: str, brief: dict[str, Any]) -> None:
    before = judged(text, brief, blog_post())
    assume(named(before, "call_to_action").score != 10)
    after = judged(f"{text}\n\n{CALL}", brief, blog_post())
    assert named(after, "call_to_action").score == 10
    assert before.score is not None
    assert after.score is not None
    assert after.score >= before.score


@settings(max_examples=times(40, 200))
@given(PROSE)
def test_placeholders_and_a_broken_end_never_pass_the_gate_of_blog_posts(text: str) -> None:
    lenient = blog_post().model_copy(update={"threshold": 0.0})
    for spoiled in (
        f"{text}\n\nWrite to [insert address].",
        f"{text}\n\nAnd this is where the baker goes to the",
    ):
        report = judged(spoiled, {}, lenient)
        assert not report.passed
        assert named(report, "stock_phrases").blocks


@settings(max_examples=times(40, 200))
@given(PROSE, st.integers(1, 2000))
def test_words_until_the_target_never_cost_length(text: str, target: int) -> None:
    brief = {"target_length": target}
    before = named(judged(text, brief), "length")
    after = named(judged(text + "\n\nQuiet geese wander beyond seven hills.", brief), "length")
    assume(after.issue != "Too long")
    assert before.score is not None
    assert after.score is not None
    assert after.score >= before.score
