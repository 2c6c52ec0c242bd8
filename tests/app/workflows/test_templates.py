"""Templates: versions, owners, what comes with the product, and the five of the library against the real catalogue."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.accounts import users
from app.agents import params, registry
from app.db import db
from app.errors import Conflict, Invalid, NotFound
from app.ops import seed
from app.settings import ROOT
from app.workflows import check, definition, plan, source, templates

LIBRARY = sorted(seed.LIBRARY.glob("*.yaml"))
EXAMPLES = sorted((ROOT / "examples" / "workflows").iterdir())
TEXT = """\
name: Echo twice
description: Says it, and says it again.
steps:
  - {id: first, agent_id: test-echo, parameters: {text: one}}
  - {id: second, agent_id: test-echo, parameters: {text: "{{steps.first.output.text}}"}}
"""


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


def saved(name: str = "echo-twice", text: str = TEXT, by: str | None = "ada", **more: Any) -> dict[str, Any]:
    return templates.save(name, text=text, by=by, **more)


def changed(text: str = TEXT) -> str:
    return text.replace("text: one", "text: two")


class TestSaving:
    def test_what_is_saved_is_what_comes_back(self) -> None:
        kept = saved(title="Echo", note="The first")

        assert (kept["name"], kept["title"], kept["description"]) == (
            "echo-twice",
            "Echo",
            "Says it, and says it again.",
        )
        assert (kept["owner"], kept["visibility"], kept["version"], kept["note"]) == (
            "ada",
            "private",
            1,
            "The first",
        )
        assert kept["source"] == TEXT
        assert definition.read(kept["definition"]) == definition.read(source.parse(TEXT)[0])
        assert templates.definition("echo-twice").steps[1].step_id == "second"

    def test_the_same_again_is_no_new_version_and_another_text_is(self) -> None:
        assert [saved()["version"], saved()["version"], saved(text=changed())["version"]] == [1, 1, 2]
        assert [saved(text=changed() + "# a word\n")["version"], saved()["version"]] == [3, 4]

        listed = templates.versions("echo-twice")
        assert [(row["version"], row["current"]) for row in listed] == [
            (4, True),
            (3, False),
            (2, False),
            (1, False),
        ]
        assert [(row["added"], row["removed"]) for row in listed] == [(1, 2), (1, 0), (1, 1), (None, None)]
        assert templates.get("echo-twice", 2)["source"] == changed()

    def test_json_is_taken_as_it_is(self) -> None:
        kept = templates.save("echo-json", raw=source.parse(TEXT)[0], by="ada")

        assert json.loads(kept["source"]) == source.parse(TEXT)[0]
        assert kept["title"] == "Echo twice"

    def test_title_and_visibility_stay_unless_told_and_make_no_version(self) -> None:
        saved(title="Echo", visibility="shared")

        assert saved(text=changed())["title"] == "Echo"
        again = saved(text=changed(), title="Echoes", visibility="private")
        assert (again["title"], again["visibility"], again["version"]) == ("Echoes", "private", 2)

    @pytest.mark.parametrize("name", ["", "Echo", "-echo", "echo twice", "e" * 101, "é"])
    def test_names_that_cannot_be(self, name: str) -> None:
        with pytest.raises(Invalid) as refused:
            saved(name)
        assert refused.value.fields[0][0] == "/name"

    def test_what_would_not_run_is_refused_with_its_place(self) -> None:
        with pytest.raises(Invalid) as refused:
            saved(text=TEXT.replace("agent_id: test-echo, parameters: {text: one}", "agent_id: test-ecko"))
        assert [pointer for pointer, _ in refused.value.fields] == ["/steps/0/agent_id"]
        assert "test-echo" in refused.value.message
        with pytest.raises(NotFound):
            templates.get("echo-twice")

    def test_a_name_of_somebody_else_is_taken(self) -> None:
        saved()

        with pytest.raises(Conflict):
            saved(text=changed(), by="bob", over_others=False)
        assert saved(text=changed(), by="an-admin")["owner"] == "ada"

    def test_two_at_once_become_two_versions(self, quick: Engine) -> None:
        saved()
        texts = [TEXT.replace("text: one", f"text: n{n}") for n in range(6)]
        gate = threading.Barrier(len(texts))

        def save(text: str) -> None:
            gate.wait()
            with db.transaction():
                saved(text=text)

        threads = [threading.Thread(target=save, args=[text]) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        listed = templates.versions("echo-twice")
        assert [row["version"] for row in listed] == [7, 6, 5, 4, 3, 2, 1]
        assert {templates.get("echo-twice", n)["source"] for n in range(2, 8)} == set(texts)
        assert templates.get("echo-twice")["version"] == 7


class TestLooking:
    def test_private_ones_are_for_their_owner_and_admins(self) -> None:
        saved("mine")
        saved("ours", visibility="shared")
        saved("shipped", by=None, visibility="shared")

        def seen(viewer: str, is_admin: bool = False) -> list[str]:
            return [row["name"] for row in templates.page(viewer, is_admin)]

        assert seen("ada") == ["mine", "ours", "shipped"] == seen("somebody", is_admin=True)
        assert seen("bob") == ["ours", "shipped"]
        assert (templates.count("ada", is_admin=False), templates.count("bob", is_admin=False)) == (3, 2)
        for name in ("mine", "ours", "shipped"):
            for viewer, is_admin in (("ada", False), ("bob", False), ("bob", True)):
                there = templates.is_visible(templates.owner_of(name), viewer, is_admin)
                assert there == (name in seen(viewer, is_admin))

    def test_pages_and_words(self) -> None:
        for name in ("a-1", "b_2".replace("_", "-"), "c-100"):
            saved(name, title=f"{name} is 100%")
        assert [row["name"] for row in templates.page("ada", is_admin=False, limit=1, offset=1)] == ["b-2"]
        assert [row["name"] for row in templates.page("ada", is_admin=False, q="C-1")] == ["c-100"]
        assert templates.count("ada", is_admin=False, q="100%") == 3
        assert templates.count("ada", is_admin=False, q="_") == 0

    @pytest.mark.parametrize(
        "look", [templates.get, templates.versions, templates.owner_of, templates.archive]
    )
    def test_what_is_not_there(self, look: Any) -> None:
        with pytest.raises(NotFound, match="nothing"):
            look("nothing")

    def test_a_version_that_is_not_there(self) -> None:
        saved()
        with pytest.raises(NotFound, match="version 9"):
            templates.get("echo-twice", 9)


class TestLife:
    def test_an_old_version_comes_back_as_a_new_one(self) -> None:
        saved()
        saved(text=changed())
        back = templates.restore("echo-twice", 1, by="bob")

        assert (back["version"], back["source"], back["created_by"]) == (3, TEXT, "bob")
        assert "1" in back["note"]
        assert templates.restore("echo-twice", 3, by="bob")["version"] == 3
        with pytest.raises(NotFound):
            templates.restore("echo-twice", 9, by="bob")

    def test_an_archived_one_is_gone_until_it_is_saved_or_restored(self) -> None:
        saved()
        templates.archive("echo-twice")

        assert templates.page("ada", is_admin=True) == []
        assert templates.knowledge().template("echo-twice", None) is None
        with pytest.raises(NotFound):
            templates.get("echo-twice")
        assert templates.get("echo-twice", archived=True)["archived_at"] is not None
        assert templates.restore("echo-twice", 1, by="ada")["version"] == 1
        templates.archive("echo-twice")
        assert saved(text=changed())["version"] == 2


class TestKnowledge:
    def test_agents_are_those_of_the_registry_by_any_name(self) -> None:
        known = templates.knowledge()

        assert known.schema("Test_Echo") == registry.get("test-echo").schema
        assert known.schema("nobody") is None
        assert "test-echo" in known.agent_ids()

    def test_private_templates_of_others_are_not_known(self) -> None:
        admin = str(users.create("root@example.org", None, role="admin")["user_id"])
        bob = str(users.create("bob@example.org", None, role="user")["user_id"])
        saved("mine")
        saved("ours", visibility="shared")

        def known(name: str, by: str | None) -> bool:
            return templates.knowledge(by).template(name, None) is not None

        assert [known("mine", by) for by in (None, "ada", admin, bob)] == [True, True, True, False]
        assert known("ours", bob)
        assert templates.knowledge().template("ours", 2) is None


class TestLibrary:
    def test_each_is_sound_by_the_real_catalogue_and_its_examples_fit(self) -> None:
        seed.agents()
        registry.forget()
        for path in (*LIBRARY, *EXAMPLES):
            made = definition.read(source.parse(path.read_text())[0])
            assert check.check(made, templates.knowledge()) == [], path.name
            if path in LIBRARY:
                self._fits(made)

    def _fits(self, made: definition.Definition) -> None:
        """Each of its examples is what it takes, and shows a plan."""
        assert made.inputs is not None
        assert made.inputs["examples"]

        for example in made.inputs["examples"]:
            filled = params.check(made.inputs, example)
            drawn = plan.dry_run(made, filled, templates.knowledge())
            still_open = [text for wave in drawn["waves"] for step in wave for text in step["open"]]
            assert all(text.startswith("{{steps.") for text in still_open)
            assert drawn["total_steps"] == plan.total(made)
        for name, rule in made.inputs["properties"].items():
            assert rule["title"], name
            assert name in made.inputs.get("required", []) or "default" in rule

    def test_there_are_the_five(self) -> None:
        assert [path.stem for path in LIBRARY] == [
            "blog-publish", "marketing-campaign", "test-suite", "user-story-batch", "weekly-analytics-report",
        ]  # fmt: skip

    def test_the_reference_workflow_is_the_same_in_both_languages(self) -> None:
        one, other = (
            source.parse((ROOT / "examples" / "workflows" / f"product-launch.{kind}").read_text())[0]
            for kind in ("json", "yaml")
        )
        assert one == other
        assert one["workflow_id"] == "marketing_campaign_001"


class TestShipping:
    def test_all_five_are_there_once(self) -> None:
        assert seed.workflow_templates() == [path.stem for path in LIBRARY]
        assert seed.workflow_templates() == []
        rows = templates.page("anybody", is_admin=False)
        assert [(row["owner"], row["visibility"], row["current_version"]) for row in rows] == [
            (None, "shared", 1)
        ] * 5

    def ship(self, tmp_path: Path, text: str) -> list[str]:
        (tmp_path / "echo.yaml").write_text(text)
        return seed.workflow_templates(tmp_path)

    def test_a_changed_one_becomes_a_new_version(self, tmp_path: Path) -> None:
        self.ship(tmp_path, TEXT)
        assert self.ship(tmp_path, changed(TEXT.replace("Echo twice", "Echo 2"))) == ["echo"]

        now = templates.get("echo")
        assert (now["version"], now["title"], now["created_by"], now["visibility"]) == (
            2,
            "Echo 2",
            None,
            "shared",
        )

    def test_what_somebody_saved_over_it_stays(self, tmp_path: Path) -> None:
        self.ship(tmp_path, TEXT)
        saved("echo", changed(), by="an-admin")
        newer = TEXT.replace("text: one", "text: newer")

        assert self.ship(tmp_path, newer) == []
        assert templates.get("echo")["source"] == changed()
        templates.restore("echo", 1, by="an-admin")
        assert self.ship(tmp_path, newer) == ["echo"]
        assert templates.get("echo")["source"] == newer

    def test_what_somebody_archived_or_owns_stays(self, tmp_path: Path) -> None:
        self.ship(tmp_path, TEXT)
        templates.archive("echo")
        assert self.ship(tmp_path, changed()) == []
        with pytest.raises(NotFound):
            templates.get("echo")

        saved("own")
        (tmp_path / "own.yaml").write_text(changed())
        assert seed.workflow_templates(tmp_path) == []
        assert templates.get("own")["owner"] == "ada"
