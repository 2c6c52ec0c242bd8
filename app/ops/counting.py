"""Where the processes of this host keep what they count for Prometheus: `home/run/metrics-<host>`.

A folder for each host: where several share a home, process ids are no names.
"""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path


def folder(home: Path) -> Path:
    """The folder of this host in `home`."""
    return home / "run" / f"metrics-{re.sub(r'[^A-Za-z0-9.-]', '_', socket.gethostname())}"


def begin(home: Path, service: str) -> None:
    """Let this process count, as a `service`; after the last fork. Where nothing can be kept it works without."""
    from app.db import db  # late: the supervisor imports this module, and shall start at once
    from app.observe import logs, metrics, statements

    db.heard = statements.took
    try:
        metrics.begin(folder(home), service)
    except OSError as why:
        logs.get("metrics").warning("metrics.not_kept", folder=str(folder(home)), error=str(why))


def ended(home: Path) -> None:
    """A process ended: what it counted is kept, and its files are gone."""
    from app.observe import metrics

    metrics.fold(folder(home))


def begin_anew(home: Path) -> None:
    """Forget what was counted before; for whoever starts all processes of a home, while none of them runs."""
    shutil.rmtree(folder(home), ignore_errors=True)
