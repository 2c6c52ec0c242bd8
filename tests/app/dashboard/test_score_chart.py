"""Where the points of the chart of scores stand."""

from __future__ import annotations

import pytest

from app.dashboard import score_chart


def test_higher_scores_stand_higher_and_the_threshold_between() -> None:
    chart = score_chart.draw([(1, 6.2), (2, 7.1), (3, 8.5)], 7.0)
    ys = [point.y for point in chart.points]

    assert ys == sorted(ys, reverse=True)
    assert ys[0] > chart.threshold_y > ys[1]
    assert [point.reached for point in chart.points] == [False, True, True]
    assert [point.label for point in chart.points] == ["6.2", "7.1", "8.5"]
    assert all(chart.left < point.x < chart.right for point in chart.points)
    assert chart.words == "Scores of 10. Draft 1: 6.2, draft 2: 7.1, draft 3: 8.5. The threshold is 7.0."


def test_what_is_not_judged_yet_is_no_point_of_the_line() -> None:
    chart = score_chart.draw([(1, 6.0), (2, None)], 7.0)

    assert len(chart.line.split()) == 1
    assert chart.points[1].reached is None
    assert "draft 2: not judged yet" in chart.words


@pytest.mark.parametrize("score", [-3.0, 0.0, 10.0, 99.0])
def test_no_score_leaves_the_picture(score: float) -> None:
    (point,) = score_chart.draw([(1, score)]).points

    assert score_chart.TOP <= point.y <= score_chart.HEIGHT - score_chart.BOTTOM


def test_without_a_threshold_there_is_no_line_to_reach() -> None:
    chart = score_chart.draw([(1, 2.0)])

    assert chart.threshold is None
    assert chart.points[0].reached is True
    assert "threshold" not in chart.words


def test_nothing_to_draw() -> None:
    assert score_chart.draw([]).points == ()
