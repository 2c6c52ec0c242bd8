"""The command that `make run` leaves in `.venv/bin`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from app.ops.install import SCRIPT


def test_the_command_finds_its_checkout_also_through_a_link(tmp_path: Path) -> None:
    checkout = tmp_path / "a checkout"
    folder = checkout / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, text in (("callboard", SCRIPT), ("python", '#!/bin/sh\necho "$PYTHONPATH" "$@"\n')):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    link = tmp_path / "callboard"
    link.symlink_to(folder / "callboard")

    for command in (folder / "callboard", link, os.path.relpath(link, tmp_path)):
        done = subprocess.run(
            [command if Path(command).is_absolute() else f"./{command}", "status"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{checkout} -P -m app status\n"
