"""Make `.venv` and install a requirements file into it when the file has changed.

    python3 -I app/ops/install.py requirements.txt

Runs before anything is installed, so it uses the standard library only; `make` calls it from the
project's root. The stamp of what is installed lies in the virtual environment and goes with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / ".venv"
PYTHON = PLACE / "bin" / "python"
COMMAND = PLACE / "bin" / "callboard"
# -P: a folder named app where somebody stands is not ours.
SCRIPT = """#!/bin/sh
own=$0; [ -L "$own" ] && own=$(readlink -f "$own")
here=$(cd "$(dirname "$own")/../.." && pwd)
PYTHONPATH="$here" exec "$here/.venv/bin/python" -P -m app "$@"
"""
# tests/requirements.txt holds everything that requirements.txt holds, at the same versions.
INCLUDES = {"tests/requirements.txt": ("requirements.txt",)}


def main(file: str) -> int:
    """Install `file`; returns pip's exit code, 0 when there was nothing to do."""
    with (ROOT / file).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make run` side by side in one checkout
        if installed(file):
            provide_command()
            return 0
        if not sound():
            print("Making .venv", flush=True)
            venv.create(PLACE, clear=PLACE.exists(), symlinks=True, with_pip=has_ensurepip())
        print(f"Installing {file} (the first time takes about a minute)", flush=True)
        done = subprocess.run(
            [*pip(), "install", "--quiet", "--require-hashes", "-r", file], cwd=ROOT, check=False
        )
        if done.returncode == 0:
            provide_command()
            for name in (file, *INCLUDES.get(file, ())):
                stamp(name).write_text(fingerprint(name))
        return done.returncode


def provide_command() -> None:
    """Write `.venv/bin/callboard`, which works from any folder, and through a link to it."""
    if not COMMAND.exists() or COMMAND.read_text() != SCRIPT:
        COMMAND.write_text(SCRIPT)
        COMMAND.chmod(0o755)


def installed(file: str) -> bool:
    """True when the present `file` was installed into a virtual environment that still works."""
    return stamp(file).exists() and stamp(file).read_text() == fingerprint(file) and sound()


def fingerprint(file: str) -> str:
    """What the installation depends on."""
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest()


def stamp(file: str) -> Path:
    """Where the fingerprint of the installed `file` is kept."""
    return PLACE / f".installed-{file.replace('/', '-')}"


def sound() -> bool:
    """True when `.venv` has a Python that starts; an upgrade of the system's Python may break it."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", ""], capture_output=True, check=False).returncode == 0


def has_ensurepip() -> bool:
    """False on Debian without python3-venv."""
    return importlib.util.find_spec("ensurepip") is not None


def pip() -> list[str]:
    """The virtual environment's pip, or else our own pip told to work there."""
    inside = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    if subprocess.run([*inside, "--version"], capture_output=True, check=False).returncode == 0:
        return inside
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(PYTHON)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
