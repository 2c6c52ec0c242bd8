"""Fixtures for everybody; the servers' own are in tests/rig.py, the app's in tests/web.py."""

from __future__ import annotations

pytest_plugins = ["tests.rig", "tests.web"]
