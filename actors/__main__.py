"""`python -m actors`: Dramatiq's own command, whose master process writes its log as all others do."""

from __future__ import annotations

import sys

from dramatiq.cli import main as dramatiq

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
    sys.argv[1:1] = ["actors.worker", "--skip-logging"]
    sys.exit(dramatiq())  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
