from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import db
from app.errors import Invalid, NotFound
from app.quality import gates
from app.quality.definition import Gate


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


def raw(least: int = 100, **keys: Any) -> dict[str, Any]:
    return {"title": "Mine", "checks": [{"check": "length", "min_words": least}]} | keys


def listed() -> list[str]:
    return [row["name"] for row in gates.page()]


def test_what_is_saved_is_what_comes_back() -> None:
    kept = gates.save("mine", raw(), by="ada", note="The first")
    assert (
        kept["name"],
        kept["version"],
        kept["current_version"],
        kept["title"],
        kept["note"],
        kept["created_by"],
    ) == (
        "mine",
        1,
        1,
        "Mine",
        "The first",
        "ada",
    )
    assert kept["definition"] == raw()
    made = gates.gate("mine")
    assert (made.name, made.version, made.checks) == ("mine", 1, Gate.read(raw()).checks)


def test_only_a_change_is_a_new_version_and_the_newest_holds() -> None:
    for definition in (raw(), raw(), raw(200), raw(200) | {"threshold": 7.0}):
        gates.save("mine", definition, by="ada")
    assert [(row["version"], row["current"]) for row in gates.versions("mine")] == [(2, True), (1, False)]
    assert gates.named("mine")["definition"] == raw(200)
    assert gates.named("mine", 1)["definition"] == raw()
    assert gates.gate("mine", 1).checks[0].min_words == 100  # type: ignore[attr-defined]
    assert gates.named("mine", 1)["current_version"] == 2


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(NotFound, match="no gate 'mine'"):
        gates.named("mine")
    gates.save("mine", raw(), by="ada")
    with pytest.raises(NotFound, match="'mine' has no version 7"):
        gates.named("mine", 7)
    for missing in (gates.versions, gates.archive):
        with pytest.raises(NotFound):
            missing("other")


@pytest.mark.parametrize("name", ["", "Mine", "my gate", "-x", "a" * 101, "ä", "x\n"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="the name of a gate"):
        gates.save(name, raw(), by="ada")


def test_mistakes_are_told_and_nothing_is_kept() -> None:
    with pytest.raises(Invalid) as refused:
        gates.save("mine", {"checks": [{"check": "lenght"}]}, by="ada")
    assert refused.value.fields[0][0] == "/checks/0/check"
    with pytest.raises(Invalid):
        gates.save("mine", raw(), by="ada", note="")
    assert listed() == []


def test_an_archived_gate_is_not_listed_but_holds_for_those_that_name_it() -> None:
    gates.save("mine", raw(), by="ada")
    gates.archive("mine")
    assert (listed(), gates.count(), gates.names()) == ([], 0, set())
    with pytest.raises(NotFound):
        gates.named("mine")
    with pytest.raises(NotFound):
        gates.archive("mine")
    assert gates.named("mine", archived=True)["archived_at"] is not None
    assert gates.gate("mine").version == 1

    assert gates.save("mine", raw(), by="ada")["version"] == 1
    assert listed() == ["mine"]


def test_lists_by_name_with_search() -> None:
    for name in ("zebra", "ant", "bee_1".replace("_", "-")):
        gates.save(name, raw(title=f"The {name}%"), by="ada")
    assert listed() == ["ant", "bee-1", "zebra"]
    assert [row["name"] for row in gates.page(limit=1, offset=1)] == ["bee-1"]
    assert [row["name"] for row in gates.page(q="THE Z")] == ["zebra"]
    assert gates.count(q="ant") == 1
    assert gates.count(q="%") == 3
    assert gates.count(q="_") == 0
    assert gates.names() == {"ant", "bee-1", "zebra"}


def test_a_gate_of_an_agent_is_read_as_it_stands() -> None:
    made = gates.gate(raw(7))
    assert (made.name, made.version) == (None, None)
    with pytest.raises(Invalid):
        gates.gate({"checks": []})


def test_two_who_save_at_once_make_two_versions() -> None:
    gates.save("mine", raw(), by="ada")

    def save(least: int) -> None:
        with db.transaction():
            gates.save("mine", raw(least), by="ada")

    both = [threading.Thread(target=save, args=(least,)) for least in (200, 300)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [row["version"] for row in gates.versions("mine")] == [3, 2, 1]


class TestLibrary:
    def test_every_gate_is_installed_once(self) -> None:
        names = sorted(path.stem for path in gates.LIBRARY.glob("*.yaml"))
        assert gates.seed_builtin() == names
        assert {
            "blog-post",
            "blog-post-reviewed",
            "short-answer",
            "structured-output",
            "release-notes",
        } <= set(names)
        assert gates.seed_builtin() == []
        assert listed() == names
        assert all(row["created_by"] is None for row in gates.page())

    def test_what_they_say_of_posts_that_do_not_pass(self) -> None:
        gates.seed_builtin()
        plain, reviewed = gates.gate("blog-post"), gates.gate("blog-post-reviewed")
        assert (plain.threshold, plain.refinements, plain.otherwise) == (7.0, 3, "rejected")
        assert (reviewed.otherwise, reviewed.checks) == ("needs_review", plain.checks)

    def test_a_new_release_renews_what_nobody_changed(self, tmp_path: Path) -> None:
        def ship(least: int) -> list[str]:
            for name in ("ours", "theirs", "gone"):
                (tmp_path / f"{name}.yaml").write_text(f"checks: [{{check: length, min_words: {least}}}]")
            return gates.seed_builtin(tmp_path)

        assert ship(1) == ["gone", "ours", "theirs"]
        gates.save("theirs", raw(), by="ada")
        gates.archive("gone")
        assert ship(2) == ["ours"]
        assert [gates.gate(name).checks[0].min_words for name in ("ours", "theirs", "gone")] == [2, 100, 1]  # type: ignore[attr-defined]

    def test_a_file_that_is_no_yaml_is_told_with_its_line(self) -> None:
        with pytest.raises(Invalid, match="line 2: not YAML"):
            gates.read_yaml("checks:\n  - {check: [length}\n")
