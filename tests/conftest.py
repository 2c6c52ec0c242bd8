"""Fixtures for everybody; the servers' own are in tests/rig.py, the app's in tests/web.py."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.rig", "tests.web"]

# How long an example takes says something of the machine, and fixtures are made for a test and not for an example.
settings.register_profile(
    "callboard",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("callboard")
