"""The storm's workers and schedulers: the product's own, with couriers that try again within seconds.

    STORM_SKEW_SECONDS   this process' clock is so much ahead
    STORM_WITHOUT        a guard that is taken away (fence), to see that the storm notices

Run as `dramatiq tests.chaos.storm.worker`, and as a scheduler by `python -m tests.chaos.storm.worker`.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from actors import clockwork
from actors.delivery import Courier
from app import clock
from app.notify import deliveries
from tests.chaos.unfenced import take_the_fence_away

# A lease must outlast the slowest call (10 s).
Courier.__init__.__kwdefaults__["lease_seconds"] = 12.0
deliveries.PAUSES = (0.5, 1, 2) + (3,) * 200  # type: ignore[assignment]

SKEW = float(os.environ.get("STORM_SKEW_SECONDS", "0"))
if SKEW:
    _time = time.time
    time.time = lambda: _time() + SKEW
    clock.now = lambda: datetime.now(UTC) + timedelta(seconds=SKEW)

if os.environ.get("STORM_WITHOUT") == "fence":
    take_the_fence_away()

if __name__ == "__main__":
    clockwork.main()
else:
    from actors.worker import broker

    __all__ = ["broker"]
