from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actors.builtin import commands, findings, security_auditor, sources
from app.errors import AttemptTimeout, Cancelled, PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition
from tests.doubles import RecordingContext

AGENT = "security-auditor"
Example = tuple[dict[str, Any], RecordingContext]
WEAK = "import hashlib\n\n\ndef f(x):\n    return hashlib.md5(x).hexdigest()\n"


def rules(result: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in result["findings"]}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """(result, context) of the example of its definition."""
    root, workspace = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("workspace")
    desk = Desk(root=root, context=RecordingContext(workspace=workspace))
    return desk.run(AGENT, **definition(AGENT).ours.example or {}), desk.context


def test_the_example_finds_what_was_left_in_the_sample(example: Example) -> None:
    result, _ = example

    assert {"B324", "B602", "B608", "B105", "hex-high-entropy-string"} <= rules(result)
    assert result["counts"]["high"] == 2
    assert result["passed"]
    assert not any(finding["path"].startswith("tests/") for finding in result["findings"])
    assert result["findings"][0]["path"] == "harbor/office.py"
    assert "| high | `harbor/office.py:17` |" in result["report"]


def test_progress_grows_and_every_step_is_named(example: Example) -> None:
    _, context = example

    assert context.percents == sorted(context.percents)
    assert context.percents[-1] == 100
    assert [name for name, _ in context.stages] == ["prepare", "bandit", "ruff", "secrets", "report"]


def test_the_sarif_file_has_a_rule_and_a_place_for_each_finding(example: Example) -> None:
    result, context = example

    log = json.loads(context.artifacts["findings.sarif"])
    assert log["version"] == "2.1.0"
    assert [run["tool"]["driver"]["name"] for run in log["runs"]] == ["bandit", "ruff", "detect-secrets"]
    assert sum(len(run["results"]) for run in log["runs"]) == result["counts"]["total"]
    for run in log["runs"]:
        for found in run["results"]:
            assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == found["ruleId"]
            place = found["locations"][0]["physicalLocation"]
            assert (EXAMPLES / "sample-repo" / place["artifactLocation"]["uri"]).is_file()
            assert place["region"]["startLine"] >= 1


def test_the_secret_itself_is_in_no_report(example: Example) -> None:
    result, context = example

    written = json.dumps(result).encode() + b"".join(context.artifacts.values()) + context.said.encode()
    assert b"barnacle-bill" not in written
    assert b"9f2c41d07be8" not in written


@pytest.mark.parametrize(("gate", "passed"), [("none", True), ("high", False), ("low", False)])
def test_the_gate_decides_and_the_job_completes_either_way(desk: Desk, gate: str, passed: bool) -> None:
    desk.write({"a/weak.py": WEAK})

    assert desk.run(AGENT, target_path="a", fail_on=gate)["passed"] is passed


def test_a_clean_project_passes_the_strictest_gate(desk: Desk) -> None:
    desk.write({"a/fine.py": "def f(x):\n    return x + 1\n"})

    result = desk.run(AGENT, target_path="a", fail_on="low")

    assert result["passed"]
    assert "Nothing found." in result["report"]


def test_the_scope_leaves_the_other_tools_out(desk: Desk) -> None:
    desk.write({"a/weak.py": WEAK, "a/notes.txt": "password = 'tide-and-time-1987'\n"})

    assert rules(desk.run(AGENT, target_path="a", scope="code")) == {"B324"}
    assert rules(desk.run(AGENT, target_path="a", scope="secrets")) == {"secret-keyword"}


def test_a_bundle_and_a_checkout_at_a_ref_are_audited(desk: Desk) -> None:
    desk.write({"a/weak.py": WEAK})
    desk.commit("feat: weak", folder="a", tag="v1")
    desk.write({"a/weak.py": "x = 1\n"})
    desk.commit("fix: strong", folder="a")

    assert rules(desk.run(AGENT, target_path="a", ref="v1")) == {"B324"}


def test_the_history_bundle_is_audited(desk: Desk) -> None:
    assert "B602" in rules(desk.run(AGENT, target_path="examples/history.bundle"))


def test_a_project_cannot_switch_its_audit_off(desk: Desk) -> None:
    desk.write(
        {
            "a/weak.py": WEAK,
            "a/.bandit": "[bandit]\nskips = B324\nexclude = /\n",
            "a/pyproject.toml": "[tool.ruff]\nexclude = ['*']\n[tool.bandit]\nskips = ['B324']\n",
            "a/yaml.py": "raise SystemExit('imported')\n",
            "a/bandit.py": "raise SystemExit('imported')\n",
        }
    )

    assert "B324" in rules(desk.run(AGENT, target_path="a"))


def test_lines_that_the_code_silences_are_counted(desk: Desk) -> None:
    desk.write({"a/weak.py": WEAK.replace("hexdigest()", "hexdigest()  # nosec")})

    assert desk.run(AGENT, target_path="a", scope="code")["silenced"] == 1


def test_a_file_that_cannot_be_parsed_is_told_once_and_the_rest_is_audited(desk: Desk) -> None:
    desk.write({"a/broken.py": "def (\n", "a/weak.py": WEAK})

    result = desk.run(AGENT, target_path="a")

    assert result["by_rule"]["invalid-syntax"] == 1
    assert "B324" in rules(result)


def test_links_and_special_files_are_left_out_and_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "private.py").write_text("password = 'tide-and-time-1987'\n")
    desk.write({"a/fine.py": "x = 1\n"})
    (desk.root / "a" / "link.py").symlink_to(tmp_path / "private.py")
    (desk.root / "a" / "folder").symlink_to(tmp_path)
    os.mkfifo(desk.root / "a" / "pipe.py")

    result = desk.run(AGENT, target_path="a")

    assert result["counts"]["total"] == 0
    assert "2 symbolic links" in desk.context.said
    assert "1 special files" in desk.context.said


def test_names_that_look_like_options_are_files(desk: Desk) -> None:
    desk.write({"a/-rf.py": WEAK, "a/--help.py": WEAK, "-x/weak.py": WEAK})

    assert desk.run(AGENT, target_path="a", scope="code")["counts"]["total"] == 2
    assert desk.run(AGENT, target_path="-x", scope="code")["counts"]["total"] == 1


def test_names_with_markup_do_not_break_the_report(desk: Desk) -> None:
    desk.write({"a/x|`<b>.py": WEAK})
    (desk.root / "a" / "evil\nname.py").write_text(WEAK)
    Path(os.fsdecode(os.fsencode(desk.root / "a") + b"/\xff.py")).write_text(WEAK)

    result = desk.run(AGENT, target_path="a", scope="code")

    assert result["counts"]["total"] == 1
    assert "`x¦'<b>.py:5`" in result["report"]


@pytest.mark.parametrize("bad", ["../outside", "/etc", "nowhere", "empty"])
def test_targets_that_cannot_be_audited_are_the_submitters_error(desk: Desk, bad: str) -> None:
    (desk.root / "empty").mkdir()

    with pytest.raises(PermanentError) as refused:
        desk.run(AGENT, target_path=bad)

    assert refused.value.user_error


def test_a_folder_without_python_is_searched_for_secrets(desk: Desk) -> None:
    desk.write({"a/.env": "AWS_SECRET_ACCESS_KEY = 'tide-and-time-1987'\n"})

    result = desk.run(AGENT, target_path="a")

    assert result["python_files"] == 0
    assert result["counts"]["total"] == 1
    assert "no Python files" in desk.context.said


def test_thousands_of_findings_are_counted_in_full_and_told_in_part(desk: Desk) -> None:
    desk.write({"a/many.py": "import hashlib\n" + "hashlib.md5(b'')\n" * 3000})

    result = desk.run(AGENT, target_path="a", scope="code")

    assert result["counts"]["total"] == 3000
    assert len(result["findings"]) == findings.RETURNED
    assert result["truncated"]
    assert len(result["report"].encode()) <= findings.REPORT_BYTES
    assert len(json.loads(desk.context.artifacts["findings.json"])["findings"]) == 3000


def test_a_tree_with_too_many_files_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    desk.write({f"a/{number}.py": "" for number in range(5)})

    with pytest.raises(PermanentError, match="choose a folder inside it"):
        desk.run(AGENT, target_path="a")


def test_a_missing_tool_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "installed", lambda name: name != "bandit")

    with pytest.raises(PermanentError, match="bandit is not installed") as failed:
        desk.run(AGENT, target_path="examples/sample-repo")

    assert not failed.value.user_error
    assert security_auditor.health().status == "unavailable"


def test_cancelling_ends_the_running_tool(desk: Desk) -> None:
    desk.context.cancel_at_progress = 15  # said just before bandit starts

    with pytest.raises(Cancelled):
        desk.run(AGENT, target_path="examples/sample-repo")

    assert desk.context.artifacts == {}


def test_the_time_limit_ends_the_tool(desk: Desk) -> None:
    desk.context.timeout_seconds = 0.3

    with pytest.raises(AttemptTimeout):
        commands.run(["sleep", "30"], desk.context, tool="sleep")

    assert subprocess.run(["pgrep", "-P", str(os.getpid()), "sleep"], check=False).returncode == 1
