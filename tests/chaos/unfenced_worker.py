"""A worker whose settles ask neither for the fence nor for the lease: what the harness must notice.

Run as `dramatiq tests.chaos.unfenced_worker` by test_teeth.py, never by anybody else.
"""

from __future__ import annotations

from tests.chaos.unfenced import take_the_fence_away

take_the_fence_away()

from actors.worker import broker  # noqa: E402 - the product, tampered with

__all__ = ["broker"]
