from __future__ import annotations

from uuid import UUID

import pytest
import structlog
from flask import Flask

from tests.app.api.calling import Caller


def test_every_answer_carries_an_id_of_its_own(nobody: Caller) -> None:
    first, second = (nobody.get("/healthz").headers["X-Request-Id"] for _ in range(2))

    assert UUID(first) != UUID(second)


@pytest.mark.parametrize(
    "given", ["trace-1", "a" * 128, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
)
def test_a_sane_id_of_the_caller_is_kept(given: str, nobody: Caller) -> None:
    assert nobody.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "ä", '"', "{}", "<x>", "a/b"])
def test_any_other_is_replaced(given: str, nobody: Caller) -> None:
    assert UUID(nobody.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"])


def test_log_lines_of_a_request_carry_its_id(app: Flask) -> None:
    with app.test_request_context("/healthz", headers={"X-Request-Id": "trace-1"}):
        app.preprocess_request()
        assert structlog.contextvars.get_contextvars()["request_id"] == "trace-1"
