"""A virtual environment for each peer, from pinned requirements with hashes; made once, and again when they change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from app.settings import ROOT

HOME = ROOT / ".cache" / "peers"
REQUIREMENTS = Path(__file__).parent / "requirements"
NEWER = ("3.12", "3.13", "3.14")


class NotInstalled(Exception):
    """The peer cannot be measured on this machine; the message says why."""


def python_of(name: str, needs: str = "3.11") -> Path:
    """The Python of the peer's own environment, made if it is not there yet."""
    return environment(HOME / name, REQUIREMENTS / f"{name}.txt", _base(needs))


def environment(home: Path, requirements: Path, base: Path | None = None) -> Path:
    """The Python of the environment at `home`, with these pinned requirements, made if it is not there yet."""
    base = base or _base("3.11")
    python, stamp = home / "bin" / "python", home / "installed"
    key = hashlib.sha256(requirements.read_bytes() + str(base).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == key:
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run(str(base), "-m", "venv", str(home))
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(requirements))  # fmt: skip
    stamp.write_text(key)
    return python


def _base(needs: str) -> Path:
    """The Python to make it with: the one that runs Callboard, unless the peer needs a newer one."""
    if needs == "3.11":
        return Path(getattr(sys, "_base_executable", sys.executable))
    for version in NEWER:
        for candidate in _candidates(version):
            # A shim of pyenv answers to a name whose version is not switched on: only a run tells.
            probe = [str(candidate), "-c", f"import sys, venv; sys.exit(sys.version_info < {_tuple(needs)})"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return candidate
    msg = f"needs Python {needs} or later; none was found on PATH or under ~/.pyenv/versions"
    raise NotInstalled(msg)


def _candidates(version: str) -> list[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [candidate / "bin" / "python" for candidate in sorted(pyenv.glob(f"{version}*"))]
    on_path = shutil.which(f"python{version}")
    return [*found, *([Path(on_path)] if on_path else [])]


def _tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["without a word"]
        msg = f"{' '.join(command[1:3])} failed: {said[-1]}"
        raise NotInstalled(msg)
