"""`python -m actors`: Dramatiq's own command, whose master process writes its log as all others do.

The master imports what its workers need and makes none of it, so they begin at once and share those pages.
"""

from __future__ import annotations

import gc
import sys

from dramatiq.cli import main as dramatiq

import actors.crew  # noqa: F401 - for the workers, which are forked
import app
from actors.runners.privacy import hide_process
from app import settings as configuration
from app.observe import logs


def main() -> None:
    """Run workers with the options of the command line until they end; what a worker is stands in actors/worker.py."""
    settings = configuration.load_or_exit()
    logs.configure(settings.log_level, settings.log_format, service="worker", version=app.__version__)
    logs.catch_the_rest()
    hide_process()
    gc.freeze()  # what is there now is not looked at again, so its pages stay shared
    sys.argv[1:1] = ["actors.worker", "--skip-logging"]
    sys.exit(dramatiq())  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
