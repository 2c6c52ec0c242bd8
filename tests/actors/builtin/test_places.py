from __future__ import annotations

from pathlib import Path

import pytest

from actors.builtin.places import EXECUTE, READ, confined, project_of
from app.errors import PermanentError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "examples"
    (root / "repo" / "src").mkdir(parents=True)
    (root / "repo" / "pyproject.toml").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.py").touch()
    return root


@pytest.mark.parametrize("raw", ["repo", "examples/repo", "./repo", "repo/../repo", "{root}/repo"])
def test_a_path_is_found_by_name_by_root_name_and_absolutely(root: Path, raw: str) -> None:
    found = confined(raw.format(root=root), [root], parameter="p", setting=READ)

    assert found == root / "repo"


@pytest.mark.parametrize(
    "raw",
    [
        "../outside",
        "repo/../../outside/secret.py",
        "/etc/passwd",
        "/nowhere",
        "{root}/../outside",
        "~root",
        "a\0b",
        "a\nb",
        " ",
        "x" * 5000,
    ],
)
def test_a_path_outside_is_refused_as_the_submitters_error(root: Path, raw: str) -> None:
    with pytest.raises(PermanentError) as refused:
        confined(raw.format(root=root), [root], parameter="target_path", setting=READ)

    assert refused.value.user_error
    assert refused.value.details == {"field": "/parameters/target_path"}


def test_outside_and_missing_outside_are_told_alike_and_name_the_way_out(root: Path) -> None:
    def told(raw: str) -> str:
        with pytest.raises(PermanentError) as refused:
            confined(raw, [root], parameter="p", setting=EXECUTE)
        return refused.value.message.replace(raw, "RAW")

    assert told("/etc/passwd") == told("/etc/no-such-file")
    assert "EXECUTE_ROOTS" in told("/etc/passwd")


def test_a_link_that_leads_out_is_outside(root: Path) -> None:
    (root / "way-out").symlink_to(root.parent / "outside")

    with pytest.raises(PermanentError, match="outside the folders"):
        confined("way-out/secret.py", [root], parameter="p", setting=READ)


def test_a_loop_of_links_is_refused(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")

    with pytest.raises(PermanentError):
        confined("loop", [root], parameter="p", setting=READ)


def test_a_folder_whose_name_begins_like_the_roots_is_outside(root: Path) -> None:
    (root.parent / "examples-private").mkdir()

    with pytest.raises(PermanentError, match="outside the folders"):
        confined(str(root.parent / "examples-private"), [root], parameter="p", setting=READ)


def test_the_project_is_the_nearest_marked_folder_within_the_root(root: Path) -> None:
    assert project_of(root / "repo" / "src", [root]) == root / "repo"
    assert project_of(root / "repo" / "src", [root / "repo" / "src"]) == root / "repo" / "src"
