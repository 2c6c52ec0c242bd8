"""What follows from the score of a draft: the table, and that it always comes to an end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.quality import decision
from app.quality.decision import MOST_ASK_BACKS, Judged, Rules, verdict_on

RULES = Rules(refinements=3, min_gain=0.3, otherwise="needs_review")


def judged(*scores: float | None, **more: Any) -> list[Judged]:
    """Drafts with these scores, each but the last to be revised; seven is enough."""
    last = len(scores)
    return [
        Judged(at, score, score is not None and score >= 7, verdict=None if at == last else "revise", **more)
        for at, score in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("scores", "rules", "expected"),
    [
        ([8.0], RULES, "passed"),
        ([7.0], RULES, "passed"),
        ([6.9], RULES, "revise"),
        ([6.5, 8.2], RULES, "passed"),
        ([5.0, 5.2], RULES, "needs_review"),  # hardly better: no use in going on
        ([5.0, 5.3], RULES, "revise"),  # just enough
        ([5.0, 4.0], RULES, "needs_review"),  # worse
        ([5.0, 6.0, 5.9], RULES, "needs_review"),  # worse than the best
        ([5.0, 4.0], Rules(3, 0.0, "needs_review"), "revise"),  # every one is worth it
        ([1.0, 2.0, 3.0], RULES, "revise"),
        ([1.0, 2.0, 3.0, 4.0], RULES, "needs_review"),  # three refinements
        ([1.0, 2.0, 3.0, 7.0], RULES, "passed"),
        ([6.0], Rules(0, 0.3, "needs_review"), "needs_review"),
        ([6.0], Rules(0, 0.3, "rejected"), "rejected"),
        ([None], RULES, "needs_review"),  # nothing was found out, so nothing can be told
        ([None], Rules(3, 0.3, "rejected"), "needs_review"),  # which is no rejection either
        ([5.0, None], Rules(3, 0.3, "rejected"), "rejected"),  # the first one was
    ],
)
def test_the_table(scores: list[float | None], rules: Rules, expected: str) -> None:
    *before, draft = judged(*scores)
    assert verdict_on(draft, before, rules) == expected


def test_a_blocking_check_stops_a_draft_with_a_high_score() -> None:
    assert verdict_on(Judged(1, 9.5, passed=False), [], RULES) == "revise"


def test_what_a_person_wrote_is_accepted() -> None:
    assert verdict_on(Judged(2, 1.0, passed=False, source="person"), judged(5.0), RULES) == "passed"


def test_who_sent_a_draft_back_sees_the_next_one_even_if_it_would_pass() -> None:
    before = [Judged(1, 6.0, passed=False, verdict="needs_review")]
    assert verdict_on(Judged(2, 9.0, passed=True), before, RULES) == "needs_review"


def test_the_best_is_one_that_passed_then_the_highest_then_the_latest() -> None:
    assert decision.best(judged(5.0, 6.0, 5.5)).number == 2
    assert decision.best(judged(6.0, 6.0)).number == 2
    assert decision.best([Judged(1, 9.5, passed=False), Judged(2, 7.1, passed=True)]).number == 2
    assert decision.best([Judged(1, 0.0, passed=False), Judged(2, None, passed=False)]).number == 1


def test_a_person_is_shown_the_best_of_what_they_have_not_seen() -> None:
    drafts = [
        Judged(1, 6.0, passed=False, verdict="revise"),
        Judged(2, 5.0, passed=False, verdict="needs_review"),
    ]
    assert decision.shown(drafts).number == 1
    drafts.append(Judged(3, 4.0, passed=False, verdict="needs_review"))
    assert decision.shown(drafts).number == 3


@given(
    scores=st.lists(
        st.none() | st.floats(0, 10).map(lambda score: round(score, 1)), min_size=40, max_size=40
    ),
    rules=st.builds(
        Rules,
        refinements=st.integers(0, 10),
        min_gain=st.floats(0, 10),
        otherwise=st.sampled_from(["needs_review", "rejected"]),
    ),
)
def test_it_always_ends(scores: list[float | None], rules: Rules) -> None:
    """However drafts turn out, and though the person sends back whatever they may."""
    drafts: list[Judged] = []
    for at, score in enumerate(scores, start=1):
        draft = Judged(at, score, score is not None and score >= 7)
        verdict = verdict_on(draft, drafts, rules)
        drafts.append(Judged(draft.number, draft.score, draft.passed, verdict=verdict))
        may_send_back = "ask_back" in decision.options(drafts, can_do_better=True)
        if verdict not in ("revise", "needs_review") or (verdict == "needs_review" and not may_send_back):
            break
    else:
        pytest.fail("forty drafts, and no end")
    asked = decision.ask_backs(drafts)
    assert asked <= MOST_ASK_BACKS
    assert len(drafts) <= rules.refinements + 1 + asked
