"""Finding definitions: which files count, whose team they are, and what may not come in."""

from __future__ import annotations

import os
import stat
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from app.agents import folders
from app.agents.folders import definitions, team_of
from app.errors import Invalid
from tests.app.agents import collections


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["b.md", "a.md", "notes.txt", "README.md", "AGENTS.md"], ["a.md", "b.md"]),
        (["x/.claude/agents/a.md", "x/.claude/agents/deep/b.md", "c.md", "x/.claude/commands/d.md"],
         ["x/.claude/agents/a.md", "x/.claude/agents/deep/b.md"]),
        ([".claude/agents/a.md", "README.md"], [".claude/agents/a.md"]),
        (["all/one/a.md", "all/two/b.md", "all/two/deep/c.md", "README.md"], ["all/one/a.md", "all/two/b.md"]),
        (["node_modules/p/.claude/agents/a.md", "__MACOSX/._a.md", "._a.md", "a.MD"], ["a.MD"]),
        (["security.md", "SECURITY.md", "readme.md", "md", ".md"], ["security.md"]),
        ([], []),
    ],
)  # fmt: skip
def test_the_files_that_define_agents(paths: list[str], chosen: list[str]) -> None:
    assert definitions(paths) == chosen


@pytest.mark.parametrize(
    ("path", "team"),
    [
        ("MARKETING_TEAM/.claude/agents/x.md", "MARKETING_TEAM"),
        ("repo/packages/shop/.claude/agents/deep/x.md", "SHOP"),
        (".claude/agents/x.md", None),
        ("x.md", None),
        ("my best-agents/x.md", "MY_BEST_AGENTS"),
        ("plugin/agents/x.md", "PLUGIN"),
        ("agents/x.md", "AGENTS"),
        ("/home/me/repo/.claude/agents/x.md", "REPO"),
        (f"{'x' * 80}/a.md", "X" * 50),
        ("日本/x.md", None),
    ],
)
def test_the_team_is_told_by_the_path(path: str, team: str | None) -> None:
    assert team_of(path) == team


def test_a_repository_is_read_with_its_nested_roots_and_sidecar(tmp_path: Path) -> None:
    root = collections.repository(tmp_path / "store")
    read = {Path(file.path).relative_to(root.resolve()).as_posix() for file in folders.read(root)}
    assert read == {
        "callboard.yaml", ".claude/agents/reviewer.md", ".claude/agents/planner.md",
        "packages/shop/.claude/agents/seller.md",
    }  # fmt: skip


def test_sidecars_above_the_folder_count_as_far_as_they_can_be_meant(tmp_path: Path) -> None:
    root = collections.repository(tmp_path / "home" / "work" / "store")
    for above in (tmp_path, tmp_path / "home", tmp_path / "home" / "work"):
        (above / "callboard.yaml").write_text("defaults: {pool: testing}")

    def sidecars(folder: Path) -> list[str]:
        found = [path for path in folders.files_of(folder) if path.name == "callboard.yaml"]
        return [path.parent.name for path in found]

    assert sidecars(root / ".claude" / "agents") == ["work", "store"]
    assert sidecars(root) == ["work", "store"]
    assert sidecars(root.parent) == ["home", "work", "store"]


def test_where_the_folder_itself_lies_is_of_no_matter(tmp_path: Path) -> None:
    place = collections.flat(tmp_path / "venv" / "site-packages" / "pack", 2)
    (place / "node_modules").mkdir()
    (place / "node_modules" / "x.md").write_text("---\n---\n")
    assert [path.name for path in folders.files_of(place)] == ["worker-0.md", "worker-1.md"]


def test_a_single_file_is_its_own_folder(tmp_path: Path) -> None:
    root = collections.repository(tmp_path / "store")
    (one,) = [file for file in folders.read(root / ".claude/agents/planner.md") if not file.is_sidecar]
    assert "Plan." in one.text


def test_a_link_that_leads_out_is_not_followed_and_one_inside_is(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("---\ndescription: secret\n---\n")
    place = tmp_path / "agents"
    place.mkdir()
    (place / "real.md").write_text("---\ndescription: d\n---\n")
    (place / "inside.md").symlink_to("real.md")
    (place / "outside.md").symlink_to("../secret.md")
    (place / "dangling.md").symlink_to("nowhere.md")
    (place / "loop").symlink_to(".")
    read = {file.path.rpartition("/")[2]: file for file in folders.read(place)}
    assert set(read) == {"real.md", "inside.md", "outside.md", "dangling.md"}
    assert "leads out" in (read["outside.md"].problem or "")
    assert read["outside.md"].text == ""
    assert read["inside.md"].problem is None
    assert read["dangling.md"].problem


def test_what_is_no_text_no_file_or_too_large_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes("---\ndescription: Grüße\n---\n".encode("latin-1"))
    (tmp_path / "wide.md").write_bytes("---\ndescription: Grüße\n---\n".encode("utf-16"))
    (tmp_path / "huge.md").write_bytes(b"x" * (folders.LARGEST_BYTES + 1))
    os.mkfifo(tmp_path / "pipe.md")
    read = {file.path.rpartition("/")[2]: file for file in folders.read(tmp_path)}
    assert "not UTF-8" in (read["latin.md"].problem or "")
    assert "Grüße" in read["wide.md"].text
    assert "larger than" in (read["huge.md"].problem or "")
    assert "no plain file" in (read["pipe.md"].problem or "")


def test_a_folder_that_is_not_there_or_has_far_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="no folder"):
        folders.read(tmp_path / "nowhere")
    collections.flat(tmp_path / "flat", 5, "")
    monkeypatch.setattr(folders, "MOST_FILES", 4)
    with pytest.raises(Invalid, match="at most 4"):
        folders.read(tmp_path / "flat")


def test_a_zip_of_a_repository_brings_what_the_folder_brings(tmp_path: Path) -> None:
    root = collections.repository(tmp_path / "store")
    files = folders.unpacked("store.zip", collections.zipped_folder(root))
    assert sorted(file.path for file in files) == [
        "store-main/.claude/agents/planner.md", "store-main/.claude/agents/reviewer.md", "store-main/callboard.yaml",
        "store-main/packages/shop/.claude/agents/seller.md",
    ]  # fmt: skip


def _linked() -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo("link.md")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (collections.zipped({"../../evil.md": "---\n"}), "leads out"),
        (collections.zipped({"/etc/evil.md": "---\n"}), "leads out"),
        (collections.zipped({"a\\..\\..\\evil.md": "---\n"}), "leads out"),
        (collections.zipped({"C:/evil.md": "---\n"}), "leads out"),
        (_linked(), "link"),
        (collections.zipped({"bomb.md": b"\0" * 30_000_000}), "larger than"),
    ],
)
def test_an_entry_that_should_not_be_is_told_and_not_read(data: bytes, words: str) -> None:
    (file,) = folders.unpacked("odd.zip", data)
    assert words in (file.problem or "")
    assert (file.text, ".." in file.path, file.path.startswith("/")) == ("", False, False)


def test_an_entry_that_was_spoiled_is_told() -> None:
    data = bytearray(collections.zipped({"a.md": "---\ndescription: " + "long " * 50 + "\n---\n"}))
    data[45] ^= 0xFF
    (file,) = folders.unpacked("spoiled.zip", bytes(data))
    assert "cannot be unpacked" in (file.problem or "")


def test_an_archive_that_grows_beyond_all_limits_is_refused() -> None:
    many = {f"a{n}.md": "x" * 1_900_000 for n in range(40)}
    with pytest.raises(Invalid, match="unpacks to more"):
        folders.unpacked("bomb.zip", collections.zipped(many))
    with pytest.raises(Invalid, match="at most"):
        folders.unpacked(
            "many.zip", collections.zipped({f"a{n}.md": "" for n in range(folders.MOST_FILES + 1)})
        )
    with pytest.raises(Invalid, match="no zip archive"):
        folders.received("x.zip", b"PK but nothing else")


@pytest.mark.parametrize(
    "path", ["", "../x.md", "a/../../x.md", "/etc/x.md", "C:\\x.md", "a\nb.md", "x" * 600]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        folders.demand_path(path)


def test_a_path_of_windows_is_written_with_slashes() -> None:
    assert folders.demand_path(".\\team\\x.md".removeprefix(".\\")) == "team/x.md"
