"""How long a backup, its proof and a restore take: `python -m tests.bench.restoring --jobs 100000`.

Prints a row for docs/disaster.md. Servers, folders and rows are its own, and gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.settings import ROOT
from tests.services import pair


def submit(environ: dict[str, str], jobs: int) -> None:
    """Real jobs, by the room that takes them."""
    code = f"""
from app.db import db, make_engine
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
import os
db.open(make_engine(os.environ['DATABASE_URL'], statement_timeout_ms=600000))
text = 'A sentence of some length that stands for what people send. ' * 8
for start in range(0, {jobs}, 2000):
    with db.transaction():
        lifecycle.submit_many([intake.order(Wish(agent_id='test-echo', parameters={{'n': n, 'text': text}}, submitted_by='bench'))
                               for n in range(start, min(start + 2000, {jobs}))])
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=True)


def timed(environ: dict[str, str], *words: str) -> tuple[float, str]:
    """The seconds of a command, and what it said."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return time.monotonic() - began, done.stdout


def measure(jobs: int) -> str:
    """One row of the table."""
    home = Path(tempfile.mkdtemp(prefix="cb-"))
    home.chmod(0o711)
    try:
        with pair(expendable=False) as old:
            environ = {**os.environ, "CALLBOARD_HOME": str(home), "CALLBOARD_ENV": "test"}
            environ |= {"AGENT_FOLDERS": str(ROOT / "tests" / "agents"), "REDIS_URL": old.redis.url}
            environ["DATABASE_URL"] = old.postgres.url
            timed(environ, "prepare")
            submit(environ, jobs)
            made, said = timed(environ, "backup", "--json")
            told: dict[str, Any] = json.loads(said)
            proved, _ = timed(environ, "backup", "verify")
        with pair(expendable=False) as new:
            back, _ = timed({**environ, "DATABASE_URL": new.postgres.url}, "restore", "latest", "--json")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return (
        f"| {jobs:,} | {made:.1f} s | {told['dump']['bytes'] / 1e6:.1f} MB | {proved:.1f} s | {back:.1f} s |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    print(measure(parser.parse_args().jobs))


if __name__ == "__main__":
    main()
