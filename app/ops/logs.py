"""The children's log files: kept small, and their warnings and errors shown as they come."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

LARGEST = 20_000_000  # bytes, then the file becomes `.1`; an older `.1` goes
SHOWN_AT_ONCE = 20
_PLAIN = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b")
_GRAVE = {"warning", "error", "critical"}


class Follower:
    """Reads what is appended to one log file."""

    def __init__(self, path: Path) -> None:
        """Begin at the present end: what was there before is old news."""
        self.path = path
        self._at = path.stat().st_size if path.exists() else 0

    def grave_lines(self) -> list[str]:
        """Whole new lines that are warnings or worse; of a flood only the first ones."""
        grave = [line for line in self._new_lines() if is_grave(line)]
        if len(grave) > SHOWN_AT_ONCE:
            return [*grave[:SHOWN_AT_ONCE], f"… {len(grave) - SHOWN_AT_ONCE} more in {self.path}"]
        return grave

    def keep_small(self) -> None:
        """Set a large file aside. Its writers append, so it may be emptied under them."""
        if self.path.exists() and self.path.stat().st_size > LARGEST:
            shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
            self.path.open("w").close()
            self._at = 0

    def _new_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as log:
            log.seek(self._at)
            whole, newline, _ = log.read(1_000_000).rpartition(b"\n")
        self._at += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines()


def is_grave(line: str) -> bool:
    """True for a warning or worse, as a JSON line or as plain text."""
    if line.startswith("{"):
        try:
            return str(json.loads(line).get("level", "")).lower() in _GRAVE
        except ValueError:
            return False
    return bool(_PLAIN.search(line))
