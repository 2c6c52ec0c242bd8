"""Keep what a Callboard process knows from the agents it starts."""

from __future__ import annotations

import ctypes
import sys

PR_SET_DUMPABLE = 4


def hide_process() -> None:
    """Make `/proc/PID/environ`, `mem` and `fd` of this process unreadable to others of the same user.

    Without it every agent reads DATABASE_URL from its ancestors. Called once at the start of each
    process; does nothing off Linux. Root may still read.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
