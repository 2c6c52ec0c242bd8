"""A worker whose settles ask neither for the fence nor for the lease: what the harness must notice.

Run as `dramatiq tests.chaos.unfenced_worker` by test_teeth.py, never by anybody else.
"""

from __future__ import annotations

from app.jobs import lifecycle

GUARD = " AND j.fence = m.fence AND j.lease_id = m.lease_id"

assert lifecycle._COMPLETE.count(GUARD) == 1, "the statement has changed; the mutation must follow"
lifecycle._COMPLETE = lifecycle._COMPLETE.replace(GUARD, "")

from actors.worker import broker  # noqa: E402 - the product, tampered with

__all__ = ["broker"]
