"""What a table looks like where there is little room, and which Callboard CALLBOARD_URL means."""

from __future__ import annotations

import pytest
from rich.console import Console

from app.cli import connected, telling

PUBLIC = "https://callboard.example.org"


def test_a_narrow_terminal_still_shows_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telling, "console", lambda: Console(width=60, highlight=False))
    job = "01a20597-0122-73d1-bc3b-4eadea9bc32a"

    telling.table(
        ["id", "status", "when", "agent", "name"],
        [[job, "completed", "13 min ago", "security-auditor", "Audit of the form"]],
    )

    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STATUS", "WHEN", "AGENT", "NAME"]
    assert line.split()[:5] == [job, "completed", "13", "min", "ago"]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8477", True),
        ("http://localhost:8477/", True),
        (PUBLIC, True),
        ("http://127.0.0.1:8000", False),
        ("http://127.0.0.1:18477", False),
        ("http://127.0.0.1.example.org:8477", False),
        ("https://elsewhere.example.org", False),
        ("", False),
    ],
)
def test_a_server_of_this_machine_is_known_by_its_port_or_its_public_address(
    url: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_URL", url)

    assert connected.is_here(8477, PUBLIC) is here
