from __future__ import annotations

import shutil
from typing import Any

import pytest

from actors.builtin.changelogs import Commit, entry
from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "technical-writer"


def changelog(desk: Desk, **parameters: Any) -> dict[str, Any]:
    return desk.run(AGENT, **{"document_type": "changelog", "topic": "Changes", **parameters})


def test_the_example_writes_the_changelog_of_the_bundle(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    document = desk.context.artifacts["CHANGELOG.md"].decode()
    assert document == result["report"]
    order = [line for line in document.splitlines() if line.startswith("## ")]
    assert order == [
        "## Unreleased",
        "## v1.2.0 — 2026-03-15",
        "## v1.1.0 — 2026-02-07",
        "## v1.0.0 — 2026-01-20",
    ]
    assert "### Breaking\n\n- quote() needs the month of arrival.\n" in document
    assert "- **berths:** free a berth on the day of departure (#9)" in document
    assert "cover overlapping stays" not in document
    assert result["counts"]["commits"] == 13
    assert result["contributors"][0] == "Ines Alvor"


def test_a_range_begins_after_one_ref_and_ends_with_the_other(desk: Desk) -> None:
    result = changelog(desk, repo="examples/history.bundle", from_ref="v1.0.0", to_ref="v1.1.0")

    assert [release["name"] for release in result["releases"]] == ["v1.1.0"]


def test_release_notes_are_the_newest_release_alone(desk: Desk) -> None:
    result = changelog(desk, document_type="release-notes", repo="examples/history.bundle", to_ref="v1.2.0")

    assert result["file"] == "RELEASE_NOTES.md"
    assert [release["name"] for release in result["releases"]] == ["v1.2.0"]


def test_a_checkout_is_read_and_merged_branches_belong_to_the_release_that_merged_them(desk: Desk) -> None:
    desk.commit("feat: first", folder=".")
    desk.git("checkout", "-q", "-b", "side")
    desk.commit("feat: on the side")
    desk.git("checkout", "-q", "main")
    desk.commit("fix: main goes on", tag="v1")
    desk.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    desk.git("tag", "-a", "v2", "-m", "v2")

    result = changelog(desk, repo=str(desk.root))

    assert [(release["name"], release["commits"]) for release in result["releases"]] == [("v2", 1), ("v1", 2)]


def test_without_repo_a_root_that_is_a_checkout_is_read(desk: Desk) -> None:
    desk.commit("feat: first")

    assert changelog(desk)["counts"]["commits"] == 1


def test_the_outline_lists_signatures_and_counts_documentation(desk: Desk) -> None:
    desk.write(
        {
            "a/m.py": '"""M."""\n\n\ndef f(x: int) -> int:\n    """Twice."""\n\n\ndef g(): ...\n\n\ndef _h(): ...\n'
        }
    )

    result = desk.run(AGENT, document_type="api-outline", topic="API", repo="a")

    assert "- `def f(x: int) -> int`: Twice." in result["report"]
    assert "_h" not in result["report"]
    assert result["undocumented"] == ["m.g"]


def test_the_outline_of_a_bundle_at_a_ref(desk: Desk) -> None:
    result = desk.run(
        AGENT, document_type="api-outline", topic="API", repo="examples/history.bundle", to_ref="v1.0.0"
    )

    assert "## `harbor.prices`" in result["report"]
    assert "deposit" not in result["report"]


def test_unreadable_modules_are_logged_and_the_rest_is_outlined(desk: Desk) -> None:
    desk.write({"a/broken.py": "def (\n", "a/fine.py": "def f(): ...\n"})

    result = desk.run(AGENT, document_type="api-outline", topic="API", repo="a")

    assert result["counts"]["modules"] == 1
    assert "broken.py is not readable" in desk.context.said


@pytest.mark.parametrize(
    ("subject", "body", "heading", "text", "breaking"),
    [
        ("feat(cli): add --watch.", "", "Added", "**cli:** add --watch", None),
        ("fix!: drop it", "", "Fixed", "Drop it", "drop it"),
        ("chore: x", "", None, "X", None),
        ("chore: x", "BREAKING CHANGE: y\nz\n\nend", None, "X", "y z"),
        ("Add a thing", "Closes #4, #5", "Added", "Add a thing (#4, #5)", None),
        ("note: something odd", "", "Other", "Note: something odd", None),
        ("fix: <script>*x*", "", "Fixed", r"\<script\>\*x\*", None),
        ("", "", "Other", "", None),
    ],
)
def test_a_commit_goes_under_its_heading(
    subject: str, body: str, heading: str | None, text: str, breaking: str | None
) -> None:
    made = entry(Commit(id="1", date="2026-01-01", author="a", subject=subject, body=body))

    assert (made.heading, made.text, made.breaking) == (heading, text, breaking)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "Say what to read"),
        ({"repo": "examples/sample-repo"}, "neither the top folder"),
        ({"repo": "examples/history.bundle", "from_ref": "v9"}, "v1.2.0"),
        ({"repo": "empty"}, "no commits yet"),
        ({"repo": "torn.bundle"}, "cannot read the history"),
        ({"repo": "../../etc"}, "outside the folders"),
    ],
)
def test_what_cannot_be_read_is_the_submitters_error(
    desk: Desk, parameters: dict[str, str], told: str
) -> None:
    (desk.root / "empty").mkdir()
    desk.git("init", "-q", folder="empty")
    shutil.copy(EXAMPLES / "history.bundle", desk.root / "torn.bundle")
    with (desk.root / "torn.bundle").open("r+b") as bundle:
        bundle.truncate(2000)

    with pytest.raises(PermanentError, match=told) as refused:
        changelog(desk, **parameters)

    assert refused.value.user_error


def test_refs_that_look_like_options_are_refused(desk: Desk) -> None:
    with pytest.raises(Exception, match="--upload-pack"):
        changelog(desk, repo="examples/history.bundle", to_ref="--upload-pack=x")
