"""JSON for reading: exact, bounded, and drawn by what it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.dashboard import job_tree


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**64 - 1, 10**40, 0.1, 1e-9, True, None], ids=str)
def test_numbers_are_what_they_were(number: object) -> None:
    assert job_tree.tree(number).text == job_tree.exact(number)
    assert job_tree.exact(10**40) == "1" + "0" * 40


def test_times_are_as_the_api_writes_them() -> None:
    assert job_tree.exact(datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)) == '"2026-11-22T01:02:03.000Z"'


def test_a_tree_is_bounded_in_width_depth_and_whole() -> None:
    wide = job_tree.tree({"rows": list(range(1000))}).children[0]
    assert (len(wide.children), wide.left_out) == (job_tree.MOST_CHILDREN, 800)

    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    node, depth = job_tree.tree(deep), 0
    while node.children:
        node, depth = node.children[0], depth + 1
    assert depth == job_tree.DEEPEST
    assert node.left_out == 1

    def count(node: job_tree.Node) -> int:
        return 1 + sum(count(child) for child in node.children)

    assert count(job_tree.tree([[[0] * 50] * 50] * 50)) <= job_tree.MOST_NODES + 1


def test_long_texts_are_cut() -> None:
    assert len(job_tree.tree("x" * 10_000).text) == job_tree.LONGEST_TEXT + 1


def test_lists_of_flat_objects_are_tables_and_others_are_not() -> None:
    found = job_tree.tables(
        {"rows": [{"a": 1}, {"b": "x", "a": None}], "deep": [{"a": []}], "none": [], "n": [1]}
    )

    assert [(table.name, table.columns, table.rows) for table in found] == [
        ("rows", ["a", "b"], [["1", ""], ["", "x"]])
    ]
    assert job_tree.tables({"rows": [{f"c{n}": n for n in range(13)}]}) == []
    (long,) = job_tree.tables([{"n": n} for n in range(500)])
    assert (len(long.rows), long.left_out) == (job_tree.MOST_ROWS, 300)


def test_a_diff_is_known_by_its_form() -> None:
    patch = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n"

    assert job_tree.diffs({"patch": patch, "text": "--- only a line", "n": 1}) == [("patch", patch)]
    assert job_tree.diffs([patch]) == []
    assert not job_tree.is_diff(patch + " " * job_tree.LARGEST_DIFF)
