"""What agents can do with their chain."""

from __future__ import annotations

import pytest

from actors.models.health import health_of
from actors.runners.llm import LlmRunner
from tests.actors.models.desk import spec_of

READY = spec_of("http://x", "alpha")
KEYLESS = spec_of("http://x", "beta", missing="set BETA_API_KEY for the workers")


@pytest.mark.parametrize(
    ("specs", "has_offline", "status"),
    [
        ([READY], False, "ready"),
        ([KEYLESS, READY], False, "ready"),
        ([KEYLESS], True, "degraded"),
        ([KEYLESS], False, "unavailable"),
        ([], False, "unavailable"),
        ([], True, "degraded"),
    ],
)
def test_health_follows_from_the_chain(specs: list[object], has_offline: bool, status: str) -> None:
    assert health_of(specs, has_offline=has_offline).status == status


def test_the_reason_says_what_to_configure() -> None:
    reason = LlmRunner().health({"provider_specs": [KEYLESS]}).reason or ""

    assert "BETA_API_KEY" in reason
    assert "callboard models install-demo" in reason


def test_a_definition_that_cannot_work_is_unavailable() -> None:
    health = LlmRunner().health({"provider_specs": [READY], "max_turns": -1})

    assert (health.status, "llm.max_turns" in (health.reason or "")) == ("unavailable", True)
