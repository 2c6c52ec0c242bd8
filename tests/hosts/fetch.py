"""`python -m tests.hosts.fetch`: pgbouncer from Debian into .cache, without installing it; a clock that is wrong, from C."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from app.settings import ROOT

CACHE = ROOT / ".cache"
# Each with the libraries that a small machine lacks.
WRONG_CLOCK = CACHE / "wrong_clock.so"
PACKAGES = {"pgbouncer": ("pgbouncer", "libc-ares2", "libevent-2.1-7")}


def fetch() -> None:
    """Whatever is not there yet; the clock needs a C compiler."""
    source = Path(__file__).with_name("wrong_clock.c")
    if not WRONG_CLOCK.exists() or WRONG_CLOCK.stat().st_mtime < source.stat().st_mtime:
        WRONG_CLOCK.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", WRONG_CLOCK, source], check=True)
    for name, packages in PACKAGES.items():
        place = CACHE / name
        if place.exists():
            continue
        fresh = CACHE / f"{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "-qq", *packages], cwd=fresh, check=True)
        for archive in fresh.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, fresh], check=True)
            archive.unlink()
        fresh.rename(place)


if __name__ == "__main__":
    fetch()
