"""Fixtures for everybody; the servers' own are in tests/rig.py, the app's in tests/web.py."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.rig", "tests.web"]

# Whoever has exported what the README says has a Callboard and a key of their own: no test may speak to that one.
for name in [name for name in os.environ if name.startswith("CALLBOARD_")]:
    if name != "CALLBOARD_TEST_CACHE":  # the suites' own
        del os.environ[name]

# How long an example takes says something of the machine, and fixtures are made for a test and not for an example.
settings.register_profile(
    "callboard",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("callboard")
