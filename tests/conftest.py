"""Fixtures for everybody; the servers' own are in tests/rig.py."""

from __future__ import annotations

pytest_plugins = ["tests.rig"]
