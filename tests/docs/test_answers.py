from __future__ import annotations

import itertools
from typing import Any

import pytest

from app.settings import ROOT
from tests.docs import blocks
from tests.docs.answers import GUIDES, differs


@pytest.mark.parametrize(
    ("stated", "got"),
    [
        ("…", {"a": 1}),
        ("a…c", "abc"),
        ({"a": 1, "…": "…"}, {"a": 1, "b": 2}),
        ([1, "…"], [1, 2, 3]),
        ({"a": [{"b": None}]}, {"a": [{"b": None}]}),
    ],
)
def test_what_is_stated_fits(stated: Any, got: Any) -> None:
    assert differs(stated, got) == []


@pytest.mark.parametrize(
    ("stated", "got", "fault"),
    [
        ("a…c", "abd", '/ is "abd"'),
        ({"a": 1}, {"a": 1, "b": 2}, "/b is not stated"),
        ({"a": 1, "…": "…"}, {"b": 2}, "/a is not there"),
        ([1], [1, 2], "1 are stated, and there are 2"),
        ({"a": [{"b": True}]}, {"a": [{"b": 1}]}, "/a/0/b is 1"),
    ],
)
def test_what_is_stated_and_not_so_is_noticed(stated: Any, got: Any, fault: str) -> None:
    (said,) = differs(stated, got)
    assert fault in said


@pytest.mark.parametrize("guide", GUIDES)
def test_the_guides_for_models_state_answers(guide: str) -> None:
    languages = [block.language for block in blocks.of(ROOT / "docs" / guide)]
    assert sum(pair == ("bash", "json") for pair in itertools.pairwise(languages)) >= 3
