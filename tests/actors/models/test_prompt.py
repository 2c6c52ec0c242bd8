"""The opening words: template or sections, and files that stay inside the roots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.models import prompt
from actors.models.prompt import prompt_of
from actors.runners.base import Work
from app.errors import PermanentError
from tests.actors.runners.boxes import work_for


def work_in(folder: Path, **parameters: Any) -> Work:
    return work_for({"workspace_roots": [str(folder)]}, parameters)


def test_without_a_template_the_parameters_are_sections_with_the_task_first(tmp_path: Path) -> None:
    told = prompt_of(work_in(tmp_path, word_count=500, task="Write about parcels", tone=None), None)

    assert told == "Write about parcels\n\n## Word count\n\n500"


def test_a_template_takes_parameters_and_never_reads_their_values_as_templates(tmp_path: Path) -> None:
    work = work_in(tmp_path, topic="{{parameter.secret}}", secret="no")

    assert prompt_of(work, "On {{parameter.topic}}.") == "On {{parameter.secret}}."


def test_a_template_with_anything_else_in_braces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no placeholder"):
        prompt_of(work_in(tmp_path, topic="x"), "{{ topic | upper }}")


def test_the_texts_of_files_follow_in_fences_they_cannot_leave(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one\n```\ntwo\n")

    told = prompt_of(work_in(tmp_path, task="Read", files=["a.md"]), None)

    assert told == "Read\n\n## File: a.md\n\n````\none\n```\ntwo\n````"


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/passwd", "link.txt"])
def test_a_file_outside_the_roots_is_refused_and_not_read(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")

    with pytest.raises(PermanentError, match="outside the folders") as refused:
        prompt_of(work_in(root, task="Read", files=[name]), None)

    assert refused.value.user_error
    assert refused.value.details["field"] == "/parameters/files"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"x" * (prompt.MAX_FILE_BYTES + 1), "more than"), (b"\xff\xfe\x00", "no text"), (b"a\x00b", "no text")],
)
def test_files_that_are_too_large_or_no_text_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "odd").write_bytes(content)

    with pytest.raises(PermanentError, match=why):
        prompt_of(work_in(tmp_path, task="Read", files=["odd"]), None)


def test_all_files_together_have_a_limit(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * (prompt.MAX_FILE_BYTES - 100))

    with pytest.raises(PermanentError, match="together"):
        prompt_of(work_in(tmp_path, task="Read", files=names), None)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(PermanentError, match="is no file"):
        prompt_of(work_in(tmp_path, task="Read", files=["folder"]), None)
