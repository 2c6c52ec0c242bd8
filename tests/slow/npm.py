"""Packages from npm, installed once into a cache outside the repository's files."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from app.settings import ROOT

CACHE = Path(os.environ.get("CALLBOARD_TEST_CACHE") or ROOT / ".cache")


def npm(folder: Path, *words: str, makes: Path) -> None:
    """Run npm in `folder`, which is made, unless `makes`, what it leaves behind at its end, is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:  # another pytest may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if makes.exists():
            return
        program = shutil.which("npm")
        assert program, "these tests need npm (and node 20 or newer)"
        argv = [program, *words, "--no-audit", "--no-fund"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
