"""The seed: agents of the catalogue and of folders; what is broken is told and stops nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.agents import importing, registry
from app.agents.folders import File
from app.db import db
from app.ops import seed
from tests.app.agents import collections

GOOD = "---\nname: {0}\ndescription: The {0}.\n---\nYou are the {0}.\n"


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of three, for tests of what folders and imports do beside it."""
    small = tmp_path / "catalogue"
    small.mkdir()
    for name in ("analyst", "copywriter", "editor"):
        shutil.copy(seed.CATALOG / f"{name}.md", small)
    monkeypatch.setattr(seed, "CATALOG", small)


def _folder(place: Path, **files: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / f"{name}.md").write_text(text)
    return place


def _imported(text: str, path: str = "analyst.md") -> None:
    made = importing.plan([File(path=path, text=text)], importing.known())
    importing.apply(made, source="import", by="somebody")


def _agent(agent_id: str) -> registry.AgentRecord:
    registry.forget()
    return registry.get(agent_id)


def test_the_catalogue_is_whole_and_doing_it_again_changes_nothing() -> None:
    assert seed.agents() == []
    count = db.value("SELECT count(*) FROM agent_versions")
    assert {path.stem for path in seed.CATALOG.glob("*.md")} <= {
        agent.agent_id for agent in registry.all_agents()
    }
    assert seed.agents() == []
    assert db.value("SELECT count(*) FROM agent_versions") == count


def test_no_file_of_the_catalogue_needs_a_word() -> None:
    from app.agents import folders

    made = importing.plan(folders.read(seed.CATALOG), {})
    assert [
        (item.path, item.errors, item.warnings) for item in made.items if item.errors or item.warnings
    ] == []


@pytest.mark.usefixtures("few")
def test_a_broken_file_stops_nothing_and_is_told_and_kept(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "agents", good=GOOD.format("good"), bad="---\nname: [\n---\n")
    (line,) = seed.agents((folder,))
    assert line.startswith(f"Not installed: {folder}/bad.md:")
    assert _agent("good").source == str(folder)
    (problem,) = importing.problems()
    assert (problem["path"], problem["agent_id"], problem["source"]) == (
        f"{folder}/bad.md",
        "bad",
        str(folder),
    )

    (folder / "bad.md").write_text(GOOD.format("bad"))
    assert seed.agents((folder,)) == []
    assert importing.problems() == []


@pytest.mark.usefixtures("few")
def test_a_file_that_became_broken_leaves_its_agent_as_it_was(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "agents", one=GOOD.format("one"))
    seed.agents((folder,))
    before = _agent("one").version
    (folder / "one.md").write_text("no front matter")
    assert len(seed.agents((folder,))) == 1
    assert _agent("one").version == before


@pytest.mark.usefixtures("few")
def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (line,) = seed.agents((tmp_path / "nowhere",))
    assert "is no folder" in line


@pytest.mark.usefixtures("few")
def test_a_folder_replaces_the_catalogues_agent_once_and_for_all(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "agents", analyst=GOOD.format("analyst"))
    seed.agents((folder,))
    assert _agent("analyst").source == str(folder)
    count = db.value("SELECT count(*) FROM agent_versions WHERE agent_id = 'analyst'")
    seed.agents((folder,))
    assert db.value("SELECT count(*) FROM agent_versions WHERE agent_id = 'analyst'") == count
    seed.agents()
    assert _agent("analyst").source == "catalog"


@pytest.mark.usefixtures("few")
def test_what_somebody_imported_stays_and_the_folder_says_so(tmp_path: Path) -> None:
    seed.agents()
    _imported(GOOD.format("analyst"))
    assert seed.agents() == []
    assert _agent("analyst").source == "import"

    (line,) = seed.agents((_folder(tmp_path / "agents", analyst=GOOD.format("another")),))
    assert "somebody imported another analyst" in line
    assert "You are the analyst." in _agent("analyst").instructions


@pytest.mark.usefixtures("few")
def test_nested_roots_and_sidecars_of_a_folder_count(tmp_path: Path) -> None:
    assert seed.agents((collections.repository(tmp_path / "store"),)) == []
    assert (_agent("seller").team, _agent("seller").max_concurrent_tasks) == ("SHOP", 2)
