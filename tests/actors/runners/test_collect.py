"""Files an agent leaves are kept if they are plain files of the workspace, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.runners import collect
from actors.runners.collect import read_inside
from app.errors import Cancelled, TemporaryError
from tests.doubles import RecordingContext


@pytest.fixture
def artifacts(context: RecordingContext) -> Path:
    folder = context.workspace / "artifacts"
    folder.mkdir()
    return folder


def test_nothing_is_kept_without_the_folder(context: RecordingContext) -> None:
    assert collect.collect(context) == 0
    assert context.logs == []


def test_plain_files_are_kept_by_their_path(context: RecordingContext, artifacts: Path) -> None:
    (artifacts / "deep" / "er").mkdir(parents=True)
    (artifacts / "deep" / "er" / "a.txt").write_text("a")
    (artifacts / "empty").touch()

    assert collect.collect(context) == 2
    assert context.artifacts == {"deep/er/a.txt": b"a", "empty": b""}


def test_links_pipes_and_folders_from_elsewhere_are_left_alone(
    context: RecordingContext, artifacts: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("secret")
    (artifacts / "symbolic").symlink_to(secret)
    (artifacts / "hard").hardlink_to(secret)
    (artifacts / "elsewhere").symlink_to(tmp_path / "folder")
    os.mkfifo(artifacts / "pipe")

    assert collect.collect(context) == 0
    assert context.artifacts == {}
    for name in ("symbolic", "hard", "elsewhere", "pipe"):
        assert f"{name} was left out" in context.said


def test_a_folder_that_is_itself_a_link_is_not_followed(context: RecordingContext, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("secret")
    (context.workspace / "artifacts").symlink_to(tmp_path / "folder")

    assert collect.collect(context) == 0


def test_number_and_size_are_bounded(
    context: RecordingContext, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_BYTES", 10)
    (artifacts / "large").write_bytes(b"x" * 11)
    for number in range(105):
        (artifacts / f"{number}").touch()

    assert collect.collect(context) == 100
    assert "large was left out" in context.said or "Only 100 files" in context.said


def test_the_jobs_own_size_limit_leaves_a_file_out_without_failing(
    context: RecordingContext, artifacts: Path
) -> None:
    context.max_artifact_bytes = 3
    (artifacts / "large").write_text("four")
    (artifacts / "small").write_text("two")

    assert collect.collect(context) == 1
    assert "large was left out" in context.said


def test_names_that_are_no_text_become_text(context: RecordingContext, artifacts: Path) -> None:
    (artifacts / "new\nline").touch()
    os.close(os.open(os.fsencode(artifacts) + b"/\xff", os.O_CREAT, 0o600))

    collect.collect(context)

    assert sorted(context.artifacts) == ["_", "new_line"]


def test_a_failure_still_keeps_files_and_a_stop_does_not(context: RecordingContext, artifacts: Path) -> None:
    (artifacts / "a").touch()

    with pytest.raises(Cancelled), collect.collecting(context):
        raise Cancelled
    assert context.artifacts == {}
    with pytest.raises(TemporaryError), collect.collecting(context):
        raise TemporaryError
    assert list(context.artifacts) == ["a"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "a/../../secret", "link", "away/secret", "", "none", "sub"]
)
def test_nothing_outside_the_workspace_is_read(context: RecordingContext, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (context.workspace / "link").symlink_to(tmp_path / "secret")
    (context.workspace / "away").symlink_to(tmp_path)
    (context.workspace / "sub").mkdir()

    assert read_inside(context.workspace, path) is None


def test_a_file_inside_is_read(context: RecordingContext) -> None:
    (context.workspace / "sub").mkdir()
    (context.workspace / "sub" / "a").write_text("a")

    assert read_inside(context.workspace, "sub/a") == b"a"
