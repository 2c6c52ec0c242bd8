"""Procfile lines become the commands a shell would run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.errors import Invalid
from app.ops.procfile import command, read
from app.settings import ROOT


def test_variables_are_filled_in_with_their_defaults() -> None:
    words = command("exec sleep ${LONG:-60} $SHORT", {"SHORT": "1"})

    assert words == ("sleep", "60", "1")


def test_a_set_variable_wins_over_the_default_and_an_empty_one_does_not() -> None:
    assert command("sleep ${LONG:-60}", {"LONG": "5"}) == ("sleep", "5")
    assert command("sleep ${LONG:-60}", {"LONG": ""}) == ("sleep", "60")


def test_python_and_installed_scripts_run_in_our_own_interpreter() -> None:
    assert command("python -m app", {}) == (sys.executable, "-m", "app")
    assert command("exec gunicorn x", {})[:1] == (sys.executable,)


def test_quotes_keep_words_together() -> None:
    assert command('sleep "app:create_app()"', {}) == ("sleep", "app:create_app()")


def test_a_line_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: sleep 1\nnonsense\n")

    with pytest.raises(Invalid):
        read(tmp_path / "Procfile")


def test_the_real_procfile_has_what_platforms_need() -> None:
    lines = read(ROOT / "Procfile")

    assert list(lines) == ["release", "web", "worker", "scheduler"]
    assert "0.0.0.0" in lines["web"]
    # Without exec the platform's shell would get SIGTERM in their place.
    assert all(lines[name].startswith("exec ") for name in ("web", "worker", "scheduler"))
