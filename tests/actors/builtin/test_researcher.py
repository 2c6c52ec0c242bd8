"""The researcher is a program: it is started here as a worker starts it, and as a person does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from actors.builtin import researcher
from actors.runners.command import CommandRunner
from app.errors import PermanentError, TemporaryError
from tests.actors.builtin.desk import EXAMPLES, PROJECT, definition
from tests.actors.runners.boxes import work_for
from tests.doubles import RecordingContext

AGENT = "researcher"


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingContext:
    for name in ("WORKSPACE_ROOTS", "HTTP_ALLOW_PRIVATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    return RecordingContext(workspace=tmp_path / "work")


def _as_a_job(context: RecordingContext, **parameters: Any) -> dict[str, Any]:
    ours = definition(AGENT).ours
    jsonschema.validate(parameters, ours.parameters)
    assert ours.command
    result = CommandRunner().run(work_for(ours.command, parameters), context)
    jsonschema.validate(result, ours.output)
    return result


def _in_a_terminal(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "actors.builtin.researcher", *arguments]
    env = {"PYTHONPATH": str(PROJECT), "PATH": ""}
    return subprocess.run(argv, cwd=folder, env=env, input=stdin, capture_output=True, text=True, check=False)


def test_the_example_quotes_word_for_word_and_its_lines_are_in_the_log(context: RecordingContext) -> None:
    result = _as_a_job(context, **(definition(AGENT).ours.example or {}))

    texts = " ".join(
        " ".join(file.read_text(errors="replace").split()) for file in (EXAMPLES / "articles").iterdir()
    )
    assert len(result["sentences"]) == 5
    assert all(sentence["text"] in texts for sentence in result["sentences"])
    assert result["exit_code"] == 0
    assert "Ranking the sentences of 4 sources" in context.said
    assert "[100 %] Done" in context.said
    assert context.artifacts["summary.md"].decode() == result["report"]


def test_it_runs_at_most_three_at_once_and_is_healthy() -> None:
    ours = definition(AGENT).ours
    assert (ours.max_concurrent, ours.team) == (3, "BACKGROUND_AGENT")
    assert CommandRunner().health(ours.command or {}).status == "ready"


def test_files_texts_and_pages_are_told_apart(
    context: RecordingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "A ferry is a boat that carries people across the water. It sails every four hours from the pier."
    result = _as_a_job(context, query="ferry boat", sources=[text, "examples/articles/retries.txt"])
    assert {source["name"] for source in result["sources"]} == {"Text 1", "retries.txt"}

    with pytest.raises(PermanentError, match="not an address of the public internet"):
        _as_a_job(context, query="x", sources=["http://127.0.0.1:9/page"])

    monkeypatch.setenv("HTTP_ALLOW_PRIVATE", "true")
    with pytest.raises(TemporaryError, match=r"127\.0\.0\.1"):
        _as_a_job(context, query="x", sources=["http://127.0.0.1:9/page"])


def test_only_the_workspace_roots_are_read(
    context: RecordingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PermanentError, match="outside the folders"):
        _as_a_job(context, query="root", sources=["/etc/passwd"])

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text(
        "Ropes hold boats to the pier in every kind of weather there is."
    )
    monkeypatch.setenv("WORKSPACE_ROOTS", str(tmp_path / "mine"))
    assert _as_a_job(context, query="ropes", sources=["a.txt"])["on_topic"]


def test_in_a_terminal_it_takes_arguments_and_prints_json_last(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# Ropes\n\nRopes hold boats to the pier in every kind of weather there is.\n"
    )
    done = _in_a_terminal(tmp_path, "ropes", "a.md", "--root", str(tmp_path))

    assert done.returncode == 0, done.stderr
    *told, last = done.stdout.splitlines()
    assert "[100 %] Done" in told
    assert json.loads(last)["sentences"][0]["source"] == 1
    assert (tmp_path / "artifacts" / "summary.md").read_text().startswith("# ropes")


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("--stdin",), "{not json", "no JSON"),
        (("--stdin",), "[1]", "one JSON object"),
        (("--stdin",), '{"sources": ["x"]}', "`query` is empty"),
        (("ropes",), "", "nothing to read"),
        (("ropes", "missing.md"), "", "There is no `missing.md`"),
    ],
)
def test_a_mistake_of_the_asker_is_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str, told: str
) -> None:
    done = _in_a_terminal(tmp_path, *arguments, stdin=stdin)
    assert done.returncode == 2
    assert told in done.stderr


def test_it_explains_itself(tmp_path: Path) -> None:
    done = _in_a_terminal(tmp_path, "--help")
    assert done.returncode == 0
    assert "--root" in done.stdout
    assert "quotes what sources say" in " ".join(done.stdout.split())


def test_on_a_terminal_nobody_is_asked_and_whoever_started_it_permitted_it(tmp_path: Path) -> None:
    terminal = researcher.Terminal(tmp_path, 60)

    terminal.permit("publish", "May I?")
    terminal.stop_due()
    assert terminal.drafts() == []
    with pytest.raises(PermanentError, match="Nobody can be asked here: Well\\?"):
        terminal.ask("Well?")
