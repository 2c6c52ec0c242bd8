"""Which Chromium: Debian's without a window where it is installed, for it takes two thirds of the other's time."""

from __future__ import annotations

import shutil

CHROMIUM = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
