"""`callboard quality …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from app.cli import cli

Run = Callable[..., Result]
GOOD = Path(__file__).parents[2] / "quality_texts" / "excellent-photo-backup.md"


@pytest.fixture
def run(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a migrated and seeded database."""
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("CALLBOARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.org")

    def call(*words: object, group: str = "quality", **more: object) -> Result:
        return CliRunner().invoke(cli, [group, *map(str, words)], **more)  # type: ignore[arg-type]

    assert call(group="seed").exit_code == 0
    return call


def test_gates_list_show_and_save(run: Run, tmp_path: Path) -> None:
    listed = run("gates")
    assert (listed.exit_code, "blog-post " in listed.output) == (0, True)
    assert {row["name"] for row in json.loads(run("gates", "--json").output)} >= {"blog-post", "short-answer"}

    shown = run("show", "blog-post").output
    assert shown.startswith("# blog-post, version 1 of 1\n")
    changed = yaml.safe_load(shown) | {"threshold": 9}
    file = tmp_path / "blog-post.yaml"
    file.write_text(yaml.safe_dump(changed))
    assert run("save", file, "--note", "Stricter").output == "blog-post v2  Blog post\n"
    assert run("save", file).output == "blog-post v2  Blog post\n"
    kept = json.loads(run("show", "blog-post", "--json").output)
    assert (kept["version"], kept["definition"]["threshold"], kept["note"]) == (2, 9.0, "Stricter")
    assert json.loads(run("show", "blog-post", "--version", 1, "--json").output)["created_by"] is None

    assert run("archive", "blog-post").exit_code == 0
    assert "blog-post " not in run("gates").output
    assert "archived" in run("show", "blog-post").output
    assert run("archive", "blog-post").exit_code == 1


def test_a_gate_with_mistakes_is_wrong_usage_with_their_places(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("checks: [{check: lenght}, {check: tone, weight: -1}]")
    answer = run("save", file)
    assert answer.exit_code == 2
    assert "/checks/0/check: must be one of" in answer.output
    assert "/checks/1/weight" in answer.output
    assert run("show", "mine").exit_code == 1


def test_check_says_what_is_wrong_and_exits_by_the_verdict(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "good.md"
    good.write_text(GOOD.read_text().split("---\n", 2)[2])
    told = ("--topic", "backing up family photos", "--target-length", 480)
    passed = run("check", good, "--gate", "blog-post", *told)
    assert passed.exit_code == 0, passed.output
    assert passed.output.splitlines()[-1].startswith("✓ Content approved (")

    failed = run("check", "-", "--gate", "blog-post", *told, input="Photos are nice.")
    assert failed.exit_code == 1
    assert "Far too short (3 words, wanted 432-528)" in failed.output
    report = json.loads(run("check", good, "--gate", "short-answer", "--json").output)
    assert report["gate"]["name"] == "short-answer"
    assert not report["passed"]


def test_check_takes_a_gate_in_a_file_and_a_result_in_json(run: Run, tmp_path: Path) -> None:
    gate = tmp_path / "gate.yaml"
    gate.write_text(
        "checks: [{check: json_schema, schema: {required: [answer]}}, {check: command, argv: ['true']}]"
    )
    result = tmp_path / "result.json"
    result.write_text('{"answer": 42}')
    found = run("check", result, "--gate", gate)
    assert found.exit_code == 0, found.output
    assert "command: runs on a worker only" in found.output
    result.write_text('{"question": 42}')
    assert run("check", result, "--gate", gate).exit_code == 1


def test_wrong_usage(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "good.md"
    good.write_text("x")
    assert run("check", good).exit_code == 2
    assert run("check", tmp_path / "none.md", "--gate", "blog-post").exit_code == 2
    unknown = run("check", good, "--gate", "nothing")
    assert (unknown.exit_code, "there is no gate 'nothing'" in unknown.output) == (2, True)
    broken = tmp_path / "broken.yaml"
    broken.write_text("checks: [{check: [}]")
    assert run("check", good, "--gate", broken).exit_code == 2
