"""Gates: the list, one of them, its versions, the editor, and a try on a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup

from app.dashboard.gates import as_yaml
from app.quality import gates as _gates
from app.quality.definition import KINDS
from app.workflows import source
from tests.app.dashboard.aside import Aside, agent, db
from tests.app.dashboard.visiting import Visitor, words

gates = Aside(_gates)
GATE = {
    "title": "House <style>",
    "threshold": 6.5,
    "checks": [
        {"check": "length", "mode": "blocking", "min_words": 50},
        {"check": "regex", "must_not": ["TODO"]},
    ],
}
GOOD = """# Bees

A hive in spring wakes slowly, because the queen lays few eggs while nights are cold. Workers clean the frames, carry
out the dead, and look for the first willow pollen.

By June everything hurries. Foragers fly three kilometres for lime blossom, and the keeper adds a second box before the
colony thinks of leaving. Weigh it weekly: two kilograms more each day means a good summer.
"""


@pytest.fixture(autouse=True)
def _no_gates(clean: None) -> Iterator[None]:
    db.run("DELETE FROM quality_gates")
    yield
    db.run("DELETE FROM quality_gates")


def _soup(answer: Any) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def _saved(by: str | None = None, **change: Any) -> None:
    gates.save("house", GATE | change, by=by)


def test_there_are_none_yet(user: Visitor, admin: Visitor) -> None:
    assert "No gates here" in words(user.soup("/gates").select_one("main"))
    assert "Try a gate" in words(user.soup("/gates").select_one('main a[href="/gate-editor"]'))
    assert "New gate" in words(admin.soup("/gates").select_one('main a[href="/gate-editor"]'))


def test_the_list_names_who_uses_a_gate(viewer: Visitor) -> None:
    _saved()
    agent("gated-writer", gate="house")

    row = words(viewer.soup("/gates").select_one("#g-house"))

    assert row.startswith("House <style> house 2 6.5")
    assert "gated-writer" in row
    assert "No gates here" in viewer.get("/gates?q=nothing").text


def test_one_gate_with_its_checks_and_source(viewer: Visitor) -> None:
    _saved()
    agent("gated-writer", gate="house")

    soup = viewer.soup("/gates/house")

    rows = [words(row) for row in soup.select(".checks tbody tr")]
    assert rows[0].startswith("length Must pass 1 no issue The number of words")
    assert "min_words 50" in rows[0]
    assert rows[1].startswith("regex advisory")
    assert "must_not TODO" in rows[1]
    assert "6.5 of 10" in words(soup.select_one(".kv"))
    assert soup.select_one('a[href="/agents/gated-writer"]') is not None
    assert source.parse(soup.select_one("#yaml").text)[0] == GATE  # type: ignore[union-attr]
    assert "Source" in words(soup.select_one(".actions"))


def test_all_that_is_shipped_can_be_read_and_edited(admin: Visitor) -> None:
    with_names = gates.seed_builtin()

    for name in with_names:
        assert "cannot read it" not in admin.get(f"/gates/{name}").text
        form = admin.soup(f"/gate-editor?gate={name}")
        kept = form.select_one("#text").text.strip()  # type: ignore[union-attr]
        assert "Nothing is wrong with it" in admin.post("/gate-editor", {"text": kept, "verb": "check"}).text
        assert source.parse(kept)[0] == gates.named(name)["definition"]
    assert len(with_names) >= 3


def test_a_version_and_what_it_changed(admin: Visitor) -> None:
    _saved()
    _saved(threshold=7.5)

    soup = admin.soup("/gates/house/versions/2")

    assert "-threshold: 6.5" in soup.select_one(".diff").text  # type: ignore[union-attr]
    assert "+threshold: 7.5" in soup.select_one(".diff").text  # type: ignore[union-attr]
    assert "-threshold: 6.5" in admin.get("/gates/house/versions/1?against=2").text
    assert admin.soup("/gates/house/versions/1").select_one(".diff") is None


def test_an_old_version_is_restored_as_a_new_one(admin: Visitor) -> None:
    _saved(admin.user_id)
    _saved(admin.user_id, threshold=7.5)

    answer = admin.post("/gates/house/versions/1/restore", follow=True)

    assert "as version 3" in answer.text
    assert gates.named("house")["definition"]["threshold"] == 6.5


def test_archived_is_not_listed_and_comes_back(admin: Visitor) -> None:
    _saved()

    admin.post("/gates/house/archive")
    assert "No gates here" in admin.get("/gates").text
    assert "Archived" in words(admin.soup("/gates/house").select_one(".head"))

    admin.post("/gates/house/bring-back")
    assert "house" in admin.get("/gates").text


def test_a_gate_is_changed_by_admins_alone_because_its_checks_run_programs(
    admin: Visitor, user: Visitor, viewer: Visitor
) -> None:
    _saved()

    assert [who.post("/gates/house/archive").status_code for who in (viewer, user)] == [403, 403]
    assert user.post("/gates/house/versions/1/restore").status_code == 403
    assert "Source" in words(user.soup("/gates/house").select_one(".actions"))
    assert user.soup("/gate-editor").select("[value=save], #name") == []
    for name in ("house", "another"):
        kept = {"text": as_yaml(GATE | {"threshold": 2}), "name": name, "verb": "save"}
        assert [who.post("/gate-editor", kept).status_code for who in (viewer, user)] == [403, 403]
    assert [row["name"] for row in gates.page()] == ["house"]
    assert gates.named("house")["version"] == 1

    assert (
        admin.post(
            "/gate-editor", {"text": as_yaml(GATE | {"threshold": 2}), "name": "house", "verb": "save"}
        ).status_code
        == 303
    )
    assert gates.named("house")["version"] == 2


def test_a_gate_is_written_and_kept(admin: Visitor) -> None:
    form = {"text": as_yaml(GATE), "name": "mine", "note": "first", "verb": "save"}

    answer = admin.post("/gate-editor", form, follow=True)

    assert "Kept as mine, version 1." in answer.text
    kept = gates.named("mine")
    assert (kept["created_by"], kept["note"], kept["definition"]) == (admin.user_id, "first", GATE)
    assert db.value("SELECT action FROM audit_log ORDER BY at DESC LIMIT 1") == "quality_gate.saved"
    assert admin.soup("/gate-editor?gate=mine").select_one("#name")["value"] == "mine"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "line", "pointer"),
    [
        ("title: x\nchecks:\n  - check: length\n    min_wrods: 5\n", "Line 4", "/checks/0/min_wrods"),
        ("checks:\n  - check: nothing\n", "Line 2", "/checks/0/check"),
        ("threshold: 11\nchecks:\n  - check: length\n", "Line 1", "/threshold"),
        ("title: x\n", "Line 1", "/checks"),
        ("checks: [\n", "Line 2", None),
        ("- a\n- b\n", "Line 1", None),
    ],
)
@pytest.mark.parametrize("verb", ["check", "try", "save"])
def test_mistakes_stand_at_their_line_and_nothing_typed_is_lost(
    user: Visitor, verb: str, text: str, line: str, pointer: str | None
) -> None:
    answer = user.post(
        "/gate-editor", {"text": text, "name": "mine", "sample": "Kept <text>", "topic": "bees", "verb": verb}
    )
    soup = _soup(answer)

    assert answer.status_code == 422
    assert line in words(soup.select_one("#problems a[data-line]"))
    assert [code.text for code in soup.select("#problems code")][:1] == ([pointer] if pointer else [])
    assert soup.select_one("#text").text.strip() == text.strip()  # type: ignore[union-attr]
    assert soup.select_one("#sample").text.strip() == "Kept <text>"  # type: ignore[union-attr]
    assert soup.select_one("#topic")["value"] == "bees"  # type: ignore[index]
    assert soup.select_one("#text")["aria-invalid"] == "true"  # type: ignore[index]


def test_it_is_tried_on_a_text(user: Visitor) -> None:
    form = {"text": as_yaml(GATE), "sample": GOOD, "verb": "try"}

    passed = _soup(user.post("/gate-editor", form))
    failed = _soup(user.post("/gate-editor", form | {"sample": "Short. TODO"}))

    assert "Passed" in words(passed.select_one("#said header"))
    assert "Blocks" in words(failed.select_one("#said .checks tbody tr"))
    assert "✗" in words(failed.select_one("#said .feedback"))
    assert db.value("SELECT count(*) FROM quality_gates") == 0


def test_the_wishes_of_a_job_count(user: Visitor) -> None:
    form = {"text": "checks:\n  - check: length\n", "sample": GOOD, "verb": "try"}

    alone = words(_soup(user.post("/gate-editor", form | {"target_length": "67"})).select_one("#said"))
    other = words(_soup(user.post("/gate-editor", form | {"target_length": "2000"})).select_one("#said"))

    assert "✓" in alone
    assert "✗" in other


@pytest.mark.parametrize(
    ("of", "sample"),
    [
        (None, '{"content": "TODO", "other": "fine"}'),
        ("post.body", '{"post": {"body": "TODO"}}'),
        ("post.body", "TODO"),
        (None, "{TODO}"),
    ],
)
def test_a_whole_result_may_be_pasted(user: Visitor, of: str | None, sample: str) -> None:
    gate = {"checks": [{"check": "regex", "must_not": ["TODO"]}]} | ({"of": of} if of else {})

    said = _soup(user.post("/gate-editor", {"text": as_yaml(gate), "sample": sample, "verb": "try"}))

    assert "Failed 0.0" in words(said.select_one("#said .checks tbody tr"))


def test_what_needs_a_worker_does_not_run_here(user: Visitor, tmp_path: Any) -> None:
    gate = {
        "checks": [
            {"check": "length", "min_words": 2},
            {"check": "command", "argv": ["touch", str(tmp_path / "made")]},
            {"check": "http", "url": "http://127.0.0.1:9/"},
            {"check": "judge", "criteria": "Is it good?"},
        ]
    }

    said = _soup(user.post("/gate-editor", {"text": as_yaml(gate), "sample": GOOD, "verb": "try"}))

    rows = [words(row) for row in said.select("#said .checks tbody tr")]
    assert [row.split()[0] for row in rows if "Did not run" in row] == ["command", "http", "judge"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sample", "told"), [("", "Paste a text"), (" \n", "Paste a text"), ("x" * 50_001, "At most 50,000")]
)
def test_a_text_that_cannot_be_tried(user: Visitor, sample: str, told: str) -> None:
    answer = user.post("/gate-editor", {"text": as_yaml(GATE), "sample": sample, "verb": "try"})

    assert answer.status_code == 422
    assert told in words(_soup(answer).select_one("#sample-wrong"))


@pytest.mark.parametrize("name", ["", "Not a name", "x" * 101])
def test_a_name_that_cannot_be(admin: Visitor, name: str) -> None:
    answer = admin.post("/gate-editor", {"text": as_yaml(GATE), "name": name, "verb": "save"})

    assert answer.status_code == 422
    assert _soup(answer).select_one("#name-wrong") is not None


def test_every_kind_of_check_is_explained(user: Visitor) -> None:
    told = words(user.soup("/gate-editor").select_one("#kinds"))

    assert all(f"{kind}" in told for kind in KINDS)
    assert "min_words, max_words, target, tolerance" in told


@pytest.mark.parametrize(
    "path", ["/gates/nothing", "/gates/house/versions/9", "/gates/house/versions/x", "/gates/house/versions/0",
             "/gates/house/versions/1?against=7", "/gate-editor?gate=nothing", "/gate-editor?gate=house&version=9"]
)  # fmt: skip
def test_what_is_not_there(admin: Visitor, path: str) -> None:
    _saved()

    assert admin.get(path).status_code == 404
    assert admin.post("/gates/house/explode").status_code == 404


def test_a_gate_of_an_older_callboard_is_shown_as_far_as_possible(admin: Visitor) -> None:
    _saved()
    db.run("""UPDATE quality_gates SET definition = '{"checks": [{"check": "astrology"}]}'""")

    page = admin.get("/gates/house")

    assert "This Callboard cannot read it" in page.text
    assert "astrology" in page.text
    assert admin.get("/gates").status_code == 200
