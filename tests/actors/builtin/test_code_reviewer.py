from __future__ import annotations

import json

import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "code-reviewer"
FINE = '"""A module."""\n\n\ndef double(number: int) -> int:\n    """Twice the number."""\n    return 2 * number\n\n\nprint(double(2))\n'


def test_the_example_is_reviewed_and_asks_for_changes(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    told = {(finding["rule"], finding["path"]) for finding in result["findings"]}
    assert {
        ("B006", "harbor/prices.py"),
        ("too-complex", "harbor/prices.py"),
        ("E722", "harbor/office.py"),
    } <= told
    assert ("dead-code", "harbor/prices.py") in told
    assert result["verdict"] == "request_changes"
    assert result["measured"]["most_complex"][0]["name"] == "quote"
    assert "Asked for: Review before the summer release" in result["report"]
    assert json.loads(desk.context.artifacts["review.json"])["score"] == result["score"]


def test_clean_code_is_approved_with_full_marks(desk: Desk) -> None:
    desk.write({"a/fine.py": FINE})

    result = desk.run(AGENT, target_path="a")

    assert (result["verdict"], result["score"], result["counts"]["total"]) == ("approve", 10.0, 0)


def test_an_unused_import_is_told_by_one_tool_only(desk: Desk) -> None:
    desk.write({"a/fine.py": "import json\n"})

    assert desk.run(AGENT, target_path="a")["by_rule"] == {"F401": 1}


def test_only_changed_lines_count_committed_or_not(desk: Desk) -> None:
    desk.write({"a/old.py": "import os\n\n\nx = 1\n"})
    desk.commit("feat: old", folder="a", tag="v1")
    desk.write({"a/old.py": "import os\n\n\nx = 1\nimport re\n"})
    desk.commit("feat: more", folder="a")
    desk.write({"a/new.py": "import json\n"})

    result = desk.run(AGENT, target_path="a", diff_ref="v1", focus=["bugs"])

    assert {finding["message"].split("`")[1] for finding in result["findings"]} == {"re", "json"}
    assert result["changed_files"] == 2


def test_a_hostile_checkout_starts_no_program(desk: Desk) -> None:
    desk.write({"a/old.py": "x = 1\n", "a/.gitattributes": "* filter=evil diff=evil\n"})
    desk.commit("feat: old", folder="a", tag="v1")
    evil = f"touch {desk.root}/pwned"
    for key in (
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.evil.textconv",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
    ):
        desk.git("config", key, evil, folder="a")
    desk.write({"a/old.py": "import re\n"})

    result = desk.run(AGENT, target_path="a", diff_ref="v1")

    assert result["counts"]["total"] == 1
    assert not (desk.root / "pwned").exists()


def test_the_checkout_itself_is_not_written_to(desk: Desk) -> None:
    desk.write({"a/old.py": "x = 1\n"})
    desk.commit("feat: old", folder="a", tag="v1")
    before = {path: path.stat().st_mtime_ns for path in (desk.root / "a").rglob("*")}

    desk.run(AGENT, target_path="a", diff_ref="v1")

    assert {path: path.stat().st_mtime_ns for path in (desk.root / "a").rglob("*")} == before


@pytest.mark.parametrize(
    ("target", "ref", "told"),
    [
        ("a", "no-such-tag", "no commit, tag or branch `no-such-tag`"),
        ("plain", "v1", "neither the top folder of a git checkout"),
        ("worktree", "v1", "outside its own `.git`"),
        ("borrowed", "v1", "outside its own `.git`"),
    ],
)
def test_histories_that_cannot_be_read_are_the_submitters_error(
    desk: Desk, target: str, ref: str, told: str
) -> None:
    desk.write({"a/old.py": "x = 1\n", "plain/x.py": "x = 1\n"})
    desk.commit("feat: old", folder="a", tag="v1")
    desk.git("worktree", "add", "-q", str(desk.root / "worktree"), folder="a")
    desk.git("clone", "-q", "--shared", str(desk.root / "a"), str(desk.root / "borrowed"))

    with pytest.raises(PermanentError, match=told) as refused:
        desk.run(AGENT, target_path=target, diff_ref=ref)

    assert refused.value.user_error


def test_a_folder_without_python_is_refused(desk: Desk) -> None:
    desk.write({"a/readme.txt": "hello\n"})

    with pytest.raises(PermanentError, match="no Python files"):
        desk.run(AGENT, target_path="a")


def test_unreadable_python_is_a_high_finding(desk: Desk) -> None:
    desk.write({"a/broken.py": "def (\n", "a/fine.py": FINE})

    result = desk.run(AGENT, target_path="a")

    assert [(found["rule"], found["severity"]) for found in result["findings"]] == [
        ("invalid-syntax", "high")
    ]
