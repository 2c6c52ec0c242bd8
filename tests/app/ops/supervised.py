"""Runs the supervisor over stand-ins: `python -m tests.app.ops.supervised HOME PORT PROCFILE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.errors import CallboardError
from app.ops.supervisor import Plan, Supervisor
from app.settings import ROOT


def main(home: str, port: str, procfile: str) -> None:
    """Run until a signal comes; exit code 1 when it could not start."""
    told = {"CALLBOARD_HOME": home, "CALLBOARD_HOST": "127.0.0.1", "PORT": port}
    plan = Plan(
        home=Path(home),
        root=ROOT,
        host="127.0.0.1",
        port=int(port),
        database_url=os.environ.get("DATABASE_URL", ""),
        redis_url=os.environ.get("REDIS_URL", ""),
        procfile=Path(procfile),
        environ={**os.environ, **told},
        stop_seconds=float(os.environ.get("STOP_SECONDS", "28")),
    )
    try:
        Supervisor(plan, lambda line: print(line, flush=True)).run()
    except CallboardError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
