"""Keys, tokens and passwords do not stand in log lines, wherever a line has them."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from app.observe import hiding, logs

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key cb_chaos000_" + "c" * 43 + " used", "key [hidden] used"),
        ("cbr_abcdefghijkl", "[hidden]"),
        (f"got {TOKEN}.", "got [hidden]."),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [hidden]"),
        ("basic dXNlcjpwYXNz!", "basic [hidden]!"),
        ("postgresql://ada:pa$$word@db:5432/x failed", "postgresql://ada:[hidden]@db:5432/x failed"),
        ("rediss://:word@cache/0", "rediss://:[hidden]@cache/0"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[hidden]"),
        ("callboard-sealed:1:0a1b2c3d:jobs/1:QUJD:", "[hidden]"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, left: str) -> None:
    assert hiding.without_secrets(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key cb_chaos000 was used",
        "ada@example.org",
        "http://127.0.0.1:8000/x@y",
        "the bearer of news",
        "cb_ and eyJ",
        "task-skill-sk-1",
        "a basic run",
    ],
)
def test_the_rest_stays_as_it_is(text: str) -> None:
    assert hiding.without_secrets(text) == text


def test_a_long_line_without_an_end_takes_no_time() -> None:
    text = "Bearer " + "a" * 200_000 + " " + "http://" + "b:" * 100_000 + "@" + "eyJ" * 50_000
    assert "a" * 100 not in hiding.without_secrets(text)


def test_every_way_into_a_line_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    root, told = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    monkeypatch.setattr(sys, "stderr", told)
    try:
        logs.configure("INFO", "json")
        logs.get("test").info("said", url="postgres://a:word-1@db/x", data={"list": [f"Bearer {TOKEN}"]})
        logging.getLogger("foreign").warning("%s went away", "redis://:word-2@cache")
        try:
            raise ValueError("cannot reach postgres://a:word-3@db/x")
        except ValueError:
            logs.get("test").exception("failed")
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.getvalue().splitlines()]
    assert len(lines) == 3
    assert "word-" not in told.getvalue()
    assert TOKEN not in told.getvalue()
    assert "postgres://a:[hidden]@db/x" in lines[2]["exception"]
