"""Texts of known quality get their scores in the right order; tests/quality_texts/README.md says how they were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.quality import gates
from app.quality.checks import Subject, judge
from app.quality.definition import Gate
from app.quality.report import Report

FOLDER = Path(__file__).parents[2] / "quality_texts"
LEVELS = {5: "excellent", 4: "good", 3: "middling", 2: "poor", 1: "garbage"}
MARGIN = 0.3
"""Between the worst of one level and the best of the level below."""


@dataclass(frozen=True)
class Scored:
    name: str
    level: int
    held_out: bool
    report: Report

    @property
    def score(self) -> float:
        assert self.report.score is not None
        return self.report.score


@cache
def blog_post() -> Gate:
    return Gate.read(gates.read_yaml((gates.LIBRARY / "blog-post.yaml").read_text()))


def read(path: Path) -> tuple[dict[str, Any], str]:
    _, head, text = path.read_text().split("---\n", 2)
    return yaml.safe_load(head), text.strip()


@cache
def scored() -> tuple[Scored, ...]:
    found = []
    for path in sorted(FOLDER.glob("*-*.md")):
        brief, text = read(path)
        report = judge(blog_post(), Subject(text, {"content": text}, brief))
        found.append(Scored(path.stem, brief["level"], bool(brief.get("held_out")), report))
    return tuple(found)


def of(name: str) -> Scored:
    return next(each for each in scored() if each.name == name)


def test_there_are_texts_of_five_levels_and_one_of_each_is_held_out() -> None:
    assert len(scored()) >= 20
    for level, word in LEVELS.items():
        here = [each for each in scored() if each.level == level]
        assert len(here) >= 4
        assert all(each.name.startswith(word) for each in here)
        assert sum(each.held_out for each in here) == 1


@pytest.mark.parametrize("level", [5, 4, 3, 2])
def test_every_text_scores_higher_than_every_text_of_the_level_below(level: int) -> None:
    worst = min((each for each in scored() if each.level == level), key=lambda each: each.score)
    best = max((each for each in scored() if each.level == level - 1), key=lambda each: each.score)
    assert worst.score >= best.score + MARGIN, (worst.name, worst.score, best.name, best.score)


def test_scores_and_levels_go_together() -> None:
    assert spearman([each.level for each in scored()], [each.score for each in scored()]) > 0.95


def test_excellent_and_good_texts_pass_and_poor_ones_and_garbage_do_not() -> None:
    for each in scored():
        if each.level != 3:
            assert each.report.passed == (each.level > 3), each.name
    assert min(each.score for each in scored() if each.level == 5) > 9.5
    assert max(each.score for each in scored() if each.level == 1) < 3.5


@pytest.mark.parametrize(
    ("name", "issues"),
    [
        ("poor-keyword-stuffed", {"Keyword stuffing", "Missing examples", "Far too short"}),
        ("poor-padded", {"Far too short", "Missing examples", "Weak call-to-action"}),
        ("poor-stock-phrases", {"Stock phrases", "Missing examples", "Clumsy wording"}),
        ("poor-truncated", {"Broken off", "Weak conclusion", "Far too short"}),
        ("garbage-lorem", {"Placeholder left in", "Off topic"}),
        ("garbage-refusal", {"Placeholder left in", "Off topic", "Missing title"}),
        ("garbage-word-salad", {"Off topic", "Sentences too long", "Poor structure"}),
        ("middling-remote-meetings", {"Missing examples", "Weak conclusion", "Weak call-to-action"}),
        ("good-flashcards", {"Missing practical examples", "Weak call-to-action"}),
    ],
)
def test_what_is_wrong_with_a_text_is_said(name: str, issues: set[str]) -> None:
    assert issues <= set(of(name).report.issues)


@pytest.mark.parametrize(
    "name", ["poor-truncated", "poor-keyword-stuffed", "poor-stock-phrases", "garbage-refusal"]
)
def test_some_faults_block_whatever_the_score(name: str) -> None:
    lenient = blog_post().model_copy(update={"threshold": 0.0})
    brief, text = read(FOLDER / f"{name}.md")
    assert not judge(lenient, Subject(text, {"content": text}, brief)).passed


def spearman(first: list[float], second: list[float]) -> float:
    """The correlation of ranks; equal values share their mean rank."""
    ranks = [_ranks(first), _ranks(second)]
    mean = (len(first) + 1) / 2
    over = sum((a - mean) * (b - mean) for a, b in zip(*ranks, strict=True))
    spread = [sum((rank - mean) ** 2 for rank in each) for each in ranks]
    return float(over / (spread[0] * spread[1]) ** 0.5)


def _ranks(values: list[float]) -> list[float]:
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def test_spearman_knows_order_from_disorder() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert abs(spearman([1, 2, 3, 4], [2, 4, 1, 3])) < 0.5
