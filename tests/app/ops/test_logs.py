"""Only grave lines are shown, and files stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ops import logs
from app.ops.logs import Follower, is_grave


@pytest.mark.parametrize(
    ("line", "grave"),
    [
        ('{"event": "job.settled", "level": "info"}', False),
        ('{"event": "ERROR in a title", "level": "info"}', False),
        ('{"event": "redis.away", "level": "warning"}', True),
        ("[2026-01-01] [ERROR] Worker failed to boot.", True),
        ("Booting worker", False),
        ("{not json", False),
    ],
)
def test_grave_lines_are_told_apart(line: str, grave: bool) -> None:
    assert is_grave(line) is grave


def test_only_whole_new_lines_are_read(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("ERROR old\n")
    follower = Follower(log)

    with log.open("a") as file:
        file.write("ERROR new\nERROR hal")
    first = follower.grave_lines()
    with log.open("a") as file:
        file.write("f\n")

    assert first == ["ERROR new"]
    assert follower.grave_lines() == ["ERROR half"]


def test_a_flood_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    follower = Follower(log)
    log.write_text("ERROR\n" * 100)

    shown = follower.grave_lines()

    assert len(shown) == logs.SHOWN_AT_ONCE + 1
    assert "80 more" in shown[-1]


def test_a_large_file_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 10)
    log = tmp_path / "web.log"
    follower = Follower(log)
    with log.open("a") as writer:
        writer.write("x" * 20 + "\n")
        writer.flush()
        follower.keep_small()
        writer.write("ERROR after\n")

    assert (tmp_path / "web.log.1").stat().st_size == 21
    assert follower.grave_lines() == ["ERROR after"]
