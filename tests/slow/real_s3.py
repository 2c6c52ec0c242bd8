"""An object store that speaks S3's protocol (moto's server), and the client for it that Callboard does not bring along."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services import free_port
from tests.slow.npm import CACHE
from tests.waiting import until

PACKAGES = ("s3fs==2026.9.0", "moto==5.2.5", "flask-cors==6.0.1", "py-partiql-parser==0.6.3")


@dataclass(frozen=True)
class Store:
    """A running server."""

    url: str
    packages: Path

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to know to use it, with `s3fs` in its reach."""
        return {
            "AWS_ACCESS_KEY_ID": "callboard",
            "AWS_SECRET_ACCESS_KEY": "of tests",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(self.packages),
        }

    def python(self, code: str) -> str:
        """What `code` prints, run with the client at hand."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def installed() -> Path:
    """The folder of the packages; fetched from PyPI once."""
    folder = CACHE / "s3" / hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("wb") as lock:  # another pytest may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *PACKAGES]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            (folder / "done").touch()
    return folder


@contextmanager
def store() -> Iterator[Store]:
    """A server of its own, empty."""
    packages, port = installed(), free_port()
    made = Store(f"http://127.0.0.1:{port}", packages)
    process = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **made.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(process, made.url), 60, 0.2)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, f"moto's server ended with {process.returncode}"
    try:
        with urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
