"""Workers that look for pictures on this machine (CHAOS_PEXELS_URL), where a test can stop them at it.

Run by test_pipeline.py as `dramatiq tests.chaos.pictured_worker`.
"""

from __future__ import annotations

import os

from actors.clients import images

images.PEXELS_URL = os.environ["CHAOS_PEXELS_URL"]

from actors.worker import broker  # noqa: E402 - the product, with another address

__all__ = ["broker"]
