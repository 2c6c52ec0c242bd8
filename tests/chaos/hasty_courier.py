"""Workers and schedulers whose couriers try again after half a second, and are replaced 12 seconds after their death.

A lease must outlast the slowest call (10 s). Run by test_news.py as `dramatiq tests.chaos.hasty_courier`, and as a
scheduler by `python -m tests.chaos.hasty_courier`.
"""

from __future__ import annotations

from actors import clockwork
from actors.channels import webhook
from actors.delivery import Courier
from app.notify import deliveries

LEASE_SECONDS = 12.0

assert webhook.TIMEOUT_SECONDS < LEASE_SECONDS
assert Courier.__init__.__kwdefaults__["lease_seconds"] > LEASE_SECONDS
Courier.__init__.__kwdefaults__["lease_seconds"] = LEASE_SECONDS
deliveries.PAUSES = (0.5,) * 50

if __name__ == "__main__":
    clockwork.main()
else:
    from actors.worker import broker

    __all__ = ["broker"]
