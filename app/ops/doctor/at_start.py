"""What is doubtful about the configuration, as warnings in the log of the one process that there is once."""

from __future__ import annotations

import threading

from app.observe import logs
from app.ops.doctor.checks import CHECKS
from app.ops.doctor.examination import examine
from app.ops.doctor.place import Place
from app.settings import Settings

log = logs.get(__name__)

LOOKED_AT = ("postgres_connections", "postgres_durability", "redis_memory", "addresses", "keys")


def tell(settings: Settings) -> threading.Thread:
    """Look in the background, and log `boot.doubtful` for each warning and error; the doctor tells the rest."""
    thread = threading.Thread(target=_look, args=(Place(settings),), name="doubts", daemon=True)
    thread.start()
    return thread


def _look(place: Place) -> None:
    chosen = [check for check in CHECKS if check.name in LOOKED_AT]
    for result, finding in examine(place, chosen).findings:
        if finding.severity != "info":
            log.warning("boot.doubtful", check=result.check, what=finding.what, fix=finding.fix)
