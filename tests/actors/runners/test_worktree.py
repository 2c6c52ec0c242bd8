"""Where CLI agents work: an empty folder or a worktree of a copy, and what is kept of it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from actors.runners import worktree
from actors.runners.base import JSON
from app.errors import Cancelled, PermanentError, Released
from tests.actors.runners.boxes import work_for
from tests.actors.runners.playing_cli import ALL, Stage
from tests.doubles import RecordingContext


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with two commits, inside a workspace root."""
    folder = tmp_path / "root" / "shop"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "-b", "main")
    (folder / "prices.py").write_text("price = 1\n")
    (folder / "old.py").write_text("old = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    git(folder, "tag", "v1")
    (folder / "prices.py").write_text("price = 2\n")
    git(folder, "commit", "--quiet", "-am", "Second")
    return folder


def config(tmp_path: Path) -> JSON:
    return {"workspace": "worktree", "workspace_roots": [str(tmp_path / "root")]}


def play(tmp_path: Path, context: RecordingContext, steps: list[JSON], **parameters: str) -> JSON:
    stage = Stage(tmp_path / "stage", [[*steps, ALL]])
    return stage.run(context, {"task": "Mend it.", "repository": "shop"} | parameters, **config(tmp_path))


def test_changes_become_a_patch_and_files_and_the_original_is_untouched(
    context: RecordingContext, tmp_path: Path, repository: Path
) -> None:
    steps = [
        {"write": "prices.py", "text": "price = 3\n"},
        {"write": "new/tax.py", "text": "tax = 1\n"},
        {"run": ["rm", "old.py"]},
    ]
    before = git(repository, "rev-parse", "HEAD")

    result = play(tmp_path, context, steps)

    assert result["files_changed"] == ["new/tax.py", "old.py", "prices.py"]
    patch = context.artifacts["changes.patch"].decode()
    assert "-price = 2\n+price = 3\n" in patch
    assert "deleted file" in patch
    assert context.artifacts["prices.py"] == b"price = 3\n"
    assert context.artifacts["new/tax.py"] == b"tax = 1\n"
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "prices.py").read_text() == "price = 2\n"
    assert "worktrees" not in os.listdir(repository / ".git")


def test_the_patch_applies(context: RecordingContext, tmp_path: Path, repository: Path) -> None:
    play(
        tmp_path, context, [{"write": "prices.py", "text": "price = 3\n"}, {"write": "ä b.py", "text": "x\n"}]
    )
    patch = tmp_path / "changes.patch"
    patch.write_bytes(context.artifacts["changes.patch"])

    git(repository, "apply", str(patch))

    assert (repository / "prices.py").read_text() == "price = 3\n"
    assert (repository / "ä b.py").read_text() == "x\n"


def test_what_the_agent_commits_is_a_change_too(
    context: RecordingContext, tmp_path: Path, repository: Path
) -> None:
    steps = [
        {"write": "prices.py", "text": "price = 4\n"},
        {"run": ["git", "commit", "--quiet", "-am", "Third"]},
    ]

    result = play(tmp_path, context, steps)

    assert result["files_changed"] == ["prices.py"]
    assert "Third" not in git(repository, "log", "--all", "--format=%s")


def test_an_earlier_commit_can_be_asked_for(
    context: RecordingContext, tmp_path: Path, repository: Path
) -> None:
    result = play(tmp_path, context, [{"run": ["grep", "-q", "price = 1", "prices.py"]}], ref="v1")

    assert result["files_changed"] == []
    assert "changes.patch" not in context.artifacts


def test_what_git_ignores_is_no_change(context: RecordingContext, tmp_path: Path, repository: Path) -> None:
    (repository / ".gitignore").write_text("build/\n")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "--quiet", "-m", "Ignore")

    result = play(tmp_path, context, [{"write": "build/x", "text": "x"}])

    assert result["files_changed"] == []


def test_programs_in_the_agents_git_configuration_are_not_started(
    context: RecordingContext, tmp_path: Path, repository: Path
) -> None:
    owned = tmp_path / "owned"
    hostile = f"sh -c 'touch {owned}; cat'"
    settings = ["filter.x.clean", "filter.x.smudge", "diff.x.command", "diff.x.textconv", "core.fsmonitor"]
    steps: list[JSON] = [{"run": ["git", "config", name, hostile]} for name in settings]
    steps += [
        {"write": ".gitattributes", "text": "*.py filter=x diff=x\n"},
        {"write": "prices.py", "text": "price = 5\n"},
    ]

    result = play(tmp_path, context, steps)

    assert "prices.py" in result["files_changed"]
    assert not owned.exists()


def test_links_do_not_lead_out(context: RecordingContext, tmp_path: Path, repository: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    steps = [{"run": ["ln", "-s", str(secret), "leak"]}, {"run": ["ln", str(secret), "leak2"]}]

    play(tmp_path, context, steps)

    assert b"key" not in context.artifacts.values()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"repository": "/etc"}, "/parameters/repository"),
        ({"repository": "nothing"}, "/parameters/repository"),
        ({"ref": "--upload-pack=x"}, "/parameters/ref"),
        ({"ref": "v9"}, "/parameters/ref"),
    ],
)
def test_places_outside_and_unknown_commits_are_the_submitters_mistake(
    context: RecordingContext, tmp_path: Path, repository: Path, parameters: dict[str, str], field: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        play(tmp_path, context, [], **parameters)

    assert caught.value.user_error
    assert caught.value.details["field"] == field


def test_a_folder_without_a_history_is_copied_and_compared_too(
    context: RecordingContext, tmp_path: Path
) -> None:
    folder = tmp_path / "root" / "notes"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "a.txt").write_text("one\n")
    (folder / "b.txt").write_text("same\n")
    (folder / "node_modules" / "x").write_text("x")
    (folder / "out").symlink_to("/etc")
    steps = [{"run": ["git", "log", "-1"]}, {"write": "a.txt", "text": "two\n"}]

    result = play(tmp_path, context, steps, repository="notes")

    assert result["files_changed"] == ["a.txt"]
    assert "-one\n+two\n" in context.artifacts["changes.patch"].decode()
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt", "node_modules", "out"]
    assert "symbolic links" in context.said


def test_without_a_repository_the_folder_is_empty(context: RecordingContext, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", [[{"run": ["sh", "-c", 'test -z "$(ls -A)"']}, ALL]])

    result = stage.run(context, {"task": "Write."}, **config(tmp_path))

    assert result["files_changed"] == []


def test_git_in_an_empty_folder_does_not_find_what_is_around_it(
    context: RecordingContext, tmp_path: Path, repository: Path
) -> None:
    stage = Stage(tmp_path / "stage", [[{"run": ["sh", "-c", "! git rev-parse"]}, ALL]])

    assert stage.run(context, folder=str(repository / "places"))["result"] == "Done: one file."


def test_of_many_files_some_are_kept_and_all_are_named(context: RecordingContext, tmp_path: Path) -> None:
    stage = Stage(
        tmp_path / "stage", [[{"run": ["sh", "-c", "for n in $(seq 600); do echo $n > f$n; done"]}, ALL]]
    )

    result = stage.run(context)

    assert len(result["files_changed"]) == worktree.MAX_LISTED
    assert len([name for name in context.artifacts if name.startswith("f")]) == worktree.MAX_FILES
    assert "600 files were changed" in context.said


def test_a_place_stays_for_the_next_attempt_only(context: RecordingContext, tmp_path: Path) -> None:
    work = work_for({"folder": str(tmp_path / "places")})
    found = []
    for error in (Released(), Cancelled(), None):
        try:
            with worktree.opened(work, context) as place:
                found.append(place.found)
                (place.work / "x").write_text("x")
                if error:
                    raise error
        except (Released, Cancelled):
            continue

    assert found == [False, True, False]


def test_a_place_that_was_not_finished_is_made_anew(context: RecordingContext, tmp_path: Path) -> None:
    work = work_for({"folder": str(tmp_path / "places")})
    half = tmp_path / "places" / work.job_id / "work"
    half.mkdir(parents=True)
    (half / "rest").write_text("x")

    with worktree.opened(work, context) as place:
        assert os.listdir(place.work) == []


def test_places_nobody_came_back_to_are_forgotten(context: RecordingContext, tmp_path: Path) -> None:
    base = tmp_path / "places"
    works = [work_for({"folder": str(base)}) for _ in range(2)]
    for work in works:
        with pytest.raises(Released), worktree.opened(work, context):
            raise Released
    old = time.time() - worktree.FORGET_SECONDS - 10
    (base / "poetry").mkdir()
    (base / "poetry.lock").write_text("not ours")
    for name in (works[0].job_id, "poetry"):
        os.utime(base / f"{name}.lock", (old, old))

    worktree.forget_old(base)

    left = [works[1].job_id, f"{works[1].job_id}.lock", "poetry", "poetry.lock"]
    assert sorted(os.listdir(base)) == sorted(left)


def test_a_place_of_somebody_else_is_not_used(
    context: RecordingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "places").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermanentError, match="somebody else"):
        worktree.base_folder(work_for({"folder": str(tmp_path / "places")}))
