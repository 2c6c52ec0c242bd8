"""The Context of an attempt: what agents say is gathered, bounded and never lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.attempt import Attempt
from actors.post import Post
from app.db import db
from app.errors import PermanentError
from tests import acting


@pytest.fixture
def attempt(post: Post, hold: Callable[..., Attempt]) -> Attempt:
    with db.quick():
        claim = acting.claimed()
    return hold(claim)


def test_progress_stays_between_nothing_and_all(attempt: Attempt) -> None:
    said = []
    for percent in (-5, 33.9, 250):
        attempt.progress(percent)
        said.append(attempt.take_report().progress)
    assert said == [0, 33, 100]


def test_a_report_is_taken_once(attempt: Attempt) -> None:
    attempt.stage("fetch", "Fetching")
    first, second = attempt.take_report(), attempt.take_report()
    assert (first.stage, first.current_step, first.lines[0].kind) == ("fetch", "Fetching", "stage")
    assert second.is_empty


def test_an_unknown_level_becomes_info(attempt: Attempt) -> None:
    attempt.log("x", level="shouting")
    assert attempt.take_report().lines[0].level == "info"


def test_lines_end_at_the_cap_with_a_word_about_it(post: Post) -> None:
    with db.quick():
        claim = acting.claimed()
    small = Attempt(claim, store=post.store, timeout_seconds=9, soft_seconds=8, max_lines=5)
    for n in range(50):
        small.log(str(n))
    lines = small.take_report().lines
    assert [line.message for line in lines[:4]] == ["0", "1", "2", "3"]
    assert len(lines) == 5
    assert "more than 5 lines" in lines[4].message


def test_newer_news_win_over_those_put_back(attempt: Attempt) -> None:
    attempt.progress(10, "old")
    attempt.log("first")
    report = attempt.take_report()
    attempt.progress(20)
    attempt.log("second")
    attempt.put_back(report)
    again = attempt.take_report()
    assert (again.progress, again.current_step) == (20, "old")
    assert [line.message for line in again.lines] == ["first", "second"]


def test_a_file_over_the_limit_is_a_permanent_error(attempt: Attempt) -> None:
    with pytest.raises(PermanentError):
        attempt.artifact("big", b"x" * (attempt.store.max_bytes + 1))


def test_the_workspace_is_made_when_wanted_and_removed_at_the_end(attempt: Attempt) -> None:
    folder = attempt.workspace
    (folder / "x").write_text("x")
    attempt.close()
    assert not folder.exists()


def test_a_checkpoint_is_a_copy(attempt: Attempt) -> None:
    state = {"n": 1}
    attempt.checkpoint(state)
    state["n"] = 2
    attempt.checkpoint()["n"] = 3
    assert attempt.checkpoint() == {"n": 1}
