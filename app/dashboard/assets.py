"""Addresses of static files that change when the file does, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask

from app.settings import ROOT

STATIC = ROOT / "static"


@cache
def _digest(path: Path, changed_ns: int) -> str:  # noqa: ARG001 - the time is part of the cache's key
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def asset(path: str) -> str:
    """The address of `static/<path>`: `/static/css/callboard.css?v=<hash of its content>`."""
    file = STATIC / path
    return f"/static/{path}?v={_digest(file, file.stat().st_mtime_ns)}"


def register(app: Flask) -> None:
    """Make `asset(path)` known to every template."""
    app.jinja_env.globals["asset"] = asset
