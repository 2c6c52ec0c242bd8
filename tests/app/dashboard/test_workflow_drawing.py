"""The geometry of a workflow's picture: nothing overlaps, everything stands right of what it waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app import clock
from app.dashboard.workflow_drawing import HEIGHT, WIDTH, Box, Drawing, Part, bars, draw

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=clock.now().tzinfo)


def _boxes(drawing: Drawing) -> dict[str, Box]:
    return {box.step_id: box for box in drawing.boxes}


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def _holds(outer: Box, inner: Box) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


LAUNCH = [
    Part(step_id="blog"),
    Part(step_id="assets", depends_on=("blog",)),
    Part(step_id="image", parent="assets"),
    Part(step_id="post", parent="assets"),
    Part(step_id="mail", depends_on=("assets",)),
]


def test_a_sequence_goes_from_left_to_right_at_one_height() -> None:
    drawing = draw(
        [Part(step_id="a"), Part(step_id="b", depends_on=("a",)), Part(step_id="c", depends_on=("b",))]
    )

    boxes = _boxes(drawing)
    assert boxes["a"].x + WIDTH < boxes["b"].x < boxes["c"].x
    assert {box.y for box in boxes.values()} == {0}
    assert [(line.start, line.end) for line in drawing.lines] == [("a", "b"), ("b", "c")]
    assert drawing.columns == 3
    assert drawing.height == HEIGHT


def test_a_container_is_a_box_around_its_steps_between_its_neighbours() -> None:
    boxes = _boxes(draw(LAUNCH))

    assert boxes["assets"].is_container
    assert _holds(boxes["assets"], boxes["image"])
    assert _holds(boxes["assets"], boxes["post"])
    assert boxes["image"].x == boxes["post"].x
    assert boxes["blog"].x + WIDTH < boxes["assets"].x
    assert boxes["assets"].x + boxes["assets"].width < boxes["mail"].x


def test_containers_come_before_what_stands_in_them() -> None:
    order = [box.step_id for box in draw(LAUNCH).boxes]

    assert order.index("assets") < order.index("image")


def test_a_folded_container_hides_its_steps_and_keeps_its_lines() -> None:
    drawing = draw(LAUNCH, folded={"assets"})

    assert set(_boxes(drawing)) == {"blog", "assets", "mail"}
    assert not _boxes(drawing)["assets"].is_container
    assert [(line.start, line.end) for line in drawing.lines] == [("blog", "assets"), ("assets", "mail")]


def test_a_wait_of_an_inner_step_for_an_outer_one_joins_its_container() -> None:
    drawing = draw(
        [
            Part(step_id="a"),
            Part(step_id="both"),
            Part(step_id="x", parent="both", depends_on=("a",)),
            Part(step_id="y", parent="both", depends_on=("x",)),
        ]
    )

    assert {(line.start, line.end) for line in drawing.lines} == {("a", "both"), ("x", "y")}


def test_a_step_that_waits_for_its_own_container_or_a_later_or_an_unknown_one_draws_no_line() -> None:
    drawing = draw(
        [
            Part(step_id="box"),
            Part(step_id="in", parent="box", depends_on=("box", "later", "nowhere")),
            Part(step_id="later"),
        ]
    )

    assert drawing.lines == ()


def test_a_long_line_passes_beside_the_steps_between() -> None:
    drawing = draw(
        [
            Part(step_id="a"),
            Part(step_id="b", depends_on=("a",)),
            Part(step_id="c", depends_on=("a", "b")),
        ]
    )

    (line,) = [line for line in drawing.lines if (line.start, line.end) == ("a", "c")]
    between = _boxes(drawing)["b"]
    crossing = [y for x, y in line.corners if between.x <= x <= between.x + between.width]
    assert len(crossing) == 2
    assert all(not between.y <= y <= between.y + between.height for y in crossing)


def test_lines_that_could_cross_are_untangled() -> None:
    drawing = draw(
        [
            Part(step_id="a"),
            Part(step_id="b"),
            Part(step_id="of_b", depends_on=("b",)),
            Part(step_id="of_a", depends_on=("a",)),
        ]
    )

    boxes = _boxes(drawing)
    assert boxes["a"].y < boxes["b"].y
    assert boxes["of_a"].y < boxes["of_b"].y


def test_of_very_many_lines_only_those_are_drawn_that_say_something_new() -> None:
    names = [f"s{number}" for number in range(200)]
    drawing = draw([Part(step_id=name, depends_on=tuple(names[:n])) for n, name in enumerate(names)])

    assert [(line.start, line.end) for line in drawing.lines] == list(pairwise(names))
    assert drawing.columns == 200


def test_lines_from_one_step_share_their_lane() -> None:
    chain = [
        Part(step_id="a"),
        Part(step_id="b", depends_on=("a",)),
        Part(step_id="c", depends_on=("a", "b")),
    ]
    drawing = draw([*chain, Part(step_id="d", depends_on=("a", "c"))])

    to_c, to_d = (next(x for x in drawing.lines if (x.start, x.end) == ("a", end)) for end in "cd")
    assert to_d.corners[:3] == to_c.corners[:3]
    assert len({y for _, y in to_d.corners[1:3]}) == 1


def test_many_side_by_side_stand_in_a_grid() -> None:
    drawing = draw([Part(step_id="all"), *(Part(step_id=f"n{i}", parent="all") for i in range(100))])

    assert 1 < drawing.width / drawing.height < 4
    assert len({box.x for box in drawing.boxes if box.step_id != "all"}) > 3


def test_an_empty_definition_is_an_empty_picture() -> None:
    assert draw([]) == Drawing(width=0, height=0)


def test_a_path_is_drawn_with_its_arrow() -> None:
    (line,) = draw([Part(step_id="a"), Part(step_id="b", depends_on=("a",))]).lines

    assert line.path == "M184 33 H224 m-6 -4 l6 4 l-6 4"


@st.composite
def trees(made: st.DrawFn) -> list[Part]:
    """Any workflow: each step in any earlier container, waiting for any earlier steps."""
    parts: list[Part] = []
    for number in range(made(st.integers(1, 25))):
        earlier = [part.step_id for part in parts]
        parents = [None, *[step for step in earlier if step.startswith("box")]]
        name = f"{made(st.sampled_from(['step', 'box']))}{number}"
        waits = made(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        parts.append(Part(step_id=name, parent=made(st.sampled_from(parents)), depends_on=tuple(waits)))
    return parts


@given(trees())
@settings(max_examples=80)
def test_nothing_overlaps_that_is_not_inside(parts: list[Part]) -> None:
    drawing = draw(parts)

    boxes = _boxes(drawing)
    parents = {part.step_id: part.parent for part in parts}
    assert set(boxes) == set(parents)
    for a, b in combinations(parts, 2):
        if a.parent == b.parent:
            assert not _overlap(boxes[a.step_id], boxes[b.step_id])
    for part in parts:
        if part.parent:
            assert _holds(boxes[part.parent], boxes[part.step_id])
    for line in drawing.lines:
        assert boxes[line.start].x + boxes[line.start].width < boxes[line.end].x
        assert parents[line.start] == parents[line.end]
        assert [x for x, _ in line.corners] == sorted(x for x, _ in line.corners)
    outermost = [boxes[step] for step, parent in parents.items() if parent is None]
    assert max(box.x + box.width for box in outermost) <= drawing.width + 0.01
    assert max(box.y + box.height for box in outermost) <= drawing.height + 0.01


def _after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_the_waterfall_shows_each_step_at_its_time() -> None:
    drawn, whole = bars(
        [("a", _after(0), _after(10)), ("b", _after(10), _after(40)), ("c", None, None)], NOON, _after(99)
    )

    assert whole == 40
    assert [(bar.step_id, bar.start, bar.length) for bar in drawn] == [("a", 0, 250), ("b", 250, 750)]


def test_what_goes_on_reaches_to_the_present() -> None:
    drawn, whole = bars([("a", _after(5), None)], NOON, _after(20))

    assert (whole, drawn[0].start, drawn[0].length, drawn[0].is_open) == (20, 250, 750, True)


def test_the_shortest_step_can_be_seen_and_stays_inside() -> None:
    drawn, _ = bars([("a", _after(0), _after(100)), ("b", _after(100), _after(100))], NOON, _after(100))

    assert drawn[1].length > 0
    assert drawn[1].start + drawn[1].length <= 1000


def test_a_kept_step_of_an_earlier_run_stands_at_the_beginning() -> None:
    drawn, _ = bars([("kept", _after(-100), _after(-90)), ("b", _after(0), _after(10))], NOON, _after(10))

    assert drawn[0].start == 0
